//! What this machine offers, and how to mend what it lacks.

use sam2_engine::cpu::simd::Isa;

/// One thing that an engine can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which.
    pub what: String,
    /// What was found, or what to do where it is missing.
    pub text: String,
    /// It can be used.
    pub works: bool,
}

/// Looks at the CPU, for everything that a GPU takes, and for what decodes videos.
pub fn diagnose() -> Vec<Finding> {
    let sets: Vec<&str> = Isa::available().iter().map(|isa| isa.name()).collect();
    let mut all = vec![finding("CPU", sets.join(", "), true)];
    cuda(&mut all);
    all.push(match sam2_engine::ffmpeg::Ffmpeg::find() {
        Ok(_) => finding("ffmpeg", "video files can be read", true),
        Err(why) => finding("ffmpeg", why.to_string(), false),
    });
    all
}

fn finding(what: impl Into<String>, text: impl Into<String>, works: bool) -> Finding {
    Finding { what: what.into(), text: text.into(), works }
}

#[cfg(feature = "cuda")]
fn cuda(all: &mut Vec<Finding>) {
    use sam2_cuda::probe::{Unavailable, architectures, cards, driver, usable};
    all.push(match architectures() {
        Some(list) => finding("CUDA kernels", format!("for compute capability {list}, in units of 0.1"), true),
        None => finding("CUDA kernels", Unavailable::NoKernels.to_string(), false),
    });
    match driver() {
        Ok(v) => all.push(finding("NVIDIA driver", format!("CUDA {}.{}", v / 1000, v % 1000 / 10), true)),
        Err(why @ Unavailable::NoDevice) => {
            all.push(finding("NVIDIA driver", "installed", true));
            all.push(finding("GPU", why.to_string(), false));
        }
        Err(why) => all.push(finding("NVIDIA driver", why.to_string(), false)),
    }
    for card in cards().unwrap_or_default() {
        let (major, minor) = card.capability;
        let size = card.memory >> 20;
        let about = format!("{}, compute capability {major}.{minor}, {size} MiB", card.name);
        all.push(match usable(card.index) {
            Ok(_) | Err(Unavailable::NoKernels) => finding(format!("GPU {}", card.index), about, true),
            Err(why) => finding(format!("GPU {}", card.index), why.to_string(), false),
        });
    }
    all.push(match sam2_cuda::blas::version() {
        Some(v) => finding("cuBLASLt", format!("{}.{}", v / 10_000, v / 100 % 100), true),
        None => {
            let text = "not found, so products are made by kernels of our own; to use it, put the folder of libcublasLt \
                        on LD_LIBRARY_PATH";
            finding("cuBLASLt", text, false)
        }
    });
}

#[cfg(not(feature = "cuda"))]
fn cuda(all: &mut Vec<Finding>) {
    all.push(finding("CUDA", "built without it; build again with the feature `cuda`", false));
}

//! Checks what models can use on this machine, and explains how to fix problems.

use sam2_engine::cpu::simd::Isa;

/// The result of checking one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The resource, such as `CPU` or `ffmpeg`.
    pub what: String,
    /// What was found or, if the resource does not work, how to fix that.
    pub text: String,
    /// Whether the resource can be used.
    pub works: bool,
}

/// Checks the CPU, everything that a GPU needs, and the decoder of videos.
#[must_use]
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

/// Checks the kernels, the driver, every GPU and cuBLASLt.
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
            let (library, path) =
                if cfg!(windows) { ("cublasLt64_13.dll", "PATH") } else { ("libcublasLt", "LD_LIBRARY_PATH") };
            let text = format!(
                "not found; matrix products use the built-in kernels; to use it, add the folder of {library} to {path}"
            );
            finding("cuBLASLt", text, false)
        }
    });
}

#[cfg(not(feature = "cuda"))]
fn cuda(all: &mut Vec<Finding>) {
    all.push(finding("CUDA", "built without it; build again with the feature `cuda`", false));
}

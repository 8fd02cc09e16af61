//! Devices that models run on.

use sam2_engine::{Error, Result};
use std::fmt::Write;
use std::str::FromStr;

/// The device that a model runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// NVIDIA GPU 0 if CUDA works there, otherwise the CPU. [`Model::device`] returns which. [`diagnose`] explains why.
    ///
    /// [`Model::device`]: crate::Model::device
    /// [`diagnose`]: crate::diagnose
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// An NVIDIA GPU by its index in the driver's order.
    Cuda(usize),
    /// An NVIDIA GPU by its UUID, [`Gpu::uuid`], which does not depend on the order.
    Uuid([u8; 16]),
}

impl FromStr for Device {
    type Err = String;

    /// Parses `auto`, `cpu`, `cuda`, `cuda:N`, or `cuda:GPU-` with a UUID as nvidia-smi prints it.
    fn from_str(text: &str) -> Result<Device, String> {
        match text {
            "auto" => return Ok(Device::Auto),
            "cpu" => return Ok(Device::Cpu),
            "cuda" => return Ok(Device::Cuda(0)),
            _ => {}
        }
        let device = text.strip_prefix("cuda:").and_then(|which| match which.parse() {
            Ok(index) => Some(Device::Cuda(index)),
            Err(_) => uuid(which).map(Device::Uuid),
        });
        device.ok_or_else(|| "expected auto, cpu, cuda, cuda:N or cuda:GPU-UUID".into())
    }
}

/// Parses a UUID: `GPU-` or `MIG-`, then 32 hexadecimal digits. Dashes are ignored.
fn uuid(text: &str) -> Option<[u8; 16]> {
    let text = text.strip_prefix("GPU-").or_else(|| text.strip_prefix("MIG-"))?;
    let digits: Vec<u8> =
        text.chars().filter(|&c| c != '-').map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    if digits.len() == 32 { bytes.try_into().ok() } else { None }
}

/// An NVIDIA GPU of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gpu {
    /// The index in the driver's order.
    pub index: usize,
    /// The name of the product.
    pub name: String,
    /// The UUID, which does not depend on the order. [`Gpu::uuid_text`] formats it.
    pub uuid: [u8; 16],
    /// The compute capability: major and minor number.
    pub capability: (i32, i32),
    /// The size of its memory in bytes.
    pub memory: u64,
    /// The reason why models cannot run on it. `None` if they can.
    pub refusal: Option<String>,
}

impl Gpu {
    /// The UUID as nvidia-smi prints it: `GPU-`, then 32 digits in groups.
    #[must_use]
    pub fn uuid_text(&self) -> String {
        text_of(&self.uuid)
    }
}

/// Formats a UUID as nvidia-smi does.
fn text_of(uuid: &[u8; 16]) -> String {
    let mut text = String::from("GPU");
    for (i, byte) in uuid.iter().enumerate() {
        if [0, 4, 6, 8, 10].contains(&i) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Lists the NVIDIA GPUs of this machine.
///
/// # Errors
///
/// [`Error::Device`] if the driver is absent or does not start, or if the crate is built without the feature `cuda`.
#[cfg(feature = "cuda")]
pub fn gpus() -> Result<Vec<Gpu>> {
    let all = sam2_cuda::probe::cards()?.into_iter().map(|card| Gpu {
        index: card.index,
        name: card.name,
        uuid: card.uuid,
        capability: card.capability,
        memory: card.memory as u64,
        refusal: sam2_cuda::probe::usable(card.index).err().map(|why| why.to_string()),
    });
    Ok(all.collect())
}

/// Lists the NVIDIA GPUs of this machine.
///
/// # Errors
///
/// Always [`Error::Device`], since the crate is built without the feature `cuda`.
#[cfg(not(feature = "cuda"))]
pub fn gpus() -> Result<Vec<Gpu>> {
    Err(Error::Device("built without CUDA; build again with the feature `cuda`".into()))
}

/// The compute capabilities that CUDA kernels were compiled for, such as "80, 90a". `None` in a build without CUDA
/// kernels.
#[must_use]
pub fn cuda_architectures() -> Option<&'static str> {
    #[cfg(feature = "cuda")]
    return sam2_cuda::probe::architectures();
    #[cfg(not(feature = "cuda"))]
    return None;
}

/// The index of the GPU with this UUID.
pub(crate) fn find(uuid: [u8; 16]) -> Result<usize> {
    let all = gpus()?;
    let names = || all.iter().map(Gpu::uuid_text).collect::<Vec<_>>().join(", ");
    let missing = || Error::Device(format!("no GPU has the UUID {}; the GPUs are {}", text_of(&uuid), names()));
    all.iter().find(|gpu| gpu.uuid == uuid).map(|gpu| gpu.index).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named() {
        let text = "GPU-00112233-4455-6677-8899-aabbccddeeff";
        let uuid: [u8; 16] = std::array::from_fn(|i| i as u8 * 17);
        for (text, device) in [
            ("auto", Device::Auto),
            ("cpu", Device::Cpu),
            ("cuda", Device::Cuda(0)),
            ("cuda:3", Device::Cuda(3)),
            (&format!("cuda:{text}"), Device::Uuid(uuid)),
        ] {
            assert_eq!(text.parse(), Ok(device));
        }
        assert_eq!(text_of(&uuid), text);
        for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:GPU-0011", "cuda:GPU-zz112233-4455-6677-8899-aabbccddeeff"] {
            assert!(text.parse::<Device>().is_err(), "{text}");
        }
    }
}

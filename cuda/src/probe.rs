//! Whether CUDA can be used on this machine, and the reason if it cannot.
//!
//! The driver is loaded at run time, after these checks. A library that is absent or lacks a function is an error and
//! never a panic.

use cudarc::driver::sys::{self, CUdevice_attribute, CUresult};
use sam2_engine::Error;
use std::ffi::CStr;
use std::fmt;
use std::sync::OnceLock;

/// The oldest driver that runs the compiled kernels, as the driver counts versions: release 580.
pub const OLDEST_DRIVER: i32 = 13000;
/// The lowest compute capability.
pub const OLDEST_CARD: (i32, i32) = (8, 0);

#[repr(C, align(64))]
struct Aligned<T: ?Sized>(T);
static KERNELS: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/kernels.fatbin")));

/// The kernels compiled for NVIDIA GPUs. Empty in a build without nvcc.
pub(crate) fn fatbin() -> &'static [u8] {
    if cfg!(sam2_kernels) { &KERNELS.0 } else { &[] }
}

/// The reason why CUDA cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unavailable {
    /// The program was built without nvcc.
    NoKernels,
    /// The library of the NVIDIA driver is absent.
    NoDriver,
    /// The library of the driver lacks a function.
    IncompleteDriver(&'static str),
    /// The driver is too old. The value is its version as the driver counts, such as 12040.
    OldDriver(i32),
    /// The driver returned an error.
    Failing(String),
    /// There is no GPU.
    NoDevice,
    /// There is no GPU with the requested index.
    NoSuchDevice {
        /// The requested index.
        index: usize,
        /// The number of GPUs.
        count: usize,
    },
    /// No compiled kernel runs on the GPU.
    UnsupportedCard {
        /// Its name.
        name: String,
        /// Its compute capability.
        capability: (i32, i32),
    },
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = |v: i32| format!("{}.{}", v / 1000, v % 1000 / 10);
        match self {
            Unavailable::NoKernels => {
                write!(f, "built without CUDA kernels; build again with nvcc on the path, or with NVCC=/path/to/nvcc")
            }
            Unavailable::NoDriver => {
                write!(f, "NVIDIA's driver (libcuda) is not found; install it, release 580 or later")
            }
            Unavailable::IncompleteDriver(what) => {
                write!(f, "NVIDIA's driver (libcuda) lacks {what}; install release 580 or later")
            }
            Unavailable::OldDriver(have) => {
                let need = version(OLDEST_DRIVER);
                write!(
                    f,
                    "NVIDIA's driver offers CUDA {}, {need} is needed; install release 580 or later",
                    version(*have)
                )
            }
            Unavailable::Failing(what) => write!(f, "NVIDIA's driver does not start: {what}; nvidia-smi may tell more"),
            Unavailable::NoDevice => {
                write!(f, "no NVIDIA GPU is visible; see nvidia-smi and CUDA_VISIBLE_DEVICES")
            }
            Unavailable::NoSuchDevice { index, count } => {
                write!(f, "no GPU {index}: there are {count}, counted from 0")
            }
            Unavailable::UnsupportedCard { name, capability: (major, minor) } => {
                let (a, b) = OLDEST_CARD;
                write!(f, "{name} has compute capability {major}.{minor}, which this build has no kernels for; ")?;
                write!(f, "{a}.{b} is the least, and SAM2_CUDA_ARCHS says what a build is for")
            }
        }
    }
}

impl From<Unavailable> for Error {
    fn from(why: Unavailable) -> Error {
        Error::Device(why.to_string())
    }
}

/// A GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Its index in the driver's order.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// Its identifier, which does not depend on its slot.
    pub uuid: [u8; 16],
    /// Compute capability.
    pub capability: (i32, i32),
    /// Bytes of memory.
    pub memory: usize,
    /// Multiprocessors.
    pub multiprocessors: usize,
    /// Bytes of shared memory that a block can use.
    pub shared: usize,
}

/// The functions of the driver that the engine calls.
const FUNCTIONS: &[&str] = &[
    "cuInit",
    "cuDriverGetVersion",
    "cuGetErrorName",
    "cuGetErrorString",
    "cuDeviceGetCount",
    "cuDeviceGet",
    "cuDeviceGetName",
    "cuDeviceGetUuid_v2",
    "cuDeviceTotalMem_v2",
    "cuDeviceGetAttribute",
    "cuDevicePrimaryCtxRetain",
    "cuDevicePrimaryCtxRelease_v2",
    "cuCtxPushCurrent_v2",
    "cuCtxPopCurrent_v2",
    "cuModuleLoadData",
    "cuModuleUnload",
    "cuModuleGetFunction",
    "cuFuncGetAttribute",
    "cuFuncSetAttribute",
    "cuFuncLoad",
    "cuLaunchKernel",
    "cuMemAlloc_v2",
    "cuMemFree_v2",
    "cuMemGetInfo_v2",
    "cuMemHostAlloc",
    "cuMemFreeHost",
    "cuMemcpyHtoDAsync_v2",
    "cuMemcpyDtoHAsync_v2",
    "cuStreamCreate",
    "cuStreamDestroy_v2",
    "cuStreamSynchronize",
    "cuStreamWaitEvent",
    "cuStreamGetCtx",
    "cuStreamIsCapturing",
    "cuStreamBeginCapture_v2",
    "cuStreamEndCapture",
    "cuGraphInstantiateWithFlags",
    "cuGraphLaunch",
    "cuGraphDestroy",
    "cuGraphExecDestroy",
    "cuEventCreate",
    "cuEventRecord",
    "cuEventDestroy_v2",
    "cuEventElapsedTime_v2",
];

/// The driver's version, after checks that the driver is present and starts.
///
/// # Errors
///
/// [`Unavailable::NoDriver`], [`Unavailable::IncompleteDriver`] or [`Unavailable::OldDriver`] if the driver is
/// absent, lacks a function or is too old. [`Unavailable::NoDevice`] if there is no GPU. [`Unavailable::Failing`] if
/// the driver does not start.
pub fn driver() -> Result<i32, Unavailable> {
    static ANSWER: OnceLock<Result<i32, Unavailable>> = OnceLock::new();
    ANSWER.get_or_init(ask).clone()
}

fn ask() -> Result<i32, Unavailable> {
    // SAFETY: looks for libraries. Loading NVIDIA's library runs its initialisers, as in every program that uses it.
    let present = unsafe { sys::is_culib_present() };
    if !present {
        return Err(Unavailable::NoDriver);
    }
    let has = |name: &str| {
        // SAFETY: the library is loaded, and the function is only looked up.
        unsafe { sys::culib().get::<unsafe extern "C" fn()>(name.as_bytes()) }.is_ok()
    };
    if !has("cuDriverGetVersion") {
        return Err(Unavailable::IncompleteDriver("cuDriverGetVersion"));
    }
    let mut version = 0;
    // SAFETY: the function exists and writes one number.
    check(unsafe { sys::cuDriverGetVersion(&mut version) }).map_err(|e| Unavailable::Failing(format!("{e:?}")))?;
    if version < OLDEST_DRIVER {
        return Err(Unavailable::OldDriver(version));
    }
    if let Some(name) = FUNCTIONS.iter().find(|name| !has(name)) {
        return Err(Unavailable::IncompleteDriver(name));
    }
    // SAFETY: the function exists.
    match unsafe { sys::cuInit(0) } {
        CUresult::CUDA_SUCCESS => Ok(version),
        CUresult::CUDA_ERROR_NO_DEVICE => Err(Unavailable::NoDevice),
        e => Err(Unavailable::Failing(describe(e))),
    }
}

pub(crate) fn check(result: CUresult) -> Result<(), CUresult> {
    if result == CUresult::CUDA_SUCCESS { Ok(()) } else { Err(result) }
}

/// The driver's name and description of an error. The driver must be loaded.
pub(crate) fn describe(e: CUresult) -> String {
    let text = |get: unsafe fn(CUresult, *mut *const std::ffi::c_char) -> CUresult| {
        let mut text = std::ptr::null();
        // SAFETY: writes a pointer to a constant text, or leaves null.
        unsafe {
            get(e, &mut text);
            if text.is_null() { "unknown".into() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
        }
    };
    format!("{} ({})", text(sys::cuGetErrorString), text(sys::cuGetErrorName))
}

/// The GPUs of the machine.
///
/// # Errors
///
/// The errors of [`driver`]. [`Unavailable::Failing`] if the driver fails.
pub fn cards() -> Result<Vec<Card>, Unavailable> {
    driver()?;
    let failing = |e| Unavailable::Failing(describe(e));
    let mut count = 0;
    // SAFETY: the driver has started. Every call writes one value of its stated type.
    unsafe {
        check(sys::cuDeviceGetCount(&mut count)).map_err(failing)?;
        (0..count.max(0)).map(|i| card(i).map_err(failing)).collect()
    }
}

unsafe fn card(index: i32) -> Result<Card, CUresult> {
    let (mut device, mut memory, mut name) = (0, 0, [0u8; 256]);
    let mut uuid = sys::CUuuid { bytes: [0; 16] };
    let attribute = |which, device| {
        let mut value = 0;
        // SAFETY: writes one number.
        check(unsafe { sys::cuDeviceGetAttribute(&mut value, which, device) }).map(|()| value)
    };
    // SAFETY: the driver has started, and the buffer of the name has the stated size.
    unsafe {
        check(sys::cuDeviceGet(&mut device, index))?;
        check(sys::cuDeviceGetName(name.as_mut_ptr().cast(), 255, device))?;
        check(sys::cuDeviceGetUuid_v2(&mut uuid, device))?;
        check(sys::cuDeviceTotalMem_v2(&mut memory, device))?;
    }
    use CUdevice_attribute::*;
    Ok(Card {
        index: index as usize,
        name: CStr::from_bytes_until_nul(&name).map_or("unnamed".into(), |n| n.to_string_lossy().into_owned()),
        uuid: uuid.bytes.map(|b| b as u8),
        capability: (
            attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device)?,
            attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device)?,
        ),
        memory,
        multiprocessors: attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device)? as usize,
        shared: attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, device)? as usize,
    })
}

/// The architectures for which kernels were compiled, such as "80, 90a". `None` without nvcc.
#[must_use]
pub fn architectures() -> Option<&'static str> {
    option_env!("SAM2_ARCHS").filter(|_| cfg!(sam2_kernels))
}

/// Whether one of these architectures, such as "80, 90a", runs on a GPU without a new compilation. Code for a compute
/// capability runs on later ones with the same major number. Code for a name with "a" runs on no other.
fn covers(architectures: &str, (major, minor): (i32, i32)) -> bool {
    architectures.split(", ").any(|name| {
        let (number, alone) = name.strip_suffix('a').map_or((name, false), |number| (number, true));
        let number: i32 = number.parse().unwrap_or(0);
        number / 10 == major && if alone { number % 10 == minor } else { number % 10 <= minor }
    })
}

impl Card {
    /// The architectures of this build, if none is for this GPU. The driver then compiles the kernels' PTX.
    #[must_use]
    pub fn compiles(&self) -> Option<&'static str> {
        architectures().filter(|names| !covers(names, self.capability))
    }
}

/// A GPU that may run the kernels.
///
/// # Errors
///
/// The errors of [`cards`]. [`Unavailable::NoDevice`] if there is no GPU. [`Unavailable::NoSuchDevice`] if there is
/// no GPU with this index. [`Unavailable::UnsupportedCard`] if its compute capability is too low.
/// [`Unavailable::NoKernels`] in a build without kernels.
pub fn usable(index: usize) -> Result<Card, Unavailable> {
    let cards = cards()?;
    let count = cards.len();
    if count == 0 {
        return Err(Unavailable::NoDevice);
    }
    let card = cards.into_iter().nth(index).ok_or(Unavailable::NoSuchDevice { index, count })?;
    if card.capability < OLDEST_CARD {
        return Err(Unavailable::UnsupportedCard { name: card.name, capability: card.capability });
    }
    if fatbin().is_empty() {
        return Err(Unavailable::NoKernels);
    }
    Ok(card)
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn machine_code_runs_within_a_major_number() {
        let of = |capability| covers("80, 89, 90a, 120", capability);
        assert!([(8, 0), (8, 6), (8, 9), (9, 0), (12, 0), (12, 1)].iter().all(|&c| of(c)));
        assert!([(7, 5), (9, 1), (10, 0), (11, 0), (13, 0)].iter().all(|&c| !of(c)));
    }
}

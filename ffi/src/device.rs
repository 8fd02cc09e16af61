//! `sam2_gpu_info`: the GPUs of the machine.

use crate::arguments::copy_text;
use crate::error::{Failure, SAM2_ERROR_DEVICE, call, sam2_status};
use crate::options::{Sized32, fill};
use std::ffi::c_char;

/// Description of a GPU. Initialize it with SAM2_GPU_INFO_INIT.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct sam2_gpu_info {
    /// sizeof(sam2_gpu_info).
    pub struct_size: u32,
    /// Compute capability: 90 is 9.0.
    pub capability: u32,
    /// Size of the memory in bytes.
    pub memory: u64,
    /// 1 if models can run on this GPU, otherwise 0.
    pub usable: i32,
    /// Unused.
    pub reserved: i32,
    /// UUID as nvidia-smi prints it, for `device_uuid` of ::sam2_model_options.
    pub uuid: [c_char; 48],
    /// Name, truncated to fit.
    pub name: [c_char; 64],
}

// SAFETY: integers, its size first.
unsafe impl Sized32 for sam2_gpu_info {
    const INIT: Self = sam2_gpu_info {
        struct_size: size_of::<Self>() as u32,
        capability: 0,
        memory: 0,
        usable: 0,
        reserved: 0,
        uuid: [0; 48],
        name: [0; 64],
    };
    const NAME: &'static str = "sam2_gpu_info";
}

/// Counts the NVIDIA GPUs of the machine.
///
/// Blocks while the driver initializes, on the first call of the process.
///
/// @param count Receives the number of GPUs. It is 0 if the driver is not installed, and sam2_last_error() then gives
///         the reason.
/// @return SAM2_OK, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_gpu_get_count(count: *mut u32) -> sam2_status {
    call(|| {
        if count.is_null() {
            return Err(Failure::argument("count is null"));
        }
        let found = engine::gpus().map(|all| all.len()).unwrap_or_else(|why| {
            Failure::from(why).say();
            0
        });
        // SAFETY: contract of callers.
        unsafe { count.write(found as u32) };
        Ok(())
    })
}

/// Describes a GPU.
///
/// If models cannot run on the GPU, the call succeeds with `usable` 0, and sam2_last_error() gives the reason.
///
/// @param index Index of the GPU in the driver's order, from 0.
/// @param info Receives the description, as far as its `struct_size` reaches.
/// @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if there is no such GPU, SAM2_ERROR_DEVICE if the driver is not
///         installed or fails, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_gpu_get_info(index: u32, info: *mut sam2_gpu_info) -> sam2_status {
    call(|| {
        let all = engine::gpus()?;
        let count = all.len();
        let gpu = all.into_iter().nth(index as usize);
        let gpu = gpu.ok_or_else(|| Failure::argument(format!("no GPU {index}: there are {count}")))?;
        if let Some(why) = &gpu.refusal {
            Failure::new(SAM2_ERROR_DEVICE, why).say();
        }
        // SAFETY: contract of callers.
        unsafe {
            fill(info, |info| {
                info.capability = (gpu.capability.0 * 10 + gpu.capability.1) as u32;
                (info.memory, info.usable) = (gpu.memory, gpu.refusal.is_none() as i32);
                copy_text(&mut info.uuid, &gpu.uuid_text());
                copy_text(&mut info.name, &gpu.name);
            })
        }
    })
}

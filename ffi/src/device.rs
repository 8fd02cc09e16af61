//! `sam2_gpu_info`: the GPUs of this machine.

use crate::arguments::copy_text;
use crate::options::{Sized32, fill};
use crate::status::{Failure, SAM2_ERROR_DEVICE, call, sam2_status};
use std::ffi::c_char;

/// A GPU of this machine. Begin with SAM2_GPU_INFO_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam2_gpu_info {
    /// sizeof(sam2_gpu_info)
    pub struct_size: u32,
    /// Compute capability, 90 for 9.0.
    pub capability: u32,
    /// Bytes of memory.
    pub memory: u64,
    /// Not 0: models can run on it.
    pub usable: i32,
    /// Not used.
    pub reserved: i32,
    /// As nvidia-smi prints it, for sam2_model_options.
    pub uuid: [c_char; 48],
    /// Its name, cut to its length.
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

/// Counts the NVIDIA GPUs of this machine; 0 where their driver is not installed, of which `sam2_last_error` tells.
///
/// # Safety
/// `count` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_gpu_count(count: *mut u32) -> sam2_status {
    call(|| {
        if count.is_null() {
            return Err(Failure::argument("count is null"));
        }
        let found = engine::gpus().map(|all| all.len()).unwrap_or_else(|why| {
            Failure::from(why).say();
            0
        });
        // SAFETY: the caller's promise.
        unsafe { count.write(found as u32) };
        Ok(())
    })
}

/// Writes what GPU `index`, in the driver's order, is; where models cannot run on it, `sam2_last_error` tells why.
///
/// # Safety
/// `info` points at as many writable bytes as its `struct_size` says.
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
        // SAFETY: the caller's promise.
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

//! `sam2_mask_buffer`: memory of the caller for masks.

use crate::error::{Failure, Result};
use crate::image::{SAM2_MEMORY_CUDA, SAM2_MEMORY_HOST, sam2_memory};
use crate::options::{Sized32, read};
use engine::{DeviceSlice, MaskBuffer, MaskFormat, MaskMemory};
use std::ffi::c_void;

/// Format of masks in a buffer.
#[allow(non_camel_case_types)]
pub type sam2_mask_format = i32;

/// One byte per pixel: 1 on the object, otherwise 0.
pub const SAM2_MASK_BINARY: sam2_mask_format = 0;
/// One float32 logit per pixel. Values above the threshold are on the object.
pub const SAM2_MASK_LOGITS: sam2_mask_format = 1;
/// One bit per pixel, the first pixel in the most significant bit. A row takes (width + 7) / 8 bytes.
pub const SAM2_MASK_BITS: sam2_mask_format = 2;
/// One uint16_t per pixel for all masks together: 0, or 1 + the index of the mask with the highest logit at the
/// pixel.
pub const SAM2_MASK_LABELS: sam2_mask_format = 3;

/// Memory of the caller that receives masks, one after another, or one map of labels. Initialize it with
/// SAM2_MASK_BUFFER_INIT.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct sam2_mask_buffer {
    /// sizeof(sam2_mask_buffer).
    pub struct_size: u32,
    /// A ::sam2_mask_format.
    pub format: sam2_mask_format,
    /// The memory. NULL means no buffer.
    pub data: *mut c_void,
    /// Size of `data` in bytes, which must be exactly the size of the masks.
    pub size: u64,
    /// A ::sam2_memory.
    pub memory: sam2_memory,
    /// 1 if `stream` is the CUDA stream on which the caller uses the memory, as in ::sam2_image.
    pub has_stream: i32,
    /// A CUstream or cudaStream_t. NULL is the default stream.
    pub stream: *mut c_void,
    /// 1 writes the bottom row first.
    pub flip: i32,
    /// Unused.
    pub reserved: i32,
}

// SAFETY: integers and pointers, its size first.
unsafe impl Sized32 for sam2_mask_buffer {
    const INIT: Self = sam2_mask_buffer {
        struct_size: size_of::<Self>() as u32,
        format: SAM2_MASK_BINARY,
        data: std::ptr::null_mut(),
        size: 0,
        memory: SAM2_MEMORY_HOST,
        has_stream: 0,
        stream: std::ptr::null_mut(),
        flip: 0,
        reserved: 0,
    };
    const NAME: &'static str = "sam2_mask_buffer";
}

/// Reads the description of a buffer. None if the pointer or its `data` is NULL.
///
/// # Safety
/// Contract of callers, until the buffer is no longer used.
pub(crate) unsafe fn mask_buffer(buffer: *const sam2_mask_buffer) -> Result<Option<MaskBuffer<'static>>> {
    // SAFETY: contract of callers.
    let b = unsafe { read(buffer) }?;
    if b.data.is_null() {
        return Ok(None);
    }
    let wrong = |what: String| Err(Failure::argument(format!("mask buffer: {what}")));
    let format = match b.format {
        SAM2_MASK_BINARY => MaskFormat::Binary,
        SAM2_MASK_LOGITS => MaskFormat::Logits,
        SAM2_MASK_BITS => MaskFormat::Bits,
        SAM2_MASK_LABELS => MaskFormat::Labels,
        other => return wrong(format!("no format {other}")),
    };
    let Some(bytes) = usize::try_from(b.size).ok().filter(|&n| n <= isize::MAX as usize) else {
        return wrong(format!("{} bytes", b.size));
    };
    // SAFETY: contract of callers.
    let memory = unsafe {
        match b.memory {
            SAM2_MEMORY_HOST => MaskMemory::Host(std::slice::from_raw_parts_mut(b.data.cast(), bytes)),
            SAM2_MEMORY_CUDA => {
                let stream = if b.has_stream != 0 { b.stream } else { std::ptr::null_mut() };
                MaskMemory::Device(DeviceSlice::new(b.data as u64, bytes, stream))
            }
            other => return wrong(format!("no memory {other}")),
        }
    };
    let buffer = MaskBuffer::new(format, memory)?;
    Ok(Some(if b.flip != 0 { buffer.flipped() } else { buffer }))
}

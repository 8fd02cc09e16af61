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
/// Videos only: one byte per pixel for all masks together: 0, or the id of the object with the highest logit at the
/// pixel. Ids are 1 to 255.
pub const SAM2_MASK_IDS8: sam2_mask_format = 4;
/// Videos only: one uint16_t per pixel for all masks together: 0, or the id of the object with the highest logit at the
/// pixel. Ids are 1 to 65535.
pub const SAM2_MASK_IDS16: sam2_mask_format = 5;

/// Memory of the caller that receives masks, one after another, or one map of labels or ids. Initialize it with
/// SAM2_MASK_BUFFER_INIT.
///
/// The memory may be larger than the masks. For images, and for maps, it must not be smaller. In a video it gets the masks
/// of the first objects that it has room for, and sam2_frame::masks_written is their number. It has room for at least
/// one.
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
    /// Size of `data` in bytes.
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
    /// Bytes from a row to the next, a multiple of the size of a value. Bytes between rows are not written. 0 means that
    /// rows follow one another.
    pub row_stride: u64,
    /// Bytes from a mask to the next, a multiple of the size of a value. 0 means that masks follow one another.
    pub plane_stride: u64,
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
        row_stride: 0,
        plane_stride: 0,
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
        SAM2_MASK_IDS8 => MaskFormat::Ids8,
        SAM2_MASK_IDS16 => MaskFormat::Ids16,
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
    let strides = [b.row_stride, b.plane_stride].map(|stride| usize::try_from(stride).unwrap_or(usize::MAX));
    let buffer = MaskBuffer::new(format, memory)?.with_strides(strides[0], strides[1]);
    Ok(Some(if b.flip != 0 { buffer.flipped() } else { buffer }))
}

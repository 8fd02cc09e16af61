//! `sam2_mask_buffer`: where masks go, and in which form.

use crate::arguments::as_path;
use crate::image::{SAM2_MEMORY_CUDA, SAM2_MEMORY_HOST};
use crate::options::{Sized32, read};
use crate::status::{Failure, Result, call, sam2_status};
use engine::engine::memory::try_with_capacity;
use engine::picture::{self, Picture};
use engine::{DeviceSlice, MaskBuffer, MaskFormat, MaskMemory, PixelFormat};
use std::ffi::{c_char, c_void};
use std::path::Path;

/// One byte a pixel: 1 on the object, else 0.
pub const SAM2_MASK_U8: i32 = 0;
/// Logits as float; above the threshold is on the object.
pub const SAM2_MASK_LOGITS: i32 = 1;
/// One bit a pixel, rows in whole bytes, the first pixel in the highest bit: height * ((width + 7) / 8) bytes.
pub const SAM2_MASK_BITS: i32 = 2;
/// One uint16_t a pixel, for all masks together: 0, or 1 + the place of the object with the highest logit there.
pub const SAM2_MASK_LABELS: i32 = 3;

/// A buffer of the caller's for masks of the picture's size, one after another, or for one map of labels. Begin
/// with SAM2_MASK_BUFFER_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam2_mask_buffer {
    /// sizeof(sam2_mask_buffer)
    pub struct_size: u32,
    /// SAM2_MASK_...
    pub kind: i32,
    /// Null: no buffer.
    pub data: *mut c_void,
    /// Bytes of `data`: exactly as many as the masks take.
    pub size: u64,
    /// SAM2_MEMORY_...
    pub memory: i32,
    /// As of sam2_image.
    pub has_stream: i32,
    /// As of sam2_image.
    pub stream: *mut c_void,
    /// Not 0: the lowest row comes first.
    pub flip: i32,
    /// Not used.
    pub reserved: i32,
}

// SAFETY: integers and pointers, its size first.
unsafe impl Sized32 for sam2_mask_buffer {
    const INIT: Self = sam2_mask_buffer {
        struct_size: size_of::<Self>() as u32,
        kind: SAM2_MASK_U8,
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

/// The buffer that `buffer` describes; none where it is null, or its data are.
///
/// # Safety
/// `buffer` is null or readable, and what it describes is there and writable until it is used.
pub(crate) unsafe fn mask_buffer(buffer: *const sam2_mask_buffer) -> Result<Option<MaskBuffer<'static>>> {
    // SAFETY: the caller's promise.
    let b = unsafe { read(buffer) }?;
    if b.data.is_null() {
        return Ok(None);
    }
    let wrong = |what: String| Err(Failure::argument(format!("mask buffer: {what}")));
    let format = match b.kind {
        SAM2_MASK_U8 => MaskFormat::Binary,
        SAM2_MASK_LOGITS => MaskFormat::Logits,
        SAM2_MASK_BITS => MaskFormat::Bits,
        SAM2_MASK_LABELS => MaskFormat::Labels,
        other => return wrong(format!("no kind {other}")),
    };
    let Some(bytes) = usize::try_from(b.size).ok().filter(|&n| n <= isize::MAX as usize) else {
        return wrong(format!("{} bytes", b.size));
    };
    // SAFETY: the caller's promise.
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

/// Writes a mask (height, width) as a PNG, white where it is not 0.
///
/// # Safety
/// `path` ends in 0; `mask` has width times height bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_mask_write_png(
    path: *const c_char,
    mask: *const u8,
    width: u32,
    height: u32,
) -> sam2_status {
    call(|| {
        // SAFETY: the caller's promise, of both.
        unsafe {
            let path = as_path("path", path)?;
            if mask.is_null() {
                return Err(Failure::argument("mask is null"));
            }
            let mask = std::slice::from_raw_parts(mask, pixels(width, height)?);
            write(path, mask, width as usize, height as usize)
        }
    })
}

fn write(path: &Path, mask: &[u8], width: usize, height: usize) -> Result<()> {
    let mut pixels = try_with_capacity(mask.len(), "a mask")?;
    pixels.extend(mask.iter().map(|&v| if v != 0 { 255 } else { 0 }));
    let png = picture::encode_png(&Picture { pixels, width, height, format: PixelFormat::Gray8 })?;
    let io = |source| engine::Error::Io { path: path.display().to_string(), source };
    Ok(std::fs::write(path, png).map_err(io)?)
}

/// Pixels of a mask.
pub(crate) fn pixels(width: u32, height: u32) -> Result<usize> {
    let size = (width as usize).checked_mul(height as usize).filter(|&n| n > 0 && n <= isize::MAX as usize);
    size.ok_or_else(|| Failure::argument(format!("a mask of {width}x{height} pixels")))
}

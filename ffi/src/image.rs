//! `sam2_image`: a picture of the caller's.

use crate::options::{Sized32, read};
use crate::status::{Failure, Result};
use engine::{DeviceSlice, Frame, PixelFormat};
use std::ffi::c_void;

/// Red, green, blue, 8 bits each.
pub const SAM2_FORMAT_RGB8: i32 = 0;
/// Blue, green, red, 8 bits each.
pub const SAM2_FORMAT_BGR8: i32 = 1;
/// As RGB8 with a fourth byte, which is ignored.
pub const SAM2_FORMAT_RGBA8: i32 = 2;
/// As BGR8 with a fourth byte, which is ignored.
pub const SAM2_FORMAT_BGRA8: i32 = 3;
/// 8 bits, used for all three channels.
pub const SAM2_FORMAT_GRAY8: i32 = 4;
/// Red, green, blue as float in 0..1.
pub const SAM2_FORMAT_RGB_F32: i32 = 5;

/// In the host's memory.
pub const SAM2_MEMORY_HOST: i32 = 0;
/// In the memory of the GPU that the model runs on.
pub const SAM2_MEMORY_CUDA: i32 = 1;

/// A picture of the caller's, rows from the top, borrowed for the length of a call. Begin with SAM2_IMAGE_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam2_image {
    /// sizeof(sam2_image)
    pub struct_size: u32,
    /// SAM2_FORMAT_...
    pub format: i32,
    /// Pixels across, 1 to 32768.
    pub width: u32,
    /// Pixels down, 1 to 32768.
    pub height: u32,
    /// The first pixel.
    pub data: *const c_void,
    /// Bytes from row to row; 0: rows without gaps.
    pub stride: u64,
    /// SAM2_MEMORY_...
    pub memory: i32,
    /// Not 0: `stream` is the CUDA stream on which the caller uses the memory; null is the default stream. The library comes
    /// after what is enqueued there, and what is enqueued there after the call comes after the library. Otherwise the
    /// memory is ready, and stays so until masks have come back.
    pub has_stream: i32,
    /// A CUstream or cudaStream_t.
    pub stream: *mut c_void,
}

// SAFETY: integers and pointers, its size first.
unsafe impl Sized32 for sam2_image {
    const INIT: Self = sam2_image {
        struct_size: size_of::<Self>() as u32,
        format: SAM2_FORMAT_RGB8,
        width: 0,
        height: 0,
        data: std::ptr::null(),
        stride: 0,
        memory: SAM2_MEMORY_HOST,
        has_stream: 0,
        stream: std::ptr::null_mut(),
    };
    const NAME: &'static str = "sam2_image";
}

/// The picture that `image` describes.
///
/// # Safety
/// `image` is null or readable, and what it describes is there for `'a`.
pub(crate) unsafe fn frame<'a>(image: *const sam2_image) -> Result<Frame<'a>> {
    if image.is_null() {
        return Err(Failure::argument("image is null"));
    }
    // SAFETY: the caller's promise.
    let i = unsafe { read(image) }?;
    let format = match i.format {
        SAM2_FORMAT_RGB8 => PixelFormat::Rgb8,
        SAM2_FORMAT_BGR8 => PixelFormat::Bgr8,
        SAM2_FORMAT_RGBA8 => PixelFormat::Rgba8,
        SAM2_FORMAT_BGRA8 => PixelFormat::Bgra8,
        SAM2_FORMAT_GRAY8 => PixelFormat::Gray8,
        SAM2_FORMAT_RGB_F32 => PixelFormat::RgbF32,
        other => return Err(Failure::argument(format!("image: no format {other}"))),
    };
    if i.data.is_null() {
        return Err(Failure::argument("image: data is null"));
    }
    let (width, height) = (i.width as usize, i.height as usize);
    let row = format.row_bytes(0, width);
    let stride = if i.stride == 0 { row } else { usize::try_from(i.stride).unwrap_or(usize::MAX) };
    // What the caller says is there: all rows, the last one without its gap.
    let bytes = stride.checked_mul(height.saturating_sub(1)).and_then(|n| n.checked_add(row));
    let bytes = bytes.filter(|&n| n <= isize::MAX as usize);
    let bytes = bytes.ok_or_else(|| Failure::argument(format!("image: {height} rows of {stride} bytes")))?;
    match i.memory {
        SAM2_MEMORY_HOST => {
            // SAFETY: the caller's promise.
            let pixels = unsafe { std::slice::from_raw_parts(i.data.cast::<u8>(), bytes) };
            Ok(Frame::new(format, pixels, width, height, stride)?)
        }
        SAM2_MEMORY_CUDA => {
            let stream = if i.has_stream != 0 { i.stream } else { std::ptr::null_mut() };
            // SAFETY: the caller's promise.
            let pixels = unsafe { DeviceSlice::new(i.data as u64, bytes, stream) };
            Ok(Frame::device(format, pixels, width, height, stride)?)
        }
        other => Err(Failure::argument(format!("image: no memory {other}"))),
    }
}

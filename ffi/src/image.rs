//! `sam2_image`: a picture of the caller's.

use crate::options::{Sized32, read};
use crate::status::{Failure, Result};
use engine::{DeviceSlice, Frame, PixelFormat, Plane, Yuv, YuvMatrix, YuvRange};
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
/// As RGB_F32 in three planes: red, green, blue.
pub const SAM2_FORMAT_RGB_F32_PLANAR: i32 = 6;
/// Two planes of bytes: Y of every pixel; U and V, interleaved, of every 2x2 pixels, sides rounded up.
pub const SAM2_FORMAT_NV12: i32 = 7;
/// Y, U, Y, V of every two pixels of a row, 8 bits each; where the width is odd the last two are there whole.
pub const SAM2_FORMAT_YUYV: i32 = 8;
/// As YUYV: U, Y, V, Y.
pub const SAM2_FORMAT_UYVY: i32 = 9;

/// As RGB8 in three planes: red, green, blue.
pub const SAM2_FORMAT_RGB8_PLANAR: i32 = 10;
/// As RGB_F32, of IEEE 754's binary16.
pub const SAM2_FORMAT_RGB_F16: i32 = 11;
/// As RGB_F16 in three planes: red, green, blue.
pub const SAM2_FORMAT_RGB_F16_PLANAR: i32 = 12;
/// As RGB_F32, of bfloat16.
pub const SAM2_FORMAT_RGB_BF16: i32 = 13;
/// As RGB_BF16 in three planes: red, green, blue.
pub const SAM2_FORMAT_RGB_BF16_PLANAR: i32 = 14;

/// Colours of ITU-R BT.709, of high definition.
pub const SAM2_MATRIX_BT709: i32 = 0;
/// Colours of ITU-R BT.601, of standard definition and of JPEG.
pub const SAM2_MATRIX_BT601: i32 = 1;

/// Black is 16 and white 235, as in most video.
pub const SAM2_RANGE_LIMITED: i32 = 0;
/// Black is 0 and white 255, as of most cameras.
pub const SAM2_RANGE_FULL: i32 = 1;

/// In the host's memory.
pub const SAM2_MEMORY_HOST: i32 = 0;
/// In the memory of the GPU that the model runs on.
pub const SAM2_MEMORY_CUDA: i32 = 1;

/// A picture of the caller's, borrowed for the length of a call, or of a job. Begin with SAM2_IMAGE_INIT.
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
    /// The first byte in memory of each plane that the format has; most have one.
    pub planes: [*const c_void; 3],
    /// Bytes from row to row of each plane; 0: rows without gaps.
    pub strides: [u64; 3],
    /// SAM2_MEMORY_...
    pub memory: i32,
    /// Not 0: `stream` is the CUDA stream on which the caller uses the memory; null is the default stream. The library comes
    /// after what is enqueued there, and what is enqueued there after the call comes after the library. Otherwise the
    /// memory is ready, and stays so until masks have come back.
    pub has_stream: i32,
    /// A CUstream or cudaStream_t.
    pub stream: *mut c_void,
    /// SAM2_MATRIX_..., of formats with Y, U and V.
    pub matrix: i32,
    /// SAM2_RANGE_..., of formats with Y, U and V.
    pub range: i32,
    /// Not 0: the lowest row comes first in memory. Points and boxes are seen from the top all the same.
    pub flip: i32,
    /// Not used.
    pub reserved: i32,
    /// The caller's own, as of a clock: comes back with what is found on the frame.
    pub timestamp: i64,
}

// SAFETY: integers and pointers, its size first.
unsafe impl Sized32 for sam2_image {
    const INIT: Self = sam2_image {
        struct_size: size_of::<Self>() as u32,
        format: SAM2_FORMAT_RGB8,
        width: 0,
        height: 0,
        planes: [std::ptr::null(); 3],
        strides: [0; 3],
        memory: SAM2_MEMORY_HOST,
        has_stream: 0,
        stream: std::ptr::null_mut(),
        matrix: SAM2_MATRIX_BT709,
        range: SAM2_RANGE_LIMITED,
        flip: 0,
        reserved: 0,
        timestamp: 0,
    };
    const NAME: &'static str = "sam2_image";
}

/// The pictures that `images` describe, which follow each other by the size that the caller knows of the struct.
///
/// # Safety
/// `images` is null or readable, and what they describe is there until the frames are used.
pub(crate) unsafe fn frames(images: *const sam2_image, count: usize) -> Result<Vec<Frame<'static>>> {
    if images.is_null() {
        return Err(Failure::argument("image is null"));
    }
    let (mut out, mut at) = (Vec::new(), images.cast::<u8>());
    for _ in 0..count {
        // SAFETY: the caller's promise.
        let i = unsafe { read(at.cast::<sam2_image>()) }?;
        at = at.wrapping_add(i.struct_size as usize);
        // SAFETY: as above.
        out.push(unsafe { frame(&i) }?);
    }
    Ok(out)
}

unsafe fn frame(i: &sam2_image) -> Result<Frame<'static>> {
    let wrong = |what: String| Err(Failure::argument(format!("image: {what}")));
    let matrix = match i.matrix {
        SAM2_MATRIX_BT709 => YuvMatrix::Bt709,
        SAM2_MATRIX_BT601 => YuvMatrix::Bt601,
        other => return wrong(format!("no matrix {other}")),
    };
    let range = match i.range {
        SAM2_RANGE_LIMITED => YuvRange::Limited,
        SAM2_RANGE_FULL => YuvRange::Full,
        other => return wrong(format!("no range {other}")),
    };
    let yuv = Yuv { matrix, range };
    let format = match i.format {
        SAM2_FORMAT_RGB8 => PixelFormat::Rgb8,
        SAM2_FORMAT_BGR8 => PixelFormat::Bgr8,
        SAM2_FORMAT_RGBA8 => PixelFormat::Rgba8,
        SAM2_FORMAT_BGRA8 => PixelFormat::Bgra8,
        SAM2_FORMAT_GRAY8 => PixelFormat::Gray8,
        SAM2_FORMAT_RGB_F32 => PixelFormat::RgbF32,
        SAM2_FORMAT_RGB_F32_PLANAR => PixelFormat::RgbF32Planar,
        SAM2_FORMAT_NV12 => PixelFormat::Nv12(yuv),
        SAM2_FORMAT_YUYV => PixelFormat::Yuyv(yuv),
        SAM2_FORMAT_UYVY => PixelFormat::Uyvy(yuv),
        SAM2_FORMAT_RGB8_PLANAR => PixelFormat::Rgb8Planar,
        SAM2_FORMAT_RGB_F16 => PixelFormat::RgbF16,
        SAM2_FORMAT_RGB_F16_PLANAR => PixelFormat::RgbF16Planar,
        SAM2_FORMAT_RGB_BF16 => PixelFormat::RgbBf16,
        SAM2_FORMAT_RGB_BF16_PLANAR => PixelFormat::RgbBf16Planar,
        other => return wrong(format!("no format {other}")),
    };
    let (width, height) = (i.width as usize, i.height as usize);
    let mut planes = Vec::with_capacity(3);
    for p in 0..format.planes() {
        if i.planes[p].is_null() {
            return wrong(format!("planes[{p}] is null"));
        }
        let row = format.row_bytes(p, width);
        let stride = if i.strides[p] == 0 { row } else { usize::try_from(i.strides[p]).unwrap_or(usize::MAX) };
        // What the caller says is there: all rows, the last one without its gap.
        let rows = format.rows(p, height);
        let bytes = stride.checked_mul(rows.saturating_sub(1)).and_then(|n| n.checked_add(row));
        let Some(bytes) = bytes.filter(|&n| n <= isize::MAX as usize) else {
            return wrong(format!("{rows} rows of {stride} bytes"));
        };
        // SAFETY: the caller's promise.
        planes.push(unsafe {
            match i.memory {
                SAM2_MEMORY_HOST => Plane::new(std::slice::from_raw_parts(i.planes[p].cast::<u8>(), bytes), stride),
                SAM2_MEMORY_CUDA => {
                    let stream = if i.has_stream != 0 { i.stream } else { std::ptr::null_mut() };
                    Plane::device(DeviceSlice::new(i.planes[p] as u64, bytes, stream), stride)
                }
                other => return wrong(format!("no memory {other}")),
            }
        });
    }
    let frame = Frame::planes(format, &planes, width, height)?;
    Ok(if i.flip != 0 { frame.flipped() } else { frame })
}

//! `sam2_image`: an image in memory of the caller, and `sam2_picture`: a decoded image file.

use crate::arguments::{as_path, bytes, put};
use crate::error::{Failure, Result, call, release, sam2_status};
use crate::handles::Table;
use crate::options::{Sized32, fill, read};
use engine::picture::{self, Picture, ReadOptions};
use engine::{DeviceSlice, Frame, PixelFormat, Plane, Size, Yuv, YuvMatrix, YuvRange};
use std::ffi::{c_char, c_void};

/// Layout of pixels in memory.
#[allow(non_camel_case_types)]
pub type sam2_pixel_format = i32;

/// Red, green, blue, 8 bits each.
pub const SAM2_FORMAT_RGB8: sam2_pixel_format = 0;
/// Blue, green, red, 8 bits each.
pub const SAM2_FORMAT_BGR8: sam2_pixel_format = 1;
/// RGB8 with a fourth byte, which is ignored.
pub const SAM2_FORMAT_RGBA8: sam2_pixel_format = 2;
/// BGR8 with a fourth byte, which is ignored.
pub const SAM2_FORMAT_BGRA8: sam2_pixel_format = 3;
/// One byte per pixel, used for all three channels.
pub const SAM2_FORMAT_GRAY8: sam2_pixel_format = 4;
/// Red, green, blue as float32 from 0 to 1.
pub const SAM2_FORMAT_RGB_F32: sam2_pixel_format = 5;
/// RGB_F32 in three planes: red, green, blue.
pub const SAM2_FORMAT_RGB_F32_PLANAR: sam2_pixel_format = 6;
/// Bytes in two planes: Y of every pixel, interleaved U and V of every 2x2 pixels. Odd sizes are rounded up.
pub const SAM2_FORMAT_NV12: sam2_pixel_format = 7;
/// Bytes Y, U, Y, V for every two pixels of a row. If the width is odd, the last four bytes are complete.
pub const SAM2_FORMAT_YUYV: sam2_pixel_format = 8;
/// As YUYV, in the order U, Y, V, Y.
pub const SAM2_FORMAT_UYVY: sam2_pixel_format = 9;

/// RGB8 in three planes: red, green, blue.
pub const SAM2_FORMAT_RGB8_PLANAR: sam2_pixel_format = 10;
/// RGB_F32 with IEEE 754 binary16 values.
pub const SAM2_FORMAT_RGB_F16: sam2_pixel_format = 11;
/// RGB_F16 in three planes: red, green, blue.
pub const SAM2_FORMAT_RGB_F16_PLANAR: sam2_pixel_format = 12;
/// RGB_F32 with bfloat16 values.
pub const SAM2_FORMAT_RGB_BF16: sam2_pixel_format = 13;
/// RGB_BF16 in three planes: red, green, blue.
pub const SAM2_FORMAT_RGB_BF16_PLANAR: sam2_pixel_format = 14;

/// Color matrix of the formats with Y, U and V.
#[allow(non_camel_case_types)]
pub type sam2_yuv_matrix = i32;

/// ITU-R BT.709, for high definition.
pub const SAM2_MATRIX_BT709: sam2_yuv_matrix = 0;
/// ITU-R BT.601, for standard definition and JPEG.
pub const SAM2_MATRIX_BT601: sam2_yuv_matrix = 1;

/// Value range of the formats with Y, U and V.
#[allow(non_camel_case_types)]
pub type sam2_yuv_range = i32;

/// Black is 16 and white is 235, as in most video.
pub const SAM2_RANGE_LIMITED: sam2_yuv_range = 0;
/// Black is 0 and white is 255, as in JPEG and most cameras.
pub const SAM2_RANGE_FULL: sam2_yuv_range = 1;

/// Location of memory.
#[allow(non_camel_case_types)]
pub type sam2_memory = i32;

/// Host memory.
pub const SAM2_MEMORY_HOST: sam2_memory = 0;
/// Memory of the GPU that the model runs on, in its primary context.
pub const SAM2_MEMORY_CUDA: sam2_memory = 1;

/// An image in memory that the caller owns. Initialize it with SAM2_IMAGE_INIT.
///
/// The library uses the pixels until the call returns or the job ends.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct sam2_image {
    /// sizeof(sam2_image).
    pub struct_size: u32,
    /// A ::sam2_pixel_format.
    pub format: sam2_pixel_format,
    /// Width in pixels, 1 to 32768.
    pub width: u32,
    /// Height in pixels, 1 to 32768.
    pub height: u32,
    /// First byte of each plane. Most formats have one plane.
    pub planes: [*const c_void; 3],
    /// Bytes from one row to the next, per plane. 0 means rows without gaps.
    pub strides: [u64; 3],
    /// A ::sam2_memory.
    pub memory: sam2_memory,
    /// 1 if `stream` is the CUDA stream on which the caller uses the memory. The library's work then runs after the
    /// work that was enqueued on the stream before the call, and before the work that is enqueued after the call. 0
    /// if the memory is ready and stays unchanged until the masks are returned.
    pub has_stream: i32,
    /// A CUstream or cudaStream_t. NULL is the default stream.
    pub stream: *mut c_void,
    /// A ::sam2_yuv_matrix.
    pub matrix: sam2_yuv_matrix,
    /// A ::sam2_yuv_range.
    pub range: sam2_yuv_range,
    /// 1 if the bottom row comes first in memory. Coordinates of prompts and masks start at the top in either case.
    pub flip: i32,
    /// Unused.
    pub reserved: i32,
    /// Any value, such as a time. The ::sam2_frame of a pushed image returns it.
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

/// Reads an array of images, whose stride is the `struct_size` of the elements.
///
/// # Safety
/// Contract of callers, until the frames are no longer used.
pub(crate) unsafe fn frames(images: *const sam2_image, count: usize) -> Result<Vec<Frame<'static>>> {
    if images.is_null() {
        return Err(Failure::argument("image is null"));
    }
    let (mut out, mut at) = (Vec::new(), images.cast::<u8>());
    for _ in 0..count {
        // SAFETY: contract of callers.
        let i = unsafe { read(at.cast::<sam2_image>()) }?;
        at = at.wrapping_add(i.struct_size as usize);
        // SAFETY: contract of callers.
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
        // The caller provides all rows, the last one without its gap.
        let rows = format.rows(p, height);
        let bytes = stride.checked_mul(rows.saturating_sub(1)).and_then(|n| n.checked_add(row));
        let Some(bytes) = bytes.filter(|&n| n <= isize::MAX as usize) else {
            return wrong(format!("{rows} rows of {stride} bytes"));
        };
        // SAFETY: contract of callers.
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
    let frame = Frame::planes(format, &planes, Size::new(width, height))?;
    Ok(if i.flip != 0 { frame.flipped() } else { frame })
}

/// A decoded image file.
#[derive(Debug)]
#[allow(non_camel_case_types)]
pub struct sam2_picture {
    _opaque: [u8; 0],
}

static PICTURES: Table<Picture> = Table::new("picture", 4);

/// Options of sam2_picture_read_with() and sam2_picture_decode(). Initialize them with SAM2_PICTURE_OPTIONS_INIT.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct sam2_picture_options {
    /// sizeof(sam2_picture_options).
    pub struct_size: u32,
    /// 1 applies the EXIF orientation, as image viewers do. Prompts and masks then refer to the upright image. 0
    /// keeps the pixels as they are stored.
    pub upright: i32,
    /// Significant bits of the values in a 16-bit file, 8 to 16. With 12, the value 4095 becomes 255, and a larger
    /// value is an error. 0 means 16. Files of 8 bits and PNM files, which state their largest value, ignore it.
    pub bit_depth: u32,
    /// Unused.
    pub reserved: u32,
}

// SAFETY: integers, its size first.
unsafe impl Sized32 for sam2_picture_options {
    const INIT: Self =
        sam2_picture_options { struct_size: size_of::<Self>() as u32, upright: 0, bit_depth: 0, reserved: 0 };
    const NAME: &'static str = "sam2_picture_options";
}

/// Options of the engine for reading files.
pub(crate) fn read_options(upright: i32, bit_depth: u32) -> ReadOptions {
    // Larger values are as invalid as 255.
    let bit_depth = (bit_depth != 0).then(|| u8::try_from(bit_depth).unwrap_or(u8::MAX));
    ReadOptions { upright: upright != 0, bit_depth }
}

/// Reads an image file with default options. Otherwise as sam2_picture_read_with().
///
/// @param path Path of the file. Must not be NULL.
/// @param out Receives the decoded file. Destroy it with sam2_picture_destroy().
/// @return As sam2_picture_read_with().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_picture_read(path: *const c_char, out: *mut *mut sam2_picture) -> sam2_status {
    // SAFETY: contract of callers.
    unsafe { sam2_picture_read_with(path, std::ptr::null(), out) }
}

/// Reads a PNG, JPEG, WebP, BMP, TIFF, GIF or PNM file.
///
/// The content of the file determines its format. Of an animation, the first frame is read. Palettes are resolved,
/// alpha is dropped, and 16-bit values are reduced to their upper 8 bits. The library logs a warning if an EXIF
/// orientation is not applied, and if a 16-bit file holds small values only. Blocks while the file is read and
/// decoded.
///
/// @param path Path of the file. Must not be NULL.
/// @param options Options. NULL uses the defaults.
/// @param out Receives the decoded file. Destroy it with sam2_picture_destroy().
/// @return SAM2_OK, SAM2_ERROR_IO if the file cannot be read or decoded, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_picture_read_with(
    path: *const c_char,
    options: *const sam2_picture_options,
    out: *mut *mut sam2_picture,
) -> sam2_status {
    call(|| {
        // SAFETY: contract of callers.
        unsafe {
            put("out", out, || {
                let path = as_path("path", path)?;
                let o = read(options)?;
                let options = read_options(o.upright, o.bit_depth);
                Ok(PICTURES.insert(picture::read_with(path, &options)?)?)
            })
        }
    })
}

/// Decodes an image file that is in memory. Otherwise as sam2_picture_read_with().
///
/// @param data The bytes of the file. They are not used after the call.
/// @param size Number of bytes, greater than 0.
/// @param options Options. NULL uses the defaults.
/// @param out Receives the decoded file. Destroy it with sam2_picture_destroy().
/// @return SAM2_OK, SAM2_ERROR_IO if the file cannot be decoded, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_picture_decode(
    data: *const u8,
    size: usize,
    options: *const sam2_picture_options,
    out: *mut *mut sam2_picture,
) -> sam2_status {
    call(|| {
        // SAFETY: contract of callers.
        unsafe {
            put("out", out, || {
                let (data, o) = (bytes(data, size)?, read(options)?);
                let options = read_options(o.upright, o.bit_depth);
                Ok(PICTURES.insert(picture::decode_with("in memory", data, &options)?)?)
            })
        }
    })
}

/// Destroys a decoded image file. Images that describe its pixels become invalid.
///
/// @param picture The decoded file.
/// @return SAM2_OK, or SAM2_ERROR_INVALID_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_picture_destroy(picture: *mut sam2_picture) -> sam2_status {
    release(|| Ok(PICTURES.remove(picture)?))
}

/// Describes a decoded image file as an image.
///
/// @param picture The decoded file. It owns the pixels.
/// @param image Receives the format, the size and the pixels, which are valid until `picture` is destroyed.
/// @return SAM2_OK, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_picture_get_image(picture: *const sam2_picture, image: *mut sam2_image) -> sam2_status {
    call(|| {
        let picture = PICTURES.get(picture)?;
        // SAFETY: contract of callers.
        unsafe {
            fill(image, |image| {
                image.format = match picture.format {
                    PixelFormat::Gray8 => SAM2_FORMAT_GRAY8,
                    _ => SAM2_FORMAT_RGB8,
                };
                (image.width, image.height) = (picture.width as u32, picture.height as u32);
                image.planes = [picture.pixels.as_ptr().cast::<c_void>(), std::ptr::null(), std::ptr::null()];
                (image.strides, image.memory, image.has_stream) = ([0; 3], SAM2_MEMORY_HOST, 0);
            })
        }
    })
}

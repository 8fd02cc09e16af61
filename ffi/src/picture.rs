//! `sam2_picture`: picture files, for programs that have no decoder of their own.

use crate::arguments::{as_path, put};
use crate::handles::Table;
use crate::image::{SAM2_FORMAT_GRAY8, SAM2_FORMAT_RGB8, SAM2_MEMORY_HOST, sam2_image};
use crate::options::{Sized32, fill, read};
use crate::status::{call, release, sam2_status};
use engine::PixelFormat;
use engine::picture::{self, Picture, ReadOptions};
use std::ffi::{c_char, c_void};

/// A decoded picture.
#[allow(non_camel_case_types)]
pub struct sam2_picture {
    _opaque: [u8; 0],
}

static PICTURES: Table<Picture> = Table::new("picture", 4);

/// How a picture file is read. Begin with SAM2_PICTURE_OPTIONS_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam2_picture_options {
    /// sizeof(sam2_picture_options)
    pub struct_size: u32,
    /// Not 0: the picture is turned as its EXIF orientation says, as viewers show it; points, boxes and masks are then on the
    /// upright picture. 0: pixels stay as they are stored.
    pub upright: i32,
    /// The bits of the values in a 16-bit file, 8 to 16: of 12, the value 4095 becomes 255, and a larger one is an error. 0:
    /// 16. Files of 8 bits are read as always, and so are PNM files, which state their largest value.
    pub bit_depth: u32,
    /// 0
    pub reserved: u32,
}

// SAFETY: integers, its size first.
unsafe impl Sized32 for sam2_picture_options {
    const INIT: Self =
        sam2_picture_options { struct_size: size_of::<Self>() as u32, upright: 0, bit_depth: 0, reserved: 0 };
    const NAME: &'static str = "sam2_picture_options";
}

/// The engine's options for these.
pub(crate) fn read_options(upright: i32, bit_depth: u32) -> ReadOptions {
    // Larger numbers are as wrong as 255.
    let bit_depth = (bit_depth != 0).then(|| u8::try_from(bit_depth).unwrap_or(u8::MAX));
    ReadOptions { upright: upright != 0, bit_depth }
}

/// `sam2_picture_read_with` without options.
///
/// # Safety
/// `path` ends in 0; `out` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_picture_read(path: *const c_char, out: *mut *mut sam2_picture) -> sam2_status {
    // SAFETY: the caller's promise.
    unsafe { sam2_picture_read_with(path, std::ptr::null(), out) }
}

/// Reads a PNG, JPEG, WebP, BMP, TIFF, GIF or PNM file, known by its content; of an animation, the first frame. `options` may
/// be null. On success `*out` is to be given to `sam2_picture_destroy`.
///
/// Palettes are looked up, alpha is dropped, and of 16 bits the upper 8 are kept. A warning says when the EXIF orientation is
/// not 1 and not applied, and when a 16-bit file holds small values only.
///
/// # Safety
/// `path` ends in 0; `options` is null or readable; `out` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_picture_read_with(
    path: *const c_char,
    options: *const sam2_picture_options,
    out: *mut *mut sam2_picture,
) -> sam2_status {
    call(|| {
        // SAFETY: the caller's promise, of all.
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

/// Lets go of a picture.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_picture_destroy(picture: *mut sam2_picture) -> sam2_status {
    release(|| Ok(PICTURES.remove(picture)?))
}

/// Describes a picture as an image; its pixels are there until the picture is destroyed.
///
/// # Safety
/// `image` points at as many writable bytes as its `struct_size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_picture_get_image(picture: *const sam2_picture, image: *mut sam2_image) -> sam2_status {
    call(|| {
        let picture = PICTURES.get(picture)?;
        // SAFETY: the caller's promise.
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

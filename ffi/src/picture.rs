//! `sam2_picture`: PNG and JPEG files, for programs that have no decoder of their own.

use crate::arguments::{put, text};
use crate::handles::Table;
use crate::image::{SAM2_FORMAT_GRAY8, SAM2_FORMAT_RGB8, SAM2_MEMORY_HOST, sam2_image};
use crate::options::fill;
use crate::status::{Failure, call, release, sam2_status};
use engine::PixelFormat;
use engine::picture::{self, Picture};
use std::ffi::{c_char, c_void};

/// A decoded picture.
#[allow(non_camel_case_types)]
pub struct sam2_picture {
    _opaque: [u8; 0],
}

static PICTURES: Table<Picture> = Table::new("picture", 4);

/// Reads a PNG or JPEG file, known by its content. On success `*out` is to be given to `sam2_picture_destroy`.
///
/// # Safety
/// `path` ends in 0; `out` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_picture_read(path: *const c_char, out: *mut *mut sam2_picture) -> sam2_status {
    call(|| {
        // SAFETY: the caller's promise, of both.
        unsafe {
            put("out", out, || {
                let path = text("path", path)?.ok_or_else(|| Failure::argument("path is null"))?;
                Ok(PICTURES.insert(picture::read(path)?))
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

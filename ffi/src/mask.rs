//! Masks as COCO run-length strings, label maps, polygons and PNG files.

use crate::arguments::{as_path, text};
use crate::error::{Failure, Result, call, sam2_status};
use engine::picture::{self, Picture};
use engine::rle::Rle;
use engine::{MaskFormat, PixelFormat, Size, labels};
use sam2_engine::memory::try_with_capacity;
use std::ffi::c_char;
use std::path::Path;
use std::ptr::null_mut;

/// Decodes the string of a mask.
///
/// # Safety
/// The string is NULL or ends with a NUL.
unsafe fn parsed(rle: *const c_char, width: u32, height: u32) -> Result<Rle> {
    // SAFETY: contract of callers.
    let coco = unsafe { text("rle", rle) }?.ok_or_else(|| Failure::argument("rle is null"))?;
    Ok(Rle::from_coco(coco, Size::new(width as usize, height as usize))?)
}

/// Copies `n` values to the caller and writes their number. If `to` is NULL, only writes the number.
///
/// # Safety
/// `to` is NULL or has room for `*size` values. `size` is writable.
unsafe fn give<T>(name: &str, to: *mut T, size: *mut usize, n: usize, values: impl Iterator<Item = T>) -> Result<()> {
    // SAFETY: contract of callers.
    let room = unsafe { size.replace(n) };
    if to.is_null() {
        return Ok(());
    }
    if room < n {
        return Err(Failure::argument(format!("{name} has room for {room}, {n} are needed")));
    }
    // SAFETY: contract of callers; they fit.
    values.take(n).enumerate().for_each(|(i, value)| unsafe { to.add(i).write(value) });
    Ok(())
}

/// Encodes a mask as a COCO run-length string.
///
/// @param mask (height, width): nonzero on the object.
/// @param width Width in pixels.
/// @param height Height in pixels.
/// @param rle Receives the NUL-terminated string. NULL returns only the size.
/// @param size On entry, the capacity of `rle` in bytes. On return, the size of the string with its terminating NUL,
///         also if the capacity is too small.
/// @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if the capacity is too small, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_mask_encode_rle(
    mask: *const u8,
    width: u32,
    height: u32,
    rle: *mut c_char,
    size: *mut usize,
) -> sam2_status {
    call(|| {
        if mask.is_null() || size.is_null() {
            return Err(Failure::argument("mask and size must not be null"));
        }
        // SAFETY: contract of callers.
        let mask = unsafe { std::slice::from_raw_parts(mask, pixels(width, height)?) };
        let coco = Rle::encode(mask, Size::new(width as usize, height as usize))?.to_coco()?;
        // SAFETY: contract of callers.
        unsafe { give("rle", rle.cast(), size, coco.len() + 1, coco.bytes().chain([0])) }
    })
}

/// Decodes a COCO run-length string.
///
/// @param rle NUL-terminated string. Must not be NULL.
/// @param width Width in pixels.
/// @param height Height in pixels.
/// @param mask (height, width): receives 1 on the object, otherwise 0.
/// @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if the string is not a mask of this size, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_mask_decode_rle(
    rle: *const c_char,
    width: u32,
    height: u32,
    mask: *mut u8,
) -> sam2_status {
    call(|| {
        let size = pixels(width, height)?;
        if mask.is_null() {
            return Err(Failure::argument("mask is null"));
        }
        // SAFETY: contract of callers.
        let decoded = unsafe { parsed(rle, width, height) }?.decode()?;
        // SAFETY: contract of callers; decoding checks the size.
        unsafe { mask.copy_from_nonoverlapping(decoded.as_ptr(), size) };
        Ok(())
    })
}

/// Draws masks into one map of labels: 0 on the background, otherwise 1 + the index of the mask.
///
/// The largest masks are drawn first, so that smaller ones lie on top. Of masks with equal areas, the first lies on
/// top.
///
/// @param rles Array of COCO run-length strings.
/// @param num_masks Number of masks, at most 65535.
/// @param width Width in pixels.
/// @param height Height in pixels.
/// @param labels (height, width): receives the map.
/// @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if a string is not a mask of this size, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_mask_get_label_map(
    rles: *const *const c_char,
    num_masks: usize,
    width: u32,
    height: u32,
    labels: *mut u16,
) -> sam2_status {
    call(|| {
        let size = pixels(width, height)?;
        if labels.is_null() || (rles.is_null() && num_masks > 0) {
            return Err(Failure::argument("rles and labels must not be null"));
        }
        let most = MaskFormat::MOST_LABELS;
        if num_masks > most {
            return Err(Failure::argument(format!("{num_masks} masks; a map of labels tells {most} apart")));
        }
        // SAFETY: contract of callers.
        let one = |i| unsafe { parsed(*rles.add(i), width, height) };
        let masks = (0..num_masks).map(one).collect::<Result<Vec<Rle>>>()?;
        let map = labels::label_map(&masks.iter().collect::<Vec<_>>(), Size::new(width as usize, height as usize))?;
        // SAFETY: contract of callers.
        unsafe { labels.copy_from_nonoverlapping(map.as_ptr(), size) };
        Ok(())
    })
}

/// Gets the outlines of a mask along the edges of its pixels, as COCO polygons.
///
/// An outline around the object is clockwise, one around a hole is counterclockwise. Filled together by the even-odd
/// rule, the outlines reproduce the mask.
///
/// @param rle COCO run-length string. Must not be NULL.
/// @param width Width in pixels, at most 32768.
/// @param height Height in pixels, at most 32768.
/// @param points (num_points, 2): receives the corners of each outline, x from 0 to width and y from 0 to height. The
///         first corner of an outline is not repeated. NULL returns only the counts.
/// @param num_points On entry, the capacity of `points` in corners. On return, the number of corners.
/// @param rings (num_rings): receives the number of corners of each outline. NULL returns only the counts.
/// @param num_rings On entry, the capacity of `rings`. On return, the number of outlines.
/// @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if the string is not a mask of this size or a capacity is too small,
///         or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_mask_get_polygons(
    rle: *const c_char,
    width: u32,
    height: u32,
    points: *mut u32,
    num_points: *mut usize,
    rings: *mut u32,
    num_rings: *mut usize,
) -> sam2_status {
    call(|| {
        pixels(width, height)?;
        if num_points.is_null() || num_rings.is_null() {
            return Err(Failure::argument("num_points and num_rings must not be null"));
        }
        // SAFETY: contract of callers.
        let polygons = unsafe { parsed(rle, width, height) }?.polygons()?;
        let corners = polygons.iter().map(Vec::len).sum();
        let asks = points.is_null() || rings.is_null();
        let (points, rings) = if asks { (null_mut(), null_mut()) } else { (points, rings) };
        // SAFETY: contract of callers; a corner is two values.
        let told = unsafe {
            (
                give("points", points.cast::<[u32; 2]>(), num_points, corners, polygons.iter().flatten().copied()),
                give("rings", rings, num_rings, polygons.len(), polygons.iter().map(|ring| ring.len() as u32)),
            )
        };
        told.0.and(told.1)
    })
}

/// Writes a mask as a PNG file, white on the object and black elsewhere.
///
/// @param path Path of the file, which is replaced. Must not be NULL.
/// @param mask (height, width): nonzero on the object.
/// @param width Width in pixels.
/// @param height Height in pixels.
/// @return SAM2_OK, SAM2_ERROR_IO if the file cannot be written, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_mask_write_png(
    path: *const c_char,
    mask: *const u8,
    width: u32,
    height: u32,
) -> sam2_status {
    call(|| {
        // SAFETY: contract of callers.
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

/// Number of pixels of a mask.
pub(crate) fn pixels(width: u32, height: u32) -> Result<usize> {
    let size = (width as usize).checked_mul(height as usize).filter(|&n| n > 0 && n <= isize::MAX as usize);
    size.ok_or_else(|| Failure::argument(format!("a mask of {width}x{height} pixels")))
}

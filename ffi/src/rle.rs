//! Masks as COCO's run lengths, and what is made of those.

use crate::arguments::text;
use crate::masks::pixels;
use crate::status::{Failure, Result, call, sam2_status};
use engine::rle::Rle;
use engine::{MaskFormat, labels};
use std::ffi::c_char;
use std::ptr::null_mut;

/// The mask that a text describes.
///
/// # Safety
/// Null or a C string.
unsafe fn parsed(rle: *const c_char, width: u32, height: u32) -> Result<Rle> {
    // SAFETY: the caller's promise.
    let coco = unsafe { text("text", rle) }?.ok_or_else(|| Failure::argument("text is null"))?;
    Ok(Rle::from_coco(coco, height as usize, width as usize)?)
}

/// Copies `n` values into the caller's room and says how many there are. Where `to` is null it only says so.
///
/// # Safety
/// `to` is null or has room for `*size` values; `size` is writable.
unsafe fn give<T>(name: &str, to: *mut T, size: *mut usize, n: usize, values: impl Iterator<Item = T>) -> Result<()> {
    // SAFETY: the caller's promise.
    let room = unsafe { size.replace(n) };
    if to.is_null() {
        return Ok(());
    }
    if room < n {
        return Err(Failure::argument(format!("{name} has room for {room}, {n} are needed")));
    }
    // SAFETY: the caller's promise; they fit.
    values.take(n).enumerate().for_each(|(i, value)| unsafe { to.add(i).write(value) });
    Ok(())
}

/// Writes a mask (height, width), not 0 on the object, as the text of COCO's run lengths, with its end. `*size` is the room
/// in `text_` before, and what the text takes after; where the room is too small the call fails, and where `text_` is null it
/// only asks.
///
/// # Safety
/// `mask` has width times height bytes; `text_` is null or has `*size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_mask_encode_rle(
    mask: *const u8,
    width: u32,
    height: u32,
    text_: *mut c_char,
    size: *mut usize,
) -> sam2_status {
    call(|| {
        if mask.is_null() || size.is_null() {
            return Err(Failure::argument("mask and size must not be null"));
        }
        // SAFETY: the caller's promise.
        let mask = unsafe { std::slice::from_raw_parts(mask, pixels(width, height)?) };
        let coco = Rle::encode(mask, height as usize, width as usize)?.to_coco()?;
        // SAFETY: the caller's promise.
        unsafe { give("text", text_.cast(), size, coco.len() + 1, coco.bytes().chain([0])) }
    })
}

/// Reads the text of COCO's run lengths into a mask (height, width), 1 on the object.
///
/// # Safety
/// `text_` ends in 0; `mask` has width times height bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_mask_decode_rle(
    text_: *const c_char,
    width: u32,
    height: u32,
    mask: *mut u8,
) -> sam2_status {
    call(|| {
        let size = pixels(width, height)?;
        if mask.is_null() {
            return Err(Failure::argument("mask is null"));
        }
        // SAFETY: the caller's promise.
        let decoded = unsafe { parsed(text_, width, height) }?.decode()?;
        // SAFETY: the caller's promise; decoding checks the size.
        unsafe { mask.copy_from_nonoverlapping(decoded.as_ptr(), size) };
        Ok(())
    })
}

/// Paints masks, given as the texts of COCO's run lengths, into one map (height, width): 0 where there is none, else 1 + a
/// mask's place. The largest are painted first, so that small ones lie on top; of equals the first does. There are at most
/// 65535.
///
/// # Safety
/// `texts` has `num_masks` of them, each ending in 0; `labels` has width times height values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_mask_label_map(
    texts: *const *const c_char,
    num_masks: usize,
    width: u32,
    height: u32,
    labels: *mut u16,
) -> sam2_status {
    call(|| {
        let size = pixels(width, height)?;
        if labels.is_null() || (texts.is_null() && num_masks > 0) {
            return Err(Failure::argument("texts and labels must not be null"));
        }
        let most = MaskFormat::MOST_LABELS;
        if num_masks > most {
            return Err(Failure::argument(format!("{num_masks} masks; a map of labels tells {most} apart")));
        }
        // SAFETY: the caller's promise.
        let one = |i| unsafe { parsed(*texts.add(i), width, height) };
        let masks = (0..num_masks).map(one).collect::<Result<Vec<Rle>>>()?;
        let map = labels::label_map(&masks.iter().collect::<Vec<_>>(), height as usize, width as usize)?;
        // SAFETY: the caller's promise.
        unsafe { labels.copy_from_nonoverlapping(map.as_ptr(), size) };
        Ok(())
    })
}

/// The outlines of a mask, given as the text of COCO's run lengths, along the edges of its pixels, as COCO's polygons: rings
/// around what is on the object, clockwise as one looks at it, and around holes, the other way. Filled by the even-odd rule,
/// all together, they are this very mask.
///
/// `points` gets x and y of every ring's corners, 0 to width and height, ring after ring, the first of a ring not repeated at
/// its end; `rings` gets how many corners each has. `*num_points` and `*num_rings` are the corners and rings there is room
/// for before, and how many there are after; where the room is too small the call fails, and where `points` or `rings` is
/// null it is only asked how many. A side has at most 32768 pixels.
///
/// # Safety
/// `text_` ends in 0; `points` is null or has twice `*num_points` values; `rings` is null or has `*num_rings`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_mask_polygons(
    text_: *const c_char,
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
        // SAFETY: the caller's promise.
        let polygons = unsafe { parsed(text_, width, height) }?.polygons()?;
        let corners = polygons.iter().map(Vec::len).sum();
        let asks = points.is_null() || rings.is_null();
        let (points, rings) = if asks { (null_mut(), null_mut()) } else { (points, rings) };
        // SAFETY: the caller's promise; a corner is two values.
        let told = unsafe {
            (
                give("points", points.cast::<[u32; 2]>(), num_points, corners, polygons.iter().flatten().copied()),
                give("rings", rings, num_rings, polygons.len(), polygons.iter().map(|ring| ring.len() as u32)),
            )
        };
        told.0.and(told.1)
    })
}

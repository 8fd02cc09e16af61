#![no_main]
//! A JPEG file that libjpeg reads without a warning, and that this project reads, has the same pixels in both.

use std::ffi::c_int;

unsafe extern "C" {
    /// See `libjpeg.c`.
    fn libjpeg_decode(data: *const u8, size: usize, rgb: *mut u8, room: usize, sides: *mut c_int) -> c_int;
}

/// Pixels that libjpeg may decode.
const PIXELS: usize = 1 << 18;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if !data.starts_with(&[0xff, 0xd8]) {
        return;
    }
    let Ok(picture) = sam2::picture::decode("fuzz", data) else { return };
    let (mut rgb, mut sides) = (vec![0u8; 3 * PIXELS], [0; 2]);
    // SAFETY: the memory has the stated sizes.
    if unsafe { libjpeg_decode(data.as_ptr(), data.len(), rgb.as_mut_ptr(), rgb.len(), sides.as_mut_ptr()) } != 1 {
        return;
    }
    let (width, height) = (sides[0] as usize, sides[1] as usize);
    assert_eq!((picture.width, picture.height), (width, height));
    assert!(picture.pixels == rgb[..3 * width * height], "other pixels than libjpeg's");
});

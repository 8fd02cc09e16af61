//! Conversion of pixel formats.

use sam2::PixelFormat;
use sam2::memory::try_collect;
use sam2::picture::Picture;

/// The image in 8-bit RGB.
pub fn to_rgb(picture: &Picture) -> sam2::Result<Picture> {
    let n = picture.width * picture.height * 3;
    let pixels = match picture.format {
        PixelFormat::Gray8 => try_collect(n, "a picture", picture.pixels.iter().flat_map(|&v| [v; 3]))?,
        _ => try_collect(n, "a picture", picture.pixels.iter().copied())?,
    };
    Ok(Picture { pixels, format: PixelFormat::Rgb8, ..*picture })
}

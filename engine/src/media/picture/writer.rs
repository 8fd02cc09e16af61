//! Writes PNG files.

use super::decoded::Picture;
use crate::error::{Error, Result};
use crate::media::format::PixelFormat;

/// Encodes 8-bit rows without gaps, gray or RGB, as PNG.
///
/// # Errors
///
/// [`Error::Input`] if the format is neither `Rgb8` nor `Gray8`. [`Error::Picture`] if the PNG cannot be written.
pub fn encode_png(picture: &Picture) -> Result<Vec<u8>> {
    let color = match picture.format {
        PixelFormat::Gray8 => png::ColorType::Grayscale,
        PixelFormat::Rgb8 => png::ColorType::Rgb,
        other => return Err(Error::input(format!("a PNG of {other:?}"))),
    };
    png_of(&picture.pixels, picture.width, picture.height, (color, png::BitDepth::Eight), None)
}

/// Encodes rows without gaps as PNG, with the colour type and bit depth of the format. A palette has RGB colours by
/// index.
pub(crate) fn png_of(
    pixels: &[u8],
    width: usize,
    height: usize,
    (color, depth): (png::ColorType, png::BitDepth),
    palette: Option<Vec<u8>>,
) -> Result<Vec<u8>> {
    let failed = |e: png::EncodingError| Error::Picture { name: "PNG".into(), what: e.to_string() };
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width as u32, height as u32);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if let Some(palette) = palette {
        encoder.set_palette(palette);
    }
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(pixels).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(out)
}

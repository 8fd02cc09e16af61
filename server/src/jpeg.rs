//! Frames as JPEG files, for the page.

use crate::problem::Problem;
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use sam2::PixelFormat;
use sam2::picture::Picture;

/// The quality, 1 to 100.
const QUALITY: u8 = 88;

/// Encodes a picture of RGB or grey pixels.
///
/// # Errors
///
/// `internal` if the picture has another format, or a side of more than 65,535 pixels.
pub fn encode(picture: &Picture) -> Result<Vec<u8>, Problem> {
    let kind = match picture.format {
        PixelFormat::Rgb8 => ExtendedColorType::Rgb8,
        PixelFormat::Gray8 => ExtendedColorType::L8,
        other => return Err(Problem::internal(format!("a frame of the format {other:?}"))),
    };
    let mut out = Vec::new();
    let (width, height) = (picture.width as u32, picture.height as u32);
    let encoded = JpegEncoder::new_with_quality(&mut out, QUALITY).encode(&picture.pixels, width, height, kind);
    encoded.map_err(|e| Problem::internal(e.to_string()))?;
    Ok(out)
}

//! WebP, BMP, GIF and PNM files, which the crate `image` decodes.

use super::limits::{MAX_PIXELS, Refusal, check_size, zeros};
use super::orientation::Orientation;
use super::samples::{Samples, Values};
use image::codecs::{bmp::BmpDecoder, gif::GifDecoder, pnm::PnmDecoder, webp::WebPDecoder};
use image::{ColorType, ImageDecoder, ImageResult, Limits};
use std::io::Cursor;

/// Decodes a WebP file. Of an animation, the first frame is decoded.
pub(super) fn webp(bytes: &[u8]) -> Result<Samples, Refusal> {
    // The size behind the first 8 bytes; of an odd one, the last byte may lack.
    let stated = bytes.get(4..8).and_then(|size| size.try_into().ok()).map_or(0, u32::from_le_bytes);
    if u64::from(stated) + 8 > bytes.len() as u64 + 1 {
        return Err(format!("damaged WebP: {} bytes of {}", bytes.len(), u64::from(stated) + 8).into());
    }
    let lossy = bytes.windows(4).take(1 << 12).any(|name| name == b"VP8 ");
    let samples = decode("WebP", WebPDecoder::new(Cursor::new(bytes)), usize::MAX)?;
    Ok(Samples { lossy, ..samples })
}

pub(super) fn bmp(bytes: &[u8]) -> Result<Samples, Refusal> {
    decode("BMP", BmpDecoder::new(Cursor::new(bytes)), bytes.len().saturating_mul(128))
}

/// Decodes the first frame of a GIF file.
pub(super) fn gif(bytes: &[u8]) -> Result<Samples, Refusal> {
    decode("GIF", GifDecoder::new(Cursor::new(bytes)), bytes.len().saturating_mul(1 << 12))
}

/// Decodes a PBM, PGM, PPM or PAM file. The values are scaled by the largest value that the file states.
pub(super) fn pnm(bytes: &[u8]) -> Result<Samples, Refusal> {
    decode("PNM", PnmDecoder::new(Cursor::new(bytes)), bytes.len().saturating_mul(8))
}

/// Decodes a file by its length and its format. The file may have at most `most` pixels.
fn decode(kind: &str, decoder: ImageResult<impl ImageDecoder>, most: usize) -> Result<Samples, Refusal> {
    let damaged = |e: image::ImageError| format!("damaged {kind}: {e}");
    let mut decoder = decoder.map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    check_size(width, height)?;
    if width * height > most {
        return Err(format!("damaged {kind}: too short for its size").into());
    }
    // A frame of a GIF may be larger than the picture, and is decoded whole.
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(most.min(MAX_PIXELS) as u64 * 8);
    decoder.set_limits(limits).map_err(damaged)?;
    let color = decoder.color_type();
    let channels = usize::from(color.channel_count());
    let exif = decoder.exif_metadata().ok().flatten();
    let orientation = exif.map_or(Orientation::UPRIGHT, |exif| Orientation::of_exif(&exif));
    let count = width * height * channels;
    let values = match color {
        ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8 => {
            let mut values = zeros(count)?;
            decoder.read_image(&mut values).map_err(damaged)?;
            Values::of_bytes(values)
        }
        ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16 => {
            let mut values = zeros(count)?;
            decoder.read_image(bytemuck::cast_slice_mut(&mut values)).map_err(damaged)?;
            Values::Words { values, scaled: true }
        }
        other => return Err(format!("a {kind} of {other:?}; 8 or 16 bits a channel are read").into()),
    };
    Ok(Samples { width, height, channels, values, palette: None, orientation, lossy: false })
}

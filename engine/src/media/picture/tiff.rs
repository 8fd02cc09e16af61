//! TIFF files. Only the first image of a file is read.

use super::limits::{MAX_PIXELS, Refusal, check_size, zeros};
use super::orientation::Orientation;
use super::png::unpack;
use super::samples::{Samples, Values};
use crate::media::format::{Yuv, YuvMatrix, YuvRange, rgb};
use std::io::Cursor;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::{ColorType, TiffError, tags::Tag};

/// The number of JPEG among the kinds of compression.
const JPEG: u16 = 7;

/// Reads gray, RGB, CMYK, YCbCr and palettes, with or without alpha, of 8 or 16 bits. Gray values and indices may also
/// have fewer bits.
pub(super) fn decode(bytes: &[u8]) -> Result<Samples, Refusal> {
    let damaged = |e: TiffError| Refusal::from(format!("damaged TIFF, or of a kind that is not read: {e}"));
    let indexed = as_gray(bytes);
    let mut decoder = Decoder::new(Cursor::new(indexed.as_deref().unwrap_or(bytes))).map_err(damaged)?;
    let (width, height) = decoder.dimensions().map_err(damaged)?;
    let (width, height) = (width as usize, height as usize);
    check_size(width, height)?;
    let mut limits = Limits::default();
    limits.decoding_buffer_size = 8 * MAX_PIXELS;
    let mut decoder = decoder.with_limits(limits);
    let color = decoder.colortype().map_err(damaged)?;
    let channels = match color {
        ColorType::Gray(1 | 2 | 4 | 8 | 16) => 1,
        ColorType::Multiband { bit_depth: 8 | 16, num_samples: 2 } => 2,
        ColorType::RGB(8 | 16) | ColorType::YCbCr(8) => 3,
        ColorType::RGBA(8 | 16) | ColorType::CMYK(8) => 4,
        other => return Err(format!("a TIFF of {other:?}; convert it to 8 or 16 bits of gray or RGB").into()),
    };
    let mut data = DecodingResult::U8(Vec::new());
    let layout = decoder.read_image_to_buffer(&mut data).map_err(damaged)?;
    let is_jpeg = decoder.find_tag_unsigned::<u16>(Tag::Compression).map_err(damaged)? == Some(JPEG);
    if is_jpeg && channels == 2 {
        return Err("a TIFF of gray and alpha as JPEG, which is not read; convert it to PNG".into());
    }
    let planes = layout.planes;
    if planes != 1 && planes != channels {
        return Err(format!("a TIFF of {planes} planes, for {color:?}").into());
    }
    let mut samples = Samples {
        width,
        height,
        channels,
        values: match data {
            DecodingResult::U8(packed) if color.bit_depth() < 8 => {
                let (stride, bits) = ((width * usize::from(color.bit_depth())).div_ceil(8), color.bit_depth());
                Values::Bytes { values: unpack(&packed, stride, (width, height), bits)?, bits }
            }
            DecodingResult::U8(values) => Values::of_bytes(interleaved(values, planes)?),
            DecodingResult::U16(values) => Values::Words { values: interleaved(values, planes)?, scaled: false },
            _ => return Err("a TIFF of signed or floating-point values; convert it to 8 or 16 bits".into()),
        },
        palette: None,
        orientation: Orientation::UPRIGHT,
        lossy: is_jpeg,
    };
    if let Some(number) = decoder.find_tag_unsigned::<u32>(Tag::Orientation).map_err(damaged)? {
        samples.orientation = Orientation::new(number);
    }
    if indexed.is_some() {
        let map = decoder.get_tag_u16_vec(Tag::ColorMap).map_err(damaged)?;
        let colours = map.len() / 3;
        let colour = |i: usize| [0, 1, 2].map(|c| (map[c * colours + i] >> 8) as u8);
        samples.palette = Some((0..colours).flat_map(colour).collect());
    }
    match (color, &mut samples.values) {
        (ColorType::YCbCr(_), Values::Bytes { values, .. }) => {
            let numbers = Yuv { matrix: YuvMatrix::Bt601, range: YuvRange::Full }.numbers();
            values.as_chunks_mut().0.iter_mut().for_each(|pixel: &mut [u8; 3]| *pixel = rgb(numbers, *pixel));
        }
        (ColorType::CMYK(_), Values::Bytes { values, .. }) => {
            values.as_chunks_mut().0.iter_mut().for_each(from_cmyk);
        }
        _ => {}
    }
    Ok(samples)
}

/// Converts planes, stored one after another, to interleaved pixels.
fn interleaved<T: bytemuck::Zeroable + Copy>(values: Vec<T>, planes: usize) -> Result<Vec<T>, Refusal> {
    if planes == 1 {
        return Ok(values);
    }
    let pixels = values.len() / planes;
    let mut samples = zeros(values.len())?;
    samples.iter_mut().enumerate().for_each(|(i, to)| *to = values[i % planes * pixels + i / planes]);
    Ok(samples)
}

/// Converts a pixel as Pillow's `convert("RGB")`. The fourth value is not changed.
fn from_cmyk(pixel: &mut [u8; 4]) {
    let light = 255 - pixel[3];
    for value in &mut pixel[..3] {
        let n = u32::from(*value) * u32::from(light) + 128;
        *value = light.saturating_sub((((n >> 8) + n) >> 8) as u8);
    }
}

/// Returns a copy of a file with a palette that is marked as gray, because the crate `tiff` does not read palettes. The
/// values of the copy are the indices.
fn as_gray(bytes: &[u8]) -> Option<Vec<u8>> {
    const PHOTOMETRIC: usize = 262;
    const PALETTE: usize = 3;
    let little = bytes.starts_with(b"II");
    let number = |at: usize, size: usize| {
        let field = bytes.get(at..at.checked_add(size)?)?;
        let add = |sum: usize, byte: &u8| sum << 8 | usize::from(*byte);
        Some(if little { field.iter().rev().fold(0, add) } else { field.iter().fold(0, add) })
    };
    let big = number(2, 2)? == 43;
    let first = if big { number(8, 8)? } else { number(4, 4)? };
    let (count, entry, value) = if big { (8, 20, 12) } else { (2, 12, 8) };
    let entries = first.checked_add(count)?;
    let entry_at = |i: usize| entries.checked_add(i * entry);
    let at = (0..number(first, count)?.min(1 << 16))
        .map_while(entry_at)
        .find(|&at| number(at, 2) == Some(PHOTOMETRIC))?
        .checked_add(value)?;
    if number(at, 2)? != PALETTE {
        return None;
    }
    let mut gray = bytes.to_vec();
    gray[at..at + 2].copy_from_slice(&if little { 1u16.to_le_bytes() } else { 1u16.to_be_bytes() });
    Some(gray)
}

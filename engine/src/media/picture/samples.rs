//! The samples that an image file stores, before they become an image or a mask.

use super::decoded::{Picture, ReadOptions};
use super::limits::{Refusal, zeros};
use super::orientation::Orientation;
use crate::media::format::PixelFormat;

/// The samples of a file: (height, width, channels), with rows without gaps.
pub(crate) struct Samples {
    pub width: usize,
    pub height: usize,
    /// 1: gray, or the index of a palette. 2: gray and alpha. 3: RGB. 4: RGB and alpha.
    pub channels: usize,
    pub values: Values,
    /// The RGB colours of the palette.
    pub palette: Option<Vec<u8>>,
    pub orientation: Orientation,
    /// Whether compression changed the values, as in JPEG.
    pub lossy: bool,
}

/// The values of samples.
pub(crate) enum Values {
    /// Values of `bits` bits, 1 to 8, with one byte each.
    Bytes { values: Vec<u8>, bits: u8 },
    /// 16-bit values. `scaled` is true if the file states the largest possible value.
    Words { values: Vec<u16>, scaled: bool },
}

impl Values {
    pub fn of_bytes(values: Vec<u8>) -> Values {
        Values::Bytes { values, bits: 8 }
    }

    /// Returns the largest possible value.
    pub fn white(&self) -> u16 {
        match self {
            Values::Bytes { bits, .. } => (1 << bits) - 1,
            Values::Words { .. } => u16::MAX,
        }
    }

    pub fn get(&self, i: usize) -> u16 {
        match self {
            Values::Bytes { values, .. } => values[i].into(),
            Values::Words { values, .. } => values[i],
        }
    }
}

/// Notes for the user about an image. Messages put the name of the file in front.
pub(crate) type Notes = Vec<String>;

impl Samples {
    /// Returns the image with 8 bits per channel and without alpha, and the notes for the user.
    pub fn picture(self, options: &ReadOptions) -> Result<(Picture, Notes), Refusal> {
        let mut notes = Notes::new();
        let Samples { width, height, channels, values, palette, orientation, .. } = self;
        let mut pixels = to_8_bits(values, palette.is_some(), options.bit_depth, &mut notes)?;
        let kept = if channels < 3 { 1 } else { 3 };
        if kept != channels {
            // As Pillow's convert("RGB"): alpha is dropped, not blended.
            for i in 0..width * height {
                pixels.copy_within(i * channels..i * channels + kept, i * kept);
            }
            pixels.truncate(width * height * kept);
        }
        let (mut pixels, format) = match palette {
            Some(palette) => (look_up(&pixels, &palette)?, PixelFormat::Rgb8),
            None if kept == 1 => (pixels, PixelFormat::Gray8),
            None => (pixels, PixelFormat::Rgb8),
        };
        let (mut across, mut down) = (width, height);
        if options.upright {
            (pixels, across, down) = orientation.turn(pixels, (width, height), format.row_bytes(0, 1))?;
        } else if orientation != Orientation::UPRIGHT {
            notes.push(format!(
                "EXIF orientation {}: viewers show this picture turned or mirrored; it is used as stored, {width}x{height} \
                 pixels, and so are coordinates and masks; the option upright (--upright) turns it",
                orientation.number()
            ));
        }
        Ok((Picture { pixels, width: across, height: down, format }, notes))
    }
}

/// Converts values to 8 bits each. Indices stay unchanged.
fn to_8_bits(values: Values, indices: bool, bit_depth: Option<u8>, notes: &mut Notes) -> Result<Vec<u8>, Refusal> {
    let (words, bits) = match values {
        Values::Bytes { values, bits } if indices || bits == 8 => return Ok(values),
        Values::Bytes { mut values, bits } => {
            let step = 255 / ((1u16 << bits) - 1) as u8;
            values.iter_mut().for_each(|v| *v *= step);
            return Ok(values);
        }
        Values::Words { values, scaled: true } => (values, 16),
        Values::Words { values, scaled: false } => {
            let largest = values.iter().copied().max().unwrap_or(0);
            let bits = bit_depth.unwrap_or(16);
            if largest > u16::MAX >> (16 - bits) {
                let needs = 16 - largest.leading_zeros();
                return Err(
                    format!("its largest value {largest} has {needs} bits, more than the bit depth of {bits}").into()
                );
            }
            if bit_depth.is_none() && (1..1 << 14).contains(&largest) {
                notes.push(dark(largest));
            }
            (values, bits)
        }
    };
    let mut bytes = zeros(words.len())?;
    bytes.iter_mut().zip(words).for_each(|(byte, word)| *byte = (word >> (bits - 8)) as u8);
    Ok(bytes)
}

/// Returns the note about 16-bit values that fill at most a quarter of their range.
fn dark(largest: u16) -> String {
    let likely = [8, 10, 12, 14].into_iter().find(|bits| largest >> bits == 0).unwrap_or(14);
    format!(
        "a 16-bit picture whose largest value is {largest} of 65535, so it looks dark; if its values have {likely} bits, the \
         option bit_depth (--bit-depth {likely}) scales them"
    )
}

/// Looks up the colours of indices. An index that is not in the palette is black.
fn look_up(indices: &[u8], palette: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut pixels = zeros(indices.len() * 3)?;
    for (pixel, &index) in pixels.chunks_exact_mut(3).zip(indices) {
        if let Some(colour) = palette.get(usize::from(index) * 3..).and_then(|rest| rest.get(..3)) {
            pixel.copy_from_slice(colour);
        }
    }
    Ok(pixels)
}

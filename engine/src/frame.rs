//! What crosses the edge of the engine: pictures in, masks out.

use crate::error::{Error, Result};

/// The longest side of a picture.
pub const MAX_SIDE: usize = 32_768;

/// How the pixels of a [`Frame`] are stored: interleaved, rows from the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PixelFormat {
    /// Red, green, blue, 8 bits each.
    Rgb8,
    /// Blue, green, red, 8 bits each.
    Bgr8,
    /// As `Rgb8` with a fourth byte, which is ignored.
    Rgba8,
    /// As `Bgr8` with a fourth byte, which is ignored.
    Bgra8,
    /// 8 bits, used for all three channels.
    Gray8,
    /// Red, green, blue as f32 in 0..=1.
    RgbF32,
}

impl PixelFormat {
    /// Values of one pixel.
    pub fn channels(self) -> usize {
        match self {
            PixelFormat::Rgb8 | PixelFormat::Bgr8 | PixelFormat::RgbF32 => 3,
            PixelFormat::Rgba8 | PixelFormat::Bgra8 => 4,
            PixelFormat::Gray8 => 1,
        }
    }

    /// Bytes of one pixel.
    pub fn bytes(self) -> usize {
        self.channels() * if self == PixelFormat::RgbF32 { 4 } else { 1 }
    }

    /// Where red, green and blue are within a pixel.
    pub fn rgb_offsets(self) -> [usize; 3] {
        match self {
            PixelFormat::Rgb8 | PixelFormat::Rgba8 | PixelFormat::RgbF32 => [0, 1, 2],
            PixelFormat::Bgr8 | PixelFormat::Bgra8 => [2, 1, 0],
            PixelFormat::Gray8 => [0, 0, 0],
        }
    }
}

/// A picture of the caller's, borrowed for the length of a call.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    pixels: &'a [u8],
    width: usize,
    height: usize,
    stride: usize,
    format: PixelFormat,
}

impl<'a> Frame<'a> {
    /// A picture whose rows start `stride` bytes apart.
    ///
    /// Fails when a side is 0 or above [`MAX_SIDE`], the stride is shorter than a row (or, for `RgbF32`, not a
    /// multiple of 4), or `pixels` is too short.
    pub fn new(format: PixelFormat, pixels: &'a [u8], width: usize, height: usize, stride: usize) -> Result<Frame<'a>> {
        let wrong = |what: String| Err(Error::Input(format!("picture of {width}x{height} {format:?}: {what}")));
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            return wrong(format!("each side must be 1 to {MAX_SIDE} pixels"));
        }
        let row = width * format.bytes();
        if stride < row {
            return wrong(format!("a row has {row} bytes, the stride is only {stride}"));
        }
        let need = stride.checked_mul(height - 1).and_then(|n| n.checked_add(row));
        if need.is_none_or(|need| pixels.len() < need) {
            return wrong(format!("needs {need:?} bytes at stride {stride}, got {}", pixels.len()));
        }
        if format == PixelFormat::RgbF32 && (!stride.is_multiple_of(4) || !(pixels.as_ptr() as usize).is_multiple_of(4))
        {
            return wrong("float pixels must be aligned to 4 bytes".into());
        }
        Ok(Frame { pixels, width, height, stride, format })
    }

    /// A picture of 8-bit red, green and blue without gaps.
    pub fn rgb8(pixels: &'a [u8], width: usize, height: usize) -> Result<Frame<'a>> {
        Frame::new(PixelFormat::Rgb8, pixels, width, height, width.saturating_mul(3))
    }

    /// A picture of f32 red, green and blue in 0..=1 without gaps. Values that are not finite are an error.
    pub fn rgb_f32(pixels: &'a [f32], width: usize, height: usize) -> Result<Frame<'a>> {
        Frame::new(PixelFormat::RgbF32, bytemuck::cast_slice(pixels), width, height, width.saturating_mul(12))
    }

    /// Pixels across.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Pixels down.
    pub fn height(&self) -> usize {
        self.height
    }

    /// How the pixels are stored.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// The bytes of row `y`.
    pub fn row(&self, y: usize) -> &'a [u8] {
        &self.pixels[y * self.stride..][..self.width * self.format.bytes()]
    }

    /// Fails when a float picture has a value that is not finite.
    pub(crate) fn check_finite(&self) -> Result<()> {
        if self.format != PixelFormat::RgbF32 {
            return Ok(());
        }
        for y in 0..self.height {
            let row: &[f32] = bytemuck::cast_slice(self.row(y));
            if let Some(x) = row.iter().position(|v| !v.is_finite()) {
                return Err(Error::Input(format!(
                    "picture: pixel ({}, {y}) is {}, not a finite number",
                    x / 3,
                    row[x]
                )));
            }
        }
        Ok(())
    }
}

/// Where masks go, all of one size, one after another.
pub struct MaskOut<'a> {
    /// The caller's buffer.
    pub data: MaskData<'a>,
    /// Height of a mask.
    pub height: usize,
    /// Width of a mask.
    pub width: usize,
}

/// The buffer of a [`MaskOut`].
pub enum MaskData<'a> {
    /// One byte a pixel: 1 where the logit is above the threshold, else 0.
    Binary(&'a mut [u8], f32),
    /// Logits, clamped to plus or minus the bound.
    Logits(&'a mut [f32], f32),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_checked() {
        let bytes = [0u8; 64];
        assert!(Frame::rgb8(&bytes, 4, 5).is_ok());
        assert!(Frame::new(PixelFormat::Gray8, &bytes, 3, 8, 8).is_ok());
        for (format, w, h, stride) in [
            (PixelFormat::Rgb8, 0, 4, 0),
            (PixelFormat::Rgb8, 4, 0, 12),
            (PixelFormat::Rgb8, 4, 4, 11),
            (PixelFormat::Rgba8, 4, 5, 16),
            (PixelFormat::Gray8, 1, MAX_SIDE + 1, 1),
            (PixelFormat::Gray8, 1, 2, usize::MAX),
            (PixelFormat::RgbF32, 1, 2, 13),
        ] {
            assert!(
                matches!(Frame::new(format, &bytes, w, h, stride), Err(Error::Input(_))),
                "{format:?} {w}x{h}/{stride}"
            );
        }
        let nan = [0.0, 0.5, f32::NAN];
        assert!(Frame::rgb_f32(&nan, 1, 1).unwrap().check_finite().is_err());
    }
}

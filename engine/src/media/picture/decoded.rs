//! A decoded image, and options for decoding.

use crate::error::{Error, Result};
use crate::media::format::PixelFormat;
use crate::media::frame::Frame;
use crate::media::size::Size;

/// A decoded image: 8-bit rows without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The pixels.
    pub pixels: Vec<u8>,
    /// The width in pixels.
    pub width: usize,
    /// The height in pixels.
    pub height: usize,
    /// The format of the pixels: `Rgb8` or `Gray8`.
    pub format: PixelFormat,
}

impl Picture {
    /// Returns the size of the image.
    #[must_use]
    pub fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }

    /// Returns the image as an argument for a predictor.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if the fields contradict each other.
    pub fn frame(&self) -> Result<Frame<'_>> {
        let stride = self.format.row_bytes(0, self.width);
        Frame::new(self.format, &self.pixels, self.size(), stride)
    }
}

/// Options for reading an image file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Whether the image is rotated and mirrored as its EXIF orientation says, as in viewers. Points, boxes and masks
    /// then refer to the upright image. If it is false, pixels stay as they are stored.
    pub upright: bool,
    /// The number of bits of the values in a 16-bit file, 8 to 16. Many cameras have 12 bits. The upper 8 of these bits
    /// are kept, so that the value `(1 << bit_depth) - 1` becomes 255. A larger value is an error. `None` means 16
    /// bits. The option changes neither files of 8 bits nor PNM files, which state their largest value.
    pub bit_depth: Option<u8>,
}

impl ReadOptions {
    /// Fails if the bit depth is out of range.
    pub(super) fn check(&self) -> Result<()> {
        match self.bit_depth {
            Some(bits) if !(8..=16).contains(&bits) => Err(Error::Input(format!("bit depth {bits}: expected 8 to 16"))),
            _ => Ok(()),
        }
    }
}

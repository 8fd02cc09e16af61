//! The size of images and masks.

use std::fmt;

/// A width and a height in pixels. A size is printed as `640x480`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Size {
    /// The number of pixels from left to right.
    pub width: usize,
    /// The number of pixels from top to bottom.
    pub height: usize,
}

impl Size {
    /// Creates a size from a width and a height, in this order.
    #[must_use]
    pub const fn new(width: usize, height: usize) -> Size {
        Size { width, height }
    }

    /// Returns the number of pixels, or [`usize::MAX`] if the number is too large for a `usize`.
    #[must_use]
    pub const fn pixels(self) -> usize {
        self.width.saturating_mul(self.height)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

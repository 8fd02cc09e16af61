//! An input mask.

/// A mask, row by row. Pixels of the object are not 0.
pub struct Mask {
    pub pixels: Vec<u8>,
    pub height: usize,
    pub width: usize,
}

impl Mask {
    pub fn is_empty(&self) -> bool {
        self.pixels.iter().all(|&v| v == 0)
    }
}

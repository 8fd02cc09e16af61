//! Every n-th of other frames.

use super::Frames;
use super::ahead::Decode;
use crate::error::Result;
use crate::picture::Picture;
use std::sync::Arc;

pub(super) struct Every {
    pub frames: Frames,
    pub stride: usize,
    pub first: usize,
}

impl Decode for Every {
    fn decode(&self, i: usize, reverse: bool) -> Result<Arc<Picture>> {
        self.frames.decode(self.first + i * self.stride, reverse)
    }

    fn bytes(&self) -> usize {
        self.frames.bytes()
    }
}

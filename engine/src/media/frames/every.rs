//! Every n-th of other frames.

use super::ahead::{Ahead, Decode};
use super::sequence::{Frames, Source};
use crate::error::{Error, Result};
use crate::media::picture::Picture;
use std::sync::Arc;

/// A decoder of every n-th of other frames.
struct Every {
    frames: Frames,
    stride: usize,
    first: usize,
}

impl Decode for Every {
    fn decode(&self, i: usize, reverse: bool) -> Result<Arc<Picture>> {
        self.frames.decode(self.first + i * self.stride, reverse)
    }

    fn reopen(&self) -> Arc<dyn Decode> {
        Arc::new(Every { frames: self.frames.reopen(), ..*self })
    }

    fn bytes(&self) -> usize {
        self.frames.bytes()
    }
}

impl Frames {
    /// Returns every `stride`th of these frames, from frame `first` on. The names and the rate are those of the chosen
    /// frames.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if `stride` is 0, or if there is no frame `first`.
    pub fn every(&self, stride: usize, first: usize) -> Result<Frames> {
        if stride == 0 || first >= self.len() {
            return Err(Error::input(format!("every {stride} frames from frame {first} of {}", self.len())));
        }
        let every = Every { frames: self.clone(), stride, first };
        let names = (first..self.len()).step_by(stride).filter_map(|i| self.name(i)).map(String::from).collect();
        let frames = Ahead::new((self.len() - first).div_ceil(stride), Arc::new(every));
        let source = match &*self.source {
            Source::Files { .. } => Source::Files { frames, names },
            _ => Source::Video { frames, rate: self.rate().map(|rate| rate / stride as f64) },
        };
        Ok(Frames::new(source, self.options))
    }
}

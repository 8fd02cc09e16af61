//! Values by frame, in the order of the frames.

use std::collections::VecDeque;

/// A sorted list. Frames are added at one end and dropped at the other, so that a stream allocates nothing.
#[derive(Clone)]
pub(super) struct ByFrame<T>(VecDeque<(usize, T)>);

impl<T> Default for ByFrame<T> {
    fn default() -> Self {
        ByFrame(VecDeque::new())
    }
}

impl<T> ByFrame<T> {
    fn search(&self, frame: usize) -> Result<usize, usize> {
        self.0.binary_search_by_key(&frame, |(f, _)| *f)
    }

    pub fn get(&self, frame: usize) -> Option<&T> {
        self.search(frame).ok().map(|i| &self.0[i].1)
    }

    pub fn insert(&mut self, frame: usize, value: T) {
        match self.search(frame) {
            Ok(i) => self.0[i].1 = value,
            Err(i) => self.0.insert(i, (frame, value)),
        }
    }

    pub fn remove(&mut self, frame: usize) -> Option<T> {
        self.search(frame).ok().and_then(|i| self.0.remove(i)).map(|(_, value)| value)
    }

    /// Keeps the frames that `keep` returns true for.
    pub fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        self.0.retain(|(frame, _)| keep(*frame));
    }

    pub fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.0.iter().map(|(frame, value)| (*frame, value))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut T)> {
        self.0.iter_mut().map(|(frame, value)| (*frame, value))
    }
}

impl<T> FromIterator<(usize, T)> for ByFrame<T> {
    fn from_iter<I: IntoIterator<Item = (usize, T)>>(values: I) -> Self {
        let mut all = ByFrame::default();
        values.into_iter().for_each(|(frame, value)| all.insert(frame, value));
        all
    }
}

//! Timestamps of pushed frames.

use std::collections::VecDeque;

/// The timestamps of the latest frames of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Timestamps {
    /// Frames and their timestamps, in order. Frames without a timestamp are left out.
    kept: VecDeque<(usize, i64)>,
    /// The number of frames before the latest one that are kept.
    window: usize,
}

impl Timestamps {
    /// No timestamps yet.
    pub fn new(window: usize) -> Timestamps {
        Timestamps { kept: VecDeque::new(), window }
    }

    /// Keeps the timestamp of the latest frame.
    pub fn push(&mut self, frame: usize, timestamp: i64) {
        let first = frame.saturating_sub(self.window);
        while self.kept.front().is_some_and(|&(frame, _)| frame < first) {
            self.kept.pop_front();
        }
        if timestamp != 0 {
            self.kept.push_back((frame, timestamp));
        }
    }

    /// Returns the timestamp of a frame, or 0.
    pub fn of(&self, frame: usize) -> i64 {
        self.kept.binary_search_by_key(&frame, |kept| kept.0).map_or(0, |at| self.kept[at].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_are_kept_have_their_timestamps() {
        let mut all = Timestamps::new(2);
        for (frame, timestamp) in [(0, 100), (1, 110), (2, 0), (3, 130)] {
            all.push(frame, timestamp);
        }
        assert_eq!([0, 1, 2, 3, 4].map(|frame| all.of(frame)), [0, 110, 0, 130, 0]);
        let mut latest = Timestamps::new(0);
        (1..9).for_each(|frame| latest.push(frame, 5));
        assert_eq!((latest.kept.len(), latest.of(8)), (1, 5));
        let mut everything = Timestamps::new(usize::MAX);
        (0..9).for_each(|frame| everything.push(frame, 7));
        assert_eq!(everything.of(0), 7);
    }
}

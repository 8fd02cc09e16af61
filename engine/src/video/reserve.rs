//! Everything that is allocated or recorded once, done before there is a hurry.

use super::object::reach;
use super::predictor::VideoPredictor;
use super::source::{Retention, Source};
use crate::error::{Error, Result};
use crate::frame::{Frame, MAX_SIDE};
use crate::memory::try_zeros;
use crate::prompt::Prompt;

/// Frames until all there is to record was: the first is walked through, the second recorded.
const FRAMES: usize = 3;

/// The most objects that there is room made for.
const MOST: usize = 65_535;

/// The most memories that there is room made for, of all objects.
const MOST_MEMORIES: usize = 1 << 20;

impl VideoPredictor {
    /// Allocates what following `objects` objects in frames of this size needs, with a conditioning frame each, and does what is
    /// done only once, as loading kernels and recording work, by following nothing through some blank frames: so that the first
    /// frames take no longer than the others.
    pub fn reserve(&mut self, objects: usize, height: usize, width: usize) -> Result<()> {
        if !(1..=MAX_SIDE).contains(&height) || !(1..=MAX_SIDE).contains(&width) || objects > MOST {
            return Err(Error::input(format!(
                "{objects} objects, at most {MOST}, in frames of {width}x{height} pixels"
            )));
        }
        let [maps, pointers] = self.slots_of_an_object();
        let slots = [objects.saturating_mul(maps), objects.saturating_mul(pointers)];
        if slots.iter().any(|&n| n > MOST_MEMORIES) {
            return Err(Error::input(format!(
                "{objects} objects with {maps} memories each, at most {MOST_MEMORIES} in all: reserve a shorter window"
            )));
        }
        let records = self.lock().reserve(objects, slots)?;
        if !records {
            return Ok(());
        }
        let mut blank = VideoPredictor {
            worker: self.worker.clone(),
            config: self.config.clone(),
            source: Source::pushed(Retention::Window(0)),
            size: (0, 0),
            ids: Vec::new(),
            objects: Vec::new(),
            ..*self
        };
        let pixels = try_zeros::<u8>(height * width * 3, "a frame")?;
        let frame = Frame::rgb8(&pixels, width, height)?;
        blank.push_frame(&frame)?;
        let click = Prompt::new().point(0.5, 0.5, 1);
        for id in 0..objects {
            blank.add_new_points_or_box(0, id as i64, &click, true, false)?;
        }
        for _ in 0..FRAMES {
            blank.push_frame(&frame)?;
        }
        Ok(())
    }

    /// Memories and pointers that an object has at most, where the frames of a window, or else none, are kept.
    pub(super) fn slots_of_an_object(&self) -> [usize; 2] {
        let window = match &self.source {
            Source::Pushed(p) => match p.retention {
                Retention::Window(n) => n,
                Retention::Everything => 0,
            },
            Source::Given { .. } => 0,
        };
        let [maps, pointers] = reach(&self.config.memory);
        let kept = window.saturating_add(1);
        // A conditioning frame, and one that is new while the oldest is still there.
        let count = |reach: usize| kept.saturating_add(reach + 2);
        [count(maps), count(maps.max(pointers)).saturating_add(kept)]
    }
}

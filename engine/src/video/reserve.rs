//! Allocates memory and records work before the first frame.

use super::object::reach;
use super::options::PointOptions;
use super::predictor::VideoPredictor;
use super::source::{Retention, Source};
use crate::error::{Error, Result};
use crate::media::frame::{Frame, MAX_SIDE};
use crate::media::size::Size;
use crate::memory::try_zeros;
use crate::session::prompt::Prompt;

/// The number of frames until all work is recorded.
const FRAMES: usize = 3;

/// The largest number of objects that memory is reserved for.
const MOST: usize = 65_535;

/// The largest number of memories, of all objects together, that memory is reserved for.
const MOST_MEMORIES: usize = 1 << 20;

impl VideoPredictor {
    /// Allocates the memory for tracking `objects` objects, with one conditioning frame each, in frames of this size.
    /// Loads the kernels and records the work, by tracking through blank frames. The first frames then take no longer
    /// than later frames.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if there are too many objects or memories, or if a side is out of its range.
    /// [`Error::OutOfMemory`] if memory is exhausted. [`Error::Device`] if the device fails.
    pub fn reserve(&mut self, objects: usize, size: Size) -> Result<()> {
        let Size { width, height } = size;
        if !(1..=MAX_SIDE).contains(&height) || !(1..=MAX_SIDE).contains(&width) || objects > MOST {
            return Err(Error::input(format!("{objects} objects, at most {MOST}, in frames of {size} pixels")));
        }
        let per_object = self.slots_of_an_object();
        let slots = per_object.map(|n| objects.saturating_mul(n));
        if slots.iter().any(|&n| n > MOST_MEMORIES) {
            return Err(Error::input(format!(
                "{objects} objects with {} memories each, at most {MOST_MEMORIES} in all: reserve a shorter window",
                per_object[0]
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
            size: Size::default(),
            ids: Vec::new(),
            objects: Vec::new(),
            lists: Default::default(),
            shows_prompts: false, // the masks of all objects after each click would be the square of their number
            ..*self
        };
        let pixels = try_zeros::<u8>(height * width * 3, "a frame")?;
        let frame = Frame::rgb8(&pixels, size)?;
        blank.push_frame(&frame)?;
        let click = Prompt::new().point(0.5, 0.5, 1);
        for id in 0..objects {
            blank.add_new_points_or_box(
                0,
                id as i64,
                &click,
                PointOptions { normalize_coords: false, ..Default::default() },
            )?;
        }
        for _ in 0..FRAMES {
            blank.push_frame(&frame)?;
        }
        Ok(())
    }

    /// Returns the largest number of slots of each kind that an object has. Without a window, the numbers are those of
    /// a window of 0 frames.
    pub(super) fn slots_of_an_object(&self) -> [usize; 3] {
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
        // Two masks of every frame that is kept, with its correction, and of a conditioning frame.
        let masks = kept.saturating_add(1).saturating_mul(2);
        [count(maps), count(maps.max(pointers)).saturating_add(kept), masks]
    }
}

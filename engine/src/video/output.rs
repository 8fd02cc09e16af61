//! The output of a frame: the masks of all objects in the caller's format, with their areas and boxes.

use super::frame_masks::FrameMasks;
use super::object::Object;
use super::predictor::{TrackingLists, VideoPredictor};
use super::worker::{OutputMask, OutputRequest, StepOptions, VideoWorker};
use crate::backend::Selection;
use crate::error::{Error, Result};
use crate::masks::buffer::{Extent, MaskBuffer, MaskOut};
use crate::media::size::Size;
use crate::memory::try_zeros;
use crate::session::queue::on_the_cpu;

impl VideoPredictor {
    /// Fails if a buffer has no room for a mask of a video of this size, or cannot tell the objects apart. The object
    /// `named` is counted too.
    pub(super) fn check_buffer(&self, masks: &Option<MaskBuffer<'_>>, named: Option<i64>, size: Size) -> Result<()> {
        let Some(masks) = masks else { return Ok(()) };
        let new = named.is_some_and(|id| !self.ids.contains(&id));
        masks.check_first(self.ids.len() + new as usize, size)?;
        if let Some(largest) = masks.format().largest_id() {
            let other = |id: &i64| !(1..=largest).contains(id);
            if let Some(id) = self.ids.iter().copied().chain(named).find(other) {
                let format = masks.format();
                return Err(Error::input(format!("buffer masks: {format:?} has ids of 1 to {largest}, not {id}")));
            }
        }
        if masks.is_device() && !self.lock().takes_device_memory() {
            return Err(on_the_cpu("buffer for masks"));
        }
        if self.config.memory.non_overlap_masks && !masks.format().is_label_map() {
            let what = "masks that do not overlap (model.non_overlap_masks) go to a buffer as labels only";
            return Err(Error::input(what));
        }
        Ok(())
    }

    /// Returns the masks of all objects on a frame, at the size of the video.
    pub(super) fn masks_on(&self, frame: usize, masks: Option<MaskBuffer<'_>>) -> Result<FrameMasks> {
        let outputs: Vec<OutputMask> = self.objects.iter().map(|o| OutputMask::of(o.latest_output(frame))).collect();
        let options = self.step_options(Selection::Single, false);
        let mut found = FrameMasks::default();
        let mut tracking = TrackingLists { outputs, ..TrackingLists::default() };
        self.write_outputs(&mut **self.lock(), frame, &mut tracking, options, masks, None, &mut found)?;
        self.write_scores(frame, &mut found);
        Ok(found)
    }

    /// Writes the scores of all objects on a frame.
    pub(super) fn write_scores(&self, frame: usize, found: &mut FrameMasks) {
        let score = |object: &Object| object.latest_output(frame).map_or(f32::NAN, |out| out.score);
        found.object_score_logits.clear();
        found.object_score_logits.extend(self.objects.iter().map(score));
    }

    /// Runs the steps of `lists`, and writes the masks of all objects to `buffer`, or as logits to `found`. Everything
    /// of `found` except the scores is written. `next` is the frame that is tracked after this frame.
    pub(super) fn write_outputs(
        &self,
        worker: &mut dyn VideoWorker,
        frame_idx: usize,
        lists: &mut TrackingLists,
        options: StepOptions,
        buffer: Option<MaskBuffer<'_>>,
        next: Option<usize>,
        found: &mut FrameMasks,
    ) -> Result<()> {
        let (size, n) = (self.size, lists.outputs.len());
        let (mut masks, mut labels) = (Vec::new(), Vec::new());
        let buffer = match buffer {
            Some(buffer) => buffer,
            None => {
                masks = try_zeros::<f32>(n * size.height * size.width, "masks")?;
                MaskBuffer::logits(&mut masks)
            }
        };
        let masks_written = buffer.room(n, size);
        let mut outs = [Some(MaskOut::new(buffer, 0.0, size)), None];
        let apart = self.config.memory.non_overlap_masks && n > 1;
        if apart {
            labels = try_zeros::<u16>(size.pixels(), "masks")?;
            let buffer = MaskBuffer::labels(&mut labels);
            buffer.check(n, size)?;
            outs[1] = Some(MaskOut::new(buffer, 0.0, size));
        }
        let next = next.and_then(|frame| self.source.given_picture(frame));
        let next = next.as_ref().map(|(key, picture)| (*key, picture as &dyn Fn() -> _));
        let TrackingLists { steps, outputs, extents, .. } = lists;
        worker.step_objects(
            steps,
            options,
            OutputRequest { masks: outputs, ids: &self.ids, size, outs },
            next,
            extents,
        )?;
        if apart {
            // A map of labels gives each pixel to one object, by the same rule.
            *extents = Extent::of_labels(&labels, size.width, n);
            set_apart(&mut masks, n, size.pixels());
        }
        (found.frame_idx, found.masks, found.masks_written) = (frame_idx, masks, masks_written);
        found.obj_ids.clone_from(&self.ids);
        found.areas.clear();
        found.areas.extend(extents.iter().map(|e| e.area));
        found.boxes.clear();
        found.boxes.extend(extents.iter().map(|e| e.bounds));
        Ok(())
    }
}

/// Makes the masks of (n, pixels) disjoint. At every pixel the highest logit stays, and the others become -10 at most.
/// Does nothing if there are no masks.
fn set_apart(masks: &mut [f32], n: usize, pixels: usize) {
    for i in 0..pixels.min(masks.len()) {
        let best = (1..n).fold(0, |best, k| if masks[k * pixels + i] > masks[best * pixels + i] { k } else { best });
        (0..n).filter(|&k| k != best).for_each(|k| masks[k * pixels + i] = masks[k * pixels + i].min(-10.0));
    }
}

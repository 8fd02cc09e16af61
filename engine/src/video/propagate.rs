//! Tracking from frame to frame: through the frames of a video, or through the frames of a stream as they arrive.

use super::frame_masks::FrameMasks;
use super::object::{MemoryContext, Output};
use super::options::Direction;
use super::predictor::{TrackingLists, VideoPredictor};
use super::source::{Retention, Source};
use super::worker::{ObjectStep, OutputMask, StepPrompt};
use crate::error::{Error, Result};
use crate::masks::buffer::MaskBuffer;
use crate::media::frame::Frame;

impl VideoPredictor {
    /// Tracks all objects from `start_frame_idx` over at most `max_frame_num_to_track` further frames. The default is
    /// to track to the end of the video, or with [`Direction::Backward`] to its first frame. The default start is the
    /// earliest conditioning frame of any object in both directions, as in the reference. `each` gets the masks frame
    /// by frame, and returns whether to continue.
    ///
    /// Conditioning frames keep their masks. The masks of every other frame are computed again, also those of a
    /// corrected frame: see [`VideoPredictor::add_new_points_or_box`].
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if no object has a prompt, if one of the objects has none, or if there is no frame
    /// `start_frame_idx`. [`Error::Io`], [`Error::Picture`], [`Error::Video`] or [`Error::Ffmpeg`] if a frame cannot be
    /// read. [`Error::OutOfMemory`] if memory is exhausted. [`Error::Device`] if the device fails.
    pub fn propagate_in_video(
        &mut self,
        start_frame_idx: Option<usize>,
        max_frame_num_to_track: Option<usize>,
        direction: Direction,
        mut each: impl FnMut(FrameMasks) -> bool,
    ) -> Result<()> {
        let each = |frame: FrameMasks, _: &Option<MaskBuffer<'_>>| each(frame);
        self.propagate(start_frame_idx, max_frame_num_to_track, direction, None, each)
    }

    /// Tracks all objects as [`VideoPredictor::propagate_in_video`] does, and writes the masks of each frame to a
    /// caller-provided buffer. `each` gets the buffer too.
    ///
    /// # Errors
    ///
    /// As [`VideoPredictor::propagate_in_video`]. [`Error::Input`] also if the buffer does not fit the masks.
    pub fn propagate_in_video_into(
        &mut self,
        start_frame_idx: Option<usize>,
        max_frame_num_to_track: Option<usize>,
        direction: Direction,
        masks: MaskBuffer<'_>,
        mut each: impl FnMut(FrameMasks, &MaskBuffer<'_>) -> bool,
    ) -> Result<()> {
        let each =
            |frame: FrameMasks, masks: &Option<MaskBuffer<'_>>| masks.as_ref().is_some_and(|masks| each(frame, masks));
        self.propagate(start_frame_idx, max_frame_num_to_track, direction, Some(masks), each)
    }

    fn propagate(
        &mut self,
        start_frame_idx: Option<usize>,
        max_frame_num_to_track: Option<usize>,
        direction: Direction,
        mut masks: Option<MaskBuffer<'_>>,
        mut each: impl FnMut(FrameMasks, &Option<MaskBuffer<'_>>) -> bool,
    ) -> Result<()> {
        let reverse = direction == Direction::Backward;
        self.check_buffer(&masks, None, self.size)?;
        self.preflight()?;
        if let Some(i) = self.objects.iter().position(|o| o.cond.is_empty()) {
            let id = self.ids[i];
            return Err(Error::input(format!("object {id}: no points, box or mask on any frame")));
        }
        let n = self.source.len();
        let first = self.objects.iter().flat_map(|o| o.cond.iter().map(|(f, _)| f)).min();
        let first = first.ok_or_else(|| Error::input("nothing to track: give points, a box or a mask first"))?;
        let start = start_frame_idx.unwrap_or(first);
        self.source.check(start)?;
        let count = max_frame_num_to_track.unwrap_or(n);
        let order: Vec<usize> = match direction {
            // As in the reference, nothing is tracked backwards from the first frame.
            Direction::Backward if start == 0 => Vec::new(),
            Direction::Backward => (start.saturating_sub(count).max(self.source.first())..=start).rev().collect(),
            Direction::Forward => (start..=start.saturating_add(count).min(n - 1)).collect(),
        };
        for (i, &frame) in order.iter().enumerate() {
            let (masks_here, next) = (masks.as_mut().map(MaskBuffer::lend), order.get(i + 1).copied());
            let mut found = FrameMasks::default();
            match self.track(frame, reverse, masks_here, None, next, &mut found) {
                Err(e @ Error::Picture { .. }) if self.source.keeps_damaged() => {
                    log::warn!("frame {frame} is passed over: {e}");
                    continue;
                }
                tracked => tracked?,
            }
            if self.options.forget_tracked_frames {
                self.objects.iter_mut().for_each(|o| o.forget_tracked([start, frame], &self.config.memory));
            }
            if !each(found, &masks) {
                break;
            }
        }
        Ok(())
    }

    /// Pushes the next frame of a stream: tracks all objects to the frame and returns their masks. After a failure the
    /// frame does not count.
    ///
    /// [`VideoPredictor::add_new_points_or_box`] and [`VideoPredictor::add_new_mask`] add an object on this frame, or
    /// on an earlier frame that is kept. The object is tracked from the next frame on.
    ///
    /// A frame in the memory of a GPU is encoded by this call, and is not kept. Prompts on the frame are possible until
    /// the next push to this predictor or a fork, even if that push fails.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if the predictor is not a stream, or if the size of the frame is not that of the first frame.
    /// [`Error::Input`] also if a float pixel is not finite or is far from 0..=1. [`Error::OutOfMemory`] if memory is
    /// exhausted. [`Error::Device`] if the device fails.
    pub fn push_frame(&mut self, frame: &Frame<'_>) -> Result<FrameMasks> {
        let mut found = FrameMasks::default();
        self.push(frame, None, &mut found)?;
        Ok(found)
    }

    /// Pushes a frame as [`VideoPredictor::push_frame`] does. The masks are written to a caller-provided buffer, and
    /// everything else to `found`. The lists of `found` keep their memory, so that after some frames a call allocates
    /// nothing on the host. After an error the contents of `found` are not specified.
    ///
    /// # Errors
    ///
    /// As [`VideoPredictor::push_frame`]. [`Error::Input`] also if the buffer does not fit the masks.
    pub fn push_frame_into(&mut self, frame: &Frame<'_>, masks: MaskBuffer<'_>, found: &mut FrameMasks) -> Result<()> {
        self.push(frame, Some(masks), found)
    }

    fn push(&mut self, frame: &Frame<'_>, masks: Option<MaskBuffer<'_>>, found: &mut FrameMasks) -> Result<()> {
        let Source::Pushed(pushed) = &self.source else {
            return Err(Error::input("this video's frames were given; only a stream takes more"));
        };
        let size = frame.size();
        if pushed.size.is_some_and(|first| first != size) {
            return Err(Error::input(format!("a frame of {size} pixels, the first had {}", self.size)));
        }
        self.check_buffer(&masks, None, size)?;
        frame.check_floats()?;
        let picture = match &mut self.source {
            Source::Pushed(pushed) => pushed.copy(frame)?,
            Source::Given { .. } => None,
        };
        let given = picture.is_none().then_some(frame);
        // Before the new frame is encoded, while the features of a frame with prompts may still be there.
        self.preflight()?;
        let (index, before) = (self.source.len(), self.size);
        if let Source::Pushed(pushed) = &mut self.source {
            pushed.push(picture);
        }
        self.size = size;
        let result = self.track(index, false, masks, given, None, found);
        let Source::Pushed(pushed) = &mut self.source else { return result };
        match &result {
            Err(_) => {
                pushed.unpush();
                self.size = before;
            }
            Ok(_) => {
                pushed.size = Some(size);
                pushed.trim();
                if let Retention::Window(window) = pushed.retention {
                    self.objects.iter_mut().for_each(|o| o.forget(index, window, &self.config.memory));
                }
            }
        }
        result
    }

    /// Encodes the memories of the outputs that prompts made since the last call.
    fn preflight(&mut self) -> Result<()> {
        let m = self.config.memory;
        for i in 0..self.objects.len() {
            for others in [false, true] {
                let frames: Vec<usize> = self.objects[i].temp[others as usize].iter().map(|(frame, _)| frame).collect();
                for frame in frames {
                    let Some(out) = self.objects[i].temp[others as usize].get(frame) else { continue };
                    let Some(mask) = &out.mask else { return Err(Error::Internal("an output without a mask".into())) };
                    let memory =
                        self.on(frame)?.encode_memory(mask, out.score, m.binarize_mask_from_pts_for_mem_enc)?;
                    let object = &mut self.objects[i];
                    let Some(out) = object.temp[others as usize].remove(frame) else { continue };
                    let out = Output { memory: Some(memory), ..out };
                    if others {
                        object.non_cond.insert(frame, out);
                        object.corrected.insert(frame);
                    } else {
                        object.cond.put(frame, out);
                    }
                    if m.clear_non_cond_mem_around_input {
                        object.clear_around(frame, &m);
                    }
                }
            }
            let object = &mut self.objects[i];
            for (frame, _) in object.cond.iter() {
                object.non_cond.remove(frame);
                object.corrected.remove(&frame);
            }
        }
        Ok(())
    }

    /// Decodes every object on a frame by its memories, except the objects with a prompt on the frame, and writes the
    /// masks of all objects. `given` is the frame, if the frame is not kept. `next` is the frame that is tracked after
    /// this frame.
    fn track(
        &mut self,
        frame_idx: usize,
        reverse: bool,
        masks: Option<MaskBuffer<'_>>,
        given: Option<&Frame<'_>>,
        next: Option<usize>,
        found: &mut FrameMasks,
    ) -> Result<()> {
        let mut lists = std::mem::take(&mut self.lists);
        let tracked = self.track_with(&mut lists, frame_idx, reverse, masks, given, next, found);
        lists.outputs.clear();
        for mut step in lists.steps.drain(..) {
            (step.mask, step.pointer, step.memory) = (None, None, None);
            step.context.iter_mut().for_each(MemoryContext::clear);
            lists.spare.push(step);
        }
        self.lists = lists;
        tracked
    }

    fn track_with(
        &mut self,
        lists: &mut TrackingLists,
        frame_idx: usize,
        reverse: bool,
        masks: Option<MaskBuffer<'_>>,
        given: Option<&Frame<'_>>,
        next: Option<usize>,
        found: &mut FrameMasks,
    ) -> Result<()> {
        let legacy = self.options.legacy_corrections;
        lists.due.clear();
        for (i, object) in self.objects.iter().enumerate() {
            let lasts = legacy && object.corrected.contains(&frame_idx);
            if object.cond.is_empty() || object.cond.get(frame_idx).is_some() || lasts {
                lists.outputs.push(OutputMask::of(object.latest_output(frame_idx)));
                continue;
            }
            let spare = lists.spare.pop();
            let mut step = spare.unwrap_or_else(|| ObjectStep::new(None, StepPrompt::Nothing, false));
            self.memory_context(object, frame_idx, reverse, step.context.get_or_insert_default());
            lists.outputs.push(OutputMask::Step(lists.steps.len()));
            lists.steps.push(step);
            lists.due.push(i);
        }
        let options = self.step_options(self.selection(0, false), true);
        let mut worker = match given {
            None if !lists.due.is_empty() => self.on(frame_idx)?,
            _ => self.lock(),
        };
        let encoded = match given {
            Some(frame) => self.source.key(frame_idx).and_then(|key| worker.encode(key, frame)),
            None => Ok(()),
        };
        let written =
            encoded.and_then(|()| self.write_outputs(&mut **worker, frame_idx, lists, options, masks, next, found));
        if written.is_err() && given.is_some() {
            // The device may still read the caller's frame, which the caller may free after the call.
            let _ = worker.synchronize();
        }
        written?;
        drop(worker);
        for (step, &i) in lists.steps.iter_mut().zip(&lists.due) {
            let pointer = step.pointer.take().ok_or_else(|| Error::Internal("a step without a pointer".into()))?;
            let out = Output { mask: step.mask.take(), score: step.score, pointer, memory: step.memory.take() };
            self.objects[i].non_cond.insert(frame_idx, out);
            self.objects[i].corrected.remove(&frame_idx);
        }
        let m = self.config.memory;
        for (i, object) in self.objects.iter_mut().enumerate() {
            if lists.due.binary_search(&i).is_err() && m.clear_non_cond_mem_around_input {
                object.clear_around(frame_idx, &m);
            }
            if !object.cond.is_empty() {
                object.tracked.insert(frame_idx, reverse);
            }
        }
        self.write_scores(frame_idx, found);
        Ok(())
    }
}

//! From frame to frame: objects are followed through frames that are there, or as they come.

use super::object::{Object, Output};
use super::predictor::{NO_OBJECT, VideoPredictor};
use super::show::FrameMasks;
use super::source::{Retention, Source, copy};
use super::worker::{Seen, Show, Shown, Step};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::mask_out::MaskBuffer;
use crate::memory::try_from_fn;

impl VideoPredictor {
    /// Follows all objects from `start_frame_idx` over at most `max_frame_num_to_track` further frames, by default to the end
    /// of the video, or to its first frame with `reverse`. The default start is the earliest conditioning frame of any
    /// object, also with `reverse`, as in the reference. `each` gets the masks frame by frame and returns whether to go on.
    ///
    /// Conditioning frames keep their masks. Every other frame is found anew, a corrected one too: see
    /// [`VideoPredictor::add_new_points_or_box`].
    pub fn propagate_in_video(
        &mut self,
        start_frame_idx: Option<usize>,
        max_frame_num_to_track: Option<usize>,
        reverse: bool,
        mut each: impl FnMut(FrameMasks) -> bool,
    ) -> Result<()> {
        let each = |frame: FrameMasks, _: &Option<MaskBuffer<'_>>| each(frame);
        self.propagate(start_frame_idx, max_frame_num_to_track, reverse, None, each)
    }

    /// As [`VideoPredictor::propagate_in_video`] with the masks of a frame in a buffer of the caller's by the time that `each`
    /// is called, which is shown it too.
    pub fn propagate_in_video_into(
        &mut self,
        start_frame_idx: Option<usize>,
        max_frame_num_to_track: Option<usize>,
        reverse: bool,
        masks: MaskBuffer<'_>,
        mut each: impl FnMut(FrameMasks, &MaskBuffer<'_>) -> bool,
    ) -> Result<()> {
        let each =
            |frame: FrameMasks, masks: &Option<MaskBuffer<'_>>| masks.as_ref().is_some_and(|masks| each(frame, masks));
        self.propagate(start_frame_idx, max_frame_num_to_track, reverse, Some(masks), each)
    }

    fn propagate(
        &mut self,
        start_frame_idx: Option<usize>,
        max_frame_num_to_track: Option<usize>,
        reverse: bool,
        mut masks: Option<MaskBuffer<'_>>,
        mut each: impl FnMut(FrameMasks, &Option<MaskBuffer<'_>>) -> bool,
    ) -> Result<()> {
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
        let order: Vec<usize> = match reverse {
            true if start == 0 => Vec::new(), // as there: nothing is tracked backwards from the first frame
            true => (start.saturating_sub(count).max(self.source.first())..=start).rev().collect(),
            false => (start..=start.saturating_add(count).min(n - 1)).collect(),
        };
        for frame in order {
            let found = match self.track(frame, reverse, masks.as_mut().map(MaskBuffer::lend), None) {
                Err(e @ Error::Picture { .. }) if self.source.keeps_damaged() => {
                    log::warn!("frame {frame} is passed over: {e}");
                    continue;
                }
                found => found?,
            };
            if self.options.forget_tracked_frames {
                self.objects.iter_mut().for_each(|o| o.forget_tracked([start, frame], &self.config.memory));
            }
            if !each(found, &masks) {
                break;
            }
        }
        Ok(())
    }

    /// The next frame of a stream: follows all objects to it and returns their masks. Objects are named by
    /// [`VideoPredictor::add_new_points_or_box`] and [`VideoPredictor::add_new_mask`] on this frame, or on an earlier one
    /// that is kept, and are followed from the next frame on. After a failure the frame does not count.
    ///
    /// A frame in the memory of a GPU is encoded now, and is not kept: things can be said of it until the next one comes,
    /// here or in a fork, also one that fails.
    pub fn push_frame(&mut self, frame: &Frame<'_>) -> Result<FrameMasks> {
        self.push(frame, None)
    }

    /// As [`VideoPredictor::push_frame`] with the masks in a buffer of the caller's.
    pub fn push_frame_into(&mut self, frame: &Frame<'_>, masks: MaskBuffer<'_>) -> Result<FrameMasks> {
        self.push(frame, Some(masks))
    }

    fn push(&mut self, frame: &Frame<'_>, masks: Option<MaskBuffer<'_>>) -> Result<FrameMasks> {
        let Source::Pushed(pushed) = &self.source else {
            return Err(Error::input("this video's frames were given; only a stream takes more"));
        };
        let size = (frame.height(), frame.width());
        if pushed.size.is_some_and(|s| s != size) {
            let ((h, w), (height, width)) = (self.size, size);
            return Err(Error::input(format!("a frame of {width}x{height} pixels, the first had {w}x{h}")));
        }
        self.check_buffer(&masks, None, size)?;
        frame.check_floats()?;
        let picture = copy(frame)?;
        let given = picture.is_none().then_some(frame);
        // While what was said was said of frames whose features may still be there.
        self.preflight()?;
        let (index, before) = (self.source.len(), self.size);
        if let Source::Pushed(pushed) = &mut self.source {
            pushed.push(picture);
        }
        self.size = size;
        let result = self.track(index, false, masks, given);
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

    /// Makes memories of everything that was said since the last time.
    fn preflight(&mut self) -> Result<()> {
        let m = self.config.memory;
        for i in 0..self.objects.len() {
            for others in [false, true] {
                let frames: Vec<usize> = self.objects[i].temp[others as usize].iter().map(|(frame, _)| frame).collect();
                for frame in frames {
                    let Some(out) = self.objects[i].temp[others as usize].get(frame) else { continue };
                    let seen = (&out.low_res[..], out.score);
                    let memory = self.on(frame)?.remember(&[seen], m.binarize_mask_from_pts_for_mem_enc)?.pop();
                    let object = &mut self.objects[i];
                    let Some(out) = object.temp[others as usize].remove(frame) else { continue };
                    let out = Output { memory, ..out };
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
                object.non_cond.remove(&frame);
                object.corrected.remove(&frame);
            }
        }
        Ok(())
    }

    /// Finds every object on a frame by its past, but where something was said of it, and shows them all. `given`: the
    /// frame, where nobody keeps it.
    fn track(
        &mut self,
        frame_idx: usize,
        reverse: bool,
        masks: Option<MaskBuffer<'_>>,
        given: Option<&Frame<'_>>,
    ) -> Result<FrameMasks> {
        let lasts = |object: &Object| self.options.legacy_corrections && object.corrected.contains(&frame_idx);
        let due: Vec<usize> = (0..self.objects.len())
            .filter(|&i| {
                let object = &self.objects[i];
                !object.cond.is_empty() && object.cond.get(frame_idx).is_none() && !lasts(object)
            })
            .collect();
        let mut steps: Vec<Step<'_>> = due
            .iter()
            .map(|&i| Step::new(Some(self.past(&self.objects[i], frame_idx, reverse)), Seen::Nothing, false))
            .collect();
        let low = self.config.mask_side() * self.config.mask_side();
        let nothing = try_from_fn(low, "a mask", |_| NO_OBJECT)?;
        let shown: Vec<Shown<'_>> = (self.objects.iter().enumerate())
            .map(|(i, object)| match (due.binary_search(&i), object.shown(frame_idx)) {
                (Ok(step), _) => Shown::Found(step),
                (_, Some(out)) => Shown::Known(&out.low_res),
                _ => Shown::Known(&nothing),
            })
            .collect();
        let how = self.how(self.selection(0, false), true);
        let mut worker = match given {
            Some(frame) => {
                let (key, mut worker) = (self.source.key(frame_idx)?, self.lock());
                if let Err(e) = worker.encode(key, frame) {
                    // The caller's memory is theirs again after the call.
                    let _ = worker.find(&mut [], how, Show::default());
                    return Err(e);
                }
                worker
            }
            None if due.is_empty() => self.lock(),
            None => self.on(frame_idx)?,
        };
        let found = self.show(&mut **worker, frame_idx, &mut steps, how, &shown, masks)?;
        drop(worker);
        for (step, &i) in steps.into_iter().zip(&due) {
            let pointer = step.pointer.ok_or_else(|| Error::Internal("a step without a pointer".into()))?;
            let out = Output { low_res: step.low_res, score: step.score, pointer, memory: step.memory };
            self.objects[i].non_cond.insert(frame_idx, out);
            self.objects[i].corrected.remove(&frame_idx);
        }
        let m = self.config.memory;
        for (i, object) in self.objects.iter_mut().enumerate() {
            if due.binary_search(&i).is_err() && m.clear_non_cond_mem_around_input {
                object.clear_around(frame_idx, &m);
            }
            if !object.cond.is_empty() {
                object.tracked.insert(frame_idx, reverse);
            }
        }
        let scores = self.objects.iter().map(|o| o.shown(frame_idx).map_or(f32::NAN, |out| out.score)).collect();
        Ok(FrameMasks { scores, ..found })
    }
}

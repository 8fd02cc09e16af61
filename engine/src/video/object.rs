//! The state of one object of a video on each frame, and the choice of the memories that a frame attends to.

use super::bank::Slot;
use super::by_frame::ByFrame;
use crate::model::config::MemoryConfig;
use crate::session::prompt::Point;
use std::collections::{BTreeMap, BTreeSet};

/// The memories that an object attends to on a frame.
#[derive(Default)]
pub(crate) struct MemoryContext {
    /// Memories of frames. Each has its row of the temporal encoding.
    pub frames: Vec<(Slot, usize)>,
    /// Pointers. Each has its distance in time, divided by the longest distance.
    pub pointers: Vec<(Slot, f32)>,
}

impl MemoryContext {
    /// Drops the slots, and keeps the allocations of the lists.
    pub fn clear(&mut self) {
        self.frames.clear();
        self.pointers.clear();
    }
}

/// The results of an object on a frame.
#[derive(Clone)]
pub(super) struct Output {
    /// The mask. `None` if only tracking still needs this output.
    pub mask: Option<Slot>,
    pub score: f32,
    pub pointer: Slot,
    /// The memory. `None` before the memory is encoded, and when nothing needs the memory any more.
    pub memory: Option<Slot>,
}

/// Outputs by frame, in the order in which their frames were first added. Some choices depend on this order.
#[derive(Clone, Default)]
pub(super) struct InOrder(Vec<(usize, Output)>);

impl InOrder {
    pub fn get(&self, frame: usize) -> Option<&Output> {
        self.0.iter().find(|(f, _)| *f == frame).map(|(_, out)| out)
    }

    pub fn put(&mut self, frame: usize, out: Output) {
        match self.0.iter_mut().find(|(f, _)| *f == frame) {
            Some((_, place)) => *place = out,
            None => self.0.push((frame, out)),
        }
    }

    pub fn remove(&mut self, frame: usize) -> Option<Output> {
        let at = self.0.iter().position(|(f, _)| *f == frame)?;
        Some(self.0.remove(at).1)
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (usize, &Output)> + Clone {
        self.0.iter().map(|(frame, out)| (*frame, out))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The outputs and the prompts of an object.
#[derive(Clone, Default)]
pub(super) struct Object {
    pub points: BTreeMap<usize, Vec<Point>>,
    /// Outputs on conditioning frames.
    pub cond: InOrder,
    pub non_cond: ByFrame<Output>,
    /// Outputs whose memories are not yet encoded: those on conditioning frames, and the others.
    pub temp: [InOrder; 2],
    /// The frames on which the object was tracked, and whether the direction was backward.
    pub tracked: ByFrame<bool>,
    /// Frames of `non_cond` whose output is a correction. Tracking has not passed over them since the correction.
    pub corrected: BTreeSet<usize>,
}

/// The frame that memories are chosen for.
#[derive(Clone, Copy)]
pub(super) struct FrameContext {
    pub frame: usize,
    pub reverse: bool,
    /// The number of frames of the video, or `usize::MAX` if the number is unknown.
    pub len: usize,
}

impl Object {
    /// Returns the latest output on a frame, if that output has a mask.
    pub fn latest_output(&self, frame: usize) -> Option<&Output> {
        let temp = self.temp[0].get(frame).or_else(|| self.temp[1].get(frame));
        let out = temp.or_else(|| self.cond.get(frame)).or_else(|| self.non_cond.get(frame));
        out.filter(|out| out.mask.is_some())
    }

    /// Returns the frames on which the object has a prompt, in order.
    pub fn prompted_frames(&self) -> BTreeSet<usize> {
        let outputs = self.temp.iter().chain([&self.cond]).flat_map(|outputs| outputs.iter().map(|(frame, _)| frame));
        self.points.keys().chain(&self.corrected).copied().chain(outputs).collect()
    }

    /// Removes the prompts on a frame. The output stays, as if the object had been tracked to the frame.
    pub fn clear(&mut self, frame: usize) {
        self.points.remove(&frame);
        self.corrected.remove(&frame);
        self.temp.iter_mut().for_each(|temp| _ = temp.remove(frame));
        if let Some(out) = self.cond.remove(frame) {
            self.non_cond.insert(frame, out);
            self.tracked.remove(frame);
        }
    }

    /// Removes the tracked frames around a frame with a prompt. Corrected frames stay, because corrections are prompts.
    pub fn clear_around(&mut self, frame: usize, m: &MemoryConfig) {
        let reach = m.memory_temporal_stride_for_eval * m.num_maskmem;
        let corrected = &self.corrected;
        self.non_cond.retain(|f| f.abs_diff(frame) > reach || corrected.contains(&f));
    }

    /// Removes the tracked frames that a propagation at one of the frames `at` does not attend to, in either direction.
    /// Conditioning frames stay.
    pub fn forget_tracked(&mut self, at: [usize; 2], m: &MemoryConfig) {
        let [maps, pointers] = reach(m);
        let within = |f: usize, reach: usize| at.iter().any(|&at| f.abs_diff(at) <= reach);
        let near = |f: usize| within(f, maps.max(pointers));
        self.tracked.retain(near);
        self.corrected.retain(|&f| near(f));
        self.non_cond.retain(near);
        for (f, out) in self.non_cond.iter_mut() {
            out.mask = None;
            out.memory.take_if(|_| !within(f, maps));
        }
    }

    /// Removes everything that is more than `window` frames before `newest`, except what tracking from a later frame
    /// needs.
    pub fn forget(&mut self, newest: usize, window: usize, m: &MemoryConfig) {
        let first = newest.saturating_sub(window);
        let [maps, pointers] = reach(m);
        self.points.retain(|&f, _| f >= first);
        self.tracked.retain(|f| f >= first);
        self.corrected.retain(|&f| f >= first);
        self.non_cond.retain(|f| f + pointers.max(maps) >= first);
        // Conditioning frames that are nearer will always be chosen first.
        if let Some(most) = m.max_cond_frames_in_attn.filter(|&most| self.cond.iter().len() > most) {
            let mut before: Vec<usize> = self.cond.iter().map(|(f, _)| f).filter(|&f| f < first).collect();
            before.sort_unstable_by(|a, b| b.cmp(a));
            let far: Vec<usize> = before.into_iter().skip(most).filter(|&f| f + pointers.max(maps) < first).collect();
            self.cond.0.retain(|(f, _)| !far.contains(f));
        }
        for (f, out) in self.non_cond.iter_mut().take_while(|(f, _)| *f < first) {
            out.mask = None;
            if f + maps < first {
                out.memory = None;
            }
        }
        self.cond.0.iter_mut().filter(|(f, _)| *f < first).for_each(|(_, out)| out.mask = None);
    }

    /// Writes to `context` the memories that the object attends to on a frame.
    pub fn memory_context(&self, frame: FrameContext, m: &MemoryConfig, context: &mut MemoryContext) {
        let FrameContext { frame, reverse, len } = frame;
        let chosen = closest(&self.cond, frame, m.max_cond_frames_in_attn);
        let is_chosen = |f: usize| chosen.as_ref().is_none_or(|chosen| chosen.contains(&f));
        let selected = || {
            let all = chosen.is_none().then(|| self.cond.iter()).into_iter().flatten();
            let nearest = chosen.iter().flatten().filter_map(|&f| Some((f, self.cond.get(f)?)));
            all.chain(nearest)
        };
        context.clear();
        let mut add = |out: &Output, row: usize| {
            context.frames.extend(out.memory.clone().map(|slot| (slot, row)));
        };
        selected().for_each(|(_, out)| add(out, m.num_maskmem - 1));
        let not_cond = |f: i64| {
            let f = usize::try_from(f).ok()?;
            self.non_cond.get(f).or_else(|| self.cond.get(f).filter(|_| !is_chosen(f)))
        };
        let (at, stride) = (frame as i64, m.memory_temporal_stride_for_eval as i64);
        for back in (1..m.num_maskmem as i64).rev() {
            let from = match (back, reverse) {
                (1, false) => at - 1,
                (1, true) => at + 1,
                (_, false) => (at - 2).div_euclid(stride) * stride - (back - 2) * stride,
                (_, true) => -(-(at + 2)).div_euclid(stride) * stride + (back - 2) * stride,
            };
            if let Some(out) = not_cond(from) {
                add(out, back as usize - 1);
            }
        }
        if !m.use_obj_ptrs_in_encoder {
            return;
        }
        let most = len.min(m.max_obj_ptrs_in_encoder) as i64;
        // A video of one frame has no distances; the reference divides by 0.
        let scale = |distance: i64| distance as f32 / (most - 1).max(1) as f32;
        let sign = if reverse { -1 } else { 1 };
        for (f, out) in selected() {
            let ahead = if reverse { f < frame } else { f > frame };
            if m.only_obj_ptrs_in_the_past_for_eval && ahead {
                continue;
            }
            let distance = (at - f as i64) * sign;
            let distance = if m.use_signed_tpos_enc_to_obj_ptrs { distance } else { distance.abs() };
            context.pointers.push((out.pointer.clone(), scale(distance)));
        }
        for back in 1..most {
            let from = at - back * sign;
            if from < 0 || from as usize >= len {
                break;
            }
            if let Some(out) = not_cond(from) {
                context.pointers.push((out.pointer.clone(), scale(back)));
            }
        }
    }
}

/// Returns the number of frames over which memories, and over which pointers, are looked up.
pub(super) fn reach(m: &MemoryConfig) -> [usize; 2] {
    let stride = m.memory_temporal_stride_for_eval;
    [m.num_maskmem.saturating_sub(1) * stride, m.max_obj_ptrs_in_encoder.saturating_sub(1)]
}

/// Returns the conditioning frames that a frame attends to if there are more than `most`. `None` means all conditioning
/// frames.
///
/// The choice is that of the reference's `select_closest_cond_frames`: the last one before the frame, the first one
/// from the frame on, and then the nearest ones.
fn closest(cond: &InOrder, frame: usize, most: Option<usize>) -> Option<Vec<usize>> {
    let all = || cond.iter();
    let most = most.filter(|&most| all().len() > most)?;
    let mut chosen: Vec<usize> = Vec::new();
    chosen.extend(all().map(|(f, _)| f).filter(|&f| f < frame).max());
    chosen.extend(all().map(|(f, _)| f).filter(|&f| f >= frame).min());
    let mut rest: Vec<usize> = all().map(|(f, _)| f).filter(|f| !chosen.contains(f)).collect();
    rest.sort_by_key(|f| f.abs_diff(frame)); // stable, so that the first of equals stays first
    let room = most.saturating_sub(chosen.len());
    chosen.extend(rest.into_iter().take(room));
    Some(chosen)
}

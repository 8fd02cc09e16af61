//! What is known of one object of a video, frame by frame, and what of it a frame attends to.

use super::bank::Slot;
use super::worker::Past;
use crate::config::MemoryConfig;
use crate::prompt::Point;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What came out for an object on a frame.
#[derive(Clone)]
pub(super) struct Output {
    /// (mask_side, mask_side), with holes filled; empty where only tracking needs the rest.
    pub low_res: Arc<Vec<f32>>,
    pub score: f32,
    pub pointer: Slot,
    /// None until the frame's memory was made, and where nothing needs it any more.
    pub memory: Option<Slot>,
}

impl Output {
    fn forget_mask(&mut self) {
        if !self.low_res.is_empty() {
            self.low_res = Arc::default();
        }
    }
}

/// Outputs by frame, in the order in which frames came first: some choices hang by it.
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

/// An object's outputs, and what was said of it.
#[derive(Clone, Default)]
pub(super) struct Object {
    pub points: BTreeMap<usize, Vec<Point>>,
    /// Conditioning frames.
    pub cond: InOrder,
    pub non_cond: BTreeMap<usize, Output>,
    /// Not yet made into memories: conditioning frames, others.
    pub temp: [InOrder; 2],
    /// Frames that were tracked, and whether backwards.
    pub tracked: BTreeMap<usize, bool>,
    /// Frames of `non_cond` whose output is a correction that tracking has not passed over since.
    pub corrected: BTreeSet<usize>,
}

/// What of a video a choice of memories depends on.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub frame: usize,
    pub reverse: bool,
    /// Frames of the video; `usize::MAX` where nobody knows.
    pub len: usize,
}

impl Object {
    /// What is shown of a frame.
    pub fn shown(&self, frame: usize) -> Option<&Output> {
        let temp = self.temp[0].get(frame).or_else(|| self.temp[1].get(frame));
        let out = temp.or_else(|| self.cond.get(frame)).or_else(|| self.non_cond.get(&frame));
        out.filter(|out| !out.low_res.is_empty())
    }

    /// Forgets what was said of a frame; what was found there stays, as if it had been tracked.
    pub fn clear(&mut self, frame: usize) {
        self.points.remove(&frame);
        self.corrected.remove(&frame);
        self.temp.iter_mut().for_each(|temp| _ = temp.remove(frame));
        if let Some(out) = self.cond.remove(frame) {
            self.non_cond.insert(frame, out);
            self.tracked.remove(&frame);
        }
    }

    /// Forgets the tracked frames around one with a prompt. Corrections are prompts themselves and stay.
    pub fn clear_around(&mut self, frame: usize, m: &MemoryConfig) {
        let reach = m.memory_temporal_stride_for_eval * m.num_maskmem;
        let corrected = &self.corrected;
        self.non_cond.retain(|f, _| f.abs_diff(frame) > reach || corrected.contains(f));
    }

    /// Forgets tracked frames, but for what a propagation that is at one of the frames `at`, in either direction, attends
    /// to. Conditioning frames stay.
    pub fn forget_tracked(&mut self, at: [usize; 2], m: &MemoryConfig) {
        let [maps, pointers] = reach(m);
        let within = |f: usize, reach: usize| at.iter().any(|&at| f.abs_diff(at) <= reach);
        let near = |f: usize| within(f, maps.max(pointers));
        self.tracked.retain(|&f, _| near(f));
        self.corrected.retain(|&f| near(f));
        self.non_cond.retain(|&f, _| near(f));
        for (&f, out) in &mut self.non_cond {
            out.forget_mask();
            out.memory.take_if(|_| !within(f, maps));
        }
    }

    /// Forgets what is more than `window` frames before `newest`, but for what tracking on from any frame since needs.
    pub fn forget(&mut self, newest: usize, window: usize, m: &MemoryConfig) {
        let first = newest.saturating_sub(window);
        let [maps, pointers] = reach(m);
        self.points.retain(|&f, _| f >= first);
        self.tracked.retain(|&f, _| f >= first);
        self.corrected.retain(|&f| f >= first);
        self.non_cond.retain(|&f, _| f + pointers.max(maps) >= first);
        // Conditioning frames that are nearer will always be chosen first.
        if let Some(most) = m.max_cond_frames_in_attn {
            let mut before: Vec<usize> = self.cond.iter().map(|(f, _)| f).filter(|&f| f < first).collect();
            before.sort_unstable_by(|a, b| b.cmp(a));
            let far: Vec<usize> = before.into_iter().skip(most).filter(|&f| f + pointers.max(maps) < first).collect();
            self.cond.0.retain(|(f, _)| !far.contains(f));
        }
        for (&f, out) in self.non_cond.range_mut(..first) {
            out.forget_mask();
            if f + maps < first {
                out.memory = None;
            }
        }
        self.cond.0.iter_mut().filter(|(f, _)| *f < first).for_each(|(_, out)| out.forget_mask());
    }

    /// What the object remembers, as seen from a frame.
    pub fn past(&self, place: Place, m: &MemoryConfig) -> Past {
        let Place { frame, reverse, len } = place;
        let (selected, others) = closest(&self.cond, frame, m.max_cond_frames_in_attn);
        let mut past = Past::default();
        let mut add = |out: &Output, row: usize| {
            past.frames.extend(out.memory.clone().map(|slot| (slot, row)));
        };
        selected.iter().for_each(|(_, out)| add(out, m.num_maskmem - 1));
        let not_cond = |f: i64| {
            let f = usize::try_from(f).ok()?;
            self.non_cond.get(&f).or_else(|| others.iter().find(|(o, _)| *o == f).map(|&(_, out)| out))
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
            return past;
        }
        let most = len.min(m.max_obj_ptrs_in_encoder) as i64;
        // A video of one frame has no distances; the reference divides by 0.
        let scale = |distance: i64| distance as f32 / (most - 1).max(1) as f32;
        let sign = if reverse { -1 } else { 1 };
        for &(f, out) in &selected {
            let ahead = if reverse { f < frame } else { f > frame };
            if m.only_obj_ptrs_in_the_past_for_eval && ahead {
                continue;
            }
            let distance = (at - f as i64) * sign;
            let distance = if m.use_signed_tpos_enc_to_obj_ptrs { distance } else { distance.abs() };
            past.pointers.push((out.pointer.clone(), scale(distance)));
        }
        for back in 1..most {
            let from = at - back * sign;
            if from < 0 || from as usize >= len {
                break;
            }
            if let Some(out) = not_cond(from) {
                past.pointers.push((out.pointer.clone(), scale(back)));
            }
        }
        past
    }
}

/// How many frames back memories and pointers are looked up.
pub(super) fn reach(m: &MemoryConfig) -> [usize; 2] {
    let stride = m.memory_temporal_stride_for_eval;
    [m.num_maskmem.saturating_sub(1) * stride, m.max_obj_ptrs_in_encoder.saturating_sub(1)]
}

/// The conditioning frames that a frame attends to, at most `most` of them, and the others.
///
/// As the reference's `select_closest_cond_frames`: the last before, the first after, then the nearest.
fn closest(cond: &InOrder, frame: usize, most: Option<usize>) -> (Vec<(usize, &Output)>, Vec<(usize, &Output)>) {
    let all = || cond.iter();
    let Some(most) = most.filter(|&most| all().len() > most) else { return (all().collect(), Vec::new()) };
    let mut chosen: Vec<usize> = Vec::new();
    chosen.extend(all().map(|(f, _)| f).filter(|&f| f < frame).max());
    chosen.extend(all().map(|(f, _)| f).filter(|&f| f >= frame).min());
    let mut rest: Vec<usize> = all().map(|(f, _)| f).filter(|f| !chosen.contains(f)).collect();
    rest.sort_by_key(|f| f.abs_diff(frame)); // stable, so that the first of equals stays first
    let room = most.saturating_sub(chosen.len());
    chosen.extend(rest.into_iter().take(room));
    let find = |f: usize| all().find(|(g, _)| *g == f);
    let selected = chosen.iter().filter_map(|&f| find(f)).collect();
    (selected, all().filter(|(f, _)| !chosen.contains(f)).collect())
}

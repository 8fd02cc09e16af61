//! Masks of objects through a video.
//!
//! Behaviour is the reference's `SAM2VideoPredictor`, object by object, with its ways of keeping and losing corrections.

use crate::backend::{Counters, Probe, Selection};
use crate::config::Config;
use crate::error::{Error, Result, try_zeros};
use crate::frames::Frames;
use crate::prompt::{Point, Prompt, resize_mask};
use crate::video_worker::{Past, Seen, Slot, Step, VideoWorker};
use std::collections::{BTreeMap, HashMap};

/// The logit of an object without a mask on a frame.
const NO_OBJECT: f32 = -1024.0;
/// Mask logits that are fed back are clamped to plus or minus this.
const FED_BACK: f32 = 32.0;

/// Masks of every object on one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameMasks {
    /// The frame's number.
    pub frame_idx: usize,
    /// The objects, in the order they were first named.
    pub obj_ids: Vec<i64>,
    /// (objects, height, width): logits at the video's size; above 0 is on the object.
    pub masks: Vec<f32>,
    /// (objects): above 0 where the object is to be seen; NaN where nothing is known of it on this frame.
    pub scores: Vec<f32>,
}

/// What came out for one object on one frame.
#[derive(Clone)]
struct Output {
    /// (mask_side, mask_side), with holes filled.
    low_res: Vec<f32>,
    score: f32,
    pointer: Slot,
    /// None until the frame's memory was made.
    memory: Option<Slot>,
}

/// An object's outputs, and what was said of it.
#[derive(Default)]
struct Object {
    points: BTreeMap<usize, Vec<Point>>,
    /// Conditioning frames in the order they became such.
    cond: Vec<(usize, Output)>,
    non_cond: HashMap<usize, Output>,
    /// Not yet made into memories: conditioning frames, others.
    temp: [BTreeMap<usize, Output>; 2],
    /// Frames that were tracked, and in which direction.
    tracked: HashMap<usize, bool>,
}

impl Object {
    fn cond_at(&self, frame: usize) -> Option<&Output> {
        self.cond.iter().find(|(f, _)| *f == frame).map(|(_, out)| out)
    }

    fn put_cond(&mut self, frame: usize, out: Output) {
        match self.cond.iter_mut().find(|(f, _)| *f == frame) {
            Some((_, place)) => *place = out,
            None => self.cond.push((frame, out)),
        }
    }
}

/// Follows objects through a video.
pub struct VideoPredictor {
    worker: Box<dyn VideoWorker>,
    config: Config,
    frames: Frames,
    height: usize,
    width: usize,
    ids: Vec<i64>,
    objects: Vec<Object>,
    /// The frame whose features the worker has.
    current: Option<usize>,
}

impl VideoPredictor {
    pub(crate) fn new(worker: Box<dyn VideoWorker>, config: &Config, frames: Frames) -> Result<Self> {
        if frames.is_empty() {
            return Err(Error::input("a video without frames"));
        }
        if !config.memory.directly_add_no_mem_embed {
            return Err(Error::config("model.directly_add_no_mem_embed", "only true is implemented for videos"));
        }
        let (height, width) = frames.with(0, |p| Ok((p.height, p.width)))?;
        let (config, ids, objects) = (config.clone(), Vec::new(), Vec::new());
        Ok(VideoPredictor { worker, config, frames, height, width, ids, objects, current: None })
    }

    /// How many frames there are.
    pub fn num_frames(&self) -> usize {
        self.frames.len()
    }

    /// Height and width of the frames.
    pub fn video_size(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// The objects, in the order they were first named.
    pub fn obj_ids(&self) -> &[i64] {
        &self.ids
    }

    /// Says where an object is on a frame, by points, a box or both; returns the masks of all objects there.
    ///
    /// A box comes before the points and needs `clear_old_points`, without which the frame's earlier points stay.
    /// Coordinates are pixels of the video, or, without `normalize_coords`, in 0..1.
    pub fn add_new_points_or_box(
        &mut self,
        frame_idx: usize,
        obj_id: i64,
        prompt: &Prompt<'_>,
        clear_old_points: bool,
        normalize_coords: bool,
    ) -> Result<FrameMasks> {
        let extent = if normalize_coords { [self.width as f32, self.height as f32] } else { [1.0, 1.0] };
        self.check_frame(frame_idx)?;
        prompt.check(extent, self.config.mask_side())?;
        if prompt.points.is_empty() && prompt.box_.is_none() {
            return Err(Error::input("at least one of points or box must be given"));
        }
        if prompt.mask_input.is_some() {
            return Err(Error::input("a mask is given by add_new_mask"));
        }
        if prompt.box_.is_some() && !clear_old_points {
            return Err(Error::input("a box cannot be added to earlier points: it needs clear_old_points"));
        }
        let index = self.object(obj_id);
        let unit = |p: &Point| Point { x: p.x / extent[0], y: p.y / extent[1], label: p.label };
        let mut points = Vec::new();
        if !clear_old_points {
            points.extend(self.objects[index].points.get(&frame_idx).into_iter().flatten().copied());
        }
        if let Some([x0, y0, x1, y1]) = prompt.box_ {
            points.push(unit(&Point { x: x0, y: y0, label: 2 }));
            points.push(unit(&Point { x: x1, y: y1, label: 3 }));
        }
        points.extend(prompt.points.iter().map(unit));
        let object = &mut self.objects[index];
        object.points.insert(frame_idx, points.clone());

        let (initial, reverse, cond) = self.standing(index, frame_idx);
        // Whatever was seen here before is fed back, also where the points are new.
        let object = &self.objects[index];
        let earlier = object.temp[!cond as usize].get(&frame_idx).or_else(|| object.cond_at(frame_idx));
        let earlier = earlier.or_else(|| object.non_cond.get(&frame_idx));
        let fed_back: Option<Vec<f32>> =
            earlier.map(|out| out.low_res.iter().map(|v| v.clamp(-FED_BACK, FED_BACK)).collect());
        let past = if initial { None } else { Some(self.past(index, frame_idx, reverse)) };
        let selection = self.selection(points.len(), initial);
        let out = self.find(frame_idx, past, Seen::Points(&points, fed_back.as_deref()), false, selection)?;
        self.objects[index].temp[!cond as usize].insert(frame_idx, out);
        self.masks_on(frame_idx)
    }

    /// Says where an object is on a frame, by a mask (height, width) of any size, 0 where it is not; returns the masks of
    /// all objects there.
    pub fn add_new_mask(
        &mut self,
        frame_idx: usize,
        obj_id: i64,
        mask: &[u8],
        height: usize,
        width: usize,
    ) -> Result<FrameMasks> {
        self.check_frame(frame_idx)?;
        if height == 0 || width == 0 || height.checked_mul(width) != Some(mask.len()) {
            return Err(Error::input(format!("a mask of {} values for {width}x{height} pixels", mask.len())));
        }
        let (side, low) = (self.config.image_size, self.config.mask_side());
        let on = |v: u8| (v != 0) as u8 as f32;
        let full: Vec<f32> = if (height, width) == (side, side) {
            mask.iter().map(|&v| on(v)).collect()
        } else {
            let resized = resize_mask(width, height, side, |i| on(mask[i]))?;
            resized.into_iter().map(|v| (v >= 0.5) as u8 as f32).collect()
        };
        let index = self.object(obj_id);
        self.objects[index].points.remove(&frame_idx);
        let (initial, reverse, cond) = self.standing(index, frame_idx);
        let empty = full.iter().all(|&v| v == 0.0);
        let mut out = if self.config.memory.use_mask_input_as_output_without_sam {
            let mut out = self.find(frame_idx, None, Seen::Mask(&full), empty, self.single())?;
            out.low_res = resize_mask(side, side, low, |i| full[i] * 20.0 - 10.0)?;
            out.score = if empty { -10.0 } else { 10.0 };
            out
        } else {
            let past = if initial { None } else { Some(self.past(index, frame_idx, reverse)) };
            let logits = resize_mask(side, side, low, |i| full[i])?;
            self.find(frame_idx, past, Seen::Points(&[], Some(&logits)), false, self.selection(0, initial))?
        };
        self.fill_holes(&mut out)?;
        self.objects[index].temp[!cond as usize].insert(frame_idx, out);
        self.masks_on(frame_idx)
    }

    /// Follows all objects from `start_frame_idx` (by default the first frame that anything was said of) over at most
    /// `max_frame_num_to_track` further frames, to the end of the video by default, or backwards; `each` gets the masks
    /// frame by frame and returns whether to go on.
    pub fn propagate_in_video(
        &mut self,
        start_frame_idx: Option<usize>,
        max_frame_num_to_track: Option<usize>,
        reverse: bool,
        mut each: impl FnMut(FrameMasks) -> bool,
    ) -> Result<()> {
        self.preflight()?;
        let n = self.frames.len();
        let first = self.objects.iter().flat_map(|o| o.cond.iter().map(|(f, _)| *f)).min().unwrap_or(0);
        let start = start_frame_idx.unwrap_or(first);
        self.check_frame(start)?;
        let count = max_frame_num_to_track.unwrap_or(n);
        let order: Vec<usize> = match reverse {
            true if start == 0 => Vec::new(), // as there: nothing is tracked backwards from the first frame
            true => (start.saturating_sub(count)..=start).rev().collect(),
            false => (start..=start.saturating_add(count).min(n - 1)).collect(),
        };
        for frame in order {
            self.track(frame, reverse)?;
            if !each(self.masks_on(frame)?) {
                break;
            }
        }
        Ok(())
    }

    /// Forgets what was said of an object on a frame; returns the masks of all objects there.
    pub fn clear_all_prompts_in_frame(&mut self, frame_idx: usize, obj_id: i64) -> Result<FrameMasks> {
        self.check_frame(frame_idx)?;
        let index = self.known(obj_id)?;
        self.clear(index, frame_idx);
        self.masks_on(frame_idx)
    }

    /// Removes an object.
    pub fn remove_object(&mut self, obj_id: i64) -> Result<()> {
        let index = self.known(obj_id)?;
        self.objects.remove(index);
        self.ids.remove(index);
        Ok(())
    }

    /// Removes all objects.
    pub fn reset_state(&mut self) {
        self.objects.clear();
        self.ids.clear();
    }

    /// Work done by this predictor so far.
    pub fn counters(&self) -> Counters {
        self.worker.counters()
    }

    /// Shows intermediate results of the calls to come; for debugging and tests.
    pub fn set_probe(&mut self, probe: Option<Probe>) {
        self.worker.set_probe(probe);
    }

    /// Bytes of device memory held beside the model's weights.
    pub fn memory_bytes(&self) -> usize {
        self.worker.bytes()
    }

    fn check_frame(&self, frame: usize) -> Result<()> {
        if frame < self.frames.len() {
            return Ok(());
        }
        Err(Error::input(format!("no frame {frame}: the video has {}, counted from 0", self.frames.len())))
    }

    fn known(&self, obj_id: i64) -> Result<usize> {
        let index = self.ids.iter().position(|&id| id == obj_id);
        index.ok_or_else(|| Error::input(format!("no object {obj_id}: there are {:?}", self.ids)))
    }

    /// The place of an object, which is new where it was not known.
    fn object(&mut self, obj_id: i64) -> usize {
        self.ids.iter().position(|&id| id == obj_id).unwrap_or_else(|| {
            self.ids.push(obj_id);
            self.objects.push(Object::default());
            self.ids.len() - 1
        })
    }

    /// Whether a frame is one where an object is first seen, the direction it was tracked in, and whether what is said
    /// of it now makes it a conditioning frame.
    fn standing(&self, index: usize, frame: usize) -> (bool, bool, bool) {
        let tracked = self.objects[index].tracked.get(&frame);
        let initial = tracked.is_none();
        let cond = initial || self.config.memory.add_all_frames_to_correct_as_cond;
        (initial, tracked.copied().unwrap_or(false), cond)
    }

    fn single(&self) -> Selection {
        match self.config.dynamic_multimask {
            Some((delta, thresh)) => Selection::Stable { delta, thresh },
            None => Selection::Single,
        }
    }

    /// How the mask of an object is chosen where so many points are given.
    fn selection(&self, points: usize, initial: bool) -> Selection {
        let m = &self.config.memory;
        let several = m.multimask_output_in_sam
            && (initial || m.multimask_output_for_tracking)
            && (m.multimask_min_pt_num..=m.multimask_max_pt_num).contains(&points);
        if several { Selection::Best } else { self.single() }
    }

    /// What an object remembers, as seen from a frame.
    fn past(&self, index: usize, frame: usize, reverse: bool) -> Past {
        let (m, object) = (&self.config.memory, &self.objects[index]);
        let (selected, others) = closest(&object.cond, frame, m.max_cond_frames_in_attn);
        let mut past = Past::default();
        let mut add = |out: &Output, row: usize| {
            past.frames.extend(out.memory.clone().map(|slot| (slot, row)));
        };
        selected.iter().for_each(|(_, out)| add(out, m.num_maskmem - 1));
        let not_cond = |f: i64| {
            let f = usize::try_from(f).ok()?;
            object.non_cond.get(&f).or_else(|| others.iter().find(|(o, _)| *o == f).map(|&(_, out)| out))
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
        let most = self.frames.len().min(m.max_obj_ptrs_in_encoder) as i64;
        let scale = |distance: i64| distance as f32 / (most - 1) as f32;
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
            if from < 0 || from >= self.frames.len() as i64 {
                break;
            }
            if let Some(out) = not_cond(from) {
                past.pointers.push((out.pointer.clone(), scale(back)));
            }
        }
        past
    }

    /// Makes a frame the worker's.
    fn encode(&mut self, frame: usize) -> Result<()> {
        if self.current == Some(frame) {
            return Ok(());
        }
        self.current = None;
        let (worker, size) = (&mut self.worker, (self.height, self.width));
        self.frames.with(frame, |p| {
            if (p.height, p.width) != size {
                let what =
                    format!("frame {frame} has {}x{} pixels, the first {}x{}", p.width, p.height, size.1, size.0);
                return Err(Error::input(what));
            }
            worker.encode(&p.frame()?)
        })?;
        self.current = Some(frame);
        Ok(())
    }

    /// Finds one object on a frame.
    fn find(
        &mut self,
        frame: usize,
        past: Option<Past>,
        seen: Seen<'_>,
        absent: bool,
        selection: Selection,
    ) -> Result<Output> {
        self.encode(frame)?;
        let masks = matches!(seen, Seen::Mask(_));
        let mut steps = [Step::new(past, seen, absent)];
        self.worker.step(&mut steps, selection)?;
        let [step] = steps;
        let mut out = Output {
            low_res: step.low_res,
            score: step.score,
            pointer: step.pointer.ok_or_else(|| Error::Internal("a step without a pointer".into()))?,
            memory: None,
        };
        if !masks {
            self.fill_holes(&mut out)?;
        }
        Ok(out)
    }

    fn fill_holes(&mut self, out: &mut Output) -> Result<()> {
        let area = self.config.memory.fill_hole_area;
        if area > 0 { self.worker.fill_holes(&mut out.low_res, area as f32) } else { Ok(()) }
    }

    /// Makes memories of everything that was said since the last time.
    fn preflight(&mut self) -> Result<()> {
        if self.objects.is_empty() {
            return Err(Error::input("nothing to track: give points, a box or a mask first"));
        }
        for i in 0..self.objects.len() {
            for others in [false, true] {
                for frame in self.objects[i].temp[others as usize].keys().copied().collect::<Vec<_>>() {
                    self.encode(frame)?;
                    let Some(out) = self.objects[i].temp[others as usize].get_mut(&frame) else { continue };
                    let binary = self.config.memory.binarize_mask_from_pts_for_mem_enc;
                    let mut slots = self.worker.remember(&[(&out.low_res, out.score)], binary)?;
                    out.memory = slots.pop();
                    let Some(out) = self.objects[i].temp[others as usize].remove(&frame) else { continue };
                    if others {
                        self.objects[i].non_cond.insert(frame, out);
                    } else {
                        self.objects[i].put_cond(frame, out);
                    }
                    if self.config.memory.clear_non_cond_mem_around_input {
                        self.clear_around(i, frame);
                    }
                }
            }
            let object = &mut self.objects[i];
            if object.cond.is_empty() {
                let id = self.ids[i];
                return Err(Error::input(format!("object {id}: no points, box or mask on any frame")));
            }
            for (frame, _) in &object.cond {
                object.non_cond.remove(frame);
            }
        }
        Ok(())
    }

    /// Forgets an object's tracked frames around one that something was said of.
    fn clear_around(&mut self, index: usize, frame: usize) {
        let reach = self.config.memory.memory_temporal_stride_for_eval * self.config.memory.num_maskmem;
        self.objects[index].non_cond.retain(|&f, _| f.abs_diff(frame) > reach);
    }

    /// Finds every object on a frame by its past, but where something was said of it.
    fn track(&mut self, frame: usize, reverse: bool) -> Result<()> {
        let due: Vec<usize> = (0..self.objects.len()).filter(|&i| self.objects[i].cond_at(frame).is_none()).collect();
        if !due.is_empty() {
            self.encode(frame)?;
            let mut steps: Vec<Step<'_>> =
                due.iter().map(|&i| Step::new(Some(self.past(i, frame, reverse)), Seen::Nothing, false)).collect();
            self.worker.step(&mut steps, self.selection(0, false))?;
            let found: Vec<(&[f32], f32)> = steps.iter().map(|s| (&s.low_res[..], s.score)).collect();
            let memories = self.worker.remember(&found, false)?;
            let pasts: Vec<_> = steps.into_iter().map(|s| (s.low_res, s.score, s.pointer)).collect();
            for ((&i, (low_res, score, pointer)), memory) in due.iter().zip(pasts).zip(memories) {
                let pointer = pointer.ok_or_else(|| Error::Internal("a step without a pointer".into()))?;
                let mut out = Output { low_res, score, pointer, memory: Some(memory) };
                self.fill_holes(&mut out)?;
                self.objects[i].non_cond.insert(frame, out);
            }
        }
        for i in 0..self.objects.len() {
            if !due.contains(&i) && self.config.memory.clear_non_cond_mem_around_input {
                self.clear_around(i, frame);
            }
            self.objects[i].tracked.insert(frame, reverse);
        }
        Ok(())
    }

    /// Forgets what was said of an object on a frame; what was found there stays, as if it had been tracked.
    fn clear(&mut self, index: usize, frame: usize) {
        let object = &mut self.objects[index];
        object.points.remove(&frame);
        object.temp.iter_mut().for_each(|temp| _ = temp.remove(&frame));
        if let Some(at) = object.cond.iter().position(|(f, _)| *f == frame) {
            let (_, out) = object.cond.remove(at);
            object.non_cond.insert(frame, out);
            object.tracked.remove(&frame);
        }
    }

    /// The masks of all objects on a frame, at the video's size.
    fn masks_on(&mut self, frame: usize) -> Result<FrameMasks> {
        let (h, w) = (self.height, self.width);
        let mut masks = try_zeros::<f32>(self.objects.len() * h * w, "masks")?;
        let mut scores = Vec::new();
        for (object, place) in self.objects.iter().zip(masks.chunks_mut(h * w)) {
            let temp = object.temp[0].get(&frame).or_else(|| object.temp[1].get(&frame));
            match temp.or_else(|| object.cond_at(frame)).or_else(|| object.non_cond.get(&frame)) {
                Some(out) => {
                    place.copy_from_slice(&self.worker.resize(&out.low_res, h, w)?);
                    scores.push(out.score);
                }
                None => {
                    place.fill(NO_OBJECT);
                    scores.push(f32::NAN);
                }
            }
        }
        if self.config.memory.non_overlap_masks && self.objects.len() > 1 {
            keep_the_highest(&mut masks, h * w);
        }
        Ok(FrameMasks { frame_idx: frame, obj_ids: self.ids.clone(), masks, scores })
    }
}

/// The conditioning frames that a frame attends to, at most `most` of them, and the others.
///
/// As the reference's `select_closest_cond_frames`: the last before, the first after, then the nearest.
fn closest(
    cond: &[(usize, Output)],
    frame: usize,
    most: Option<usize>,
) -> (Vec<(usize, &Output)>, Vec<(usize, &Output)>) {
    let all = || cond.iter().map(|(f, out)| (*f, out));
    let Some(most) = most.filter(|&most| cond.len() > most) else { return (all().collect(), Vec::new()) };
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

/// Of every pixel, the highest logit stays; the others become -10 at most.
fn keep_the_highest(masks: &mut [f32], pixels: usize) {
    for i in 0..pixels {
        let n = masks.len() / pixels;
        let best = (1..n).fold(0, |best, k| if masks[k * pixels + i] > masks[best * pixels + i] { k } else { best });
        (0..n).filter(|&k| k != best).for_each(|k| masks[k * pixels + i] = masks[k * pixels + i].min(-10.0));
    }
}

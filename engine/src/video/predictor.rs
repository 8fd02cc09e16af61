//! Masks of objects through a video.
//!
//! Behaviour is the reference's `SAM2VideoPredictor`, object by object, with its ways of keeping and losing corrections.

use super::bank::slot_bytes;
use super::object::{Object, Output, Place};
use super::show::FrameMasks;
use super::source::{Retention, Source};
use super::worker::{How, Past, Seen, Show, Step, VideoWorker};
use crate::backend::{Counters, Probe, Selection, StageTime};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::frames::Frames;
use crate::mask_out::MaskBuffer;
use crate::memory::try_from_fn;
use crate::picture::Picture;
use crate::prompt::{Point, Prompt, resize_mask};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The point that the reference passes with a mask: of no place and of no kind.
const NO_POINT: Point = Point { x: 0.0, y: 0.0, label: -1 };

/// The logit of an object without a mask on a frame.
pub(super) const NO_OBJECT: f32 = -1024.0;
/// Mask logits that are fed back are clamped to plus or minus this.
const FED_BACK: f32 = 32.0;

/// How a video predictor keeps what it learns; the defaults are the reference's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VideoPredictorOptions {
    /// A correction of a frame that was tracked before outlasts the next propagation over that frame, as in the reference's
    /// legacy predictor. By default propagation finds the frame anew, as [`VideoPredictor::add_new_points_or_box`] says. (A
    /// further click on a conditioning frame that was tracked is lost either way; `add_all_frames_to_correct_as_cond` in the
    /// configuration keeps both.)
    pub legacy_corrections: bool,
    /// Memories are kept in the host's memory and brought to the device when needed. Frames always are in the host's.
    pub offload_state_to_cpu: bool,
    /// [`VideoPredictor::propagate_in_video`] forgets tracked frames that it no longer attends to, so that memory does not
    /// grow with the frames. Masks are the same, also of a second propagation from the same start in the other direction. A
    /// forgotten frame counts as not tracked: a later prompt on it makes it a conditioning frame.
    pub forget_tracked_frames: bool,
}

/// The first picture that decodes, if damaged ones are passed over; else that of frame 0.
fn first_picture(frames: &Frames) -> Result<Arc<Picture>> {
    let damaged = |read: &Result<_>| frames.keeps_damaged() && matches!(read, Err(Error::Picture { .. }));
    let whole = (0..frames.len()).map(|i| frames.read(i)).find(|read| !damaged(read));
    whole.unwrap_or_else(|| frames.read(0))
}

/// Follows objects through a video.
///
/// One thread uses a predictor at a time. A predictor and its forks share a queue of work on the device.
pub struct VideoPredictor {
    pub(super) worker: Arc<Mutex<Box<dyn VideoWorker>>>,
    pub(super) config: Arc<Config>,
    pub(super) options: VideoPredictorOptions,
    /// Of the model's weights.
    pub(super) fingerprint: u64,
    pub(super) source: Source,
    pub(super) size: (usize, usize),
    pub(super) ids: Vec<i64>,
    pub(super) objects: Vec<Object>,
    /// Whether prompts return masks.
    pub(super) shows_prompts: bool,
}

impl VideoPredictor {
    /// `frames`: None where they will be pushed, and kept as `retention` says.
    pub(crate) fn new(
        worker: Box<dyn VideoWorker>,
        config: Arc<Config>,
        fingerprint: u64,
        source: Result<Frames, Retention>,
        options: VideoPredictorOptions,
    ) -> Result<Self> {
        if !config.memory.directly_add_no_mem_embed {
            return Err(Error::config("model.directly_add_no_mem_embed", "only true is implemented for videos"));
        }
        let (source, size) = match source {
            Ok(frames) if frames.is_empty() => return Err(Error::input("a video without frames")),
            Ok(frames) => {
                let first = first_picture(&frames)?;
                (Source::given(frames), (first.height, first.width))
            }
            Err(retention) => (Source::pushed(retention), (0, 0)),
        };
        let (worker, ids, objects) = (Arc::new(Mutex::new(worker)), Vec::new(), Vec::new());
        Ok(VideoPredictor { worker, config, options, fingerprint, source, size, ids, objects, shows_prompts: true })
    }

    /// How many frames there are.
    pub fn num_frames(&self) -> usize {
        self.source.len()
    }

    /// Height and width of the frames; 0 before the first was pushed.
    pub fn video_size(&self) -> (usize, usize) {
        self.size
    }

    /// The objects, in the order they were first named.
    pub fn obj_ids(&self) -> &[i64] {
        &self.ids
    }

    /// Whether the calls that add or clear prompts make the masks of all objects on the frame. The default is true. With
    /// false, these calls return a `FrameMasks` without objects, and the time to add N objects is proportional to N instead of
    /// N². Calls that write masks into a caller's buffer always make them. Tracking is not affected.
    pub fn show_prompts(&mut self, on: bool) {
        self.shows_prompts = on;
    }

    /// Says where an object is on a frame, by points, a box or both; returns the masks of all objects there.
    ///
    /// A box comes before the points and needs `clear_old_points`, without which the frame's earlier points stay.
    /// Coordinates are pixels of the video, or, without `normalize_coords`, in 0..1.
    ///
    /// **Cost.** As in the reference, every call makes and returns one mask at the video's size for each object that is known,
    /// so that naming N objects one after another makes about N²/2 masks. After [`VideoPredictor::show_prompts`] with `false`
    /// a call makes no masks, and its work does not depend on how many objects there are. The same holds for
    /// [`VideoPredictor::add_new_mask`] and [`VideoPredictor::clear_all_prompts_in_frame`].
    ///
    /// **Corrections.** A prompt on a frame that was not tracked makes it a conditioning frame, which keeps its mask. A prompt
    /// on a frame that was tracked corrects it: the mask is shown at once, but as in the reference the next propagation
    /// over that frame finds it anew and the correction is lost. So after a correction of frame `t`, propagate from `t + 1`
    /// (backwards from `t - 1`): the frames that follow attend to the corrected one.
    /// [`VideoPredictorOptions::legacy_corrections`] keeps corrections through propagation,
    /// `add_all_frames_to_correct_as_cond` in the configuration makes conditioning frames of them. With
    /// `clear_non_cond_mem_around_input` the tracked frames around a prompt are forgotten, corrected ones excepted.
    pub fn add_new_points_or_box(
        &mut self,
        frame_idx: usize,
        obj_id: i64,
        prompt: &Prompt<'_>,
        clear_old_points: bool,
        normalize_coords: bool,
    ) -> Result<FrameMasks> {
        self.add_points(frame_idx, obj_id, prompt, clear_old_points, normalize_coords, None)
    }

    /// As [`VideoPredictor::add_new_points_or_box`] with the masks in a buffer of the caller's: one of all objects, a new one
    /// too.
    pub fn add_new_points_or_box_into(
        &mut self,
        frame_idx: usize,
        obj_id: i64,
        prompt: &Prompt<'_>,
        clear_old_points: bool,
        normalize_coords: bool,
        masks: MaskBuffer<'_>,
    ) -> Result<FrameMasks> {
        self.add_points(frame_idx, obj_id, prompt, clear_old_points, normalize_coords, Some(masks))
    }

    fn add_points(
        &mut self,
        frame_idx: usize,
        obj_id: i64,
        prompt: &Prompt<'_>,
        clear_old_points: bool,
        normalize_coords: bool,
        masks: Option<MaskBuffer<'_>>,
    ) -> Result<FrameMasks> {
        self.source.check(frame_idx)?;
        self.check_buffer(&masks, Some(obj_id), self.size)?;
        let (height, width) = self.size;
        let extent = if normalize_coords { [width as f32, height as f32] } else { [1.0, 1.0] };
        prompt.check(extent, self.config.mask_side())?;
        if prompt.sparse_len() == 0 {
            return Err(Error::input("at least one of points or box must be given"));
        }
        if prompt.mask_input.is_some() {
            return Err(Error::input("a mask is given by add_new_mask"));
        }
        if prompt.box_.is_some() && !clear_old_points {
            return Err(Error::input("a box cannot be added to earlier points: it needs clear_old_points"));
        }
        let nobody = Object::default();
        let object = self.ids.iter().position(|&id| id == obj_id).map_or(&nobody, |i| &self.objects[i]);
        let unit = |p: &Point| Point { x: p.x / extent[0], y: p.y / extent[1], label: p.label };
        let mut points = Vec::new();
        if !clear_old_points {
            points.extend(object.points.get(&frame_idx).into_iter().flatten().copied());
        }
        if let Some([x0, y0, x1, y1]) = prompt.box_ {
            points.push(unit(&Point { x: x0, y: y0, label: 2 }));
            points.push(unit(&Point { x: x1, y: y1, label: 3 }));
        }
        points.extend(prompt.points.iter().map(unit));
        if points.len() > crate::prompt::MAX_POINTS {
            return Err(Error::input(format!("{} points on frame {frame_idx}", points.len())));
        }

        let (initial, reverse, cond) = self.standing(object, frame_idx);
        // Whatever was seen here before is fed back, also where the points are new.
        let earlier = object.temp[!cond as usize].get(frame_idx).or_else(|| object.cond.get(frame_idx));
        let earlier = earlier.or_else(|| object.non_cond.get(&frame_idx)).filter(|out| !out.low_res.is_empty());
        let clamped =
            |out: &Output| try_from_fn(out.low_res.len(), "a mask", |i| out.low_res[i].clamp(-FED_BACK, FED_BACK));
        let fed_back = earlier.map(clamped).transpose()?;
        let past = if initial { None } else { Some(self.past_of(obj_id, object, frame_idx, reverse)?) };
        let selection = self.selection(points.len(), initial);
        let step = Step::new(past, Seen::Points(&points, fed_back.as_deref()), false);
        let out = self.find(frame_idx, step, selection)?;
        self.change(frame_idx, obj_id, masks, |object| {
            object.points.insert(frame_idx, points);
            object.temp[!cond as usize].put(frame_idx, out);
        })
    }

    /// Says where an object is on a frame, by a mask (height, width) of any size, 0 where it is not; returns the masks of
    /// all objects there. An empty mask says that it is not there.
    pub fn add_new_mask(
        &mut self,
        frame_idx: usize,
        obj_id: i64,
        mask: &[u8],
        height: usize,
        width: usize,
    ) -> Result<FrameMasks> {
        let full = full_mask(mask.len(), height, width, self.config.image_size, |i| (mask[i] != 0) as u8 as f32)?;
        self.add_mask(frame_idx, obj_id, full, None)
    }

    /// As [`VideoPredictor::add_new_mask`] with the masks in a buffer of the caller's: one of all objects, a new one too.
    pub fn add_new_mask_into(
        &mut self,
        frame_idx: usize,
        obj_id: i64,
        mask: &[u8],
        height: usize,
        width: usize,
        masks: MaskBuffer<'_>,
    ) -> Result<FrameMasks> {
        let full = full_mask(mask.len(), height, width, self.config.image_size, |i| (mask[i] != 0) as u8 as f32)?;
        self.add_mask(frame_idx, obj_id, full, Some(masks))
    }

    /// As [`VideoPredictor::add_new_mask`] of values that are not only 0 and 1, as the reference takes a tensor: resized to
    /// the side of the model's input they are on the object from 0.5 on; of that very size they are taken as they are.
    pub fn add_new_mask_f32(
        &mut self,
        frame_idx: usize,
        obj_id: i64,
        mask: &[f32],
        height: usize,
        width: usize,
    ) -> Result<FrameMasks> {
        let full = full_values(mask, height, width, self.config.image_size)?;
        self.add_mask(frame_idx, obj_id, full, None)
    }

    /// As [`VideoPredictor::add_new_mask_f32`] with the masks in a buffer of the caller's: one of all objects, a new one too.
    pub fn add_new_mask_f32_into(
        &mut self,
        frame_idx: usize,
        obj_id: i64,
        mask: &[f32],
        height: usize,
        width: usize,
        masks: MaskBuffer<'_>,
    ) -> Result<FrameMasks> {
        let full = full_values(mask, height, width, self.config.image_size)?;
        self.add_mask(frame_idx, obj_id, full, Some(masks))
    }

    fn add_mask(
        &mut self,
        frame_idx: usize,
        obj_id: i64,
        full: Vec<f32>,
        masks: Option<MaskBuffer<'_>>,
    ) -> Result<FrameMasks> {
        self.source.check(frame_idx)?;
        self.check_buffer(&masks, Some(obj_id), self.size)?;
        let (side, low) = (self.config.image_size, self.config.mask_side());
        let nobody = Object::default();
        let object = self.ids.iter().position(|&id| id == obj_id).map_or(&nobody, |i| &self.objects[i]);
        let (initial, reverse, cond) = self.standing(object, frame_idx);
        let empty = full.iter().all(|&v| v <= 0.0);
        let out = if self.config.memory.use_mask_input_as_output_without_sam {
            let logits = resize_mask(side, side, low, |i| full[i] * 20.0 - 10.0)?;
            let step = Step::new(None, Seen::Mask(&full, &logits), empty);
            let out = self.find(frame_idx, step, self.single())?;
            Output { score: if empty { -10.0 } else { 10.0 }, ..out }
        } else {
            let past = if initial { None } else { Some(self.past_of(obj_id, object, frame_idx, reverse)?) };
            let logits = resize_mask(side, side, low, |i| full[i])?;
            let step = Step::new(past, Seen::Points(&[NO_POINT], Some(&logits)), false);
            self.find(frame_idx, step, self.selection(0, initial))?
        };
        self.change(frame_idx, obj_id, masks, |object| {
            object.points.remove(&frame_idx);
            object.temp[!cond as usize].put(frame_idx, out);
        })
    }

    /// Forgets what was said of an object on a frame; returns the masks of all objects there.
    pub fn clear_all_prompts_in_frame(&mut self, frame_idx: usize, obj_id: i64) -> Result<FrameMasks> {
        self.clear_prompts(frame_idx, obj_id, None)
    }

    /// As [`VideoPredictor::clear_all_prompts_in_frame`] with the masks in a buffer of the caller's.
    pub fn clear_all_prompts_in_frame_into(
        &mut self,
        frame_idx: usize,
        obj_id: i64,
        masks: MaskBuffer<'_>,
    ) -> Result<FrameMasks> {
        self.clear_prompts(frame_idx, obj_id, Some(masks))
    }

    fn clear_prompts(&mut self, frame_idx: usize, obj_id: i64, masks: Option<MaskBuffer<'_>>) -> Result<FrameMasks> {
        self.source.check(frame_idx)?;
        self.known(obj_id)?;
        self.check_buffer(&masks, None, self.size)?;
        self.change(frame_idx, obj_id, masks, |object| object.clear(frame_idx))
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

    /// A predictor that knows what this one does and goes its own way from here, as to try a prompt. Nothing large is copied:
    /// both share memories, frames and the queue of work on the device. A frame that either pushes is a next frame for both,
    /// where it takes the place of one in a GPU's memory.
    pub fn fork(&self) -> VideoPredictor {
        VideoPredictor {
            worker: self.worker.clone(),
            config: self.config.clone(),
            source: self.source.clone(),
            ids: self.ids.clone(),
            objects: self.objects.clone(),
            ..*self
        }
    }

    /// Work done so far, by forks too.
    pub fn counters(&self) -> Counters {
        self.lock().counters()
    }

    /// Starts timing the stages of every frame, forks' too, each alone on the device; or stops, and returns what was
    /// measured since.
    pub fn profile(&mut self, on: bool) -> Vec<StageTime> {
        self.lock().profile(on)
    }

    /// Shows intermediate results of the calls to come, of forks too; for debugging and tests.
    pub fn set_probe(&mut self, probe: Option<Probe>) {
        self.lock().set_probe(probe);
    }

    /// Bytes held: of the device beside the model's weights, forks included, and of the host for memories, masks and
    /// pushed frames.
    pub fn memory_bytes(&self) -> [usize; 2] {
        let [device, mut host] = self.lock().bytes();
        let outputs = self.objects.iter().flat_map(|o| {
            o.temp
                .iter()
                .chain([&o.cond])
                .flat_map(|outputs| outputs.iter().map(|(_, out)| out))
                .chain(o.non_cond.values())
        });
        host += outputs.map(|out| out.low_res.len() * 4).sum::<usize>();
        if let Source::Pushed(p) = &self.source {
            host += p.kept.iter().flat_map(|k| &k.picture).map(|p| p.pixels.len()).sum::<usize>();
        }
        [device, host]
    }

    /// What an object takes at most in a stream that keeps a window: bytes of memories, pointers and the mask that is shown (on
    /// the device, but for memories that are offloaded) and of masks on the host, with one conditioning frame and a correction of every frame that
    /// is kept; a further conditioning frame takes one of each more. The bank that memories and pointers of all objects lie
    /// in grows by doubling, and does not shrink. None where everything is kept.
    pub fn object_bytes(&self) -> Option<[usize; 2]> {
        let Source::Pushed(pushed) = &self.source else { return None };
        let Retention::Window(n) = pushed.retention else { return None };
        let [map, pointer] = slot_bytes(&self.config);
        let ([maps, pointers], kept) = (self.slots_of_an_object(), n.saturating_add(1));
        let low = self.config.mask_side() * self.config.mask_side() * 4;
        let device = maps.saturating_mul(map).saturating_add(pointers.saturating_mul(pointer)).saturating_add(low);
        Some([device, kept.saturating_mul(2).saturating_add(2).saturating_mul(low)])
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Box<dyn VideoWorker>> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The worker, with a frame as its current one.
    pub(super) fn on(&self, frame: usize) -> Result<MutexGuard<'_, Box<dyn VideoWorker>>> {
        let key = self.source.key(frame)?;
        let mut worker = self.lock();
        if worker.current() != Some(key) {
            let (picture, (h, w)) = (self.source.picture(frame)?, self.size);
            if (picture.height, picture.width) != (h, w) {
                let (height, width) = (picture.height, picture.width);
                return Err(Error::input(format!("frame {frame} has {width}x{height} pixels, the first {w}x{h}")));
            }
            worker.encode(key, &picture.frame()?)?;
        }
        Ok(worker)
    }

    fn known(&self, obj_id: i64) -> Result<usize> {
        let index = self.ids.iter().position(|&id| id == obj_id);
        index.ok_or_else(|| Error::input(format!("no object {obj_id}: there are {:?}", self.ids)))
    }

    /// Changes what is known of an object, which is new where it was not known, and returns the masks of all objects on a
    /// frame; nothing is changed where there is no memory for them.
    fn change(
        &mut self,
        frame: usize,
        obj_id: i64,
        masks: Option<MaskBuffer<'_>>,
        change: impl FnOnce(&mut Object),
    ) -> Result<FrameMasks> {
        let known = self.ids.iter().position(|&id| id == obj_id);
        let index = known.unwrap_or_else(|| {
            self.ids.push(obj_id);
            self.objects.push(Object::default());
            self.ids.len() - 1
        });
        if !self.shows_prompts && masks.is_none() {
            // No mask is made, so nothing can fail, and no copy of the object is needed.
            change(&mut self.objects[index]);
            return Ok(FrameMasks { frame_idx: frame, ..Default::default() });
        }
        let before = self.objects[index].clone();
        change(&mut self.objects[index]);
        let shown = self.masks_on(frame, masks);
        if shown.is_err() {
            self.objects[index] = before;
            let count = self.ids.len() - known.is_none() as usize;
            self.ids.truncate(count);
            self.objects.truncate(count);
        }
        shown
    }

    /// What an object that was tracked on a frame remembers.
    fn past_of(&self, obj_id: i64, object: &Object, frame: usize, reverse: bool) -> Result<Past> {
        if object.cond.is_empty() {
            let what = format!("object {obj_id} was tracked to frame {frame}, but what that came from was cleared");
            return Err(Error::input(format!("{what}: say where it is on another frame, or remove it first")));
        }
        Ok(self.past(object, frame, reverse))
    }

    /// Whether a frame is one where an object is first seen, the direction it was tracked in, and whether what is said
    /// of it now makes it a conditioning frame.
    fn standing(&self, object: &Object, frame: usize) -> (bool, bool, bool) {
        let tracked = object.tracked.get(&frame);
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
    pub(super) fn selection(&self, points: usize, initial: bool) -> Selection {
        let m = &self.config.memory;
        let several = m.multimask_output_in_sam
            && (initial || m.multimask_output_for_tracking)
            && (m.multimask_min_pt_num..=m.multimask_max_pt_num).contains(&points);
        if several { Selection::Best } else { self.single() }
    }

    pub(super) fn how(&self, selection: Selection, remember: bool) -> How {
        How { selection, remember, fill_hole_area: self.config.memory.fill_hole_area as f32 }
    }

    /// What an object remembers, as seen from a frame.
    pub(super) fn past(&self, object: &Object, frame: usize, reverse: bool) -> Past {
        object.past(Place { frame, reverse, len: self.source.known_len() }, &self.config.memory)
    }

    /// Finds one object on a frame.
    fn find(&self, frame: usize, step: Step<'_>, selection: Selection) -> Result<Output> {
        let mut steps = [step];
        self.on(frame)?.find(&mut steps, self.how(selection, false), Show::default())?;
        let [step] = steps;
        let pointer = step.pointer.ok_or_else(|| Error::Internal("a step without a pointer".into()))?;
        Ok(Output { low_res: step.low_res, score: step.score, pointer, memory: None })
    }
}

/// A mask of `len` values at the side of the model's input: of another size it is resized, and on the object from 0.5 on.
fn full_mask(len: usize, height: usize, width: usize, side: usize, value: impl Fn(usize) -> f32) -> Result<Vec<f32>> {
    if height == 0 || width == 0 || height.checked_mul(width) != Some(len) {
        return Err(Error::input(format!("a mask of {len} values for {width}x{height} pixels")));
    }
    if (height, width) == (side, side) {
        return try_from_fn(len, "a mask", value);
    }
    let resized = resize_mask(width, height, side, value)?;
    Ok(resized.into_iter().map(|v| (v >= 0.5) as u8 as f32).collect())
}

/// As [`full_mask`] of floats, which are finite.
fn full_values(mask: &[f32], height: usize, width: usize, side: usize) -> Result<Vec<f32>> {
    let full = full_mask(mask.len(), height, width, side, |i| mask[i])?;
    if let Some(i) = mask.iter().position(|v| !v.is_finite()) {
        let (x, y) = (i % width, i / width);
        return Err(Error::input(format!("a mask whose value at ({x}, {y}) is {}, not a finite number", mask[i])));
    }
    Ok(full)
}

//! Prompts on the objects of a video. A prompt returns the masks of the frame.

use super::bank::{Kind, Slot};
use super::frame_masks::FrameMasks;
use super::object::{MemoryContext, Object, Output};
use super::options::PointOptions;
use super::predictor::VideoPredictor;
use super::worker::{ObjectStep, OutputRequest, StepPrompt};
use crate::backend::Selection;
use crate::error::{Error, Result};
use crate::masks::buffer::MaskBuffer;
use crate::media::size::Size;
use crate::memory::try_from_fn;
use crate::session::prompt::{Point, Prompt, resize_mask};

/// The point that the reference passes with a mask. Its label is that of an ignored point.
const NO_POINT: Point = Point { x: 0.0, y: 0.0, label: -1 };

/// Mask logits that are used as mask input are clamped to plus or minus this value.
const FED_BACK: f32 = 32.0;

/// The state of an object on a frame that gets a prompt.
struct Standing {
    /// Whether the object was not tracked on the frame.
    initial: bool,
    /// Whether the object was tracked backwards.
    reverse: bool,
    /// Whether a prompt makes the frame a conditioning frame of the object.
    cond: bool,
}

impl VideoPredictor {
    /// Adds points, a box or both as a prompt for an object on a frame. Returns the masks of all objects on the frame.
    ///
    /// A box comes before the points and needs [`PointOptions::clear_old_points`].
    ///
    /// **Cost.** As in the reference, every call makes and returns one mask at the size of the video for each object.
    /// Adding N objects one after another thus makes about N²/2 masks. After [`VideoPredictor::set_show_prompts`] with
    /// `false`, a call makes no masks, and its work does not depend on the number of objects. The same holds for
    /// [`VideoPredictor::add_new_mask`] and [`VideoPredictor::clear_all_prompts_in_frame`].
    ///
    /// **Corrections.** A prompt on a frame that was not tracked makes the frame a conditioning frame, which keeps its
    /// mask. A prompt on a tracked frame corrects the mask. As in the reference, a later propagation over a corrected
    /// frame computes its mask again, and the correction is lost. After a correction of frame `t`, propagate from
    /// `t + 1`, or backwards from `t - 1`: the next frames attend to the corrected frame.
    /// [`legacy_corrections`](crate::VideoPredictorOptions::legacy_corrections) keeps corrections through propagation.
    /// `add_all_frames_to_correct_as_cond` in the configuration makes corrected frames conditioning frames. With
    /// `clear_non_cond_mem_around_input`, the tracked frames around a prompt are removed, except corrected frames.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if there is no such frame, if the frame is no longer kept, or if the prompt is out of its
    /// range. [`Error::Io`], [`Error::Picture`], [`Error::Video`] or [`Error::Ffmpeg`] if the frame cannot be read.
    /// [`Error::OutOfMemory`] if memory is exhausted. [`Error::Device`] if the device fails. After an error the
    /// predictor is unchanged.
    pub fn add_new_points_or_box(
        &mut self,
        frame_idx: usize,
        obj_id: i64,
        prompt: &Prompt<'_>,
        options: PointOptions,
    ) -> Result<FrameMasks> {
        self.add_points(frame_idx, obj_id, prompt, options, None)
    }

    /// Adds a prompt as [`VideoPredictor::add_new_points_or_box`] does, and writes the masks to a caller-provided
    /// buffer. The buffer has room for the masks of all objects, a new object included.
    ///
    /// # Errors
    ///
    /// As [`VideoPredictor::add_new_points_or_box`]. [`Error::Input`] also if the buffer does not fit the masks.
    pub fn add_new_points_or_box_into(
        &mut self,
        frame_idx: usize,
        obj_id: i64,
        prompt: &Prompt<'_>,
        options: PointOptions,
        masks: MaskBuffer<'_>,
    ) -> Result<FrameMasks> {
        self.add_points(frame_idx, obj_id, prompt, options, Some(masks))
    }

    fn add_points(
        &mut self,
        frame_idx: usize,
        obj_id: i64,
        prompt: &Prompt<'_>,
        options: PointOptions,
        masks: Option<MaskBuffer<'_>>,
    ) -> Result<FrameMasks> {
        let PointOptions { clear_old_points, normalize_coords } = options;
        self.source.check(frame_idx)?;
        self.check_buffer(&masks, Some(obj_id), self.size)?;
        let extent = if normalize_coords { [self.size.width as f32, self.size.height as f32] } else { [1.0, 1.0] };
        prompt.check(extent, self.config.mask_side())?;
        if prompt.sparse_len() == 0 {
            return Err(Error::input("at least one of points or box must be given"));
        }
        if prompt.mask_input.is_some() {
            return Err(Error::input("a mask is given by add_new_mask"));
        }
        if prompt.bounds.is_some() && !clear_old_points {
            return Err(Error::input("a box cannot be added to earlier points: it needs clear_old_points"));
        }
        let new = Object::default();
        let object = self.ids.iter().position(|&id| id == obj_id).map_or(&new, |i| &self.objects[i]);
        let unit = |p: &Point| Point { x: p.x / extent[0], y: p.y / extent[1], label: p.label };
        let mut points = Vec::new();
        if !clear_old_points {
            points.extend(object.points.get(&frame_idx).into_iter().flatten().copied());
        }
        if let Some([x0, y0, x1, y1]) = prompt.bounds {
            points.push(unit(&Point { x: x0, y: y0, label: 2 }));
            points.push(unit(&Point { x: x1, y: y1, label: 3 }));
        }
        points.extend(prompt.points.iter().map(unit));
        if points.len() > crate::session::prompt::MAX_POINTS {
            return Err(Error::input(format!("{} points on frame {frame_idx}", points.len())));
        }

        let Standing { initial, reverse, cond } = self.standing(object, frame_idx);
        // Whatever was seen here before is fed back, also where the points are new.
        let earlier = object.temp[!cond as usize].get(frame_idx).or_else(|| object.cond.get(frame_idx));
        let earlier = earlier.or_else(|| object.non_cond.get(frame_idx)).and_then(|out| out.mask.as_ref());
        let fed_back = earlier.map(|mask| self.fed_back(mask)).transpose()?;
        let past = if initial { None } else { Some(self.memory_context_of(obj_id, object, frame_idx, reverse)?) };
        let selection = self.selection(points.len(), initial);
        let step = ObjectStep::new(past, StepPrompt::Points(&points, fed_back.as_deref()), false);
        let out = self.decode_one(frame_idx, step, selection)?;
        self.change(frame_idx, obj_id, masks, |object| {
            object.points.insert(frame_idx, points);
            object.temp[!cond as usize].put(frame_idx, out);
        })
    }

    /// Adds a mask as the prompt for an object on a frame. The mask may have any size, and its value is 0 on the
    /// background. Returns the masks of all objects on the frame. An empty mask means that the object is not on the
    /// frame.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if the number of values is not the number of pixels. The other errors are those of
    /// [`VideoPredictor::add_new_points_or_box`].
    pub fn add_new_mask(&mut self, frame_idx: usize, obj_id: i64, mask: &[u8], size: Size) -> Result<FrameMasks> {
        let full = full_mask(mask.len(), size, self.config.image_size, |i| (mask[i] != 0) as u8 as f32)?;
        self.add_mask(frame_idx, obj_id, full, None)
    }

    /// Adds a mask as [`VideoPredictor::add_new_mask`] does, and writes the masks to a caller-provided buffer. The
    /// buffer has room for the masks of all objects, a new object included.
    ///
    /// # Errors
    ///
    /// As [`VideoPredictor::add_new_mask`]. [`Error::Input`] also if the buffer does not fit the masks.
    pub fn add_new_mask_into(
        &mut self,
        frame_idx: usize,
        obj_id: i64,
        mask: &[u8],
        size: Size,
        masks: MaskBuffer<'_>,
    ) -> Result<FrameMasks> {
        let full = full_mask(mask.len(), size, self.config.image_size, |i| (mask[i] != 0) as u8 as f32)?;
        self.add_mask(frame_idx, obj_id, full, Some(masks))
    }

    /// Adds a mask as [`VideoPredictor::add_new_mask`] does, with any float values, as the reference takes a tensor.
    /// The mask is resized to the side of the model's input, and values of at least 0.5 are then on the object. If the
    /// mask already has that size, the values are used unchanged.
    ///
    /// # Errors
    ///
    /// As [`VideoPredictor::add_new_mask`]. [`Error::Input`] also if a value is not a finite number.
    pub fn add_new_mask_f32(&mut self, frame_idx: usize, obj_id: i64, mask: &[f32], size: Size) -> Result<FrameMasks> {
        let full = full_values(mask, size, self.config.image_size)?;
        self.add_mask(frame_idx, obj_id, full, None)
    }

    /// Adds a mask as [`VideoPredictor::add_new_mask_f32`] does, and writes the masks to a caller-provided buffer. The
    /// buffer has room for the masks of all objects, a new object included.
    ///
    /// # Errors
    ///
    /// As [`VideoPredictor::add_new_mask_f32`]. [`Error::Input`] also if the buffer does not fit the masks.
    pub fn add_new_mask_f32_into(
        &mut self,
        frame_idx: usize,
        obj_id: i64,
        mask: &[f32],
        size: Size,
        masks: MaskBuffer<'_>,
    ) -> Result<FrameMasks> {
        let full = full_values(mask, size, self.config.image_size)?;
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
        let new = Object::default();
        let object = self.ids.iter().position(|&id| id == obj_id).map_or(&new, |i| &self.objects[i]);
        let Standing { initial, reverse, cond } = self.standing(object, frame_idx);
        let empty = full.iter().all(|&v| v <= 0.0);
        let out = if self.config.memory.use_mask_input_as_output_without_sam {
            let logits = resize_mask(Size::new(side, side), low, |i| full[i] * 20.0 - 10.0)?;
            let step = ObjectStep::new(None, StepPrompt::Mask(&full, &logits), empty);
            let out = self.decode_one(frame_idx, step, self.single())?;
            Output { score: if empty { -10.0 } else { 10.0 }, ..out }
        } else {
            let past = if initial { None } else { Some(self.memory_context_of(obj_id, object, frame_idx, reverse)?) };
            let logits = resize_mask(Size::new(side, side), low, |i| full[i])?;
            let step = ObjectStep::new(past, StepPrompt::Points(&[NO_POINT], Some(&logits)), false);
            self.decode_one(frame_idx, step, self.selection(0, initial))?
        };
        self.change(frame_idx, obj_id, masks, |object| {
            object.points.remove(&frame_idx);
            object.temp[!cond as usize].put(frame_idx, out);
        })
    }

    /// Removes the prompts of an object on a frame. Returns the masks of all objects on the frame.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if there is no such frame or object, or if the frame is no longer kept. [`Error::OutOfMemory`]
    /// if memory is exhausted. [`Error::Device`] if the device fails.
    pub fn clear_all_prompts_in_frame(&mut self, frame_idx: usize, obj_id: i64) -> Result<FrameMasks> {
        self.clear_prompts(frame_idx, obj_id, None)
    }

    /// Removes prompts as [`VideoPredictor::clear_all_prompts_in_frame`] does, and writes the masks to a
    /// caller-provided buffer.
    ///
    /// # Errors
    ///
    /// As [`VideoPredictor::clear_all_prompts_in_frame`]. [`Error::Input`] also if the buffer does not fit the masks.
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

    /// Changes an object, or adds the object if it is new. Returns the masks of all objects on a frame. If there is no
    /// memory for the masks, nothing is changed.
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

    /// Returns the memories that a tracked object attends to on a frame. Fails if the object has no conditioning frame.
    fn memory_context_of(&self, obj_id: i64, object: &Object, frame: usize, reverse: bool) -> Result<MemoryContext> {
        if object.cond.is_empty() {
            let what = format!("object {obj_id} was tracked to frame {frame}, but what that came from was cleared");
            return Err(Error::input(format!("{what}: say where it is on another frame, or remove it first")));
        }
        let mut context = MemoryContext::default();
        self.memory_context(object, frame, reverse, &mut context);
        Ok(context)
    }

    /// Returns the state of an object on a frame that gets a prompt.
    fn standing(&self, object: &Object, frame: usize) -> Standing {
        let tracked = object.tracked.get(frame);
        let initial = tracked.is_none();
        let cond = initial || self.config.memory.add_all_frames_to_correct_as_cond;
        Standing { initial, reverse: tracked.copied().unwrap_or(false), cond }
    }

    /// Decodes one object on a frame.
    fn decode_one(&self, frame: usize, step: ObjectStep<'_>, selection: Selection) -> Result<Output> {
        let mut steps = [step];
        self.on(frame)?.step_objects(
            &mut steps,
            self.step_options(selection, false),
            OutputRequest::default(),
            None,
            &mut Vec::new(),
        )?;
        let [step] = steps;
        let pointer = step.pointer.ok_or_else(|| Error::Internal("a step without a pointer".into()))?;
        Ok(Output { mask: step.mask, score: step.score, pointer, memory: None })
    }

    /// Returns the logits of a mask as the mask input of a correction.
    fn fed_back(&self, mask: &Slot) -> Result<Vec<f32>> {
        let bytes = self.lock().read(Kind::Mask, mask)?;
        let logit = |i: usize| f32::from_ne_bytes(std::array::from_fn(|k| bytes[i * 4 + k]));
        try_from_fn(bytes.len() / 4, "a mask", |i| logit(i).clamp(-FED_BACK, FED_BACK))
    }
}

/// Returns a mask of `len` values at the side of the model's input. A mask of another size is resized, and values of at
/// least 0.5 are then on the object.
fn full_mask(len: usize, size: Size, side: usize, value: impl Fn(usize) -> f32) -> Result<Vec<f32>> {
    if len == 0 || size.pixels() != len {
        return Err(Error::input(format!("a mask of {len} values for {size} pixels")));
    }
    if size == Size::new(side, side) {
        return try_from_fn(len, "a mask", value);
    }
    let resized = resize_mask(size, side, value)?;
    Ok(resized.into_iter().map(|v| (v >= 0.5) as u8 as f32).collect())
}

/// As [`full_mask`] for floats. Fails if a float is not finite.
fn full_values(mask: &[f32], size: Size, side: usize) -> Result<Vec<f32>> {
    let full = full_mask(mask.len(), size, side, |i| mask[i])?;
    if let Some(i) = mask.iter().position(|v| !v.is_finite()) {
        let (x, y) = (i % size.width, i / size.width);
        return Err(Error::input(format!("a mask whose value at ({x}, {y}) is {}, not a finite number", mask[i])));
    }
    Ok(full)
}

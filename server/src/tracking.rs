//! What units of work do with a session: prompts, one tracked frame, a pushed frame.

use crate::lane::Lane;
use crate::masks::FramePrompt;
use crate::problem::Problem;
use crate::sessions::{MAX_OBJECTS, Session};
use crate::tracks::Tracked;
use sam2::picture::Picture;
use sam2::{Direction, FrameMasks, MaskBuffer, PointOptions, Size, VideoPredictor};
use std::sync::Mutex;

/// A prompt, as it is asked for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The frame.
    pub frame: usize,
    /// The object.
    pub object: i64,
    /// The prompt.
    pub prompt: FramePrompt,
    /// Whether earlier points of the object on the frame are dropped.
    pub clear: bool,
    /// Whether coordinates are 0 to 1.
    pub normalized: bool,
}

/// Memory for the masks of some objects.
fn buffer(objects: usize, size: Size) -> Result<Vec<u8>, Problem> {
    let mut masks = Vec::new();
    let bytes = objects.saturating_mul(size.pixels());
    masks.try_reserve_exact(bytes).map_err(|_| Problem::full("no memory for the masks"))?;
    masks.resize(bytes, 0);
    Ok(masks)
}

/// Adds a prompt to a predictor, and returns the masks of the frame.
fn add(predictor: &mut VideoPredictor, ask: &Ask) -> Result<Vec<Tracked>, Problem> {
    let size = predictor.video_size();
    let new = !predictor.obj_ids().contains(&ask.object);
    let objects = predictor.obj_ids().len() + usize::from(new);
    if objects > MAX_OBJECTS {
        return Err(Problem::input(format!("a session has at most {MAX_OBJECTS} objects")));
    }
    let mut masks = buffer(objects, size)?;
    let found = match &ask.prompt.mask {
        Some(mask) => {
            let mask = mask.rle.decode(size)?;
            predictor.add_new_mask_into(ask.frame, ask.object, &mask, size, MaskBuffer::binary(&mut masks))?
        }
        None => {
            let options = PointOptions { clear_old_points: ask.clear, normalize_coords: !ask.normalized };
            let prompt = ask.prompt.prompt();
            let to = MaskBuffer::binary(&mut masks);
            predictor.add_new_points_or_box_into(ask.frame, ask.object, &prompt, options, to)?
        }
    };
    Tracked::all(&found, &masks, size)
}

/// Masks that the engine returned as logits.
fn of_logits(found: &FrameMasks, size: Size) -> Result<Vec<Tracked>, Problem> {
    let masks: Vec<u8> = found.masks.iter().map(|&logit| u8::from(logit > 0.0)).collect();
    Tracked::all(found, &masks, size)
}

/// A session on a lane.
#[derive(Debug)]
pub struct Visit<'a> {
    /// The lane.
    pub lane: &'a mut Lane,
    /// The predictor whose worker all sessions share.
    pub root: &'a Mutex<VideoPredictor>,
    /// The session.
    pub session: &'a Session,
}

impl Visit<'_> {
    fn with<R>(
        &mut self,
        shown: Option<usize>,
        work: impl FnOnce(&mut VideoPredictor) -> Result<R, Problem>,
    ) -> Result<R, Problem> {
        self.session.visit(self.lane, self.root, shown, work)
    }

    /// Encodes a frame ahead of the first prompt on it.
    ///
    /// # Errors
    ///
    /// `input` if there is no such frame.
    pub fn encode(&mut self, frame: usize) -> Result<(), Problem> {
        self.with(Some(frame), |predictor| {
            let features = predictor.take_features(frame)?;
            Ok(predictor.set_features(features)?)
        })
    }

    /// Adds a prompt. Returns the masks of all objects on the frame.
    ///
    /// # Errors
    ///
    /// `input`.
    pub fn prompt(&mut self, ask: &Ask) -> Result<Vec<Tracked>, Problem> {
        let masks = self.with(Some(ask.frame), |predictor| add(predictor, ask))?;
        let mut record = self.session.record();
        if !record.objects.contains(&ask.object) {
            record.objects.push(ask.object);
        }
        let place = record.prompts.entry((ask.frame, ask.object)).or_default();
        let mut new = ask.prompt.clone();
        if !ask.clear && ask.prompt.mask.is_none() {
            new.points.splice(0..0, place.points.iter().copied());
            new.bounds = place.bounds;
        }
        *place = new;
        record.tracks.set(ask.frame, masks.clone());
        Ok(masks)
    }

    /// The mask that a prompt would give. Nothing changes.
    ///
    /// # Errors
    ///
    /// `input`.
    pub fn preview(&mut self, ask: &Ask) -> Result<Vec<Tracked>, Problem> {
        let masks = self.with(Some(ask.frame), |predictor| add(&mut predictor.fork(), ask))?;
        Ok(masks.into_iter().filter(|mask| mask.object == ask.object).collect())
    }

    /// Drops the prompts of an object on a frame. An object without prompts on other frames is removed. Returns the
    /// masks of the frame.
    ///
    /// # Errors
    ///
    /// `not-found` if there are no such prompts.
    pub fn clear(&mut self, frame: usize, object: i64) -> Result<Vec<Tracked>, Problem> {
        {
            let record = self.session.record();
            if !record.prompts.contains_key(&(frame, object)) {
                return Err(Problem::not_found(format!("object {object} has no prompts on frame {frame}")));
            }
            let last = !record.prompts.keys().any(|&(f, o)| o == object && f != frame);
            drop(record);
            if last {
                let frames = self.remove(object)?;
                return Ok(frames.into_iter().find(|(f, _)| *f == frame).map(|(_, masks)| masks).unwrap_or_default());
            }
        }
        self.clear_points(frame, object)
    }

    /// Drops the prompts of an object on a frame. The object stays, also without prompts. Returns the masks of the
    /// frame.
    ///
    /// # Errors
    ///
    /// `input` if there is no such object or frame.
    pub fn clear_points(&mut self, frame: usize, object: i64) -> Result<Vec<Tracked>, Problem> {
        let masks = self.with(Some(frame), |predictor| {
            let size = predictor.video_size();
            let mut masks = buffer(predictor.obj_ids().len(), size)?;
            let found = predictor.clear_all_prompts_in_frame_into(frame, object, MaskBuffer::binary(&mut masks))?;
            Tracked::all(&found, &masks, size)
        })?;
        let mut record = self.session.record();
        record.prompts.remove(&(frame, object));
        record.tracks.set(frame, masks.clone());
        Ok(masks)
    }

    /// Removes an object. Returns the masks of the frames that had its prompts.
    ///
    /// # Errors
    ///
    /// `not-found` if there is no such object.
    pub fn remove(&mut self, object: i64) -> Result<Vec<(usize, Vec<Tracked>)>, Problem> {
        if !self.session.record().objects.contains(&object) {
            return Err(Problem::not_found(format!("no object {object}")));
        }
        let frames = self.with(None, |predictor| {
            let size = predictor.video_size();
            let removed = predictor.remove_object(object)?;
            removed.iter().map(|found| Ok((found.frame_idx, of_logits(found, size)?))).collect::<Result<Vec<_>, _>>()
        })?;
        let mut record = self.session.record();
        record.objects.retain(|&o| o != object);
        record.prompts.retain(|(_, o), _| *o != object);
        record.tracks.remove(object);
        frames.iter().for_each(|(frame, masks)| record.tracks.set(*frame, masks.clone()));
        Ok(frames)
    }

    /// Removes all objects.
    ///
    /// # Errors
    ///
    /// Those of restoring a saved session.
    pub fn reset(&mut self) -> Result<(), Problem> {
        self.with(None, |predictor| {
            predictor.reset_state();
            Ok(())
        })?;
        let mut record = self.session.record();
        record.objects.clear();
        record.prompts.clear();
        record.tracks.clear();
        Ok(())
    }

    /// Tracks all objects to one frame. Without a frame, to the earliest frame with a prompt.
    ///
    /// # Errors
    ///
    /// `input` if no object has a prompt.
    pub fn track(&mut self, frame: Option<usize>, direction: Direction) -> Result<(usize, Vec<Tracked>), Problem> {
        let found = self.with(None, |predictor| {
            let size = predictor.video_size();
            let mut masks = buffer(predictor.obj_ids().len(), size)?;
            // The first frame can be reached backwards only from the second one, which stays as it is.
            let (start, more) = match (frame, direction) {
                (Some(0), Direction::Backward) => (Some(1), 1),
                _ => (frame, 0),
            };
            let mut last = None;
            let to = MaskBuffer::binary(&mut masks);
            predictor.propagate_in_video_into(start, Some(more), direction, to, |found, masks| {
                let tracked = masks.contents().map(|masks| Tracked::all(&found, masks, size));
                last = tracked.map(|tracked| (found.frame_idx, tracked));
                true
            })?;
            let (frame, tracked) = last.ok_or_else(|| Problem::input("no frame was tracked"))?;
            Ok((frame, tracked?))
        })?;
        self.session.record().tracks.set(found.0, found.1.clone());
        Ok(found)
    }

    /// Pushes a frame of a stream, and tracks all objects to it.
    ///
    /// # Errors
    ///
    /// `input` if the session is no stream, or the frame has another size.
    pub fn push(&mut self, picture: &Picture) -> Result<(usize, Vec<Tracked>), Problem> {
        let window = match self.session.media {
            crate::sessions::Media::Stream(window) => window,
            crate::sessions::Media::Video(_) => return Err(Problem::input("the session is one of a video")),
        };
        let size = picture.size();
        let (frame, masks) = self.with(None, |predictor| {
            let mut masks = buffer(predictor.obj_ids().len(), size)?;
            let mut found = FrameMasks::default();
            predictor.push_frame_into(&picture.frame()?, MaskBuffer::binary(&mut masks), &mut found)?;
            Ok((found.frame_idx, Tracked::all(&found, &masks, size)?))
        })?;
        let mut record = self.session.record();
        (record.frames, record.size) = (frame + 1, [size.width, size.height]);
        record.tracks.set(frame, masks.clone());
        // Masks of frames that are not kept are not kept.
        let first = frame.saturating_sub(window);
        record.tracks.forget_before(first);
        Ok((frame, masks))
    }
}

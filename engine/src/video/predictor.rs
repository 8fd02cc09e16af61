//! The video predictor: masks of objects through a video.
//!
//! The behaviour is that of the reference's `SAM2VideoPredictor` for each object. This includes when corrections are
//! kept and when they are lost.

use super::bank::Kind;
use super::frame_masks::FrameMasks;
use super::object::{FrameContext, MemoryContext, Object, Output};
use super::source::{Retention, Source, VideoSource};
use super::worker::{ObjectStep, OutputMask, StepOptions, VideoWorker};
use crate::backend::{Counters, MemoryUse, ProbeFn, Selection, StageTime};
use crate::error::{Error, Result};
use crate::masks::buffer::Extent;
use crate::media::frames::Frames;
use crate::media::picture::Picture;
use crate::media::size::Size;
use crate::model::config::Config;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Options for the state that a video predictor keeps. The defaults are those of the reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VideoPredictorOptions {
    /// Whether a correction on a tracked frame outlasts the next propagation over that frame, as in the reference's
    /// legacy predictor. By default propagation computes the mask of the frame again, as
    /// [`VideoPredictor::add_new_points_or_box`] says. A further click on a conditioning frame that was tracked is lost
    /// in both cases. With `add_all_frames_to_correct_as_cond` in the configuration, corrections and clicks are kept.
    pub legacy_corrections: bool,
    /// Whether memories and masks are kept in the host's memory and copied to the device when needed. Frames are always
    /// in the host's memory.
    pub offload_state_to_cpu: bool,
    /// Whether [`VideoPredictor::propagate_in_video`] removes tracked frames that propagation no longer attends to, so
    /// that memory does not grow with the number of frames. The masks are the same, also those of a second propagation
    /// from the same start in the other direction. A removed frame counts as not tracked: a later prompt on the frame
    /// makes it a conditioning frame.
    pub forget_tracked_frames: bool,
}

/// Reads frame 0. If damaged frames are skipped, reads the first frame that decodes.
fn first_picture(frames: &Frames) -> Result<Arc<Picture>> {
    let damaged = |read: &Result<_>| frames.keeps_damaged() && matches!(read, Err(Error::Picture { .. }));
    let whole = (0..frames.len()).map(|i| frames.read(i)).find(|read| !damaged(read));
    whole.unwrap_or_else(|| frames.read(0))
}

/// Tracks objects through a video.
///
/// One thread uses a predictor at a time. A predictor and its forks share a queue of work on the device.
pub struct VideoPredictor {
    pub(super) worker: Arc<Mutex<Box<dyn VideoWorker>>>,
    pub(super) config: Arc<Config>,
    pub(super) options: VideoPredictorOptions,
    /// The fingerprint of the model's weights.
    pub(super) fingerprint: u64,
    pub(super) source: Source,
    pub(super) size: Size,
    pub(super) ids: Vec<i64>,
    pub(super) objects: Vec<Object>,
    /// Whether prompts return masks.
    pub(super) shows_prompts: bool,
    pub(super) lists: TrackingLists,
}

/// Lists for the frame that is tracked. Their allocations are kept from frame to frame.
#[derive(Default)]
pub(super) struct TrackingLists {
    /// The indices of the objects that are decoded on the frame. Their steps are in `steps`.
    pub due: Vec<usize>,
    pub steps: Vec<ObjectStep<'static>>,
    /// Steps that are not in use.
    pub spare: Vec<ObjectStep<'static>>,
    /// The masks of all objects.
    pub outputs: Vec<OutputMask>,
    pub extents: Vec<Extent>,
}

impl fmt::Debug for VideoPredictor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("VideoPredictor");
        out.field("options", &self.options).field("video_size", &self.size).field("num_frames", &self.num_frames());
        out.field("obj_ids", &self.ids).finish_non_exhaustive()
    }
}

impl VideoPredictor {
    pub(crate) fn new(
        worker: Arc<Mutex<Box<dyn VideoWorker>>>,
        config: Arc<Config>,
        fingerprint: u64,
        source: VideoSource,
        options: VideoPredictorOptions,
    ) -> Result<Self> {
        if !config.memory.directly_add_no_mem_embed {
            return Err(Error::config("model.directly_add_no_mem_embed", "only true is implemented for videos"));
        }
        let (source, size) = match source {
            VideoSource::Frames(frames) if frames.is_empty() => return Err(Error::input("a video without frames")),
            VideoSource::Frames(frames) => {
                let first = first_picture(&frames)?;
                (Source::given(frames), first.size())
            }
            VideoSource::Stream(retention) => (Source::pushed(retention), Size::default()),
        };
        let (ids, objects) = (Vec::new(), Vec::new());
        Ok(VideoPredictor {
            worker,
            config,
            options,
            fingerprint,
            source,
            size,
            ids,
            objects,
            shows_prompts: true,
            lists: TrackingLists::default(),
        })
    }

    /// Creates a predictor for the frames of another video, which shares the worker of this predictor: its queue of work
    /// on the device, its scratch memory, and the memory of its bank. The new predictor has no objects. Many idle
    /// predictors of one worker take only the memory of their objects and frames.
    ///
    /// The predictors of a worker may be on different threads, and then wait for each other. A worker has the features
    /// of one frame, so a prompt after a call of another predictor encodes its frame again.
    /// [`VideoPredictor::take_features`] and [`VideoPredictor::set_features`] avoid that.
    ///
    /// # Errors
    ///
    /// As [`Model::video_predictor`](crate::Model::video_predictor). [`Error::Input`] also if
    /// [`VideoPredictorOptions::offload_state_to_cpu`] is not that of this predictor.
    pub fn beside(&self, frames: Frames, options: VideoPredictorOptions) -> Result<VideoPredictor> {
        self.beside_source(VideoSource::Frames(frames), options)
    }

    /// Creates a predictor for a stream, which shares the worker of this predictor as [`VideoPredictor::beside`] says.
    ///
    /// # Errors
    ///
    /// As [`VideoPredictor::beside`].
    pub fn stream_beside(&self, retention: Retention, options: VideoPredictorOptions) -> Result<VideoPredictor> {
        self.beside_source(VideoSource::Stream(retention), options)
    }

    fn beside_source(&self, source: VideoSource, options: VideoPredictorOptions) -> Result<VideoPredictor> {
        if options.offload_state_to_cpu != self.options.offload_state_to_cpu {
            return Err(Error::input("predictors of one worker keep their state in the same memory"));
        }
        let worker = self.worker.clone();
        VideoPredictor::new(worker, self.config.clone(), self.fingerprint, source, options)
    }

    /// Returns the number of frames.
    #[must_use]
    pub fn num_frames(&self) -> usize {
        self.source.len()
    }

    /// Returns the size of the frames. Width and height are 0 before the first frame is pushed.
    #[must_use]
    pub fn video_size(&self) -> Size {
        self.size
    }

    /// Returns the ids of the objects, in the order in which the objects were added.
    #[must_use]
    pub fn obj_ids(&self) -> &[i64] {
        &self.ids
    }

    /// Sets whether the calls that add or clear prompts make the masks of all objects on the frame. The default is
    /// true. With false, these calls return a `FrameMasks` without objects, and the time to add N objects is
    /// proportional to N instead of N². Calls that write masks to a caller-provided buffer always make the masks.
    /// Tracking is not affected.
    pub fn set_show_prompts(&mut self, show: bool) {
        self.shows_prompts = show;
    }

    /// Removes an object. As in the reference, returns the masks of the other objects on every frame where the object
    /// had a prompt, in the order of the frames. The list is empty after [`VideoPredictor::set_show_prompts`] with
    /// `false`, and if no object is left.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if there is no such object. If the masks cannot be made, the object is removed nevertheless.
    pub fn remove_object(&mut self, obj_id: i64) -> Result<Vec<FrameMasks>> {
        let index = self.known(obj_id)?;
        let frames = self.objects.remove(index).prompted_frames();
        self.ids.remove(index);
        if !self.shows_prompts || self.ids.is_empty() {
            return Ok(Vec::new());
        }
        frames.into_iter().map(|frame| self.masks_on(frame, None)).collect()
    }

    /// Removes all objects.
    pub fn reset_state(&mut self) {
        self.objects.clear();
        self.ids.clear();
    }

    /// Forks the predictor. The fork has the state of this predictor, and both continue independently, for example to
    /// try a prompt. Nothing large is copied: both share memories, frames and the queue of work on the device. A frame
    /// in a GPU's memory is no longer available to both as soon as one of them pushes another frame.
    #[must_use]
    pub fn fork(&self) -> VideoPredictor {
        VideoPredictor {
            worker: self.worker.clone(),
            config: self.config.clone(),
            source: self.source.clone(),
            ids: self.ids.clone(),
            objects: self.objects.clone(),
            lists: TrackingLists::default(),
            ..*self
        }
    }

    /// Returns the counters of the work that this predictor and its forks have done.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.lock().counters()
    }

    /// Starts to measure the time of every stage of every frame, also of forks. Each stage then runs alone on the
    /// device.
    pub fn start_profile(&mut self) {
        self.lock().profile(true);
    }

    /// Stops measuring, and returns the stages that ran since [`VideoPredictor::start_profile`].
    pub fn finish_profile(&mut self) -> Vec<StageTime> {
        self.lock().profile(false)
    }

    /// Sets a function that gets the intermediate results of later calls, also of forks, for debugging and tests.
    /// `None` removes the function.
    pub fn set_probe(&mut self, probe: Option<ProbeFn>) {
        self.lock().set_probe(probe);
    }

    /// Returns the memory in use, including that of all forks. The host's memory holds the pushed frames, and the state
    /// that [`VideoPredictorOptions::offload_state_to_cpu`] keeps there.
    #[must_use]
    pub fn memory_bytes(&self) -> MemoryUse {
        let mut used = self.lock().memory_use();
        if let Source::Pushed(p) = &self.source {
            used.host += p.kept.iter().flat_map(|k| &k.picture).map(|p| p.pixels.len()).sum::<usize>();
        }
        used
    }

    /// Returns the bytes of the memories, pointers and masks of this predictor's objects. What several forks have counts
    /// for each of them.
    #[must_use]
    pub fn state_bytes(&self) -> usize {
        let [map, pointer, mask] = Kind::ALL.map(|kind| kind.bytes(&self.config));
        let of =
            |out: &Output| pointer + out.memory.as_ref().map_or(0, |_| map) + out.mask.as_ref().map_or(0, |_| mask);
        let of_object = |object: &Object| {
            let others = object.temp.iter().chain([&object.cond]).flat_map(|outputs| outputs.iter());
            others.chain(object.non_cond.iter()).map(|(_, out)| of(out)).sum::<usize>()
        };
        self.objects.iter().map(of_object).sum()
    }

    /// Returns the most memory that an object takes in a stream that keeps a window. With
    /// [`VideoPredictorOptions::offload_state_to_cpu`], memories and masks are in the host's memory. The result is
    /// `None` if all frames are kept.
    ///
    /// The size is for an object with one conditioning frame and a correction on every kept frame. Each further
    /// conditioning frame takes one more memory, pointer and mask. The bank of all objects grows by doubling, and does
    /// not shrink.
    #[must_use]
    pub fn object_bytes(&self) -> Option<MemoryUse> {
        let Source::Pushed(pushed) = &self.source else { return None };
        let Retention::Window(_) = pushed.retention else { return None };
        let slots = self.slots_of_an_object();
        let [maps, pointers, masks] =
            Kind::ALL.map(|kind| slots[kind as usize].saturating_mul(kind.bytes(&self.config)));
        let large = maps.saturating_add(masks);
        Some(if self.options.offload_state_to_cpu {
            MemoryUse { device: pointers, host: large }
        } else {
            MemoryUse { device: large.saturating_add(pointers), host: 0 }
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Box<dyn VideoWorker>> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Encodes a frame if the frame is not the current one, and returns the worker.
    pub(super) fn on(&self, frame: usize) -> Result<MutexGuard<'_, Box<dyn VideoWorker>>> {
        let key = self.source.key(frame)?;
        let mut worker = self.lock();
        if worker.current() != Some(key) {
            let (picture, first) = (self.source.picture(frame)?, self.size);
            let size = picture.size();
            if size != first {
                return Err(Error::input(format!("frame {frame} has {size} pixels, the first {first}")));
            }
            worker.encode(key, &picture.frame()?)?;
        }
        Ok(worker)
    }

    pub(super) fn known(&self, obj_id: i64) -> Result<usize> {
        let index = self.ids.iter().position(|&id| id == obj_id);
        index.ok_or_else(|| Error::input(format!("no object {obj_id}: there are {:?}", self.ids)))
    }

    pub(super) fn single(&self) -> Selection {
        match self.config.dynamic_multimask {
            Some((delta, thresh)) => Selection::Stable { delta, thresh },
            None => Selection::Single,
        }
    }

    /// Returns how the mask of an object is selected for a prompt of `points` points.
    pub(super) fn selection(&self, points: usize, initial: bool) -> Selection {
        let m = &self.config.memory;
        let several = m.multimask_output_in_sam
            && (initial || m.multimask_output_for_tracking)
            && (m.multimask_min_pt_num..=m.multimask_max_pt_num).contains(&points);
        if several { Selection::Best } else { self.single() }
    }

    pub(super) fn step_options(&self, selection: Selection, encode_memory: bool) -> StepOptions {
        StepOptions { selection, encode_memory, fill_hole_area: self.config.memory.fill_hole_area as f32 }
    }

    /// Writes to `context` the memories that an object attends to on a frame.
    pub(super) fn memory_context(&self, object: &Object, frame: usize, reverse: bool, context: &mut MemoryContext) {
        let frame = FrameContext { frame, reverse, len: self.source.known_len() };
        object.memory_context(frame, &self.config.memory, context);
    }
}

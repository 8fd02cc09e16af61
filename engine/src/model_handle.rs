//! A loaded model on any backend.

use crate::amg::{AutomaticMaskGenerator, AutomaticMaskGeneratorOptions};
use crate::backend::arena::Placement;
use crate::backend::precision::Precision;
use crate::backend::workspace::Workspace;
use crate::backend::{Backend, DeviceMemory, Memory};
use crate::checkpoint::Checkpoint;
use crate::cpu::simd::Isa;
use crate::error::{Error, Result};
use crate::image::batch::ImageQueue;
use crate::image::prediction::ImagePredictorOptions;
use crate::image::predictor::ImagePredictor;
use crate::image::worker::ImageWorker;
use crate::media::frames::Frames;
use crate::model::Network;
use crate::model::config::Config;
use crate::model::progress::LoadProgress;
use crate::video::{Retention, Tracker, VideoPredictor, VideoPredictorOptions, VideoSource, VideoWorker};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The weights of a model on a device. A clone is cheap: predictors and threads in any number share one copy of the
/// weights.
#[derive(Clone)]
pub struct Model {
    loaded: Arc<dyn Loaded>,
    config: Arc<Config>,
    precision: Precision,
    device: Arc<str>,
    fingerprint: u64,
    workspace: Option<Workspace>,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Model");
        out.field("device", &self.device).field("precision", &self.precision);
        out.field("image_size", &self.config.image_size).finish_non_exhaustive()
    }
}

/// A network on some backend.
trait Loaded: Send + Sync {
    fn image_worker(&self, place: &Placement) -> Result<Box<dyn ImageWorker>>;
    fn video_worker(&self, offload: bool, place: &Placement) -> Result<Box<dyn VideoWorker>>;
    fn alloc(&self, bytes: usize) -> Result<Box<dyn Memory>>;
    fn memory(&self) -> Result<Option<DeviceMemory>>;
    fn index(&self) -> usize;
    fn isa(&self) -> Option<Isa>;
}

struct OnBackend<B: Backend> {
    net: Arc<Network<B>>,
    b: Mutex<B>,
}

impl<B: Backend> OnBackend<B> {
    fn b(&self) -> MutexGuard<'_, B> {
        self.b.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: Backend> Loaded for OnBackend<B> {
    fn image_worker(&self, place: &Placement) -> Result<Box<dyn ImageWorker>> {
        let b = self.b().fork()?;
        Ok(Box::new(ImageQueue::new(self.net.clone(), b, place)))
    }

    fn video_worker(&self, offload: bool, place: &Placement) -> Result<Box<dyn VideoWorker>> {
        if self.net.tracking.is_none() {
            return Err(Error::Input("the checkpoint has no tensors for tracking: it is for pictures alone".into()));
        }
        let b = self.b().fork()?;
        Ok(Box::new(Tracker::new(self.net.clone(), b, offload, place)))
    }

    fn alloc(&self, bytes: usize) -> Result<Box<dyn Memory>> {
        Ok(Box::new(self.b().alloc(bytes, "a tensor")?))
    }

    fn memory(&self) -> Result<Option<DeviceMemory>> {
        self.b().memory()
    }

    fn index(&self) -> usize {
        self.b().index()
    }

    fn isa(&self) -> Option<Isa> {
        self.b().instructions().and_then(|name| name.parse().ok())
    }
}

impl Model {
    /// Loads a checkpoint onto a backend. `progress` is told how far the loading is.
    ///
    /// # Errors
    ///
    /// [`Error::Cancelled`] if `progress` returns false. [`Error::Checkpoint`] if the configuration contradicts the tensors. [`Error::Device`] if the device lacks the
    /// precision, or fails. [`Error::OutOfMemory`] if memory is exhausted.
    pub fn load<B: Backend>(
        b: B,
        checkpoint: &Checkpoint,
        config: &Config,
        precision: Precision,
        progress: Option<&LoadProgress>,
    ) -> Result<Model> {
        let (precision, start) = (b.precision(precision)?, Instant::now());
        let net = Arc::new(Network::load(&b, checkpoint, config, precision, progress)?);
        b.sync()?; // other queues read what this one has copied
        let device: Arc<str> = b.name().into();
        let loaded = Arc::new(OnBackend { net, b: Mutex::new(b) });
        let (name, side, seconds) = (checkpoint.name(), config.image_size, start.elapsed().as_secs_f64());
        log::info!("{name}: {side} pixels, on {device}, in {}, loaded in {seconds:.3} s", precision.name());
        let fingerprint = checkpoint.fingerprint();
        Ok(Model { loaded, config: Arc::new(config.clone()), precision, device, fingerprint, workspace: None })
    }

    /// Returns the configuration of the model, which has the sizes of its layers.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the precision that the model computes in.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Returns the name of the model's device: `CPU`, or the name of a GPU.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Returns the index of the model's GPU in the order of the driver.
    #[must_use]
    pub fn device_index(&self) -> usize {
        self.loaded.index()
    }

    /// Returns the instruction set that the model runs on, or `None` on a GPU.
    #[must_use]
    pub fn isa(&self) -> Option<Isa> {
        self.loaded.isa()
    }

    /// Allocates memory on the model's device, for results that stay on the device. The memory is freed when the
    /// returned value is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`] if memory is exhausted. [`Error::Device`] if the device fails.
    pub fn alloc(&self, bytes: usize) -> Result<Box<dyn Memory>> {
        self.loaded.alloc(bytes)
    }

    /// Returns the memory of the model's GPU, or `None` on the CPU.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the device fails.
    pub fn memory(&self) -> Result<Option<DeviceMemory>> {
        self.loaded.memory()
    }

    /// Returns the same model, with predictors that work in the caller's memory instead of allocating on the device.
    /// The workspace must have room for the `memory_bytes` of such a predictor after its `reserve`, and 4 KiB more. If
    /// the workspace is too small, calls fail with [`Error::OutOfMemory`]. The staging areas of a GPU for images are
    /// not in the workspace.
    #[must_use]
    pub fn within(&self, workspace: Workspace) -> Model {
        Model { workspace: Some(workspace), ..self.clone() }
    }

    fn place(&self, guard: bool) -> Placement {
        Placement { guard, workspace: self.workspace.clone() }
    }

    /// Creates a predictor for images. The predictor has its own queue and its own scratch memory.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if an option is not a number. [`Error::OutOfMemory`] if memory is exhausted. [`Error::Device`]
    /// if the device fails.
    pub fn image_predictor(&self, options: ImagePredictorOptions) -> Result<ImagePredictor> {
        ImagePredictor::new(self.loaded.image_worker(&self.place(false))?, &self.config, options)
    }

    /// Creates a generator of automatic masks. The generator has its own queue and its own scratch memory.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if an option is out of its range. The other errors are those of [`Model::image_predictor`].
    pub fn automatic_mask_generator(&self, options: AutomaticMaskGeneratorOptions) -> Result<AutomaticMaskGenerator> {
        AutomaticMaskGenerator::new(options, |predictor_options| self.image_predictor(predictor_options))
    }

    /// Creates a predictor for the frames of a video.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if there are no frames, or if the checkpoint has no tensors for tracking. [`Error::Config`] if
    /// videos need a setting that the configuration lacks. [`Error::Io`], [`Error::Picture`], [`Error::Video`] or
    /// [`Error::Ffmpeg`] if the first frame cannot be read. [`Error::OutOfMemory`] if memory is exhausted.
    /// [`Error::Device`] if the device fails.
    pub fn video_predictor(&self, frames: Frames, options: VideoPredictorOptions) -> Result<VideoPredictor> {
        self.video(VideoSource::Frames(frames), options, false)
    }

    /// Creates a predictor as [`Model::video_predictor`] does, with the memory checks of
    /// [`Model::guarded_image_predictor`].
    ///
    /// # Errors
    ///
    /// As [`Model::video_predictor`].
    pub fn guarded_video_predictor(&self, frames: Frames, options: VideoPredictorOptions) -> Result<VideoPredictor> {
        self.video(VideoSource::Frames(frames), options, true)
    }

    /// Creates a predictor for a live stream of unknown length. [`VideoPredictor::push_frame`] takes the frames one by
    /// one.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if the checkpoint has no tensors for tracking. [`Error::Config`] if videos need a setting that
    /// the configuration lacks. [`Error::OutOfMemory`] if memory is exhausted. [`Error::Device`] if the device fails.
    pub fn video_stream(&self, retention: Retention, options: VideoPredictorOptions) -> Result<VideoPredictor> {
        self.video(VideoSource::Stream(retention), options, false)
    }

    fn video(&self, source: VideoSource, options: VideoPredictorOptions, guard: bool) -> Result<VideoPredictor> {
        let worker = self.loaded.video_worker(options.offload_state_to_cpu, &self.place(guard))?;
        VideoPredictor::new(Arc::new(Mutex::new(worker)), self.config.clone(), self.fingerprint, source, options)
    }

    /// Creates a predictor as [`Model::image_predictor`] does, with poisoned memory and with red zones between tensors.
    /// Every call checks the red zones. The predictor is slow and meant for tests.
    ///
    /// # Errors
    ///
    /// As [`Model::image_predictor`].
    pub fn guarded_image_predictor(&self, options: ImagePredictorOptions) -> Result<ImagePredictor> {
        ImagePredictor::new(self.loaded.image_worker(&self.place(true))?, &self.config, options)
    }
}

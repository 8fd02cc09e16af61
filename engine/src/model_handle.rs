//! A loaded model, whatever the device.

use crate::arena::Place;
use crate::backend::{Backend, Memory};
use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::frames::Frames;
use crate::image_predictor::{ImagePredictor, ImagePredictorOptions};
use crate::model::Network;
use crate::precision::Precision;
use crate::video::{Retention, Tracker, VideoPredictor, VideoPredictorOptions, VideoWorker};
use crate::worker::{ImageWorker, Worker};
use crate::workspace::Workspace;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A model's weights on a device. Cheap to clone, shared by any number of predictors and threads.
#[derive(Clone)]
pub struct Model {
    loaded: Arc<dyn Loaded>,
    config: Arc<Config>,
    precision: Precision,
    device: Arc<str>,
    fingerprint: u64,
    workspace: Option<Workspace>,
}

/// A network on some backend.
trait Loaded: Send + Sync {
    fn image_worker(&self, place: &Place) -> Result<Box<dyn ImageWorker>>;
    fn video_worker(&self, offload: bool, place: &Place) -> Result<Box<dyn VideoWorker>>;
    fn alloc(&self, bytes: usize) -> Result<Box<dyn Memory>>;
    fn memory(&self) -> Result<Option<[u64; 2]>>;
    fn index(&self) -> usize;
    fn instructions(&self) -> Option<&'static str>;
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
    fn image_worker(&self, place: &Place) -> Result<Box<dyn ImageWorker>> {
        let b = self.b().fork()?;
        Ok(Box::new(Worker::new(self.net.clone(), b, place)))
    }

    fn video_worker(&self, offload: bool, place: &Place) -> Result<Box<dyn VideoWorker>> {
        if self.net.tracking.is_none() {
            return Err(Error::Input("the checkpoint has no tensors for tracking: it is for pictures alone".into()));
        }
        let b = self.b().fork()?;
        Ok(Box::new(Tracker::new(self.net.clone(), b, offload, place)))
    }

    fn alloc(&self, bytes: usize) -> Result<Box<dyn Memory>> {
        Ok(Box::new(self.b().alloc(bytes, "a tensor")?))
    }

    fn memory(&self) -> Result<Option<[u64; 2]>> {
        self.b().memory()
    }

    fn index(&self) -> usize {
        self.b().index()
    }

    fn instructions(&self) -> Option<&'static str> {
        self.b().instructions()
    }
}

impl Model {
    /// Loads a checkpoint onto a backend.
    pub fn load<B: Backend>(b: B, checkpoint: &Checkpoint, config: &Config, precision: Precision) -> Result<Model> {
        let (precision, start) = (b.precision(precision)?, Instant::now());
        let net = Arc::new(Network::load(&b, checkpoint, config, precision)?);
        b.sync()?; // other queues read what this one has copied
        let device: Arc<str> = b.name().into();
        let loaded = Arc::new(OnBackend { net, b: Mutex::new(b) });
        let (name, side, seconds) = (checkpoint.name(), config.image_size, start.elapsed().as_secs_f64());
        log::info!("{name}: {side} pixels, on {device}, in {}, loaded in {seconds:.3} s", precision.name());
        let fingerprint = checkpoint.fingerprint();
        Ok(Model { loaded, config: Arc::new(config.clone()), precision, device, fingerprint, workspace: None })
    }

    /// The sizes of the model.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What the model computes in.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The name of the device the model is on: `CPU`, or a GPU's.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// The place of the model's GPU in the driver's order.
    pub fn device_index(&self) -> usize {
        self.loaded.index()
    }

    /// The name of the instruction set that the model runs on; `None` on a GPU.
    pub fn instructions(&self) -> Option<&'static str> {
        self.loaded.instructions()
    }

    /// Memory of the model's device, for results that stay there; freed with what is returned.
    pub fn alloc(&self, bytes: usize) -> Result<Box<dyn Memory>> {
        self.loaded.alloc(bytes)
    }

    /// Bytes of the GPU's memory that nobody uses, and all of them; none on the CPU.
    pub fn memory(&self) -> Result<Option<[u64; 2]>> {
        self.loaded.memory()
    }

    /// The same model, whose predictors work in the caller's memory instead of allocating on the device. It is enough where it
    /// has room for what a predictor like theirs holds after its `reserve`, `memory_bytes`, and 4 KiB; where it is not, calls
    /// fail with [`Error::OutOfMemory`]. (A GPU's staging areas for pictures stay the engine's.)
    pub fn within(&self, workspace: Workspace) -> Model {
        Model { workspace: Some(workspace), ..self.clone() }
    }

    fn place(&self, guard: bool) -> Place {
        Place { guard, workspace: self.workspace.clone() }
    }

    /// A predictor for pictures, with a queue and scratch memory of its own.
    pub fn image_predictor(&self, options: ImagePredictorOptions) -> Result<ImagePredictor> {
        ImagePredictor::new(self.loaded.image_worker(&self.place(false))?, &self.config, options)
    }

    /// A predictor for the frames of a video.
    pub fn video_predictor(&self, frames: Frames, options: VideoPredictorOptions) -> Result<VideoPredictor> {
        self.video(Ok(frames), options, false)
    }

    /// As [`Model::video_predictor`], guarded as [`Model::guarded_image_predictor`].
    pub fn guarded_video_predictor(&self, frames: Frames, options: VideoPredictorOptions) -> Result<VideoPredictor> {
        self.video(Ok(frames), options, true)
    }

    /// A predictor for frames that come one by one, [`VideoPredictor::push_frame`], nobody knows how many.
    pub fn video_stream(&self, retention: Retention, options: VideoPredictorOptions) -> Result<VideoPredictor> {
        self.video(Err(retention), options, false)
    }

    fn video(
        &self,
        source: Result<Frames, Retention>,
        options: VideoPredictorOptions,
        guard: bool,
    ) -> Result<VideoPredictor> {
        let worker = self.loaded.video_worker(options.offload_state_to_cpu, &self.place(guard))?;
        VideoPredictor::new(worker, self.config.clone(), self.fingerprint, source, options)
    }

    /// As [`Model::image_predictor`], with poisoned memory and red zones between tensors that every call checks: slow,
    /// for tests.
    pub fn guarded_image_predictor(&self, options: ImagePredictorOptions) -> Result<ImagePredictor> {
        ImagePredictor::new(self.loaded.image_worker(&self.place(true))?, &self.config, options)
    }
}

//! A loaded model, whatever the device.

use crate::backend::Backend;
use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::frames::Frames;
use crate::image_predictor::{ImagePredictor, ImagePredictorOptions};
use crate::model::Network;
use crate::precision::Precision;
use crate::video::{Retention, Tracker, VideoPredictor, VideoPredictorOptions, VideoWorker};
use crate::worker::{ImageWorker, Worker};
use std::sync::{Arc, Mutex};

/// A model's weights on a device. Cheap to clone, shared by any number of predictors and threads.
#[derive(Clone)]
pub struct Model {
    loaded: Arc<dyn Loaded>,
    config: Arc<Config>,
    precision: Precision,
    device: Arc<str>,
    fingerprint: u64,
}

/// A network on some backend.
trait Loaded: Send + Sync {
    fn image_worker(&self, guard: bool) -> Result<Box<dyn ImageWorker>>;
    fn video_worker(&self, offload: bool, guard: bool) -> Result<Box<dyn VideoWorker>>;
}

struct OnBackend<B: Backend> {
    net: Arc<Network<B>>,
    b: Mutex<B>,
}

impl<B: Backend> Loaded for OnBackend<B> {
    fn image_worker(&self, guard: bool) -> Result<Box<dyn ImageWorker>> {
        let b = self.b.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).fork()?;
        Ok(Box::new(Worker::new(self.net.clone(), b, guard)))
    }

    fn video_worker(&self, offload: bool, guard: bool) -> Result<Box<dyn VideoWorker>> {
        if self.net.tracking.is_none() {
            return Err(Error::Input("the checkpoint has no tensors for tracking: it is for pictures alone".into()));
        }
        let b = self.b.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).fork()?;
        Ok(Box::new(Tracker::new(self.net.clone(), b, offload, guard)))
    }
}

impl Model {
    /// Loads a checkpoint onto a backend.
    pub fn load<B: Backend>(b: B, checkpoint: &Checkpoint, config: &Config, precision: Precision) -> Result<Model> {
        let precision = b.precision(precision)?;
        let net = Arc::new(Network::load(&b, checkpoint, config, precision)?);
        b.sync()?; // other queues read what this one has copied
        let device = b.name().into();
        let loaded = Arc::new(OnBackend { net, b: Mutex::new(b) });
        let fingerprint = checkpoint.fingerprint();
        Ok(Model { loaded, config: Arc::new(config.clone()), precision, device, fingerprint })
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

    /// A predictor for pictures, with a queue and scratch memory of its own.
    pub fn image_predictor(&self, options: ImagePredictorOptions) -> Result<ImagePredictor> {
        ImagePredictor::new(self.loaded.image_worker(false)?, &self.config, options)
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
        let worker = self.loaded.video_worker(options.offload_state_to_cpu, guard)?;
        VideoPredictor::new(worker, self.config.clone(), self.fingerprint, source, options)
    }

    /// As [`Model::image_predictor`], with poisoned memory and red zones between tensors that every call checks: slow,
    /// for tests.
    pub fn guarded_image_predictor(&self, options: ImagePredictorOptions) -> Result<ImagePredictor> {
        ImagePredictor::new(self.loaded.image_worker(true)?, &self.config, options)
    }
}

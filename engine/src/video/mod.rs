//! Objects through the frames of a video: bookkeeping on the host, memories on the device.

mod bank;
mod object;
mod pass;
mod predictor;
mod propagate;
mod reserve;
mod show;
mod source;
mod state;
mod worker;

pub use predictor::{VideoPredictor, VideoPredictorOptions};
pub use show::FrameMasks;
pub use source::Retention;
pub(crate) use source::copy;
pub(crate) use worker::{Tracker, VideoWorker};

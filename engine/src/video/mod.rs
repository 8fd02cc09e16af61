//! Tracking of objects through the frames of a video. The host keeps the bookkeeping, and the device keeps the
//! memories.

mod acts;
mod bank;
mod by_frame;
mod features;
mod frame_masks;
mod object;
mod options;
mod output;
mod predictor;
mod prompts;
mod propagate;
mod reserve;
mod source;
mod state;
mod step;
mod tables;
mod tracker;
mod worker;

pub use frame_masks::FrameMasks;
pub use options::{Direction, PointOptions};
pub use predictor::{VideoPredictor, VideoPredictorOptions};
pub use source::Retention;
pub(crate) use source::{VideoSource, copy};
pub(crate) use tracker::Tracker;
pub(crate) use worker::VideoWorker;

//! The core of sam2: checkpoints, configuration, the model, its predictors, and the CPU backend. The crate has
//! no code for GPUs.
//!
//! The modules are listed below. Each module imports only from the modules above it:
//!
//! - `error`, `memory`, `fork`, `thread`, `cancellation`: errors, allocations that may fail, processes, threads, and
//!   calls that end early.
//! - `media`: images and frames on their way in.
//! - `masks`: masks on their way out.
//! - `backend`: what a device must be able to do, and memory on it.
//! - `checkpoint`: files of weights.
//! - `model`: the configuration and the network. It never names a device.
//! - `session`: prompts, and the queue of work that predictors share.
//! - `image`, `video`, `amg`: the predictors.
//! - `cpu`: the CPU backend. Of the modules here only the last one names it, for the instruction set of a model.
//! - `model_handle`: a loaded model, which makes predictors.

#![cfg_attr(coverage, feature(coverage_attribute))]

mod amg;
pub mod backend;
pub mod cancellation;
pub mod checkpoint;
// Kernels are unsafe from end to end: blocks inside them would say nothing. Their shapes are checked by the operations.
#[allow(unsafe_op_in_unsafe_fn, missing_docs)]
// Counters of lines in them would make the tests twenty times slower.
#[cfg_attr(coverage, coverage(off))]
pub mod cpu;
mod error;
pub mod fork;
mod image;
mod masks;
mod media;
pub mod memory;
mod model;
mod model_handle;
mod session;
pub mod thread;
mod video;

pub use amg::{
    AutomaticMask, AutomaticMaskBatch, AutomaticMaskGenerator, AutomaticMaskGeneratorOptions, AutomaticMasks,
    GenerateControl, MAX_GRID_POINTS, Progress,
};
pub use backend::precision::{Policy, Precision};
pub use backend::workspace::Workspace;
pub use backend::{Counters, DeviceMemory, KernelTime, MemoryUse, ProbeFn, StageTime, tensor};
pub use cancellation::CancellationToken;
pub use checkpoint::Checkpoint;
pub use error::{Error, Result};
pub use image::prediction::{
    ImagePredictorOptions, Masks, PredictOptions, Prediction, PredictionBuffers, ReserveOptions,
};
pub use image::predictor::ImagePredictor;
pub use image::worker::{Feature, FeatureMap};
pub use masks::buffer::{MaskBuffer, MaskFormat, MaskMemory, MaskOut, MaskTarget};
pub use masks::{labels, rle};
pub use media::format::{Channel, PixelFormat, PixelValue, Yuv, YuvMatrix, YuvNumbers, YuvRange};
pub use media::frame::{Frame, MAX_SIDE};
pub use media::frames::{Frames, FramesOptions, is_hidden, natural_order};
pub use media::plane::{DeviceSlice, Pixels, Plane};
pub use media::size::Size;
pub use media::{ffmpeg, resample};
pub use model::config::{self, Config};
pub use model::progress::LoadProgress;
pub use model::variant::{VARIANTS, Variant};
pub use model_handle::Model;
pub use session::features::ImageFeatures;
pub use session::prompt::{MAX_POINTS, Point, Prompt, mask_logits, parse_prompts};
pub use video::{Direction, FrameMasks, PointOptions, Retention, VideoPredictor, VideoPredictorOptions};

/// Image files: reads PNG, JPEG, WebP, BMP, TIFF, GIF and PNM, and writes PNG.
pub mod picture {
    pub use crate::masks::labels::encode_indexed_png;
    pub use crate::media::picture::*;
}

//! The core of sam2: checkpoints, configuration, the model, its predictors, and the CPU backend. It knows no GPU.
//!
//! Imports go down this list: predictors (`amg`, `video`, `image_predictor`), `worker`, `model`, then `backend` with `stage`,
//! `arena` and `tensor`, `config`, `checkpoint`, `memory`, `error`. `model` never names a device. `cpu` implements `backend`; beside it and
//! `tensor` it uses `error`, `frame`, `mask_out`, `memory`, `precision` and `resample`. `config` takes one limit from `cpu` and the names
//! of published models from `variant`. Files on one level may import each other, as `backend` and `mask_out` do.

#![cfg_attr(coverage, feature(coverage_attribute))]

mod amg;
pub mod arena;
pub mod backend;
pub mod checkpoint;
pub mod config;
// Kernels are unsafe from end to end: blocks inside them would say nothing. Their shapes are checked by the operations.
#[allow(unsafe_op_in_unsafe_fn, missing_docs)]
// Counters of lines in them would make the tests twenty times slower.
#[cfg_attr(coverage, coverage(off))]
pub mod cpu;
mod error;
pub mod ffmpeg;
pub mod fork;
mod format;
mod frame;
mod frames;
mod image_predictor;
pub mod labels;
mod mask_out;
pub mod memory;
mod model;
mod model_handle;
pub mod null;
pub mod operands;
pub mod picture;
mod polygons;
mod precision;
mod prompt;
pub mod resample;
pub mod rle;
pub mod stage;
pub mod tensor;
mod variant;
mod video;
mod worker;
mod workspace;

pub use amg::{
    AutomaticMask, AutomaticMaskBatch, AutomaticMaskGenerator, AutomaticMaskGeneratorOptions, AutomaticMasks,
    MAX_GRID_POINTS, Progress, Until,
};
pub use backend::{Counters, KernelTime, Probe, StageTime};
pub use checkpoint::Checkpoint;
pub use config::Config;
pub use error::{Error, Result};
pub use format::{Channel, PixelFormat, PixelValue, Yuv, YuvMatrix, YuvNumbers, YuvRange};
pub use frame::{DeviceSlice, Frame, MAX_SIDE, Pixels, Plane};
pub use frames::{Frames, FramesOptions, is_hidden, natural_order};
pub use image_predictor::{
    ImagePredictor, ImagePredictorOptions, Masks, PredictOptions, Prediction, PredictionBuffers,
};
pub use mask_out::{MaskBuffer, MaskFormat, MaskMemory, MaskOut};
pub use model::{check, manifest};
pub use model_handle::Model;
pub use precision::{Policy, Precision};
pub use prompt::{MAX_POINTS, Point, Prompt, mask_logits, parse_prompts};
pub use variant::{VARIANTS, Variant};
pub use video::{FrameMasks, Retention, VideoPredictor, VideoPredictorOptions};
pub use worker::Feature;
pub use workspace::Workspace;

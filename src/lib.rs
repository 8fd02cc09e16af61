//! Segment Anything Model 2 (SAM 2 and 2.1) as an inference engine: masks of pictures and videos, on the CPU and on NVIDIA
//! GPUs.
//!
//! [`load`] reads a checkpoint and returns a [`Model`]. A model makes predictors:
//!
//! | predictor | made by | finds |
//! |---|---|---|
//! | [`ImagePredictor`] | [`Model::image_predictor`] | the masks of prompts on a picture |
//! | [`VideoPredictor`] | [`Model::video_predictor`] | objects in all frames of a video |
//! | [`VideoPredictor`] | [`Model::video_stream`] | objects in frames that arrive one by one |
//! | [`AutomaticMaskGenerator`] | [`Model::automatic_mask_generator`] | all objects of a picture |
//!
//! A [`Prompt`] is a set of points, a box or a mask. A [`Frame`] is a picture in memory, and [`picture::read`] decodes a
//! picture file.
//!
//! ```no_run
//! use sam2::{LoadOptions, PredictOptions, Prompt};
//!
//! # fn main() -> sam2::Result<()> {
//! let model = sam2::load("sam2.1_hiera_tiny.pt", &LoadOptions::default())?;
//! let mut predictor = model.image_predictor(Default::default())?;
//!
//! let picture = sam2::picture::read("photo.jpg")?;
//! predictor.set_image(&picture.frame()?)?;
//! let prompts = [Prompt::new().point(500.0, 375.0, 1)];
//! let prediction = predictor.predict(&prompts, PredictOptions::default())?;
//! println!("{:?}", prediction.iou_predictions);
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! `cuda` (on by default) adds the CUDA backend. The driver is loaded at run time, so that the same program runs on a
//! machine without a GPU.

/// Runs the programs of the README and of the guides as tests.
#[cfg(doctest)]
mod guides {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/images.md")]
    struct Images;
    #[doc = include_str!("../docs/video.md")]
    struct Video;
    #[doc = include_str!("../docs/automatic-masks.md")]
    struct AutomaticMasks;
}

/// The library logs through this crate, to the logger that the program installs.
pub use log;
/// The engine, for the tests and benchmarks of this project only. Its operations trust their operands: a safe call is
/// sound only if shapes and indices fit.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub use sam2_engine as engine;
pub use sam2_engine::backend::Memory;
pub use sam2_engine::cpu::bind_thread;
pub use sam2_engine::cpu::simd::Isa;
pub use sam2_engine::tensor::{DType, bf16, f16};
pub use sam2_engine::{
    AutomaticMask, AutomaticMaskBatch, AutomaticMaskGenerator, AutomaticMaskGeneratorOptions, AutomaticMasks,
    CancellationToken, Checkpoint, Config, Counters, DeviceMemory, DeviceSlice, Direction, Error, Feature, FeatureMap,
    Frame, FrameMasks, Frames, FramesOptions, GenerateControl, ImageFeatures, ImagePredictor, ImagePredictorOptions,
    KernelTime, LoadProgress, MAX_GRID_POINTS, MAX_POINTS, MAX_SIDE, MaskBuffer, MaskFormat, MaskMemory, Masks,
    MemoryUse, Model, PixelFormat, PixelValue, Pixels, Plane, Point, PointOptions, Precision, PredictOptions,
    Prediction, PredictionBuffers, ProbeFn, Progress, Prompt, ReserveOptions, Result, Retention, Size, StageTime,
    VARIANTS, Variant, VideoPredictor, VideoPredictorOptions, Workspace, Yuv, YuvMatrix, YuvRange, checkpoint, ffmpeg,
    is_hidden, labels, mask_logits, memory, natural_order, parse_prompts, picture, rle,
};

mod configuration;
mod cpu;
mod devices;
mod doctor;
mod options;

pub use configuration::FoundConfig;
pub use cpu::Cpu;
pub use devices::{Device, Gpu, cuda_architectures, gpus};
pub use doctor::{Finding, diagnose};
pub use options::LoadOptions;

use std::path::Path;

/// Loads a model from any checkpoint that [`Checkpoint::open`] accepts, with the configuration that
/// [`LoadOptions::find_config`] finds.
///
/// # Errors
///
/// The errors of [`LoadOptions::open_checkpoint`], [`LoadOptions::find_config`] and [`load_config`].
pub fn load(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Model> {
    let checkpoint = options.open_checkpoint(path.as_ref())?;
    let found = options.find_config(path, &checkpoint)?;
    load_config(&checkpoint, &found.config, options)
}

/// Loads a model from an open checkpoint. `yaml` is the text of its configuration and replaces `options.config`. If
/// both are `None`, the configuration is the one of the published model with the same tensors.
///
/// # Errors
///
/// The errors of [`LoadOptions::find_config`] and [`load_config`].
pub fn load_checkpoint(checkpoint: &Checkpoint, yaml: Option<&str>, options: &LoadOptions) -> Result<Model> {
    let found = configuration::given(checkpoint, yaml, options)?;
    load_config(checkpoint, &found.config, options)
}

/// Loads a model from an open checkpoint and a configuration. Of `options` only `device`, `precision`, `threads`,
/// `cpus`, `isa` and `progress` are used.
///
/// # Errors
///
/// - [`Error::Cancelled`] if [`LoadOptions::progress`] returns false,
/// - [`Error::Device`] if the device is absent, fails, or lacks the precision or the instruction set,
/// - [`Error::Input`] if `threads` is above 1024,
/// - [`Error::Checkpoint`] if the configuration contradicts the tensors,
/// - [`Error::OutOfMemory`] if host or device memory is exhausted.
pub fn load_config(checkpoint: &Checkpoint, config: &Config, options: &LoadOptions) -> Result<Model> {
    let (precision, progress) = (options.precision, options.progress.as_ref());
    let load_cpu = || Model::load(Cpu::new(options)?.0, checkpoint, config, precision, progress);
    match options.device {
        Device::Auto => match gpu(0) {
            Ok(gpu) => Model::load(gpu, checkpoint, config, precision, progress),
            Err(why) => {
                log::info!("running on the CPU: {why}");
                load_cpu()
            }
        },
        Device::Cpu => load_cpu(),
        Device::Uuid(uuid) => Model::load(gpu(devices::find(uuid)?)?, checkpoint, config, precision, progress),
        Device::Cuda(index) => Model::load(gpu(index)?, checkpoint, config, precision, progress),
    }
}

/// Opens a queue on an NVIDIA GPU.
#[cfg(feature = "cuda")]
fn gpu(index: usize) -> Result<sam2_cuda::Cuda<sam2_cuda::Driver>> {
    Ok(sam2_cuda::Cuda::on(sam2_cuda::Driver::new(index)?))
}

#[cfg(not(feature = "cuda"))]
fn gpu(_: usize) -> Result<sam2_engine::cpu::Cpu> {
    Err(Error::Device("built without CUDA; build again with the feature `cuda`".into()))
}

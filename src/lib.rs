#![doc = include_str!("../README.md")]

/// What the engine has to say goes through this crate, to whichever logger the program has.
pub use log;
/// The engine underneath, for its own tests and benchmarks: operations trust their operands, so what is safe to call
/// there keeps memory safe only with tensors and indices that fit.
#[doc(hidden)]
pub use sam2_engine as engine;
pub use sam2_engine::backend::Memory;
pub use sam2_engine::cpu::simd::Isa;
pub use sam2_engine::tensor::{DType, bf16, f16};
pub use sam2_engine::{
    AutomaticMask, AutomaticMaskBatch, AutomaticMaskGenerator, AutomaticMaskGeneratorOptions, AutomaticMasks,
    Checkpoint, Config, Counters, DeviceSlice, Error, Feature, Frame, FrameMasks, Frames, ImagePredictor,
    ImagePredictorOptions, KernelTime, MAX_GRID_POINTS, MAX_POINTS, MAX_SIDE, MaskBuffer, MaskFormat, MaskMemory,
    Masks, Model, PixelFormat, PixelValue, Pixels, Plane, Point, Precision, PredictOptions, Prediction,
    PredictionBuffers, Probe, Progress, Prompt, Result, Retention, StageTime, Until, VARIANTS, Variant, VideoPredictor,
    VideoPredictorOptions, Workspace, Yuv, YuvMatrix, YuvRange, check, checkpoint, ffmpeg, labels, manifest,
    mask_logits, parse_prompts, picture, rle,
};

mod devices;
mod doctor;

pub use devices::{Device, Gpu, cuda_architectures, gpus};
pub use doctor::{Finding, diagnose};

use sam2_engine::cpu;

use std::path::{Path, PathBuf};

/// How to load a model.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Where the model runs.
    pub device: Device,
    /// What it computes in.
    pub precision: Precision,
    /// Threads of the CPU; 0: as many as the machine offers, or one for each of `cpus`.
    pub threads: usize,
    /// CPUs that the engine's threads are bound to, in turn, as the system numbers them; none: wherever the system puts them.
    /// The thread that makes a call works too, and stays where it is. Linux alone.
    pub cpus: Vec<usize>,
    /// The CPU's instruction set; none: the best it has. One that it lacks is an error.
    pub instructions: Option<Isa>,
    /// A configuration file in the reference's structure; without one the model is recognised by its tensors, or a
    /// folder's only YAML file is taken.
    pub config: Option<PathBuf>,
    /// `key=value` as Hydra takes them; they win over the configuration.
    pub overrides: Vec<String>,
    /// Side of the model's square input instead of the configuration's, a multiple of 32.
    pub image_size: Option<usize>,
    /// The reference's `apply_postprocessing`: choose single masks by stability.
    pub postprocessing: bool,
    /// Map the checkpoint instead of reading it. Whoever shortens the file meanwhile crashes the process.
    pub mmap: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions {
            device: Device::Auto,
            precision: Precision::Auto,
            threads: 0,
            cpus: Vec::new(),
            instructions: None,
            config: None,
            overrides: Vec::new(),
            image_size: None,
            postprocessing: true,
            mmap: true,
        }
    }
}

/// Loads a checkpoint: a `.safetensors` or `.pt` file, or a folder that holds one.
pub fn load(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Model> {
    load_checkpoint(&open(path.as_ref(), options)?, &config(path.as_ref(), options)?, options)
}

/// Opens a checkpoint as `options` say.
pub fn open(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Checkpoint> {
    if options.mmap { Checkpoint::open(path) } else { Checkpoint::read(path) }
}

/// Loads an open checkpoint; `yaml` is its configuration's text, if one is given.
pub fn load_checkpoint(checkpoint: &Checkpoint, yaml: &Option<String>, options: &LoadOptions) -> Result<Model> {
    let yaml = match yaml {
        Some(yaml) => yaml,
        None => Variant::of(checkpoint)?.yaml,
    };
    let mut overrides = options.overrides.clone();
    overrides.extend(options.image_size.map(|n| format!("model.image_size={n}")));
    let config = Config::parse(yaml, &overrides, options.postprocessing)?;
    let load_cpu = || {
        let cpu = cpu::Cpu::on_cpus(options.threads, &options.cpus, options.instructions)?;
        Model::load(cpu, checkpoint, &config, options.precision)
    };
    match options.device {
        Device::Auto => match gpu(0) {
            Ok(gpu) => Model::load(gpu, checkpoint, &config, options.precision),
            Err(why) => {
                log::info!("on the CPU: {why}");
                load_cpu()
            }
        },
        Device::Cpu => load_cpu(),
        Device::Uuid(uuid) => Model::load(gpu(devices::find(uuid)?)?, checkpoint, &config, options.precision),
        Device::Cuda(index) => Model::load(gpu(index)?, checkpoint, &config, options.precision),
    }
}

/// A queue on an NVIDIA GPU.
#[cfg(feature = "cuda")]
fn gpu(index: usize) -> Result<sam2_cuda::Cuda<sam2_cuda::Driver>> {
    Ok(sam2_cuda::Cuda::on(sam2_cuda::Driver::new(index)?))
}

#[cfg(not(feature = "cuda"))]
fn gpu(_: usize) -> Result<cpu::Cpu> {
    Err(Error::Device("built without CUDA; build again with the feature `cuda`".into()))
}

/// The text of the configuration that `options` or the checkpoint's folder give.
pub fn config(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Option<String>> {
    let file = match &options.config {
        Some(file) => Some(file.clone()),
        None if path.as_ref().is_dir() => match &checkpoint::files_with(path.as_ref(), &["yaml", "yml"])?[..] {
            [only] => Some(only.clone()),
            _ => None,
        },
        None => None,
    };
    let read = |file: PathBuf| {
        std::fs::read_to_string(&file).map_err(|source| Error::Io { path: file.display().to_string(), source })
    };
    file.map(read).transpose()
}

#![doc = include_str!("../README.md")]

/// What the engine has to say goes through this crate, to whichever logger the program has.
pub use log;
/// The engine underneath, for the project's own tests, benchmarks and program: operations trust their operands, so what is safe to call
/// there keeps memory safe only with tensors and indices that fit.
#[doc(hidden)]
pub use sam2_engine as engine;
pub use sam2_engine::backend::Memory;
pub use sam2_engine::cpu::bind_thread;
pub use sam2_engine::cpu::simd::Isa;
pub use sam2_engine::tensor::{DType, bf16, f16};
pub use sam2_engine::{
    AutomaticMask, AutomaticMaskBatch, AutomaticMaskGenerator, AutomaticMaskGeneratorOptions, AutomaticMasks,
    Checkpoint, Config, Counters, DeviceSlice, Error, Feature, Frame, FrameMasks, Frames, FramesOptions,
    ImagePredictor, ImagePredictorOptions, KernelTime, MAX_GRID_POINTS, MAX_POINTS, MAX_SIDE, MaskBuffer, MaskFormat,
    MaskMemory, Masks, Model, PixelFormat, PixelValue, Pixels, Plane, Point, Precision, PredictOptions, Prediction,
    PredictionBuffers, Probe, Progress, Prompt, Result, Retention, StageTime, Until, VARIANTS, Variant, VideoPredictor,
    VideoPredictorOptions, Workspace, Yuv, YuvMatrix, YuvRange, check, checkpoint, ffmpeg, is_hidden, labels, manifest,
    mask_logits, natural_order, parse_prompts, picture, rle,
};

mod configuration;
mod devices;
mod doctor;

pub use configuration::config;
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
    /// The thread that makes a call works too, and stays where it is: see [`bind_thread`]. Linux alone.
    pub cpus: Vec<usize>,
    /// The CPU's instruction set; none: the best it has. One that it lacks is an error.
    pub instructions: Option<Isa>,
    /// A configuration: a file, or the reference's name of a published one (`configs/sam2.1/sam2.1_hiera_t.yaml`, with or
    /// without folders and ending). None: [`config`] finds it.
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

/// Loads a checkpoint, whatever form [`Checkpoint::open`] takes, under the configuration that [`config`] finds.
pub fn load(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Model> {
    let checkpoint = open(path.as_ref(), options)?;
    let (config, _) = config(path, &checkpoint, options)?;
    load_config(&checkpoint, &config, options)
}

/// Opens a checkpoint as `options` say.
pub fn open(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Checkpoint> {
    if options.mmap { Checkpoint::open(path) } else { Checkpoint::read(path) }
}

/// Loads an open checkpoint; `yaml` is its configuration's text, if one is given, in place of `options.config`.
pub fn load_checkpoint(checkpoint: &Checkpoint, yaml: &Option<String>, options: &LoadOptions) -> Result<Model> {
    let (config, _) = configuration::given(checkpoint, yaml.as_deref(), options)?;
    load_config(checkpoint, &config, options)
}

/// Loads an open checkpoint under a configuration; of `options` the device, precision, threads, CPUs and instruction set count.
pub fn load_config(checkpoint: &Checkpoint, config: &Config, options: &LoadOptions) -> Result<Model> {
    let load_cpu = || {
        let cpu = cpu::Cpu::on_cpus(options.threads, &options.cpus, options.instructions)?;
        Model::load(cpu, checkpoint, config, options.precision)
    };
    match options.device {
        Device::Auto => match gpu(0) {
            Ok(gpu) => Model::load(gpu, checkpoint, config, options.precision),
            Err(why) => {
                log::info!("on the CPU: {why}");
                load_cpu()
            }
        },
        Device::Cpu => load_cpu(),
        Device::Uuid(uuid) => Model::load(gpu(devices::find(uuid)?)?, checkpoint, config, options.precision),
        Device::Cuda(index) => Model::load(gpu(index)?, checkpoint, config, options.precision),
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

//! How to load a model.

use crate::devices::Device;
use sam2_engine::cpu::simd::Isa;
use sam2_engine::{Checkpoint, LoadProgress, Precision, Result};
use std::path::{Path, PathBuf};

/// How to load a model. Construct it with `..Default::default()`.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// The device that the model runs on.
    pub device: Device,
    /// The precision of the computation.
    pub precision: Precision,
    /// The number of CPU threads. 0: one for each of `cpus`, or all that the machine has if `cpus` is empty.
    pub threads: usize,
    /// The CPUs that the engine's threads are bound to, in turn, by the system's numbers. If it is empty, the system
    /// places the threads. The calling thread computes too, and is not bound: see [`bind_thread`](crate::bind_thread). Linux only.
    pub cpus: Vec<usize>,
    /// The instruction set of the CPU. `None`: the best that the CPU has. An instruction set that the CPU lacks is an
    /// error.
    pub isa: Option<Isa>,
    /// The configuration: a file, or the reference's name of a published one (`configs/sam2.1/sam2.1_hiera_t.yaml`,
    /// with or without folders and extension). `None`: [`LoadOptions::find_config`]
    /// finds it.
    pub config: Option<PathBuf>,
    /// Overrides of the configuration, as in Hydra: `key=value`.
    pub overrides: Vec<String>,
    /// The side of the model's square input, a multiple of 32. `None`: the configuration's.
    pub image_size: Option<usize>,
    /// The reference's `apply_postprocessing`: select single masks by stability.
    pub postprocessing: bool,
    /// Map the checkpoint into memory instead of reading it. If another process shortens the file meanwhile, this
    /// process crashes.
    pub mmap: bool,
    /// Is told how far the loading is.
    pub progress: Option<LoadProgress>,
}

impl LoadOptions {
    /// Opens a checkpoint as [`Checkpoint::open`] does, or as [`Checkpoint::read`] does if [`LoadOptions::mmap`] is false.
    /// Other options are not used.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a file cannot be read. [`Error::Checkpoint`] if it is not a checkpoint, or is damaged.
    ///
    /// [`Error::Io`]: crate::Error::Io
    /// [`Error::Checkpoint`]: crate::Error::Checkpoint
    pub fn open_checkpoint(&self, path: impl AsRef<Path>) -> Result<Checkpoint> {
        if self.mmap { Checkpoint::open(path) } else { Checkpoint::read(path) }
    }
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions {
            device: Device::Auto,
            precision: Precision::Auto,
            threads: 0,
            cpus: Vec::new(),
            isa: None,
            config: None,
            overrides: Vec::new(),
            image_size: None,
            postprocessing: true,
            mmap: true,
            progress: None,
        }
    }
}

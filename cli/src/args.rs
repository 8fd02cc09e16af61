//! Arguments that several commands share, and parsers of their values.

use crate::console::{note, progress};
use crate::error::Failure;
use crate::files;
use sam2::picture::{self, Picture, ReadOptions};
use sam2::{Checkpoint, Device, Isa, LoadOptions, Model, Point, Precision, Variant};
use std::path::{Path, PathBuf};

/// The model, and how to run it.
#[derive(clap::Args)]
pub struct ModelArgs {
    /// Checkpoint to load
    ///
    /// A .safetensors, .pt or .bin file; the index file of a sharded checkpoint; or a folder with one of these
    #[arg(long, value_name = "PATH")]
    pub model: PathBuf,
    /// Configuration of the model
    ///
    /// A YAML file in the reference's structure, Hugging Face's config.json, or the name of a published configuration,
    /// such as sam2.1_hiera_t. Default: the configuration beside the checkpoint. If there is none, the tensors identify
    /// the published model
    #[arg(long, value_name = "FILE|NAME")]
    pub config: Option<PathBuf>,
    /// Override a key of the configuration, as in Hydra. Example: model.image_size=512
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Do not select single masks by stability (apply_postprocessing=False in the reference)
    #[arg(long)]
    pub no_postprocessing: bool,
    /// Device: auto, cpu, cuda, cuda:N or cuda:GPU-UUID
    #[arg(long, default_value = "auto")]
    pub device: Device,
    /// Precision of the computation: auto, f32, bf16 or f16
    #[arg(long, value_parser = precision, default_value = "auto")]
    pub precision: Precision,
    /// Number of CPU threads. 0: one for each of --cpus, or all that the machine has
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
    /// CPUs to bind the threads to, such as 0,2,4. Default: the system places the threads
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub cpus: Vec<usize>,
    /// Instruction set of the CPU, such as avx2. `sam2 info` lists them. Default: the best that the CPU has
    #[arg(long, value_name = "SET")]
    pub isa: Option<Isa>,
    /// Side of the model's square input in pixels, a multiple of 32
    #[arg(long, value_name = "N")]
    pub image_size: Option<usize>,
}

/// How to read image files.
#[derive(clap::Args)]
pub struct PictureArgs {
    /// Rotate images by their EXIF orientation, as viewers do
    ///
    /// Coordinates and masks then refer to the upright image
    #[arg(long)]
    upright: bool,
    /// Significant bits of the values in 16-bit files, 8 to 16. With 12, the value 4095 is white
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(8..=16))]
    bit_depth: Option<u8>,
}

impl PictureArgs {
    pub fn options(&self) -> ReadOptions {
        ReadOptions { upright: self.upright, bit_depth: self.bit_depth }
    }

    pub fn read(&self, file: &Path) -> sam2::Result<Picture> {
        picture::read_with(file, &self.options())
    }
}

fn precision(text: &str) -> Result<Precision, String> {
    let all = [Precision::Auto, Precision::F32, Precision::Bf16, Precision::F16];
    all.into_iter().find(|p| p.name() == text).ok_or_else(|| "expected auto, f32, bf16 or f16".into())
}

impl ModelArgs {
    pub fn options(&self) -> LoadOptions {
        LoadOptions {
            device: self.device,
            precision: self.precision,
            threads: self.threads,
            cpus: self.cpus.clone(),
            isa: self.isa,
            config: self.config.clone(),
            overrides: self.overrides.clone(),
            image_size: self.image_size,
            postprocessing: !self.no_postprocessing,
            mmap: true,
            progress: None,
        }
    }

    /// The files that loading may read. Of a folder: all its checkpoints and configurations.
    pub fn reads(&self) -> Vec<PathBuf> {
        let mut reads = vec![self.model.clone()];
        reads.extend(self.config.clone());
        reads.extend(files::of_model(&self.model));
        reads
    }

    pub fn load(&self) -> Result<Model, Failure> {
        self.load_with(&self.options())
    }

    /// Like [`Self::load`], with changed [`Self::options`].
    pub fn load_with(&self, options: &LoadOptions) -> Result<Model, Failure> {
        if let Some(&cpu) = self.cpus.first() {
            let failed = |e| sam2::Error::Device(format!("cannot bind a thread to CPU {cpu}: {e}"));
            sam2::bind_thread(cpu).map_err(failed)?;
        }
        let bar = progress("loading the model");
        let checkpoint = options.open_checkpoint(&self.model)?;
        let found = options.find_config(&self.model, &checkpoint)?;
        let model = sam2::load_config(&checkpoint, &found.config, options)?;
        bar.finish_and_clear();
        if self.device == Device::Auto {
            note_device(&model);
        }
        note_demo(&checkpoint);
        Ok(model)
    }
}

/// Prints which device `auto` selected. On the CPU it prints a note only if a GPU is present but unusable.
fn note_device(model: &Model) {
    if model.device() != "CPU" {
        return note(&format!("note: on {}, in {}", model.device(), model.precision().name()));
    }
    let findings = sam2::diagnose();
    if let (Some(gpu), Some(lacking)) =
        (findings.iter().find(|f| f.what.starts_with("GPU ")), findings.iter().find(|f| !f.works))
    {
        note(&format!("note: {} is not used: {}: {}", gpu.what, lacking.what, lacking.text));
    }
}

/// Prints a note if the model is the demonstration model.
pub fn note_demo(checkpoint: &Checkpoint) {
    if Variant::of(checkpoint).is_ok_and(|v| v.is_demo()) {
        note("note: this is the demonstration model: it finds evenly coloured regions, with rough outlines");
    }
}

/// Exactly `N` numbers, separated by commas.
pub fn numbers<const N: usize>(text: &str) -> Result<[f32; N], String> {
    let list: Vec<f32> = (text.split(',').map(|n| n.trim().parse().map_err(|_| format!("{n:?} is not a number"))))
        .collect::<Result<_, _>>()?;
    list.try_into().map_err(|list: Vec<f32>| format!("expected {N} numbers separated by commas, got {}", list.len()))
}

/// A click: `X,Y` or `X,Y,LABEL`. The label is 1 by default.
pub fn point(text: &str) -> Result<Point, String> {
    let [x, y, label] = if text.matches(',').count() == 1 { numbers(&format!("{text},1"))? } else { numbers(text)? };
    if label.fract() != 0.0 {
        return Err(format!("label {label} is not a whole number"));
    }
    Ok(Point { x, y, label: label as i32 })
}

//! Arguments that several commands share.

use crate::{Failure, progress};
use sam2::picture::{self, Picture, ReadOptions};
use sam2::{Checkpoint, Device, Isa, LoadOptions, Model, Precision, Variant};
use std::path::{Path, PathBuf};

/// Which model, where, how.
#[derive(clap::Args)]
pub struct ModelArgs {
    /// Checkpoint: a .safetensors, .pt or .bin file, the index of one in several files, or a folder that holds one
    #[arg(long, value_name = "PATH")]
    pub model: PathBuf,
    /// Configuration: a file in the reference's structure, Hugging Face's config.json, or the name of a published one, such as
    /// sam2.1_hiera_t; by default the one beside the checkpoint, else the model is recognised by its tensors
    #[arg(long, value_name = "FILE|NAME")]
    pub config: Option<PathBuf>,
    /// Change a key of the configuration, as in Hydra: model.image_size=512
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Do not choose single masks by stability (the reference's apply_postprocessing=False)
    #[arg(long)]
    pub no_postprocessing: bool,
    /// Where to run: auto, cpu, cuda, cuda:N or cuda:GPU-UUID
    #[arg(long, default_value = "auto")]
    pub device: Device,
    /// What to compute in: auto, f32, bf16 or f16
    #[arg(long, value_parser = precision, default_value = "auto")]
    pub precision: Precision,
    /// Threads of the CPU; 0: as many as the machine offers
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
    /// CPUs to bind threads to, such as 0,2,4; by default the system puts them
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub cpus: Vec<usize>,
    /// Instruction set of the CPU, such as avx2; by default the best it has, which sam2 info says
    #[arg(long, value_name = "SET")]
    pub instructions: Option<Isa>,
    /// Side of the model's input in pixels, a multiple of 32
    #[arg(long, value_name = "N")]
    pub image_size: Option<usize>,
}

/// How picture files are read.
#[derive(clap::Args)]
pub struct PictureArgs {
    /// Turn pictures as their EXIF orientation says, as viewers do: coordinates and masks are then on the upright picture
    #[arg(long)]
    upright: bool,
    /// Bits of the values in 16-bit files, 8 to 16: with 12, the value 4095 becomes white
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
            instructions: self.instructions,
            config: self.config.clone(),
            overrides: self.overrides.clone(),
            image_size: self.image_size,
            postprocessing: !self.no_postprocessing,
            mmap: true,
        }
    }

    /// The files that loading reads. Of a folder these are all checkpoints and configurations.
    pub fn reads(&self) -> Vec<PathBuf> {
        let mut reads = vec![self.model.clone()];
        reads.extend(self.config.clone());
        reads.extend(crate::files::of_model(&self.model));
        reads
    }

    pub fn load(&self) -> Result<Model, Failure> {
        self.load_with(&self.options())
    }

    /// As [`Self::load`], with options made of [`Self::options`].
    pub fn load_with(&self, options: &LoadOptions) -> Result<Model, Failure> {
        if let Some(&cpu) = self.cpus.first() {
            let failed = |e| sam2::Error::Device(format!("cannot bind a thread to CPU {cpu}: {e}"));
            sam2::bind_thread(cpu).map_err(failed)?;
        }
        let bar = progress("loading the model");
        let checkpoint = sam2::open(&self.model, options)?;
        let (config, _) = sam2::config(&self.model, &checkpoint, options)?;
        let model = sam2::load_config(&checkpoint, &config, options)?;
        bar.finish_and_clear();
        if self.device == Device::Auto {
            remark_on_device(&model);
        }
        remark_on_demo(&checkpoint);
        Ok(model)
    }
}

/// Says which device `auto` has come to mean, where that is not plain.
fn remark_on_device(model: &Model) {
    if model.device() != "CPU" {
        return crate::note(&format!("note: on {}, in {}", model.device(), model.precision().name()));
    }
    let findings = sam2::diagnose();
    if let (Some(gpu), Some(lacking)) =
        (findings.iter().find(|f| f.what.starts_with("GPU ")), findings.iter().find(|f| !f.works))
    {
        crate::note(&format!("note: {} is not used: {}: {}", gpu.what, lacking.what, lacking.text));
    }
}

/// Says so when the model is the one that ships with the project.
pub fn remark_on_demo(checkpoint: &Checkpoint) {
    if Variant::of(checkpoint).is_ok_and(|v| v.is_demo()) {
        crate::note("note: this is the demonstration model: it finds evenly coloured regions, with rough outlines");
    }
}

/// Numbers with commas between them.
pub fn numbers<const N: usize>(text: &str) -> Result<[f32; N], String> {
    let list: Vec<f32> = (text.split(',').map(|n| n.trim().parse().map_err(|_| format!("{n:?} is no number"))))
        .collect::<Result<_, _>>()?;
    list.try_into()
        .map_err(|list: Vec<f32>| format!("expected {N} numbers with commas between them, got {}", list.len()))
}

//! `sam2 info`: describes a model or the machine.

use crate::args::note_demo;
use crate::console::print;
use crate::error::Failure;
use crate::machine::cpu_name;
use sam2::{Cpu, FoundConfig, Isa, LoadOptions, Variant};
use std::path::PathBuf;

/// Arguments of `sam2 info`.
#[derive(clap::Args)]
pub struct Args {
    /// Checkpoint to describe. Without it, the command describes the machine
    model: Option<PathBuf>,
    /// Configuration: a YAML file in the reference's structure, Hugging Face's config.json, or a published name
    #[arg(long, value_name = "FILE|NAME")]
    config: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    match &args.model {
        Some(model) => describe_model(model, args.config.clone()),
        None => describe_machine(),
    }
}

fn describe_model(path: &PathBuf, config: Option<PathBuf>) -> Result<(), Failure> {
    let options = LoadOptions { config, ..LoadOptions::default() };
    let checkpoint = options.open_checkpoint(path)?;
    let FoundConfig { config, source } = options.find_config(path, &checkpoint)?;
    let name = Variant::of(&checkpoint).map_or("not a published model", |variant| variant.name);
    let (mut parameters, mut tensors) = (0usize, 0usize);
    let mut dtypes: Vec<String> = Vec::new();
    for data in checkpoint.names().filter_map(|n| checkpoint.get(n)) {
        parameters += data.shape.iter().product::<usize>();
        tensors += 1;
        let dtype = format!("{:?}", data.dtype).to_lowercase();
        if !dtypes.contains(&dtype) {
            dtypes.push(dtype);
        }
    }
    let t = &config.trunk;
    for (key, value) in [
        ("checkpoint", checkpoint.name().to_string()),
        ("model", name.to_string()),
        ("configuration", source),
        ("version", if config.memory.proj_tpos_enc_in_obj_ptrs { "SAM 2.1" } else { "SAM 2" }.to_string()),
        ("parameters", format!("{:.2} M in {tensors} tensors, {}", parameters as f64 / 1e6, dtypes.join(" and "))),
        ("input", format!("{0}x{0} pixels", config.image_size)),
        ("trunk", format!("{:?} blocks, {:?} channels, {} heads in the first stage", t.stages, t.dims(), t.num_heads)),
        ("windows", format!("{:?}, global attention in blocks {:?}", t.window_spec, t.global_att_blocks)),
        ("embedding", format!("{0} channels, {1}x{1}", config.d_model, config.embed_side())),
        ("low-resolution masks", format!("{0}x{0}", config.mask_side())),
    ] {
        print(&format!("{key:22}{value}"))?;
    }
    note_demo(&checkpoint);
    Ok(())
}

fn describe_machine() -> Result<(), Failure> {
    let cpu = Cpu::new(&LoadOptions::default())?;
    let sets: Vec<&str> = Isa::available().iter().map(|isa| isa.name()).collect();
    print(&format!("{:22}{}", "sam2", env!("CARGO_PKG_VERSION")))?;
    print(&format!("{:22}{}", "cpu", cpu_name()))?;
    print(&format!("{:22}{}", "threads", cpu.threads()))?;
    print(&format!("{:22}{}, of {}", "isa", cpu.isa().name(), sets.join(", ")))?;
    let gpus: Vec<_> = sam2::diagnose().into_iter().filter(|f| f.works && f.what.starts_with("GPU")).collect();
    for gpu in &gpus {
        print(&format!("{:22}{}", gpu.what.to_lowercase(), gpu.text))?;
    }
    if gpus.is_empty() {
        print(&format!("{:22}none that works; run sam2 doctor for the reason", "gpu"))
    } else {
        Ok(())
    }
}

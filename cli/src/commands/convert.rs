//! `sam2 convert`: rewrites a checkpoint as safetensors.

use crate::args::note_demo;
use crate::console::{print, progress};
use crate::error::Failure;
use crate::tensors::{self, Header};
use crate::{files, output};
use sam2::{Checkpoint, DType, Error, bf16, f16};
use std::path::PathBuf;

/// Arguments of `sam2 convert`.
#[derive(clap::Args)]
pub struct Args {
    /// Checkpoint, in any form that --model of the other commands accepts
    input: PathBuf,
    /// Output file
    #[arg(value_name = "OUT.safetensors")]
    output: PathBuf,
    /// Element type of the tensors: f32, f16 or bf16. Default: unchanged
    #[arg(long, value_parser = dtype)]
    dtype: Option<DType>,
}

fn dtype(text: &str) -> Result<DType, String> {
    match text {
        "f32" => Ok(DType::F32),
        "f16" => Ok(DType::F16),
        "bf16" => Ok(DType::Bf16),
        _ => Err("expected f32, f16 or bf16".into()),
    }
}

pub fn run(args: &Args) -> Result<(), Failure> {
    output::check_file(&args.output, &["safetensors"])?;
    output::check(&[args.output.clone()], files::of_model(&args.input).into_iter().chain([args.input.clone()]))?;
    let checkpoint = Checkpoint::open(&args.input)?;
    note_demo(&checkpoint);
    let bar = progress("converting");
    let mut tensors = Vec::new();
    for name in checkpoint.names() {
        let Some(data) = checkpoint.get(name) else { continue };
        let to = args.dtype.unwrap_or(data.dtype);
        if to == DType::F16
            && data.dtype != DType::F16
            && let Some(v) = data.to_f32()?.iter().find(|v| v.is_finite() && v.abs() > f16::MAX.to_f32())
        {
            return Err(
                Error::Input(format!("{name} holds {v}, which exceeds the range of f16; use bf16 or f32")).into()
            );
        }
        tensors.push((Header { name, dtype: to, shape: data.shape }, data));
    }
    let (headers, data): (Vec<_>, Vec<_>) = tensors.into_iter().unzip();
    tensors::write(&args.output, &headers, |i, out| {
        if headers[i].dtype == data[i].dtype {
            return out.write_all(data[i].bytes);
        }
        let values = data[i].to_f32().map_err(std::io::Error::other)?;
        values.iter().try_for_each(|&v| match headers[i].dtype {
            DType::F16 => out.write_all(&f16::from_f32(v).to_le_bytes()),
            DType::Bf16 => out.write_all(&bf16::from_f32(v).to_le_bytes()),
            _ => out.write_all(&v.to_le_bytes()),
        })
    })?;
    let count = headers.len();
    bar.finish_and_clear();
    print(&format!("{count} tensors written to {}", args.output.display()))
}

//! `sam2 convert`

use crate::{Failure, print, progress};
use safetensors::tensor::{Dtype, View, serialize_to_file};
use sam2::checkpoint::TensorData;
use sam2::tensor::DType;
use sam2::{Checkpoint, Error};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;

/// Arguments of `sam2 convert`.
#[derive(clap::Args)]
pub struct Args {
    /// Any checkpoint that the other commands take
    input: PathBuf,
    /// File to write
    #[arg(value_name = "OUT.safetensors")]
    output: PathBuf,
    /// Element type of the tensors: f32, f16 or bf16; as they are by default
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

/// A tensor converted when it is written, so that one at a time is in memory.
struct Converted<'a> {
    data: TensorData<'a>,
    to: DType,
}

impl View for Converted<'_> {
    fn dtype(&self) -> Dtype {
        match self.to {
            DType::F16 => Dtype::F16,
            DType::Bf16 => Dtype::BF16,
            _ => Dtype::F32,
        }
    }

    fn shape(&self) -> &[usize] {
        self.data.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        if self.to == self.data.dtype {
            return Cow::Borrowed(self.data.bytes);
        }
        // Checked before anything is written.
        let values = self.data.to_f32().unwrap_or_default();
        Cow::Owned(match self.to {
            DType::F16 => values.iter().flat_map(|&v| sam2::tensor::f16::from_f32(v).to_le_bytes()).collect(),
            DType::Bf16 => values.iter().flat_map(|&v| sam2::tensor::bf16::from_f32(v).to_le_bytes()).collect(),
            _ => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        })
    }

    fn data_len(&self) -> usize {
        self.data.bytes.len() / self.data.dtype.bytes() * self.to.bytes()
    }
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let checkpoint = Checkpoint::open(&args.input)?;
    crate::args::remark_on_demo(&checkpoint);
    let bar = progress("converting");
    let mut tensors = Vec::new();
    for name in checkpoint.names() {
        let Some(data) = checkpoint.get(name) else { continue };
        let to = args.dtype.unwrap_or(data.dtype);
        if to == DType::F16
            && data.dtype != DType::F16
            && let Some(v) = data.to_f32()?.iter().find(|v| v.is_finite() && v.abs() > sam2::tensor::f16::MAX.to_f32())
        {
            return Err(Error::Input(format!("{name} holds {v}, beyond f16; use bf16 or f32")).into());
        }
        tensors.push((name, Converted { data, to }));
    }
    let count = tensors.len();
    // Beside the file first, so that a failure leaves no half of one.
    let part = args.output.with_extension("part");
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    serialize_to_file(tensors, Some(metadata), &part).map_err(|e| match e {
        safetensors::SafeTensorError::IoError(e) => crate::io(&part, e),
        other => Failure::Engine(Error::Internal(other.to_string())),
    })?;
    std::fs::rename(&part, &args.output).map_err(|e| crate::io(&args.output, e))?;
    bar.finish_and_clear();
    print(&format!("{count} tensors written to {}", args.output.display()));
    Ok(())
}

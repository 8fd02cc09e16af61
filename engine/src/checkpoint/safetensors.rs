//! Safetensors files.

use super::stored::{Kind, Stored};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

/// The largest number of bytes of a header. An official model would have a header of 60,000 bytes.
const MAX_HEADER: u64 = 8 << 20;

/// Returns whether a file begins like a safetensors file: a length, and a header in JSON.
pub fn may_be(bytes: &[u8]) -> bool {
    bytes.first_chunk().is_some_and(|n| u64::from_le_bytes(*n) <= MAX_HEADER) && bytes.get(8) == Some(&b'{')
}

/// Returns the tensors of a file.
pub fn read(bytes: &[u8], file: usize) -> Result<BTreeMap<String, Stored>, String> {
    let Some(length) = bytes.first_chunk::<8>() else {
        return Err(format!("{} bytes are too few for a checkpoint (safetensors, or .pt of PyTorch)", bytes.len()));
    };
    let length = u64::from_le_bytes(*length);
    if bytes.len() > 8 && !may_be(bytes) {
        return Err("neither safetensors nor a .pt file of PyTorch".into());
    }
    let tensors = SafeTensors::deserialize(bytes).map_err(|e| match missing(bytes, length as usize) {
        Some(total) => format!(
            "cut short: {} of {total} bytes are there. Download or copy the safetensors file again",
            bytes.len()
        ),
        None => format!("not a valid safetensors file: {e}"),
    })?;
    let mut out = BTreeMap::new();
    for (name, view) in tensors.iter() {
        let kind = match view.dtype() {
            Dtype::F64 => Ok(Kind::F64),
            Dtype::F32 => Ok(Kind::F32),
            Dtype::F16 => Ok(Kind::F16),
            Dtype::BF16 => Ok(Kind::Bf16),
            other => Err(format!("{other:?}")),
        };
        let (data, shape) = (view.data(), view.shape().to_vec());
        if let Ok(kind) = kind {
            let size = shape.iter().try_fold(kind.bytes(), |n, &d| n.checked_mul(d));
            if size != Some(data.len()) {
                return Err(format!("tensor {name}: {shape:?} {kind:?} does not take {} bytes", data.len()));
            }
        }
        let start = if data.is_empty() { 0 } else { data.as_ptr() as usize - bytes.as_ptr() as usize };
        let storage = start..start + data.len();
        let mut strides = vec![1usize; shape.len()];
        for i in (1..shape.len()).rev() {
            strides[i - 1] = strides[i].saturating_mul(shape[i]);
        }
        out.insert(name.to_string(), Stored { kind, shape, strides, offset: 0, file, storage });
    }
    Ok(out)
}

/// Returns the size of the whole file if the end of the file is missing.
fn missing(bytes: &[u8], length: usize) -> Option<usize> {
    /// The required part of the description of a tensor.
    #[derive(Deserialize)]
    struct Offsets {
        #[serde(default)]
        data_offsets: (usize, usize),
    }
    let start = length.checked_add(8)?;
    let total = match bytes.get(8..start) {
        None => start,
        Some(header) => {
            let tensors: HashMap<&str, Offsets> = serde_json::from_slice(header).ok()?;
            let end = tensors.values().map(|t| t.data_offsets.1).max()?;
            end.checked_add(start)?
        }
    };
    (total > bytes.len()).then_some(total)
}

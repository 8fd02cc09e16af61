//! Writes safetensors files one tensor at a time, without a copy of the data in memory.

use crate::error::{Failure, io};
use crate::output::Unfinished;
use sam2::DType;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

/// The name, type and shape of a tensor to write.
pub struct Header<'a> {
    pub name: &'a str,
    pub dtype: DType,
    pub shape: &'a [usize],
}

/// Writes `file`. `data` is called with the index of each tensor and writes its bytes.
///
/// Tensors are sorted by element size in descending order, as in the safetensors library, so that all are aligned.
pub fn write(
    file: &Path,
    tensors: &[Header<'_>],
    mut data: impl FnMut(usize, &mut dyn Write) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(tensors[i].dtype.bytes()), tensors[i].name));
    let mut table = serde_json::Map::from_iter([("__metadata__".into(), serde_json::json!({"format": "pt"}))]);
    let mut end = 0;
    for &i in &order {
        let Header { name, dtype, shape } = tensors[i];
        let start = end;
        end += shape.iter().product::<usize>() * dtype.bytes();
        let dtype = format!("{dtype:?}").to_uppercase();
        table.insert(name.into(), serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]}));
    }
    let mut header = serde_json::Value::Object(table).to_string();
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    let run = || -> std::io::Result<()> {
        let mut out = BufWriter::new(Unfinished::create(file)?);
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(header.as_bytes())?;
        for i in order {
            data(i, &mut out)?;
        }
        out.into_inner()?.finish()
    };
    run().map_err(|e| io(file, e))
}

/// Writes float32 tensors: name, shape, values.
pub fn write_f32(file: &Path, tensors: &[(&str, &[usize], &[f32])]) -> Result<(), Failure> {
    let headers: Vec<Header<'_>> =
        tensors.iter().map(|(name, shape, _)| Header { name, dtype: DType::F32, shape }).collect();
    write(file, &headers, |i, out| write_values(out, tensors[i].2))
}

/// Writes float32 values, little-endian.
pub fn write_values(out: &mut dyn Write, values: &[f32]) -> std::io::Result<()> {
    values.iter().try_for_each(|v| out.write_all(&v.to_le_bytes()))
}

/// Whether a file begins like a safetensors file: 8 bytes of header length, then JSON.
pub fn is_safetensors(file: &Path) -> bool {
    let mut start = [0; 9];
    std::fs::File::open(file).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start[8] == b'{'
}

//! The bytes of tensors, and the positions of tensors in these bytes.

use crate::backend::tensor::DType;
use crate::cancellation;
use crate::error::{Error, Result};
use crate::memory::try_zeros;
use std::fs::File;
use std::io::ErrorKind;
use std::ops::Range;

/// The number of bytes that are read at once. Between two parts a call can be cancelled.
const PART: usize = 16 << 20;

/// The type, the shape and the position of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub dtype: DType,
    pub shape: Vec<usize>,
    /// The index of the data that has the bytes.
    pub data: usize,
    pub bytes: Range<usize>,
}

/// The bytes of a file, or of a copied tensor.
pub enum Data {
    Map(memmap2::Mmap),
    Bytes(Vec<u8>),
}

impl Data {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Data::Map(map) => map,
            Data::Bytes(bytes) => bytes,
        }
    }

    /// Maps or reads a part of an open file.
    pub fn of(name: &str, file: &File, range: Range<u64>, mmap: bool) -> Result<Data> {
        let end = file.metadata().map_err(|e| Error::io(name, e))?.len().min(range.end);
        let size = usize::try_from(end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        if mmap && size > 0 {
            // SAFETY: the map is read-only; that the file must not shrink is documented by `Checkpoint::open`.
            let map = unsafe { memmap2::MmapOptions::new().offset(range.start).len(size).map(file) };
            return Ok(Data::Map(map.map_err(|e| match e.kind() {
                ErrorKind::OutOfMemory => Error::OutOfMemory { what: "a map of the checkpoint", bytes: size },
                _ => Error::io(name, e),
            })?));
        }
        let mut bytes = try_zeros::<u8>(size, "the checkpoint")?;
        let mut filled = 0;
        while filled < size {
            // The position of the file stays, because others may share the descriptor.
            cancellation::check()?;
            let part = filled..size.min(filled + PART);
            match read_at(file, &mut bytes[part], range.start + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::io(name, e)),
            }
        }
        bytes.truncate(filled);
        Ok(Data::Bytes(bytes))
    }
}

/// Reads at an offset, without moving the position of the file.
#[cfg(unix)]
fn read_at(file: &File, to: &mut [u8], offset: u64) -> std::io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, to, offset)
}

#[cfg(windows)]
fn read_at(file: &File, to: &mut [u8], offset: u64) -> std::io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, to, offset)
}

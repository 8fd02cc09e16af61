//! An open checkpoint, and its tensors.

use super::data::{Data, Entry};
use super::failure::failure;
use super::stored::Stored;
use super::{files, foreign, names, safetensors, stored, torch, wrappers};
use crate::backend::tensor::DType;
use crate::error::{Error, Result};
use crate::memory::try_with_capacity;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::Path;

/// An open checkpoint.
pub struct Checkpoint {
    name: String,
    /// The files, followed by the copied tensors.
    data: Vec<Data>,
    tensors: BTreeMap<String, Entry>,
    /// The types of the tensors that are not read, by the names of the tensors.
    unread: BTreeMap<String, String>,
}

/// A tensor of a checkpoint, as the file stores it.
#[derive(Clone, Copy)]
pub struct TensorData<'a> {
    /// The element type: F32, F16 or Bf16.
    pub dtype: DType,
    /// The dimensions.
    pub shape: &'a [usize],
    /// The elements, in little-endian order and with any alignment.
    pub bytes: &'a [u8],
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Checkpoint");
        out.field("name", &self.name).field("tensors", &self.tensors.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for TensorData<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("TensorData");
        out.field("dtype", &self.dtype).field("shape", &self.shape).field("bytes", &self.bytes.len()).finish()
    }
}

impl TensorData<'_> {
    /// Returns the values as f32.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`] if memory is exhausted.
    pub fn to_f32(&self) -> Result<Vec<f32>> {
        let n = self.bytes.len() / self.dtype.bytes();
        let mut out = try_with_capacity(n, "a tensor of the checkpoint")?;
        self.dtype.widen(self.bytes, &mut out);
        Ok(out)
    }
}

impl Checkpoint {
    /// Opens a checkpoint. The path is a file, the index of a checkpoint in several files
    /// (`model.safetensors.index.json`), or a folder. In a folder, the checkpoint is `model.safetensors`, or else
    /// `pytorch_model.bin`, each either whole or in several files with an index. Otherwise the checkpoint is the only
    /// file with the extension `.safetensors`, `.pt`, `.pth`, `.bin` or `.ckpt`.
    ///
    /// The tensors of the model may be in any dictionary of a trainer, and may have any prefix of a wrapper. A file may
    /// have several models, such as the weights and their moving average. A warning then says which model is used.
    /// float64 tensors are converted to float32.
    ///
    /// The files are memory-mapped. If another program shortens a mapped file, the process crashes.
    /// [`Checkpoint::read`] copies the files instead.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a file cannot be read. [`Error::Checkpoint`] if it is not a checkpoint, or is damaged.
    /// [`Error::OutOfMemory`] if memory is exhausted.
    pub fn open(path: impl AsRef<Path>) -> Result<Checkpoint> {
        Checkpoint::from_path(path.as_ref(), true)
    }

    /// Opens a checkpoint as [`Checkpoint::open`] does, but reads the files into memory.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::open`].
    pub fn read(path: impl AsRef<Path>) -> Result<Checkpoint> {
        Checkpoint::from_path(path.as_ref(), false)
    }

    fn from_path(path: &Path, mmap: bool) -> Result<Checkpoint> {
        let parts = files::of(path)?;
        let mut data = Vec::new();
        for path in &parts.files {
            let file = File::open(path).map_err(|e| Error::io(path, e))?;
            let name = path.display().to_string();
            let part = Data::of(&name, &file, 0..u64::MAX, mmap)?;
            data.push((name, part));
        }
        let mut tensors = BTreeMap::new();
        for (i, (name, data)) in data.iter().enumerate() {
            for (tensor, stored) in read(name, data, i)? {
                if tensors.insert(tensor.clone(), stored).is_some() {
                    return Err(failure(&parts.name, format!("{name} holds {tensor}, as another file does")));
                }
            }
        }
        if let Some((tensor, file)) = parts.index.iter().find(|(tensor, _)| !tensors.contains_key(*tensor)) {
            return Err(failure(&parts.name, format!("{file} does not hold {tensor}, which the index says it does")));
        }
        Checkpoint::assemble(parts.name, data.into_iter().map(|(_, data)| data).collect(), tensors)
    }

    /// Opens a checkpoint that is a part of an open file, such as an archive of a game. `range` is in bytes, and is cut
    /// to the end of the file. With `mmap`, the part is mapped as [`Checkpoint::open`] does. Otherwise the part is
    /// read. Messages call the checkpoint `name`.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::open`].
    pub fn from_file(name: &str, file: &File, range: Range<u64>, mmap: bool) -> Result<Checkpoint> {
        Checkpoint::parse(name, Data::of(name, file, range, mmap)?)
    }

    /// Opens a checkpoint in memory. Messages call the checkpoint `name`.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] if the bytes are not a checkpoint, or are damaged. [`Error::OutOfMemory`] if memory is
    /// exhausted.
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Checkpoint> {
        Checkpoint::parse(name, Data::Bytes(bytes))
    }

    fn parse(name: &str, data: Data) -> Result<Checkpoint> {
        let tensors = read(name, &data, 0)?;
        Checkpoint::assemble(name.into(), vec![data], tensors)
    }

    /// Creates a checkpoint from the tensors of its files.
    fn assemble(name: String, mut data: Vec<Data>, tensors: BTreeMap<String, Stored>) -> Result<Checkpoint> {
        let made = wrappers::strip(&name, tensors).and_then(|tensors| {
            let (tensors, unread) = stored::load(tensors, &mut data)?;
            let unread = unread.into_iter().map(|(name, what)| (names::meta_name(&name), what)).collect();
            Ok((names::to_meta(tensors)?, unread))
        });
        let (tensors, unread) = made.map_err(|what| failure(&name, what))?;
        Ok(Checkpoint { name, data, tensors, unread })
    }

    /// Returns the name of the checkpoint in messages. If the checkpoint has a path, the name is the path.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns a hash that identifies the weights (FNV-1a). The hash covers all names and shapes, and some values of
    /// each tensor, as float32.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        let mut add =
            |bytes: &[u8]| bytes.iter().for_each(|&b| hash = (hash ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        for name in self.names() {
            let Some(tensor) = self.get(name) else { continue };
            let size = tensor.dtype.bytes();
            let n = tensor.bytes.len() / size;
            add(name.as_bytes());
            tensor.shape.iter().for_each(|d| add(&(*d as u64).to_le_bytes()));
            let mut values = Vec::new();
            (0..n)
                .step_by(n.div_ceil(16).max(1))
                .for_each(|i| tensor.dtype.widen(&tensor.bytes[i * size..][..size], &mut values));
            values.iter().for_each(|v| add(&v.to_bits().to_le_bytes()));
        }
        hash
    }

    /// Returns Meta's names of the tensors, in sorted order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Returns the tensor with one of Meta's names.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<TensorData<'_>> {
        let Entry { dtype, shape, data, bytes } = self.tensors.get(name)?;
        Some(TensorData { dtype: *dtype, shape, bytes: &self.data[*data].bytes()[bytes.clone()] })
    }

    /// Returns the type of a tensor that exists but is not read.
    pub(crate) fn unread(&self, name: &str) -> Option<&str> {
        self.unread.get(name).map(String::as_str)
    }

    /// Returns an error about this checkpoint.
    pub(crate) fn error(&self, what: impl Into<String>) -> Error {
        failure(&self.name, what)
    }
}

/// Reads the tensors of a file under the names of the file. `index` is the number of the file in its checkpoint.
fn read(name: &str, data: &Data, index: usize) -> Result<BTreeMap<String, Stored>> {
    let bytes = data.bytes();
    let tensors = match foreign::what_is(bytes) {
        Some(what) => Err(what),
        None if bytes.starts_with(b"PK\x03\x04") => torch::read(name, bytes, index),
        None => safetensors::read(bytes, index),
    };
    tensors.map_err(|what| failure(name, what))
}

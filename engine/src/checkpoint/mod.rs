//! Weights by name, from Meta's safetensors or `.pt` files, trainers' checkpoints, or Hugging Face's files.
//!
//! Opening reads and checks each file's table of contents. Tensors stay in the memory-mapped file until a model takes them;
//! only those stored as float64 or in another order than row by row are copied. Names are Meta's whatever the file's own.

mod files;
mod foreign;
mod names;
mod pickle;
mod safetensors;
mod stored;
mod torch;
mod wrappers;

pub use files::{extension_is, files_with};

use crate::error::{Error, Result};
use crate::memory::{try_with_capacity, try_zeros};
use crate::tensor::DType;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;
use stored::Stored;

/// A tensor of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    dtype: DType,
    shape: Vec<usize>,
    /// Index of the data that the bytes are in.
    data: usize,
    bytes: Range<usize>,
}

/// How bytes are held.
enum Data {
    Map(memmap2::Mmap),
    Bytes(Vec<u8>),
}

impl Data {
    fn bytes(&self) -> &[u8] {
        match self {
            Data::Map(map) => map,
            Data::Bytes(bytes) => bytes,
        }
    }

    /// A part of an open file, mapped or read.
    fn of(name: &str, file: &File, range: Range<u64>, mmap: bool) -> Result<Data> {
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
            // The file's position stays: it is the caller's, and of all who share the descriptor.
            match read_at(file, &mut bytes[filled..], range.start + filled as u64) {
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

/// An open checkpoint.
pub struct Checkpoint {
    name: String,
    /// The files, then the tensors that were copied.
    data: Vec<Data>,
    tensors: BTreeMap<String, Entry>,
    /// Tensors of a type that is not read, with its name.
    unread: BTreeMap<String, String>,
}

/// A tensor of a checkpoint as it lies in the file.
#[derive(Clone, Copy)]
pub struct TensorData<'a> {
    /// F32, F16 or Bf16.
    pub dtype: DType,
    /// The dimensions.
    pub shape: &'a [usize],
    /// Little-endian, of any alignment.
    pub bytes: &'a [u8],
}

impl TensorData<'_> {
    /// The values as f32.
    pub fn to_f32(&self) -> Result<Vec<f32>> {
        let n = self.bytes.len() / self.dtype.bytes();
        let mut out = try_with_capacity(n, "a tensor of the checkpoint")?;
        self.dtype.widen(self.bytes, &mut out);
        Ok(out)
    }
}

impl Checkpoint {
    /// Opens a checkpoint: a file, the index of a checkpoint in several files (`model.safetensors.index.json`), or a folder.
    /// In a folder it is `model.safetensors`, else `pytorch_model.bin`, either whole or in several files with an index, else the
    /// only file named `.safetensors`, `.pt`, `.pth`, `.bin` or `.ckpt`.
    ///
    /// The model's tensors are found in whatever dictionary a trainer put them, behind whatever prefix a wrapper gave their
    /// names. A file that holds several models, such as the weights and their moving average, is opened with a note that says
    /// which one is taken. float64 tensors become float32.
    ///
    /// The files are memory-mapped: whoever cuts one short meanwhile crashes the process. [`Checkpoint::read`] copies them.
    pub fn open(path: impl AsRef<Path>) -> Result<Checkpoint> {
        Checkpoint::from_path(path.as_ref(), true)
    }

    /// As [`Checkpoint::open`], but reads the files into memory.
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

    /// A checkpoint that is part of an open file, as of a game's archive: `range` in bytes, cut to the file's end; mapped as
    /// [`Checkpoint::open`] does, or read. `name` is for messages.
    pub fn from_file(name: &str, file: &File, range: Range<u64>, mmap: bool) -> Result<Checkpoint> {
        Checkpoint::parse(name, Data::of(name, file, range, mmap)?)
    }

    /// A checkpoint held in memory; `name` is for messages.
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Checkpoint> {
        Checkpoint::parse(name, Data::Bytes(bytes))
    }

    fn parse(name: &str, data: Data) -> Result<Checkpoint> {
        let tensors = read(name, &data, 0)?;
        Checkpoint::assemble(name.into(), vec![data], tensors)
    }

    /// Makes a checkpoint of the tensors of its files.
    fn assemble(name: String, mut data: Vec<Data>, tensors: BTreeMap<String, Stored>) -> Result<Checkpoint> {
        let made = wrappers::strip(&name, tensors).and_then(|tensors| {
            let (tensors, unread) = stored::load(tensors, &mut data)?;
            let unread = unread.into_iter().map(|(name, what)| (names::meta_name(&name), what)).collect();
            Ok((names::to_meta(tensors)?, unread))
        });
        let (tensors, unread) = made.map_err(|what| failure(&name, what))?;
        Ok(Checkpoint { name, data, tensors, unread })
    }

    /// How the checkpoint was given, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A number that other weights would not have: of all names and shapes, and of some values of each tensor, whatever
    /// their type (FNV-1a).
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

    /// Meta's names of the tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// A tensor by Meta's name.
    pub fn get(&self, name: &str) -> Option<TensorData<'_>> {
        let Entry { dtype, shape, data, bytes } = self.tensors.get(name)?;
        Some(TensorData { dtype: *dtype, shape, bytes: &self.data[*data].bytes()[bytes.clone()] })
    }

    /// The type of a tensor that is there, but of no type that is read.
    pub(crate) fn unread(&self, name: &str) -> Option<&str> {
        self.unread.get(name).map(String::as_str)
    }

    /// An error about this checkpoint.
    pub(crate) fn error(&self, what: impl Into<String>) -> Error {
        failure(&self.name, what)
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

fn failure(name: &str, what: impl Into<String>) -> Error {
    Error::Checkpoint { path: name.into(), what: what.into() }
}

/// The tensors of a file, which is the `index`th of its checkpoint, under the file's own names.
fn read(name: &str, data: &Data, index: usize) -> Result<BTreeMap<String, Stored>> {
    let bytes = data.bytes();
    let tensors = match foreign::what_is(bytes) {
        Some(what) => Err(what),
        None if bytes.starts_with(b"PK\x03\x04") => torch::read(name, bytes, index),
        None => safetensors::read(bytes, index),
    };
    tensors.map_err(|what| failure(name, what))
}

//! Weights by name, from Meta's safetensors or `.pt` files or Hugging Face's `model.safetensors`.
//!
//! Opening reads and checks the file's table of contents; tensors stay in the file, memory-mapped, until a model takes
//! them. Names are Meta's whatever the file's own.

mod names;
mod pickle;

use crate::error::{Error, Result};
use crate::tensor::DType;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Longest header of a safetensors file; an official one would have 60,000 bytes.
const MAX_HEADER: u64 = 8 << 20;

/// A tensor of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    dtype: DType,
    shape: Vec<usize>,
    bytes: Range<usize>,
}

/// How a file's bytes are held.
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
}

/// An open checkpoint.
pub struct Checkpoint {
    name: String,
    data: Data,
    tensors: BTreeMap<String, Entry>,
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
        let mut out = Vec::new();
        out.try_reserve_exact(n)
            .map_err(|_| Error::OutOfMemory { what: "a tensor of the checkpoint", bytes: 4 * n })?;
        self.dtype.widen(self.bytes, &mut out);
        Ok(out)
    }
}

impl Checkpoint {
    /// Opens a file, or the one checkpoint of a folder (`model.safetensors`, else the only `.safetensors` or `.pt`).
    ///
    /// The file is memory-mapped: whoever cuts it short meanwhile crashes the process. [`Checkpoint::read`] copies it.
    pub fn open(path: impl AsRef<Path>) -> Result<Checkpoint> {
        let path = file_of(path.as_ref())?;
        let file = File::open(&path).map_err(|e| Error::io(&path, e))?;
        Checkpoint::from_file(&path.display().to_string(), &file, 0..u64::MAX, true)
    }

    /// As [`Checkpoint::open`], but reads the file into memory.
    pub fn read(path: impl AsRef<Path>) -> Result<Checkpoint> {
        let path = file_of(path.as_ref())?;
        let file = File::open(&path).map_err(|e| Error::io(&path, e))?;
        Checkpoint::from_file(&path.display().to_string(), &file, 0..u64::MAX, false)
    }

    /// A checkpoint that is part of an open file, as of a game's archive: `range` in bytes, cut to the file's end; mapped as
    /// [`Checkpoint::open`] does, or read. `name` is for messages.
    pub fn from_file(name: &str, file: &File, range: Range<u64>, mmap: bool) -> Result<Checkpoint> {
        let end = file.metadata().map_err(|e| Error::io(name, e))?.len().min(range.end);
        let size = usize::try_from(end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let data = if mmap && size > 0 {
            // SAFETY: the map is read-only; that the file must not shrink is documented above.
            let map = unsafe { memmap2::MmapOptions::new().offset(range.start).len(size).map(file) };
            Data::Map(map.map_err(|e| match e.kind() {
                ErrorKind::OutOfMemory => Error::OutOfMemory { what: "a map of the checkpoint", bytes: size },
                _ => Error::io(name, e),
            })?)
        } else {
            let mut bytes = Vec::new();
            bytes.try_reserve_exact(size).map_err(|_| Error::OutOfMemory { what: "the checkpoint", bytes: size })?;
            let mut file = file;
            file.seek(SeekFrom::Start(range.start)).map_err(|e| Error::io(name, e))?;
            file.take(size as u64).read_to_end(&mut bytes).map_err(|e| Error::io(name, e))?;
            Data::Bytes(bytes)
        };
        Checkpoint::parse(name.into(), data)
    }

    /// A checkpoint held in memory; `name` is for messages.
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Checkpoint> {
        Checkpoint::parse(name.into(), Data::Bytes(bytes))
    }

    fn parse(name: String, data: Data) -> Result<Checkpoint> {
        let bytes = data.bytes();
        let tensors = if bytes.starts_with(b"PK\x03\x04") {
            pickle::read(bytes)
        } else if bytes.starts_with(b"\x80\x02") {
            Err("a legacy PyTorch file; save it again with PyTorch 1.6 or later, or convert it to safetensors".into())
        } else {
            read_safetensors(bytes)
        };
        let tensors =
            tensors.and_then(names::to_meta).map_err(|what| Error::Checkpoint { path: name.clone(), what })?;
        Ok(Checkpoint { name, data, tensors })
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
        let entry = self.tensors.get(name)?;
        Some(TensorData { dtype: entry.dtype, shape: &entry.shape, bytes: &self.data.bytes()[entry.bytes.clone()] })
    }

    /// An error about this checkpoint.
    pub(crate) fn error(&self, what: impl Into<String>) -> Error {
        Error::Checkpoint { path: self.name.clone(), what: what.into() }
    }
}

/// The checkpoint of a folder, or the path itself.
fn file_of(path: &Path) -> Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_path_buf());
    }
    let preferred = path.join("model.safetensors");
    if preferred.is_file() {
        return Ok(preferred);
    }
    let found = files_with(path, &["safetensors", "pt", "pth"])?;
    match &found[..] {
        [one] => Ok(one.clone()),
        _ => Err(Error::Checkpoint {
            path: path.display().to_string(),
            what: format!(
                "a folder must hold model.safetensors or one .safetensors or .pt file; it holds {}",
                found.len()
            ),
        }),
    }
}

/// The files of a folder with one of these extensions, sorted.
pub fn files_with(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let io = |e| Error::io(folder, e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.is_file() && path.extension().is_some_and(|e| extensions.iter().any(|x| e == *x)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The bytes that `shape` takes, or nothing when that overflows.
fn byte_len(dtype: DType, shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(dtype.bytes(), |n, &d| n.checked_mul(d))
}

fn read_safetensors(bytes: &[u8]) -> Result<BTreeMap<String, Entry>, String> {
    let Some(length) = bytes.first_chunk::<8>() else {
        return Err(format!("{} bytes are too few for a checkpoint (safetensors, or .pt of PyTorch)", bytes.len()));
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER || bytes.get(8).is_some_and(|&b| b != b'{') {
        return Err("neither safetensors nor a .pt file of PyTorch".into());
    }
    let tensors =
        safetensors::SafeTensors::deserialize(bytes).map_err(|e| format!("not a valid safetensors file: {e}"))?;
    let mut out = BTreeMap::new();
    for (name, view) in tensors.iter() {
        let dtype = match view.dtype() {
            safetensors::Dtype::F32 => DType::F32,
            safetensors::Dtype::F16 => DType::F16,
            safetensors::Dtype::BF16 => DType::Bf16,
            other => return Err(format!("tensor {name} is {other:?}; F32, F16 and BF16 are read")),
        };
        let data = view.data();
        if byte_len(dtype, view.shape()) != Some(data.len()) {
            return Err(format!("tensor {name}: {:?} {dtype:?} does not take {} bytes", view.shape(), data.len()));
        }
        let start = data.as_ptr() as usize - bytes.as_ptr() as usize;
        let bytes = if data.is_empty() { 0..0 } else { start..start + data.len() };
        out.insert(name.to_string(), Entry { dtype, shape: view.shape().to_vec(), bytes });
    }
    Ok(out)
}

//! Tensors as files store them, and their conversion to float32, float16 or bfloat16, row by row.

use super::data::{Data, Entry};
use crate::backend::tensor::DType;
use crate::memory::try_reserve_exact;
use std::collections::BTreeMap;
use std::ops::Range;

/// The bytes that copied tensors may take beyond the size of the files. A view may repeat its elements.
const MAX_REPEATED: usize = 16 << 20;

/// An element type that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    F32,
    F16,
    Bf16,
    /// 64-bit float, which is converted to float32.
    F64,
}

impl Kind {
    /// Returns the bytes of one element.
    pub fn bytes(self) -> usize {
        if self == Kind::F64 { 8 } else { self.dtype().bytes() }
    }

    /// Returns the type that the elements are converted to.
    fn dtype(self) -> DType {
        match self {
            Kind::F32 | Kind::F64 => DType::F32,
            Kind::F16 => DType::F16,
            Kind::Bf16 => DType::Bf16,
        }
    }
}

/// A tensor as its file stores it: a view of a storage.
pub struct Stored {
    /// The element type, or else the name of a type that is not read.
    pub kind: Result<Kind, String>,
    /// The dimensions.
    pub shape: Vec<usize>,
    /// The distance from one element of a dimension to the next, in elements.
    pub strides: Vec<usize>,
    /// The index of the first element in the storage.
    pub offset: usize,
    /// The index of the file.
    pub file: usize,
    /// The position of the storage's bytes in the file.
    pub storage: Range<usize>,
}

impl Stored {
    /// Returns the number of elements, or `None` if the number is too large for a `usize`.
    fn count(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
    }

    /// Returns whether the elements follow one another, row by row.
    fn is_contiguous(&self) -> bool {
        let mut expected = 1usize;
        self.shape.iter().zip(&self.strides).rev().all(|(&n, &stride)| {
            let fits = n <= 1 || stride == expected;
            expected = expected.saturating_mul(n);
            fits
        })
    }

    /// Returns the bytes of the storage that the view covers. Fails if some of them are outside the storage.
    fn span(&self, kind: Kind) -> Result<Range<usize>, String> {
        let count = self.count().filter(|_| self.shape.len() == self.strides.len());
        let reach = || {
            let steps = self.shape.iter().zip(&self.strides);
            steps.map(|(&n, &stride)| (n - 1).checked_mul(stride)).try_fold(0usize, |sum, step| sum.checked_add(step?))
        };
        let elements = if count == Some(0) { Some(0) } else { count.and_then(|_| reach()?.checked_add(1)) };
        let place = |at: usize| at.checked_mul(kind.bytes())?.checked_add(self.storage.start);
        let span = place(self.offset).zip(elements.and_then(|n| place(self.offset.checked_add(n)?)));
        match span.filter(|&(_, end)| end <= self.storage.end) {
            Some((start, end)) => Ok(start..end),
            None => Err(format!("{:?} reaches past its storage of {} bytes", self.shape, self.storage.len())),
        }
    }

    /// Appends the elements to `out`, row by row, with float64 converted to float32. `span` holds the view.
    fn copy(&self, kind: Kind, span: &[u8], out: &mut Vec<u8>) {
        let size = kind.bytes();
        let mut element = |at: usize| {
            let bytes = &span[at * size..][..size];
            match <[u8; 8]>::try_from(bytes) {
                Ok(double) => out.extend((f64::from_le_bytes(double) as f32).to_le_bytes()),
                Err(_) => out.extend_from_slice(bytes),
            }
        };
        let dims: Vec<(usize, usize)> = self.shape.iter().copied().zip(self.strides.iter().copied()).collect();
        visit(&dims, 0, &mut element);
    }
}

/// Calls `element` with the index of every element of a view, row by row.
fn visit(dims: &[(usize, usize)], at: usize, element: &mut impl FnMut(usize)) {
    match dims {
        [] => element(at),
        [(n, stride), rest @ ..] => (0..*n).for_each(|i| visit(rest, at + i * stride, element)),
    }
}

type Loaded = (BTreeMap<String, Entry>, BTreeMap<String, String>);

/// Returns the tensors, and the names and types of the tensors that are not read. A tensor that is float64, or that is
/// not stored row by row, is copied and added to `data`.
pub fn load(tensors: BTreeMap<String, Stored>, data: &mut Vec<Data>) -> Result<Loaded, String> {
    let mut room = data.iter().map(|d| d.bytes().len()).fold(MAX_REPEATED, usize::saturating_add);
    let (mut loaded, mut unread) = (BTreeMap::new(), BTreeMap::new());
    for (name, stored) in tensors {
        let kind = match &stored.kind {
            Ok(kind) => *kind,
            Err(what) => {
                unread.insert(name, what.clone());
                continue;
            }
        };
        let span = stored.span(kind).map_err(|e| format!("tensor {name}: {e}"))?;
        let (dtype, shape) = (kind.dtype(), stored.shape.clone());
        let entry = if span.is_empty() {
            Entry { dtype, shape, data: stored.file, bytes: 0..0 }
        } else if kind != Kind::F64 && stored.is_contiguous() {
            Entry { dtype, shape, data: stored.file, bytes: span }
        } else {
            let size = stored.count().and_then(|n| n.checked_mul(dtype.bytes())).filter(|&n| n <= room);
            let size =
                size.ok_or_else(|| format!("tensor {name}: a view of {shape:?} repeats its elements too often"))?;
            let mut bytes = Vec::new();
            try_reserve_exact(&mut bytes, size).map_err(|_| format!("tensor {name}: no memory for {size} bytes"))?;
            stored.copy(kind, &data[stored.file].bytes()[span], &mut bytes);
            room -= size;
            data.push(Data::Bytes(bytes));
            Entry { dtype, shape, data: data.len() - 1, bytes: 0..size }
        };
        loaded.insert(name, entry);
    }
    match unread.iter().next() {
        Some((name, what)) if loaded.is_empty() => {
            Err(format!("tensor {name} is {what}; F64, F32, F16 and BF16 are read"))
        }
        None if loaded.is_empty() => Err("it holds no tensors".into()),
        _ => Ok((loaded, unread)),
    }
}

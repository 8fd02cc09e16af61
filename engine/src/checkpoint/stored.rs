//! Tensors as files store them, and how they become float32, float16 or bfloat16, row by row.

use super::{BTreeMap, Data, Entry};
use crate::memory::try_reserve_exact;
use crate::tensor::DType;
use std::ops::Range;

/// What tensors that are copied may take beyond the size of the files: a view may repeat its elements.
const MAX_REPEATED: usize = 16 << 20;

/// An element type that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    F32,
    F16,
    Bf16,
    /// Becomes float32.
    F64,
}

impl Kind {
    /// Bytes of one element.
    pub fn bytes(self) -> usize {
        if self == Kind::F64 { 8 } else { self.dtype().bytes() }
    }

    /// What it becomes.
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
    /// Else the name of a type that is not read.
    pub kind: Result<Kind, String>,
    /// The dimensions.
    pub shape: Vec<usize>,
    /// From one element of a dimension to the next, in elements.
    pub strides: Vec<usize>,
    /// The first element, counted from the storage's.
    pub offset: usize,
    /// Index of the file.
    pub file: usize,
    /// The storage's bytes in the file.
    pub storage: Range<usize>,
}

impl Stored {
    /// Elements, or nothing where they are more than memory could hold.
    fn count(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
    }

    /// Whether elements lie one after another, row by row.
    fn is_contiguous(&self) -> bool {
        let mut expected = 1usize;
        self.shape.iter().zip(&self.strides).rev().all(|(&n, &stride)| {
            let fits = n <= 1 || stride == expected;
            expected = expected.saturating_mul(n);
            fits
        })
    }

    /// The bytes of the storage that the view takes, all of which are there.
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

    /// The bytes row by row, float64 as float32; `span` holds the view.
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

/// Calls `element` with the place of every element of a view, row by row.
fn visit(dims: &[(usize, usize)], at: usize, element: &mut impl FnMut(usize)) {
    match dims {
        [] => element(at),
        [(n, stride), rest @ ..] => (0..*n).for_each(|i| visit(rest, at + i * stride, element)),
    }
}

type Loaded = (BTreeMap<String, Entry>, BTreeMap<String, String>);

/// The tensors, and those of a type that is not read. What is not in its file as it must be is copied and added to `data`.
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

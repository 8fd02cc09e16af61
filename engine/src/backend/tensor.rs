//! Tensors: views of a backend's memory with a shape.

pub use half::{bf16, f16};

use std::fmt;
use std::marker::PhantomData;

/// The element types a tensor can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// 32-bit float.
    F32,
    /// 16-bit float of IEEE 754.
    F16,
    /// 16-bit brain float.
    Bf16,
    /// 32-bit signed integer.
    I32,
}

impl DType {
    /// Returns the bytes of one element.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            DType::F32 | DType::I32 => 4,
            DType::F16 | DType::Bf16 => 2,
        }
    }

    /// Appends to `out` the little-endian floats of this type as f32.
    pub fn widen(self, bytes: &[u8], out: &mut Vec<f32>) {
        let (pairs, fours) = (bytes.chunks_exact(2), bytes.chunks_exact(4));
        match self {
            DType::F32 => out.extend(fours.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
            DType::F16 => out.extend(pairs.map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32())),
            DType::Bf16 => out.extend(pairs.map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32())),
            DType::I32 => out.extend(fours.map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]) as f32)),
        }
    }
}

/// The largest number of dimensions.
const MAX_RANK: usize = 4;

/// A view of up to four dimensions. Its rows have `cols()` contiguous elements and start `stride` elements apart.
///
/// A tensor is an address with a shape and may be copied. It borrows the memory (`'a`), but not exclusively. The
/// forward pass orders reads and writes, as on any device. Shapes are channels last.
#[derive(Clone, Copy)]
pub struct Tensor<'a> {
    addr: u64,
    dtype: DType,
    rank: usize,
    shape: [usize; MAX_RANK],
    stride: usize,
    memory: PhantomData<&'a [u8]>,
}

impl<'a> Tensor<'a> {
    /// Creates a contiguous tensor at an address of a backend's memory.
    ///
    /// # Panics
    ///
    /// If there are not 1 to 4 dimensions.
    ///
    /// # Safety
    /// The memory holds that many elements for as long as `'a`, aligned to the element size.
    #[must_use]
    pub unsafe fn new(addr: u64, dtype: DType, dims: &[usize]) -> Self {
        assert!((1..=MAX_RANK).contains(&dims.len()), "a tensor has 1 to 4 dimensions, got {dims:?}");
        let mut shape = [1; MAX_RANK];
        shape[..dims.len()].copy_from_slice(dims);
        Tensor { addr, dtype, rank: dims.len(), shape, stride: dims[dims.len() - 1], memory: PhantomData }
    }

    /// Returns the address of the first element.
    #[must_use]
    pub fn addr(&self) -> u64 {
        self.addr
    }

    /// Returns the element type.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Returns the dimensions.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.shape[..self.rank]
    }

    /// Returns dimension `i`.
    #[must_use]
    pub fn dim(&self, i: usize) -> usize {
        self.dims()[i]
    }

    /// Returns the last dimension.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.shape[self.rank - 1]
    }

    /// Returns the product of all dimensions except the last.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.shape[..self.rank - 1].iter().product()
    }

    /// Returns the number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows() * self.cols()
    }

    /// Returns whether a dimension is zero.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of elements from the start of a row to the start of the next row.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Returns whether rows follow each other without a gap.
    #[must_use]
    pub fn is_contiguous(&self) -> bool {
        self.stride == self.cols() || self.rows() == 1
    }

    /// Returns the same rows with other leading dimensions. A contiguous tensor may get any shape with the same number
    /// of elements.
    ///
    /// # Panics
    ///
    /// If `dims` has another number of elements, or does not have 1 to 4 dimensions. If the tensor is not contiguous
    /// and `dims` has another last dimension.
    #[must_use]
    pub fn view(self, dims: &[usize]) -> Self {
        let n = elements(dims);
        assert!(n == self.len(), "view: {dims:?} of {self:?}");
        let cols = dims[dims.len() - 1];
        assert!(cols == self.cols() || self.is_contiguous(), "view: {dims:?} of strided {self:?}");
        // SAFETY: as many elements of the same memory; the stride is kept where rows are.
        let mut t = unsafe { Tensor::new(self.addr, self.dtype, dims) };
        if cols == self.cols() {
            t.stride = self.stride;
        }
        t
    }

    /// Returns the first elements of a contiguous tensor with the shape `dims`. Callers use it for tensors that are
    /// larger than needed.
    ///
    /// # Panics
    ///
    /// If `dims` has more elements than the tensor, or does not have 1 to 4 dimensions. If the tensor is not
    /// contiguous.
    #[must_use]
    pub fn prefix(self, dims: &[usize]) -> Self {
        let n = elements(dims);
        assert!(n <= self.len() && self.is_contiguous(), "prefix: {dims:?} of {self:?}");
        // SAFETY: no more elements of the same memory.
        unsafe { Tensor::new(self.addr, self.dtype, dims) }
    }

    /// Returns columns `start..start + n` of every row.
    ///
    /// # Panics
    ///
    /// If the tensor does not have these columns.
    #[must_use]
    pub fn columns(self, start: usize, n: usize) -> Self {
        assert!(start <= self.cols() && n <= self.cols() - start, "columns: {start}+{n} of {self:?}");
        let mut t = self;
        t.addr += (start * self.dtype.bytes()) as u64;
        t.shape[t.rank - 1] = n;
        t
    }

    /// Returns entries `start..start + n` of the first dimension.
    ///
    /// # Panics
    ///
    /// If the tensor has one dimension, or if its first dimension does not have these entries.
    #[must_use]
    pub fn slice(self, start: usize, n: usize) -> Self {
        assert!(self.rank > 1 && start <= self.dim(0) && n <= self.dim(0) - start, "slice: {start}+{n} of {self:?}");
        let rows: usize = self.shape[1..self.rank - 1].iter().product();
        let mut t = self;
        t.addr += (start * rows * self.stride * self.dtype.bytes()) as u64;
        t.shape[0] = n;
        t
    }

    /// Returns row `i` of every entry of a tensor (n, t, c), as (n, c).
    ///
    /// # Panics
    ///
    /// If the tensor does not have three dimensions, or does not have this row.
    #[must_use]
    pub fn row_of_each(self, i: usize) -> Self {
        assert!(self.rank == 3 && i < self.dim(1), "row_of_each: {i} of {self:?}");
        let mut t = self;
        t.addr += (i * self.stride * self.dtype.bytes()) as u64;
        t.rank = 2;
        t.shape = [self.dim(0), self.cols(), 1, 1];
        t.stride = self.stride * self.dim(1);
        t
    }

    /// Returns rows `start..start + k` of every entry of a tensor (n, t, c), side by side, as (n, k*c).
    ///
    /// # Panics
    ///
    /// If the tensor does not have three dimensions, does not have these rows, or is not contiguous.
    #[must_use]
    pub fn rows_of_each(self, start: usize, k: usize) -> Self {
        assert!(
            self.rank == 3 && start <= self.dim(1) && k <= self.dim(1) - start,
            "rows_of_each: {start}+{k} of {self:?}"
        );
        assert!(self.is_contiguous(), "rows_of_each: of strided {self:?}");
        let mut t = self.row_of_each(start);
        t.shape[1] = k * self.cols();
        t
    }
}

/// Returns the product of `dims`, or the largest `usize` if the product is larger.
fn elements(dims: &[usize]) -> usize {
    dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).unwrap_or(usize::MAX)
}

impl fmt::Debug for Tensor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}{:?}", self.dtype, self.dims())?;
        if !self.is_contiguous() { write!(f, "/{}", self.stride) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(addr: u64, dims: &[usize]) -> Tensor<'static> {
        // SAFETY: never read.
        unsafe { Tensor::new(addr, DType::F32, dims) }
    }

    #[test]
    fn views_address_what_they_name() {
        let qkv = at(0, &[2, 3, 12]);
        let k = qkv.columns(4, 4);
        assert_eq!((k.addr(), k.dims(), k.stride(), k.rows()), (16, &[2, 3, 4][..], 12, 6));
        assert_eq!(k.slice(1, 1).addr(), 16 + 3 * 12 * 4);
        assert_eq!(k.view(&[6, 4]).stride(), 12);
        let token = qkv.row_of_each(2);
        assert_eq!((token.addr(), token.dims(), token.stride()), (2 * 12 * 4, &[2, 12][..], 36));
        let pair = qkv.rows_of_each(1, 2);
        assert_eq!((pair.addr(), pair.dims(), pair.stride()), (12 * 4, &[2, 24][..], 36));
        assert_eq!(at(0, &[4, 4]).prefix(&[3, 5]).dims(), &[3, 5]);
    }

    #[test]
    #[should_panic(expected = "of strided")]
    fn a_strided_view_keeps_its_rows() {
        let _ = at(0, &[2, 12]).columns(0, 4).view(&[8]);
    }
}

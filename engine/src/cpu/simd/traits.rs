//! The traits of vector code, each of which names another one: kernels, vectors, words and floats.

use crate::backend::tensor::{DType, bf16};

/// A computation over the vectors of any set. `run` must be `#[inline(always)]`.
pub trait Kernel {
    /// Runs the kernel with the vectors of a set.
    ///
    /// # Safety
    /// The pointers in the fields of the kernel are valid for the shapes in its fields.
    unsafe fn run<S: Simd>(self, s: S);
}

/// Vectors of `LANES` f32.
pub trait Simd: Copy + Send + Sync + 'static {
    /// One vector register.
    type F: Copy;
    /// Values in a vector.
    const LANES: usize;
    /// Rows of a full matrix tile: as many as keep `TILE_ROWS * TILE_VECS` accumulators in registers.
    const TILE_ROWS: usize;
    /// Rows of the small tile that finishes a block. A small tile wastes few rows.
    const SMALL_ROWS: usize;
    /// Vectors across a matrix tile.
    const TILE_VECS: usize;
    /// Columns of a matrix tile, and the width of a packed panel.
    const PANEL: usize = Self::TILE_VECS * Self::LANES;

    /// Runs `kernel` compiled for this instruction set.
    ///
    /// # Safety
    /// As [`Kernel::run`].
    unsafe fn vectorize<K: Kernel>(self, kernel: K);

    fn splat(self, x: f32) -> Self::F;
    /// # Safety
    /// `p` is valid for `LANES` reads.
    unsafe fn load(self, p: *const f32) -> Self::F;
    /// The first `n <= LANES` lanes from memory, zeros after.
    ///
    /// # Safety
    /// `p` is valid for `n` reads.
    unsafe fn load_part(self, p: *const f32, n: usize) -> Self::F;
    /// # Safety
    /// `p` is valid for `LANES` writes.
    unsafe fn store(self, p: *mut f32, v: Self::F);
    /// # Safety
    /// `p` is valid for `n <= LANES` writes.
    unsafe fn store_part(self, p: *mut f32, n: usize, v: Self::F);

    /// `LANES` bf16 as f32.
    ///
    /// # Safety
    /// `p` is valid for `LANES` reads.
    unsafe fn load_bf16(self, p: *const bf16) -> Self::F;
    /// The first `n <= LANES` lanes from memory, zeros after.
    ///
    /// # Safety
    /// `p` is valid for `n` reads.
    unsafe fn load_bf16_part(self, p: *const bf16, n: usize) -> Self::F;
    /// Rounds to the nearest, ties to even.
    ///
    /// # Safety
    /// `p` is valid for `LANES` writes.
    unsafe fn store_bf16(self, p: *mut bf16, v: Self::F);
    /// # Safety
    /// `p` is valid for `n <= LANES` writes.
    unsafe fn store_bf16_part(self, p: *mut bf16, n: usize, v: Self::F);
    /// Joins two vectors into a vector of pairs of bf16. `low` is in the lower half of each lane, which is first in memory.
    fn pair(self, low: Self::F, high: Self::F) -> Self::F;
    /// a.low b.low + a.high b.high + c for pairs of bf16, lane by lane.
    fn dot2(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;

    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// a*b + c
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// Exchanges neighbours: lanes 1, 0, 3, 2 and so on.
    fn swap(self, a: Self::F) -> Self::F;
    /// The nearest integer, ties to even.
    fn round(self, a: Self::F) -> Self::F;
    /// a * 2^n for integral n in -126..=127.
    fn scale(self, a: Self::F, n: Self::F) -> Self::F;
    /// Lane by lane `if a < b { x } else { y }`.
    fn select_lt(self, a: Self::F, b: Self::F, x: Self::F, y: Self::F) -> Self::F;
    /// The sum of the lanes, in a fixed order.
    fn sum(self, a: Self::F) -> f32;

    /// `out[i * ldo + j] = rows[j][i]` for i below `n <= LANES` and the first `LANES` rows.
    ///
    /// # Safety
    /// The rows are valid for `n` reads, and need not be aligned. `out` is valid for the writes.
    #[inline(always)]
    unsafe fn transpose(self, rows: [*const f32; 16], n: usize, out: *mut f32, ldo: usize) {
        for (j, row) in rows.into_iter().take(Self::LANES).enumerate() {
            for i in 0..n {
                *out.add(i * ldo + j) = row.add(i).read_unaligned();
            }
        }
    }

    /// `out[i][j] = sum over k of a[i*rs + k*cs] * b[k*ldb + j]` for m rows and n columns, where `size` is (m, n). If n is more
    /// than a vector, all columns of a panel are computed. Every lane sums in the order of `k` for every m, so the result of
    /// a row depends only on the operands of this row. `a` and `b` are words, and `k` counts words.
    ///
    /// # Safety
    /// m is `TILE_ROWS` or `SMALL_ROWS`, and n is at most `PANEL`. `a`, `b` and `out` are valid for the reads and writes of the
    /// formula, with n rounded up to whole vectors.
    unsafe fn tile<W: Word>(
        self,
        size: (usize, usize),
        k: usize,
        a: *const f32,
        rs: usize,
        cs: usize,
        b: *const f32,
        ldb: usize,
        out: *mut f32,
        ldo: usize,
    );
}

/// A type of words, which matrix tiles multiply. A vector of words has the type of a vector of f32.
pub trait Word: Copy + Send + Sync + 'static {
    /// The type of the values of a word.
    type Value: Float;
    /// Values in a word.
    const DEPTH: usize;

    /// The product of two words, plus `c`, lane by lane.
    fn fma<S: Simd>(s: S, a: S::F, b: S::F, c: S::F) -> S::F;
    /// x/2 (1 + erf(x / sqrt 2)), to the precision of the values.
    fn gelu<S: Simd>(s: S, x: S::F) -> S::F;
    /// Joins `DEPTH` vectors of f32 into a vector of words. Words of one value ignore `second`.
    fn join<S: Simd>(s: S, first: S::F, second: S::F) -> S::F;
}

/// A type of floats in memory. In registers, a float is an f32.
pub trait Float: Copy + Send + Sync + 'static {
    const DTYPE: DType;
    /// Loads a vector.
    ///
    /// # Safety
    /// `p` is valid for `LANES` reads.
    unsafe fn load<S: Simd>(s: S, p: *const Self) -> S::F;
    /// Loads the first `n` lanes, and zeros after them.
    ///
    /// # Safety
    /// `p` is valid for `n <= LANES` reads.
    unsafe fn load_part<S: Simd>(s: S, p: *const Self, n: usize) -> S::F;
    /// Stores a vector.
    ///
    /// # Safety
    /// `p` is valid for `LANES` writes.
    unsafe fn store<S: Simd>(s: S, p: *mut Self, v: S::F);
    /// Stores the first `n` lanes.
    ///
    /// # Safety
    /// `p` is valid for `n <= LANES` writes.
    unsafe fn store_part<S: Simd>(s: S, p: *mut Self, n: usize, v: S::F);
}

//! A small vector abstraction: one file per instruction set, kernels written once over [`Simd`].
//!
//! A value of a [`Simd`] type is a proof that the CPU has the instructions, so its arithmetic is safe to call;
//! only loads and stores, which take raw pointers, are not. Every method is `inline(always)`: a kernel becomes
//! vector code because [`Simd::vectorize`] compiles its whole body with the features of the set enabled.

/// Arithmetic of whole vectors: a method per line, and the instruction it is.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! lanes {
    ($($name:ident($($arg:ident),*) = $instruction:ident($($operand:ident),*);)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: Self::F),*) -> Self::F {
            // SAFETY: `self` proves that the CPU has the instruction.
            unsafe { $instruction($($operand),*) }
        }
    )*};
}

/// The first of some features that the CPU lacks.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! missing {
    ($detected:ident: $($feature:tt),*) => {
        None::<&'static str>$(.or((!std::arch::$detected!($feature)).then_some($feature)))*
    };
}

/// The tiles of a set: rows of the full one, rows of the small one; vectors across both.
macro_rules! tile_sizes {
    ($rows:literal, $small:literal; $vecs:literal) => {
        const TILE_ROWS: usize = $rows;
        const SMALL_ROWS: usize = $small;
        const TILE_VECS: usize = $vecs;

        #[inline(always)]
        unsafe fn tile<W: Word>(
            self,
            (m, n): (usize, usize),
            k: usize,
            a: *const f32,
            rs: usize,
            cs: usize,
            b: *const f32,
            ldb: usize,
            out: *mut f32,
            ldo: usize,
        ) {
            match (m, n <= Self::LANES) {
                ($rows, false) => tile::<Self, W, $rows, $vecs>(self, k, a, rs, cs, b, ldb, out, ldo),
                ($rows, true) => tile::<Self, W, $rows, 1>(self, k, a, rs, cs, b, ldb, out, ldo),
                (_, false) => tile::<Self, W, $small, $vecs>(self, k, a, rs, cs, b, ldb, out, ldo),
                (_, true) => tile::<Self, W, $small, 1>(self, k, a, rs, cs, b, ldb, out, ldo),
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
mod tile;
mod word;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
#[cfg(target_arch = "aarch64")]
pub use neon::Neon;
pub use portable::Portable;
pub use word::{Pair, Single, Word};

use crate::tensor::bf16;

/// A computation written over any vector set. `run` must be `#[inline(always)]`.
pub trait Kernel {
    /// # Safety
    /// As the kernel's own fields demand: pointers valid for the shapes beside them.
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
    /// Rows of the small tile that finishes a block; divides nothing in particular, wastes little.
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
    /// Two vectors as one of pairs of bf16: `low` in the lower half of each lane, which comes first in memory.
    fn pair(self, low: Self::F, high: Self::F) -> Self::F;
    /// Of pairs of bf16, lane by lane: a.low b.low + a.high b.high + c.
    fn dot2(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;

    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// a*b + c
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// Neighbours exchanged: lanes 1, 0, 3, 2 and so on.
    fn swap(self, a: Self::F) -> Self::F;
    /// Nearest integer, ties to even.
    fn round(self, a: Self::F) -> Self::F;
    /// a * 2^n for integral n in -126..=127.
    fn scale(self, a: Self::F, n: Self::F) -> Self::F;
    /// Lane by lane `if a < b { x } else { y }`.
    fn select_lt(self, a: Self::F, b: Self::F, x: Self::F, y: Self::F) -> Self::F;
    /// Sum over the lanes, in a fixed order.
    fn sum(self, a: Self::F) -> f32;

    /// `out[i * ldo + j] = rows[j][i]` for i below `n <= LANES` and the first `LANES` rows.
    ///
    /// # Safety
    /// The rows are valid for `n` reads, need not be aligned, and `out` for what is written.
    #[inline(always)]
    unsafe fn transpose(self, rows: [*const f32; 16], n: usize, out: *mut f32, ldo: usize) {
        for (j, row) in rows.into_iter().take(Self::LANES).enumerate() {
            for i in 0..n {
                *out.add(i * ldo + j) = row.add(i).read_unaligned();
            }
        }
    }

    /// `out[i][j] = sum over k of a[i*rs + k*cs] * b[k*ldb + j]` for m rows and n columns, (m, n) being `size`; for n beyond
    /// a vector, for all columns of a panel. Summed in the order of `k` in every lane, whatever m: a row's result depends
    /// on its own operands only. `k` counts words, and `a` and `b` are words, whatever these are made of.
    ///
    /// # Safety
    /// m is `TILE_ROWS` or `SMALL_ROWS`, n at most `PANEL`; `a`, `b` and `out` are valid for what the formula reads and
    /// writes, n up to whole vectors.
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

/// The instruction sets the engine has kernels for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// 128-bit vectors written as arrays, for any CPU.
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX-512 that multiplies bf16.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// NEON that multiplies bf16.
    #[cfg(target_arch = "aarch64")]
    NeonBf16,
}

impl Isa {
    /// What the system calls the feature of CPUs that multiply bf16.
    pub const BF16: &str = if cfg!(target_arch = "aarch64") { "bf16" } else { "avx512_bf16" };

    /// Every set there are kernels for on this architecture, the best first.
    pub const ALL: &[Isa] = &[
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bf16,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2,
        #[cfg(target_arch = "aarch64")]
        Isa::NeonBf16,
        #[cfg(target_arch = "aarch64")]
        Isa::Neon,
        Isa::Portable,
    ];

    /// Every set this CPU can run, the best first.
    pub fn available() -> Vec<Isa> {
        Isa::ALL.iter().copied().filter(|isa| isa.missing().is_none()).collect()
    }

    /// A feature that this CPU lacks for the set.
    pub fn missing(self) -> Option<&'static str> {
        match self {
            Isa::Portable => None,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Avx2::missing(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Avx512::<false>::missing(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 => Avx512::<true>::missing(),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => Neon::<false>::missing(),
            #[cfg(target_arch = "aarch64")]
            Isa::NeonBf16 => Neon::<true>::missing(),
        }
    }

    /// The name users type and read.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 => "avx512_bf16",
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => "neon",
            #[cfg(target_arch = "aarch64")]
            Isa::NeonBf16 => "neon_bf16",
        }
    }

    /// True where the CPU itself multiplies bf16; elsewhere that is possible but slower than f32.
    pub fn multiplies_bf16(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 => true,
            #[cfg(target_arch = "aarch64")]
            Isa::NeonBf16 => true,
            _ => false,
        }
    }

    /// The width of a packed panel of a weight matrix.
    pub fn panel(self) -> usize {
        self.tile().1
    }

    /// Rows and columns of a full matrix tile.
    pub fn tile(self) -> (usize, usize) {
        fn of<S: Simd>() -> (usize, usize) {
            (S::TILE_ROWS, S::PANEL)
        }
        match self {
            Isa::Portable => of::<Portable>(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => of::<Avx2>(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Avx512Bf16 => of::<Avx512<true>>(),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon | Isa::NeonBf16 => of::<Neon<true>>(),
        }
    }

    /// Runs a kernel on this instruction set.
    ///
    /// # Safety
    /// As [`Kernel::run`]; `self` comes from [`Isa::available`].
    pub unsafe fn run<K: Kernel>(self, kernel: K) {
        match self {
            Isa::Portable => Portable.vectorize(kernel),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Avx2::assume().vectorize(kernel),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Avx512::<false>::assume().vectorize(kernel),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 => Avx512::<true>::assume().vectorize(kernel),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => Neon::<false>::assume().vectorize(kernel),
            #[cfg(target_arch = "aarch64")]
            Isa::NeonBf16 => Neon::<true>::assume().vectorize(kernel),
        }
    }
}

impl std::str::FromStr for Isa {
    type Err = String;

    fn from_str(name: &str) -> Result<Isa, String> {
        let expected = || format!("expected {}", Isa::ALL.iter().map(|isa| isa.name()).collect::<Vec<_>>().join(", "));
        Isa::ALL.iter().copied().find(|isa| isa.name() == name).ok_or_else(expected)
    }
}

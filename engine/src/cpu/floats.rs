//! Floats of different types as operands. They are read and written as vectors of f32.

use super::ptr::Ptr;
use super::simd::{Float, Simd};
use crate::backend::tensor::{DType, Tensor, bf16};

/// Floats that can be read.
pub trait Read: Copy {
    /// # Safety
    /// There are `LANES` values from `at`.
    unsafe fn load<S: Simd>(self, s: S, at: usize) -> S::F;
    /// Loads `n` values, and zeros beyond them.
    ///
    /// # Safety
    /// There are `n <= LANES` values from `at`.
    unsafe fn load_part<S: Simd>(self, s: S, at: usize, n: usize) -> S::F;
}

/// Floats that can be written. Values are rounded to the nearest float of the type.
pub trait Write: Copy {
    /// # Safety
    /// There is room for `LANES` values from `at`.
    unsafe fn store<S: Simd>(self, s: S, at: usize, v: S::F);
    /// # Safety
    /// There is room for `n <= LANES` values from `at`.
    unsafe fn store_part<S: Simd>(self, s: S, at: usize, n: usize, v: S::F);
}

/// Computes out = x for `n` values.
///
/// # Safety
/// Both have `n` values.
#[inline(always)]
pub unsafe fn copy<S: Simd, T: Float>(s: S, out: Ptr<T>, x: Floats, n: usize) {
    match x {
        Floats::F32(x) if T::DTYPE == DType::F32 => std::ptr::copy_nonoverlapping(x.ptr().cast(), out.ptr(), n),
        Floats::Bf16(x) if T::DTYPE == DType::Bf16 => std::ptr::copy_nonoverlapping(x.ptr().cast(), out.ptr(), n),
        _ => map_rows!(s, out, x, n, |a| a),
    }
}

/// Floats of a type that is known at run time.
#[derive(Clone, Copy)]
pub enum Floats {
    F32(Ptr<f32>),
    Bf16(Ptr<bf16>),
}

impl Floats {
    pub fn of(t: Tensor<'_>) -> Self {
        match t.dtype() {
            DType::F32 => Floats::F32(Ptr::new(t.addr() as *mut f32)),
            DType::Bf16 => Floats::Bf16(Ptr::new(t.addr() as *mut bf16)),
            other => panic!("the CPU computes in f32 and bf16, not {other:?}: {t:?}"),
        }
    }

    /// Returns the floats from element `n` on.
    #[inline(always)]
    pub fn add(self, n: usize) -> Self {
        match self {
            Floats::F32(p) => Floats::F32(p.add(n)),
            Floats::Bf16(p) => Floats::Bf16(p.add(n)),
        }
    }

    /// Returns the pointer to the floats, which must be of this type.
    #[inline(always)]
    pub fn ptr<T: Float>(self) -> Ptr<T> {
        match self {
            Floats::F32(p) if T::DTYPE == DType::F32 => Ptr::new(p.ptr().cast()),
            Floats::Bf16(p) if T::DTYPE == DType::Bf16 => Ptr::new(p.ptr().cast()),
            _ => panic!("floats are not {:?}", T::DTYPE),
        }
    }

    /// Returns one value.
    ///
    /// # Safety
    /// There is a value at `at`.
    #[inline(always)]
    pub unsafe fn get(self, at: usize) -> f32 {
        match self {
            Floats::F32(p) => *p.at(at),
            Floats::Bf16(p) => f32::from_bits(u32::from((*p.at(at)).to_bits()) << 16),
        }
    }

    /// # Safety
    /// There is room for a value at `at`.
    #[inline(always)]
    pub unsafe fn set(self, at: usize, v: f32) {
        match self {
            Floats::F32(p) => *p.at_mut(at) = v,
            Floats::Bf16(p) => *p.at_mut(at) = bf16::from_f32(v),
        }
    }
}

impl Float for f32 {
    const DTYPE: DType = DType::F32;

    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, p: *const f32) -> S::F {
        s.load(p)
    }
    #[inline(always)]
    unsafe fn load_part<S: Simd>(s: S, p: *const f32, n: usize) -> S::F {
        s.load_part(p, n)
    }
    #[inline(always)]
    unsafe fn store<S: Simd>(s: S, p: *mut f32, v: S::F) {
        s.store(p, v)
    }
    #[inline(always)]
    unsafe fn store_part<S: Simd>(s: S, p: *mut f32, n: usize, v: S::F) {
        s.store_part(p, n, v)
    }
}

impl Float for bf16 {
    const DTYPE: DType = DType::Bf16;

    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, p: *const bf16) -> S::F {
        s.load_bf16(p)
    }
    #[inline(always)]
    unsafe fn load_part<S: Simd>(s: S, p: *const bf16, n: usize) -> S::F {
        s.load_bf16_part(p, n)
    }
    #[inline(always)]
    unsafe fn store<S: Simd>(s: S, p: *mut bf16, v: S::F) {
        s.store_bf16(p, v)
    }
    #[inline(always)]
    unsafe fn store_part<S: Simd>(s: S, p: *mut bf16, n: usize, v: S::F) {
        s.store_bf16_part(p, n, v)
    }
}

impl<T: Float> Read for Ptr<T> {
    #[inline(always)]
    unsafe fn load<S: Simd>(self, s: S, at: usize) -> S::F {
        T::load(s, self.at(at))
    }
    #[inline(always)]
    unsafe fn load_part<S: Simd>(self, s: S, at: usize, n: usize) -> S::F {
        T::load_part(s, self.at(at), n)
    }
}

impl<T: Float> Write for Ptr<T> {
    #[inline(always)]
    unsafe fn store<S: Simd>(self, s: S, at: usize, v: S::F) {
        T::store(s, self.at_mut(at), v)
    }
    #[inline(always)]
    unsafe fn store_part<S: Simd>(self, s: S, at: usize, n: usize, v: S::F) {
        T::store_part(s, self.at_mut(at), n, v)
    }
}

impl Read for Floats {
    #[inline(always)]
    unsafe fn load<S: Simd>(self, s: S, at: usize) -> S::F {
        match self {
            Floats::F32(p) => p.load(s, at),
            Floats::Bf16(p) => p.load(s, at),
        }
    }
    #[inline(always)]
    unsafe fn load_part<S: Simd>(self, s: S, at: usize, n: usize) -> S::F {
        match self {
            Floats::F32(p) => p.load_part(s, at, n),
            Floats::Bf16(p) => p.load_part(s, at, n),
        }
    }
}

impl Write for Floats {
    #[inline(always)]
    unsafe fn store<S: Simd>(self, s: S, at: usize, v: S::F) {
        match self {
            Floats::F32(p) => p.store(s, at, v),
            Floats::Bf16(p) => p.store(s, at, v),
        }
    }
    #[inline(always)]
    unsafe fn store_part<S: Simd>(self, s: S, at: usize, n: usize, v: S::F) {
        match self {
            Floats::F32(p) => p.store_part(s, at, n, v),
            Floats::Bf16(p) => p.store_part(s, at, n, v),
        }
    }
}

//! Pointers that tasks share.

use crate::backend::tensor::{DType, Tensor, bf16};

/// A pointer that tasks may share. Its users must stay within the shapes that they were given.
pub(crate) struct Ptr<T>(*mut T);

pub(super) type F32 = Ptr<f32>;

pub(super) type I32 = Ptr<i32>;

pub(super) type Bf16 = Ptr<bf16>;

impl<T> Clone for Ptr<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Ptr<T> {}

// SAFETY: an address; tasks that run at once write different places.
unsafe impl<T> Send for Ptr<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Ptr<T> {}

impl<T> Ptr<T> {
    #[inline(always)]
    pub(super) fn new(p: *mut T) -> Self {
        Ptr(p)
    }

    /// Returns the pointer to element `n`.
    #[inline(always)]
    pub(super) fn add(self, n: usize) -> Self {
        Ptr(self.0.wrapping_add(n))
    }

    #[inline(always)]
    pub(super) fn ptr(self) -> *mut T {
        self.0
    }

    #[inline(always)]
    pub(super) fn at(self, n: usize) -> *const T {
        self.0.wrapping_add(n)
    }

    #[inline(always)]
    pub(super) fn at_mut(self, n: usize) -> *mut T {
        self.0.wrapping_add(n)
    }
}

impl F32 {
    pub(super) fn of(t: Tensor<'_>) -> Self {
        assert!(t.dtype() == DType::F32, "the CPU computes in f32, got {t:?}");
        Ptr(t.addr() as *mut f32)
    }
}

impl Bf16 {
    pub(super) fn of(t: Tensor<'_>) -> Self {
        assert!(t.dtype() == DType::Bf16, "memories are bf16, got {t:?}");
        Ptr(t.addr() as *mut bf16)
    }
}

impl I32 {
    pub(super) fn of(t: Tensor<'_>) -> Self {
        assert!(t.dtype() == DType::I32, "indices are i32, got {t:?}");
        Ptr(t.addr() as *mut i32)
    }
}

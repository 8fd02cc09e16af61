//! Host memory for tensors.

use crate::backend::Memory;
use crate::error::{Error, Result};
use crate::memory::fallible;
use std::alloc::Layout;
use std::ptr::NonNull;

/// Blocks of at least this size request huge pages, because kernels read rows that are pages apart.
const HUGE_PAGE: usize = 2 << 20;

/// A block of the heap. It is aligned to a cache line, or to a huge page if it is large.
#[derive(Debug)]
pub struct HostMemory {
    ptr: NonNull<u8>,
    layout: Layout,
}

// SAFETY: plain memory; who writes it when is up to its users, as for any backend's memory.
unsafe impl Send for HostMemory {}
// SAFETY: as above.
unsafe impl Sync for HostMemory {}

impl HostMemory {
    /// Allocates memory of zeros.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`] if memory is exhausted.
    pub fn zeroed(bytes: usize, what: &'static str) -> Result<Self> {
        Self::with(bytes, what, |layout| {
            // SAFETY: the layout's size is not zero.
            unsafe { std::alloc::alloc_zeroed(layout) }
        })
    }

    /// Allocates memory with undefined contents.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`] if memory is exhausted.
    pub fn new(bytes: usize, what: &'static str) -> Result<Self> {
        Self::with(bytes, what, |layout| {
            // SAFETY: the layout's size is not zero.
            unsafe { std::alloc::alloc(layout) }
        })
    }

    fn with(bytes: usize, what: &'static str, alloc: impl FnOnce(Layout) -> *mut u8) -> Result<Self> {
        let failed = || Error::OutOfMemory { what, bytes };
        let align = if bytes >= HUGE_PAGE { HUGE_PAGE } else { 64 };
        let layout = Layout::from_size_align(bytes.max(1), align).map_err(|_| failed())?;
        let ptr = NonNull::new(fallible(|| alloc(layout))).ok_or_else(failed)?;
        #[cfg(target_os = "linux")]
        if bytes >= HUGE_PAGE {
            // SAFETY: the range is ours and the advice changes no contents; a refusal is harmless.
            unsafe { libc::madvise(ptr.as_ptr().cast(), bytes, libc::MADV_HUGEPAGE) };
        }
        Ok(HostMemory { ptr, layout })
    }

    #[must_use]
    pub fn ptr(&self) -> *mut f32 {
        self.ptr.as_ptr().cast()
    }
}

impl Memory for HostMemory {
    fn addr(&self) -> u64 {
        self.ptr.as_ptr() as u64
    }

    fn bytes(&self) -> usize {
        self.layout.size()
    }
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { std::alloc::dealloc(self.ptr.as_ptr(), self.layout) }
    }
}

//! Allocator of the library: the system's allocator, with a reserve for infallible requests that the system refuses.
//!
//! Fallible requests (weights, arenas, images, results, see `sam2_engine::memory`) may fail, and their failure becomes
//! a status. All other requests (names, lists, messages) come from Rust's collections, which abort the process if they
//! get no memory. The reserve serves them until the call has ended. While it is in use, fallible requests fail, so that
//! the call ends with SAM2_ERROR_OUT_OF_MEMORY.

use sam2_engine::memory::is_fallible;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};

/// Size of the reserve in bytes. The system provides the pages when they are first used.
const RESERVE: usize = 16 << 20;

#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: Allocator<System> = Allocator::over(System);

/// An allocator on top of another one.
pub(crate) struct Allocator<A> {
    system: A,
    /// Whether the reserve was used since the last call ended.
    low: AtomicBool,
    locked: AtomicBool,
    reserve: UnsafeCell<Reserve>,
}

/// Memory that is allocated in order, and is reset when the last piece is freed.
#[repr(align(64))]
struct Reserve {
    bytes: [u8; RESERVE],
    used: usize,
    pieces: usize,
}

// SAFETY: the reserve is used under a lock.
unsafe impl<A: Sync> Sync for Allocator<A> {}

impl Reserve {
    fn take(&mut self, layout: Layout) -> *mut u8 {
        let start = self.bytes.as_mut_ptr();
        // SAFETY: the offset is at most the length of the bytes.
        let padding = unsafe { start.add(self.used) }.align_offset(layout.align());
        let Some(end) = self.used.checked_add(padding).and_then(|at| at.checked_add(layout.size())) else {
            return null_mut();
        };
        if end > RESERVE {
            return null_mut();
        }
        // SAFETY: the offset is within the bytes.
        let piece = unsafe { start.add(end - layout.size()) };
        (self.used, self.pieces) = (end, self.pieces + 1);
        piece
    }

    fn put_back(&mut self, ptr: *mut u8, layout: Layout) {
        let from = ptr as usize - self.bytes.as_ptr() as usize;
        self.pieces -= 1;
        if self.pieces == 0 {
            self.used = 0;
        } else if from + layout.size() == self.used {
            self.used = from;
        }
    }
}

impl<A> Allocator<A> {
    pub const fn over(system: A) -> Self {
        let reserve = UnsafeCell::new(Reserve { bytes: [0; RESERVE], used: 0, pieces: 0 });
        Allocator { system, low: AtomicBool::new(false), locked: AtomicBool::new(false), reserve }
    }

    /// Locks the reserve for a few instructions. The lock must not allocate.
    fn reserve<T>(&self, work: impl FnOnce(&mut Reserve) -> T) -> T {
        while self.locked.swap(true, Ordering::Acquire) {
            std::hint::spin_loop();
        }
        // SAFETY: the lock is held, and `work` does not allocate.
        let result = work(unsafe { &mut *self.reserve.get() });
        self.locked.store(false, Ordering::Release);
        result
    }

    fn is_reserve(&self, ptr: *mut u8) -> bool {
        // SAFETY: only the address of the bytes is taken.
        let start = unsafe { &raw const (*self.reserve.get()).bytes } as usize;
        (start..start + RESERVE).contains(&(ptr as usize))
    }

    /// Whether a request fails at once, because it is fallible and memory is low.
    fn refuses(&self) -> bool {
        self.low.load(Ordering::Relaxed) && is_fallible()
    }

    /// Allocates from the reserve after the system has refused. Returns null for a fallible request.
    fn spare(&self, layout: Layout) -> *mut u8 {
        if is_fallible() {
            return null_mut();
        }
        self.low.store(true, Ordering::Relaxed);
        self.reserve(|reserve| reserve.take(layout))
    }
}

// SAFETY: memory comes from the system or the reserve with the requested size and alignment, and is freed where it came
// from.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Allocator<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.refuses() {
            return null_mut();
        }
        // SAFETY: contract of `GlobalAlloc`.
        let ptr = unsafe { self.system.alloc(layout) };
        if ptr.is_null() { self.spare(layout) } else { ptr }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if self.refuses() {
            return null_mut();
        }
        // SAFETY: contract of `GlobalAlloc`.
        let ptr = unsafe { self.system.alloc_zeroed(layout) };
        if !ptr.is_null() {
            return ptr;
        }
        let ptr = self.spare(layout);
        if !ptr.is_null() {
            // SAFETY: the reserve returned this many bytes.
            unsafe { ptr.write_bytes(0, layout.size()) };
        }
        ptr
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if self.refuses() {
            return null_mut();
        }
        if !self.is_reserve(ptr) {
            // SAFETY: contract of `GlobalAlloc`.
            let moved = unsafe { self.system.realloc(ptr, layout, size) };
            if !moved.is_null() {
                return moved;
            }
        }
        // SAFETY: contract of `GlobalAlloc`.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: contract of `GlobalAlloc`. The system is asked again for memory that is in the reserve.
        let moved = if self.is_reserve(ptr) { unsafe { self.alloc(wanted) } } else { self.spare(wanted) };
        if !moved.is_null() {
            // SAFETY: both have this many bytes and do not overlap.
            unsafe { ptr.copy_to_nonoverlapping(moved, layout.size().min(size)) };
            // SAFETY: contract of `GlobalAlloc`.
            unsafe { self.dealloc(ptr, layout) };
        }
        moved
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        if self.is_reserve(ptr) {
            return self.reserve(|reserve| reserve.put_back(ptr, layout));
        }
        // SAFETY: contract of `GlobalAlloc`.
        unsafe { self.system.dealloc(ptr, layout) }
    }
}

impl<A: GlobalAlloc> Allocator<A> {
    /// Whether too little of the reserve is left for a call, and the system has no memory.
    fn is_exhausted(&self) -> bool {
        const PROBE: usize = 64 << 10;
        if self.reserve(|reserve| reserve.used) <= RESERVE / 2 {
            return false;
        }
        let probe = Layout::new::<[u8; PROBE]>();
        // SAFETY: the size is not 0, and the memory is freed as it was allocated.
        unsafe {
            let ptr = self.system.alloc(probe);
            if !ptr.is_null() {
                self.system.dealloc(ptr, probe);
            }
            ptr.is_null()
        }
    }

    /// Lets fallible requests reach the system again.
    fn call_ended(&self) {
        if self.low.load(Ordering::Relaxed) {
            self.low.store(false, Ordering::Relaxed);
        }
    }
}

/// Whether a call must fail at once, because it might not get the memory to report an error.
pub(crate) fn is_exhausted() -> bool {
    #[cfg(not(test))]
    return ALLOCATOR.is_exhausted();
    #[cfg(test)]
    false
}

/// Records that a call has ended and freed its temporary memory.
pub(crate) fn call_ended() {
    #[cfg(not(test))]
    ALLOCATOR.call_ended();
}

#[cfg(test)]
mod tests {
    use super::*;
    use sam2_engine::memory::fallible;
    use std::sync::atomic::AtomicUsize;

    /// A system whose memory is limited to a number of bytes.
    struct Limited(AtomicUsize);

    // SAFETY: returns memory of the system, or null.
    unsafe impl GlobalAlloc for Limited {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            let left =
                self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(layout.size()));
            // SAFETY: contract of `GlobalAlloc`.
            if left.is_ok() { unsafe { System.alloc(layout) } } else { null_mut() }
        }

        unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
            // SAFETY: contract of `GlobalAlloc`.
            unsafe { System.dealloc(ptr, layout) }
        }
    }

    #[test]
    fn requests_that_must_not_fail_are_served_from_the_reserve() {
        static ALLOCATOR: Allocator<Limited> = Allocator::over(Limited(AtomicUsize::new(100)));
        const PIECE: usize = 64 << 10;
        let layout = |size| Layout::from_size_align(size, 16).unwrap();
        // SAFETY: sizes are not 0, and every piece is freed as it was allocated.
        unsafe {
            let first = ALLOCATOR.alloc(layout(100));
            assert!(!ALLOCATOR.is_reserve(first));
            first.write_bytes(7, 100);
            assert!(fallible(|| ALLOCATOR.realloc(first, layout(100), 200)).is_null());
            let moved = ALLOCATOR.realloc(first, layout(100), 200);
            assert!(ALLOCATOR.is_reserve(moved) && (moved as usize).is_multiple_of(16));
            assert!(std::slice::from_raw_parts(moved, 100).iter().all(|&b| b == 7));
            let zeros = ALLOCATOR.alloc_zeroed(layout(3));
            assert!(ALLOCATOR.is_reserve(zeros) && std::slice::from_raw_parts(zeros, 3) == [0; 3]);
            assert!(!ALLOCATOR.is_exhausted());
            let mut pieces = Vec::new();
            loop {
                match ALLOCATOR.alloc(layout(PIECE)) {
                    piece if piece.is_null() => break,
                    piece => pieces.push(piece),
                }
            }
            assert!(pieces.len() >= RESERVE / PIECE - 1 && ALLOCATOR.is_exhausted());
            pieces.into_iter().for_each(|piece| ALLOCATOR.dealloc(piece, layout(PIECE)));
            ALLOCATOR.dealloc(moved, layout(200));
            ALLOCATOR.dealloc(zeros, layout(3));
            assert_eq!(ALLOCATOR.reserve(|reserve| (reserve.used, reserve.pieces)), (0, 0));
            // The system has memory again, and fallible requests get it after the call has ended.
            ALLOCATOR.system.0.store(4 * PIECE, Ordering::Relaxed);
            assert!(fallible(|| ALLOCATOR.alloc(layout(PIECE))).is_null());
            ALLOCATOR.call_ended();
            let large = fallible(|| ALLOCATOR.alloc(layout(PIECE)));
            assert!(!large.is_null() && !ALLOCATOR.is_reserve(large));
            ALLOCATOR.dealloc(large, layout(PIECE));
        }
    }
}

//! An allocator that counts, records the peak, and fails on request.
#![allow(dead_code)] // each test uses a part of it

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::SeqCst};

/// Install it with `#[global_allocator]`.
pub struct Counting;

/// Allocations so far, of all threads.
pub static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Bytes held now by all threads.
pub static HELD: AtomicIsize = AtomicIsize::new(0);
/// Allocations of [`LARGE`] bytes and more until one fails. Negative: none fails.
pub static FAIL_AFTER: AtomicIsize = AtomicIsize::new(-1);

/// The size of allocations that must be able to fail: weights, arenas, results. Smaller ones are names, lists and
/// messages.
pub const LARGE: usize = 64 << 10;

thread_local! {
    /// Bytes that this thread has allocated and not freed, and the peak since [`peak_of`] began.
    static USED: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

/// Runs `work` and returns the peak of bytes that this thread allocated during it, beyond the earlier ones.
pub fn peak_of<T>(work: impl FnOnce() -> T) -> (T, isize) {
    let before = USED.get().0;
    USED.set((before, before));
    let result = work();
    (result, USED.get().1 - before)
}

fn refuse(size: usize) -> bool {
    size >= LARGE && FAIL_AFTER.load(SeqCst) >= 0 && FAIL_AFTER.fetch_sub(1, SeqCst) == 0
}

fn grow(by: isize) {
    COUNT.fetch_add(1, SeqCst);
    change(by);
}

fn change(by: isize) {
    HELD.fetch_add(by, SeqCst);
    // A thread that ends frees its memory after its own variables are gone.
    let _ = USED.try_with(|used| {
        let (now, peak) = used.get();
        used.set((now + by, peak.max(now + by)));
    });
}

// SAFETY: passes all calls to the system's allocator, or fails, which an allocator may do.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if refuse(layout.size()) {
            return std::ptr::null_mut();
        }
        grow(layout.size() as isize);
        // SAFETY: contract of `GlobalAlloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if refuse(layout.size()) {
            return std::ptr::null_mut();
        }
        grow(layout.size() as isize);
        // SAFETY: contract of `GlobalAlloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if refuse(size) {
            return std::ptr::null_mut();
        }
        grow(size as isize - layout.size() as isize);
        // SAFETY: contract of `GlobalAlloc`.
        unsafe { System.realloc(ptr, layout, size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        change(-(layout.size() as isize));
        // SAFETY: contract of `GlobalAlloc`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

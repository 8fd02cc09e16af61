//! An allocator that counts, remembers the peak, and fails on request.
#![allow(dead_code)] // each test takes a part of it

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::SeqCst};

/// Install it with `#[global_allocator]`.
pub struct Counting;

/// Allocations so far.
pub static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Bytes in use.
static USED: AtomicIsize = AtomicIsize::new(0);
/// The most bytes in use since [`reset_peak`].
static PEAK: AtomicIsize = AtomicIsize::new(0);
/// Allocations of [`LARGE`] bytes and more until one fails; negative: none does.
pub static FAIL_AFTER: AtomicIsize = AtomicIsize::new(-1);

/// What must be able to fail: weights, arenas, results. Below it are names, lists and messages.
pub const LARGE: usize = 64 << 10;

pub fn reset_peak() {
    PEAK.store(USED.load(SeqCst), SeqCst);
}

/// Bytes in use at the worst moment since [`reset_peak`], beyond those in use then.
pub fn peak_since(before: isize) -> isize {
    PEAK.load(SeqCst) - before
}

pub fn used() -> isize {
    USED.load(SeqCst)
}

fn refuse(size: usize) -> bool {
    size >= LARGE && FAIL_AFTER.load(SeqCst) >= 0 && FAIL_AFTER.fetch_sub(1, SeqCst) == 0
}

fn grow(by: isize) {
    COUNT.fetch_add(1, SeqCst);
    let used = USED.fetch_add(by, SeqCst) + by;
    PEAK.fetch_max(used, SeqCst);
}

// SAFETY: passes everything on to the system's allocator, or fails, which an allocator may.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if refuse(layout.size()) {
            return std::ptr::null_mut();
        }
        grow(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if refuse(layout.size()) {
            return std::ptr::null_mut();
        }
        grow(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if refuse(size) {
            return std::ptr::null_mut();
        }
        grow(size as isize - layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(ptr, layout, size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size() as isize, SeqCst);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }
}

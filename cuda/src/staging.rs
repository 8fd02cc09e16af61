//! Copies between the caller's memory and the device, through pinned memory, without waiting.

use crate::device::{Device, Pinned};
use sam2_engine::Result;

/// More than this is not held at once: who copies more waits in between.
const MOST: usize = 256 << 20;

/// A block of pinned memory that fills up until the next wait.
pub struct Staging<D: Device> {
    block: Option<D::Pinned>,
    used: usize,
    /// Blocks that were outgrown, which copies may still read.
    old: Vec<D::Pinned>,
    /// What comes down: to where, from where in pinned memory, how much.
    down: Vec<(*mut u8, *const u8, usize)>,
}

// SAFETY: the pointers are into pinned memory it owns and into buffers whose owners wait for the copies.
unsafe impl<D: Device> Send for Staging<D> {}

impl<D: Device> Staging<D> {
    /// Nothing yet.
    pub fn new() -> Self {
        Staging { block: None, used: 0, old: Vec::new(), down: Vec::new() }
    }

    /// `bytes` pinned bytes that are the caller's until the next wait.
    fn take(&mut self, device: &D, bytes: usize) -> Result<*mut u8> {
        if self.used > 0 && self.used + bytes > MOST {
            device.sync()?;
            self.landed();
        }
        let capacity = self.block.as_ref().map_or(0, |b| b.bytes());
        if self.used + bytes > capacity {
            let block = device.pinned((self.used + bytes).next_power_of_two().max(1 << 16))?;
            self.old.extend(self.block.replace(block));
            self.used = 0;
        }
        let at = self.block.as_ref().map_or(std::ptr::null_mut(), |b| b.ptr()).wrapping_add(self.used);
        self.used = (self.used + bytes).next_multiple_of(256);
        Ok(at)
    }

    /// Copies to the device what `fill` writes.
    pub fn up(&mut self, device: &D, to: u64, bytes: usize, fill: impl FnOnce(&mut [u8])) -> Result<()> {
        let from = self.take(device, bytes)?;
        // SAFETY: what was just taken, which nobody else has.
        fill(unsafe { std::slice::from_raw_parts_mut(from, bytes) });
        device.copy_in(to, from, bytes)
    }

    /// Copies from the device to `out`, there once the device was waited for and `landed` was called.
    pub fn down(&mut self, device: &D, out: &mut [u8], from: u64) -> Result<()> {
        let to = self.take(device, out.len())?;
        device.copy_out(to, from, out.len())?;
        self.down.push((out.as_mut_ptr(), to, out.len()));
        Ok(())
    }

    /// The device has been waited for: hands out what came down.
    pub fn landed(&mut self) {
        for (to, from, bytes) in self.down.drain(..) {
            // SAFETY: the caller's buffer, which outlives the wait, and pinned memory of that size.
            unsafe { std::ptr::copy_nonoverlapping(from, to, bytes) };
        }
        self.forget();
    }

    /// Drops what was to come down, after a failure.
    pub fn forget(&mut self) {
        self.down.clear();
        self.old.clear();
        self.used = 0;
    }
}

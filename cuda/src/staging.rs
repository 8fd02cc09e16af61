//! Copies between host memory of the caller and the device, through pinned memory, without waiting.

use crate::device::{Device, Pinned};
use sam2_engine::cpu::pool::Pool;
use sam2_engine::{MaskTarget, Result};
use std::cell::OnceCell;
use std::thread::available_parallelism;

/// The most bytes that are held at once. A larger copy waits in between.
const MOST: usize = 256 << 20;
/// The bytes of a task of the threads. Smaller copies are made by the caller's thread.
const PIECE: usize = 512 << 10;
/// The most threads that copy. Few threads reach the bandwidth of the memory.
const MOST_THREADS: usize = 8;

/// A block of pinned memory that fills up until the next wait.
pub struct Staging<D: Device> {
    block: Option<D::Pinned>,
    used: usize,
    /// Earlier blocks that were too small. Copies may still read them.
    old: Vec<D::Pinned>,
    /// Copies from the device that are on the way.
    down: Vec<Landing>,
    /// The threads that copy, from the first large copy on. `None` inside: the system gives no threads.
    pool: OnceCell<Option<Pool>>,
}

/// Rows of planes in a buffer of the caller.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// Bytes of a row.
    bytes: usize,
    /// Rows of a plane.
    height: usize,
    planes: usize,
    /// Bytes from a row to the next.
    row_stride: usize,
    /// Bytes from a plane to the next.
    plane_stride: usize,
}

impl Rows {
    /// The rows of masks. Without space between them they are one row.
    pub fn of(target: &MaskTarget<'_>) -> Rows {
        let &MaskTarget { height, planes, row_stride, plane_stride, .. } = target;
        match target.is_packed() {
            true => Rows::one(target.bytes()),
            false => Rows { bytes: target.row_bytes, height, planes, row_stride, plane_stride },
        }
    }

    fn one(bytes: usize) -> Rows {
        Rows { bytes, height: 1, planes: 1, row_stride: bytes, plane_stride: bytes }
    }

    /// The bytes of all rows.
    fn all(&self) -> usize {
        self.bytes * self.height * self.planes
    }
}

/// A copy from pinned memory, where rows follow one another, to a buffer of the caller.
struct Landing {
    to: *mut u8,
    from: *const u8,
    rows: Rows,
}

// SAFETY: the threads read memory that no one writes, and write pieces that do not overlap.
unsafe impl Sync for Landing {}

impl Landing {
    /// The number of pieces.
    fn pieces(&self) -> usize {
        self.rows.all().div_ceil(PIECE)
    }

    /// Copies a piece, which may begin and end within rows.
    fn piece(&self, piece: usize) {
        let Rows { bytes, height, row_stride, plane_stride, .. } = self.rows;
        let (mut at, end) = (piece * PIECE, ((piece + 1) * PIECE).min(self.rows.all()));
        while at < end {
            let (row, column) = (at / bytes, at % bytes);
            let to = row / height * plane_stride + row % height * row_stride + column;
            let count = (bytes - column).min(end - at);
            // SAFETY: the buffer of the caller, which outlives the wait and has these rows, and pinned memory of their
            // size.
            unsafe { std::ptr::copy_nonoverlapping(self.from.add(at), self.to.add(to), count) };
            at += count;
        }
    }
}

// SAFETY: the pointers are into pinned memory that this value owns, and into buffers whose owners wait for the copies.
unsafe impl<D: Device> Send for Staging<D> {}

impl<D: Device> Staging<D> {
    /// An empty staging area.
    pub fn new() -> Self {
        Staging { block: None, used: 0, old: Vec::new(), down: Vec::new(), pool: OnceCell::new() }
    }

    /// `bytes` bytes of pinned memory, which belong to the caller until the next wait.
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
        // SAFETY: the bytes were just taken and have no other user.
        fill(unsafe { std::slice::from_raw_parts_mut(from, bytes) });
        device.copy_in(to, from, bytes)
    }

    /// Copies from the device to `out`. The data are there after the next wait and a call of `landed`.
    pub fn down(&mut self, device: &D, out: &mut [u8], from: u64) -> Result<()> {
        let rows = Rows::one(out.len());
        self.down_rows(device, out, &rows, from)
    }

    /// As [`Staging::down`], to rows in `out`. On the device, rows follow one another.
    pub fn down_rows(&mut self, device: &D, out: &mut [u8], rows: &Rows, from: u64) -> Result<()> {
        if rows.all() > PIECE {
            self.pool.get_or_init(|| {
                let cpus = available_parallelism().map_or(1, |n| n.get());
                Pool::new(cpus.min(MOST_THREADS), &[]).ok()
            });
        }
        let to = self.take(device, rows.all())?;
        device.copy_out(to, from, rows.all())?;
        self.down.push(Landing { to: out.as_mut_ptr(), from: to, rows: *rows });
        Ok(())
    }

    /// Completes copies from the device, after a wait.
    pub fn landed(&mut self) {
        for copy in self.down.drain(..) {
            let pieces = copy.pieces();
            match self.pool.get().and_then(Option::as_ref) {
                Some(pool) if pieces > 1 => pool.run(pieces, &|piece, _| copy.piece(piece)),
                _ => (0..pieces).for_each(|piece| copy.piece(piece)),
            }
        }
        self.forget();
    }

    /// Drops pending copies from the device, after a failure.
    pub fn forget(&mut self) {
        self.down.clear();
        self.old.clear();
        self.used = 0;
    }
}

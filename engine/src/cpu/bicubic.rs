//! Preprocessing of the frames of a video. Frames are resized in 8 bits as in Pillow: first along rows, rounded, and
//! then along columns.

use super::device::{Cpu, SCRATCH};
use super::floats::Floats;
use super::pixels::{MEAN, STD};
use super::ptr::F32;
use super::simd::{Kernel, Simd};
use crate::media::frame::Frame;
use crate::media::resample::{BICUBIC_BITS, bicubic, bicubic_taps};

/// The number of output columns that are computed together.
const COLUMNS: usize = 16;

/// Computes output rows from their source rows.
pub struct Bicubic<'a> {
    pub rows: (usize, usize),
    pub frame: &'a Frame<'a>,
    /// (side, side, 3)
    pub out: Floats,
    pub side: usize,
    /// Scratch memory. The front has the source rows, resized along rows, as bytes. The end has the pixels of a source
    /// row under the filters of `COLUMNS` output columns, and the weights of these filters.
    pub scratch: F32,
}

/// Converts a sum of bytes times weights to a byte.
fn byte(sum: i32) -> u8 {
    ((sum + (1 << (BICUBIC_BITS - 1))) >> BICUBIC_BITS).clamp(0, 255) as u8
}

impl Kernel for Bicubic<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, _: S) {
        let (frame, side) = (self.frame, self.side);
        let channels = frame.format().interleaved().channels();
        let (w, h, n, offsets) = (frame.width(), frame.height(), channels[0].step, channels.map(|c| c.offset));
        let taps = bicubic_taps(w.max(h), side);
        let room = COLUMNS * taps;
        let weights = std::slice::from_raw_parts_mut(self.scratch.at_mut(SCRATCH - room).cast::<i32>(), room);
        let seen = std::slice::from_raw_parts_mut(self.scratch.at_mut(SCRATCH - 2 * room), room);
        let first_row = bicubic(self.rows.0, h, side, weights).0;
        let (last, count) = bicubic(self.rows.1 - 1, h, side, weights);
        let lines =
            std::slice::from_raw_parts_mut(self.scratch.ptr().cast::<u8>(), (last + count - first_row) * side * 3);
        for left in (0..side).step_by(COLUMNS) {
            let mut all = [(0, 0); COLUMNS];
            let filters = &mut all[..COLUMNS.min(side - left)];
            for (i, (filter, weights)) in filters.iter_mut().zip(weights.chunks_mut(taps)).enumerate() {
                *filter = bicubic(left + i, w, side, weights);
            }
            let (start, (last, count)) = (filters[0].0, filters[filters.len() - 1]);
            for (y, line) in lines.chunks_mut(side * 3).enumerate() {
                let row = frame.pixels(first_row + y, start..last + count, seen);
                let columns = filters.iter().zip(weights.chunks(taps)).zip(line[left * 3..].chunks_exact_mut(3));
                for ((&(first, count), weights), out) in columns {
                    let mut sums = [0i32; 3];
                    for (pixel, &weight) in row[(first - start) * n..].chunks_exact(n).zip(&weights[..count]) {
                        for c in 0..3 {
                            sums[c] += i32::from(pixel[offsets[c]]) * weight;
                        }
                    }
                    for c in 0..3 {
                        out[c] = byte(sums[c]);
                    }
                }
            }
        }
        for y in self.rows.0..self.rows.1 {
            let (first, count) = bicubic(y, h, side, weights);
            let source = &lines[(first - first_row) * side * 3..];
            for i in 0..side * 3 {
                let column = source[i..].iter().step_by(side * 3);
                let sum: i32 = column.zip(&weights[..count]).map(|(&v, w)| i32::from(v) * w).sum();
                let value = f32::from(byte(sum)) / 255.0;
                self.out.set(y * side * 3 + i, (value - MEAN[i % 3]) / STD[i % 3]);
            }
        }
    }
}

/// Returns the number of output rows that fit the scratch memory at once.
fn rows_at_once(width: usize, height: usize, side: usize) -> Option<usize> {
    let taps = bicubic_taps(width.max(height), side);
    let lines = |rows: usize| (rows * height.div_ceil(side) + taps) * side * 3;
    (1..=32).rev().find(|&rows| lines(rows).div_ceil(4) + 2 * COLUMNS * taps <= SCRATCH)
}

impl Cpu {
    pub(super) fn bicubic(&self, out: Floats, frame: &Frame<'_>, side: usize) {
        let rows = rows_at_once(frame.width(), frame.height(), side);
        let rows = rows.unwrap_or_else(|| panic!("preprocess: {}x{} to {side}", frame.width(), frame.height()));
        self.parallel(side.div_ceil(rows), |task, scratch| {
            let rows = (task * rows, ((task + 1) * rows).min(side));
            Bicubic { rows, frame, out, side, scratch }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::MAX_SIDE;

    #[test]
    fn there_is_scratch_for_any_picture() {
        for side in (32..=4096).step_by(32) {
            for (w, h) in [(MAX_SIDE, MAX_SIDE), (MAX_SIDE, 1), (1, MAX_SIDE), (1, 1), (side + 1, side - 1)] {
                assert!(rows_at_once(w, h, side).is_some(), "{w}x{h} to {side}");
                // What the filters of `COLUMNS` columns see of a row has room, 3 bytes a pixel.
                let taps = bicubic_taps(w.max(h), side);
                let weights = &mut vec![0; taps];
                let (start, (last, count)) = (bicubic(0, w, side, weights).0, bicubic(COLUMNS - 1, w, side, weights));
                assert!((last + count - start) * 3 <= COLUMNS * taps * 4, "{w}x{h} to {side}");
            }
        }
    }
}

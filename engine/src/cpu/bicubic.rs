//! Frames of a video: resized in 8 bits as Pillow does it, along rows first, rounded, then along columns.

use super::pixels::{MEAN, STD};
use super::simd::{Kernel, Simd};
use super::{Cpu, F32, SCRATCH};
use crate::frame::Frame;
use crate::resample::{BICUBIC_BITS, bicubic, bicubic_taps};

/// Output rows, and the source rows under them.
pub struct Bicubic<'a> {
    pub rows: (usize, usize),
    pub frame: &'a Frame<'a>,
    /// (side, side, 3)
    pub out: F32,
    pub side: usize,
    /// Source rows resized along themselves, as bytes; then the weights of one filter.
    pub scratch: F32,
}

/// A sum of bytes times weights as a byte.
fn byte(sum: i32) -> u8 {
    ((sum + (1 << (BICUBIC_BITS - 1))) >> BICUBIC_BITS).clamp(0, 255) as u8
}

impl Kernel for Bicubic<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, _: S) {
        let (frame, side) = (self.frame, self.side);
        let (w, h, n, offsets) =
            (frame.width(), frame.height(), frame.format().channels(), frame.format().rgb_offsets());
        let taps = bicubic_taps(w.max(h), side);
        let weights = std::slice::from_raw_parts_mut(self.scratch.at_mut(SCRATCH - taps).cast::<i32>(), taps);
        let first_row = bicubic(self.rows.0, h, side, weights).0;
        let (last, count) = bicubic(self.rows.1 - 1, h, side, weights);
        let lines =
            std::slice::from_raw_parts_mut(self.scratch.ptr().cast::<u8>(), (last + count - first_row) * side * 3);
        for x in 0..side {
            let (first, count) = bicubic(x, w, side, weights);
            for (y, line) in lines.chunks_mut(side * 3).enumerate() {
                let row = &frame.row(first_row + y)[first * n..];
                let mut sums = [0i32; 3];
                for (pixel, &weight) in row.chunks_exact(n).zip(&weights[..count]) {
                    for c in 0..3 {
                        sums[c] += i32::from(pixel[offsets[c]]) * weight;
                    }
                }
                for c in 0..3 {
                    line[x * 3 + c] = byte(sums[c]);
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
                *self.out.at_mut(y * side * 3 + i) = (value - MEAN[i % 3]) / STD[i % 3];
            }
        }
    }
}

impl Cpu {
    pub(super) fn bicubic(&self, out: F32, frame: &Frame<'_>, side: usize) {
        let taps = bicubic_taps(frame.width().max(frame.height()), side);
        let bytes = |rows: usize| (rows * frame.height().div_ceil(side) + taps) * side * 3;
        // As many rows at a time as there is scratch for.
        let rows = (1..=32).rev().find(|&rows| bytes(rows).div_ceil(4) + taps <= SCRATCH);
        let rows = rows.unwrap_or_else(|| panic!("preprocess: {}x{} to {side}", frame.width(), frame.height()));
        self.parallel(side.div_ceil(rows), |task, scratch| {
            let rows = (task * rows, ((task + 1) * rows).min(side));
            Bicubic { rows, frame, out, side, scratch }
        });
    }
}

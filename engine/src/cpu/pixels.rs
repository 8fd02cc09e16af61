//! Preprocessing: converts the pixels of the caller to the input of the model.

use super::device::{Cpu, SCRATCH};
use super::floats::Floats;
use super::ptr::F32;
use super::simd::{Kernel, Simd};
use crate::backend::Filter;
use crate::backend::PixelOps;
use crate::backend::tensor::Tensor;
use crate::media::frame::Frame;
use crate::media::resample::Triangle;

/// The mean of ImageNet per channel.
pub const MEAN: [f32; 3] = [0.485, 0.456, 0.406];

/// The standard deviation of ImageNet per channel.
pub const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// Computes output rows of an image. Each row is first mixed from its source rows, and then resized along the row.
struct Resize<'a> {
    rows: (usize, usize),
    frame: &'a Frame<'a>,
    /// (side, side, 3)
    out: Floats,
    side: usize,
    /// Scratch memory: a mixed row, then the filters along the row (`taps` weights for each output pixel), then a part
    /// of a source row.
    scratch: F32,
    taps: usize,
}

/// The number of pixels of a source row that are processed together.
const PIECE: usize = 512;

impl Kernel for Resize<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, _: S) {
        let (w, h, format, side) = (self.frame.width(), self.frame.height(), self.frame.format(), self.side);
        let channels = format.interleaved().channels();
        let (n, offsets) = (channels[0].step, channels.map(|c| c.offset));
        let mixed = std::slice::from_raw_parts_mut(self.scratch.ptr(), w * n);
        let weights = std::slice::from_raw_parts_mut(self.scratch.at_mut(w * n), side * self.taps);
        let piece = std::slice::from_raw_parts_mut(self.scratch.at_mut(w * n + side * self.taps), PIECE * 3);
        for (x, weights) in weights.chunks_mut(self.taps).enumerate() {
            let filter = Triangle::new(x, w, side);
            (0..filter.count).for_each(|j| weights[j] = filter.weight(j));
        }
        for y in self.rows.0..self.rows.1 {
            let filter = Triangle::new(y, h, side);
            let unit = if format.is_float() { 1.0 } else { 1.0 / 255.0 };
            mixed.fill(0.0);
            for j in 0..filter.count {
                let weight = filter.weight(j) * unit;
                for (i, mixed) in mixed.chunks_mut(PIECE * n).enumerate() {
                    let columns = i * PIECE..i * PIECE + mixed.len() / n;
                    let pixels = self.frame.pixels(filter.first + j, columns, piece);
                    if format.is_float() {
                        for (m, &v) in mixed.iter_mut().zip(bytemuck::cast_slice::<u8, f32>(pixels)) {
                            *m += weight * v;
                        }
                    } else {
                        for (m, &v) in mixed.iter_mut().zip(pixels) {
                            *m += weight * v as f32;
                        }
                    }
                }
            }
            for (x, weights) in weights.chunks(self.taps).enumerate() {
                let (first, count) = Triangle::span(x, w, side);
                let mut sum = [0f32; 3];
                for (pixel, weight) in mixed[first * n..].chunks_exact(n).zip(&weights[..count]) {
                    for c in 0..3 {
                        sum[c] += weight * pixel[offsets[c]];
                    }
                }
                for c in 0..3 {
                    self.out.set((y * side + x) * 3 + c, (sum[c] - MEAN[c]) / STD[c]);
                }
            }
        }
    }
}

impl PixelOps for Cpu {
    fn preprocess(&self, out: Tensor<'_>, frame: &Frame<'_>, filter: Filter) {
        let side = out.dim(0);
        assert!(out.dims() == [side, side, 3], "preprocess: {out:?}");
        self.count(&[out]);
        self.count_bytes(frame.bytes());
        let out = Floats::of(out);
        if filter == Filter::Bicubic && !frame.format().is_float() {
            return self.bicubic(out, frame, side);
        }
        let taps = Triangle::most(frame.width(), side);
        let values = frame.width() * frame.format().interleaved().channels()[0].step;
        assert!(values + side * taps + PIECE * 3 <= SCRATCH, "preprocess: {}", frame.width());
        const ROWS: usize = 32;
        self.parallel(side.div_ceil(ROWS), |task, scratch| {
            let rows = (task * ROWS, ((task + 1) * ROWS).min(side));
            Resize { rows, frame, out, side, scratch, taps }
        });
    }
}

//! Between the caller's pixels and the model's: pictures in, masks out.

use super::simd::{Kernel, Simd};
use super::{Cpu, F32, I32, SCRATCH};
use crate::backend::Filter;
use crate::frame::{Frame, MaskData, MaskOut};
use crate::resample::{Triangle, bilinear};
use crate::tensor::Tensor;

/// Of ImageNet, per channel.
pub const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Of ImageNet, per channel.
pub const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// Output rows of a picture: each is first mixed from its source rows, then resized along itself.
struct Resize<'a> {
    rows: (usize, usize),
    frame: &'a Frame<'a>,
    /// (side, side, 3)
    out: F32,
    side: usize,
    /// A mixed row; the filters along it: weights, `taps` for each output pixel; then a piece of a source row.
    scratch: F32,
    taps: usize,
}

/// Pixels of a source row that are looked at together.
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
                    *self.out.at_mut((y * side + x) * 3 + c) = (sum[c] - MEAN[c]) / STD[c];
                }
            }
        }
    }
}

/// Where a row of a mask goes.
#[derive(Clone, Copy)]
enum Sink {
    Binary(*mut u8, f32),
    Logits(*mut f32, f32),
}

// SAFETY: tasks write rows of their own.
unsafe impl Send for Sink {}
// SAFETY: as above.
unsafe impl Sync for Sink {}

/// Rows of one mask. Source rows are widened once and then mixed for as many output rows as lie between them.
struct WriteRows {
    rows: (usize, usize),
    /// (h, w)
    mask: F32,
    h: usize,
    w: usize,
    out: Sink,
    out_h: usize,
    out_w: usize,
    /// Two widened rows; then, of each column, its first source column and the weight of the second.
    scratch: F32,
}

impl Kernel for WriteRows {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, _: S) {
        let n = self.out_w;
        let line = |i: usize| std::slice::from_raw_parts_mut(self.scratch.at_mut(i * n), n);
        let (mut top, mut bottom, weights) = (line(0), line(1), line(2));
        let columns = std::slice::from_raw_parts_mut(self.scratch.at_mut(3 * n).cast::<u32>(), n);
        for x in 0..n {
            let (first, _, weight) = bilinear(x, self.w, n);
            (columns[x], weights[x]) = (first as u32, weight);
        }
        let widen = |line: &mut [f32], y: usize| {
            let row = std::slice::from_raw_parts(self.mask.at(y * self.w), self.w);
            for x in 0..n {
                let first = columns[x] as usize;
                let (a, b) = (row[first], row[(first + 1).min(self.w - 1)]);
                line[x] = a * (1.0 - weights[x]) + b * weights[x];
            }
        };
        let (mut top_row, mut bottom_row) = (usize::MAX, usize::MAX);
        for y in self.rows.0..self.rows.1 {
            let (y0, y1, t) = bilinear(y, self.h, self.out_h);
            if y0 == bottom_row {
                std::mem::swap(&mut top, &mut bottom);
                std::mem::swap(&mut top_row, &mut bottom_row);
            }
            for (line, row, y) in [(&mut *top, &mut top_row, y0), (&mut *bottom, &mut bottom_row, y1)] {
                if *row != y {
                    widen(line, y);
                    *row = y;
                }
            }
            let at = y * n;
            match self.out {
                Sink::Binary(out, threshold) => {
                    let out = std::slice::from_raw_parts_mut(out.add(at), n);
                    for (o, (a, b)) in out.iter_mut().zip(top.iter().zip(&*bottom)) {
                        *o = (a * (1.0 - t) + b * t > threshold) as u8;
                    }
                }
                Sink::Logits(out, bound) => {
                    let out = std::slice::from_raw_parts_mut(out.add(at), n);
                    for (o, (a, b)) in out.iter_mut().zip(top.iter().zip(&*bottom)) {
                        *o = (a * (1.0 - t) + b * t).clamp(-bound, bound);
                    }
                }
            }
        }
    }
}

impl Cpu {
    pub(super) fn preprocess(&self, out: Tensor<'_>, frame: &Frame<'_>, filter: Filter) {
        let side = out.dim(0);
        assert!(out.dims() == [side, side, 3], "preprocess: {out:?}");
        self.count(&[out]);
        self.count_bytes(frame.bytes());
        let out = F32::of(out);
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

    pub(super) fn write_masks(&self, out: MaskOut<'_>, masks: Tensor<'_>, selected: Option<Tensor<'_>>) {
        let [p, n, h, w] = *masks.dims() else { panic!("write_masks: {masks:?}") };
        let (out_h, out_w) = (out.height, out.width);
        let len = out.data.pixels();
        let count = selected.map_or(p * n, |s| s.len());
        let full = count.checked_mul(out_h).and_then(|n| n.checked_mul(out_w));
        assert!(full == Some(len), "write_masks: {count} masks of {out_h}x{out_w} into {len}");
        assert!(masks.is_contiguous(), "write_masks: {masks:?}");
        let (sink, bytes) = match out.data {
            MaskData::Binary(data, threshold) => (Sink::Binary(data.as_mut_ptr(), threshold), 1),
            MaskData::Logits(data, bound) => (Sink::Logits(data.as_mut_ptr(), bound), 4),
            MaskData::DeviceBinary(..) | MaskData::DeviceLogits(..) => panic!("write_masks: not in the host's memory"),
        };
        self.count_bytes(count * (h * w * 4 + out_h * out_w * bytes));
        self.count(&[]);
        let (mask, selected) = (F32::of(masks), selected.map(|s| (I32::of(s), s.len() / p)));
        const ROWS: usize = 64;
        let blocks = out_h.div_ceil(ROWS);
        self.parallel(count * blocks, |task, scratch| {
            let (i, first) = (task / blocks, task % blocks * ROWS);
            // SAFETY: below the number of selected masks.
            let plane = selected.map_or(i, |(s, per)| i / per * n + unsafe { *s.at(i) } as usize);
            let at = i * out_h * out_w;
            WriteRows {
                rows: (first, (first + ROWS).min(out_h)),
                mask: mask.add(plane * h * w),
                h,
                w,
                // SAFETY: the i-th mask of the buffer, whose length is checked above.
                out: unsafe {
                    match sink {
                        Sink::Binary(p, t) => Sink::Binary(p.add(at), t),
                        Sink::Logits(p, b) => Sink::Logits(p.add(at), b),
                    }
                },
                out_h,
                out_w,
                scratch,
            }
        });
    }
}

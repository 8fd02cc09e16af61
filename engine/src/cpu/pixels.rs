//! Between the caller's pixels and the model's: pictures in, masks out.

use super::simd::{Kernel, Simd};
use super::{Cpu, F32, I32};
use crate::frame::{Frame, MaskData, MaskOut, PixelFormat};
use crate::tensor::Tensor;

/// Of ImageNet, per channel.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Of ImageNet, per channel.
const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// The source pixels under one output pixel of a triangle filter, wider when shrinking, and their weights.
///
/// As PyTorch's `interpolate(mode="bilinear", antialias=True, align_corners=False)`.
struct Taps {
    first: usize,
    count: usize,
    scale: f64,
    center: f64,
    support: f64,
}

impl Taps {
    fn of(i: usize, from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        let support = scale.max(1.0);
        let center = scale * (i as f64 + 0.5);
        let first = (center - support + 0.5).max(0.0) as usize;
        let last = ((center + support + 0.5) as usize).min(from);
        Taps { first, count: last - first, scale, center, support }
    }

    fn raw(&self, j: usize) -> f64 {
        let x = ((self.first + j) as f64 - self.center + 0.5) / self.scale.max(1.0);
        (1.0 - x.abs()).max(0.0)
    }

    fn total(&self) -> f64 {
        debug_assert!(self.support >= 1.0);
        (0..self.count).map(|j| self.raw(j)).sum()
    }
}

/// Output rows of a picture: each is first mixed from its source rows, then resized along itself.
struct Resize<'a> {
    rows: (usize, usize),
    frame: &'a Frame<'a>,
    /// (side, side, 3)
    out: F32,
    side: usize,
    scratch: F32,
}

impl Kernel for Resize<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, _: S) {
        let (w, h, format) = (self.frame.width(), self.frame.height(), self.frame.format());
        let (n, offsets) = (format.channels(), format.rgb_offsets());
        let mixed = std::slice::from_raw_parts_mut(self.scratch.ptr(), w * n);
        for y in self.rows.0..self.rows.1 {
            let taps = Taps::of(y, h, self.side);
            let unit = if format == PixelFormat::RgbF32 { 1.0 } else { 255.0 };
            let total = taps.total() * unit;
            mixed.fill(0.0);
            for j in 0..taps.count {
                let weight = (taps.raw(j) / total) as f32;
                let row = self.frame.row(taps.first + j);
                if format == PixelFormat::RgbF32 {
                    for (m, &v) in mixed.iter_mut().zip(bytemuck::cast_slice::<u8, f32>(row)) {
                        *m += weight * v;
                    }
                } else {
                    for (m, &v) in mixed.iter_mut().zip(row) {
                        *m += weight * v as f32;
                    }
                }
            }
            for x in 0..self.side {
                let taps = Taps::of(x, w, self.side);
                let total = taps.total();
                let mut sum = [0f32; 3];
                for j in 0..taps.count {
                    let weight = (taps.raw(j) / total) as f32;
                    let pixel = &mixed[(taps.first + j) * n..];
                    for c in 0..3 {
                        sum[c] += weight * pixel[offsets[c]];
                    }
                }
                for c in 0..3 {
                    *self.out.at_mut((y * self.side + x) * 3 + c) = (sum[c] - MEAN[c]) / STD[c];
                }
            }
        }
    }
}

/// The two source pixels under output pixel `i` of a plain bilinear filter, and the weight of the second.
///
/// As PyTorch's `interpolate(mode="bilinear", align_corners=False)`.
fn pair(i: usize, from: usize, to: usize) -> (usize, usize, f32) {
    let x = ((i as f32 + 0.5) * (from as f32 / to as f32) - 0.5).max(0.0);
    let first = (x as usize).min(from - 1);
    (first, (first + 1).min(from - 1), x - first as f32)
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

/// Rows of one mask.
struct WriteRows {
    rows: (usize, usize),
    /// (h, w)
    mask: F32,
    h: usize,
    w: usize,
    out: Sink,
    out_h: usize,
    out_w: usize,
    scratch: F32,
}

impl Kernel for WriteRows {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, _: S) {
        let (h, w, out_w) = (self.h, self.w, self.out_w);
        let mixed = std::slice::from_raw_parts_mut(self.scratch.ptr(), w);
        let line = std::slice::from_raw_parts_mut(self.scratch.at_mut(w), out_w);
        for y in self.rows.0..self.rows.1 {
            let (y0, y1, t) = pair(y, h, self.out_h);
            let row = |y: usize| std::slice::from_raw_parts(self.mask.at(y * w), w);
            let (top, bottom) = (row(y0), row(y1));
            for x in 0..w {
                mixed[x] = top[x] * (1.0 - t) + bottom[x] * t;
            }
            for x in 0..out_w {
                let (x0, x1, t) = pair(x, w, out_w);
                line[x] = mixed[x0] * (1.0 - t) + mixed[x1] * t;
            }
            match self.out {
                Sink::Binary(out, threshold) => {
                    for x in 0..out_w {
                        *out.add(y * out_w + x) = (line[x] > threshold) as u8;
                    }
                }
                Sink::Logits(out, bound) => {
                    for x in 0..out_w {
                        *out.add(y * out_w + x) = line[x].clamp(-bound, bound);
                    }
                }
            }
        }
    }
}

impl Cpu {
    pub(super) fn preprocess(&self, out: Tensor<'_>, frame: &Frame<'_>) {
        let side = out.dim(0);
        assert!(out.dims() == [side, side, 3], "preprocess: {out:?}");
        self.count(&[out]);
        self.count_bytes(frame.width() * frame.height() * frame.format().bytes());
        let out = F32::of(out);
        self.parallel_rows(side, side * 64, |rows, scratch| Resize { rows, frame, out, side, scratch });
    }

    pub(super) fn write_masks(&self, out: MaskOut<'_>, masks: Tensor<'_>, selected: Option<Tensor<'_>>) {
        let [p, n, h, w] = *masks.dims() else { panic!("write_masks: {masks:?}") };
        let (out_h, out_w) = (out.height, out.width);
        let (len, bytes) = match &out.data {
            MaskData::Binary(data, _) => (data.len(), 1),
            MaskData::Logits(data, _) => (data.len(), 4),
        };
        let count = selected.map_or(p * n, |s| s.len());
        assert!(count * out_h * out_w == len, "write_masks: {count} masks of {out_h}x{out_w} into {len}");
        assert!(masks.is_contiguous(), "write_masks: {masks:?}");
        self.count_bytes(count * (h * w * 4 + out_h * out_w * bytes));
        self.count(&[]);
        let sink = match out.data {
            MaskData::Binary(data, threshold) => Sink::Binary(data.as_mut_ptr(), threshold),
            MaskData::Logits(data, bound) => Sink::Logits(data.as_mut_ptr(), bound),
        };
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

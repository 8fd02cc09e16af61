//! The small operations around the mask decoder: points to tokens, image keys, the choice of masks.

use super::floats::Floats;
use super::simd::{Kernel, Simd};
use super::{Cpu, F32, I32};
use crate::backend::Selection;
use crate::tensor::Tensor;
use std::f32::consts::TAU;

struct EmbedPoints {
    /// (t, c)
    out: F32,
    t: usize,
    c: usize,
    /// (points, 2) and (points)
    points: F32,
    point_labels: I32,
    len: usize,
    /// (heads, c): the tokens before the points.
    output_tokens: F32,
    outputs: usize,
    gaussian: F32,
    labels: F32,
}

impl Kernel for EmbedPoints {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        let (c, half) = (self.c, self.c / 2);
        std::ptr::copy_nonoverlapping(self.output_tokens.ptr(), self.out.ptr(), self.outputs * c);
        for i in self.outputs..self.t {
            let row = self.out.add(i * c);
            std::ptr::write_bytes(row.ptr(), 0, c);
            if i >= self.len {
                continue;
            }
            let point = i - self.outputs;
            let label = *self.point_labels.at(point);
            if label >= 0 {
                let (x, y) = (2.0 * *self.points.at(2 * point) - 1.0, 2.0 * *self.points.at(2 * point + 1) - 1.0);
                for j in 0..half {
                    let angle = TAU * (x * *self.gaussian.at(j) + y * *self.gaussian.at(half + j));
                    let (sin, cos) = angle.sin_cos();
                    *row.at_mut(j) = sin;
                    *row.at_mut(half + j) = cos;
                }
            }
            zip_rows!(s, row, row, self.labels.add((label + 1) as usize * c), c, |a, b| s.add(a, b));
        }
    }
}

/// out = x + y, where y is rows or one row for all.
struct AddRows {
    rows: (usize, usize),
    out: Floats,
    x: Floats,
    y: Floats,
    /// 0: the same row every time.
    y_stride: usize,
    c: usize,
}

impl Kernel for AddRows {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        for i in self.rows.0..self.rows.1 {
            let (x, y) = (self.x.add(i * self.c), self.y.add(i * self.y_stride));
            zip_rows!(s, self.out.add(i * self.c), x, y, self.c, |a, b| s.add(a, b));
        }
    }
}

struct MaxPool {
    rows: (usize, usize),
    /// (h/2, w/2, c)
    out: Floats,
    out_w: usize,
    x: Floats,
    stride: usize,
    c: usize,
}

impl Kernel for MaxPool {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        for i in self.rows.0..self.rows.1 {
            let (y, x) = (i / self.out_w * 2, i % self.out_w * 2);
            let at = |dy: usize, dx: usize| self.x.add(((y + dy) * self.out_w * 2 + x + dx) * self.stride);
            let out = self.out.add(i * self.c);
            zip_rows!(s, out, at(0, 0), at(0, 1), self.c, |a, b| s.max(a, b));
            zip_rows!(s, out, out, at(1, 0), self.c, |a, b| s.max(a, b));
            zip_rows!(s, out, out, at(1, 1), self.c, |a, b| s.max(a, b));
        }
    }
}

struct Select {
    /// (n)
    out: I32,
    /// (4, pixels)
    masks: F32,
    pixels: usize,
    /// (4)
    iou: F32,
    selection: Selection,
}

impl Kernel for Select {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, _: S) {
        let iou = |i: usize| *self.iou.at(i);
        let best = || (2..4).fold(1, |best, i| if iou(i) > iou(best) { i } else { best });
        let mask = match self.selection {
            Selection::Multimask => return (0..3).for_each(|i| *self.out.at_mut(i) = i as i32 + 1),
            Selection::Single => 0,
            Selection::Best => best(),
            Selection::Stable { delta, thresh } => {
                let logits = std::slice::from_raw_parts(self.masks.at(0), self.pixels);
                // Counts are exact: below 2^24 they fit a float, as the reference's do.
                let inner = logits.iter().map(|&v| (v > delta) as u32).sum::<u32>() as f32;
                let outer = logits.iter().map(|&v| (v > -delta) as u32).sum::<u32>() as f32;
                let stability = if outer > 0.0 { inner / outer } else { 1.0 };
                if stability >= thresh { 0 } else { best() }
            }
        };
        *self.out.at_mut(0) = mask as i32;
    }
}

impl Cpu {
    pub(super) fn embed_points(
        &self,
        out: Tensor<'_>,
        points: Tensor<'_>,
        point_labels: Tensor<'_>,
        lens: Tensor<'_>,
        output_tokens: Tensor<'_>,
        gaussian: Tensor<'_>,
        labels: Tensor<'_>,
    ) {
        let [p, t, c] = *out.dims() else { panic!("embed_points: {out:?}") };
        let outputs = output_tokens.dim(0);
        let n = t - outputs;
        assert!(
            points.len() == p * n * 2
                && point_labels.len() == p * n
                && lens.len() == p
                && output_tokens.cols() == c
                && gaussian.dims() == [2, c / 2]
                && labels.dims() == [5, c],
            "embed_points: {out:?} from {points:?} {point_labels:?} {lens:?}"
        );
        self.count(&[out]);
        let (out, points, point_labels, lens) = (F32::of(out), F32::of(points), I32::of(point_labels), I32::of(lens));
        let (output_tokens, gaussian, labels) = (F32::of(output_tokens), F32::of(gaussian), F32::of(labels));
        self.parallel_if(p, p * t > 64, |prompt, _| EmbedPoints {
            out: out.add(prompt * t * c),
            t,
            c,
            points: points.add(prompt * n * 2),
            point_labels: point_labels.add(prompt * n),
            // SAFETY: one length per prompt, checked above.
            len: unsafe { *lens.at(prompt) } as usize,
            output_tokens,
            outputs,
            gaussian,
            labels,
        });
    }

    pub(super) fn image_keys(
        &self,
        out: Tensor<'_>,
        embed: Tensor<'_>,
        image: Tensor<'_>,
        dense: Tensor<'_>,
        mask: Tensor<'_>,
        no_mask: Tensor<'_>,
    ) {
        let [n, hw, c] = *out.dims() else { panic!("image_keys: {out:?}") };
        assert!(
            embed.dims()[1..] == [hw, c] && dense.dims()[1..] == [hw, c] && no_mask.len() == c,
            "image_keys: {out:?} from {embed:?} {dense:?}"
        );
        assert!(image.len() == n && mask.len() == n, "image_keys: {out:?} of {image:?} {mask:?}");
        self.count(&[out]);
        self.count_bytes(n * hw * c * embed.dtype().bytes());
        let [out, embed, dense, no_mask] = [out, embed, dense, no_mask].map(Floats::of);
        let (image, mask) = (I32::of(image), I32::of(mask));
        const ROWS: usize = 256;
        let blocks = hw.div_ceil(ROWS);
        self.parallel(n * blocks, |task, _| {
            let (i, first) = (task / blocks, task % blocks * ROWS);
            // SAFETY: an image and a mask per entry, checked above.
            let (image, mask) = unsafe { (*image.at(i) as usize, *mask.at(i)) };
            let (y, y_stride) = if mask < 0 { (no_mask, 0) } else { (dense.add(mask as usize * hw * c), c) };
            let rows = (first, (first + ROWS).min(hw));
            AddRows { rows, out: out.add(i * hw * c), x: embed.add(image * hw * c), y, y_stride, c }
        });
    }

    pub(super) fn add_vector(&self, out: Tensor<'_>, x: Tensor<'_>, v: Tensor<'_>) {
        assert!(out.len() == x.len() && out.cols() == v.len(), "add_vector: {out:?} = {x:?} + {v:?}");
        assert!(out.is_contiguous() && x.is_contiguous(), "add_vector: {out:?} = {x:?} + {v:?}");
        self.count(&[out, x]);
        let (rows, c) = (out.rows(), out.cols());
        let [out, x, y] = [out, x, v].map(Floats::of);
        self.parallel_rows(rows, c, |rows, _| AddRows { rows, out, x, y, y_stride: 0, c });
    }

    pub(super) fn max_pool2x2(&self, out: Tensor<'_>, x: Tensor<'_>) {
        let [h, w, c] = *out.dims() else { panic!("max_pool2x2: {out:?}") };
        assert!(x.dims() == [2 * h, 2 * w, c] && out.is_contiguous(), "max_pool2x2: {out:?} from {x:?}");
        self.count(&[out, x]);
        let (dest, src, stride) = (Floats::of(out), Floats::of(x), x.stride());
        self.parallel_rows(h * w, 4 * c, |rows, _| MaxPool { rows, out: dest, out_w: w, x: src, stride, c });
    }

    pub(super) fn select_masks(&self, out: Tensor<'_>, masks: Tensor<'_>, iou: Tensor<'_>, selection: Selection) {
        let [p, 4, h, w] = *masks.dims() else { panic!("select_masks: {masks:?}") };
        let n = selection.masks();
        assert!(out.len() == p * n && iou.dims() == [p, 4], "select_masks: {out:?} from {masks:?} {iou:?}");
        self.count(&[out, masks.columns(0, w)]);
        let (out, masks, iou, pixels) = (I32::of(out), F32::of(masks), F32::of(iou), h * w);
        self.parallel_if(p, p > 1, |prompt, _| Select {
            out: out.add(prompt * n),
            masks: masks.add(prompt * 4 * pixels),
            pixels,
            iou: iou.add(prompt * 4),
            selection,
        });
    }
}

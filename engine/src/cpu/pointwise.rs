//! Operations on single elements: sums and pools.

use super::device::Cpu;
use super::floats::Floats;
use super::ptr::I32;
use super::simd::{Kernel, Simd};
use crate::backend::PointwiseOps;
use crate::backend::tensor::Tensor;

/// Computes out = x + y, where y has as many rows, or one row for all.
struct AddRows {
    rows: (usize, usize),
    out: Floats,
    x: Floats,
    y: Floats,
    /// The distance of the rows of y. With 0, all rows are the same row.
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

impl PointwiseOps for Cpu {
    fn add_dense_prompts(
        &self,
        out: Tensor<'_>,
        embed: Tensor<'_>,
        image: Tensor<'_>,
        dense: Tensor<'_>,
        mask: Tensor<'_>,
        no_mask: Tensor<'_>,
    ) {
        let [n, hw, c] = *out.dims() else { panic!("add_dense_prompts: {out:?}") };
        assert!(
            embed.dims()[1..] == [hw, c] && dense.dims()[1..] == [hw, c] && no_mask.len() == c,
            "add_dense_prompts: {out:?} from {embed:?} {dense:?}"
        );
        assert!(image.len() == n && mask.len() == n, "add_dense_prompts: {out:?} of {image:?} {mask:?}");
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

    fn add_vector(&self, out: Tensor<'_>, x: Tensor<'_>, v: Tensor<'_>) {
        assert!(out.len() == x.len() && out.cols() == v.len(), "add_vector: {out:?} = {x:?} + {v:?}");
        assert!(out.is_contiguous() && x.is_contiguous(), "add_vector: {out:?} = {x:?} + {v:?}");
        self.count(&[out, x]);
        let (rows, c) = (out.rows(), out.cols());
        let [out, x, y] = [out, x, v].map(Floats::of);
        self.parallel_rows(rows, c, |rows, _| AddRows { rows, out, x, y, y_stride: 0, c });
    }

    fn max_pool2x2(&self, out: Tensor<'_>, x: Tensor<'_>) {
        let [h, w, c] = *out.dims() else { panic!("max_pool2x2: {out:?}") };
        assert!(x.dims() == [2 * h, 2 * w, c] && out.is_contiguous(), "max_pool2x2: {out:?} from {x:?}");
        self.count(&[out, x]);
        let (dest, src, stride) = (Floats::of(out), Floats::of(x), x.stride());
        self.parallel_rows(h * w, 4 * c, |rows, _| MaxPool { rows, out: dest, out_w: w, x: src, stride, c });
    }
}

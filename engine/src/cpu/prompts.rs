//! The embedding of points as tokens.

use super::device::Cpu;
use super::ptr::{F32, I32};
use super::simd::{Kernel, Simd};
use crate::backend::PromptOps;
use crate::backend::tensor::Tensor;
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

impl PromptOps for Cpu {
    fn embed_points(
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
}

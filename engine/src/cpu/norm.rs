//! Layer norm.

use super::device::Cpu;
use super::floats::{Floats, Read, Write};
use super::math;
use super::ptr::F32;
use super::simd::{Kernel, Simd, Single};
use crate::backend::NormOps;
use crate::backend::tensor::Tensor;
use crate::backend::{Activation, Norm};

/// A [`Norm`] as pointers.
#[derive(Clone, Copy)]
pub struct NormPtr {
    gamma: F32,
    beta: F32,
    eps: f32,
}

impl NormPtr {
    pub fn of(norm: Norm<'_>) -> Self {
        NormPtr { gamma: F32::of(norm.gamma), beta: F32::of(norm.beta), eps: norm.eps }
    }
}

/// Computes out = activation(norm(x)) for one row of `n`. `out` may be `x`.
#[inline(always)]
pub unsafe fn normalise<S: Simd>(s: S, out: impl Write, x: impl Read, n: usize, norm: NormPtr, activation: Activation) {
    let zero = s.splat(0.0);
    let whole = n / S::LANES * S::LANES;
    let rest = n - whole;
    let mut sum = zero;
    for i in (0..whole).step_by(S::LANES) {
        sum = s.add(sum, x.load(s, i));
    }
    if rest > 0 {
        sum = s.add(sum, x.load_part(s, whole, rest));
    }
    // The variance about the mean, in a second pass: one pass over squares would lose digits.
    let mean = s.sum(sum) / n as f32;
    let m = s.splat(mean);
    let mut sum = zero;
    for i in (0..whole).step_by(S::LANES) {
        let d = s.sub(x.load(s, i), m);
        sum = s.fma(d, d, sum);
    }
    if rest > 0 {
        let there = s.load_part([1f32; 16].as_ptr(), rest);
        let d = s.mul(s.sub(x.load_part(s, whole, rest), m), there);
        sum = s.fma(d, d, sum);
    }
    let r = s.splat(1.0 / (s.sum(sum) / n as f32 + norm.eps).sqrt());
    let (gamma, beta) = (norm.gamma, norm.beta);
    for i in (0..whole).step_by(S::LANES) {
        let v = s.mul(s.sub(x.load(s, i), m), r);
        let v = s.fma(v, gamma.load(s, i), beta.load(s, i));
        out.store(s, i, math::activate::<S, Single>(s, activation, v));
    }
    if rest > 0 {
        let v = s.mul(s.sub(x.load_part(s, whole, rest), m), r);
        let v = s.fma(v, gamma.load_part(s, whole, rest), beta.load_part(s, whole, rest));
        out.store_part(s, whole, rest, math::activate::<S, Single>(s, activation, v));
    }
}

/// The largest width of the rows of [`normalise_lanes`].
const NARROW: usize = 8;

/// Computes out = activation(norm(x)) for `count <= LANES` rows of `n <= NARROW`, with one lane per row.
#[inline(always)]
unsafe fn normalise_lanes<S: Simd>(
    s: S,
    (out, out_stride): (Floats, usize),
    (x, stride): (Floats, usize),
    (count, n): (usize, usize),
    norm: NormPtr,
    activation: Activation,
) {
    let mut columns = [[0f32; 16]; NARROW];
    for i in 0..count {
        for (j, column) in columns[..n].iter_mut().enumerate() {
            column[i] = x.get(i * stride + j);
        }
    }
    let (columns, zero) = (&mut columns[..n], s.splat(0.0));
    let share = s.splat(1.0 / n as f32);
    let mean = s.mul(columns.iter().fold(zero, |sum, column| s.add(sum, s.load(column.as_ptr()))), share);
    let variance = s.mul(
        columns.iter().fold(zero, |sum, column| {
            let d = s.sub(s.load(column.as_ptr()), mean);
            s.fma(d, d, sum)
        }),
        share,
    );
    let mut r = [0f32; 16];
    s.store(r.as_mut_ptr(), variance);
    r.iter_mut().for_each(|v| *v = 1.0 / (*v + norm.eps).sqrt());
    let r = s.load(r.as_ptr());
    for (j, column) in columns.iter_mut().enumerate() {
        let (gamma, beta) = (s.splat(*norm.gamma.at(j)), s.splat(*norm.beta.at(j)));
        let v = s.fma(s.mul(s.sub(s.load(column.as_ptr()), mean), r), gamma, beta);
        s.store(column.as_mut_ptr(), math::activate::<S, Single>(s, activation, v));
    }
    for i in 0..count {
        for (j, column) in columns.iter().enumerate() {
            out.set(i * out_stride + j, column[i]);
        }
    }
}

struct LayerNorm {
    rows: (usize, usize),
    out: Floats,
    out_stride: usize,
    x: Floats,
    stride: usize,
    n: usize,
    norm: NormPtr,
    activation: Activation,
}

impl Kernel for LayerNorm {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        let (out, x) = (|i| self.out.add(i * self.out_stride), |i| self.x.add(i * self.stride));
        let (first, last) = self.rows;
        if self.n <= NARROW.min(S::LANES / 2) {
            for i in (first..last).step_by(S::LANES) {
                let size = ((last - i).min(S::LANES), self.n);
                normalise_lanes(s, (out(i), self.out_stride), (x(i), self.stride), size, self.norm, self.activation);
            }
        } else {
            (first..last).for_each(|i| normalise(s, out(i), x(i), self.n, self.norm, self.activation));
        }
    }
}

impl NormOps for Cpu {
    fn layer_norm(&self, out: Tensor<'_>, x: Tensor<'_>, norm: Norm<'_>, activation: Activation) {
        assert!(
            out.rows() == x.rows() && out.cols() == x.cols() && norm.gamma.len() == x.cols(),
            "layer_norm: {out:?} from {x:?} by {:?}",
            norm.gamma
        );
        self.count(&[out, x]);
        let (dest, src, norm) = (Floats::of(out), Floats::of(x), NormPtr::of(norm));
        self.parallel_rows(x.rows(), x.cols(), |rows, _| LayerNorm {
            rows,
            out: dest,
            out_stride: out.stride(),
            x: src,
            stride: x.stride(),
            n: x.cols(),
            norm,
            activation,
        });
    }
}

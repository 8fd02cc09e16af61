//! Layer norm.

use super::floats::{Floats, Read, Write};
use super::simd::{Kernel, Simd, Single};
use super::{Cpu, F32, math};
use crate::backend::{Activation, Norm};
use crate::tensor::Tensor;

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

/// out = activation(norm(x)) for one row of `n`; `out` may be `x`.
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
        for i in self.rows.0..self.rows.1 {
            let (out, x) = (self.out.add(i * self.out_stride), self.x.add(i * self.stride));
            normalise(s, out, x, self.n, self.norm, self.activation);
        }
    }
}

impl Cpu {
    pub(super) fn layer_norm(&self, out: Tensor<'_>, x: Tensor<'_>, norm: Norm<'_>, activation: Activation) {
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

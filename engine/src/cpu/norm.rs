//! Layer norm.

use super::simd::{Kernel, Simd};
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
pub unsafe fn normalise<S: Simd>(s: S, out: *mut f32, x: *const f32, n: usize, norm: NormPtr, activation: Activation) {
    let zero = s.splat(0.0);
    let whole = n / S::LANES * S::LANES;
    let rest = n - whole;
    let mut sum = zero;
    for i in (0..whole).step_by(S::LANES) {
        sum = s.add(sum, s.load(x.add(i)));
    }
    let mut total = s.sum(sum);
    for i in whole..n {
        total += *x.add(i);
    }
    // The variance about the mean, in a second pass: one pass over squares would lose digits.
    let mean = total / n as f32;
    let m = s.splat(mean);
    let mut sum = zero;
    for i in (0..whole).step_by(S::LANES) {
        let d = s.sub(s.load(x.add(i)), m);
        sum = s.fma(d, d, sum);
    }
    let mut total = s.sum(sum);
    for i in whole..n {
        let d = *x.add(i) - mean;
        total += d * d;
    }
    let r = s.splat(1.0 / (total / n as f32 + norm.eps).sqrt());
    let (gamma, beta) = (norm.gamma.ptr(), norm.beta.ptr());
    for i in (0..whole).step_by(S::LANES) {
        let v = s.mul(s.sub(s.load(x.add(i)), m), r);
        let v = s.fma(v, s.load(gamma.add(i)), s.load(beta.add(i)));
        s.store(out.add(i), math::activate(s, activation, v));
    }
    if rest > 0 {
        let v = s.mul(s.sub(s.load_part(x.add(whole), rest), m), r);
        let v = s.fma(v, s.load_part(gamma.add(whole), rest), s.load_part(beta.add(whole), rest));
        s.store_part(out.add(whole), rest, math::activate(s, activation, v));
    }
}

struct LayerNorm {
    rows: (usize, usize),
    out: F32,
    out_stride: usize,
    x: F32,
    stride: usize,
    n: usize,
    norm: NormPtr,
    activation: Activation,
}

impl Kernel for LayerNorm {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        for i in self.rows.0..self.rows.1 {
            let (out, x) = (self.out.at_mut(i * self.out_stride), self.x.at(i * self.stride));
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
        let (dest, src, norm) = (F32::of(out), F32::of(x), NormPtr::of(norm));
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

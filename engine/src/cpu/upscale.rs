//! From image tokens to masks: two transposed convolutions and the product with the hypernetworks' output, all within
//! a block of tokens. The enlarged map, sixteen pixels a token, is never stored.

use super::linear::Packed;
use super::norm::{NormPtr, normalise};
use super::simd::{Kernel, Simd};
use super::{Cpu, F32, I32, math};
use crate::backend::{Activation, Norm};
use crate::tensor::Tensor;

/// Image tokens of a task.
const BLOCK: usize = 48;

struct UpscaleBlock<'a> {
    tokens: (usize, usize),
    /// Tokens in a row of the map.
    w: usize,
    /// (h*w, c)
    keys: F32,
    /// (masks, c/8)
    hyper: F32,
    masks: usize,
    /// (2h, 2w, c/4)
    high1: F32,
    /// (4h, 4w, c/8)
    high0: F32,
    dc1: &'a Packed,
    norm: NormPtr,
    dc2: &'a Packed,
    /// (masks, 4h, 4w)
    out: F32,
    /// Pixels of a mask.
    plane: usize,
    scratch: F32,
}

impl Kernel for UpscaleBlock<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        let (first, n, c) = (self.tokens.0, self.tokens.1 - self.tokens.0, self.dc1.k);
        let (c1, c0) = (self.dc1.n / 4, self.dc2.n / 4);
        // Rows of the scratch are the four pixels that come of a token, one after another.
        let (u1, u2) = (self.scratch, self.scratch.add((BLOCK + 16) * 4 * c1));
        product(s, n, self.keys.add(first * c), self.dc1, u1);
        for i in 0..4 * n {
            let (token, dy, dx) = (first + i / 4, i % 4 / 2, i % 2);
            let (y, x) = (token / self.w * 2 + dy, token % self.w * 2 + dx);
            let row = u1.at_mut(i * c1);
            zip_rows!(s, row, row, self.high1.at((y * self.w * 2 + x) * c1), c1, |a, b| s.add(a, b));
            normalise(s, row, row, c1, self.norm, Activation::Gelu);
        }
        product(s, 4 * n, u1, self.dc2, u2);
        for i in 0..16 * n {
            let (token, d1, d0) = (first + i / 16, i % 16 / 4, i % 4);
            let (y, x) = (token / self.w * 4 + d1 / 2 * 2 + d0 / 2, token % self.w * 4 + d1 % 2 * 2 + d0 % 2);
            let pixel = y * self.w * 4 + x;
            let row = u2.at_mut(i * c0);
            zip_rows!(s, row, row, self.high0.at(pixel * c0), c0, |a, b| math::gelu(s, s.add(a, b)));
            for m in 0..self.masks {
                *self.out.at_mut(m * self.plane + pixel) = dot(s, row, self.hyper.at(m * c0), c0);
            }
        }
    }
}

/// out (m, n) = x (m, k) w + b
#[inline(always)]
unsafe fn product<S: Simd>(s: S, m: usize, x: F32, w: &Packed, out: F32) {
    let mut tile = [0f32; 16 * 64];
    let tile = tile.as_mut_ptr();
    for p in 0..w.panels() {
        let (at, width) = (p * S::PANEL, (w.n - p * S::PANEL).min(S::PANEL));
        let mut i = 0;
        while i < m {
            let rows = if m - i >= S::TILE_ROWS { S::TILE_ROWS } else { S::SMALL_ROWS };
            s.tile(rows, w.k, x.at(i * w.k), w.k, 1, w.panel(0, p).ptr(), S::PANEL, tile, S::PANEL);
            for r in 0..rows.min(m - i) {
                let (row, bias) = (tile.add(r * S::PANEL), w.bias(0, p).ptr());
                zip_rows!(s, out.at_mut((i + r) * w.n + at), row, bias, width, |a, b| s.add(a, b));
            }
            i += rows;
        }
    }
}

#[inline(always)]
unsafe fn dot<S: Simd>(s: S, a: *const f32, b: *const f32, n: usize) -> f32 {
    let mut sum = s.splat(0.0);
    for i in (0..n).step_by(S::LANES) {
        let m = (n - i).min(S::LANES);
        sum = s.fma(s.load_part(a.add(i), m), s.load_part(b.add(i), m), sum);
    }
    s.sum(sum)
}

impl Cpu {
    pub(super) fn upscale_masks(
        &self,
        out: Tensor<'_>,
        keys: Tensor<'_>,
        hyper: Tensor<'_>,
        high: (Tensor<'_>, Tensor<'_>),
        image: Tensor<'_>,
        dc1: &Packed,
        norm: Norm<'_>,
        dc2: &Packed,
    ) {
        let [p, h, w, c] = *keys.dims() else { panic!("upscale_masks: keys {keys:?}") };
        let (c1, c0, masks) = (c / 4, c / 8, hyper.dim(1));
        let (high1, high0) = high;
        assert!(
            out.dims() == [p, masks, 4 * h, 4 * w]
                && hyper.dims() == [p, masks, c0]
                && high1.dims()[1..] == [2 * h, 2 * w, c1]
                && high0.dims()[1..] == [4 * h, 4 * w, c0]
                && (dc1.k, dc1.n, dc2.k, dc2.n) == (c, 4 * c1, c1, 4 * c0)
                && image.len() == p
                && norm.gamma.len() == c1,
            "upscale_masks: {out:?} from {keys:?} {hyper:?} {high1:?} {high0:?}"
        );
        self.count(&[out, keys, hyper]);
        self.count_bytes(p * 4 * (4 * h * w * c1 + 16 * h * w * c0));
        self.count_product(p * h * w, 4 * c1, c);
        self.count_product(p * h * w * 4, 4 * c0, c1);
        self.count_product(p * h * w * 16, masks, c0);
        let (out, keys, hyper, image) = (F32::of(out), F32::of(keys), F32::of(hyper), I32::of(image));
        let (high1, high0, norm) = (F32::of(high1), F32::of(high0), NormPtr::of(norm));
        let (blocks, plane) = ((h * w).div_ceil(BLOCK), 16 * h * w);
        self.parallel(p * blocks, |task, scratch| {
            let (prompt, first) = (task / blocks, task % blocks * BLOCK);
            // SAFETY: one image per prompt, checked above.
            let picture = unsafe { *image.at(prompt) } as usize;
            UpscaleBlock {
                tokens: (first, (first + BLOCK).min(h * w)),
                w,
                keys: keys.add(prompt * h * w * c),
                hyper: hyper.add(prompt * masks * c0),
                masks,
                high1: high1.add(picture * 4 * h * w * c1),
                high0: high0.add(picture * 16 * h * w * c0),
                dc1,
                norm,
                dc2,
                out: out.add(prompt * masks * plane),
                plane,
                scratch,
            }
        });
    }
}

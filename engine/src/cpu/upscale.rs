//! The upscaling of image tokens to masks: two transposed convolutions, and the product with the output of the
//! hypernetworks. All three are computed for a block of tokens at a time. The enlarged map, with sixteen pixels per
//! token, is never stored.

use super::device::Cpu;
use super::floats::{Floats, Read, copy};
use super::linear::Packed;
use super::norm::{NormPtr, normalise};
use super::ptr::{F32, I32, Ptr};
use super::simd::{Kernel, Pair, Simd, Single, Word};
use crate::backend::UpscaleOps;
use crate::backend::tensor::{DType, Tensor};
use crate::backend::{Activation, Norm};

/// The number of image tokens of a task.
const BLOCK: usize = 48;

struct UpscaleBlock<'a> {
    tokens: (usize, usize),
    /// The number of tokens in a row of the map.
    w: usize,
    /// (h*w, c)
    keys: Floats,
    /// (masks, c/8)
    hyper: F32,
    masks: usize,
    /// (2h, 2w, c/4)
    high1: Floats,
    /// (4h, 4w, c/8)
    high0: Floats,
    dc1: &'a Packed,
    norm: NormPtr,
    dc2: &'a Packed,
    /// (masks, 4h, 4w)
    out: F32,
    /// The number of pixels of a mask.
    plane: usize,
    scratch: F32,
}

impl Kernel for UpscaleBlock<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        match self.dc1.dtype {
            DType::Bf16 => self.run_in::<S, Pair>(s),
            _ => self.run_in::<S, Single>(s),
        }
    }
}

impl UpscaleBlock<'_> {
    #[inline(always)]
    unsafe fn run_in<S: Simd, W: Word>(self, s: S) {
        let (first, n, c) = (self.tokens.0, self.tokens.1 - self.tokens.0, self.dc1.k);
        let (c1, c0) = (self.dc1.n / 4, self.dc2.n / 4);
        // Rows of the scratch are the four pixels that come of a token, one after another; the operands of a product,
        // as words, come before its results.
        let x = self.scratch;
        let u1 = x.add((BLOCK + 16) * c);
        let u2 = u1.add((BLOCK + 16) * 4 * c1);
        let value = |p: F32| Ptr::<W::Value>::new(p.ptr().cast());
        copy(s, value(x), self.keys.add(first * c), n * c);
        product::<S, W>(s, n, x, self.dc1, u1);
        for i in 0..4 * n {
            let (token, dy, dx) = (first + i / 4, i % 4 / 2, i % 2);
            let (y, x_) = (token / self.w * 2 + dy, token % self.w * 2 + dx);
            let row = u1.add(i * c1);
            zip_rows!(s, row, row, self.high1.add((y * self.w * 2 + x_) * c1), c1, |a, b| s.add(a, b));
            normalise(s, value(x).add(i * c1), row, c1, self.norm, Activation::Gelu);
        }
        product::<S, W>(s, 4 * n, x, self.dc2, u2);
        for i in 0..16 * n {
            let (token, d1, d0) = (first + i / 16, i % 16 / 4, i % 4);
            let (y, x) = (token / self.w * 4 + d1 / 2 * 2 + d0 / 2, token % self.w * 4 + d1 % 2 * 2 + d0 % 2);
            let pixel = y * self.w * 4 + x;
            let row = u2.add(i * c0);
            zip_rows!(s, row, row, self.high0.add(pixel * c0), c0, |a, b| W::gelu(s, s.add(a, b)));
            for m in 0..self.masks {
                *self.out.at_mut(m * self.plane + pixel) = dot(s, row, self.hyper.add(m * c0), c0);
            }
        }
    }
}

/// Computes out (m, n) = x (m, k) w + b. `k` must be whole words.
#[inline(always)]
unsafe fn product<S: Simd, W: Word>(s: S, m: usize, x: F32, w: &Packed, out: F32) {
    let mut tile = [0f32; 16 * 64];
    let (tile, words) = (F32::new(tile.as_mut_ptr()), w.words);
    for p in 0..w.panels() {
        let (at, width) = (p * S::PANEL, (w.n - p * S::PANEL).min(S::PANEL));
        let mut i = 0;
        while i < m {
            let rows = if m - i >= S::TILE_ROWS { S::TILE_ROWS } else { S::SMALL_ROWS };
            s.tile::<W>(
                (rows, width),
                words,
                x.at(i * words),
                words,
                1,
                w.panel(0, p).ptr(),
                S::PANEL,
                tile.ptr(),
                S::PANEL,
            );
            for r in 0..rows.min(m - i) {
                let (row, bias) = (tile.add(r * S::PANEL), w.bias(0, p));
                zip_rows!(s, out.add((i + r) * w.n + at), row, bias, width, |a, b| s.add(a, b));
            }
            i += rows;
        }
    }
}

#[inline(always)]
unsafe fn dot<S: Simd>(s: S, a: F32, b: F32, n: usize) -> f32 {
    let mut sum = s.splat(0.0);
    for i in (0..n).step_by(S::LANES) {
        let m = (n - i).min(S::LANES);
        sum = s.fma(a.load_part(s, i, m), b.load_part(s, i, m), sum);
    }
    s.sum(sum)
}

impl UpscaleOps for Cpu {
    fn upscale_masks(
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
        self.count_bytes(p * high1.dtype().bytes() * (4 * h * w * c1 + 16 * h * w * c0));
        self.count_product(p * h * w, 4 * c1, c);
        self.count_product(p * h * w * 4, 4 * c0, c1);
        self.count_product(p * h * w * 16, masks, c0);
        let (out, keys, hyper, image) = (F32::of(out), Floats::of(keys), F32::of(hyper), I32::of(image));
        let (high1, high0, norm) = (Floats::of(high1), Floats::of(high0), NormPtr::of(norm));
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

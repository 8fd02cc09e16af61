//! The two halves of the mask decoder's conversation: tokens read the image, the image reads the tokens.
//!
//! There are a handful of tokens and thousands of pixels, so projections are moved to the tokens' side: instead of
//! projecting every pixel's key by W_k, a query is taken back by its transpose; instead of projecting every pixel's
//! value, the few results are. The image is read as it is, and nothing of its size is ever projected or stored.

use super::attention::{Attend, Region};
use super::norm::{NormPtr, normalise};
use super::simd::{Kernel, Simd};
use super::{Cpu, F32, I32, SCRATCH, math};
use crate::backend::{Activation, TokenAttention};
use crate::tensor::Tensor;

/// Pixels that one task of `attend_image` reads. Fixed, so that results do not depend on the number of threads.
const SPLIT: usize = 1024;
/// The most pixels of a task of `update_image`.
const BLOCK: usize = 96;
/// Heads of the decoder's attention.
const HEADS: usize = 8;

/// Joins what the splits of a query found.
struct Merge {
    queries: (usize, usize),
    /// (n, c)
    out: F32,
    /// (splits, n, c) sums
    sums: F32,
    /// (splits, n, 2) maximum and total
    stats: F32,
    splits: usize,
    n: usize,
    c: usize,
}

impl Kernel for Merge {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        for i in self.queries.0..self.queries.1 {
            let stat = |split: usize, j: usize| *self.stats.at(2 * (split * self.n + i) + j);
            let max = (0..self.splits).fold(f32::MIN, |m, split| m.max(stat(split, 0)));
            let weight = |split: usize| (stat(split, 0) - max).exp();
            let total: f32 = (0..self.splits).map(|split| weight(split) * stat(split, 1)).sum();
            let out = self.out.at_mut(i * self.c);
            std::ptr::write_bytes(out, 0, self.c);
            for split in 0..self.splits {
                let w = s.splat(weight(split) / total);
                zip_rows!(s, out, self.sums.at((split * self.n + i) * self.c), out, self.c, |a, b| s.fma(a, w, b));
            }
        }
    }
}

/// Packs the tokens' keys of one prompt, times the scale: panels (columns / panel, c, panel), then a bias per column.
struct PackKeys {
    out: F32,
    bias_out: F32,
    /// (columns, c)
    k: F32,
    bias: F32,
    used: usize,
    columns: usize,
    c: usize,
    scale: f32,
}

impl Kernel for PackKeys {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, _: S) {
        for j in 0..self.columns {
            let out = self.out.add(j / S::PANEL * S::PANEL * self.c + j % S::PANEL);
            let used = j < self.used;
            for i in 0..self.c {
                *out.at_mut(i * S::PANEL) = if used { *self.k.at(j * self.c + i) * self.scale } else { 0.0 };
            }
            *self.bias_out.at_mut(j) = if used { *self.bias.at(j) * self.scale } else { 0.0 };
        }
    }
}

/// A block of pixels of one prompt reads the tokens.
struct Update {
    rows: (usize, usize),
    out: F32,
    keys: F32,
    pos: F32,
    /// Panels of the tokens' keys.
    k: F32,
    score_bias: F32,
    /// (used, c)
    v: F32,
    bias: F32,
    norm: NormPtr,
    used: usize,
    columns: usize,
    c: usize,
    /// x (rows, c + 16), then scores (rows, columns + 16), each with room for a last tile.
    scratch: F32,
}

impl Kernel for Update {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        let (c, n) = (self.c, self.rows.1 - self.rows.0);
        let (ld, lds) = (c + 16, self.columns + 16);
        let (x, scores) = (self.scratch, self.scratch.add((n + 16) * ld));
        let mut tile = [0f32; 16 * 64];
        let tile = tile.as_mut_ptr();
        for i in 0..n {
            let at = (self.rows.0 + i) * c;
            zip_rows!(s, x.at_mut(i * ld), self.keys.at(at), self.pos.at(at), c, |a, b| s.add(a, b));
        }
        for p in (0..self.columns).step_by(S::PANEL) {
            let mut i = 0;
            while i < n {
                let m = if n - i >= S::TILE_ROWS { S::TILE_ROWS } else { S::SMALL_ROWS };
                s.tile(m, c, x.at(i * ld), ld, 1, self.k.at(p * c), S::PANEL, scores.at_mut(i * lds + p), lds);
                i += m;
            }
        }
        for i in 0..n {
            self.soften(s, scores.at_mut(i * lds));
        }
        // The sums take the place of x: row by row they need only their own scores.
        for p in (0..c).step_by(S::PANEL) {
            let mut i = 0;
            while i < n {
                let m = if n - i >= S::TILE_ROWS { S::TILE_ROWS } else { S::SMALL_ROWS };
                s.tile(m, self.used, scores.at(i * lds), lds, 1, self.v.at(p), c, tile, S::PANEL);
                for r in 0..m.min(n - i) {
                    let width = (c - p).min(S::PANEL);
                    std::ptr::copy_nonoverlapping(tile.add(r * S::PANEL), x.at_mut((i + r) * ld + p), width);
                }
                i += m;
            }
        }
        for i in 0..n {
            let (at, row) = ((self.rows.0 + i) * c, x.at_mut(i * ld));
            zip_rows!(s, row, row, self.bias.at(0), c, |a, b| s.add(a, b));
            zip_rows!(s, row, row, self.keys.at(at), c, |a, b| s.add(a, b));
            normalise(s, self.out.at_mut(at), row, c, self.norm, Activation::None);
        }
    }
}

impl Update {
    /// Softmax over the tokens, for each head by itself; heads are neighbours in a row of scores.
    #[inline(always)]
    unsafe fn soften<S: Simd>(&self, s: S, row: *mut f32) {
        let mut max = [f32::MIN; HEADS];
        for j in (0..self.used).step_by(HEADS) {
            for h in 0..HEADS {
                let v = *row.add(j + h) + *self.score_bias.at(j + h);
                *row.add(j + h) = v;
                max[h] = if v > max[h] { v } else { max[h] };
            }
        }
        // A vector of any set starts at a multiple of 4 within a pattern of 8.
        let twice = |v: [f32; HEADS]| -> [f32; 2 * HEADS] { std::array::from_fn(|i| v[i % HEADS]) };
        let pattern = twice(max);
        for j in (0..self.used).step_by(S::LANES) {
            let v = s.sub(s.load(row.add(j)), s.load(pattern.as_ptr().add(j % HEADS)));
            s.store(row.add(j), math::exp(s, v));
        }
        let mut total = [0f32; HEADS];
        for j in (0..self.used).step_by(HEADS) {
            for h in 0..HEADS {
                total[h] += *row.add(j + h);
            }
        }
        let pattern = twice(total.map(|t| 1.0 / t));
        for j in (0..self.used).step_by(S::LANES) {
            s.store(row.add(j), s.mul(s.load(row.add(j)), s.load(pattern.as_ptr().add(j % HEADS))));
        }
    }
}

impl Cpu {
    pub(super) fn attend_image(
        &self,
        out: Tensor<'_>,
        q: Tensor<'_>,
        keys: Tensor<'_>,
        source: Tensor<'_>,
        pos: Tensor<'_>,
        scale: f32,
    ) {
        let (p, n, c, hw) = (q.dim(0), q.dim(1), q.cols(), pos.rows());
        assert!(
            out.dims() == q.dims() && keys.dims()[1..] == [hw, c] && pos.cols() == c && source.len() == p,
            "attend_image: {out:?} from {q:?}, {keys:?} + {pos:?}, source {source:?}"
        );
        self.count(&[out, q, pos]);
        self.count_bytes(p * hw * c * 4);
        self.count_product(p * n, hw, 2 * c);
        let splits = hw.div_ceil(SPLIT);
        let Some(sums) = self.workspace(p * splits * n * (c + 2)) else { return };
        let stats = sums.add(p * splits * n * c);
        let (out, q, keys, source, pos) = (F32::of(out), F32::of(q), F32::of(keys), I32::of(source), F32::of(pos));
        self.parallel(p * splits, |task, scratch| {
            let (prompt, first) = (task / splits, task % splits * SPLIT);
            // SAFETY: one source per prompt, checked above.
            let x = keys.add((unsafe { *source.at(prompt) } as usize * hw + first) * c);
            let pixels = Region::line(x, c, (hw - first).min(SPLIT));
            Attend {
                out: Region::line(sums.add(task * n * c), c, n),
                q: Region::line(q.add(prompt * n * c), c, n),
                k: pixels,
                v: pixels,
                k_add: Some(Region::line(pos.add(first * c), c, pixels.n)),
                pad: None,
                d: c,
                dv: c,
                scale,
                scratch,
                partial: Some(stats.add(task * n * 2)),
            }
        });
        self.parallel_if(p, p * n * c * splits > 1 << 16, |prompt, _| Merge {
            queries: (0, n),
            out: out.add(prompt * n * c),
            sums: sums.add(prompt * splits * n * c),
            stats: stats.add(prompt * splits * n * 2),
            splits,
            n,
            c,
        });
    }

    pub(super) fn update_image(
        &self,
        out: Tensor<'_>,
        keys: Tensor<'_>,
        source: Tensor<'_>,
        pos: Tensor<'_>,
        tokens: TokenAttention<'_>,
    ) {
        let (p, hw, c, t) = (out.dim(0), pos.rows(), out.cols(), tokens.k.dim(1));
        assert!(
            out.dims() == [p, hw, c] && keys.dims()[1..] == [hw, c] && pos.cols() == c && source.len() == p,
            "update_image: {out:?} from {keys:?} + {pos:?}, source {source:?}"
        );
        for x in [tokens.k, tokens.v] {
            assert!(x.dims() == [p, t, HEADS, c], "update_image: tokens {x:?} for {out:?}");
        }
        assert!(tokens.score_bias.len() == p * t * HEADS && tokens.lens.len() == p, "update_image: {out:?}");
        self.count(&[out, pos, tokens.k, tokens.v]);
        self.count_bytes(p * hw * c * 4);
        self.count_product(p * hw, t * HEADS, 2 * c);
        let columns = (t * HEADS).next_multiple_of(self.isa().panel());
        let Some(panels) = self.workspace(p * columns * (c + 1)) else { return };
        let biases = panels.add(p * columns * c);
        let (k, score_bias, v) = (F32::of(tokens.k), F32::of(tokens.score_bias), F32::of(tokens.v));
        let (scale, lens) = (tokens.scale, I32::of(tokens.lens));
        // SAFETY: one length per prompt, checked above.
        let used = |prompt: usize| unsafe { *lens.at(prompt) } as usize * HEADS;
        self.parallel_if(p, p > 1, |prompt, _| PackKeys {
            out: panels.add(prompt * columns * c),
            bias_out: biases.add(prompt * columns),
            k: k.add(prompt * t * HEADS * c),
            bias: score_bias.add(prompt * t * HEADS),
            used: used(prompt),
            columns,
            c,
            scale,
        });
        let (out, keys, source, pos) = (F32::of(out), F32::of(keys), I32::of(source), F32::of(pos));
        let (bias, norm) = (F32::of(tokens.bias), NormPtr::of(tokens.norm));
        let block = (SCRATCH / (c + columns + 32)).saturating_sub(16).min(BLOCK) / 12 * 12;
        assert!(block > 0, "update_image: {t} tokens are too many");
        let blocks = hw.div_ceil(block);
        self.parallel(p * blocks, |task, scratch| {
            let (prompt, first) = (task / blocks, task % blocks * block);
            Update {
                rows: (first, (first + block).min(hw)),
                out: out.add(prompt * hw * c),
                // SAFETY: one source per prompt, checked above.
                keys: keys.add(unsafe { *source.at(prompt) } as usize * hw * c),
                pos,
                k: panels.add(prompt * columns * c),
                score_bias: biases.add(prompt * columns),
                v: v.add(prompt * t * HEADS * c),
                bias,
                norm,
                used: used(prompt),
                columns,
                c,
                scratch,
            }
        });
    }
}

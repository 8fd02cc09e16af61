//! The attention between tokens and image in the mask decoder: tokens attend to the image, and the image attends to
//! tokens.
//!
//! There are a few tokens and thousands of pixels, so projections are on the side of the tokens. The key of a pixel is
//! not projected by `W_k`. Instead, a query is projected by the transpose of `W_k`. The value of a pixel is not
//! projected either. Instead, the few results are projected. The image is read unchanged, and nothing of its size is
//! projected or stored.

use super::attention::same_type;
use super::device::{Cpu, SCRATCH};
use super::flash::{Attend, Region};
use super::floats::{Floats, Read, Write};
use super::math;
use super::norm::{NormPtr, normalise};
use super::ptr::{F32, I32, Ptr};
use super::simd::{Kernel, Pair, Simd, Single, Word};
use crate::backend::DECODER_HEADS;
use crate::backend::ImageAttentionOps;
use crate::backend::tensor::Tensor;
use crate::backend::{Activation, TokenAttention};

/// The number of pixels that one task of `attend_image` reads. It is fixed, so that results do not depend on the number
/// of threads.
const SPLIT: usize = 1024;

/// The largest number of pixels of a task of `update_image`.
const BLOCK: usize = 96;

/// Merges the results of the splits of a query.
struct Merge {
    queries: (usize, usize),
    /// (n, c)
    out: Floats,
    /// Scratch memory of one row.
    scratch: F32,
    /// (splits, n, c): sums.
    sums: F32,
    /// (splits, n, 2): binary logarithm of the largest weight, and total.
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
            let weight = |split: usize| (stat(split, 0) - max).exp2();
            let total: f32 = (0..self.splits).map(|split| weight(split) * stat(split, 1)).sum();
            let row = self.scratch;
            std::ptr::write_bytes(row.ptr(), 0, self.c);
            for split in 0..self.splits {
                let w = s.splat(weight(split) / total);
                zip_rows!(s, row, self.sums.add((split * self.n + i) * self.c), row, self.c, |a, b| s.fma(a, w, b));
            }
            map_rows!(s, self.out.add(i * self.c), row, self.c, |a| a);
        }
    }
}

/// Packs the tokens of one prompt for products. Keys become panels of words (columns / panel, words of c, panel), and
/// values become rows of words (words of columns, c). The addend of each score is multiplied by the scale.
struct PackTokens {
    k_out: F32,
    v_out: F32,
    bias_out: F32,
    /// (columns, c)
    k: Floats,
    /// (columns, c)
    v: Floats,
    bias: F32,
    used: usize,
    columns: usize,
    c: usize,
    scale: f32,
}

impl Kernel for PackTokens {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        match self.k {
            Floats::F32(_) => self.run_in::<S, Single>(s),
            Floats::Bf16(_) => self.run_in::<S, Pair>(s),
        }
    }
}

impl PackTokens {
    #[inline(always)]
    unsafe fn run_in<S: Simd, W: Word>(self, s: S) {
        let c = self.c;
        for j in 0..self.columns {
            let out = self.k_out.add(j / S::PANEL * S::PANEL * (c / W::DEPTH) + j % S::PANEL);
            let used = j < self.used;
            let words = self.k.add(j * c).ptr::<W::Value>().ptr().cast::<f32>();
            for i in 0..c / W::DEPTH {
                *out.at_mut(i * S::PANEL) = if used { words.add(i).read_unaligned() } else { 0.0 };
            }
            *self.bias_out.at_mut(j) = if used { *self.bias.at(j) * self.scale } else { 0.0 };
        }
        for j in (0..self.used).step_by(W::DEPTH) {
            let (first, second) = (self.v.add(j * c), self.v.add((j + W::DEPTH - 1) * c));
            zip_rows!(s, self.v_out.add(j / W::DEPTH * c), first, second, c, |a, b| W::join(s, a, b));
        }
    }
}

/// Computes the attention of a block of pixels to the tokens of one prompt.
struct Update {
    rows: (usize, usize),
    out: Floats,
    keys: Floats,
    pos: F32,
    /// The keys of the tokens, as panels.
    k: F32,
    score_bias: F32,
    /// The values of the tokens, as rows.
    v: F32,
    bias: F32,
    norm: NormPtr,
    used: usize,
    columns: usize,
    c: usize,
    scale: f32,
    /// x (rows, c + 16), and then scores (rows, columns + 16), each with room for a last tile.
    scratch: F32,
}

impl Kernel for Update {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        match self.keys {
            Floats::F32(_) => self.run_in::<S, Single>(s),
            Floats::Bf16(_) => self.run_in::<S, Pair>(s),
        }
    }
}

impl Update {
    #[inline(always)]
    unsafe fn run_in<S: Simd, W: Word>(self, s: S) {
        let (c, n) = (self.c, self.rows.1 - self.rows.0);
        let (ld, lds) = (c + 16, self.columns + 16);
        let (x, scores) = (self.scratch, self.scratch.add((n + 16) * ld));
        let mut tile = [0f32; 16 * 64];
        let tile = F32::new(tile.as_mut_ptr());
        for i in 0..n {
            let at = (self.rows.0 + i) * c;
            let out = Ptr::<W::Value>::new(x.at_mut(i * ld).cast());
            zip_rows!(s, out, self.keys.add(at), self.pos.add(at), c, |a, b| s.add(a, b));
        }
        for p in (0..self.columns).step_by(S::PANEL) {
            let mut i = 0;
            while i < n {
                let m = if n - i >= S::TILE_ROWS { S::TILE_ROWS } else { S::SMALL_ROWS };
                let (words, out) = (c / W::DEPTH, scores.at_mut(i * lds + p));
                s.tile::<W>((m, S::PANEL), words, x.at(i * ld), ld, 1, self.k.at(p * words), S::PANEL, out, lds);
                i += m;
            }
        }
        for i in 0..n {
            let row = scores.add(i * lds);
            self.soften(s, row);
            if W::DEPTH > 1 {
                // Narrower in their own place: what is written has been read.
                map_rows!(s, Ptr::<W::Value>::new(row.ptr().cast()), row, self.used, |a| a);
            }
        }
        // The sums take the place of x: row by row they need only their own scores.
        for p in (0..c).step_by(S::PANEL) {
            let mut i = 0;
            while i < n {
                let m = if n - i >= S::TILE_ROWS { S::TILE_ROWS } else { S::SMALL_ROWS };
                let words = self.used / W::DEPTH;
                s.tile::<W>((m, S::PANEL), words, scores.at(i * lds), lds, 1, self.v.at(p), c, tile.ptr(), S::PANEL);
                for r in 0..m.min(n - i) {
                    let width = (c - p).min(S::PANEL);
                    std::ptr::copy_nonoverlapping(tile.at(r * S::PANEL), x.at_mut((i + r) * ld + p), width);
                }
                i += m;
            }
        }
        for i in 0..n {
            let (at, row) = ((self.rows.0 + i) * c, x.add(i * ld));
            zip_rows!(s, row, row, self.bias, c, |a, b| s.add(a, b));
            zip_rows!(s, row, row, self.keys.add(at), c, |a, b| s.add(a, b));
            normalise(s, self.out.add(at), row, c, self.norm, Activation::None);
        }
    }

    /// Computes the softmax over the tokens for each head. Heads are next to each other in a row of scores.
    #[inline(always)]
    unsafe fn soften<S: Simd>(&self, s: S, row: F32) {
        let mut max = [f32::MIN; DECODER_HEADS];
        for j in (0..self.used).step_by(DECODER_HEADS) {
            for h in 0..DECODER_HEADS {
                let v = *row.at(j + h) * self.scale + *self.score_bias.at(j + h);
                *row.at_mut(j + h) = v;
                max[h] = if v > max[h] { v } else { max[h] };
            }
        }
        // A vector of any set starts at a multiple of 4 within a pattern of 8.
        let twice =
            |v: [f32; DECODER_HEADS]| -> [f32; 2 * DECODER_HEADS] { std::array::from_fn(|i| v[i % DECODER_HEADS]) };
        let pattern = twice(max);
        for j in (0..self.used).step_by(S::LANES) {
            let v = s.sub(row.load(s, j), s.load(pattern.as_ptr().add(j % DECODER_HEADS)));
            row.store(s, j, math::exp(s, v));
        }
        let mut total = [0f32; DECODER_HEADS];
        for j in (0..self.used).step_by(DECODER_HEADS) {
            for h in 0..DECODER_HEADS {
                total[h] += *row.at(j + h);
            }
        }
        let pattern = twice(total.map(|t| 1.0 / t));
        for j in (0..self.used).step_by(S::LANES) {
            row.store(s, j, s.mul(row.load(s, j), s.load(pattern.as_ptr().add(j % DECODER_HEADS))));
        }
    }
}

impl ImageAttentionOps for Cpu {
    fn attend_image(
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
        self.count_bytes(p * hw * c * keys.dtype().bytes());
        self.count_product(p * n, hw, 2 * c);
        let splits = hw.div_ceil(SPLIT);
        let Some(sums) = self.workspace(p * splits * n * (c + 2)) else { return };
        let stats = sums.add(p * splits * n * c);
        let dtype = same_type([q, keys, keys]);
        let (out, q, keys) = (Floats::of(out), Floats::of(q), Floats::of(keys));
        let (source, pos) = (I32::of(source), Floats::of(pos));
        self.parallel(p * splits, |task, scratch| {
            let (prompt, first) = (task / splits, task % splits * SPLIT);
            // SAFETY: one source per prompt, checked above.
            let x = keys.add((unsafe { *source.at(prompt) } as usize * hw + first) * c);
            let pixels = Region::line(x, c, (hw - first).min(SPLIT));
            Attend {
                out: Region::line(Floats::F32(sums.add(task * n * c)), c, n),
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
                dtype,
            }
        });
        self.parallel_if(p, p * n * c * splits > 1 << 16, |prompt, scratch| Merge {
            scratch,
            queries: (0, n),
            out: out.add(prompt * n * c),
            sums: sums.add(prompt * splits * n * c),
            stats: stats.add(prompt * splits * n * 2),
            splits,
            n,
            c,
        });
    }

    fn update_image(
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
            assert!(x.dims() == [p, t, DECODER_HEADS, c], "update_image: tokens {x:?} for {out:?}");
        }
        assert!(tokens.score_bias.len() == p * t * DECODER_HEADS && tokens.lens.len() == p, "update_image: {out:?}");
        self.count(&[out, pos, tokens.k, tokens.v]);
        self.count_bytes(p * hw * c * keys.dtype().bytes());
        self.count_product(p * hw, t * DECODER_HEADS, 2 * c);
        // Each prompt's keys, values and biases, packed.
        let columns = (t * DECODER_HEADS).next_multiple_of(self.isa().panel());
        let each = columns * (2 * c + 1);
        let Some(packed) = self.workspace(p * each) else { return };
        same_type([keys, tokens.k, tokens.v]);
        let part = |prompt: usize| {
            let k = packed.add(prompt * each);
            (k, k.add(columns * c), k.add(2 * columns * c))
        };
        let (k, score_bias, v) = (Floats::of(tokens.k), F32::of(tokens.score_bias), Floats::of(tokens.v));
        let (scale, lens) = (tokens.scale, I32::of(tokens.lens));
        // SAFETY: one length per prompt, checked above.
        let used = |prompt: usize| unsafe { *lens.at(prompt) } as usize * DECODER_HEADS;
        self.parallel_if(p, p > 1, |prompt, _| {
            let (k_out, v_out, bias_out) = part(prompt);
            let at = prompt * t * DECODER_HEADS;
            let (k, v, bias) = (k.add(at * c), v.add(at * c), score_bias.add(at));
            PackTokens { k_out, v_out, bias_out, k, v, bias, used: used(prompt), columns, c, scale }
        });
        let (out, keys, source, pos) = (Floats::of(out), Floats::of(keys), I32::of(source), F32::of(pos));
        let (bias, norm) = (F32::of(tokens.bias), NormPtr::of(tokens.norm));
        let block = (SCRATCH / (c + columns + 32)).saturating_sub(16).min(BLOCK) / 12 * 12;
        assert!(block > 0, "update_image: {t} tokens are too many");
        let blocks = hw.div_ceil(block);
        self.parallel(p * blocks, |task, scratch| {
            let (prompt, first) = (task / blocks, task % blocks * block);
            let (k, v, score_bias) = part(prompt);
            Update {
                rows: (first, (first + block).min(hw)),
                out: out.add(prompt * hw * c),
                // SAFETY: one source per prompt, checked above.
                keys: keys.add(unsafe { *source.at(prompt) } as usize * hw * c),
                pos,
                k,
                score_bias,
                v,
                bias,
                norm,
                used: used(prompt),
                columns,
                c,
                scale,
                scratch,
            }
        });
    }
}

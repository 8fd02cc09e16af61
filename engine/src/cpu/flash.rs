//! Attention that never stores the score matrix (Dao et al., arXiv:2205.14135).
//!
//! A block of queries is packed with queries across the lanes, so that scores have the layout (keys, queries). The
//! running maximum and sum of the softmax are then vectors over queries, and no lane depends on another lane. If the
//! rows of the map are long enough, keys are read from the map in place. Otherwise keys are gathered window by window.
//! The same holds for values, unless words hold two values: then the values of two keys are stored side by side.
//! Scores, softmax and sums are f32.

use super::device;
use super::floats::{Floats, Read, Write, copy};
use super::math;
use super::ptr::{F32, Ptr};
use super::simd::{Kernel, Pair, Simd, Single, Word};
use crate::backend::MAX_HEAD_WIDTH;
use crate::backend::tensor::DType;

/// The number of queries of a block: whole tiles of rows and whole panels on every instruction set.
pub const QUERIES: usize = 96;
/// The number of keys of a block.
const KEYS: usize = 256;

/// Vectors of one head on a part of a map. Entry i is in row i / w and column i % w of the part.
#[derive(Clone, Copy)]
pub struct Region {
    pub x: Floats,
    /// The number of elements from one token to the next.
    pub stride: usize,
    /// The number of tokens in a row of the whole map.
    pub pitch: usize,
    /// The number of tokens in a row of the part.
    pub w: usize,
    /// The number of tokens in the part.
    pub n: usize,
}

impl Region {
    /// Returns a region of `n` tokens in a row.
    pub fn line(x: Floats, stride: usize, n: usize) -> Self {
        Region { x, stride, pitch: n, w: n.max(1), n }
    }

    #[inline(always)]
    pub fn token(&self, i: usize) -> Floats {
        self.x.add((i / self.w * self.pitch + i % self.w) * self.stride)
    }

    fn is_line(&self) -> bool {
        self.pitch == self.w || self.n <= self.w
    }
}

/// Computes `softmax(scale q (k + k_add)^T) v` for one head.
pub struct Attend {
    pub out: Region,
    pub q: Region,
    pub k: Region,
    pub v: Region,
    /// Vectors that are added to the keys, token by token.
    pub k_add: Option<Region>,
    /// A further key, its value, and the number of its repetitions. The number is a float. Compilers convert an integer
    /// early, also if there is no such key, and branch on its sign.
    pub pad: Option<(F32, F32, f32)>,
    /// The width of q and k.
    pub d: usize,
    /// The width of v and out.
    pub dv: usize,
    pub scale: f32,
    pub scratch: F32,
    /// The destination of (binary logarithm of the largest weight, sum) per query. If it is given, the sums are not
    /// divided, and `out` has unnormalised sums.
    pub partial: Option<F32>,
    /// The type of q, k and v.
    pub dtype: DType,
}

/// The number of words of scratch memory of one thread.
const SCRATCH: usize = QUERIES * MAX_HEAD_WIDTH // packed queries
    + 2 * (KEYS + 16) * (MAX_HEAD_WIDTH + 16) // gathered keys and values
    + (KEYS + 16) * QUERIES // scores
    + QUERIES * MAX_HEAD_WIDTH // sums
    + 3 * QUERIES;
const _: () = assert!(SCRATCH <= device::SCRATCH);

/// The words of rows, and the number of words from one row to the next.
type Words = (F32, usize);

/// The state of a block of queries. It has sums (queries, wide) relative to the maxima, the totals of the weights, and
/// the factors by which the last maxima changed the earlier sums.
#[derive(Clone, Copy)]
struct State {
    sums: F32,
    maxima: F32,
    totals: F32,
    alphas: F32,
}

impl Kernel for Attend {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        match self.dtype {
            DType::Bf16 => self.run_in::<S, Pair>(s),
            _ => self.run_in::<S, Single>(s),
        }
    }
}

impl Attend {
    #[inline(always)]
    unsafe fn run_in<S: Simd, W: Word>(self, s: S) {
        let wide = self.dv.next_multiple_of(S::PANEL);
        let qt = self.scratch;
        let kbuf = qt.add(QUERIES * MAX_HEAD_WIDTH);
        let vbuf = kbuf.add((KEYS + 16) * (MAX_HEAD_WIDTH + 16));
        let scores = vbuf.add((KEYS + 16) * (MAX_HEAD_WIDTH + 16));
        let sums = scores.add((KEYS + 16) * QUERIES);
        let stats = sums.add(QUERIES * MAX_HEAD_WIDTH);
        let state = State { sums, maxima: stats, totals: stats.add(QUERIES), alphas: stats.add(2 * QUERIES) };

        let one_block = self.k.n <= KEYS;
        let mut gathered = None;
        for q0 in (0..self.q.n).step_by(QUERIES) {
            let nq = (self.q.n - q0).min(QUERIES);
            // Whole panels and, where that is enough for the rest, a vector: what a tile writes.
            let rest = if nq % S::PANEL <= S::LANES { S::LANES } else { S::PANEL };
            let np = nq.next_multiple_of(rest);
            self.pack_queries::<S, W>(s, q0, nq, np, qt);
            self.start::<S, W>(s, np, wide, qt, state);
            for k0 in (0..self.k.n).step_by(KEYS) {
                let nk = (self.k.n - k0).min(KEYS);
                let (k, v) = match gathered {
                    Some(kv) if one_block => kv,
                    _ => (self.keys::<S, W>(s, k0, nk, kbuf), self.values::<S, W>(s, k0, nk, vbuf)),
                };
                gathered = Some((k, v));
                // Panel by panel, so that scores are softened while they are in the first-level cache.
                for p in (0..np).step_by(S::PANEL) {
                    let panel = (p, (np - p).min(S::PANEL));
                    self.score::<S, W>(s, nk, np, panel, k, qt, scores);
                    self.soften::<S, W>(s, nk, np, panel, scores, state);
                }
                self.accumulate::<S, W>(s, nq, np, nk, scores, v, state, wide);
            }
            self.finish(s, q0, nq, wide, state);
        }
    }

    /// Returns the number of words of a query or a key.
    #[inline(always)]
    fn depth<W: Word>(&self) -> usize {
        self.d.div_ceil(W::DEPTH)
    }

    /// Packs queries as panels of words (np / panel, depth, panel). Queries past `nq` are zero.
    #[inline(always)]
    unsafe fn pack_queries<S: Simd, W: Word>(&self, s: S, q0: usize, nq: usize, np: usize, qt: F32) {
        let (whole, depth) = (self.d / W::DEPTH, self.depth::<W>());
        let zeros = [0f32; MAX_HEAD_WIDTH];
        for first in (0..np).step_by(S::LANES) {
            let panel = qt.add(first / S::PANEL * S::PANEL * depth + first % S::PANEL);
            let mut rows = [zeros.as_ptr(); 16];
            for (j, row) in rows.iter_mut().enumerate().take(nq.saturating_sub(first)) {
                *row = self.q.token(q0 + first + j).ptr::<W::Value>().ptr().cast();
            }
            for i in (0..whole).step_by(S::LANES) {
                let n = (whole - i).min(S::LANES);
                s.transpose(rows.map(|row| row.wrapping_add(i)), n, panel.at_mut(i * S::PANEL), S::PANEL);
            }
            if whole < depth {
                for (j, row) in rows.into_iter().take(S::LANES).enumerate() {
                    let last = panel.at_mut(whole * S::PANEL + j);
                    *last = 0.0;
                    std::ptr::copy_nonoverlapping(row.add(whole).cast::<W::Value>(), last.cast(), 1);
                }
            }
        }
    }

    /// Sets the state before the first key: empty, or with the keys of the padding.
    #[inline(always)]
    unsafe fn start<S: Simd, W: Word>(&self, s: S, np: usize, wide: usize, qt: F32, to: State) {
        let Some((k, v, times)) = self.pad else {
            for j in (0..np).step_by(S::LANES) {
                to.maxima.store(s, j, s.splat(-1e30));
                to.totals.store(s, j, s.splat(0.0));
            }
            std::ptr::write_bytes(to.sums.ptr(), 0, np * wide);
            return;
        };
        let mut words = [0f32; MAX_HEAD_WIDTH];
        let words = words.as_mut_ptr();
        copy(s, Ptr::<W::Value>::new(words.cast()), Floats::F32(k), self.d);
        let depth = self.depth::<W>();
        for j in (0..np).step_by(S::LANES) {
            let panel = qt.add(j / S::PANEL * S::PANEL * depth + j % S::PANEL);
            let mut score = s.splat(0.0);
            for i in 0..depth {
                score = W::fma(s, panel.load(s, i * S::PANEL), s.splat(*words.add(i)), score);
            }
            to.maxima.store(s, j, score);
            to.totals.store(s, j, s.splat(times));
        }
        for i in 0..np {
            map_rows!(s, to.sums.add(i * wide), v, self.dv, |v| s.mul(v, s.splat(times)));
        }
    }

    /// Returns keys `k0..k0 + nk`, with one row of words per key.
    #[inline(always)]
    unsafe fn keys<S: Simd, W: Word>(&self, s: S, k0: usize, nk: usize, buffer: F32) -> Words {
        let d = self.d;
        // The last tile may read past the keys: within a map that is inside the arena.
        let whole = nk.is_multiple_of(S::SMALL_ROWS) && (d | self.k.stride).is_multiple_of(W::DEPTH);
        if self.k.is_line() && whole && self.k_add.is_none() {
            return (F32::new(self.k.token(k0).ptr::<W::Value>().ptr().cast()), self.k.stride / W::DEPTH);
        }
        let ld = self.depth::<W>() + 16;
        for i in 0..nk {
            let (word, k) = (buffer.add(i * ld), self.k.token(k0 + i));
            let out = Ptr::<W::Value>::new(word.ptr().cast());
            if !d.is_multiple_of(W::DEPTH) {
                *word.at_mut(d / W::DEPTH) = 0.0;
            }
            match self.k_add {
                Some(add) => zip_rows!(s, out, k, add.token(k0 + i), d, |a, b| s.add(a, b)),
                None => copy(s, out, k, d),
            }
        }
        (buffer, ld)
    }

    /// Returns values `k0..k0 + nk`, with one row of words for every `DEPTH` values.
    #[inline(always)]
    unsafe fn values<S: Simd, W: Word>(&self, s: S, k0: usize, nk: usize, buffer: F32) -> Words {
        // Panels may read past the width: within a map that is inside the arena.
        if W::DEPTH == 1 && self.v.is_line() && nk.is_multiple_of(S::SMALL_ROWS) {
            return (F32::new(self.v.token(k0).ptr::<W::Value>().ptr().cast()), self.v.stride);
        }
        let ld = self.dv.next_multiple_of(S::PANEL);
        for (row, i) in (0..nk).step_by(W::DEPTH).enumerate() {
            let out = buffer.add(row * ld);
            let first = self.v.token(k0 + i).ptr::<W::Value>();
            if W::DEPTH == 1 || i + 1 == nk {
                map_rows!(s, out, first, self.dv, |a| W::join(s, a, s.splat(0.0)));
            } else {
                let second = self.v.token(k0 + i + 1).ptr::<W::Value>();
                zip_rows!(s, out, first, second, self.dv, |a, b| W::join(s, a, b));
            }
        }
        (buffer, ld)
    }

    /// Computes scores (nk, np) = k qt of a panel (first column, columns).
    #[inline(always)]
    unsafe fn score<S: Simd, W: Word>(
        &self,
        s: S,
        nk: usize,
        np: usize,
        (p, width): (usize, usize),
        (k, ld): Words,
        qt: F32,
        scores: F32,
    ) {
        let depth = self.depth::<W>();
        let mut i = 0;
        while i < nk {
            let m = if nk - i >= S::TILE_ROWS { S::TILE_ROWS } else { S::SMALL_ROWS };
            let out = scores.at_mut(i * np + p);
            s.tile::<W>((m, width), depth, k.at(i * ld), ld, 1, qt.at(p * depth), S::PANEL, out, np);
            i += m;
        }
    }

    /// Runs one step of the running softmax of a panel (first column, columns). Scores become weights relative to the
    /// new maxima, with one row of words for every `DEPTH` keys.
    #[inline(always)]
    unsafe fn soften<S: Simd, W: Word>(
        &self,
        s: S,
        nk: usize,
        np: usize,
        (p, width): (usize, usize),
        scores: F32,
        state: State,
    ) {
        let scale = s.splat(self.scale * std::f32::consts::LOG2_E);
        for j in (p..p + width).step_by(S::LANES) {
            let old = state.maxima.load(s, j);
            let mut max = old;
            for i in 0..nk {
                max = s.max(max, scores.load(s, i * np + j));
            }
            let top = s.sub(s.splat(0.0), s.mul(max, scale));
            let mut total = s.splat(0.0);
            for (row, i) in (0..nk).step_by(W::DEPTH).enumerate() {
                let first = math::exp2(s, s.fma(scores.load(s, i * np + j), scale, top));
                total = s.add(total, first);
                let mut second = s.splat(0.0);
                if W::DEPTH == 2 && i + 1 < nk {
                    second = math::exp2(s, s.fma(scores.load(s, (i + 1) * np + j), scale, top));
                    total = s.add(total, second);
                }
                scores.store(s, row * np + j, W::join(s, first, second));
            }
            let alpha = math::exp2(s, s.add(s.mul(old, scale), top));
            state.alphas.store(s, j, alpha);
            state.maxima.store(s, j, max);
            state.totals.store(s, j, s.fma(state.totals.load(s, j), alpha, total));
        }
    }

    /// Computes sums (nq, wide) = alphas sums + weights^T v.
    #[inline(always)]
    unsafe fn accumulate<S: Simd, W: Word>(
        &self,
        s: S,
        nq: usize,
        np: usize,
        nk: usize,
        weights: F32,
        (v, ld): Words,
        state: State,
        wide: usize,
    ) {
        let mut tile = [0f32; 16 * 64];
        let tile = F32::new(tile.as_mut_ptr());
        for c in (0..self.dv).step_by(S::PANEL) {
            // Whole vectors: what is past the width is not read.
            let width = (self.dv - c).min(S::PANEL).next_multiple_of(S::LANES);
            let mut i = 0;
            while i < nq {
                let m = if np - i >= S::TILE_ROWS { S::TILE_ROWS } else { S::SMALL_ROWS };
                let words = nk.div_ceil(W::DEPTH);
                s.tile::<W>((m, width), words, weights.at(i), 1, np, v.at(c), ld, tile.ptr(), S::PANEL);
                for r in 0..m.min(nq - i) {
                    let alpha = s.splat(*state.alphas.at(i + r));
                    for j in (0..width).step_by(S::LANES) {
                        let at = (i + r) * wide + c + j;
                        let sum = s.fma(state.sums.load(s, at), alpha, tile.load(s, r * S::PANEL + j));
                        state.sums.store(s, at, sum);
                    }
                }
                i += m;
            }
        }
    }

    #[inline(always)]
    unsafe fn finish<S: Simd>(&self, s: S, q0: usize, nq: usize, wide: usize, state: State) {
        for i in 0..nq {
            let (out, sum) = (self.out.token(q0 + i), state.sums.add(i * wide));
            let mut r = s.splat(1.0);
            if let Some(stats) = self.partial {
                *stats.at_mut(2 * (q0 + i)) = *state.maxima.at(i) * (self.scale * std::f32::consts::LOG2_E);
                *stats.at_mut(2 * (q0 + i) + 1) = *state.totals.at(i);
            } else {
                r = s.splat(1.0 / *state.totals.at(i));
            }
            map_rows!(s, out, sum, self.dv, |a| s.mul(a, r));
        }
    }
}

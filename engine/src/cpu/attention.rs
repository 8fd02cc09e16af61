//! Attention that never stores the score matrix (Dao et al., arXiv:2205.14135).
//!
//! A block of queries is packed with queries across the lanes, so that scores come out as (keys, queries): the running
//! maximum and sum of the softmax are vectors over queries, and no lane ever talks to another. Keys and values are
//! read as they lie in the map where its rows are long enough, else gathered window by window.

use super::simd::{Kernel, Simd};
use super::{Cpu, F32, I32, math};
use crate::backend::Windows;
use crate::tensor::Tensor;

/// Queries of a block: whole tiles of rows and whole panels on every instruction set.
const QUERIES: usize = 96;
/// Keys of a block.
const KEYS: usize = 256;
/// The widest head.
pub const MAX_WIDTH: usize = 256;

/// Vectors of one head on a piece of a map: entry i is row i / w, column i % w of the piece.
#[derive(Clone, Copy)]
pub struct Region {
    pub x: F32,
    /// Elements from one token to the next.
    pub stride: usize,
    /// Tokens in a row of the whole map.
    pub pitch: usize,
    /// Tokens in a row of the piece.
    pub w: usize,
    /// Tokens in the piece.
    pub n: usize,
}

impl Region {
    /// `n` tokens in a row.
    pub fn line(x: F32, stride: usize, n: usize) -> Self {
        Region { x, stride, pitch: n, w: n.max(1), n }
    }

    fn token(&self, i: usize) -> F32 {
        self.x.add((i / self.w * self.pitch + i % self.w) * self.stride)
    }

    fn is_line(&self) -> bool {
        self.pitch == self.w || self.n <= self.w
    }
}

/// softmax(scale q (k + k_add)^T) v for one head.
pub struct Attend {
    pub out: Region,
    pub q: Region,
    pub k: Region,
    pub v: Region,
    /// Added to the keys, token by token.
    pub k_add: Option<Region>,
    /// A further key, its value, and how often it is there.
    pub pad: Option<(F32, F32, usize)>,
    /// Width of q and k.
    pub d: usize,
    /// Width of v and out.
    pub dv: usize,
    pub scale: f32,
    pub scratch: F32,
    /// Where to leave (maximum, sum) per query instead of dividing: `out` then holds unnormalised sums.
    pub partial: Option<F32>,
}

/// Scratch of one thread.
pub const SCRATCH: usize = QUERIES * MAX_WIDTH // packed queries
    + 2 * (KEYS + 16) * (MAX_WIDTH + 16) // gathered keys and values
    + (KEYS + 16) * QUERIES // scores
    + QUERIES * MAX_WIDTH // sums
    + 3 * QUERIES;

impl Kernel for Attend {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        let (d, dv) = (self.d, self.dv);
        let wide = dv.next_multiple_of(S::PANEL);
        let qt = self.scratch;
        let kbuf = qt.add(QUERIES * MAX_WIDTH);
        let vbuf = kbuf.add((KEYS + 16) * (MAX_WIDTH + 16));
        let scores = vbuf.add((KEYS + 16) * (MAX_WIDTH + 16));
        let sums = scores.add((KEYS + 16) * QUERIES);
        let stats = sums.add(QUERIES * MAX_WIDTH);
        let (maxima, totals, alphas) = (stats, stats.add(QUERIES), stats.add(2 * QUERIES));

        let one_block = self.k.n <= KEYS;
        let mut gathered = None;
        for q0 in (0..self.q.n).step_by(QUERIES) {
            let nq = (self.q.n - q0).min(QUERIES);
            let np = nq.next_multiple_of(S::PANEL);
            self.pack_queries::<S>(q0, nq, np, qt);
            self.start(s, np, wide, qt, sums, maxima, totals);
            for k0 in (0..self.k.n).step_by(KEYS) {
                let nk = (self.k.n - k0).min(KEYS);
                let (k, v) = match gathered {
                    Some(kv) if one_block => kv,
                    _ => self.gather(s, k0, nk, kbuf, vbuf),
                };
                gathered = Some((k, v));
                scores_of(s, nk, np, d, k, qt, scores);
                soften(s, nk, np, scores, maxima, totals, alphas);
                accumulate(s, nq, np, nk, dv, scores, v, alphas, sums, wide);
            }
            self.finish(s, q0, nq, wide, sums, maxima, totals);
        }
    }
}

impl Attend {
    /// Queries times the scale as panels (np / panel, d, panel); those past `nq` are zero.
    #[inline(always)]
    unsafe fn pack_queries<S: Simd>(&self, q0: usize, nq: usize, np: usize, qt: F32) {
        let d = self.d;
        for p in (0..np).step_by(S::PANEL) {
            let panel = qt.add(p * d);
            for j in 0..S::PANEL {
                if p + j < nq {
                    let q = self.q.token(q0 + p + j);
                    for i in 0..d {
                        *panel.at_mut(i * S::PANEL + j) = *q.at(i) * self.scale;
                    }
                } else {
                    for i in 0..d {
                        *panel.at_mut(i * S::PANEL + j) = 0.0;
                    }
                }
            }
        }
    }

    /// The state before the first key: empty, or the padding's keys already seen.
    #[inline(always)]
    unsafe fn start<S: Simd>(&self, s: S, np: usize, wide: usize, qt: F32, sums: F32, maxima: F32, totals: F32) {
        let Some((k, v, times)) = self.pad else {
            for j in (0..np).step_by(S::LANES) {
                s.store(maxima.at_mut(j), s.splat(-1e30));
                s.store(totals.at_mut(j), s.splat(0.0));
            }
            std::ptr::write_bytes(sums.ptr(), 0, np * wide);
            return;
        };
        for p in (0..np).step_by(S::PANEL) {
            for j in (0..S::PANEL).step_by(S::LANES) {
                let mut score = s.splat(0.0);
                for i in 0..self.d {
                    score = s.fma(s.load(qt.at(p * self.d + i * S::PANEL + j)), s.splat(*k.at(i)), score);
                }
                s.store(maxima.at_mut(p + j), score);
                s.store(totals.at_mut(p + j), s.splat(times as f32));
            }
        }
        for i in 0..np {
            let row = sums.add(i * wide);
            for c in 0..self.dv {
                *row.at_mut(c) = *v.at(c) * times as f32;
            }
        }
    }

    /// Keys and values `k0..k0 + nk` with the distance from one to the next.
    #[inline(always)]
    unsafe fn gather<S: Simd>(&self, s: S, k0: usize, nk: usize, kbuf: F32, vbuf: F32) -> ((F32, usize), (F32, usize)) {
        let d = self.d;
        // The last tile may read past the keys, and panels past the width: within a map both are inside the arena.
        let whole = nk.is_multiple_of(S::SMALL_ROWS);
        let k = if self.k.is_line() && whole && self.k_add.is_none() {
            (self.k.token(k0), self.k.stride)
        } else {
            let ld = d + 16;
            for i in 0..nk {
                let (out, k) = (kbuf.at_mut(i * ld), self.k.token(k0 + i).ptr());
                match self.k_add {
                    Some(add) => zip_rows!(s, out, k, add.token(k0 + i).ptr(), d, |a, b| s.add(a, b)),
                    None => std::ptr::copy_nonoverlapping(k, out, d),
                }
            }
            (kbuf, ld)
        };
        let v = if self.v.is_line() && whole {
            (self.v.token(k0), self.v.stride)
        } else {
            let ld = self.dv.next_multiple_of(S::PANEL);
            for i in 0..nk {
                std::ptr::copy_nonoverlapping(self.v.token(k0 + i).ptr(), vbuf.at_mut(i * ld), self.dv);
            }
            (vbuf, ld)
        };
        (k, v)
    }

    #[inline(always)]
    unsafe fn finish<S: Simd>(&self, s: S, q0: usize, nq: usize, wide: usize, sums: F32, maxima: F32, totals: F32) {
        for i in 0..nq {
            let (out, sum) = (self.out.token(q0 + i), sums.add(i * wide));
            if let Some(stats) = self.partial {
                std::ptr::copy_nonoverlapping(sum.ptr(), out.ptr(), self.dv);
                *stats.at_mut(2 * (q0 + i)) = *maxima.at(i);
                *stats.at_mut(2 * (q0 + i) + 1) = *totals.at(i);
            } else {
                let r = s.splat(1.0 / *totals.at(i));
                zip_rows!(s, out.ptr(), sum.ptr(), sum.ptr(), self.dv, |a, _b| s.mul(a, r));
            }
        }
    }
}

/// scores (nk, np) = k qt
#[inline(always)]
unsafe fn scores_of<S: Simd>(s: S, nk: usize, np: usize, d: usize, (k, ld): (F32, usize), qt: F32, scores: F32) {
    for p in (0..np).step_by(S::PANEL) {
        let mut i = 0;
        while i < nk {
            let m = if nk - i >= S::TILE_ROWS { S::TILE_ROWS } else { S::SMALL_ROWS };
            let out = scores.at_mut(i * np + p);
            s.tile(m, d, k.at(i * ld), ld, 1, qt.at(p * d), S::PANEL, out, np);
            i += m;
        }
    }
}

/// One step of the running softmax: scores become weights relative to the new maxima, `alphas` what the old sums are
/// to be multiplied with.
#[inline(always)]
unsafe fn soften<S: Simd>(s: S, nk: usize, np: usize, scores: F32, maxima: F32, totals: F32, alphas: F32) {
    for j in (0..np).step_by(S::LANES) {
        let old = s.load(maxima.at(j));
        let mut max = old;
        for i in 0..nk {
            max = s.max(max, s.load(scores.at(i * np + j)));
        }
        let mut total = s.splat(0.0);
        for i in 0..nk {
            let at = scores.at_mut(i * np + j);
            let w = math::exp(s, s.sub(s.load(at), max));
            s.store(at, w);
            total = s.add(total, w);
        }
        let alpha = math::exp(s, s.sub(old, max));
        s.store(alphas.at_mut(j), alpha);
        s.store(maxima.at_mut(j), max);
        s.store(totals.at_mut(j), s.fma(s.load(totals.at(j)), alpha, total));
    }
}

/// sums (nq, wide) = alphas sums + weights^T v
#[inline(always)]
unsafe fn accumulate<S: Simd>(
    s: S,
    nq: usize,
    np: usize,
    nk: usize,
    d: usize,
    weights: F32,
    (v, ld): (F32, usize),
    alphas: F32,
    sums: F32,
    wide: usize,
) {
    let mut tile = [0f32; 16 * 64];
    let tile = tile.as_mut_ptr();
    for c in (0..d).step_by(S::PANEL) {
        let mut i = 0;
        while i < nq {
            let m = if np - i >= S::TILE_ROWS { S::TILE_ROWS } else { S::SMALL_ROWS };
            s.tile(m, nk, weights.at(i), 1, np, v.at(c), ld, tile, S::PANEL);
            for r in 0..m.min(nq - i) {
                let alpha = s.splat(*alphas.at(i + r));
                for j in (0..S::PANEL).step_by(S::LANES) {
                    let at = sums.at_mut((i + r) * wide + c + j);
                    s.store(at, s.fma(s.load(at), alpha, s.load(tile.add(r * S::PANEL + j))));
                }
            }
            i += m;
        }
    }
}

impl Cpu {
    pub(super) fn window_attention(
        &self,
        out: Tensor<'_>,
        q: Tensor<'_>,
        k: Tensor<'_>,
        v: Tensor<'_>,
        heads: usize,
        windows: Windows<'_>,
    ) {
        let map = |t: Tensor<'_>| {
            assert!(t.dims().len() == 3, "window_attention: a map is (h, w, c), got {t:?}");
            (t.dim(0), t.dim(1))
        };
        let ((hq, wq), (h, w), c) = (map(q), map(k), q.cols());
        let pool = if hq == h { 1 } else { 2 };
        assert!(
            map(out) == (hq, wq) && (hq * pool, wq * pool) == (h, w) && map(v) == (h, w) && c % heads == 0,
            "window_attention: {out:?} from {q:?} {k:?} {v:?}"
        );
        assert!(out.cols() == c && k.cols() == c && v.cols() == c, "window_attention: {out:?} {q:?} {k:?} {v:?}");
        let d = c / heads;
        assert!(
            d <= MAX_WIDTH && windows.size.is_multiple_of(pool),
            "window_attention: heads of {d}, windows of {}",
            windows.size
        );
        self.count(&[out, q, k, v]);
        let scale = 1.0 / (d as f32).sqrt();
        let (size_h, size_w) = if windows.size == 0 { (h, w) } else { (windows.size, windows.size) };
        let (rows, cols) = (h.div_ceil(size_h), w.div_ceil(size_w));
        for y in 0..rows {
            for x in 0..cols {
                let (kh, kw) = ((h - y * size_h).min(size_h), (w - x * size_w).min(size_w));
                self.count_product(kh * kw / pool / pool, kh * kw, 2 * c);
            }
        }
        let (pad_k, pad_v) = (F32::of(windows.pad.0), F32::of(windows.pad.1));
        let [out, q, k, v] = [out, q, k, v].map(|t| (F32::of(t), t.stride()));
        // The one window of a whole map is cut into blocks of queries.
        let blocks = if rows * cols == 1 { (hq * wq).div_ceil(QUERIES) } else { 1 };
        self.parallel(rows * cols * heads * blocks, |task, scratch| {
            let (block, head, window) = (task % blocks, task / blocks % heads, task / blocks / heads);
            let (y, x) = (window / cols * size_h, window % cols * size_w);
            let (kh, kw) = ((h - y).min(size_h), (w - x).min(size_w));
            let cut = |(ptr, stride): (F32, usize), pool: usize| Region {
                x: ptr.add(((y / pool) * (w / pool) + x / pool) * stride + head * d),
                stride,
                pitch: w / pool,
                w: kw / pool,
                n: kh * kw / pool / pool,
            };
            let block_of = |r: Region| {
                if blocks == 1 {
                    return r;
                }
                Region::line(r.token(block * QUERIES), r.stride, (r.n - block * QUERIES).min(QUERIES))
            };
            let missing = size_h * size_w - kh * kw;
            Attend {
                out: block_of(cut(out, pool)),
                q: block_of(cut(q, pool)),
                k: cut(k, 1),
                v: cut(v, 1),
                k_add: None,
                pad: (missing > 0).then(|| (pad_k.add(head * d), pad_v.add(head * d), missing)),
                d,
                dv: d,
                scale,
                scratch,
                partial: None,
            }
        });
    }

    pub(super) fn token_attention(
        &self,
        out: Tensor<'_>,
        q: Tensor<'_>,
        k: Tensor<'_>,
        v: Tensor<'_>,
        heads: usize,
        lens: Tensor<'_>,
    ) {
        let (p, t, c) = (q.dim(0), q.dim(1), q.cols());
        for x in [out, k, v] {
            assert!(x.dims() == q.dims(), "token_attention: {out:?} from {q:?} {k:?} {v:?}");
        }
        assert!(lens.len() == p && c % heads == 0 && c / heads <= MAX_WIDTH, "token_attention: {q:?} lens {lens:?}");
        let d = c / heads;
        self.count(&[out, q, k, v]);
        self.count_product(p * t, t, 2 * c);
        let lens = I32::of(lens);
        let [out, q, k, v] = [out, q, k, v].map(|x| (F32::of(x), x.stride()));
        self.parallel_if(p * heads, p * t * t * c > 1 << 16, |task, scratch| {
            let (prompt, head) = (task / heads, task % heads);
            let line = |(x, stride): (F32, usize), n| Region::line(x.add(prompt * t * stride + head * d), stride, n);
            // SAFETY: one length per prompt, checked above.
            let keys = unsafe { *lens.at(prompt) } as usize;
            Attend {
                out: line(out, t),
                q: line(q, t),
                k: line(k, keys),
                v: line(v, keys),
                k_add: None,
                pad: None,
                d,
                dv: d,
                scale: 1.0 / (d as f32).sqrt(),
                scratch,
                partial: None,
            }
        });
    }

    pub(super) fn memory_attention(
        &self,
        out: Tensor<'_>,
        q: Tensor<'_>,
        k: Tensor<'_>,
        v: Tensor<'_>,
        lens: Tensor<'_>,
    ) {
        let (&[p, n, d], &[_, m, dv]) = (q.dims(), v.dims()) else { panic!("memory_attention: {q:?} {v:?}") };
        assert!(
            out.dims() == [p, n, dv] && k.dims() == [p, m, d] && v.dim(0) == p && lens.len() == p,
            "memory_attention: {out:?} from {q:?} {k:?} {v:?}, lengths {lens:?}"
        );
        assert!(d <= MAX_WIDTH && dv <= MAX_WIDTH, "memory_attention: {q:?} {v:?}");
        self.count(&[out, q, k, v]);
        self.count_product(p * n, m, d + dv);
        let lens = I32::of(lens);
        let [out, q, k, v] = [out, q, k, v].map(|x| (F32::of(x), x.stride()));
        let blocks = n.div_ceil(QUERIES);
        self.parallel(p * blocks, |task, scratch| {
            let (object, first) = (task / blocks, task % blocks * QUERIES);
            let queries = (n - first).min(QUERIES);
            let line = |(x, stride): (F32, usize), row: usize, n| Region::line(x.add(row * stride), stride, n);
            // SAFETY: one length per object, checked above.
            let keys = unsafe { *lens.at(object) } as usize;
            Attend {
                out: line(out, object * n + first, queries),
                q: line(q, object * n + first, queries),
                k: line(k, object * m, keys),
                v: line(v, object * m, keys),
                k_add: None,
                pad: None,
                d,
                dv,
                scale: 1.0 / (d as f32).sqrt(),
                scratch,
                partial: None,
            }
        });
    }
}

//! Attention in windows, between tokens, and to memories.

use super::device::Cpu;
use super::flash::{Attend, QUERIES, Region};
use super::floats::Floats;
use super::ptr::{F32, I32};
use crate::backend::AttentionOps;
use crate::backend::MAX_HEAD_WIDTH;
use crate::backend::Windows;
use crate::backend::tensor::{DType, Tensor};

/// Returns the common type of these tensors.
pub fn same_type(tensors: [Tensor<'_>; 3]) -> DType {
    let [a, b, c] = tensors;
    assert!(a.dtype() == b.dtype() && b.dtype() == c.dtype(), "attention: {a:?} {b:?} {c:?} of several types");
    a.dtype()
}

impl AttentionOps for Cpu {
    fn window_attention(
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
            d <= MAX_HEAD_WIDTH && windows.size.is_multiple_of(pool),
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
        let dtype = same_type([q, k, v]);
        let [out, q, k, v] = [out, q, k, v].map(|t| (Floats::of(t), t.stride()));
        // The one window of a whole map is cut into blocks of queries.
        let blocks = if rows * cols == 1 { (hq * wq).div_ceil(QUERIES) } else { 1 };
        self.parallel(rows * cols * heads * blocks, |task, scratch| {
            let (block, head, window) = (task % blocks, task / blocks % heads, task / blocks / heads);
            let (y, x) = (window / cols * size_h, window % cols * size_w);
            let (kh, kw) = ((h - y).min(size_h), (w - x).min(size_w));
            let cut = |(ptr, stride): (Floats, usize), pool: usize| Region {
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
                pad: (missing > 0).then(|| (pad_k.add(head * d), pad_v.add(head * d), missing as f32)),
                d,
                dv: d,
                scale,
                scratch,
                partial: None,
                dtype,
            }
        });
    }

    fn token_attention(
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
        assert!(
            lens.len() == p && c % heads == 0 && c / heads <= MAX_HEAD_WIDTH,
            "token_attention: {q:?} lens {lens:?}"
        );
        let d = c / heads;
        self.count(&[out, q, k, v]);
        self.count_product(p * t, t, 2 * c);
        let lens = I32::of(lens);
        let dtype = same_type([q, k, v]);
        let [out, q, k, v] = [out, q, k, v].map(|x| (Floats::of(x), x.stride()));
        self.parallel_if(p * heads, p * t * t * c > 1 << 16, |task, scratch| {
            let (prompt, head) = (task / heads, task % heads);
            let line = |(x, stride): (Floats, usize), n| Region::line(x.add(prompt * t * stride + head * d), stride, n);
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
                dtype,
            }
        });
    }
}

//! Attention of objects to their memories.

use super::attention::same_type;
use super::device::Cpu;
use super::flash::{Attend, QUERIES, Region};
use super::floats::Floats;
use super::ptr::I32;
use crate::backend::MAX_HEAD_WIDTH;
use crate::backend::MemoryAttentionOps;
use crate::backend::tensor::Tensor;

impl MemoryAttentionOps for Cpu {
    fn memory_attention(&self, out: Tensor<'_>, q: Tensor<'_>, k: Tensor<'_>, v: Tensor<'_>, lens: Tensor<'_>) {
        let (&[p, n, d], &[_, m, dv]) = (q.dims(), v.dims()) else { panic!("memory_attention: {q:?} {v:?}") };
        assert!(
            out.dims() == [p, n, dv] && k.dims() == [p, m, d] && v.dim(0) == p && lens.len() == p,
            "memory_attention: {out:?} from {q:?} {k:?} {v:?}, lengths {lens:?}"
        );
        assert!(d <= MAX_HEAD_WIDTH && dv <= MAX_HEAD_WIDTH, "memory_attention: {q:?} {v:?}");
        self.count(&[out, q, k, v]);
        self.count_product(p * n, m, d + dv);
        let lens = I32::of(lens);
        let dtype = same_type([q, k, v]);
        let [out, q, k, v] = [out, q, k, v].map(|x| (Floats::of(x), x.stride()));
        let blocks = n.div_ceil(QUERIES);
        self.parallel(p * blocks, |task, scratch| {
            let (object, first) = (task / blocks, task % blocks * QUERIES);
            let queries = (n - first).min(QUERIES);
            let line = |(x, stride): (Floats, usize), row: usize, n| Region::line(x.add(row * stride), stride, n);
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
                dtype,
            }
        });
    }
}

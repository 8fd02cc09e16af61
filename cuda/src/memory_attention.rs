//! Attention to memories. The kernels are in `kernels/memory_attention.cu`.

use crate::device::Device;
use crate::kernels::Kernel;
use crate::queue::Cuda;
use crate::view::{View, padded_row, plain};
use bytemuck::NoUninit;
use sam2_engine::backend::MemoryAttentionOps;
use sam2_engine::tensor::{DType, Tensor};
use std::f32::consts::LOG2_E;

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct MemoryArgs {
    out: View,
    q: View,
    k: View,
    v: View,
    lens: u64,
    sums: u64,
    stats: u64,
    n: i32,
    m: i32,
    d: i32,
    dv: i32,
    scale: f32,
    fast: i32,
}

/// The most workspace of one launch. Objects beyond it get another launch.
const MOST_SUMS: usize = 128 << 20;

/// A kernel and its properties.
struct Shape {
    kernel: Kernel,
    /// The width of queries and keys, and the width of values.
    widths: (usize, usize),
    /// Queries per block.
    queries: usize,
    /// Splits of the keys, as in the kernel. The number is fixed, so that results do not depend on the number of
    /// objects.
    splits: usize,
    /// Bytes of shared memory.
    shared: usize,
}

impl Shape {
    /// The first kernel that is wide enough and whose shared memory is available.
    fn of(dtype: DType, d: usize, dv: usize, most_shared: usize) -> Shape {
        use Kernel::*;
        let f32s = |kernel, (a, b): (usize, usize)| {
            let shared = ((32 + 16) * (a + 4) + 16 * (b + 4) + 32 * 17) * 4;
            Shape { kernel, widths: (a, b), queries: 32, splits: 1, shared }
        };
        let halves = |bf16, f16, (a, b): (usize, usize), queries: usize, stages: usize, splits: usize| {
            let kernel = if dtype == DType::Bf16 { bf16 } else { f16 };
            let [of_keys, of_values] = [a, b].map(padded_row);
            let shared = queries * of_keys + stages * 64 * (of_keys + of_values);
            Shape { kernel, widths: (a, b), queries, splits, shared }
        };
        let shapes = match dtype {
            DType::F32 => vec![
                f32s(memory_attention_f32_64_64, (64, 64)),
                f32s(memory_attention_f32_256_64, (256, 64)),
                f32s(memory_attention_f32_256_256, (256, 256)),
            ],
            _ => vec![
                halves(memory_attention_bf16_64_64, memory_attention_f16_64_64, (64, 64), 128, 2, 4),
                halves(memory_attention_bf16_256_64, memory_attention_f16_256_64, (256, 64), 256, 2, 8),
                halves(memory_attention_bf16_256_64_medium, memory_attention_f16_256_64_medium, (256, 64), 128, 2, 4),
                halves(memory_attention_bf16_256_64_small, memory_attention_f16_256_64_small, (256, 64), 64, 1, 4),
                halves(memory_attention_bf16_256_256, memory_attention_f16_256_256, (256, 256), 128, 2, 4),
                halves(memory_attention_bf16_256_256_small, memory_attention_f16_256_256_small, (256, 256), 64, 1, 4),
            ],
        };
        let fits = |s: &Shape| d <= s.widths.0 && dv <= s.widths.1 && s.shared <= most_shared;
        shapes.into_iter().find(fits).unwrap_or_else(|| panic!("memory_attention: {d} and {dv} wide"))
    }
}

impl<D: Device> MemoryAttentionOps for Cuda<D> {
    fn memory_attention(&self, out: Tensor<'_>, q: Tensor<'_>, k: Tensor<'_>, v: Tensor<'_>, lens: Tensor<'_>) {
        let (&[p, n, d], &[_, m, dv]) = (q.dims(), v.dims()) else { panic!("memory_attention: {q:?} {v:?}") };
        assert!(
            out.dims() == [p, n, dv] && k.dims() == [p, m, d] && v.dim(0) == p && lens.len() == p,
            "memory_attention: {out:?} from {q:?} {k:?} {v:?}, lengths {lens:?}"
        );
        assert!([q, k, v].iter().all(|t| t.dtype() == out.dtype()), "memory_attention: {out:?} {q:?} {k:?} {v:?}");
        self.count_operands(&[out, q, k, v]);
        self.count(|c| c.matmul_flops += (2 * p * n * m * (d + dv)) as u64);
        let Shape { kernel, widths, queries, splits: parts, shared } =
            Shape::of(out.dtype(), d, dv, self.device.shared());
        let aligned =
            |t: Tensor<'_>| t.addr().is_multiple_of(16) && t.stride().is_multiple_of(8) && t.cols().is_multiple_of(8);
        let fast = aligned(q) && aligned(k) && aligned(v);
        let lens_at = plain(lens, DType::I32);
        let run = |first: usize, p: usize, sums: u64, stats: u64| {
            let part = |t: Tensor<'_>| View::of(t.slice(first, p));
            let args = MemoryArgs {
                out: part(out),
                q: part(q),
                k: part(k),
                v: part(v),
                lens: lens_at + (first * 4) as u64,
                sums,
                stats,
                n: n as i32,
                m: m as i32,
                d: d as i32,
                dv: dv as i32,
                scale: LOG2_E / (d as f32).sqrt(),
                fast: fast as i32,
            };
            self.launch(kernel, [n.div_ceil(queries), parts, p], shared, &args);
        };
        if out.dtype() == DType::F32 {
            return run(0, p, 0, 0);
        }
        let at_once = (MOST_SUMS / (parts * n * widths.1 * 4)).clamp(1, p);
        let Some(splits) = self.splits(at_once, parts, n, widths.1) else { return };
        for first in (0..p).step_by(at_once) {
            let here = at_once.min(p - first);
            run(first, here, splits.sums, splits.stats);
            self.merge(View::of(out.slice(first, here)), dv, &splits.of(here));
        }
    }
}

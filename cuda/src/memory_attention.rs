//! Attention to memories, and the rotation of its operands: `kernels/memory_attention.cu`, `kernels/pointwise.cu`.

use crate::device::Device;
use crate::{Cuda, Kernel, View, blocks, plain};
use bytemuck::NoUninit;
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
    n: i32,
    m: i32,
    d: i32,
    dv: i32,
    scale: f32,
    fast: i32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct RotateArgs {
    x: View,
    table: u64,
    lens: u64,
    p: i32,
    n: i32,
    c: i32,
    m: i32,
    d: i32,
    pad: i32,
}

/// The kernel that is wide enough, and its widths.
fn kernel_for(dtype: DType, d: usize, dv: usize) -> (Kernel, usize, usize) {
    use Kernel::*;
    let widths = [(64, 64), (256, 64), (256, 256)];
    let i = widths.iter().position(|&(a, b)| d <= a && dv <= b);
    let i = i.unwrap_or_else(|| panic!("memory_attention: {d} and {dv} wide"));
    let kernels = match dtype {
        DType::F32 => [memory_attention_f32_64_64, memory_attention_f32_256_64, memory_attention_f32_256_256],
        DType::Bf16 => [memory_attention_bf16_64_64, memory_attention_bf16_256_64, memory_attention_bf16_256_256],
        _ => [memory_attention_f16_64_64, memory_attention_f16_256_64, memory_attention_f16_256_256],
    };
    (kernels[i], widths[i].0, widths[i].1)
}

impl<D: Device> Cuda<D> {
    pub(crate) fn memory_attention(
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
        assert!([q, k, v].iter().all(|t| t.dtype() == out.dtype()), "memory_attention: {out:?} {q:?} {k:?} {v:?}");
        self.count_operands(&[out, q, k, v]);
        self.count(|c| c.matmul_flops += (2 * p * n * m * (d + dv)) as u64);
        let (kernel, wide, wide_v) = kernel_for(out.dtype(), d, dv);
        let (rows, shared) = match out.dtype() {
            DType::F32 => (32, ((32 + 16) * (wide + 4) + 16 * (wide_v + 4) + 32 * 17) * 4),
            _ => (64, 64 * (2 * wide + wide_v) * 2),
        };
        let aligned =
            |t: Tensor<'_>| t.addr().is_multiple_of(16) && t.stride().is_multiple_of(8) && t.cols().is_multiple_of(8);
        let args = MemoryArgs {
            out: View::of(out),
            q: View::of(q),
            k: View::of(k),
            v: View::of(v),
            lens: plain(lens, DType::I32),
            n: n as i32,
            m: m as i32,
            d: d as i32,
            dv: dv as i32,
            scale: LOG2_E / (d as f32).sqrt(),
            fast: (aligned(q) && aligned(k) && aligned(v)) as i32,
        };
        self.launch(kernel, [n.div_ceil(rows), p, 1], shared, &args);
    }

    pub(crate) fn rope2d(&self, x: Tensor<'_>, table: Tensor<'_>, lens: Option<Tensor<'_>>) {
        let (&[p, n, c], m, d) = (x.dims(), table.rows(), table.cols()) else { panic!("rope2d: {x:?}") };
        assert!(lens.is_none_or(|lens| lens.len() == p), "rope2d: {x:?}, lengths {lens:?}");
        assert!(c.is_multiple_of(d) && d.is_multiple_of(2), "rope2d: {x:?} by {table:?}");
        self.count_operands(&[x, x]);
        let args = RotateArgs {
            x: View::of(x),
            table: plain(table, DType::F32),
            lens: lens.map_or(0, |lens| plain(lens, DType::I32)),
            p: p as i32,
            n: n as i32,
            c: c as i32,
            m: m as i32,
            d: d as i32,
            pad: 0,
        };
        self.launch(Kernel::rope2d, [blocks(x.rows() * c / 2, 256), 1, 1], 0, &args);
    }
}

//! Attention between the tokens of prompts and the image. The kernels are in `kernels/image_attention.cu`.

use crate::device::Device;
use crate::kernels::Kernel;
use crate::queue::Cuda;
use crate::view::{View, plain};
use bytemuck::NoUninit;
use sam2_engine::backend::*;
use sam2_engine::tensor::{DType, Tensor};
use std::f32::consts::LOG2_E;

/// Pixels per block of `attend_image`. The number is fixed, so that results do not depend on the batch.
const SPLIT: usize = 128;

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct AttendArgs {
    q: View,
    keys: View,
    source: u64,
    pos: View,
    sums: u64,
    stats: u64,
    n: i32,
    hw: i32,
    c: i32,
    splits: i32,
    split: i32,
    scale: f32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct UpdateArgs {
    out: View,
    keys: View,
    source: u64,
    pos: View,
    k: View,
    v: View,
    score_bias: u64,
    lens: u64,
    bias: u64,
    gamma: u64,
    beta: u64,
    t: i32,
    hw: i32,
    c: i32,
    scale: f32,
    eps: f32,
    pad: i32,
}

impl<D: Device> ImageAttentionOps for Cuda<D> {
    fn attend_image(
        &self,
        out: Tensor<'_>,
        q: Tensor<'_>,
        keys: Tensor<'_>,
        source: Tensor<'_>,
        pos: Tensor<'_>,
        scale: f32,
    ) {
        use Kernel::*;
        let (&[p, n, c], &[_, hw, _]) = (out.dims(), keys.dims()) else { panic!("attend_image: {out:?} {keys:?}") };
        assert!(
            q.dims() == out.dims()
                && keys.cols() == c
                && source.len() == p
                && pos.dims() == [hw, c]
                && q.dtype() == keys.dtype(),
            "attend_image: {out:?} from {q:?} {keys:?} {pos:?}"
        );
        self.count_operands(&[out, q, pos]);
        self.count(|counters| {
            counters.bytes += (p * hw * c * keys.dtype().bytes()) as u64;
            counters.matmul_flops += (4 * p * n * hw * c) as u64;
        });
        let splits = hw.div_ceil(SPLIT);
        let (kernel, width) = match keys.dtype() {
            DType::F32 => wide_enough([attend_image_f32_64, attend_image_f32_128, attend_image_f32_256], c),
            DType::Bf16 => wide_enough([attend_image_bf16_64, attend_image_bf16_128, attend_image_bf16_256], c),
            _ => wide_enough([attend_image_f16_64, attend_image_f16_128, attend_image_f16_256], c),
        };
        let (rows, shared) = match keys.dtype() {
            DType::F32 => (32, (64 * (width + 4) + 32 * 17) * 4),
            _ => (64, 3 * 64 * width * 2),
        };
        check_rows(&[q, keys, pos]);
        let sums_width = if keys.dtype() == DType::F32 { c } else { width };
        let Some(found) = self.splits(p, splits, n, sums_width) else { return };
        let args = AttendArgs {
            q: View::of(q),
            keys: View::of(keys),
            source: plain(source, DType::I32),
            pos: View::of(pos),
            sums: found.sums,
            stats: found.stats,
            n: n as i32,
            hw: hw as i32,
            c: c as i32,
            splits: splits as i32,
            split: SPLIT as i32,
            scale: scale * LOG2_E,
        };
        self.launch(kernel, [n.div_ceil(rows), splits, p], shared, &args);
        self.merge(View::of(out), c, &found);
    }

    fn update_image(
        &self,
        out: Tensor<'_>,
        keys: Tensor<'_>,
        source: Tensor<'_>,
        pos: Tensor<'_>,
        tokens: TokenAttention<'_>,
    ) {
        use Kernel::*;
        let TokenAttention { k, score_bias, v, bias, norm, lens, scale } = tokens;
        let (&[p, hw, c], &[_, t, heads, _]) = (out.dims(), k.dims()) else { panic!("update_image: {out:?} {k:?}") };
        assert!(
            k.dims() == [p, t, DECODER_HEADS, c] && v.dims() == k.dims() && score_bias.len() == p * t * heads,
            "update_image: {out:?} from {k:?} {v:?} {score_bias:?}"
        );
        assert!(
            keys.dims()[1..] == [hw, c] && source.len() == p && pos.dims() == [hw, c] && lens.len() == p,
            "update_image: {out:?} from {keys:?} {source:?} {pos:?}"
        );
        assert!(bias.len() == c && norm.gamma.len() == c, "update_image: {bias:?} {:?}", norm.gamma);
        check_rows(&[out, keys, pos, k, v]);
        self.count_operands(&[out, out, k, v]);
        self.count(|counters| counters.matmul_flops += (4 * p * hw * t * heads * c) as u64);
        let (kernel, pixels, shared) = match out.dtype() {
            DType::F32 => {
                assert!(c <= 256, "update_image: {c} columns");
                (update_image_f32, 4, 4 * (256 + 32) * 4)
            }
            dtype => {
                let kernels = match dtype {
                    DType::Bf16 => [update_image_bf16_64, update_image_bf16_128, update_image_bf16_256],
                    _ => [update_image_f16_64, update_image_f16_128, update_image_f16_256],
                };
                let (kernel, width) = wide_enough(kernels, c);
                (kernel, 64, 3 * 64 * width * 2)
            }
        };
        let args = UpdateArgs {
            out: View::of(out),
            keys: View::of(keys),
            source: plain(source, DType::I32),
            pos: View::of(pos),
            k: View::of(k),
            v: View::of(v),
            score_bias: plain(score_bias, DType::F32),
            lens: plain(lens, DType::I32),
            bias: plain(bias, DType::F32),
            gamma: plain(norm.gamma, DType::F32),
            beta: plain(norm.beta, DType::F32),
            t: t as i32,
            hw: hw as i32,
            c: c as i32,
            scale: scale * LOG2_E,
            eps: norm.eps,
            pad: 0,
        };
        self.launch(kernel, [hw.div_ceil(pixels), p, 1], shared, &args);
    }
}

/// The first of three kernels, for 64, 128 and 256 columns, that is wide enough, and its width.
fn wide_enough(kernels: [Kernel; 3], c: usize) -> (Kernel, usize) {
    let i = [64, 128, 256].iter().position(|&w| w >= c).unwrap_or_else(|| panic!("{:?}: {c} columns", kernels[0]));
    (kernels[i], 64 << i)
}

/// Asserts that rows are aligned, since the kernels access 16 bytes at a time.
fn check_rows(tensors: &[Tensor<'_>]) {
    for t in tensors {
        let row = t.stride() * t.dtype().bytes();
        assert!(t.addr().is_multiple_of(16) && row.is_multiple_of(16) && t.cols().is_multiple_of(8), "rows of {t:?}");
    }
}

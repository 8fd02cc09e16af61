//! What the mask decoder needs beside products: `kernels/image_attention.cu`, `upscale.cu`, `pointwise.cu`.

use crate::device::Device;
use crate::linear::{Prepared, Weights};
use crate::{Cuda, Kernel, View, blocks, plain};
use bytemuck::NoUninit;
use sam2_engine::backend::*;
use sam2_engine::tensor::{DType, Tensor};
use std::f32::consts::LOG2_E;

/// Heads of the decoder's attention.
const HEADS: usize = 8;
/// Pixels that one block of `attend_image` reads. Fixed, so that results do not depend on the batch.
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

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct Upscale1Args {
    x: View,
    high: View,
    image: u64,
    gamma: u64,
    beta: u64,
    eps: f32,
    p: i32,
    h: i32,
    w: i32,
    c: i32,
    pad: i32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct Upscale2Args {
    out: u64,
    x: View,
    high: View,
    hyper: u64,
    image: u64,
    p: i32,
    h: i32,
    w: i32,
    c: i32,
    masks: i32,
    pad: i32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct AddArgs {
    out: View,
    x: View,
    y: View,
    vector: View,
    x_of: u64,
    y_of: u64,
    entries: i32,
    rows: i32,
    c: i32,
    pad: i32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct PoolArgs {
    out: View,
    x: View,
    h: i32,
    w: i32,
    c: i32,
    pad: i32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct PointsArgs {
    out: View,
    points: u64,
    labels: u64,
    lens: u64,
    output_tokens: u64,
    gaussian: u64,
    embeddings: u64,
    t: i32,
    c: i32,
    outputs: i32,
    pad: i32,
}

/// The first of three kernels, for 64, 128 and 256 columns, that is wide enough, and its width.
fn wide_enough(kernels: [Kernel; 3], c: usize) -> (Kernel, usize) {
    let i = [64, 128, 256].iter().position(|&w| w >= c).unwrap_or_else(|| panic!("{:?}: {c} columns", kernels[0]));
    (kernels[i], 64 << i)
}

/// The kernels read and write 16 bytes of a row at a time.
fn check_rows(tensors: &[Tensor<'_>]) {
    for t in tensors {
        let row = t.stride() * t.dtype().bytes();
        assert!(t.addr().is_multiple_of(16) && row.is_multiple_of(16) && t.cols().is_multiple_of(8), "rows of {t:?}");
    }
}

impl<D: Device> Cuda<D> {
    pub(crate) fn attend_image(
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

    pub(crate) fn update_image(
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
            k.dims() == [p, t, HEADS, c] && v.dims() == k.dims() && score_bias.len() == p * t * heads,
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

    pub(crate) fn upscale_masks(
        &self,
        out: Tensor<'_>,
        keys: Tensor<'_>,
        hyper: Tensor<'_>,
        (high1, high0): (Tensor<'_>, Tensor<'_>),
        image: Tensor<'_>,
        dc1: &Weights<D::Memory>,
        norm: Norm<'_>,
        dc2: &Weights<D::Memory>,
    ) {
        let (&[p, h, w, c], &[_, m, c0]) = (keys.dims(), hyper.dims()) else { panic!("upscale: {keys:?} {hyper:?}") };
        let c1 = dc1.n / 4;
        assert!(
            out.dims() == [p, m, 4 * h, 4 * w] && (dc1.k, dc2.k, dc2.n) == (c, c1, 4 * c0),
            "upscale_masks: {out:?} from {keys:?} {hyper:?}"
        );
        assert!(
            high1.dims()[1..] == [2 * h, 2 * w, c1] && high0.dims()[1..] == [4 * h, 4 * w, c0] && image.len() == p,
            "upscale_masks: {high1:?} {high0:?} {image:?}"
        );
        let channels = c1 <= 64 && c0 <= 32 && c1.is_multiple_of(8) && c0.is_multiple_of(4);
        assert!(channels && norm.gamma.len() == c1, "upscale_masks: {c1} and {c0} channels");
        for (high, channels) in [(high1, c1), (high0, c0)] {
            let whole = channels.min(8) * high.dtype().bytes();
            assert!(high.addr().is_multiple_of(16) && (high.stride() * high.dtype().bytes()).is_multiple_of(whole));
        }
        self.count_operands(&[out, keys]);
        let rows = p * h * w;
        let size = dc1.dtype.bytes();
        let first = (rows * 4 * c1 * size).next_multiple_of(256);
        let second = (rows * 16 * c0 * size).next_multiple_of(256);
        let ready = keys.dtype() == dc1.dtype && keys.addr().is_multiple_of(16) && (c1 * size).is_multiple_of(16);
        assert!(ready, "upscale_masks: {keys:?} is not what the products take");
        let Some(x1) = self.workspace(first + second) else { return };
        let x2 = x1 + first as u64;
        let a = Prepared { addr: keys.addr(), stride: keys.stride(), group: c, add: View::NONE };
        self.product(View::at(x1, 4 * c1, dc1.dtype), rows, a, dc1, Epilogue::NONE, 1);
        let args = Upscale1Args {
            x: View::at(x1, 4 * c1, dc1.dtype),
            high: View::of(high1),
            image: plain(image, DType::I32),
            gamma: plain(norm.gamma, DType::F32),
            beta: plain(norm.beta, DType::F32),
            eps: norm.eps,
            p: p as i32,
            h: h as i32,
            w: w as i32,
            c: c1 as i32,
            pad: 0,
        };
        self.launch(Kernel::upscale_norm, [blocks(h * w * 4, 32), p, 1], 0, &args);
        let a = Prepared { addr: x1, stride: c1, group: c1, add: View::NONE };
        self.product(View::at(x2, 4 * c0, dc2.dtype), rows * 4, a, dc2, Epilogue::NONE, 1);
        let args = Upscale2Args {
            out: plain(out, DType::F32),
            x: View::at(x2, 4 * c0, dc2.dtype),
            high: View::of(high0),
            hyper: plain(hyper, DType::F32),
            image: plain(image, DType::I32),
            p: p as i32,
            h: h as i32,
            w: w as i32,
            c: c0 as i32,
            masks: m as i32,
            pad: 0,
        };
        self.launch(Kernel::upscale_masks, [blocks(h * w * 16, 32), p, 1], 32 * m * 4, &args);
    }

    pub(crate) fn image_keys(
        &self,
        out: Tensor<'_>,
        embed: Tensor<'_>,
        image: Tensor<'_>,
        dense: Tensor<'_>,
        mask: Tensor<'_>,
        no_mask: Tensor<'_>,
    ) {
        let [n, hw, c] = *out.dims() else { panic!("image_keys: {out:?}") };
        assert!(
            embed.dims()[1..] == [hw, c] && dense.dims()[1..] == [hw, c] && no_mask.len() == c,
            "image_keys: {out:?} from {embed:?} {dense:?}"
        );
        assert!(image.len() == n && mask.len() == n, "image_keys: {out:?} of {image:?} {mask:?}");
        self.count_operands(&[out, out]);
        let args = AddArgs {
            out: View::of(out),
            x: View::of(embed),
            y: View::of(dense),
            vector: View::of(no_mask),
            x_of: plain(image, DType::I32),
            y_of: plain(mask, DType::I32),
            entries: n as i32,
            rows: hw as i32,
            c: c as i32,
            pad: 0,
        };
        self.launch(Kernel::add, [blocks(n * hw * c.div_ceil(4), 256), 1, 1], 0, &args);
    }

    pub(crate) fn add_vector(&self, out: Tensor<'_>, x: Tensor<'_>, v: Tensor<'_>) {
        assert!(out.len() == x.len() && out.cols() == v.len(), "add_vector: {out:?} = {x:?} + {v:?}");
        self.count_operands(&[out, x]);
        let args = AddArgs {
            out: View::of(out),
            x: View::of(x),
            y: View::NONE,
            vector: View::of(v),
            x_of: 0,
            y_of: 0,
            entries: 1,
            rows: out.rows() as i32,
            c: out.cols() as i32,
            pad: 0,
        };
        self.launch(Kernel::add, [blocks(out.rows() * out.cols().div_ceil(4), 256), 1, 1], 0, &args);
    }

    pub(crate) fn max_pool2x2(&self, out: Tensor<'_>, x: Tensor<'_>) {
        let [h, w, c] = *out.dims() else { panic!("max_pool2x2: {out:?}") };
        assert!(x.dims() == [2 * h, 2 * w, c], "max_pool2x2: {out:?} from {x:?}");
        self.count_operands(&[out, x]);
        let args = PoolArgs { out: View::of(out), x: View::of(x), h: h as i32, w: w as i32, c: c as i32, pad: 0 };
        self.launch(Kernel::max_pool2x2, [blocks(h * w * c.div_ceil(4), 256), 1, 1], 0, &args);
    }

    pub(crate) fn embed_points(
        &self,
        out: Tensor<'_>,
        points: Tensor<'_>,
        point_labels: Tensor<'_>,
        lens: Tensor<'_>,
        output_tokens: Tensor<'_>,
        gaussian: Tensor<'_>,
        labels: Tensor<'_>,
    ) {
        let [p, t, c] = *out.dims() else { panic!("embed_points: {out:?}") };
        let outputs = output_tokens.dim(0);
        let n = t - outputs;
        assert!(
            points.len() == p * n * 2
                && point_labels.len() == p * n
                && lens.len() == p
                && output_tokens.cols() == c
                && gaussian.dims() == [2, c / 2]
                && labels.dims() == [5, c],
            "embed_points: {out:?} from {points:?} {point_labels:?} {lens:?}"
        );
        self.count_operands(&[out]);
        let args = PointsArgs {
            out: View::of(out),
            points: plain(points, DType::F32),
            labels: plain(point_labels, DType::I32),
            lens: plain(lens, DType::I32),
            output_tokens: plain(output_tokens, DType::F32),
            gaussian: plain(gaussian, DType::F32),
            embeddings: plain(labels, DType::F32),
            t: t as i32,
            c: c as i32,
            outputs: outputs as i32,
            pad: 0,
        };
        self.launch(Kernel::embed_points, [t, p, 1], 0, &args);
    }
}

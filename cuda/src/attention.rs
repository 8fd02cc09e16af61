//! Attention over maps and among tokens. The kernels are in `kernels/attention.cu`.

use crate::device::{Device, LEAST_SHARED};
use crate::kernels::Kernel;
use crate::queue::Cuda;
use crate::view::{View, blocks, padded_row, plain};
use bytemuck::NoUninit;
use sam2_engine::backend::AttentionOps;
use sam2_engine::backend::Windows;
use sam2_engine::tensor::{DType, Tensor};
use std::f32::consts::LOG2_E;

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct WindowArgs {
    out: View,
    q: View,
    k: View,
    v: View,
    pad_k: u64,
    pad_v: u64,
    h: i32,
    w: i32,
    hq: i32,
    wq: i32,
    size: i32,
    pool: i32,
    d: i32,
    windows_x: i32,
    windows: i32,
    per_block: i32,
    key_slots: i32,
    query_slots: i32,
    tiles: i32,
    stages: i32,
    scale: f32,
    fast: i32,
    uneven: i32,
    unused: i32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct TokenArgs {
    out: View,
    q: View,
    k: View,
    v: View,
    lens: u64,
    t: i32,
    heads: i32,
    d: i32,
    scale: f32,
}

/// The kernel for a type, a head width and a number of queries. Also the head width to which the kernel pads, and its
/// queries per block.
fn window_kernel(dtype: DType, d: usize, queries: usize) -> (Kernel, usize, usize) {
    use Kernel::*;
    let f32s = [window_attention_f32_32, window_attention_f32_96, window_attention_f32_256];
    let halves = |bf16, f16| if dtype == DType::Bf16 { bf16 } else { f16 };
    let tall = queries >= 128;
    match d {
        0..=32 if dtype == DType::F32 => (f32s[0], 32, 32),
        33..=96 if dtype == DType::F32 => (f32s[1], 96, 32),
        97..=256 if dtype == DType::F32 => (f32s[2], 256, 32),
        0..=32 => (halves(window_attention_bf16_32, window_attention_f16_32), 32, 64),
        33..=64 if tall => (halves(window_attention_bf16_64_tall, window_attention_f16_64_tall), 64, 128),
        33..=64 => (halves(window_attention_bf16_64, window_attention_f16_64), 64, 64),
        65..=72 if tall => (halves(window_attention_bf16_72_tall, window_attention_f16_72_tall), 72, 128),
        65..=72 => (halves(window_attention_bf16_72, window_attention_f16_72), 72, 64),
        73..=96 if tall => (halves(window_attention_bf16_96_tall, window_attention_f16_96_tall), 96, 128),
        73..=96 => (halves(window_attention_bf16_96, window_attention_f16_96), 96, 64),
        97..=256 => (halves(window_attention_bf16_256, window_attention_f16_256), 256, 64),
        _ => panic!("window_attention: heads {d} wide"),
    }
}

/// The kernel for a whole map of 16-bit numbers, and the head width to which it pads.
fn map_kernel(dtype: DType, d: usize) -> Option<(Kernel, usize)> {
    use Kernel::*;
    let halves = |bf16, f16| if dtype == DType::Bf16 { bf16 } else { f16 };
    match d {
        _ if dtype == DType::F32 => None,
        33..=64 => Some((halves(map_attention_bf16_64, map_attention_f16_64), 64)),
        65..=72 => Some((halves(map_attention_bf16_72, map_attention_f16_72), 72)),
        73..=96 => Some((halves(map_attention_bf16_96, map_attention_f16_96), 96)),
        _ => None,
    }
}

impl<D: Device> AttentionOps for Cuda<D> {
    fn window_attention(
        &self,
        out: Tensor<'_>,
        q: Tensor<'_>,
        k: Tensor<'_>,
        v: Tensor<'_>,
        heads: usize,
        windows: Windows<'_>,
    ) {
        let (&[hq, wq, c], &[h, w, _]) = (out.dims(), k.dims()) else { panic!("window_attention: {out:?} {k:?}") };
        let (pool, d, size) = (h / hq, c / heads, windows.size);
        assert!(
            q.dims() == out.dims() && v.dims() == k.dims() && k.cols() == c && heads * d == c,
            "window_attention: {out:?} from {q:?} {k:?} {v:?}, {heads} heads"
        );
        assert!([1, 2].contains(&pool) && (hq * pool, wq * pool) == (h, w), "window_attention: {out:?} from {k:?}");
        assert!([q, k, v].iter().all(|t| t.dtype() == out.dtype()), "window_attention: {out:?} {q:?} {k:?} {v:?}");
        // The kernels count elements in 32 bits, and divide slots of a window by its width without a division.
        assert!(size < 1 << 10, "window_attention: windows {size} wide");
        assert!([out, q, k, v].iter().all(|t| t.rows() * t.stride() < 1 << 31), "window_attention: {q:?} {k:?} {v:?}");
        self.count_operands(&[out, q, k, v]);
        let (windows_x, windows_y) = if size == 0 { (1, 1) } else { (w.div_ceil(size), h.div_ceil(size)) };
        let (keys, queries) = if size == 0 { (h * w, hq * wq) } else { (size * size, (size / pool).pow(2)) };
        let (kernel, width, rows) = window_kernel(out.dtype(), d, queries);
        let f32s = out.dtype() == DType::F32;
        let per_block = if f32s { 1 } else { (64 / keys.max(queries)).max(1) };
        let tiles = if per_block > 1 { 1 } else { queries.div_ceil(rows) };
        let groups = (windows_x * windows_y).div_ceil(per_block);
        let shared_of = |stages: usize| (rows + stages * 2 * 64) * padded_row(width);
        let stages = if per_block * keys > 64 && shared_of(2) <= LEAST_SHARED { 2 } else { 1 };
        let aligned =
            |t: Tensor<'_>| t.addr().is_multiple_of(16) && t.stride().is_multiple_of(8) && d.is_multiple_of(8);
        let args = WindowArgs {
            out: View::of(out),
            q: View::of(q),
            k: View::of(k),
            v: View::of(v),
            pad_k: plain(windows.pad.0, DType::F32),
            pad_v: plain(windows.pad.1, DType::F32),
            h: h as i32,
            w: w as i32,
            hq: hq as i32,
            wq: wq as i32,
            size: size as i32,
            pool: pool as i32,
            d: d as i32,
            windows_x: windows_x as i32,
            windows: (windows_x * windows_y) as i32,
            per_block: per_block as i32,
            key_slots: keys as i32,
            query_slots: queries as i32,
            tiles: tiles as i32,
            stages: stages as i32,
            scale: LOG2_E / (d as f32).sqrt(),
            fast: [out, q, k, v].into_iter().all(aligned) as i32,
            uneven: (size > 0 && (h % size > 0 || w % size > 0)) as i32,
            unused: 0,
        };
        let covered = if size == 0 { hq * wq * h * w } else { hq * wq * size * size };
        self.count(|c| c.matmul_flops += (4 * covered * d * heads) as u64);
        // Whole maps have a kernel of their own, if their rows are aligned and its shared memory is available.
        if let Some((kernel, width)) = map_kernel(out.dtype(), d)
            && size == 0
            && hq * wq >= 128
            && args.fast == 1
            && k.stride() == v.stride()
        {
            let shared = (128 + 2 * 4 * 64) * padded_row(width);
            if shared <= self.device.shared() {
                return self.launch(kernel, [(hq * wq).div_ceil(128), heads, 1], shared, &args);
            }
        }
        let shared = if f32s {
            let keys = if width > 128 { 16 } else { 32 };
            ((32 + 2 * keys) * (width + 4) + 32 * (keys + 1)) * 4
        } else {
            shared_of(stages)
        };
        self.launch(kernel, [groups * tiles, heads, 1], shared, &args);
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
        let [p, t, c] = *out.dims() else { panic!("token_attention: {out:?}") };
        assert!(
            [q, k, v].iter().all(|x| x.dims() == out.dims()) && lens.len() == p && c.is_multiple_of(heads),
            "token_attention: {out:?} from {q:?} {k:?} {v:?}, lengths {lens:?}"
        );
        assert!(c / heads <= 256, "token_attention: heads {} wide", c / heads);
        self.count_operands(&[out, q, k, v]);
        self.count(|counters| counters.matmul_flops += (4 * p * t * t * c) as u64);
        let args = TokenArgs {
            out: View::of(out),
            q: View::of(q),
            k: View::of(k),
            v: View::of(v),
            lens: plain(lens, DType::I32),
            t: t as i32,
            heads: heads as i32,
            d: (c / heads) as i32,
            scale: LOG2_E / ((c / heads) as f32).sqrt(),
        };
        self.launch(Kernel::token_attention, [blocks(t, 8), heads, p], 0, &args);
    }
}

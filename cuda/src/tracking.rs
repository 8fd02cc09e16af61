//! The memory bank. The kernels are in `kernels/tracking.cu`.

use crate::device::Device;
use crate::kernels::Kernel;
use crate::queue::Cuda;
use crate::view::{View, blocks, plain};
use bytemuck::NoUninit;
use sam2_engine::backend::TrackingOps;
use sam2_engine::backend::{Absent, Bank, BankIndex, BankSizes, NO_OBJ_SCORE};
use sam2_engine::tensor::{DType, Tensor};

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct GatherArgs {
    keys: View,
    values: View,
    maps: View,
    pointers: View,
    space: View,
    time: View,
    pointer_times: View,
    counts: u64,
    map_of: u64,
    time_of: u64,
    pointer_of: u64,
    m: i32,
    c: i32,
    hw: i32,
    parts: i32,
    b: i32,
    q: i32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct WriteBankSlotsArgs {
    bank: View,
    x: View,
    slots: u64,
    scores: u64,
    absent: u64,
    n: i32,
    c: i32,
    replace: i32,
    pad: i32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct GatherRowsArgs {
    out: View,
    x: View,
    rows: u64,
    p: i32,
    n: i32,
    c: i32,
    first: i32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct MaskAbsentArgs {
    masks: u64,
    scores: u64,
    pixels: i32,
    value: f32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct MemoryMaskArgs {
    out: View,
    masks: u64,
    selected: u64,
    binary: u64,
    n: i32,
    h: i32,
    w: i32,
    side: i32,
    scale: f32,
    bias: f32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct DepthwiseArgs {
    out: View,
    x: View,
    weights: u64,
    bias: u64,
    p: i32,
    h: i32,
    w: i32,
    c: i32,
}

impl<D: Device> TrackingOps for Cuda<D> {
    fn gather_memories(&self, keys: Tensor<'_>, values: Tensor<'_>, bank: Bank<'_>, index: BankIndex<'_>) {
        let BankSizes { p, m, c, hw, k, b, q } = BankSizes::of(keys, values, &bank, &index);
        self.count_operands(&[keys, values]);
        let args = GatherArgs {
            keys: View::of(keys),
            values: View::of(values),
            maps: View::of(bank.maps),
            pointers: View::of(bank.pointers),
            space: View::of(bank.space),
            time: View::of(bank.time),
            pointer_times: View::of(index.pointer_times),
            counts: plain(index.counts, DType::I32),
            map_of: plain(index.maps, DType::I32),
            time_of: plain(index.times, DType::I32),
            pointer_of: plain(index.pointers, DType::I32),
            m: m as i32,
            c: c as i32,
            hw: hw as i32,
            parts: k as i32,
            b: b as i32,
            q: q as i32,
        };
        self.launch(Kernel::gather_memories, [blocks(m * c.div_ceil(4), 256), p, 1], 0, &args);
    }

    fn write_bank_slots(&self, bank: Tensor<'_>, x: Tensor<'_>, slots: Tensor<'_>, absent: Option<Absent<'_>>) {
        let (&[p, n, c], &[_, bn, bc]) = (x.dims(), bank.dims()) else { panic!("write_bank_slots: {bank:?} {x:?}") };
        assert!((bn, bc) == (n, c) && slots.len() == p, "write_bank_slots: {bank:?} from {x:?}, {slots:?}");
        if let Some(Absent { scores, vector, .. }) = absent {
            assert!(scores.len() == p && vector.len() == c, "write_bank_slots: {x:?}, {scores:?} {vector:?}");
        }
        self.count_operands(&[x, x]);
        let args = WriteBankSlotsArgs {
            bank: View::of(bank),
            x: View::of(x),
            slots: plain(slots, DType::I32),
            scores: absent.map_or(0, |a| plain(a.scores, DType::F32)),
            absent: absent.map_or(0, |a| plain(a.vector, DType::F32)),
            n: n as i32,
            c: c as i32,
            replace: absent.is_some_and(|a| a.replace) as i32,
            pad: 0,
        };
        self.launch(Kernel::write_bank_slots, [blocks(n * c.div_ceil(4), 256), p, 1], 0, &args);
    }

    fn gather_rows(&self, out: Tensor<'_>, x: Tensor<'_>, first: usize, rows: Tensor<'_>) {
        let &[p, n, c] = x.dims() else { panic!("gather_rows: {x:?}") };
        assert!(out.dims() == [p, c] && rows.len() == p, "gather_rows: {out:?} of {x:?}, {rows:?}");
        self.count_operands(&[out, out]);
        let args = GatherRowsArgs {
            out: View::of(out),
            x: View::of(x),
            rows: plain(rows, DType::I32),
            p: p as i32,
            n: n as i32,
            c: c as i32,
            first: first as i32,
        };
        self.launch(Kernel::gather_rows, [blocks(p * c, 256), 1, 1], 0, &args);
    }

    fn mask_absent_objects(&self, masks: Tensor<'_>, scores: Tensor<'_>) {
        let p = masks.dim(0);
        assert!(scores.len() == p, "mask_absent_objects: {masks:?} by {scores:?}");
        self.count_operands(&[masks]);
        let pixels = masks.len() / p.max(1);
        let (masks, scores) = (plain(masks, DType::F32), plain(scores, DType::F32));
        let args = MaskAbsentArgs { masks, scores, pixels: pixels as i32, value: NO_OBJ_SCORE };
        self.launch(Kernel::mask_absent_objects, [blocks(pixels, 256), p, 1], 0, &args);
    }

    fn memory_mask(
        &self,
        out: Tensor<'_>,
        masks: Tensor<'_>,
        selected: Tensor<'_>,
        binary: Tensor<'_>,
        scale: f32,
        bias: f32,
    ) {
        let (&[p, n, h, w], &[_, side, _, 1]) = (masks.dims(), out.dims()) else {
            panic!("memory_mask: {out:?} {masks:?}")
        };
        assert!(
            out.dims() == [p, side, side, 1] && out.is_contiguous() && selected.len() == p && binary.len() == p,
            "memory_mask: {out:?} of {masks:?}, {selected:?} {binary:?}"
        );
        self.count_operands(&[out]);
        let args = MemoryMaskArgs {
            out: View::of(out),
            masks: plain(masks, DType::F32),
            selected: plain(selected, DType::I32),
            binary: plain(binary, DType::I32),
            n: n as i32,
            h: h as i32,
            w: w as i32,
            side: side as i32,
            scale,
            bias,
        };
        self.launch(Kernel::memory_mask, [blocks(side * side, 256), p, 1], 0, &args);
    }

    fn depthwise_conv7x7(&self, out: Tensor<'_>, x: Tensor<'_>, weights: Tensor<'_>, bias: Tensor<'_>) {
        let &[p, h, w, c] = x.dims() else { panic!("depthwise_conv7x7: {x:?}") };
        assert!(
            out.dims() == x.dims() && weights.dims() == [49, c] && bias.len() == c,
            "depthwise_conv7x7: {out:?} from {x:?} by {weights:?}"
        );
        self.count_operands(&[out, x]);
        self.count(|counters| counters.matmul_flops += (2 * p * h * w * 49 * c) as u64);
        let args = DepthwiseArgs {
            out: View::of(out),
            x: View::of(x),
            weights: plain(weights, DType::F32),
            bias: plain(bias, DType::F32),
            p: p as i32,
            h: h as i32,
            w: w as i32,
            c: c as i32,
        };
        let grid = [w.div_ceil(16), h.div_ceil(8), p * c.div_ceil(32)];
        self.launch(Kernel::depthwise_conv7x7, grid, (22 * 14 + 49) * 32 * 4, &args);
    }
}

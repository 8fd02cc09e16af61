//! Choosing, mending and writing masks: `kernels/masks.cu`.

use crate::device::Device;
use crate::{Cuda, Kernel, blocks, plain};
use bytemuck::NoUninit;
use sam2_engine::backend::{Cleaning, Selection};
use sam2_engine::tensor::{DType, Tensor};
use sam2_engine::{MaskData, MaskOut};

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct SelectArgs {
    out: u64,
    masks: u64,
    iou: u64,
    pixels: i32,
    kind: i32,
    delta: f32,
    thresh: f32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct CleanArgs {
    out: u64,
    masks: u64,
    selected: u64,
    labels: u64,
    areas: u64,
    planes: i32,
    n: i32,
    all: i32,
    h: i32,
    w: i32,
    threshold: f32,
    hole: f32,
    sprinkle: f32,
    margin: f32,
    pad: i32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct WriteArgs {
    out: u64,
    masks: u64,
    selected: u64,
    count: i32,
    per: i32,
    n: i32,
    h: i32,
    w: i32,
    out_h: i32,
    out_w: i32,
    binary: i32,
    limit: f32,
    pad: i32,
}

impl<D: Device> Cuda<D> {
    pub(crate) fn select_masks(&self, out: Tensor<'_>, masks: Tensor<'_>, iou: Tensor<'_>, selection: Selection) {
        let [p, 4, h, w] = *masks.dims() else { panic!("select_masks: {masks:?}") };
        let n = selection.masks();
        assert!(out.len() == p * n && iou.dims() == [p, 4], "select_masks: {out:?} from {masks:?} {iou:?}");
        self.count_operands(&[out, iou]);
        let (kind, delta, thresh) = match selection {
            Selection::Multimask => (0, 0.0, 0.0),
            Selection::Single => (1, 0.0, 0.0),
            Selection::Stable { delta, thresh } => (2, delta, thresh),
            Selection::Best => (3, 0.0, 0.0),
        };
        let args = SelectArgs {
            out: plain(out, DType::I32),
            masks: plain(masks, DType::F32),
            iou: plain(iou, DType::F32),
            pixels: (h * w) as i32,
            kind,
            delta,
            thresh,
        };
        self.launch(Kernel::select_masks, [p, 1, 1], 8, &args);
    }

    pub(crate) fn clean_masks(
        &self,
        out: Tensor<'_>,
        masks: Tensor<'_>,
        selected: Tensor<'_>,
        labels: Tensor<'_>,
        areas: Tensor<'_>,
        cleaning: Cleaning,
    ) {
        let [p, n, h, w] = *out.dims() else { panic!("clean_masks: {out:?}") };
        let all = masks.dim(1);
        assert!(
            masks.dims() == [p, all, h, w] && selected.len() == p * n,
            "clean_masks: {out:?} from {masks:?}, selected {selected:?}"
        );
        assert!(labels.len() == out.len() && areas.len() == out.len(), "clean_masks: {out:?}, {labels:?}, {areas:?}");
        self.count_operands(&[out, out]);
        let args = CleanArgs {
            out: plain(out, DType::F32),
            masks: plain(masks, DType::F32),
            selected: plain(selected, DType::I32),
            labels: plain(labels, DType::I32),
            areas: plain(areas, DType::I32),
            planes: (p * n) as i32,
            n: n as i32,
            all: all as i32,
            h: h as i32,
            w: w as i32,
            threshold: cleaning.threshold,
            hole: cleaning.hole,
            sprinkle: cleaning.sprinkle,
            margin: cleaning.margin,
            pad: 0,
        };
        for kernel in [Kernel::clean_start, Kernel::clean_join, Kernel::clean_count, Kernel::clean_write] {
            self.launch(kernel, [blocks(out.len(), 256), 1, 1], 0, &args);
        }
    }

    pub(crate) fn write_masks(&self, out: MaskOut<'_>, masks: Tensor<'_>, selected: Option<Tensor<'_>>) {
        let [p, n, h, w] = *masks.dims() else { panic!("write_masks: {masks:?}") };
        let (out_h, out_w) = (out.height, out.width);
        let count = selected.map_or(p * n, |s| s.len());
        let pixels = out.data.pixels();
        let full = count.checked_mul(out_h).and_then(|n| n.checked_mul(out_w));
        assert!(full == Some(pixels), "write_masks: {count} masks of {out_h}x{out_w} into {pixels} pixels");
        let (to, binary, limit) = match out.data {
            MaskData::Binary(data, threshold) => (Ok(data), true, threshold),
            MaskData::Logits(data, bound) => (Ok(bytemuck::cast_slice_mut(data)), false, bound),
            MaskData::DeviceBinary(slice, threshold) => (Err(slice), true, threshold),
            MaskData::DeviceLogits(slice, bound) => (Err(slice), false, bound),
        };
        let size = if binary { 1 } else { 4 };
        self.count(|c| c.bytes += (count * h * w * 4 + pixels * size) as u64);
        if self.failed() || pixels == 0 {
            return;
        }
        let addr = match &to {
            Ok(_) => self.edge(pixels * size, "masks"),
            Err(slice) => {
                self.keep(self.device.follow(slice.stream()));
                Some(slice.address())
            }
        };
        let Some(addr) = addr else { return };
        let args = WriteArgs {
            out: addr,
            masks: plain(masks, DType::F32),
            selected: selected.map_or(0, |s| plain(s, DType::I32)),
            count: count as i32,
            per: (count / p) as i32,
            n: n as i32,
            h: h as i32,
            w: w as i32,
            out_h: out_h as i32,
            out_w: out_w as i32,
            binary: binary as i32,
            limit,
            pad: 0,
        };
        self.launch(Kernel::write_masks, [blocks(out_h * out_w, 256), count, 1], 0, &args);
        if !self.failed() {
            self.keep(match to {
                Ok(bytes) => self.staging.borrow_mut().down(&self.device, bytes, addr),
                Err(slice) => self.device.lead(slice.stream()),
            });
        }
    }
}

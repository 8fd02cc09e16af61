//! Selects masks, fills holes and removes specks. The kernels are in `kernels/masks.cu`.

use crate::device::Device;
use crate::kernels::Kernel;
use crate::queue::Cuda;
use crate::view::{blocks, plain};
use bytemuck::NoUninit;
use sam2_engine::backend::MaskOps;
use sam2_engine::backend::{Cleaning, Selection};
use sam2_engine::tensor::{DType, Tensor};

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

impl<D: Device> MaskOps for Cuda<D> {
    fn select_masks(&self, out: Tensor<'_>, masks: Tensor<'_>, iou: Tensor<'_>, selection: Selection) {
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

    fn clean_masks(
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
}

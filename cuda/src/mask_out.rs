//! Mask output: masks are written, labelled or measured. The kernels are in `kernels/mask_out.cu`.

use crate::device::Device;
use crate::kernels::Kernel;
use crate::queue::Cuda;
use crate::staging::Rows;
use crate::view::{blocks, plain};
use bytemuck::NoUninit;
use sam2_engine::backend::MaskOutOps;
use sam2_engine::backend::Measure;
use sam2_engine::tensor::{DType, Tensor};
use sam2_engine::{MaskFormat, MaskMemory, MaskOut, MaskTarget};

/// Rows that one block measures.
const ROWS: usize = 4;

/// Bytes of the measures of one mask.
const MEASURES: usize = 28;

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct Planes {
    masks: u64,
    selected: u64,
    count: i32,
    per: i32,
    n: i32,
    h: i32,
    w: i32,
    out_h: i32,
    out_w: i32,
    pad: i32,
}

impl Planes {
    fn of(masks: Tensor<'_>, selected: Option<Tensor<'_>>, (out_h, out_w): (usize, usize)) -> Planes {
        let [p, n, h, w] = *masks.dims() else { panic!("masks out: {masks:?}") };
        let count = selected.map_or(p * n, |s| s.len());
        assert!(count.is_multiple_of(p.max(1)), "masks out: {masks:?}, {selected:?}");
        Planes {
            masks: plain(masks, DType::F32),
            selected: selected.map_or(0, |s| plain(s, DType::I32)),
            count: count as i32,
            per: (count / p.max(1)) as i32,
            n: n as i32,
            h: h as i32,
            w: w as i32,
            out_h: out_h as i32,
            out_w: out_w as i32,
            pad: 0,
        }
    }

    fn count(&self) -> usize {
        self.count as usize
    }

    /// Bytes of the masks that are read.
    fn bytes(&self) -> usize {
        self.count() * self.h as usize * self.w as usize * 4
    }
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct WriteArgs {
    planes: Planes,
    out: u64,
    row: u64,
    plane: u64,
    limit: f32,
    format: i32,
    flipped: i32,
    blocks: i32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct LabelArgs {
    planes: Planes,
    out: u64,
    row: u64,
    values: u64,
    threshold: f32,
    flipped: i32,
    bytes: i32,
    pad: i32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct MeasureArgs {
    planes: Planes,
    parts: u64,
    thresholds: [f32; 3],
    blocks: i32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct MeasureMergeArgs {
    out: u64,
    parts: u64,
    blocks: i32,
    pad: i32,
}

impl<D: Device> MaskOutOps for Cuda<D> {
    fn write_masks(&self, out: MaskOut<'_>, masks: Tensor<'_>, selected: Option<Tensor<'_>>) {
        let (height, width, limit) = (out.height, out.width, out.limit);
        let planes = Planes::of(masks, selected, (height, width));
        let target = out.target("write_masks", planes.count(), false);
        let flipped = target.flipped as i32;
        let (code, items) = match target.format {
            MaskFormat::Binary => (0, width.div_ceil(4)),
            MaskFormat::Bits => (1, width.div_ceil(8)),
            MaskFormat::Logits => (2, width.div_ceil(4)),
            MaskFormat::Labels | MaskFormat::Ids8 | MaskFormat::Ids16 => unreachable!("asserted above"),
        };
        self.masks_out(target, &planes, |[out, row, plane]| {
            let blocks = blocks(height * items, 256);
            let grid = [planes.count() * blocks, 1, 1];
            let args = WriteArgs { planes, out, row, plane, limit, format: code, flipped, blocks: blocks as i32 };
            self.launch(Kernel::write_masks, grid, 0, &args);
        });
    }

    fn write_labels(
        &self,
        out: MaskOut<'_>,
        masks: Tensor<'_>,
        selected: Option<Tensor<'_>>,
        values: Option<Tensor<'_>>,
    ) {
        let (height, width, threshold) = (out.height, out.width, out.limit);
        let planes = Planes::of(masks, selected, (height, width));
        assert!(planes.count() <= MaskFormat::MOST_LABELS, "write_labels: {masks:?}");
        assert!(values.is_none_or(|values| values.len() == planes.count()), "write_labels: {masks:?}, {values:?}");
        let target = out.target("write_labels", planes.count(), true);
        let bytes = if target.format == MaskFormat::Ids8 { 1 } else { 2 };
        let (flipped, values) = (target.flipped as i32, values.map_or(0, |values| plain(values, DType::I32)));
        self.masks_out(target, &planes, |[out, row, _]| {
            let args = LabelArgs { planes, out, row, values, threshold, flipped, bytes, pad: 0 };
            self.launch(Kernel::write_labels, [blocks(height * width, 256), 1, 1], 0, &args);
        });
    }

    fn measure_masks(&self, out: Tensor<'_>, masks: Tensor<'_>, selected: Option<Tensor<'_>>, measure: Measure) {
        let Measure { threshold, offset, height, width } = measure;
        let planes = Planes::of(masks, selected, (height, width));
        let count = planes.count();
        assert!(out.dims() == [count, 7], "measure_masks: {out:?} of {masks:?}");
        self.count_operands(&[out]);
        self.count(|c| c.bytes += planes.bytes() as u64);
        let rows = blocks(height, ROWS);
        let Some(parts) = self.workspace(count * rows * MEASURES) else { return };
        if count == 0 {
            return;
        }
        let thresholds = [threshold, threshold + offset, threshold - offset];
        let args = MeasureArgs { planes, parts, thresholds, blocks: rows as i32 };
        self.launch(Kernel::measure_masks, [count * rows, 1, 1], 8 * MEASURES, &args);
        let args = MeasureMergeArgs { out: plain(out, DType::I32), parts, blocks: rows as i32, pad: 0 };
        self.launch(Kernel::measure_merge, [count, 1, 1], 0, &args);
    }
}

impl<D: Device> Cuda<D> {
    /// Launches `write` into caller-provided memory: its address, and the bytes from a row and from a mask to the next.
    /// Output to host memory goes through device memory, without space between rows and masks.
    fn masks_out(&self, target: MaskTarget<'_>, planes: &Planes, write: impl FnOnce([u64; 3])) {
        let bytes = target.bytes();
        self.count(|c| c.bytes += (planes.bytes() + bytes) as u64);
        if self.failed() || bytes == 0 {
            return;
        }
        let rows = Rows::of(&target);
        match target.memory {
            MaskMemory::Host(data) => {
                let Some(addr) = self.io_buffer(bytes, "masks") else { return };
                write([addr, target.row_bytes as u64, (target.row_bytes * target.height) as u64]);
                if !self.failed() {
                    self.keep(self.staging.borrow_mut().down_rows(&self.device, data, &rows, addr));
                }
            }
            MaskMemory::Device(slice) => {
                self.keep(self.device.follow(slice.stream()));
                write([slice.address(), target.row_stride as u64, target.plane_stride as u64]);
                if !self.failed() {
                    self.keep(self.device.lead(slice.stream()));
                }
            }
        }
    }
}

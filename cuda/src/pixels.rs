//! Pictures in: `kernels/pixels.cu`.

use crate::device::Device;
use crate::{Cuda, Kernel, View, blocks};
use bytemuck::NoUninit;
use sam2_engine::backend::Filter;
use sam2_engine::resample::{bicubic as bicubic_filter, bicubic_taps};
use sam2_engine::tensor::Tensor;
use sam2_engine::{Frame, PixelFormat, Pixels};

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct PictureArgs {
    out: View,
    pixels: u64,
    lines: u64,
    weights: u64,
    width: i32,
    height: i32,
    row: i32,
    side: i32,
    step: i32,
    offset: [i32; 3],
    is_float: i32,
    taps: i32,
}

impl<D: Device> Cuda<D> {
    pub(crate) fn preprocess(&self, out: Tensor<'_>, frame: &Frame<'_>, filter: Filter) {
        let side = out.dim(0);
        assert!(out.dims() == [side, side, 3], "preprocess: {out:?}");
        self.count_operands(&[out]);
        let (width, height, format) = (frame.width(), frame.height(), frame.format());
        let row = width * format.bytes();
        self.count(|c| c.bytes += (row * height) as u64);
        if self.failed() {
            return;
        }
        let host = matches!(frame.pixels(), Pixels::Host(_));
        let picture = if host { (row * height).next_multiple_of(256) } else { 0 };
        // Lines: of `Bilinear` (side, width, 3) f32, of `Bicubic` (height, side, 3) bytes and the filters' weights.
        let bicubic = filter == Filter::Bicubic && format != PixelFormat::RgbF32;
        let taps = bicubic_taps(width.max(height), side);
        let lines = if bicubic { (height * side * 3).next_multiple_of(256) } else { side * width * 12 };
        let tables = if bicubic { 2 * side * (taps + 2) * 4 } else { 0 };
        let Some(edge) = self.edge(picture + lines + tables, "a picture") else { return };
        let (pixels, stride) = match frame.pixels() {
            Pixels::Host(bytes) => {
                self.keep(self.staging.borrow_mut().up(&self.device, edge, row * height, |to| {
                    for (to, from) in to.chunks_mut(row).zip(bytes.chunks(frame.stride())) {
                        to.copy_from_slice(&from[..row]);
                    }
                }));
                (edge, row)
            }
            Pixels::Device(slice) => {
                self.keep(self.device.follow(slice.stream()));
                (slice.address(), frame.stride())
            }
        };
        let weights = edge + (picture + lines) as u64;
        if bicubic {
            self.keep(self.staging.borrow_mut().up(&self.device, weights, tables, |bytes| {
                for (i, entry) in bytemuck::cast_slice_mut::<u8, i32>(bytes).chunks_mut(taps + 2).enumerate() {
                    let (place, rest) = entry.split_at_mut(2);
                    let (first, count) = bicubic_filter(i % side, if i < side { width } else { height }, side, rest);
                    place.copy_from_slice(&[first as i32, count as i32]);
                }
            }));
        }
        let args = PictureArgs {
            out: View::of(out),
            pixels,
            lines: edge + picture as u64,
            weights,
            taps: taps as i32,
            width: width as i32,
            height: height as i32,
            row: stride as i32,
            side: side as i32,
            step: format.channels() as i32,
            offset: format.rgb_offsets().map(|i| i as i32),
            is_float: (format == PixelFormat::RgbF32) as i32,
        };
        if bicubic {
            self.launch(Kernel::bicubic_rows, [blocks(side, 256), height, 1], 0, &args);
            self.launch(Kernel::bicubic_columns, [blocks(side, 256), side, 1], 0, &args);
        } else {
            self.launch(Kernel::preprocess_columns, [blocks(width, 256), side, 1], 0, &args);
            self.launch(Kernel::preprocess_rows, [blocks(side, 256), side, 1], 0, &args);
        }
        if let Pixels::Device(slice) = frame.pixels()
            && !self.failed()
        {
            self.keep(self.device.lead(slice.stream()));
        }
    }
}

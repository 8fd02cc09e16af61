//! Pictures in: `kernels/pixels.cu`.

use crate::device::Device;
use crate::{Cuda, Kernel, View, blocks};
use sam2_engine::tensor::Tensor;
use sam2_engine::{Frame, PixelFormat};

#[derive(Clone, Copy)]
#[repr(C)]
struct PictureArgs {
    out: View,
    pixels: u64,
    lines: u64,
    width: i32,
    height: i32,
    row: i32,
    side: i32,
    step: i32,
    offset: [i32; 3],
    is_float: i32,
}

impl<D: Device> Cuda<D> {
    pub(crate) fn preprocess(&self, out: Tensor<'_>, frame: &Frame<'_>) {
        let side = out.dim(0);
        assert!(out.dims() == [side, side, 3], "preprocess: {out:?}");
        self.count_operands(&[out]);
        let (width, height, format) = (frame.width(), frame.height(), frame.format());
        let row = width * format.bytes();
        self.count(|c| c.bytes += (row * height) as u64);
        if self.failed() {
            return;
        }
        let picture = (row * height).next_multiple_of(256);
        let Some(pixels) = self.edge(picture + side * width * 12, "a picture") else { return };
        let rows = (0..height).map(|y| frame.row(y));
        self.keep(self.staging.borrow_mut().up(&self.device, pixels, row * height, rows));
        let args = PictureArgs {
            out: View::of(out),
            pixels,
            lines: pixels + picture as u64,
            width: width as i32,
            height: height as i32,
            row: row as i32,
            side: side as i32,
            step: format.channels() as i32,
            offset: format.rgb_offsets().map(|i| i as i32),
            is_float: (format == PixelFormat::RgbF32) as i32,
        };
        self.launch(Kernel::preprocess_columns, [blocks(width, 256), side, 1], 0, &args);
        self.launch(Kernel::preprocess_rows, [blocks(side, 256), side, 1], 0, &args);
    }
}

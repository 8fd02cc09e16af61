//! Pictures in: `kernels/pixels.cu`.

use crate::device::Device;
use crate::{Cuda, Kernel, View, blocks};
use bytemuck::{NoUninit, Pod, Zeroable};
use sam2_engine::backend::{Filter, Memory};
use sam2_engine::resample::{bicubic as bicubic_filter, bicubic_taps};
use sam2_engine::tensor::Tensor;
use sam2_engine::{Frame, PixelValue, Pixels, YuvNumbers};

const BYTES: i32 = 0;
const FLOATS: i32 = 1;
const YUV: i32 = 2;
const HALVES: i32 = 3;
const BFLOATS: i32 = 4;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Channel {
    at: u64,
    row: i32,
    step: i32,
    halved: [i32; 2],
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct PictureArgs {
    out: View,
    channel: [Channel; 3],
    lines: u64,
    weights: u64,
    width: i32,
    height: i32,
    side: i32,
    taps: i32,
    flipped: i32,
    kind: i32,
    yuv: YuvNumbers,
}

/// Weights of the bicubic filter: for each column, then each row, of the result, the first pixel, how many, and a weight
/// of each.
pub(crate) struct Filters<M> {
    /// Width and height of the picture, and the side of the result.
    of: (usize, usize, usize),
    memory: M,
}

impl<D: Device> Cuda<D> {
    /// Where the weights are for pictures of this size; none after a failure.
    fn filters(&self, width: usize, height: usize, side: usize) -> Option<u64> {
        let (of, taps) = ((width, height, side), bicubic_taps(width.max(height), side));
        let mut filters = self.filters.borrow_mut();
        if filters.as_ref().is_none_or(|f| f.of != of) {
            let bytes = 2 * side * (taps + 2) * 4;
            // What is enqueued may still use the old ones.
            let made = self.wait().and_then(|()| {
                *filters = None;
                let memory = self.device.alloc(bytes, "the weights of a filter")?;
                self.staging.borrow_mut().up(&self.device, memory.addr(), bytes, |bytes| {
                    for (i, entry) in bytemuck::cast_slice_mut::<u8, i32>(bytes).chunks_mut(taps + 2).enumerate() {
                        let (place, rest) = entry.split_at_mut(2);
                        let from = if i < side { width } else { height };
                        let (first, count) = bicubic_filter(i % side, from, side, rest);
                        place.copy_from_slice(&[first as i32, count as i32]);
                    }
                })?;
                Ok(Filters { of, memory })
            });
            match made {
                Ok(made) => *filters = Some(made),
                Err(e) => {
                    self.keep(Err(e));
                    return None;
                }
            }
        }
        filters.as_ref().map(|f| f.memory.addr())
    }

    pub(crate) fn preprocess(&self, out: Tensor<'_>, frame: &Frame<'_>, filter: Filter) {
        let side = out.dim(0);
        assert!(out.dims() == [side, side, 3], "preprocess: {out:?}");
        self.count_operands(&[out]);
        let (width, height, format) = (frame.width(), frame.height(), frame.format());
        self.count(|c| c.bytes += frame.bytes() as u64);
        if self.failed() {
            return;
        }
        let picture = if frame.is_device() { 0 } else { frame.bytes().next_multiple_of(256) };
        // Lines: of `Bilinear` (side, width, 3) f32, of `Bicubic` (height, side, 3) bytes.
        let bicubic = filter == Filter::Bicubic && !format.is_float();
        let taps = bicubic_taps(width.max(height), side);
        let lines = if bicubic { height * side * 3 } else { side * width * 12 };
        let Some(edge) = self.edge(picture + lines, "a picture") else { return };
        let weights = if bicubic { self.filters(width, height, side) } else { Some(0) };
        let Some(weights) = weights else { return };
        // Where each plane is, and its stride.
        let (mut planes, mut at) = ([(0, 0); 3], edge);
        for (i, plane) in frame.memory().iter().enumerate() {
            planes[i] = match plane.pixels {
                Pixels::Host(bytes) => {
                    let (to, row, rows) = (at, format.row_bytes(i, width), format.rows(i, height));
                    self.keep(self.staging.borrow_mut().up(&self.device, to, row * rows, |to| {
                        for (to, from) in to.chunks_mut(row).zip(bytes.chunks(plane.stride)) {
                            to.copy_from_slice(&from[..row]);
                        }
                    }));
                    at += (row * rows) as u64;
                    (to, row)
                }
                Pixels::Device(slice) => (slice.address(), plane.stride),
            };
        }
        let stream = match frame.memory()[0].pixels {
            Pixels::Device(slice) => Some(slice.stream()),
            Pixels::Host(_) => None,
        };
        if let Some(stream) = stream {
            self.keep(self.device.follow(stream));
        }
        let size = format.value_bytes();
        let args = PictureArgs {
            out: View::of(out),
            channel: format.channels().map(|c| Channel {
                at: planes[c.plane].0 + (c.offset * size) as u64,
                row: planes[c.plane].1 as i32,
                step: (c.step * size) as i32,
                halved: c.halved.map(i32::from),
            }),
            lines: edge + picture as u64,
            weights,
            width: width as i32,
            height: height as i32,
            side: side as i32,
            taps: taps as i32,
            flipped: frame.is_flipped() as i32,
            kind: match format.value() {
                PixelValue::U8 => format.yuv().map_or(BYTES, |_| YUV),
                PixelValue::F32 => FLOATS,
                PixelValue::F16 => HALVES,
                PixelValue::Bf16 => BFLOATS,
            },
            yuv: format.yuv().map_or([0; 6], |yuv| yuv.numbers()),
        };
        if bicubic {
            self.launch(Kernel::bicubic_rows, [blocks(side, 256), height, 1], 0, &args);
            self.launch(Kernel::bicubic_columns, [blocks(side, 256), side, 1], 0, &args);
        } else {
            self.launch(Kernel::preprocess_columns, [blocks(width, 256), side, 1], 0, &args);
            self.launch(Kernel::preprocess_rows, [blocks(side, 256), side.div_ceil(4), 1], 0, &args);
        }
        if let Some(stream) = stream
            && !self.failed()
        {
            self.keep(self.device.lead(stream));
        }
    }
}

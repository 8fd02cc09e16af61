//! Image input. The kernels are in `kernels/pixels.cu`.

use crate::device::{Device, Pinned};
use crate::kernels::Kernel;
use crate::pictures::{Filters, Pictures};
use crate::queue::Cuda;
use crate::view::{View, blocks};
use bytemuck::{NoUninit, Pod, Zeroable};
use sam2_engine::backend::PixelOps;
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

/// Bytes of a picture on the device, where rows have no gaps: none of one that is there already.
fn packed_bytes(frame: &Frame<'_>) -> usize {
    let (width, format) = (frame.width(), frame.format());
    let planes = frame.memory().iter().enumerate().filter(|(_, plane)| matches!(plane.pixels, Pixels::Host(_)));
    planes.map(|(i, _)| format.row_bytes(i, width) * format.rows(i, frame.height())).sum()
}

/// Copies the rows of all planes, one after another.
fn pack(to: &mut [u8], frame: &Frame<'_>) {
    let (mut to, width, format) = (to, frame.width(), frame.format());
    for (i, plane) in frame.memory().iter().enumerate() {
        let Pixels::Host(bytes) = plane.pixels else { continue };
        let (row, rows) = (format.row_bytes(i, width), format.rows(i, frame.height()));
        let (packed, rest) = to.split_at_mut(row * rows);
        packed.chunks_mut(row).zip(bytes.chunks(plane.stride)).for_each(|(to, from)| to.copy_from_slice(&from[..row]));
        to = rest;
    }
}

/// The channels of an image on the device. `at` is the address of the planes that were copied from the host.
fn channels(frame: &Frame<'_>, mut at: u64) -> [Channel; 3] {
    let (width, height, format) = (frame.width(), frame.height(), frame.format());
    // The address and the stride of each plane.
    let mut planes = [(0, 0); 3];
    for (i, plane) in frame.memory().iter().enumerate() {
        planes[i] = match plane.pixels {
            Pixels::Host(_) => {
                let (to, row) = (at, format.row_bytes(i, width));
                at += (row * format.rows(i, height)) as u64;
                (to, row)
            }
            Pixels::Device(slice) => (slice.address(), plane.stride),
        };
    }
    let size = format.value_bytes();
    format.channels().map(|c| Channel {
        at: planes[c.plane].0 + (c.offset * size) as u64,
        row: planes[c.plane].1 as i32,
        step: (c.step * size) as i32,
        halved: c.halved.map(i32::from),
    })
}

impl<D: Device> PixelOps for Cuda<D> {
    fn stage(&self, frame: &Frame<'_>) -> bool {
        self.stage_picture(frame)
    }

    fn preprocess_staged(&self, out: Tensor<'_>, frame: &Frame<'_>, filter: Filter) {
        self.preprocess_picture(out, frame, filter, true);
    }

    fn preprocess(&self, out: Tensor<'_>, frame: &Frame<'_>, filter: Filter) {
        self.preprocess_picture(out, frame, filter, false);
    }
}

impl<D: Device> Cuda<D> {
    /// Copies an image to the device by a queue of its own. Returns false if the image is not staged.
    pub(crate) fn stage_picture(&self, frame: &Frame<'_>) -> bool {
        let Pictures { memory, pinned } = &mut *self.pictures.borrow_mut();
        let bytes = packed_bytes(frame);
        // Growing memory would wait for the work that this copy should overlap.
        let Some(to) = memory.as_ref().filter(|m| m.bytes() >= bytes && bytes > 0 && !self.failed()) else {
            return false;
        };
        let mut ahead = self.ahead.borrow_mut();
        let mut copy = || {
            let queue = match &mut *ahead {
                Some(queue) => queue,
                none => {
                    let queue = self.device.fork()?;
                    self.device.lead(queue.stream())?;
                    none.insert(queue)
                }
            };
            // The previous copy has completed, since its image was encoded.
            queue.sync()?;
            if pinned.as_ref().is_none_or(|p| p.bytes() < bytes) {
                *pinned = None;
                *pinned = Some(self.device.pinned(bytes)?);
            }
            let from = pinned.as_ref().map_or(std::ptr::null_mut(), |p| p.ptr());
            // SAFETY: pinned memory of at least that size, from which no copy reads now.
            pack(unsafe { std::slice::from_raw_parts_mut(from, bytes) }, frame);
            queue.copy_in(to.addr(), from, bytes)
        };
        // An image that cannot be staged is copied when it is encoded. That call returns the error.
        copy().is_ok()
    }

    /// The address of the weights for images of this size. `None` after a failure.
    fn filters(&self, width: usize, height: usize, side: usize) -> Option<u64> {
        let (of, taps) = ((width, height, side), bicubic_taps(width.max(height), side));
        let mut filters = self.filters.borrow_mut();
        if filters.as_ref().is_none_or(|f| f.of != of) {
            let bytes = 2 * side * (taps + 2) * 4;
            // Enqueued work may still use the old weights.
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

    pub(crate) fn preprocess_picture(&self, out: Tensor<'_>, frame: &Frame<'_>, filter: Filter, staged: bool) {
        let side = out.dim(0);
        assert!(out.dims() == [side, side, 3], "preprocess: {out:?}");
        self.count_operands(&[out]);
        let (width, height, format) = (frame.width(), frame.height(), frame.format());
        self.count(|c| c.bytes += frame.bytes() as u64);
        if self.failed() {
            return;
        }
        // Lines: for `Bilinear` (side, width, 3) f32, for `Bicubic` (height, side, 3) bytes.
        let bicubic = filter == Filter::Bicubic && !format.is_float();
        let taps = bicubic_taps(width.max(height), side);
        let lines = if bicubic { height * side * 3 } else { side * width * 12 };
        let Some(lines) = self.io_buffer(lines, "the lines of a picture") else { return };
        let weights = if bicubic { self.filters(width, height, side) } else { Some(0) };
        let Some(weights) = weights else { return };
        let packed = packed_bytes(frame);
        let ahead = self.ahead.borrow();
        if let Some(queue) = &*ahead {
            // Waits for the copy of a staged image before the memory is used, even if that image is not used.
            self.keep(self.device.follow(queue.stream()));
        }
        let picture = self.grown(&mut self.pictures.borrow_mut().memory, packed, "a picture");
        let Some(picture) = picture else { return };
        if packed > 0 && !(staged && ahead.is_some()) {
            self.keep(self.staging.borrow_mut().up(&self.device, picture, packed, |to| pack(to, frame)));
        }
        let channel = channels(frame, picture);
        let stream = match frame.memory()[0].pixels {
            Pixels::Device(slice) => Some(slice.stream()),
            Pixels::Host(_) => None,
        };
        if let Some(stream) = stream {
            self.keep(self.device.follow(stream));
        }
        let args = PictureArgs {
            out: View::of(out),
            channel,
            lines,
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
        // The next writer of the pixels waits for this.
        for stream in stream.into_iter().chain(ahead.as_ref().map(Device::stream)) {
            if !self.failed() {
                self.keep(self.device.lead(stream));
            }
        }
    }
}

//! What crosses the edge of the engine: pictures in, masks out.

use crate::error::{Error, Result};

/// The longest side of a picture.
pub const MAX_SIDE: usize = 32_768;

/// How the pixels of a [`Frame`] are stored: interleaved, rows from the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum PixelFormat {
    /// Red, green, blue, 8 bits each.
    Rgb8,
    /// Blue, green, red, 8 bits each.
    Bgr8,
    /// As `Rgb8` with a fourth byte, which is ignored.
    Rgba8,
    /// As `Bgr8` with a fourth byte, which is ignored.
    Bgra8,
    /// 8 bits, used for all three channels.
    Gray8,
    /// Red, green, blue as f32 in 0..=1.
    RgbF32,
}

impl PixelFormat {
    /// Values of one pixel.
    pub fn channels(self) -> usize {
        match self {
            PixelFormat::Rgb8 | PixelFormat::Bgr8 | PixelFormat::RgbF32 => 3,
            PixelFormat::Rgba8 | PixelFormat::Bgra8 => 4,
            PixelFormat::Gray8 => 1,
        }
    }

    /// Bytes of one pixel.
    pub fn bytes(self) -> usize {
        self.channels() * if self == PixelFormat::RgbF32 { 4 } else { 1 }
    }

    /// Where red, green and blue are within a pixel.
    pub fn rgb_offsets(self) -> [usize; 3] {
        match self {
            PixelFormat::Rgb8 | PixelFormat::Rgba8 | PixelFormat::RgbF32 => [0, 1, 2],
            PixelFormat::Bgr8 | PixelFormat::Bgra8 => [2, 1, 0],
            PixelFormat::Gray8 => [0, 0, 0],
        }
    }
}

/// Memory of a GPU that belongs to the caller, and the stream on which they use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceSlice {
    pub(crate) address: u64,
    pub(crate) bytes: usize,
    pub(crate) stream: u64,
}

impl DeviceSlice {
    /// `bytes` at `address` (a `CUdeviceptr`) of the GPU that the model runs on. `stream` (a `CUstream` or
    /// `cudaStream_t`, null for the default one) is where the caller writes and reads it: the engine comes after what is
    /// enqueued there, and what is enqueued there later comes after the engine.
    ///
    /// # Safety
    /// The memory and the stream must be valid, and of the primary context of the model's GPU, until the call that they
    /// are given to has returned; a picture's until masks have come back or [`ImagePredictor::synchronize`].
    ///
    /// [`ImagePredictor::synchronize`]: crate::ImagePredictor::synchronize
    pub unsafe fn new(address: u64, bytes: usize, stream: *mut std::ffi::c_void) -> DeviceSlice {
        DeviceSlice { address, bytes, stream: stream as u64 }
    }

    /// Where it starts.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// How long it is.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The stream on which it is used.
    pub fn stream(&self) -> u64 {
        self.stream
    }
}

/// Where the pixels of a [`Frame`] are.
#[derive(Clone, Copy)]
pub enum Pixels<'a> {
    /// In the host's memory.
    Host(&'a [u8]),
    /// In a GPU's.
    Device(DeviceSlice),
}

/// A picture of the caller's, borrowed for the length of a call.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    pixels: Pixels<'a>,
    width: usize,
    height: usize,
    stride: usize,
    format: PixelFormat,
}

impl<'a> Frame<'a> {
    /// A picture whose rows start `stride` bytes apart.
    ///
    /// Fails when a side is 0 or above [`MAX_SIDE`], the stride is shorter than a row (or, for `RgbF32`, not a
    /// multiple of 4), or `pixels` is too short.
    pub fn new(format: PixelFormat, pixels: &'a [u8], width: usize, height: usize, stride: usize) -> Result<Frame<'a>> {
        Frame::of(format, Pixels::Host(pixels), width, height, stride)
    }

    /// As [`Frame::new`] with pixels in the memory of the GPU that the model runs on. That float pixels are finite is not
    /// checked there.
    pub fn device(
        format: PixelFormat,
        pixels: DeviceSlice,
        width: usize,
        height: usize,
        stride: usize,
    ) -> Result<Frame<'static>> {
        Frame::of(format, Pixels::Device(pixels), width, height, stride)
    }

    fn of(format: PixelFormat, pixels: Pixels<'a>, width: usize, height: usize, stride: usize) -> Result<Frame<'a>> {
        let wrong = |what: String| Err(Error::Input(format!("picture of {width}x{height} {format:?}: {what}")));
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            return wrong(format!("each side must be 1 to {MAX_SIDE} pixels"));
        }
        let row = width * format.bytes();
        if stride < row {
            return wrong(format!("a row has {row} bytes, the stride is only {stride}"));
        }
        let (address, bytes) = match pixels {
            Pixels::Host(pixels) => (pixels.as_ptr() as u64, pixels.len()),
            Pixels::Device(d) => (d.address, d.bytes),
        };
        let need = stride.checked_mul(height - 1).and_then(|n| n.checked_add(row));
        if need.is_none_or(|need| bytes < need) {
            return wrong(format!("needs {need:?} bytes at stride {stride}, got {bytes}"));
        }
        if format == PixelFormat::RgbF32 && (!stride.is_multiple_of(4) || !address.is_multiple_of(4)) {
            return wrong("float pixels must be aligned to 4 bytes".into());
        }
        if matches!(pixels, Pixels::Device(_)) && stride > i32::MAX as usize {
            return wrong(format!("stride {stride} is too long"));
        }
        Ok(Frame { pixels, width, height, stride, format })
    }

    /// A picture of 8-bit red, green and blue without gaps.
    pub fn rgb8(pixels: &'a [u8], width: usize, height: usize) -> Result<Frame<'a>> {
        Frame::new(PixelFormat::Rgb8, pixels, width, height, width.saturating_mul(3))
    }

    /// A picture of f32 red, green and blue in 0..=1 without gaps. Values that are not finite are an error.
    pub fn rgb_f32(pixels: &'a [f32], width: usize, height: usize) -> Result<Frame<'a>> {
        Frame::new(PixelFormat::RgbF32, bytemuck::cast_slice(pixels), width, height, width.saturating_mul(12))
    }

    /// Pixels across.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Pixels down.
    pub fn height(&self) -> usize {
        self.height
    }

    /// How the pixels are stored.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Where the pixels are.
    pub fn pixels(&self) -> Pixels<'a> {
        self.pixels
    }

    /// Bytes from row to row.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// The bytes of row `y` of a picture in the host's memory.
    pub(crate) fn row(&self, y: usize) -> &'a [u8] {
        match self.pixels {
            Pixels::Host(pixels) => &pixels[y * self.stride..][..self.width * self.format.bytes()],
            Pixels::Device(_) => panic!("a row of a picture that is not in the host's memory"),
        }
    }

    /// Fails when a float picture has a value that is not finite.
    pub(crate) fn check_finite(&self) -> Result<()> {
        if self.format != PixelFormat::RgbF32 || matches!(self.pixels, Pixels::Device(_)) {
            return Ok(());
        }
        for y in 0..self.height {
            let row: &[f32] = bytemuck::cast_slice(self.row(y));
            if let Some(x) = row.iter().position(|v| !v.is_finite()) {
                return Err(Error::Input(format!(
                    "picture: pixel ({}, {y}) is {}, not a finite number",
                    x / 3,
                    row[x]
                )));
            }
        }
        Ok(())
    }
}

/// Where masks go, all of one size, one after another.
pub struct MaskOut<'a> {
    /// The caller's buffer.
    pub data: MaskData<'a>,
    /// Height of a mask.
    pub height: usize,
    /// Width of a mask.
    pub width: usize,
}

/// The buffer of a [`MaskOut`].
pub enum MaskData<'a> {
    /// One byte a pixel: 1 where the logit is above the threshold, else 0.
    Binary(&'a mut [u8], f32),
    /// Logits, clamped to plus or minus the bound.
    Logits(&'a mut [f32], f32),
    /// As `Binary`, in the memory of the GPU that the model runs on.
    DeviceBinary(DeviceSlice, f32),
    /// As `Logits`, in the memory of the GPU that the model runs on.
    DeviceLogits(DeviceSlice, f32),
}

impl MaskData<'_> {
    /// Room for so many pixels.
    pub fn pixels(&self) -> usize {
        match self {
            MaskData::Binary(data, _) => data.len(),
            MaskData::Logits(data, _) => data.len(),
            MaskData::DeviceBinary(d, _) => d.bytes,
            MaskData::DeviceLogits(d, _) => d.bytes / 4,
        }
    }

    /// `count` pixels from pixel `first`.
    pub(crate) fn part(&mut self, first: usize, count: usize) -> MaskData<'_> {
        let within = |d: &DeviceSlice, size: usize| DeviceSlice {
            address: d.address + (first * size) as u64,
            bytes: count * size,
            stream: d.stream,
        };
        match self {
            MaskData::Binary(data, t) => MaskData::Binary(&mut data[first..][..count], *t),
            MaskData::Logits(data, t) => MaskData::Logits(&mut data[first..][..count], *t),
            MaskData::DeviceBinary(d, t) => MaskData::DeviceBinary(within(d, 1), *t),
            MaskData::DeviceLogits(d, t) => MaskData::DeviceLogits(within(d, 4), *t),
        }
    }

    /// In a GPU's memory.
    pub(crate) fn is_device(&self) -> bool {
        matches!(self, MaskData::DeviceBinary(..) | MaskData::DeviceLogits(..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_checked() {
        let bytes = [0u8; 64];
        assert!(Frame::rgb8(&bytes, 4, 5).is_ok());
        assert!(Frame::new(PixelFormat::Gray8, &bytes, 3, 8, 8).is_ok());
        for (format, w, h, stride) in [
            (PixelFormat::Rgb8, 0, 4, 0),
            (PixelFormat::Rgb8, 4, 0, 12),
            (PixelFormat::Rgb8, 4, 4, 11),
            (PixelFormat::Rgba8, 4, 5, 16),
            (PixelFormat::Gray8, 1, MAX_SIDE + 1, 1),
            (PixelFormat::Gray8, 1, 2, usize::MAX),
            (PixelFormat::RgbF32, 1, 2, 13),
        ] {
            assert!(
                matches!(Frame::new(format, &bytes, w, h, stride), Err(Error::Input(_))),
                "{format:?} {w}x{h}/{stride}"
            );
        }
        let nan = [0.0, 0.5, f32::NAN];
        assert!(Frame::rgb_f32(&nan, 1, 1).unwrap().check_finite().is_err());
    }
}

//! Input images, borrowed from the caller.

use crate::error::{Error, Result};
use crate::media::format::{Channel, PixelFormat, PixelValue, rgb};
use crate::media::plane::{DeviceSlice, Pixels, Plane};
use crate::media::size::Size;
use half::{bf16, f16};
use std::fmt;
use std::ops::Range;

/// The longest side of an image.
pub const MAX_SIDE: usize = 32_768;

/// An image that is borrowed from the caller for the length of a call.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    /// The planes of the format. The remaining places repeat the first plane.
    planes: [Plane<'a>; 3],
    width: usize,
    height: usize,
    format: PixelFormat,
    flipped: bool,
}

impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Frame");
        out.field("format", &self.format).field("size", &self.size()).field("flipped", &self.flipped);
        out.field("planes", &self.memory()).finish()
    }
}

impl<'a> Frame<'a> {
    /// Creates an image in a format with one plane, whose rows start `stride` bytes apart.
    ///
    /// # Errors
    ///
    /// As [`Frame::planes`].
    pub fn new(format: PixelFormat, pixels: &'a [u8], size: Size, stride: usize) -> Result<Frame<'a>> {
        Frame::planes(format, &[Plane::new(pixels, stride)], size)
    }

    /// Creates an image as [`Frame::new`] does, with pixels in the memory of the GPU that the model runs on. Float
    /// pixels in a GPU's memory are not checked to be finite.
    ///
    /// # Errors
    ///
    /// As [`Frame::planes`].
    pub fn device(format: PixelFormat, pixels: DeviceSlice, size: Size, stride: usize) -> Result<Frame<'static>> {
        Frame::planes(format, &[Plane::device(pixels, stride)], size)
    }

    /// Creates an image with all planes of its format, and with rows from the top.
    ///
    /// # Errors
    ///
    /// [`Error::Input`]
    ///
    /// - if a side is 0 or above [`MAX_SIDE`],
    /// - if the number of planes is not that of the format,
    /// - if planes are in different memories, or are used on different streams,
    /// - if a stride is shorter than a row, or not a multiple of the bytes of a value,
    /// - if a plane is too short.
    pub fn planes(format: PixelFormat, planes: &[Plane<'a>], size: Size) -> Result<Frame<'a>> {
        let Size { width, height } = size;
        let wrong = |what: String| Err(Error::Input(format!("picture of {size} {format:?}: {what}")));
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            return wrong(format!("each side must be 1 to {MAX_SIDE} pixels"));
        }
        if planes.len() != format.planes() {
            return wrong(format!("needs {} planes, got {}", format.planes(), planes.len()));
        }
        let mut all = [planes[0]; 3];
        all[..planes.len()].copy_from_slice(planes);
        for (i, &Plane { pixels, stride }) in planes.iter().enumerate() {
            let (row, rows) = (format.row_bytes(i, width), format.rows(i, height));
            if stride < row {
                return wrong(format!("a row of plane {i} has {row} bytes, the stride is only {stride}"));
            }
            let (address, bytes) = match pixels {
                Pixels::Host(pixels) => (pixels.as_ptr() as u64, pixels.len()),
                Pixels::Device(d) => (d.address, d.bytes),
            };
            let need = stride.checked_mul(rows - 1).and_then(|n| n.checked_add(row));
            if need.is_none_or(|need| bytes < need) {
                return wrong(format!("plane {i} needs {need:?} bytes at stride {stride}, got {bytes}"));
            }
            let value = format.value_bytes();
            if !stride.is_multiple_of(value) || !address.is_multiple_of(value as u64) {
                return wrong(format!("float pixels must be aligned to {value} bytes"));
            }
            match (pixels, planes[0].pixels) {
                (Pixels::Device(_), _) if stride > i32::MAX as usize => {
                    return wrong(format!("stride {stride} is too long"));
                }
                (Pixels::Device(d), Pixels::Device(first)) if d.stream == first.stream => {}
                (Pixels::Host(_), Pixels::Host(_)) => {}
                _ => return wrong("its planes must be in one memory, and used on one stream".into()),
            }
        }
        Ok(Frame { planes: all, width, height, format, flipped: false })
    }

    /// Creates an image of 8-bit red, green and blue without gaps.
    ///
    /// # Errors
    ///
    /// As [`Frame::planes`].
    pub fn rgb8(pixels: &'a [u8], size: Size) -> Result<Frame<'a>> {
        Frame::new(PixelFormat::Rgb8, pixels, size, size.width.saturating_mul(3))
    }

    /// Creates an image of f32 red, green and blue in 0..=1 without gaps. Calls that take the image fail if a value is
    /// not finite.
    ///
    /// # Errors
    ///
    /// As [`Frame::planes`].
    pub fn rgb_f32(pixels: &'a [f32], size: Size) -> Result<Frame<'a>> {
        Frame::new(PixelFormat::RgbF32, bytemuck::cast_slice(pixels), size, size.width.saturating_mul(12))
    }

    /// Returns the same memory as an image with rows from the bottom: the first row in memory is the last row of the
    /// image. Rows share chroma as they are in memory.
    #[must_use]
    pub fn flipped(self) -> Frame<'a> {
        Frame { flipped: !self.flipped, ..self }
    }

    /// Returns the part of the image with these bounds: left, top, right, bottom. The bounds must be within the image.
    /// Fails if pixels share their chroma.
    pub(crate) fn cropped(&self, [left, top, right, bottom]: [usize; 4]) -> Result<Frame<'a>> {
        if [left, top, right, bottom] == [0, 0, self.width, self.height] {
            return Ok(*self);
        }
        if self.format.yuv().is_some() {
            return Err(Error::input(format!("no crops of pictures in {:?}", self.format)));
        }
        let first = if self.flipped { self.height - bottom } else { top };
        let mut planes = Vec::with_capacity(3);
        for (i, &Plane { pixels, stride }) in self.memory().iter().enumerate() {
            let before = first * stride + self.format.row_bytes(i, left);
            let pixels = match pixels {
                Pixels::Host(pixels) => Pixels::Host(&pixels[before..]),
                Pixels::Device(d) => Pixels::Device(DeviceSlice {
                    address: d.address + before as u64,
                    bytes: d.bytes - before,
                    stream: d.stream,
                }),
            };
            planes.push(Plane { pixels, stride });
        }
        let part = Frame::planes(self.format, &planes, Size::new(right - left, bottom - top))?;
        Ok(Frame { flipped: self.flipped, ..part })
    }

    /// Returns the size of the image.
    #[must_use]
    pub fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }

    /// Returns the width of the image in pixels.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns the height of the image in pixels.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Returns the format of the pixels.
    #[must_use]
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Returns the planes of the format.
    #[must_use]
    pub fn memory(&self) -> &[Plane<'a>] {
        &self.planes[..self.format.planes()]
    }

    /// Returns whether the first row in memory is the last row of the image.
    #[must_use]
    pub fn is_flipped(&self) -> bool {
        self.flipped
    }

    /// Returns whether the pixels are in a GPU's memory.
    #[must_use]
    pub fn is_device(&self) -> bool {
        matches!(self.planes[0].pixels, Pixels::Device(_))
    }

    /// Returns the bytes of all planes without gaps.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let of = |i| self.format.row_bytes(i, self.width) * self.format.rows(i, self.height);
        (0..self.format.planes()).map(of).sum()
    }

    /// Returns the bytes of row `y` of a plane, as stored in the host's memory.
    fn row(&self, plane: usize, y: usize) -> &'a [u8] {
        let Plane { pixels, stride } = self.planes[plane];
        match pixels {
            Pixels::Host(pixels) => &pixels[y * stride..][..self.format.row_bytes(plane, self.width)],
            Pixels::Device(_) => panic!("a row of a picture that is not in the host's memory"),
        }
    }

    /// Returns columns `columns` of row `y` of an image in the host's memory, in the format
    /// [`PixelFormat::interleaved`]. If the image has another format, the columns are converted into `buffer`, which
    /// needs room for 3 f32 per pixel.
    #[inline]
    pub(crate) fn pixels<'b>(&self, y: usize, columns: Range<usize>, buffer: &'b mut [f32]) -> &'b [u8]
    where
        'a: 'b,
    {
        let y = if self.flipped { self.height - 1 - y } else { y };
        let format = self.format;
        if format.interleaved() != format {
            return self.interleave(y, columns, buffer);
        }
        let pixel = format.channels()[0].step * format.value_bytes();
        &self.row(0, y)[columns.start * pixel..columns.end * pixel]
    }

    /// Converts columns of row `y`, counted in memory, to the interleaved format.
    fn interleave<'b>(&self, y: usize, columns: Range<usize>, buffer: &'b mut [f32]) -> &'b [u8] {
        let channels = self.format.channels();
        let rows = channels.map(|c| self.row(c.plane, y >> usize::from(c.halved[1])));
        let values = columns.len() * 3;
        if self.format.is_float() {
            for (c, row) in rows.iter().enumerate() {
                let row = &row[columns.start * channels[c].step * self.format.value_bytes()..];
                let to = buffer[c..values].iter_mut().step_by(3);
                spread(to, self.format.value(), row, channels[c]);
            }
            return bytemuck::cast_slice(&buffer[..values]);
        }
        let out = &mut bytemuck::cast_slice_mut(buffer)[..values];
        let Some(yuv) = self.format.yuv() else {
            for (c, row) in rows.iter().enumerate() {
                out[c..].iter_mut().step_by(3).zip(&row[columns.clone()]).for_each(|(to, v)| *to = *v);
            }
            return out;
        };
        let numbers = yuv.numbers();
        for (x, out) in columns.zip(out.chunks_exact_mut(3)) {
            let value = |i: usize| {
                let Channel { step, offset, halved, .. } = channels[i];
                rows[i][(x >> usize::from(halved[0])) * step + offset]
            };
            out.copy_from_slice(&rgb(numbers, [0, 1, 2].map(value)));
        }
        out
    }

    /// Fails if an image of floats in the host's memory has a value that is not finite or is far from 0..=1. Bytes that
    /// were not divided by 255 are an example.
    pub(crate) fn check_floats(&self) -> Result<()> {
        if !self.format.is_float() || self.is_device() {
            return Ok(());
        }
        for (y, plane) in (0..self.height).flat_map(|y| (0..self.format.planes()).map(move |plane| (y, plane))) {
            if let Some((i, v)) = not_float(self.format.value(), self.row(plane, y)) {
                let x = i / self.format.channels()[plane].step;
                let y = if self.flipped { self.height - 1 - y } else { y };
                let why = if v.is_finite() {
                    "floats are in 0..1: divide by 255, or give bytes"
                } else {
                    "not a finite number"
                };
                return Err(Error::Input(format!("picture: pixel ({x}, {y}) is {v}, {why}")));
            }
        }
        Ok(())
    }
}

/// Writes the values of a channel of a row of floats as f32.
fn spread<'b>(to: impl Iterator<Item = &'b mut f32>, value: PixelValue, row: &[u8], channel: Channel) {
    fn all<'b, T: bytemuck::Pod + Into<f32>>(to: impl Iterator<Item = &'b mut f32>, row: &[u8], channel: Channel) {
        let values = bytemuck::cast_slice::<u8, T>(row)[channel.offset..].iter().step_by(channel.step);
        to.zip(values).for_each(|(to, &v)| *to = v.into());
    }
    match value {
        PixelValue::F16 => all::<f16>(to, row, channel),
        PixelValue::Bf16 => all::<bf16>(to, row, channel),
        PixelValue::F32 | PixelValue::U8 => all::<f32>(to, row, channel),
    }
}

/// Returns the first invalid value of a row of floats, and its index. A value is invalid if it is not finite or is far
/// from 0..=1.
fn not_float(value: PixelValue, row: &[u8]) -> Option<(usize, f32)> {
    fn first<T: bytemuck::Pod + Into<f32>>(row: &[u8]) -> Option<(usize, f32)> {
        let mut values = bytemuck::cast_slice::<u8, T>(row).iter().map(|&v| v.into()).enumerate();
        // As far as a filter overshoots, and farther.
        values.find(|(_, v): &(usize, f32)| !(-2.0..=2.0).contains(v))
    }
    match value {
        PixelValue::F16 => first::<f16>(row),
        PixelValue::Bf16 => first::<bf16>(row),
        PixelValue::F32 | PixelValue::U8 => first::<f32>(row),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::format::{Yuv, YuvMatrix, YuvRange};

    #[test]
    fn frames_are_checked() {
        let bytes = [0u8; 64];
        let yuv = Yuv { matrix: YuvMatrix::Bt709, range: YuvRange::Limited };
        assert!(Frame::rgb8(&bytes, Size::new(4, 5)).is_ok());
        assert!(Frame::new(PixelFormat::Gray8, &bytes, Size::new(3, 8), 8).is_ok());
        assert!(Frame::new(PixelFormat::Yuyv(yuv), &bytes, Size::new(7, 4), 16).is_ok());
        for (format, w, h, stride) in [
            (PixelFormat::Rgb8, 0, 4, 0),
            (PixelFormat::Rgb8, 4, 0, 12),
            (PixelFormat::Rgb8, 4, 4, 11),
            (PixelFormat::Rgba8, 4, 5, 16),
            (PixelFormat::Gray8, 1, MAX_SIDE + 1, 1),
            (PixelFormat::Gray8, 1, 2, usize::MAX),
            (PixelFormat::RgbF32, 1, 2, 13),
            (PixelFormat::Yuyv(yuv), 7, 4, 15),
            (PixelFormat::Uyvy(yuv), 7, 5, 16),
            (PixelFormat::Nv12(yuv), 4, 4, 4),
        ] {
            assert!(
                matches!(Frame::new(format, &bytes, Size::new(w, h), stride), Err(Error::Input(_))),
                "{format:?} {w}x{h}/{stride}"
            );
        }
    }

    #[test]
    fn planes_are_checked() {
        let (zeros, floats) = ([0u8; 64], [0f32; 48]);
        let nv12 = PixelFormat::Nv12(Yuv { matrix: YuvMatrix::Bt601, range: YuvRange::Full });
        let host = |bytes: usize, stride| Plane::new(&zeros[..bytes], stride);
        let device = |stream: usize, stride| {
            // SAFETY: the memory is never dereferenced.
            Plane::device(unsafe { DeviceSlice::new(256, 1 << 40, stream as *mut std::ffi::c_void) }, stride)
        };
        // 7x5: rows of 7 bytes, and three of 8.
        let [plain, gaps, gpu] =
            [[host(35, 7), host(24, 8)], [host(39, 8), host(28, 10)], [device(1, 7), device(1, 8)]];
        for planes in [plain, gaps, gpu] {
            assert!(Frame::planes(nv12, &planes, Size::new(7, 5)).is_ok());
        }
        let planar = PixelFormat::RgbF32Planar;
        let [red, green] = [Plane::f32(&floats[..35], 28), Plane::f32(&floats, 32)];
        assert!(Frame::planes(planar, &[red, green, red], Size::new(7, 5)).is_ok());
        for (format, planes, says) in [
            (nv12, vec![], "needs 2 planes, got 0"),
            (nv12, vec![host(35, 7)], "needs 2 planes, got 1"),
            (nv12, vec![host(35, 7), host(24, 8), host(24, 8)], "needs 2 planes, got 3"),
            (PixelFormat::Rgb8, plain.to_vec(), "needs 1 planes, got 2"),
            (nv12, vec![host(34, 7), host(24, 8)], "plane 0 needs Some(35) bytes"),
            (nv12, vec![host(35, 7), host(23, 8)], "plane 1 needs Some(24) bytes"),
            (nv12, vec![host(35, 7), host(24, 7)], "plane 1 has 8 bytes, the stride is only 7"),
            (nv12, vec![host(35, 7), host(24, usize::MAX)], "plane 1 needs None bytes"),
            (nv12, vec![device(1, 7), device(2, 8)], "one memory"),
            (nv12, vec![device(1, 7), host(24, 8)], "one memory"),
            (nv12, vec![host(35, 7), device(0, 8)], "one memory"),
            (nv12, vec![device(1, 7), device(1, 1 << 31)], "too long"),
            (planar, vec![red, green, device(0, 28)], "one memory"),
            (planar, vec![red, Plane::f32(&floats, 29), red], "aligned"),
        ] {
            match Frame::planes(format, &planes, Size::new(7, 5)) {
                Err(Error::Input(e)) => assert!(e.contains(says), "{says:?}: {e}"),
                other => panic!("{says:?}: {:?}", other.map(|_| ())),
            }
        }
    }

    #[test]
    fn floats_are_not_bytes() {
        let pixels: Vec<f32> = (0..18).map(|i| i as f32 / 4.0).collect();
        let refused = Frame::rgb_f32(&pixels, Size::new(3, 2)).unwrap().check_floats().unwrap_err().to_string();
        assert!(refused.contains("pixel (0, 1) is 2.25") && refused.contains("divide by 255"), "{refused}");
        assert!(
            Frame::rgb_f32(&pixels[..9], Size::new(3, 1)).unwrap().check_floats().is_ok(),
            "overshoot is no mistake"
        );
    }

    #[test]
    fn floats_are_finite() {
        let (good, mut nan) = ([0.5f32; 18], [0.5f32; 18]);
        nan[10] = f32::NAN;
        let says = |frame: Result<Frame<'_>>| frame.unwrap().check_floats().err().map(|e| e.to_string());
        assert_eq!(says(Frame::rgb_f32(&good, Size::new(3, 2))), None);
        assert!(says(Frame::rgb_f32(&nan, Size::new(3, 2))).unwrap().contains("pixel (0, 1) is NaN"));
        for bad in 0..3 {
            let planes = [0, 1, 2].map(|i| Plane::f32(if i == bad { &nan } else { &good }, 24));
            let frame = Frame::planes(PixelFormat::RgbF32Planar, &planes, Size::new(5, 2));
            assert!(says(frame).unwrap().contains("pixel (4, 1) is NaN"), "plane {bad}");
            let frame = Frame::planes(PixelFormat::RgbF32Planar, &planes, Size::new(5, 2)).map(Frame::flipped);
            assert!(says(frame).unwrap().contains("pixel (4, 0) is NaN"), "plane {bad}");
            // A gap may hold anything.
            assert_eq!(says(Frame::planes(PixelFormat::RgbF32Planar, &planes, Size::new(4, 3))), None);
        }
    }
}

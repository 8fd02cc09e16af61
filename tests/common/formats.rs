//! Images in every pixel format, and their conversion by a plain loop.

use sam2::{Frame, PixelFormat, PixelValue, Plane, Size, Yuv, YuvMatrix, YuvRange, bf16, f16};

pub fn every_format() -> Vec<PixelFormat> {
    use PixelFormat::*;
    let mut all = vec![Rgb8, Bgr8, Rgba8, Bgra8, Gray8, Rgb8Planar];
    all.extend([RgbF32, RgbF32Planar, RgbF16, RgbF16Planar, RgbBf16, RgbBf16Planar]);
    for matrix in [YuvMatrix::Bt601, YuvMatrix::Bt709] {
        for range in [YuvRange::Full, YuvRange::Limited] {
            all.extend([Nv12(Yuv { matrix, range }), Yuyv(Yuv { matrix, range }), Uyvy(Yuv { matrix, range })]);
        }
    }
    all
}

/// An image in memory: for each plane its words and its stride, which leaves gaps.
pub struct Stored {
    pub format: PixelFormat,
    pub planes: Vec<(Vec<f32>, usize)>,
    width: usize,
    height: usize,
}

/// The same image by a plain loop.
pub enum Converted {
    Bytes(Vec<u8>, usize, usize),
    Floats(Vec<f32>, usize, usize),
}

impl Converted {
    pub fn frame(&self) -> Frame<'_> {
        match self {
            Converted::Bytes(pixels, w, h) => Frame::rgb8(pixels, Size::new(*w, *h)).unwrap(),
            Converted::Floats(pixels, w, h) => Frame::rgb_f32(pixels, Size::new(*w, *h)).unwrap(),
        }
    }
}

impl Stored {
    /// An image of random bytes, or of floats in 0..1.
    pub fn new(format: PixelFormat, width: usize, height: usize, mut random: impl FnMut() -> u64) -> Stored {
        let value = format.value_bytes();
        let (even, rows) = (width.next_multiple_of(2), height);
        // Bytes per row, and rows.
        let sizes = match format {
            PixelFormat::Rgb8 | PixelFormat::Bgr8 => vec![(3 * width, rows)],
            PixelFormat::Rgba8 | PixelFormat::Bgra8 => vec![(4 * width, rows)],
            PixelFormat::Gray8 => vec![(width, rows)],
            PixelFormat::RgbF32 | PixelFormat::RgbF16 | PixelFormat::RgbBf16 => vec![(3 * value * width, rows)],
            PixelFormat::Rgb8Planar
            | PixelFormat::RgbF32Planar
            | PixelFormat::RgbF16Planar
            | PixelFormat::RgbBf16Planar => vec![(value * width, rows); 3],
            PixelFormat::Nv12(_) => vec![(width, rows), (even, rows.div_ceil(2))],
            PixelFormat::Yuyv(_) | PixelFormat::Uyvy(_) => vec![(2 * even, rows)],
            other => panic!("{other:?}"),
        };
        let planes = sizes.iter().enumerate().map(|(i, (row, rows))| {
            let stride = row + if format.is_float() { (2 + i) * value } else { 3 + 2 * i };
            let unit = |bits: u32| (bits >> 8) as f32 / (1 << 24) as f32;
            let pair = |low: u16, high: u16| f32::from_bits(u32::from(high) << 16 | u32::from(low));
            let word = |_| match (format.value(), random() as u32) {
                (PixelValue::F32, bits) => unit(bits),
                (PixelValue::F16, bits) => {
                    let half = |bits| f16::from_f32(unit(bits)).to_bits();
                    pair(half(bits), half(bits.rotate_left(16)))
                }
                (PixelValue::Bf16, bits) => {
                    let half = |bits| bf16::from_f32(unit(bits)).to_bits();
                    pair(half(bits), half(bits.rotate_left(16)))
                }
                (PixelValue::U8, bits) => f32::from_bits(bits),
            };
            ((0..(stride * rows).div_ceil(4)).map(word).collect(), stride)
        });
        Stored { format, planes: planes.collect(), width, height }
    }

    /// The image as it is in memory, the first row on top.
    pub fn frame(&self) -> Frame<'_> {
        let planes: Vec<Plane<'_>> = self.planes.iter().map(|(words, stride)| Plane::f32(words, *stride)).collect();
        Frame::planes(self.format, &planes, Size::new(self.width, self.height)).unwrap()
    }

    /// Red, green and blue, from the top or from the bottom.
    pub fn converted(&self, flipped: bool) -> Converted {
        let (w, h) = (self.width, self.height);
        let places = (0..w * h).map(|i| (i % w, if flipped { h - 1 - i / w } else { i / w }));
        let float = |plane: usize, x: usize, y: usize| {
            let (words, stride) = &self.planes[plane];
            let at = y * stride + x * self.format.value_bytes();
            let bits = words[at / 4].to_bits();
            let half = (bits >> (at % 4 * 8)) as u16;
            match self.format.value() {
                PixelValue::F16 => f16::from_bits(half).to_f32(),
                PixelValue::Bf16 => bf16::from_bits(half).to_f32(),
                _ => f32::from_bits(bits),
            }
        };
        match (self.format.is_float(), self.format.planes()) {
            (true, 1) => {
                Converted::Floats(places.flat_map(|(x, y)| [0, 1, 2].map(|c| float(0, x * 3 + c, y))).collect(), w, h)
            }
            (true, _) => Converted::Floats(places.flat_map(|(x, y)| [0, 1, 2].map(|c| float(c, x, y))).collect(), w, h),
            _ => Converted::Bytes(places.flat_map(|(x, y)| self.bytes(x, y)).collect(), w, h),
        }
    }

    fn bytes(&self, x: usize, y: usize) -> [u8; 3] {
        let at = |plane: usize, x: usize, y: usize| {
            let (words, stride) = &self.planes[plane];
            words[(y * stride + x) / 4].to_bits().to_le_bytes()[(y * stride + x) % 4]
        };
        let pair = x / 2 * 4;
        match self.format {
            PixelFormat::Rgb8 => [0, 1, 2].map(|c| at(0, x * 3 + c, y)),
            PixelFormat::Bgr8 => [2, 1, 0].map(|c| at(0, x * 3 + c, y)),
            PixelFormat::Rgba8 => [0, 1, 2].map(|c| at(0, x * 4 + c, y)),
            PixelFormat::Bgra8 => [2, 1, 0].map(|c| at(0, x * 4 + c, y)),
            PixelFormat::Gray8 => [at(0, x, y); 3],
            PixelFormat::Rgb8Planar => [0, 1, 2].map(|c| at(c, x, y)),
            PixelFormat::Nv12(yuv) => rgb(yuv, at(0, x, y), at(1, x / 2 * 2, y / 2), at(1, x / 2 * 2 + 1, y / 2)),
            PixelFormat::Yuyv(yuv) => rgb(yuv, at(0, x * 2, y), at(0, pair + 1, y), at(0, pair + 3, y)),
            PixelFormat::Uyvy(yuv) => rgb(yuv, at(0, x * 2 + 1, y), at(0, pair, y), at(0, pair + 2, y)),
            other => panic!("{other:?}"),
        }
    }
}

/// One pixel, with the numbers of the recommendations, in units of 2^-16.
fn rgb(yuv: Yuv, y: u8, u: u8, v: u8) -> [u8; 3] {
    let (black, luma, red_v, green_u, green_v, blue_u) = match (yuv.matrix, yuv.range) {
        (YuvMatrix::Bt601, YuvRange::Full) => (0, 65536, 91881, 22553, 46802, 116130),
        (YuvMatrix::Bt601, YuvRange::Limited) => (16, 76309, 104597, 25675, 53279, 132201),
        (YuvMatrix::Bt709, YuvRange::Full) => (0, 65536, 103206, 12276, 30679, 121609),
        (YuvMatrix::Bt709, YuvRange::Limited) => (16, 76309, 117489, 13975, 34925, 138438),
    };
    let (y, u, v) = (luma * (i64::from(y) - black), i64::from(u) - 128, i64::from(v) - 128);
    let byte = |sum: i64| (sum as f64 / 65536.0 + 0.5).floor().clamp(0.0, 255.0) as u8;
    [byte(y + red_v * v), byte(y - green_u * u - green_v * v), byte(y + blue_u * u)]
}

//! Pixel formats, and the conversion of luma and chroma to red, green and blue.

use serde::{Deserialize, Serialize};

/// The format of the pixels of a [`Frame`](crate::Frame).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum PixelFormat {
    /// Red, green and blue, 8 bits each.
    Rgb8,
    /// Blue, green and red, 8 bits each.
    Bgr8,
    /// As `Rgb8` with a fourth byte, which is ignored.
    Rgba8,
    /// As `Bgr8` with a fourth byte, which is ignored.
    Bgra8,
    /// 8 bits, which are used for all three channels.
    Gray8,
    /// Red, green and blue as f32 in 0..=1.
    RgbF32,
    /// As `RgbF32`, in three planes: red, green, blue.
    RgbF32Planar,
    /// As `Rgb8`, in three planes: red, green, blue.
    Rgb8Planar,
    /// As `RgbF32`, with values of IEEE 754's binary16.
    RgbF16,
    /// As `RgbF16`, in three planes: red, green, blue.
    RgbF16Planar,
    /// As `RgbF32`, with values of bfloat16.
    RgbBf16,
    /// As `RgbBf16`, in three planes: red, green, blue.
    RgbBf16Planar,
    /// Two planes, 8 bits each: Y of every pixel, and U and V, interleaved, of every 2x2 pixels. At an odd side, U and
    /// V are of the remaining pixels.
    Nv12(Yuv),
    /// Y, U, Y, V of every two pixels of a row, 8 bits each. If the width is odd, the last group is complete.
    Yuyv(Yuv),
    /// As `Yuyv`, in the order U, Y, V, Y.
    Uyvy(Yuv),
}

/// The type of the values of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelValue {
    /// A byte.
    U8,
    /// f32 in 0..=1.
    F32,
    /// IEEE 754's binary16 in 0..=1.
    F16,
    /// bfloat16 in 0..=1.
    Bf16,
}

/// The layout of a channel of an image. The value at (x, y) is value `x * step + offset` of row y of the channel's
/// plane. If one value serves two columns or rows, x or y is halved and rounded down first.
#[derive(Clone, Copy, Debug)]
pub struct Channel {
    /// The index of the plane.
    pub plane: usize,
    /// The distance from one value to the next, in values.
    pub step: usize,
    /// The number of values before the first value.
    pub offset: usize,
    /// Whether one value serves two columns, and whether one value serves two rows.
    pub halved: [bool; 2],
}

impl PixelFormat {
    /// Returns the layout of red, green and blue, or of Y, U and V.
    #[must_use]
    pub fn channels(self) -> [Channel; 3] {
        let interleaved =
            |step, offsets: [usize; 3]| offsets.map(|offset| Channel { plane: 0, step, offset, halved: [false; 2] });
        let packed = |[luma, u, v]: [usize; 3]| {
            let chroma = |offset| Channel { plane: 0, step: 4, offset, halved: [true, false] };
            [Channel { plane: 0, step: 2, offset: luma, halved: [false; 2] }, chroma(u), chroma(v)]
        };
        match self {
            PixelFormat::Rgb8 | PixelFormat::RgbF32 | PixelFormat::RgbF16 | PixelFormat::RgbBf16 => {
                interleaved(3, [0, 1, 2])
            }
            PixelFormat::Bgr8 => interleaved(3, [2, 1, 0]),
            PixelFormat::Rgba8 => interleaved(4, [0, 1, 2]),
            PixelFormat::Bgra8 => interleaved(4, [2, 1, 0]),
            PixelFormat::Gray8 => interleaved(1, [0, 0, 0]),
            PixelFormat::Rgb8Planar
            | PixelFormat::RgbF32Planar
            | PixelFormat::RgbF16Planar
            | PixelFormat::RgbBf16Planar => {
                [0, 1, 2].map(|plane| Channel { plane, step: 1, offset: 0, halved: [false; 2] })
            }
            PixelFormat::Nv12(_) => {
                let chroma = |offset| Channel { plane: 1, step: 2, offset, halved: [true; 2] };
                [Channel { plane: 0, step: 1, offset: 0, halved: [false; 2] }, chroma(0), chroma(1)]
            }
            PixelFormat::Yuyv(_) => packed([0, 1, 3]),
            PixelFormat::Uyvy(_) => packed([1, 0, 2]),
        }
    }

    /// Returns the number of planes.
    #[must_use]
    pub fn planes(self) -> usize {
        1 + self.channels()[2].plane
    }

    /// Returns the bytes of a row of a plane, without a gap.
    #[must_use]
    pub fn row_bytes(self, plane: usize, width: usize) -> usize {
        let of = |c: Channel| width.div_ceil(1 + usize::from(c.halved[0])) * c.step * self.value_bytes();
        self.channels().into_iter().filter(|c| c.plane == plane).map(of).max().unwrap_or(0)
    }

    /// Returns the number of rows of a plane.
    #[must_use]
    pub fn rows(self, plane: usize, height: usize) -> usize {
        let of = |c: Channel| height.div_ceil(1 + usize::from(c.halved[1]));
        self.channels().into_iter().filter(|c| c.plane == plane).map(of).max().unwrap_or(0)
    }

    /// Returns the type of the values.
    #[must_use]
    pub fn value(self) -> PixelValue {
        match self {
            PixelFormat::RgbF32 | PixelFormat::RgbF32Planar => PixelValue::F32,
            PixelFormat::RgbF16 | PixelFormat::RgbF16Planar => PixelValue::F16,
            PixelFormat::RgbBf16 | PixelFormat::RgbBf16Planar => PixelValue::Bf16,
            _ => PixelValue::U8,
        }
    }

    /// Returns whether the values are floats.
    #[must_use]
    pub fn is_float(self) -> bool {
        self.value() != PixelValue::U8
    }

    /// Returns the bytes of a value.
    #[must_use]
    pub fn value_bytes(self) -> usize {
        match self.value() {
            PixelValue::U8 => 1,
            PixelValue::F16 | PixelValue::Bf16 => 2,
            PixelValue::F32 => 4,
        }
    }

    /// Returns the meaning of luma and chroma, or `None` if the format has none.
    #[must_use]
    pub fn yuv(self) -> Option<Yuv> {
        match self {
            PixelFormat::Nv12(yuv) | PixelFormat::Yuyv(yuv) | PixelFormat::Uyvy(yuv) => Some(yuv),
            _ => None,
        }
    }

    /// Returns the format with red, green and blue of a pixel next to each other that gives the same results, bit for
    /// bit.
    #[must_use]
    pub fn interleaved(self) -> PixelFormat {
        match self {
            PixelFormat::Rgb8Planar | PixelFormat::Nv12(_) | PixelFormat::Yuyv(_) | PixelFormat::Uyvy(_) => {
                PixelFormat::Rgb8
            }
            other if other.is_float() => PixelFormat::RgbF32,
            other => other,
        }
    }
}

/// The meaning of luma and chroma (Y'CbCr).
///
/// Kr and Kb are those of the matrix, and Kg = 1 - Kr - Kb. In the full range, y = Y, u = U - 128 and v = V - 128. In
/// the limited range, y = (Y - 16) 255/219, u = (U - 128) 255/224 and v = (V - 128) 255/224 (ITU-R BT.601-7, 2.5;
/// BT.709-6, 3 and 4). The colours are:
///
/// ```text
/// R = y + 2 (1 - Kr) v
/// G = y - 2 Kb (1 - Kb) / Kg u - 2 Kr (1 - Kr) / Kg v
/// B = y + 2 (1 - Kb) u
/// ```
///
/// The factors of Y - 16, U - 128 and so on are rounded to a multiple of 2^-16. The results are rounded to the nearest
/// byte, with halves rounded up, and clamped to 0..=255. Every pixel takes the chroma of its two or four pixels
/// unchanged. An image thus gives the same results, bit for bit, as after conversion to [`PixelFormat::Rgb8`] in this
/// way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Yuv {
    /// The weights of red and blue in luma.
    pub matrix: YuvMatrix,
    /// The range of the bytes.
    pub range: YuvRange,
}

/// The weights of red (Kr) and blue (Kb) in luma.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum YuvMatrix {
    /// Kr = 0.299, Kb = 0.114: standard definition, and JPEG.
    Bt601,
    /// Kr = 0.2126, Kb = 0.0722: high definition.
    Bt709,
}

/// The range of the bytes from black to white.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum YuvRange {
    /// Luma in 0..=255, chroma in 0..=255.
    Full,
    /// Luma in 16..=235, chroma in 16..=240.
    Limited,
}

/// The coefficients of a [`Yuv`]. The first is the luma of black. The others are factors in units of 2^-16, in this
/// order: of luma for all three colours, of V for red, of U for green, of V for green, and of U for blue. The factors
/// for green are subtracted.
pub type YuvNumbers = [i32; 6];

impl Yuv {
    /// Returns the coefficients.
    #[must_use]
    pub fn numbers(self) -> YuvNumbers {
        const fn numbers(kr: f64, kb: f64, black: i32, luma: f64, chroma: f64) -> YuvNumbers {
            const fn fixed(v: f64) -> i32 {
                (v * 65536.0 + 0.5) as i32
            }
            let kg = 1.0 - kr - kb;
            [
                black,
                fixed(luma),
                fixed(2.0 * (1.0 - kr) * chroma),
                fixed(2.0 * kb * (1.0 - kb) / kg * chroma),
                fixed(2.0 * kr * (1.0 - kr) / kg * chroma),
                fixed(2.0 * (1.0 - kb) * chroma),
            ]
        }
        const fn ranges(kr: f64, kb: f64) -> [YuvNumbers; 2] {
            [numbers(kr, kb, 0, 1.0, 1.0), numbers(kr, kb, 16, 255.0 / 219.0, 255.0 / 224.0)]
        }
        const ALL: [[YuvNumbers; 2]; 2] = [ranges(0.299, 0.114), ranges(0.2126, 0.0722)];
        ALL[self.matrix as usize][self.range as usize]
    }
}

/// Returns red, green and blue of one pixel.
pub(crate) fn rgb([black, luma, red_v, green_u, green_v, blue_u]: YuvNumbers, [y, u, v]: [u8; 3]) -> [u8; 3] {
    let (y, u, v) = ((i32::from(y) - black) * luma + (1 << 15), i32::from(u) - 128, i32::from(v) - 128);
    [y + red_v * v, y - green_u * u - green_v * v, y + blue_u * u].map(|sum| (sum >> 16).clamp(0, 255) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yuv_is_the_recommendations() {
        for (matrix, kr, kb) in [(YuvMatrix::Bt601, 0.299, 0.114), (YuvMatrix::Bt709, 0.2126, 0.0722)] {
            for (range, black, luma, chroma, most) in
                [(YuvRange::Full, 0.0, 255.0, 255.0, 1), (YuvRange::Limited, 16.0, 219.0, 224.0, 2)]
            {
                let numbers = Yuv { matrix, range }.numbers();
                // Forwards, as the recommendations have it: every colour there is, in steps of 5.
                for i in 0..52 * 52 * 52 {
                    let want = [i / 52 / 52 * 5, i / 52 % 52 * 5, i % 52 * 5];
                    let [r, g, b] = want.map(|v| f64::from(v) / 255.0);
                    let y = kr * r + (1.0 - kr - kb) * g + kb * b;
                    let (u, v) = ((b - y) / (2.0 - 2.0 * kb), (r - y) / (2.0 - 2.0 * kr));
                    let bytes = [y * luma + black, u * chroma + 128.0, v * chroma + 128.0].map(|v| v.round() as u8);
                    let got = rgb(numbers, bytes);
                    // Half a step of each byte, grown as much as a colour can.
                    let off = got.iter().zip(want).map(|(&g, w)| (i32::from(g) - w).abs()).max();
                    assert!(off <= Some(most), "{matrix:?} {range:?} {want:?}: {bytes:?} is {got:?}");
                }
            }
        }
        // Clamped, and the numbers that are published: 1.402, 0.344136, 0.714136, 1.772.
        let full = Yuv { matrix: YuvMatrix::Bt601, range: YuvRange::Full }.numbers();
        assert_eq!(full, [0, 65536, 91881, 22553, 46802, 116130]);
        assert_eq!(rgb(full, [255, 255, 255]), [255, 121, 255]);
        assert_eq!(rgb(full, [0, 0, 0]), [0, 135, 0]);
        let limited = Yuv { matrix: YuvMatrix::Bt709, range: YuvRange::Limited }.numbers();
        assert_eq!([16, 235, 0, 255].map(|y| rgb(limited, [y, 128, 128])[0]), [0, 255, 0, 255]);
    }

    #[test]
    fn planes_have_their_sizes() {
        let yuv = Yuv { matrix: YuvMatrix::Bt601, range: YuvRange::Full };
        for (format, want) in [
            (PixelFormat::Bgr8, &[(21, 5)][..]),
            (PixelFormat::RgbF32, &[(84, 5)]),
            (PixelFormat::RgbF32Planar, &[(28, 5), (28, 5), (28, 5)]),
            (PixelFormat::Rgb8Planar, &[(7, 5), (7, 5), (7, 5)]),
            (PixelFormat::RgbF16, &[(42, 5)]),
            (PixelFormat::RgbBf16Planar, &[(14, 5), (14, 5), (14, 5)]),
            (PixelFormat::Nv12(yuv), &[(7, 5), (8, 3)]),
            (PixelFormat::Yuyv(yuv), &[(16, 5)]),
            (PixelFormat::Uyvy(yuv), &[(16, 5)]),
        ] {
            let got: Vec<_> = (0..format.planes()).map(|i| (format.row_bytes(i, 7), format.rows(i, 5))).collect();
            assert_eq!(got, want, "{format:?}");
        }
    }
}

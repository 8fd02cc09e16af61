//! Image input.

use crate::rig::*;
use sam2::engine::backend::*;
use sam2::{Frame, PixelFormat, Size};

pub fn preprocess<B: Backend>(b: &B, numbers: Numbers) {
    let mut r = Random(10);
    let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    for (w, h, side) in [(32, 32, 32), (7, 5, 32), (100, 33, 32), (1, 90, 64), (641, 480, 96)] {
        for format in [
            PixelFormat::Rgb8,
            PixelFormat::Bgr8,
            PixelFormat::Rgba8,
            PixelFormat::Bgra8,
            PixelFormat::Gray8,
            PixelFormat::RgbF32,
        ] {
            let stride = format.row_bytes(0, w) + if format == PixelFormat::RgbF32 { 8 } else { 3 };
            let words: Vec<u32> = (0..(stride * h).div_ceil(4)).map(|_| r.next() as u32).collect();
            let floats: Vec<f32> = words.iter().map(|w| (w >> 8) as f32 / (1 << 24) as f32).collect();
            let is_float = format == PixelFormat::RgbF32;
            let bytes: &[u8] = if is_float { bytemuck::cast_slice(&floats) } else { bytemuck::cast_slice(&words) };
            let frame = Frame::new(format, bytes, Size::new(w, h), stride).unwrap();
            let out = Owned::nan_of(b, numbers.dtype, &[side, side, 3]);
            b.preprocess(out.at(), &frame, Filter::Bilinear);
            let source = |y: usize, x: usize, c: usize| -> f64 {
                let channel = match format {
                    PixelFormat::Bgr8 | PixelFormat::Bgra8 => 2 - c,
                    PixelFormat::Gray8 => 0,
                    _ => c,
                };
                if is_float {
                    floats[y * stride / 4 + x * 3 + channel] as f64
                } else {
                    bytes[y * stride + x * format.channels()[0].step + channel] as f64 / 255.0
                }
            };
            let taps = |i: usize, from: usize| -> Vec<(usize, f64)> {
                let scale = from as f64 / side as f64;
                let (support, center) = (scale.max(1.0), scale * (i as f64 + 0.5));
                let first = (center - support + 0.5).max(0.0) as usize;
                let last = ((center + support + 0.5) as usize).min(from);
                let raw: Vec<f64> =
                    (first..last).map(|j| (1.0 - ((j as f64 - center + 0.5) / support).abs()).max(0.0)).collect();
                let total: f64 = raw.iter().sum();
                (first..last).zip(raw.into_iter().map(|v| v / total)).collect()
            };
            let want: Vec<f64> = (0..side * side * 3)
                .map(|i| {
                    let (c, rows, columns) = (i % 3, taps(i / 3 / side, h), taps(i / 3 % side, w));
                    let sum: f64 = rows
                        .iter()
                        .flat_map(|(y, wy)| columns.iter().map(move |(x, wx)| (*y, *x, wy * wx)))
                        .map(|(y, x, weight)| weight * source(y, x, c))
                        .sum();
                    (sum - mean[c]) / std[c]
                })
                .collect();
            numbers.check(&format!("preprocess {w}x{h} to {side}, {format:?}"), &out.floats(), &want, 2e-6);
        }
    }
}

/// Pillow's own results, to the bit: a photograph that is reduced, and a corner of it that is enlarged.
pub fn bicubic<B: Backend>(b: &B, numbers: Numbers) {
    let read = |name: &str| sam2::picture::read(crate::common::file(name)).unwrap();
    let photo = read("demo/pictures/chelsea.png");
    let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    for (w, h, side) in [(photo.width, photo.height, 64), (23, 17, 96), (photo.width, 9, 64)] {
        let frame = Frame::new(photo.format, &photo.pixels, Size::new(w, h), photo.width * 3).unwrap();
        let golden = read(&format!("tests/data/golden/bicubic_{w}x{h}_to_{side}.png"));
        assert_eq!((golden.width, golden.height), (side, side));
        let out = Owned::nan_of(b, numbers.dtype, &[side, side, 3]);
        b.preprocess(out.at(), &frame, Filter::Bicubic);
        let got = out.floats();
        let want: Vec<f64> =
            golden.pixels.iter().enumerate().map(|(i, &v)| (f64::from(v) / 255.0 - mean[i % 3]) / std[i % 3]).collect();
        // Much less than the 0.017 of one step of a byte.
        numbers.check(&format!("bicubic {w}x{h} to {side}"), &got, &want, 1e-6);
    }
    // Floats are not rounded to bytes.
    let floats: Vec<f32> = photo.pixels[..48 * 3].iter().map(|&v| f32::from(v) / 255.0).collect();
    let frame = Frame::rgb_f32(&floats, Size::new(8, 6)).unwrap();
    let [one, other] = [Filter::Bicubic, Filter::Bilinear].map(|filter| {
        let out = Owned::nan_of(b, numbers.dtype, &[32, 32, 3]);
        b.preprocess(out.at(), &frame, filter);
        out.floats()
    });
    assert_eq!(one, other);
    // A staged image has the pixels of the time of staging. A staged image that is not used has no effect.
    let other: Vec<u8> = photo.pixels[..48 * 3].iter().rev().copied().collect();
    let [frame, other] = [&photo.pixels[..48 * 3], &other].map(|pixels| Frame::rgb8(pixels, Size::new(8, 6)).unwrap());
    let out = Owned::nan_of(b, numbers.dtype, &[32, 32, 3]);
    let [want, want_other] = [&frame, &other].map(|frame| {
        b.preprocess(out.at(), frame, Filter::Bicubic);
        out.floats()
    });
    let staged = b.stage(&frame);
    assert_eq!(staged, b.takes_device_memory(), "a device with memory of its own has pictures staged");
    b.preprocess_staged(out.at(), if staged { &other } else { &frame }, Filter::Bicubic);
    assert_eq!(out.floats(), want);
    b.stage(&frame);
    b.preprocess(out.at(), &other, Filter::Bicubic);
    assert_eq!(out.floats(), want_other);
}

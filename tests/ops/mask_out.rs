//! Mask output.

use crate::common::masks::*;
use crate::rig::*;
use sam2::engine::MaskOut;
use sam2::engine::backend::*;
use sam2::engine::tensor::{DType, Tensor};
use sam2::{MaskFormat, Size};

/// Bilinear samples by PyTorch's rule.
fn resized(x: &[f32], (h, w): (usize, usize), (oh, ow): (usize, usize)) -> Vec<f64> {
    let pair = |i: usize, from: usize, to: usize| {
        let at = ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0);
        let first = (at as usize).min(from - 1);
        (first, (first + 1).min(from - 1), at - first as f64)
    };
    (0..oh * ow)
        .map(|i| {
            let ((y0, y1, ty), (x0, x1, tx)) = (pair(i / ow, h, oh), pair(i % ow, w, ow));
            let at = |y: usize, x_: usize| x[y * w + x_] as f64;
            let line = |y: usize| at(y, x0) * (1.0 - tx) + at(y, x1) * tx;
            line(y0) * (1.0 - ty) + line(y1) * ty
        })
        .collect()
}

/// Masks (count, oh, ow) from a backend.
fn written<B: Backend>(
    b: &B,
    masks: Tensor<'_>,
    selected: Option<Tensor<'_>>,
    (height, width): (usize, usize),
    (format, flipped, limit): (MaskFormat, bool, f32),
) -> Vec<u8> {
    let count = selected.map_or(masks.dim(0) * masks.dim(1), |s| s.len());
    let mut room = Room::new(format, count, Size::new(width, height));
    let out = MaskOut { buffer: room.buffer(format, flipped), limit, height, width };
    match format {
        MaskFormat::Labels => b.write_labels(out, masks, selected, None),
        _ => b.write_masks(out, masks, selected),
    }
    b.sync().unwrap();
    room.bytes().to_vec()
}

pub fn masks_out<B: Backend>(b: &B) {
    let mut r = Random(9);
    let (p, h, w) = (2, 8, 6);
    let mut masks: Vec<f32> = r.floats(p * 4 * h * w).iter().map(|v| v * 40.0).collect();
    // Two equal masks: in a label map, the first has the pixels.
    masks.copy_within(h * w..2 * h * w, 6 * h * w);
    let (tm, ts) = (Owned::new(b, &[p, 4, h, w], &masks), Owned::ints(b, &[3, 1, 0, 2]));
    let (all, chosen) = (None, Some(ts.at().view(&[p, 2])));
    for size in [(8, 6), (1, 1), (131, 57), (3, 70), (17, 300), (530, 3)] {
        let mut want = Vec::new();
        for plane in [3, 1, 4, 6] {
            want.extend(resized(&masks[plane * h * w..][..h * w], (h, w), size));
        }
        let clamped: Vec<f64> = want.iter().map(|v| v.clamp(-32.0, 32.0)).collect();
        let got = written(b, tm.at(), chosen, size, (MaskFormat::Logits, false, 32.0));
        check(&format!("write_masks {size:?}"), &floats(&got), &clamped, 1e-5);

        // Every other format equals the logits, to the bit.
        for selected in [all, chosen] {
            let logits = floats(&written(b, tm.at(), selected, size, (MaskFormat::Logits, false, f32::INFINITY)));
            for format in FORMATS {
                for flipped in [false, true] {
                    let limit = if format == MaskFormat::Logits { f32::INFINITY } else { 1.5 };
                    let got = written(b, tm.at(), selected, size, (format, flipped, limit));
                    assert!(
                        got == formed(&logits, Size::new(size.1, size.0), limit, format, flipped),
                        "{format:?}, {flipped}, {size:?}"
                    );
                }
            }
            for (threshold, offset) in [(0.0, 1.0), (1.5, 5.25), (-90.0, 2.0), (39.0, 0.0), (90.0, 3.0)] {
                let pixels = size.0 * size.1;
                let out =
                    Owned::filled(b, DType::I32, &[logits.len() / pixels, 7], &vec![9; logits.len() / pixels * 7]);
                let measure = Measure { threshold, offset, height: size.0, width: size.1 };
                b.measure_masks(out.at(), tm.at(), selected, measure);
                let got: Vec<i32> = out.words().into_iter().map(|w| w as i32).collect();
                for (got, mask) in got.chunks(7).zip(logits.chunks(pixels)) {
                    let count = |t: f32| measured(mask, size.1, t).0 as i32;
                    let (area, [left, top, right, bottom]) = measured(mask, size.1, threshold);
                    let (more, less) = (count(threshold + offset), count(threshold - offset));
                    let want = [area as i32, more, less, left, top, right, bottom];
                    assert_eq!(got, want, "measure_masks {size:?}, {threshold} and {offset}");
                }
            }
        }
    }
    let copy = written(b, tm.at(), None, (h, w), (MaskFormat::Logits, false, f32::INFINITY));
    assert_eq!(floats(&copy), masks, "write_masks of one size copies");
}

/// Masks with space between rows and planes, and label maps of given values.
pub fn masks_with_strides<B: Backend>(b: &B) {
    let mut r = Random(10);
    let (h, w, ids) = (8, 6, [7, 255, 42]);
    let masks = Owned::new(b, &[1, 3, h, w], &r.floats(3 * h * w));
    let values = Owned::ints(b, &ids);
    let small = [MaskFormat::Ids8, MaskFormat::Ids16];
    for (height, width) in [(8, 6), (131, 57), (3, 70), (17, 300)] {
        let size = Size::new(width, height);
        let labels = written(b, masks.at(), None, (height, width), (MaskFormat::Labels, false, 0.0));
        for format in FORMATS.into_iter().chain(small) {
            let limit = if format == MaskFormat::Logits { f32::INFINITY } else { 0.0 };
            let want = match format {
                MaskFormat::Ids8 | MaskFormat::Ids16 => with_ids(&labels, &ids.map(i64::from), format),
                _ => written(b, masks.at(), None, (height, width), (format, false, limit)),
            };
            let (row_bytes, each) = (format.row_bytes(width), format.bytes(1, size));
            for strides in [[0, 0], [row_bytes + 12, 0], [0, each + 8], [row_bytes + 4, each + 4 * height + 16]] {
                let row = if strides[0] == 0 { row_bytes } else { strides[0] };
                let plane = if strides[1] == 0 { row * height } else { strides[1] };
                let mut want = spread(&want, row_bytes, height, [row, plane]);
                // The buffer is larger than the masks.
                want.extend([NINE; 20]);
                let mut room = Room::of(want.len());
                let buffer = room.buffer(format, false).with_strides(strides[0], strides[1]);
                let out = MaskOut { buffer, limit, height, width };
                match format {
                    MaskFormat::Labels => b.write_labels(out, masks.at(), None, None),
                    MaskFormat::Ids8 | MaskFormat::Ids16 => b.write_labels(out, masks.at(), None, Some(values.at())),
                    _ => b.write_masks(out, masks.at(), None),
                }
                b.sync().unwrap();
                assert!(room.bytes() == want, "{format:?}, {size}, {strides:?}");
            }
        }
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks(4).map(|b| f32::from_ne_bytes(b.try_into().unwrap())).collect()
}

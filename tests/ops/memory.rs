//! Attention to memories, rotation, and the frames of a video.

use crate::rig::*;
use sam2::Frame;
use sam2::engine::backend::{Backend, Epilogue, Filter, LinearData, Rotation};

pub fn memory_attention<B: Backend>(b: &B, numbers: Numbers) {
    let dtype = numbers.dtype;
    let mut r = Random(21);
    for (p, n, m, d, dv, lens) in [
        (1, 1, 1, 8, 4, &[1][..]),
        (2, 70, 150, 64, 16, &[150, 31]),
        (1, 97, 300, 256, 64, &[299]),
        (3, 5, 20, 33, 31, &[20, 1, 7]),
        (1, 40, 65, 256, 256, &[65]),
    ] {
        let mut q: Vec<f32> = r.floats(p * n * d).iter().map(|v| v * 3.0).collect();
        let (mut k, mut v) = (r.floats(p * m * d), r.floats(p * m * dv));
        // What lies beyond an object's memories is never looked at.
        for (i, &len) in lens.iter().enumerate() {
            k[(i * m + len as usize) * d..(i + 1) * m * d].fill(f32::NAN);
            v[(i * m + len as usize) * dv..(i + 1) * m * dv].fill(f32::NAN);
        }
        let (tq, tk) = (Owned::of(b, dtype, &[p, n, d], &mut q), Owned::of(b, dtype, &[p, m, d], &mut k));
        let (tv, tl) = (Owned::of(b, dtype, &[p, m, dv], &mut v), Owned::ints(b, lens));
        let out = Owned::nan_of(b, dtype, &[p, n, dv]);
        b.memory_attention(out.at(), tq.at(), tk.at(), tv.at(), tl.at());
        let mut want = Vec::new();
        for i in 0..p {
            let keys: Vec<_> = (i * m..i * m + lens[i] as usize)
                .map(|j| (wide(&k[j * d..][..d]), wide(&v[j * dv..][..dv]), 0.0))
                .collect();
            for query in i * n..(i + 1) * n {
                want.extend(crate::attention::attend(&wide(&q[query * d..][..d]), &keys, 1.0 / (d as f64).sqrt()));
            }
        }
        numbers.check(&format!("memory_attention {p}x{n} to {m}, {d} and {dv} wide"), &out.floats(), &want, 3e-6);
    }
}

pub fn rotation<B: Backend>(b: &B, numbers: Numbers) {
    let dtype = numbers.dtype;
    let mut r = Random(22);
    for (p, n, k, c, columns, m, d, lens) in [
        (1, 1, 4, 2, 2, 1, 2, None),
        (1, 37, 9, 30, 24, 10, 12, None),
        (2, 30, 5, 12, 12, 10, 12, Some(&[20, 0][..])),
        (1, 130, 64, 256, 256, 64, 256, Some(&[128])),
        (3, 70, 32, 200, 128, 70, 64, None),
    ] {
        let (mut x, mut w) = (r.floats(p * n * k), r.floats(c * k));
        round(dtype, &mut w);
        let (bias, table) = (r.floats(c), r.floats(m * d));
        let data = LinearData { w: &w, b: &bias, groups: 1, n: c, k, dtype, few_rows: false };
        let weights = b.linear_weights(data).unwrap();
        let (tx, tt) = (Owned::of(b, dtype, &[p * n, k], &mut x), Owned::new(b, &[m, d], &table));
        let (out, lens_tensor) = (Owned::nan_of(b, dtype, &[p, n, c]), lens.map(|lens| Owned::ints(b, lens)));
        let rotation = Rotation { table: tt.at(), columns, lens: lens_tensor.as_ref().map(|l| l.at()) };
        b.linear(out.at(), tx.at().into(), &weights, Epilogue::rotate(rotation));
        let product = |i: usize| {
            let (x, w) = (&x[i / c * k..][..k], &w[i % c * k..][..k]);
            x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum::<f64>() + f64::from(bias[i % c])
        };
        let want: Vec<f64> = (0..p * n * c)
            .map(|i| {
                let (row, col) = (i / c % n, i % c);
                if col >= columns || lens.is_some_and(|lens| row >= lens[i / c / n] as usize) {
                    return product(i);
                }
                let turn = |k: usize| f64::from(table[row % m * d + col % d / 2 * 2 + k]);
                let (a, b) = (product(i & !1), product(i | 1));
                if col % 2 == 0 { a * turn(0) - b * turn(1) } else { a * turn(1) + b * turn(0) }
            })
            .collect();
        numbers.check(&format!("rotation of {columns} of {p}x{n}x{c}"), &out.floats(), &want, 3e-6);
    }
}

/// Pillow's own results, to the bit: of a photograph made small, and of a corner of it made large.
pub fn bicubic<B: Backend>(b: &B, numbers: Numbers) {
    let read = |name: &str| sam2::picture::read(crate::common::file(name)).unwrap();
    let photo = read("demo/pictures/chelsea.png");
    let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    for (w, h, side) in [(photo.width, photo.height, 64), (23, 17, 96), (photo.width, 9, 64)] {
        let frame = Frame::new(photo.format, &photo.pixels, w, h, photo.width * 3).unwrap();
        let golden = read(&format!("tests/data/golden/bicubic_{w}x{h}_to_{side}.png"));
        assert_eq!((golden.width, golden.height), (side, side));
        let out = Owned::nan_of(b, numbers.dtype, &[side, side, 3]);
        b.preprocess(out.at(), &frame, Filter::Bicubic);
        let got = out.floats();
        let want: Vec<f64> =
            golden.pixels.iter().enumerate().map(|(i, &v)| (f64::from(v) / 255.0 - mean[i % 3]) / std[i % 3]).collect();
        // Far less than the 0.017 of one step of a byte.
        numbers.check(&format!("bicubic {w}x{h} to {side}"), &got, &want, 1e-6);
    }
    // Floats have no bytes to round to.
    let floats: Vec<f32> = photo.pixels[..48 * 3].iter().map(|&v| f32::from(v) / 255.0).collect();
    let frame = Frame::rgb_f32(&floats, 8, 6).unwrap();
    let [one, other] = [Filter::Bicubic, Filter::Bilinear].map(|filter| {
        let out = Owned::nan_of(b, numbers.dtype, &[32, 32, 3]);
        b.preprocess(out.at(), &frame, filter);
        out.floats()
    });
    assert_eq!(one, other);
}

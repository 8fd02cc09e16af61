//! Sums and pools.

use crate::rig::*;
use sam2::engine::backend::*;

pub fn add_vector<B: Backend>(b: &B, numbers: Numbers) {
    let mut r = Random(36);
    for (rows, c) in [(1, 1), (37, 4), (19, 7), (3, 31), (100, 96), (5, 150), (9, 300), (3, 1153)] {
        let (x, v) = (r.floats(rows * c), r.floats(c));
        let (tx, tv) = (Owned::new(b, &[rows, c], &x), Owned::new(b, &[c], &v));
        let out = Owned::nan(b, &[rows, c]);
        b.add_vector(out.at(), tx.at(), tv.at());
        let want: Vec<f64> = x.iter().enumerate().map(|(i, &x)| f64::from(x) + f64::from(v[i % c])).collect();
        numbers.check("add_vector", &out.floats(), &want, 1e-7);
    }
}

pub fn max_pool2x2<B: Backend>(b: &B, numbers: Numbers) {
    let mut r = Random(37);
    let (h, w, c) = (3, 5, 17);
    let mut x = r.floats(4 * h * w * 2 * c);
    let tx = Owned::of(b, numbers.dtype, &[2 * h, 2 * w, 2 * c], &mut x);
    let out = Owned::nan_of(b, numbers.dtype, &[h, w, c]);
    b.max_pool2x2(out.at(), tx.at().columns(c, c));
    let at = |y: usize, x_: usize, j: usize| x[(y * 2 * w + x_) * 2 * c + c + j] as f64;
    let want: Vec<f64> = (0..h * w * c)
        .map(|i| {
            let (y, x, j) = (i / c / w * 2, i / c % w * 2, i % c);
            at(y, x, j).max(at(y, x + 1, j)).max(at(y + 1, x, j)).max(at(y + 1, x + 1, j))
        })
        .collect();
    check("max_pool2x2", &out.floats(), &want, 0.0);
}

pub fn add_dense_prompts<B: Backend>(b: &B, numbers: Numbers) {
    let dtype = numbers.dtype;
    let mut r = Random(35);
    let (hw, c, images) = (37, 19, 2);
    let (mut embed, mut dense, vector) = (r.floats(images * hw * c), r.floats(2 * hw * c), r.floats(c));
    let (image, mask) = ([1, 0, 1], [-1, 1, 0]);
    let (te, td, tv) = (
        Owned::of(b, dtype, &[images, hw, c], &mut embed),
        Owned::of(b, dtype, &[2, hw, c], &mut dense),
        Owned::new(b, &[c], &vector),
    );
    let (ti, tm) = (Owned::ints(b, &image), Owned::ints(b, &mask));
    let out = Owned::nan_of(b, dtype, &[3, hw, c]);
    b.add_dense_prompts(out.at(), te.at(), ti.at(), td.at(), tm.at(), tv.at());
    let want: Vec<f64> = (0..3 * hw * c)
        .map(|i| {
            let (e, at) = (i / (hw * c), i % (hw * c));
            let add = if mask[e] < 0 { vector[at % c] } else { dense[mask[e] as usize * hw * c + at] };
            embed[image[e] as usize * hw * c + at] as f64 + add as f64
        })
        .collect();
    numbers.check("add_dense_prompts", &out.floats(), &want, 1e-7);
}

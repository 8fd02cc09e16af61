//! The upscaling of the mask decoder.

use crate::rig::*;
use sam2::engine::backend::*;

pub fn upscale_masks<B: Backend>(b: &B, numbers: Numbers) {
    let dtype = numbers.dtype;
    let mut r = Random(7);
    for (p, h, w, c, images, image) in [(1, 2, 3, 32, 1, &[0][..]), (2, 5, 7, 64, 2, &[1, 0]), (1, 9, 8, 256, 1, &[0])]
    {
        let (c1, c0, m) = (c / 4, c / 8, 4);
        let (mut keys, hyper) = (r.floats(p * h * w * c), r.floats(p * m * c0));
        let (mut high1, mut high0) = (r.floats(images * 4 * h * w * c1), r.floats(images * 16 * h * w * c0));
        let (mut w1, b1, mut w2, b2) =
            (r.floats(4 * c1 * c), r.floats(4 * c1), r.floats(4 * c0 * c1), r.floats(4 * c0));
        let (gamma, beta) = (r.floats(c1), r.floats(c1));
        round(dtype, &mut w1);
        round(dtype, &mut w2);
        let dc1 = b
            .linear_weights(LinearData { w: &w1, b: &b1, groups: 1, n: 4 * c1, k: c, dtype, few_rows: false })
            .unwrap();
        let dc2 = b
            .linear_weights(LinearData { w: &w2, b: &b2, groups: 1, n: 4 * c0, k: c1, dtype, few_rows: false })
            .unwrap();
        let (tk, th) = (Owned::of(b, dtype, &[p, h, w, c], &mut keys), Owned::new(b, &[p, m, c0], &hyper));
        let t1 = Owned::of(b, dtype, &[images, 2 * h, 2 * w, c1], &mut high1);
        let t0 = Owned::of(b, dtype, &[images, 4 * h, 4 * w, c0], &mut high0);
        let (tg, tb, ti) = (Owned::new(b, &[c1], &gamma), Owned::new(b, &[c1], &beta), Owned::ints(b, image));
        let norm = Norm { gamma: tg.at(), beta: tb.at(), eps: 1e-6 };
        let out = Owned::nan(b, &[p, m, 4 * h, 4 * w]);
        b.upscale_masks(out.at(), tk.at(), th.at(), (t1.at(), t0.at()), ti.at(), &dc1, norm, &dc2);

        // A transposed convolution: (h, w, k) to (2h, 2w, n). The rows of its weights are (2, 2, n).
        let enlarge = |x: &[f64], h: usize, w: usize, weights: &[f32], bias: &[f32], n: usize, k: usize| -> Vec<f64> {
            (0..4 * h * w * n)
                .map(|i| {
                    let (j, x_, y) = (i % n, i / n % (2 * w), i / n / (2 * w));
                    let row = (y % 2 * 2 + x_ % 2) * n + j;
                    let from = &x[(y / 2 * w + x_ / 2) * k..][..k];
                    from.iter().zip(&weights[row * k..]).map(|(a, b)| a * *b as f64).sum::<f64>() + bias[row] as f64
                })
                .collect()
        };
        let mut want = Vec::new();
        for i in 0..p {
            let picture = image[i] as usize;
            let u = enlarge(&wide(&keys[i * h * w * c..][..h * w * c]), h, w, &w1, &b1, c1, c);
            let u: Vec<f64> = u.iter().zip(&high1[picture * 4 * h * w * c1..]).map(|(a, b)| a + *b as f64).collect();
            let u: Vec<f64> = u.chunks(c1).flat_map(|row| normalise(row, &gamma, &beta, 1e-6)).collect();
            let u: Vec<f64> = u.iter().map(|&v| activate(Activation::Gelu, v)).collect();
            let u = enlarge(&u, 2 * h, 2 * w, &w2, &b2, c0, c1);
            let u: Vec<f64> = (u.iter().zip(&high0[picture * 16 * h * w * c0..]))
                .map(|(a, b)| activate(Activation::Gelu, a + *b as f64))
                .collect();
            for mask in 0..m {
                let by = &hyper[(i * m + mask) * c0..][..c0];
                want.extend(u.chunks(c0).map(|px| px.iter().zip(by).map(|(a, b)| a * *b as f64).sum::<f64>()));
            }
        }
        numbers.check(&format!("upscale_masks {h}x{w}x{c}"), &out.floats(), &want, 5e-6);
    }
}

//! Layer norms.

use crate::rig::*;
use sam2::engine::backend::*;

pub fn layer_norm<B: Backend>(b: &B, numbers: Numbers) {
    let mut r = Random(3);
    for (rows, c) in [(1, 1), (37, 4), (19, 7), (3, 31), (100, 96), (5, 150), (9, 300), (9, 600), (7, 1152), (3, 1153)]
    {
        let (x, gamma, beta) = (r.floats(rows * c), r.floats(c), r.floats(c));
        let (tx, tg, tb) = (Owned::new(b, &[rows, c], &x), Owned::new(b, &[c], &gamma), Owned::new(b, &[c], &beta));
        let norm = Norm { gamma: tg.at(), beta: tb.at(), eps: 1e-5 };
        for activation in [Activation::None, Activation::Gelu] {
            let want: Vec<f64> = (x.chunks(c).flat_map(|row| normalise(&wide(row), &gamma, &beta, 1e-5)))
                .map(|v| activate(activation, v))
                .collect();
            let out = Owned::nan(b, &[rows, c]);
            b.layer_norm(out.at(), tx.at(), norm, activation);
            numbers.check(&format!("layer_norm {rows}x{c}"), &out.floats(), &want, 3e-6);
        }
        b.layer_norm(tx.at(), tx.at(), norm, Activation::None);
        let want: Vec<f64> = x.chunks(c).flat_map(|row| normalise(&wide(row), &gamma, &beta, 1e-5)).collect();
        numbers.check(&format!("layer_norm in place {rows}x{c}"), &tx.floats(), &want, 3e-6);
    }
}

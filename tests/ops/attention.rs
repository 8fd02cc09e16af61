//! Attention within windows, and of the tokens of a prompt.

use crate::rig::*;
use sam2::engine::backend::*;
use sam2::engine::tensor::Tensor;

/// softmax(scale q k^T) v. Each of `keys` is a key, its value, and a number that is added to its score.
pub fn attend(q: &[f64], keys: &[(Vec<f64>, Vec<f64>, f64)], scale: f64) -> Vec<f64> {
    let scores: Vec<f64> =
        keys.iter().map(|(k, _, add)| scale * (q.iter().zip(k).map(|(a, b)| a * b).sum::<f64>() + add)).collect();
    let max = scores.iter().copied().fold(f64::MIN, f64::max);
    let weights: Vec<f64> = scores.iter().map(|s| (s - max).exp()).collect();
    let total: f64 = weights.iter().sum();
    let mut out = vec![0.0; keys[0].1.len()];
    for (w, (_, v, _)) in weights.iter().zip(keys) {
        out.iter_mut().zip(v).for_each(|(o, v)| *o += w / total * v);
    }
    out
}

pub fn window_attention<B: Backend>(b: &B, numbers: Numbers) {
    let dtype = numbers.dtype;
    let mut r = Random(4);
    for (h, w, size, pool, heads, d) in [
        (8, 8, 4, 1, 1, 24),
        (10, 6, 4, 1, 2, 7),
        (10, 6, 4, 2, 2, 56),
        (16, 16, 14, 1, 3, 96),
        (5, 5, 7, 1, 4, 9),
        (18, 20, 0, 1, 2, 33),
        (18, 20, 0, 2, 1, 72),
        (17, 19, 16, 1, 1, 256),
        (21, 25, 0, 1, 1, 20),
        (18, 20, 0, 1, 2, 72),
        (12, 13, 0, 1, 1, 96),
        (13, 16, 0, 1, 2, 56),
        (24, 22, 0, 2, 1, 88),
        (17, 19, 16, 1, 1, 72),
        (18, 33, 16, 1, 1, 88),
    ] {
        let c = heads * d;
        let (mut qkv, pad) = (r.floats(h * w * 3 * c).iter().map(|v| v * 3.0).collect::<Vec<_>>(), r.floats(2 * c));
        let mut pooled = r.floats(h / pool * (w / pool) * c);
        let (tx, tp) = (Owned::of(b, dtype, &[h, w, 3 * c], &mut qkv), Owned::new(b, &[2, c], &pad));
        let tq = Owned::of(b, dtype, &[h / pool, w / pool, c], &mut pooled);
        let (q, qs): (Tensor<'_>, Box<dyn Fn(usize, usize) -> f64>) = if pool == 1 {
            (tx.at().columns(0, c), Box::new(|i, j| qkv[i * 3 * c + j] as f64))
        } else {
            (tq.at(), Box::new(|i, j| pooled[i * c + j] as f64))
        };
        let out = Owned::nan_of(b, dtype, &[h / pool, w / pool, c]);
        let pads = (tp.at().slice(0, 1).view(&[c]), tp.at().slice(1, 1).view(&[c]));
        let (k, v) = (tx.at().columns(c, c), tx.at().columns(2 * c, c));
        b.window_attention(out.at(), q, k, v, heads, Windows { size, pad: pads });
        let (sh, sw) = if size == 0 { (h, w) } else { (size, size) };
        let mut want = vec![0.0; out.at().len()];
        for i in 0..h / pool * (w / pool) {
            let (y, x) = (i / (w / pool) * pool / sh * sh, i % (w / pool) * pool / sw * sw);
            for head in 0..heads {
                let of = |x: &dyn Fn(usize) -> f64| (0..d).map(|j| x(head * d + j)).collect::<Vec<f64>>();
                let mut keys = Vec::new();
                for (ky, kx) in (0..sh * sw).map(|t| (y + t / sw, x + t % sw)) {
                    let at = |part: usize| move |j: usize| (ky * w + kx) * 3 * c + part * c + j;
                    keys.push(if ky < h && kx < w {
                        (of(&|j| qkv[at(1)(j)] as f64), of(&|j| qkv[at(2)(j)] as f64), 0.0)
                    } else {
                        (of(&|j| pad[j] as f64), of(&|j| pad[c + j] as f64), 0.0)
                    });
                }
                let row = attend(&of(&|j| qs(i, j)), &keys, 1.0 / (d as f64).sqrt());
                want[i * c + head * d..][..d].copy_from_slice(&row);
            }
        }
        numbers.check(&format!("window_attention {h}x{w} {size}/{pool} {heads}x{d}"), &out.floats(), &want, 3e-6);
    }
}

pub fn token_attention<B: Backend>(b: &B, numbers: Numbers) {
    let mut r = Random(5);
    for (p, t, heads, d, lens) in [(1, 7, 8, 4, &[7][..]), (3, 11, 8, 32, &[6, 11, 9]), (2, 300, 1, 5, &[300, 7])] {
        let c = heads * d;
        let (qk, v) = (r.floats(p * t * 2 * c), r.floats(p * t * c));
        let (tx, tv) = (Owned::new(b, &[p, t, 2 * c], &qk), Owned::new(b, &[p, t, c], &v));
        let (out, tl) = (Owned::nan(b, &[p, t, c]), Owned::ints(b, lens));
        b.token_attention(out.at(), tx.at().columns(0, c), tx.at().columns(c, c), tv.at(), heads, tl.at());
        let got = out.floats();
        for (i, &len) in lens.iter().enumerate() {
            for token in 0..len as usize {
                for head in 0..heads {
                    let of = |x: &[f32], stride: usize, row: usize, from: usize| {
                        wide(&x[row * stride + from + head * d..][..d])
                    };
                    let keys: Vec<_> = (0..len as usize)
                        .map(|k| (of(&qk, 2 * c, i * t + k, c), of(&v, c, i * t + k, 0), 0.0))
                        .collect();
                    let want = attend(&of(&qk, 2 * c, i * t + token, 0), &keys, 1.0 / (d as f64).sqrt());
                    numbers.check("token_attention", &got[(i * t + token) * c + head * d..][..d], &want, 5e-6);
                }
            }
        }
    }
}

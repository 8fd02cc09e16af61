//! Attention between the tokens of prompts and the image.

use crate::attention::attend;
use crate::rig::*;
use sam2::engine::backend::*;

pub fn image_attention<B: Backend>(b: &B, numbers: Numbers) {
    let dtype = numbers.dtype;
    let mut r = Random(6);
    for (p, s, t, lens, hw, c, source) in [
        (1, 1, 7, &[7][..], 4, 32, &[0][..]),
        (3, 2, 9, &[6, 9, 7], 300, 64, &[1, 0, 1]),
        (2, 2, 40, &[40, 8], 1100, 128, &[0, 1]),
        (1, 1, 8, &[8], 2050, 256, &[0]),
    ] {
        let heads = 8;
        let n = t * heads;
        let (mut keys, pos, mut q) = (r.floats(s * hw * c), r.floats(hw * c), r.floats(p * n * c));
        let (tk, tp) = (Owned::of(b, dtype, &[s, hw, c], &mut keys), Owned::new(b, &[hw, c], &pos));
        let (tq, ts) = (Owned::of(b, dtype, &[p, n, c], &mut q), Owned::ints(b, source));
        let scale = 0.3;
        let out = Owned::nan_of(b, dtype, &[p, n, c]);
        b.attend_image(out.at(), tq.at(), tk.at(), ts.at(), tp.at(), scale);
        let pixel = |i: usize, at: usize| &keys[(source[i] as usize * hw + at) * c..][..c];
        let summed = |i: usize, at: usize| -> Vec<f64> {
            pixel(i, at).iter().zip(&pos[at * c..]).map(|(a, b)| *a as f64 + *b as f64).collect()
        };
        let mut want = Vec::new();
        for i in 0..p {
            let rows: Vec<_> = (0..hw).map(|at| (summed(i, at), wide(pixel(i, at)), 0.0)).collect();
            for query in 0..n {
                want.extend(attend(&wide(&q[(i * n + query) * c..][..c]), &rows, scale as f64));
            }
        }
        numbers.check(&format!("attend_image {p}x{n} {hw}x{c}"), &out.floats(), &want, 1e-5);

        let (mut k, mut v, score_bias) = (r.floats(p * n * c), r.floats(p * n * c), r.floats(p * n));
        let (bias, gamma, beta) = (r.floats(c), r.floats(c), r.floats(c));
        let dims = [p, t, heads, c];
        let (tk2, tv, tsb) = (
            Owned::of(b, dtype, &dims, &mut k),
            Owned::of(b, dtype, &dims, &mut v),
            Owned::new(b, &[p, t, heads], &score_bias),
        );
        let (tbias, tg, tb) = (Owned::new(b, &[c], &bias), Owned::new(b, &[c], &gamma), Owned::new(b, &[c], &beta));
        let tl = Owned::ints(b, lens);
        let tokens = TokenAttention {
            k: tk2.at(),
            score_bias: tsb.at(),
            v: tv.at(),
            bias: tbias.at(),
            norm: Norm { gamma: tg.at(), beta: tb.at(), eps: 1e-5 },
            lens: tl.at(),
            scale,
        };
        let out = Owned::nan_of(b, dtype, &[p, hw, c]);
        b.update_image(out.at(), tk.at(), ts.at(), tp.at(), tokens);
        let mut want = Vec::new();
        for i in 0..p {
            for at in 0..hw {
                let mut row: Vec<f64> = pixel(i, at).iter().zip(&bias).map(|(a, b)| *a as f64 + *b as f64).collect();
                for h in 0..heads {
                    let rows: Vec<_> = (0..lens[i] as usize)
                        .map(|token| {
                            let j = i * n + token * heads + h;
                            (wide(&k[j * c..][..c]), wide(&v[j * c..][..c]), score_bias[j] as f64)
                        })
                        .collect();
                    let read = attend(&summed(i, at), &rows, scale as f64);
                    row.iter_mut().zip(read).for_each(|(r, v)| *r += v);
                }
                want.extend(normalise(&row, &gamma, &beta, 1e-5));
            }
        }
        numbers.check(&format!("update_image {p}x{t} {hw}x{c}"), &out.floats(), &want, 1e-5);
        if s == p && source.iter().enumerate().all(|(i, &s)| i == s as usize) {
            b.update_image(tk.at(), tk.at(), ts.at(), tp.at(), tokens);
            assert_eq!(tk.floats(), out.floats(), "update_image in place");
        }
    }
}

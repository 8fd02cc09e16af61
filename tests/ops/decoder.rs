//! What surrounds the transformer of the mask decoder.

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

        // A transposed convolution: (h, w, k) to (2h, 2w, n), its weights' rows (2, 2, n).
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

pub fn prompts<B: Backend>(b: &B, numbers: Numbers) {
    let dtype = numbers.dtype;
    let mut r = Random(8);
    let (p, t, c) = (2, 9, 22);
    let (points, labels, lens) = (r.floats(p * 3 * 2), [1, 0, -1, 2, 3, 1], [9, 7]);
    let (outputs, gaussian, embeddings) = (r.floats(6 * c), r.floats(c), r.floats(5 * c));
    let (tp, tl, tn) = (Owned::new(b, &[p, 3, 2], &points), Owned::ints(b, &labels), Owned::ints(b, &lens));
    let (to, tg, te) =
        (Owned::new(b, &[6, c], &outputs), Owned::new(b, &[2, c / 2], &gaussian), Owned::new(b, &[5, c], &embeddings));
    let out = Owned::nan(b, &[p, t, c]);
    b.embed_points(out.at(), tp.at(), tl.at().view(&[p, 3]), tn.at(), to.at(), tg.at(), te.at());
    let mut want = Vec::new();
    for i in 0..p {
        want.extend(wide(&outputs));
        for j in 0..3 {
            let (label, xy) = (labels[i * 3 + j], &points[(i * 3 + j) * 2..][..2]);
            for k in 0..c {
                let f = k % (c / 2);
                let angle = std::f64::consts::TAU
                    * ((2.0 * xy[0] as f64 - 1.0) * gaussian[f] as f64
                        + (2.0 * xy[1] as f64 - 1.0) * gaussian[c / 2 + f] as f64);
                let wave = if k < c / 2 { angle.sin() } else { angle.cos() };
                let on = (6 + j < lens[i] as usize) as u8 as f64;
                want.push(on * ((label >= 0) as u8 as f64 * wave + embeddings[(label + 1) as usize * c + k] as f64));
            }
        }
    }
    numbers.check("embed_points", &out.floats(), &want, 1e-6);

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
    b.image_keys(out.at(), te.at(), ti.at(), td.at(), tm.at(), tv.at());
    let want: Vec<f64> = (0..3 * hw * c)
        .map(|i| {
            let (e, at) = (i / (hw * c), i % (hw * c));
            let add = if mask[e] < 0 { vector[at % c] } else { dense[mask[e] as usize * hw * c + at] };
            embed[image[e] as usize * hw * c + at] as f64 + add as f64
        })
        .collect();
    numbers.check("image_keys", &out.floats(), &want, 1e-7);
}

pub fn selection<B: Backend>(b: &B) {
    let (h, w) = (3, 5);
    // Of 15 pixels, mask 0 of the first prompt has 10 above 0.05 and 11 above -0.05; of the second, 11 and 11; the third
    // has none above either.
    let plane = |high: usize, low: usize| {
        (0..15).map(move |i| {
            if i < high {
                1.0
            } else if i < low {
                0.0
            } else {
                -1.0
            }
        })
    };
    let mut masks = Vec::new();
    for (high, low) in [(10, 11), (11, 11), (0, 0)] {
        masks.extend(plane(high, low));
        masks.extend([0.25; 45]);
    }
    let iou = [0.9, 0.1, 0.8, 0.8, 0.9, 0.1, 0.2, 0.3, 0.9, 0.5, 0.4, 0.3];
    let (tm, ti) = (Owned::new(b, &[3, 4, h, w], &masks), Owned::new(b, &[3, 4], &iou));
    let stable = |thresh| Selection::Stable { delta: 0.05, thresh };
    for (selection, want) in [
        (Selection::Multimask, vec![1, 2, 3, 1, 2, 3, 1, 2, 3]),
        (Selection::Single, vec![0, 0, 0]),
        (stable(0.98), vec![2, 0, 0]), // of equals the first; none at all counts as stable
        (stable(0.9), vec![0, 0, 0]),
    ] {
        let out = Owned::ints(b, &vec![-7; want.len()]);
        b.select_masks(out.at().view(&[3, selection.masks()]), tm.at(), ti.at(), selection);
        let got: Vec<i32> = out.words().into_iter().map(|w| w as i32).collect();
        assert_eq!(got, want, "{selection:?}");
    }
}

pub fn cleaning<B: Backend>(b: &B) {
    // Two planes; the second is the one that is selected. A hole of 2 joined by a corner, a speck of 1, and the rest.
    let picture = ["#######", "#.#####", "##.####", "#######", ".......", "...#...", "......."];
    let plane: Vec<f32> = picture.iter().flat_map(|r| r.bytes()).map(|c| if c == b'#' { 2.0 } else { -2.0 }).collect();
    let (h, w) = (7, 7);
    let mut masks = vec![0.5; 4 * h * w];
    masks[2 * h * w..3 * h * w].copy_from_slice(&plane);
    let (tm, ts) = (Owned::new(b, &[1, 4, h, w], &masks), Owned::ints(b, &[2]));
    for (hole, sprinkle) in [(0.0, 0.0), (1.0, 1.0), (2.0, 0.0), (2.0, 1.0), (100.0, 100.0)] {
        let (out, labels, areas) = (Owned::nan(b, &[1, 1, h, w]), Owned::ints(b, &[0; 49]), Owned::ints(b, &[0; 49]));
        let scratch = |t: &Owned<'_, B>| t.at().addr();
        assert_ne!(scratch(&labels), scratch(&areas));
        let cleaning = Cleaning { threshold: 0.5, hole, sprinkle, margin: 0.25 };
        let selected = ts.at().view(&[1, 1]);
        b.clean_masks(
            out.at(),
            tm.at(),
            selected,
            labels.at().view(&[1, 1, h, w]),
            areas.at().view(&[1, 1, h, w]),
            cleaning,
        );
        let got = out.floats();
        for (i, &v) in plane.iter().enumerate() {
            let area = match (i / w, i % w) {
                (1, 1) | (2, 2) => 2.0,
                (5, 3) => 1.0,
                (0..=3, _) => 26.0,
                _ => 20.0,
            };
            let want = match v > 0.5 {
                true if area <= sprinkle => 0.25,
                false if area <= hole => 0.75,
                _ => v,
            };
            assert_eq!(got[i], want, "pixel {i}, holes of {hole}, sprinkles of {sprinkle}");
        }
    }
}

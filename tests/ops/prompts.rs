//! Turns points into tokens.

use crate::rig::*;
use sam2::engine::backend::*;

pub fn embed_points<B: Backend>(b: &B, numbers: Numbers) {
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
}

//! Attention to memories.

use crate::rig::*;
use sam2::engine::backend::*;

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
        // Memory beyond an object's memories is never read.
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

//! The matrix tile every product is made of.

use super::traits::{Simd, Word};

/// [`Simd::tile`] for `M` rows and `N` vectors, all accumulators in registers.
///
/// # Safety
/// As [`Simd::tile`].
#[inline(always)]
pub unsafe fn tile<S: Simd, W: Word, const M: usize, const N: usize>(
    s: S,
    k: usize,
    a: *const f32,
    rs: usize,
    cs: usize,
    b: *const f32,
    ldb: usize,
    out: *mut f32,
    ldo: usize,
) {
    let zero = s.splat(0.0);
    let mut acc = [[zero; N]; M];
    let (mut a, mut b) = (a, b);
    for _ in 0..k {
        let mut bv = [zero; N];
        for j in 0..N {
            bv[j] = s.load(b.add(j * S::LANES));
        }
        for i in 0..M {
            let av = s.splat(a.add(i * rs).read_unaligned());
            for j in 0..N {
                acc[i][j] = W::fma(s, av, bv[j], acc[i][j]);
            }
        }
        a = a.add(cs);
        b = b.add(ldb);
    }
    for i in 0..M {
        for j in 0..N {
            s.store(out.add(i * ldo + j * S::LANES), acc[i][j]);
        }
    }
}

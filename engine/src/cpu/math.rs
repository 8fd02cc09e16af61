//! Elementary functions on vectors.

use super::simd::{Simd, Word};
use crate::backend::Activation;

/// Computes exp(x) to about 1 ulp. The result is 0 below -87.3, and x must be below 88.
///
/// exp(x) = 2^n exp(r) with n = round(x / ln 2) and |r| <= ln(2)/2, where exp(r) = 1 + r + r^2 p(r) with p the minimax
/// polynomial (relative error 4e-9).
#[inline(always)]
pub fn exp<S: Simd>(s: S, x: S::F) -> S::F {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    const P: [f32; 5] = [0.499_999_88, 0.166_665_24, 0.041_669_8, 0.008_368_43, 0.001_372_84];
    let least = s.splat(-87.3);
    let clamped = s.max(x, least);
    let n = s.round(s.mul(clamped, s.splat(std::f32::consts::LOG2_E)));
    let r = s.fma(n, s.splat(-LN2_HIGH), clamped);
    let r = s.fma(n, s.splat(-LN2_LOW), r);
    let mut p = s.splat(P[4]);
    for i in (0..4).rev() {
        p = s.fma(p, r, s.splat(P[i]));
    }
    let y = s.add(s.fma(s.mul(p, r), r, r), s.splat(1.0));
    s.select_lt(x, least, s.splat(0.0), s.scale(y, n))
}

/// Computes 2^x to about 1 ulp for x below 127. The smallest result is 2^-126.
///
/// 2^x = 2^n 2^r with n = round(x), and 2^r on |r| <= 1/2 by the minimax polynomial that is 1 at 0
/// (relative error 9e-8).
#[inline(always)]
pub fn exp2<S: Simd>(s: S, x: S::F) -> S::F {
    const P: [f32; 5] = [std::f32::consts::LN_2, 0.240_222_42, 0.055_507_336, 9.671_513e-3, 1.326_472_7e-3];
    let x = s.max(x, s.splat(-126.0));
    let n = s.round(x);
    let r = s.sub(x, n);
    let mut p = s.splat(P[4]);
    for i in (0..4).rev() {
        p = s.fma(p, r, s.splat(P[i]));
    }
    s.scale(s.fma(p, r, s.splat(1.0)), n)
}

/// Computes erf(x) = x P(x^2) / Q(x^2) by the minimax ratio on |x| <= 3.925. Beyond that, erf is 1
/// (relative error 2e-8).
#[inline(always)]
fn erf<S: Simd>(s: S, x: S::F) -> S::F {
    const P: [f32; 6] =
        [std::f32::consts::FRAC_2_SQRT_PI, 0.190_594_97, 0.052_769_463, 3.772_604e-3, 2.848_450_4e-4, 2.046_021_8e-6];
    const Q: [f32; 6] = [1.0, 0.502_243_1, 0.114_183_23, 0.014_983_306, 1.163_871_4e-3, 3.804_778e-5];
    let bound = s.splat(3.925);
    let x = s.max(s.min(x, bound), s.sub(s.splat(0.0), bound));
    let x2 = s.mul(x, x);
    let (mut p, mut q) = (s.splat(P[5]), s.splat(Q[5]));
    for i in (0..5).rev() {
        p = s.fma(p, x2, s.splat(P[i]));
        q = s.fma(q, x2, s.splat(Q[i]));
    }
    s.div(s.mul(x, p), q)
}

/// Computes x/2 (1 + erf(x / sqrt 2)).
#[inline(always)]
pub fn gelu<S: Simd>(s: S, x: S::F) -> S::F {
    let half = s.mul(x, s.splat(0.5));
    s.fma(half, erf(s, s.mul(x, s.splat(std::f32::consts::FRAC_1_SQRT_2))), half)
}

/// Computes [`gelu`] with the accuracy of bf16 and without a division. The error is at most 1.4e-4 on |x| < 3.7, and at
/// most 1.3e-4 |x| beyond.
///
/// The distribution function of the normal distribution is 1/2 + x P(x^2), with P minimax on |x| <= 3.6. Beyond that,
/// the function is taken as constant.
#[inline(always)]
pub fn gelu_bf16<S: Simd>(s: S, x: S::F) -> S::F {
    const P: [f32; 7] =
        [0.398_780_02, -0.065_972_14, 9.488_202e-3, -9.805_815e-4, 6.739_839e-5, -2.708_699e-6, 4.746_206_6e-8];
    let bound = s.splat(3.6);
    let z = s.max(s.min(x, bound), s.sub(s.splat(0.0), bound));
    let z2 = s.mul(z, z);
    let mut p = s.splat(P[6]);
    for i in (0..6).rev() {
        p = s.fma(p, z2, s.splat(P[i]));
    }
    s.mul(x, s.fma(z, p, s.splat(0.5)))
}

/// Computes 1 / (1 + exp(-x)).
#[inline(always)]
pub fn sigmoid<S: Simd>(s: S, x: S::F) -> S::F {
    let one = s.splat(1.0);
    let minus = s.min(s.sub(s.splat(0.0), x), s.splat(87.0));
    s.div(one, s.add(one, exp(s, minus)))
}

/// Applies an activation. `W` is the word of the operand that the result becomes.
#[inline(always)]
pub fn activate<S: Simd, W: Word>(s: S, activation: Activation, x: S::F) -> S::F {
    match activation {
        Activation::None => x,
        Activation::Relu => s.max(x, s.splat(0.0)),
        Activation::Gelu => W::gelu(s, x),
        Activation::Sigmoid => sigmoid(s, x),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::simd::{Isa, Kernel};

    #[derive(Clone, Copy)]
    enum Function {
        Exp,
        Exp2,
        Erf,
        GeluBf16,
        Sigmoid,
    }

    struct Map<'a> {
        x: &'a [f32],
        y: &'a mut [f32],
        f: Function,
    }

    impl Kernel for Map<'_> {
        #[inline(always)]
        unsafe fn run<S: Simd>(self, s: S) {
            for i in (0..self.x.len()).step_by(S::LANES) {
                let n = (self.x.len() - i).min(S::LANES);
                let v = s.load_part(self.x.as_ptr().add(i), n);
                let v = match self.f {
                    Function::Exp => exp(s, v),
                    Function::Erf => erf(s, v),
                    Function::Exp2 => exp2(s, v),
                    Function::GeluBf16 => gelu_bf16(s, v),
                    Function::Sigmoid => sigmoid(s, v),
                };
                s.store_part(self.y.as_mut_ptr().add(i), n, v);
            }
        }
    }

    fn map(isa: Isa, f: Function, x: &[f32]) -> Vec<f32> {
        let mut y = vec![f32::NAN; x.len()];
        // SAFETY: slices of one length; the set is available.
        unsafe { isa.run(Map { x, y: &mut y, f }) };
        y
    }

    /// Computes erf in f64 by its Maclaurin series. The series converges everywhere, and is exact to 1e-13 on |x| <= 4.
    fn erf_f64(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / n as f64;
            sum += term / (2 * n + 1) as f64;
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    }

    #[test]
    fn functions_are_accurate_on_every_instruction_set() {
        for isa in Isa::available() {
            let x: Vec<f32> = (0..20_011).map(|i| -87.2 + i as f32 * 0.0087).collect();
            for (x, y) in x.iter().zip(map(isa, Function::Exp, &x)) {
                let want = (*x as f64).exp();
                assert!((y as f64 / want - 1.0).abs() < 3e-7, "{isa:?}: exp({x}) = {y}, not {want}");
            }
            assert_eq!(
                map(isa, Function::Exp, &[f32::NEG_INFINITY, -1e30, -88.0, 0.0]),
                [0.0, 0.0, 0.0, 1.0],
                "{isa:?}"
            );

            let x: Vec<f32> = (0..20_011).map(|i| -125.9 + i as f32 * 0.0126).collect();
            for (x, y) in x.iter().zip(map(isa, Function::Exp2, &x)) {
                let want = (*x as f64).exp2();
                assert!((y as f64 / want - 1.0).abs() < 3e-7, "{isa:?}: 2^{x} = {y}, not {want}");
            }
            assert_eq!(
                map(isa, Function::Exp2, &[-1e30, -126.0, 0.0, 3.0]),
                [2f32.powi(-126), 2f32.powi(-126), 1.0, 8.0],
                "{isa:?}"
            );

            let x: Vec<f32> = (0..8_003).map(|i| -4.0 + i as f32 * 0.001).collect();
            for (x, y) in x.iter().zip(map(isa, Function::Erf, &x)) {
                let want = erf_f64(*x as f64);
                assert!((y as f64 - want).abs() < 4e-7 * want.abs().max(1e-3), "{isa:?}: erf({x}) = {y}, not {want}");
            }
            let x: Vec<f32> = (0..16_003).map(|i| -8.0 + i as f32 * 0.001).collect();
            for (x, y) in x.iter().zip(map(isa, Function::GeluBf16, &x)) {
                let want = *x as f64 / 2.0 * (1.0 + erf_f64((*x as f64 / 2f64.sqrt()).clamp(-4.0, 4.0)));
                let bound = if x.abs() < 3.7 { 1.4e-4 } else { 1.3e-4 * x.abs() as f64 };
                assert!((y as f64 - want).abs() < bound, "{isa:?}: gelu({x}) = {y}, not {want}");
            }
            assert_eq!(map(isa, Function::Sigmoid, &[-1e9, 0.0, 1e9])[1..], [0.5, 1.0], "{isa:?}");
        }
    }
}

//! Four lanes as an array: for any CPU, and the check on the others.

use super::tile::tile;
use super::traits::{Kernel, Simd, Word};
use crate::backend::tensor::bf16;

/// Needs nothing.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

type F = [f32; 4];

#[inline(always)]
fn map2(a: F, b: F, f: impl Fn(f32, f32) -> f32) -> F {
    [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
}

impl Simd for Portable {
    type F = F;
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn vectorize<K: Kernel>(self, kernel: K) {
        kernel.run(self)
    }

    #[inline(always)]
    fn splat(self, x: f32) -> F {
        [x; 4]
    }
    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> F {
        p.cast::<F>().read_unaligned()
    }
    #[inline(always)]
    unsafe fn load_part(self, p: *const f32, n: usize) -> F {
        let mut lanes = [0.0; 4];
        std::ptr::copy_nonoverlapping(p, lanes.as_mut_ptr(), n);
        lanes
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: F) {
        p.cast::<F>().write_unaligned(v)
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, n: usize, v: F) {
        std::ptr::copy_nonoverlapping(v.as_ptr(), p, n);
    }
    #[inline(always)]
    unsafe fn load_bf16(self, p: *const bf16) -> F {
        p.cast::<[bf16; 4]>().read_unaligned().map(bf16::to_f32)
    }
    #[inline(always)]
    unsafe fn load_bf16_part(self, p: *const bf16, n: usize) -> F {
        let mut lanes = [bf16::ZERO; 4];
        std::ptr::copy_nonoverlapping(p, lanes.as_mut_ptr(), n);
        lanes.map(bf16::to_f32)
    }
    #[inline(always)]
    unsafe fn store_bf16(self, p: *mut bf16, v: F) {
        p.cast::<[bf16; 4]>().write_unaligned(v.map(bf16::from_f32))
    }
    #[inline(always)]
    unsafe fn store_bf16_part(self, p: *mut bf16, n: usize, v: F) {
        std::ptr::copy_nonoverlapping(v.map(bf16::from_f32).as_ptr(), p, n);
    }
    #[inline(always)]
    fn pair(self, low: F, high: F) -> F {
        let bits = |v: f32| u32::from(bf16::from_f32(v).to_bits());
        map2(low, high, |low, high| f32::from_bits(bits(low) | bits(high) << 16))
    }
    #[inline(always)]
    fn dot2(self, a: F, b: F, c: F) -> F {
        let low = |v: F| v.map(|v| f32::from_bits(v.to_bits() << 16));
        let high = |v: F| v.map(|v| f32::from_bits(v.to_bits() & 0xffff_0000));
        self.fma(high(a), high(b), self.fma(low(a), low(b), c))
    }
    #[inline(always)]
    fn add(self, a: F, b: F) -> F {
        map2(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: F, b: F) -> F {
        map2(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: F, b: F) -> F {
        map2(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: F, b: F) -> F {
        map2(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn max(self, a: F, b: F) -> F {
        map2(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, a: F, b: F) -> F {
        map2(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn fma(self, a: F, b: F, c: F) -> F {
        // Two roundings: a true fused one is a library call on the CPUs this set is for.
        [a[0] * b[0] + c[0], a[1] * b[1] + c[1], a[2] * b[2] + c[2], a[3] * b[3] + c[3]]
    }
    #[inline(always)]
    fn swap(self, a: F) -> F {
        [a[1], a[0], a[3], a[2]]
    }
    #[inline(always)]
    fn round(self, a: F) -> F {
        // Adding 1.5 * 2^23 leaves no fraction bits; right for |a| < 2^22, which exponents are.
        const MAGIC: f32 = 12_582_912.0;
        a.map(|a| (a + MAGIC) - MAGIC)
    }
    #[inline(always)]
    fn scale(self, a: F, n: F) -> F {
        map2(a, n, |a, n| a * f32::from_bits(((n as i32 + 127) as u32) << 23))
    }
    #[inline(always)]
    fn select_lt(self, a: F, b: F, x: F, y: F) -> F {
        std::array::from_fn(|i| if a[i] < b[i] { x[i] } else { y[i] })
    }
    #[inline(always)]
    fn sum(self, a: F) -> f32 {
        (a[0] + a[2]) + (a[1] + a[3])
    }
    tile_sizes!(6, 2; 2);
}

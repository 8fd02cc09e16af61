//! NEON, which every aarch64 CPU has: 4 lanes, 32 registers; with and without instructions for bf16.

use super::tile::tile;
use super::traits::{Kernel, Simd, Word};
use crate::backend::tensor::bf16;
use std::arch::{aarch64::*, asm};

/// Proof that this is aarch64, with FEAT_BF16 where that is true.
#[derive(Clone, Copy, Debug)]
pub struct Neon<const BF16: bool>(());

impl<const BF16: bool> Neon<BF16> {
    /// A feature that the CPU lacks for it.
    #[must_use]
    pub fn missing() -> Option<&'static str> {
        if BF16 { missing!(is_aarch64_feature_detected: "bf16") } else { None }
    }

    /// # Safety
    /// [`Neon::missing`] has returned `None` on this machine.
    #[must_use]
    pub unsafe fn assume() -> Self {
        Self(())
    }

    /// The nearest bf16; NaN stays what it is.
    #[inline(always)]
    fn round_bf16(v: float32x4_t) -> uint16x4_t {
        unsafe {
            if BF16 {
                let out: uint16x4_t;
                asm!(
                    ".arch_extension bf16",
                    "bfcvtn {out:v}.4h, {v:v}.4s",
                    out = lateout(vreg) out, v = in(vreg) v,
                    options(pure, nomem, nostack, preserves_flags),
                );
                return out;
            }
            let bits = vreinterpretq_u32_f32(v);
            let odd = vandq_u32(vshrq_n_u32::<16>(bits), vdupq_n_u32(1));
            let up = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
            let quiet = vorrq_u32(bits, vdupq_n_u32(0x40_0000));
            vshrn_n_u32::<16>(vbslq_u32(vceqq_f32(v, v), up, quiet))
        }
    }
}

impl<const BF16: bool> Simd for Neon<BF16> {
    type F = float32x4_t;
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn vectorize<K: Kernel>(self, kernel: K) {
        kernel.run(self)
    }

    #[inline(always)]
    fn splat(self, x: f32) -> float32x4_t {
        unsafe { vdupq_n_f32(x) }
    }
    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> float32x4_t {
        vld1q_f32(p)
    }
    #[inline(always)]
    unsafe fn load_part(self, p: *const f32, n: usize) -> float32x4_t {
        let mut lanes = [0.0; 4];
        std::ptr::copy_nonoverlapping(p, lanes.as_mut_ptr(), n);
        vld1q_f32(lanes.as_ptr())
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: float32x4_t) {
        vst1q_f32(p, v)
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, n: usize, v: float32x4_t) {
        let mut lanes = [0.0; 4];
        vst1q_f32(lanes.as_mut_ptr(), v);
        std::ptr::copy_nonoverlapping(lanes.as_ptr(), p, n);
    }
    #[inline(always)]
    unsafe fn load_bf16(self, p: *const bf16) -> float32x4_t {
        vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(p.cast())))
    }
    #[inline(always)]
    unsafe fn load_bf16_part(self, p: *const bf16, n: usize) -> float32x4_t {
        let mut lanes = [bf16::ZERO; 4];
        std::ptr::copy_nonoverlapping(p, lanes.as_mut_ptr(), n);
        self.load_bf16(lanes.as_ptr())
    }
    #[inline(always)]
    unsafe fn store_bf16(self, p: *mut bf16, v: float32x4_t) {
        vst1_u16(p.cast(), Self::round_bf16(v))
    }
    #[inline(always)]
    unsafe fn store_bf16_part(self, p: *mut bf16, n: usize, v: float32x4_t) {
        let mut lanes = [bf16::ZERO; 4];
        self.store_bf16(lanes.as_mut_ptr(), v);
        std::ptr::copy_nonoverlapping(lanes.as_ptr(), p, n);
    }
    #[inline(always)]
    fn pair(self, low: float32x4_t, high: float32x4_t) -> float32x4_t {
        unsafe {
            let pair = vzip_u16(Self::round_bf16(low), Self::round_bf16(high));
            vreinterpretq_f32_u16(vcombine_u16(pair.0, pair.1))
        }
    }
    #[inline(always)]
    fn dot2(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        unsafe {
            if BF16 {
                // The compiler has no name for the instruction yet.
                let mut sum = c;
                asm!(
                    ".arch_extension bf16",
                    "bfdot {sum:v}.4s, {a:v}.8h, {b:v}.8h",
                    sum = inout(vreg) sum, a = in(vreg) a, b = in(vreg) b,
                    options(pure, nomem, nostack, preserves_flags),
                );
                return sum;
            }
            let (a, b) = (vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b));
            let low = |v| vreinterpretq_f32_u32(vshlq_n_u32::<16>(v));
            let high = |v| vreinterpretq_f32_u32(vandq_u32(v, vdupq_n_u32(0xffff_0000)));
            vfmaq_f32(vfmaq_f32(c, low(a), low(b)), high(a), high(b))
        }
    }
    lanes! {
        add(a, b) = vaddq_f32(a, b);
        sub(a, b) = vsubq_f32(a, b);
        mul(a, b) = vmulq_f32(a, b);
        div(a, b) = vdivq_f32(a, b);
        max(a, b) = vmaxq_f32(a, b);
        min(a, b) = vminq_f32(a, b);
        fma(a, b, c) = vfmaq_f32(c, a, b);
    }
    #[inline(always)]
    fn swap(self, a: float32x4_t) -> float32x4_t {
        unsafe { vrev64q_f32(a) }
    }
    #[inline(always)]
    fn round(self, a: float32x4_t) -> float32x4_t {
        unsafe { vrndnq_f32(a) }
    }
    #[inline(always)]
    fn scale(self, a: float32x4_t, n: float32x4_t) -> float32x4_t {
        unsafe {
            let exponent = vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127));
            vmulq_f32(a, vreinterpretq_f32_s32(vshlq_n_s32::<23>(exponent)))
        }
    }
    #[inline(always)]
    fn select_lt(self, a: float32x4_t, b: float32x4_t, x: float32x4_t, y: float32x4_t) -> float32x4_t {
        unsafe { vbslq_f32(vcltq_f32(a, b), x, y) }
    }
    #[inline(always)]
    fn sum(self, a: float32x4_t) -> f32 {
        unsafe { vaddvq_f32(a) }
    }
    tile_sizes!(6, 2; 4);
}

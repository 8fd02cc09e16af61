//! AVX2 with FMA: 8 lanes, 16 registers.

use super::tile::tile;
use super::traits::{Kernel, Simd, Word};
use crate::backend::tensor::bf16;
use std::arch::x86_64::*;

/// Proof that the CPU has AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

impl Avx2 {
    /// A feature that the CPU lacks for it.
    #[must_use]
    pub fn missing() -> Option<&'static str> {
        missing!(is_x86_feature_detected: "avx2", "fma")
    }

    /// # Safety
    /// [`Avx2::missing`] has returned `None` on this machine.
    #[must_use]
    pub unsafe fn assume() -> Self {
        Self(())
    }

    /// All ones in the first `n` lanes.
    #[inline(always)]
    unsafe fn mask(n: usize) -> __m256i {
        _mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
    }
}

/// The bits of a vector, rounded to bf16 in the upper halves; NaN stays what it is.
#[inline(always)]
unsafe fn nearest(v: __m256) -> __m256i {
    let bits = _mm256_castps_si256(v);
    let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
    let up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    let quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x40_0000));
    let nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(v, v));
    _mm256_blendv_epi8(up, quiet, nan)
}

impl Simd for Avx2 {
    type F = __m256;
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn vectorize<K: Kernel>(self, kernel: K) {
        #[target_feature(enable = "avx2,fma")]
        unsafe fn enabled<K: Kernel>(s: Avx2, kernel: K) {
            kernel.run(s)
        }
        enabled(self, kernel)
    }

    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> __m256 {
        _mm256_loadu_ps(p)
    }
    #[inline(always)]
    unsafe fn load_part(self, p: *const f32, n: usize) -> __m256 {
        _mm256_maskload_ps(p, Self::mask(n))
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: __m256) {
        _mm256_storeu_ps(p, v)
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, n: usize, v: __m256) {
        _mm256_maskstore_ps(p, Self::mask(n), v)
    }
    #[inline(always)]
    unsafe fn load_bf16(self, p: *const bf16) -> __m256 {
        _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast()))))
    }
    #[inline(always)]
    unsafe fn load_bf16_part(self, p: *const bf16, n: usize) -> __m256 {
        let mut lanes = [bf16::ZERO; 8];
        std::ptr::copy_nonoverlapping(p, lanes.as_mut_ptr(), n);
        self.load_bf16(lanes.as_ptr())
    }
    #[inline(always)]
    unsafe fn store_bf16(self, p: *mut bf16, v: __m256) {
        let halves = _mm256_srli_epi32::<16>(nearest(v));
        let packed = _mm256_permute4x64_epi64::<0b1000>(_mm256_packus_epi32(halves, halves));
        _mm_storeu_si128(p.cast(), _mm256_castsi256_si128(packed))
    }
    #[inline(always)]
    unsafe fn store_bf16_part(self, p: *mut bf16, n: usize, v: __m256) {
        let mut lanes = [bf16::ZERO; 8];
        self.store_bf16(lanes.as_mut_ptr(), v);
        std::ptr::copy_nonoverlapping(lanes.as_ptr(), p, n);
    }
    #[inline(always)]
    fn pair(self, low: __m256, high: __m256) -> __m256 {
        unsafe {
            let low = _mm256_srli_epi32::<16>(nearest(low));
            _mm256_castsi256_ps(_mm256_blend_epi16::<0b1010_1010>(low, nearest(high)))
        }
    }
    #[inline(always)]
    fn dot2(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe {
            let high = _mm256_set1_epi32(0xffff_0000u32 as i32);
            let (a, b) = (_mm256_castps_si256(a), _mm256_castps_si256(b));
            let low = |v| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(v));
            let high = |v| _mm256_castsi256_ps(_mm256_and_si256(v, high));
            _mm256_fmadd_ps(high(a), high(b), _mm256_fmadd_ps(low(a), low(b), c))
        }
    }
    lanes! {
        add(a, b) = _mm256_add_ps(a, b);
        sub(a, b) = _mm256_sub_ps(a, b);
        mul(a, b) = _mm256_mul_ps(a, b);
        div(a, b) = _mm256_div_ps(a, b);
        max(a, b) = _mm256_max_ps(a, b);
        min(a, b) = _mm256_min_ps(a, b);
        fma(a, b, c) = _mm256_fmadd_ps(a, b, c);
    }
    #[inline(always)]
    fn swap(self, a: __m256) -> __m256 {
        unsafe { _mm256_permute_ps::<0b10_11_00_01>(a) }
    }
    #[inline(always)]
    fn round(self, a: __m256) -> __m256 {
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    fn scale(self, a: __m256, n: __m256) -> __m256 {
        unsafe {
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
            _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent)))
        }
    }
    #[inline(always)]
    fn select_lt(self, a: __m256, b: __m256, x: __m256, y: __m256) -> __m256 {
        unsafe { _mm256_blendv_ps(y, x, _mm256_cmp_ps::<_CMP_LT_OQ>(a, b)) }
    }
    #[inline(always)]
    fn sum(self, a: __m256) -> f32 {
        unsafe {
            let x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)))
        }
    }
    tile_sizes!(6, 2; 2);
}

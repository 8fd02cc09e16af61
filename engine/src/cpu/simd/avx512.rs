//! AVX-512: 16 lanes, 32 registers; with and without instructions for bf16.

use super::tile::tile;
use super::traits::{Kernel, Simd, Word};
use crate::backend::tensor::bf16;
use std::arch::x86_64::*;

/// Proof that the CPU has AVX-512 F, DQ, VL and BW, and BF16 where that is true.
#[derive(Clone, Copy, Debug)]
pub struct Avx512<const BF16: bool>(());

impl<const BF16: bool> Avx512<BF16> {
    /// A feature that the CPU lacks for it.
    #[must_use]
    pub fn missing() -> Option<&'static str> {
        let missing = missing!(is_x86_feature_detected: "avx512f", "avx512dq", "avx512vl", "avx512bw", "fma");
        missing.or(if BF16 { missing!(is_x86_feature_detected: "avx512bf16") } else { None })
    }

    /// # Safety
    /// [`Avx512::missing`] has returned `None` on this machine.
    #[must_use]
    pub unsafe fn assume() -> Self {
        Self(())
    }

    /// The upper halves of the lanes, rounded to bf16.
    #[inline(always)]
    fn round_bf16(v: __m512) -> __m256i {
        unsafe {
            if BF16 {
                return std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(v));
            }
            _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(nearest(v)))
        }
    }
}

/// The bits of a vector, rounded to bf16 in the upper halves; NaN stays what it is.
#[inline(always)]
unsafe fn nearest(v: __m512) -> __m512i {
    let bits = _mm512_castps_si512(v);
    let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
    let up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    let quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x40_0000));
    _mm512_mask_blend_epi32(_mm512_cmp_ps_mask::<_CMP_UNORD_Q>(v, v), up, quiet)
}

/// The halves of a vector in turn: 0, 16, 1, 17 and so on.
const IN_TURN: [u16; 32] = {
    let mut order = [0; 32];
    let mut i = 0;
    while i < 32 {
        order[i] = (i / 2 + i % 2 * 16) as u16;
        i += 1;
    }
    order
};

/// f32 whose bits are these.
#[inline(always)]
unsafe fn widen(v: __m256i) -> __m512 {
    _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(v)))
}

impl<const BF16: bool> Simd for Avx512<BF16> {
    type F = __m512;
    const LANES: usize = 16;

    #[inline(always)]
    unsafe fn vectorize<K: Kernel>(self, kernel: K) {
        #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,fma")]
        unsafe fn enabled<K: Kernel>(s: Avx512<false>, kernel: K) {
            kernel.run(s)
        }
        #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512bf16,fma")]
        unsafe fn with_bf16<K: Kernel>(s: Avx512<true>, kernel: K) {
            kernel.run(s)
        }
        if BF16 { with_bf16(Avx512(()), kernel) } else { enabled(Avx512(()), kernel) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> __m512 {
        _mm512_loadu_ps(p)
    }
    #[inline(always)]
    unsafe fn load_part(self, p: *const f32, n: usize) -> __m512 {
        _mm512_maskz_loadu_ps(((1u32 << n) - 1) as __mmask16, p)
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: __m512) {
        _mm512_storeu_ps(p, v)
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, n: usize, v: __m512) {
        _mm512_mask_storeu_ps(p, ((1u32 << n) - 1) as __mmask16, v)
    }
    #[inline(always)]
    unsafe fn load_bf16(self, p: *const bf16) -> __m512 {
        widen(_mm256_loadu_si256(p.cast()))
    }
    #[inline(always)]
    unsafe fn load_bf16_part(self, p: *const bf16, n: usize) -> __m512 {
        widen(_mm256_maskz_loadu_epi16(((1u32 << n) - 1) as __mmask16, p.cast()))
    }
    #[inline(always)]
    unsafe fn store_bf16(self, p: *mut bf16, v: __m512) {
        _mm256_storeu_si256(p.cast(), Self::round_bf16(v))
    }
    #[inline(always)]
    unsafe fn store_bf16_part(self, p: *mut bf16, n: usize, v: __m512) {
        _mm256_mask_storeu_epi16(p.cast(), ((1u32 << n) - 1) as __mmask16, Self::round_bf16(v))
    }
    #[inline(always)]
    fn pair(self, low: __m512, high: __m512) -> __m512 {
        unsafe {
            if BF16 {
                let both = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
                let order = _mm512_loadu_si512(IN_TURN.as_ptr().cast());
                return _mm512_castsi512_ps(_mm512_permutexvar_epi16(order, both));
            }
            let low = _mm512_cvtepu16_epi32(Self::round_bf16(low));
            let high = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(Self::round_bf16(high)));
            _mm512_castsi512_ps(_mm512_or_si512(low, high))
        }
    }
    #[inline(always)]
    fn dot2(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe {
            if BF16 {
                let bits = |v| std::mem::transmute::<__m512, __m512bh>(v);
                return _mm512_dpbf16_ps(c, bits(b), bits(a));
            }
            let high = _mm512_set1_epi32(0xffff_0000u32 as i32);
            let (a, b) = (_mm512_castps_si512(a), _mm512_castps_si512(b));
            let low = |v| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(v));
            let high = |v| _mm512_castsi512_ps(_mm512_and_si512(v, high));
            _mm512_fmadd_ps(high(a), high(b), _mm512_fmadd_ps(low(a), low(b), c))
        }
    }
    lanes! {
        add(a, b) = _mm512_add_ps(a, b);
        sub(a, b) = _mm512_sub_ps(a, b);
        mul(a, b) = _mm512_mul_ps(a, b);
        div(a, b) = _mm512_div_ps(a, b);
        max(a, b) = _mm512_max_ps(a, b);
        min(a, b) = _mm512_min_ps(a, b);
        fma(a, b, c) = _mm512_fmadd_ps(a, b, c);
    }
    #[inline(always)]
    fn swap(self, a: __m512) -> __m512 {
        unsafe { _mm512_permute_ps::<0b10_11_00_01>(a) }
    }
    #[inline(always)]
    fn round(self, a: __m512) -> __m512 {
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    fn scale(self, a: __m512, n: __m512) -> __m512 {
        unsafe { _mm512_scalef_ps(a, n) }
    }
    #[inline(always)]
    fn select_lt(self, a: __m512, b: __m512, x: __m512, y: __m512) -> __m512 {
        unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), y, x) }
    }
    #[inline(always)]
    fn sum(self, a: __m512) -> f32 {
        unsafe { _mm512_reduce_add_ps(a) }
    }
    #[inline(always)]
    unsafe fn transpose(self, rows: [*const f32; 16], n: usize, out: *mut f32, ldo: usize) {
        let mut v = rows.map(|row| self.load_part(row, n));
        // Within blocks of four by four, then blocks; row j of four stays in its four.
        for four in v.chunks_exact_mut(4) {
            let (a, b) = (_mm512_unpacklo_ps(four[0], four[1]), _mm512_unpackhi_ps(four[0], four[1]));
            let (c, d) = (_mm512_unpacklo_ps(four[2], four[3]), _mm512_unpackhi_ps(four[2], four[3]));
            let [a, b, c, d] = [a, b, c, d].map(|x| _mm512_castps_pd(x));
            let low = |x, y| _mm512_castpd_ps(_mm512_unpacklo_pd(x, y));
            let high = |x, y| _mm512_castpd_ps(_mm512_unpackhi_pd(x, y));
            four.copy_from_slice(&[low(a, c), high(a, c), low(b, d), high(b, d)]);
        }
        for i in 0..4 {
            let (a, b) = (v[i], v[i + 4]);
            let (c, d) = (v[i + 8], v[i + 12]);
            let (even, odd) = (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b));
            let (even_, odd_) = (_mm512_shuffle_f32x4::<0x88>(c, d), _mm512_shuffle_f32x4::<0xdd>(c, d));
            v[i] = _mm512_shuffle_f32x4::<0x88>(even, even_);
            v[i + 4] = _mm512_shuffle_f32x4::<0x88>(odd, odd_);
            v[i + 8] = _mm512_shuffle_f32x4::<0xdd>(even, even_);
            v[i + 12] = _mm512_shuffle_f32x4::<0xdd>(odd, odd_);
        }
        for (i, v) in v.into_iter().enumerate().take(n) {
            self.store(out.add(i * ldo), v);
        }
    }
    tile_sizes!(12, 4; 2);
}

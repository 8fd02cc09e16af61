//! What matrix tiles multiply: words of 32 bits, one f32 or two bf16.
//!
//! A row of values is a row of words as it lies in memory, so both precisions share every loop: a product over `k` f32
//! is one over `k` words, and over `k` bf16 one over half as many.

use super::traits::{Simd, Word};
use crate::backend::tensor::bf16;
use crate::cpu::math;

/// One f32.
#[derive(Clone, Copy, Debug)]
pub struct Single;

/// Two bf16.
#[derive(Clone, Copy, Debug)]
pub struct Pair;

impl Word for Single {
    type Value = f32;
    const DEPTH: usize = 1;

    #[inline(always)]
    fn fma<S: Simd>(s: S, a: S::F, b: S::F, c: S::F) -> S::F {
        s.fma(a, b, c)
    }
    #[inline(always)]
    fn gelu<S: Simd>(s: S, x: S::F) -> S::F {
        math::gelu(s, x)
    }
    #[inline(always)]
    fn join<S: Simd>(_: S, first: S::F, _: S::F) -> S::F {
        first
    }
}

impl Word for Pair {
    type Value = bf16;
    const DEPTH: usize = 2;

    #[inline(always)]
    fn fma<S: Simd>(s: S, a: S::F, b: S::F, c: S::F) -> S::F {
        s.dot2(a, b, c)
    }
    #[inline(always)]
    fn gelu<S: Simd>(s: S, x: S::F) -> S::F {
        math::gelu_bf16(s, x)
    }
    #[inline(always)]
    fn join<S: Simd>(s: S, first: S::F, second: S::F) -> S::F {
        s.pair(first, second)
    }
}

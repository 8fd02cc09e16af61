//! Tensors with red zones, numbers that are the same every time, and the mathematics in f64.

use crate::common::distance;
use sam2::engine::backend::{Activation, Backend, Memory};
use sam2::engine::tensor::{DType, Tensor};

/// Numbers that are the same every time.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn floats(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
    }
}

/// A tensor with memory of its own, which ends in a red zone.
pub struct Owned<'b, B: Backend> {
    b: &'b B,
    memory: B::Memory,
    dtype: DType,
    dims: Vec<usize>,
}

pub const ZONE: usize = 64;

impl<'b, B: Backend> Owned<'b, B> {
    pub fn filled(b: &'b B, dtype: DType, dims: &[usize], words: &[u32]) -> Self {
        let n: usize = dims.iter().product();
        assert_eq!(n, words.len());
        let owned = Owned { b, memory: b.alloc((n + ZONE) * 4, "a test").unwrap(), dtype, dims: dims.to_vec() };
        let mut all = words.to_vec();
        all.resize(n + ZONE, 0x7fc0_beef);
        b.upload(owned.whole(), bytemuck::cast_slice(&all));
        owned
    }

    pub fn new(b: &'b B, dims: &[usize], values: &[f32]) -> Self {
        Self::filled(b, DType::F32, dims, bytemuck::cast_slice(values))
    }

    pub fn ints(b: &'b B, values: &[i32]) -> Self {
        Self::filled(b, DType::I32, &[values.len()], bytemuck::cast_slice(values))
    }

    pub fn nan(b: &'b B, dims: &[usize]) -> Self {
        Self::new(b, dims, &vec![f32::NAN; dims.iter().product()])
    }

    pub fn whole(&self) -> Tensor<'_> {
        let n: usize = self.dims.iter().product();
        // SAFETY: allocated with this size.
        unsafe { Tensor::new(self.memory.addr(), DType::I32, &[n + ZONE]) }
    }

    pub fn at(&self) -> Tensor<'_> {
        // SAFETY: allocated with this size and more.
        unsafe { Tensor::new(self.memory.addr(), self.dtype, &self.dims) }
    }

    /// The contents, after a look at the red zone.
    pub fn words(&self) -> Vec<u32> {
        let mut all = vec![0u32; self.whole().len()];
        self.b.download(bytemuck::cast_slice_mut(&mut all), self.whole());
        self.b.sync().unwrap();
        let zone = all.split_off(all.len() - ZONE);
        assert!(zone.iter().all(|&w| w == 0x7fc0_beef), "written past the end of {:?}", self.dims);
        all
    }

    pub fn floats(&self) -> Vec<f32> {
        self.words().into_iter().map(f32::from_bits).collect()
    }
}

pub fn check(what: &str, got: &[f32], want: &[f64], tolerance: f32) {
    let want: Vec<f32> = want.iter().map(|&v| v as f32).collect();
    let d = distance(got, &want);
    assert!(d <= tolerance, "{what}: off by {d:.2e}, {tolerance:.0e} allowed");
}

pub fn erf(x: f64) -> f64 {
    let x = x.clamp(-4.2, 4.2); // beyond, the series loses more digits than erf has left
    let (mut term, mut sum) = (x, x);
    for n in 1..400 {
        term *= -x * x / n as f64;
        sum += term / (2 * n + 1) as f64;
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}

pub fn activate(a: Activation, x: f64) -> f64 {
    match a {
        Activation::None => x,
        Activation::Relu => x.max(0.0),
        Activation::Gelu => x / 2.0 * (1.0 + erf(x / 2f64.sqrt())),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
    }
}

pub fn normalise(x: &[f64], gamma: &[f32], beta: &[f32], eps: f32) -> Vec<f64> {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    let r = 1.0 / (variance + eps as f64).sqrt();
    x.iter().zip(gamma.iter().zip(beta)).map(|(v, (g, b))| (v - mean) * r * *g as f64 + *b as f64).collect()
}

pub fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&v| v as f64).collect()
}

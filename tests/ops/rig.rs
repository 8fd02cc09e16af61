//! Tensors with red zones, reproducible random numbers, and the mathematics in f64.

use crate::common::distance;
use sam2::engine::backend::{Activation, Backend, Memory};
use sam2::engine::tensor::{DType, Tensor, bf16, f16};

/// Reproducible random numbers.
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

/// A tensor with its own memory, which ends in a red zone.
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

    /// The same as [`Owned::new`] of another type. `values` are rounded to the type.
    pub fn of(b: &'b B, dtype: DType, dims: &[usize], values: &mut [f32]) -> Self {
        round(dtype, values);
        let bytes: Vec<u8> = match dtype {
            DType::F32 => return Self::new(b, dims, values),
            DType::F16 => values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect(),
            DType::Bf16 => values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect(),
            DType::I32 => unreachable!("values are floats"),
        };
        // A red zone at the end, of the same number of bytes as elsewhere.
        let owned = Owned { b, memory: b.alloc(bytes.len() + ZONE * 4, "a test").unwrap(), dtype, dims: dims.to_vec() };
        let zone = [0x7fc0_beefu32; ZONE];
        b.upload(owned.raw(), &[&bytes, bytemuck::cast_slice(&zone)].concat());
        owned
    }

    pub fn nan_of(b: &'b B, dtype: DType, dims: &[usize]) -> Self {
        Self::of(b, dtype, dims, &mut vec![f32::NAN; dims.iter().product()])
    }

    /// Makes all tensors 16-bit.
    fn raw(&self) -> Tensor<'_> {
        let n: usize = self.dims.iter().product();
        // SAFETY: allocated with this size.
        unsafe { Tensor::new(self.memory.addr(), DType::F16, &[n + ZONE * 2]) }
    }

    pub fn whole(&self) -> Tensor<'_> {
        let n: usize = self.dims.iter().product();
        // SAFETY: allocated with this size.
        unsafe { Tensor::new(self.memory.addr(), DType::I32, &[n + ZONE]) }
    }

    pub fn at(&self) -> Tensor<'_> {
        // SAFETY: allocated with at least this size.
        unsafe { Tensor::new(self.memory.addr(), self.dtype, &self.dims) }
    }

    /// The contents, after a check of the red zone.
    pub fn words(&self) -> Vec<u32> {
        let mut all = vec![0u32; self.whole().len()];
        self.b.download(bytemuck::cast_slice_mut(&mut all), self.whole());
        self.b.sync().unwrap();
        let zone = all.split_off(all.len() - ZONE);
        assert!(zone.iter().all(|&w| w == 0x7fc0_beef), "written past the end of {:?}", self.dims);
        all
    }

    pub fn floats(&self) -> Vec<f32> {
        if self.dtype == DType::F32 {
            return self.words().into_iter().map(f32::from_bits).collect();
        }
        let mut bytes = vec![0u8; self.raw().len() * 2];
        self.b.download(&mut bytes, self.raw());
        self.b.sync().unwrap();
        let zone = bytes.split_off(bytes.len() - ZONE * 4);
        assert!(zone.chunks(4).all(|w| w == 0x7fc0_beefu32.to_le_bytes()), "written past the end of {:?}", self.dims);
        let mut values = Vec::new();
        self.dtype.widen(&bytes, &mut values);
        values
    }
}

/// Rounds to a value of a type.
pub fn round(dtype: DType, values: &mut [f32]) {
    match dtype {
        DType::F16 => values.iter_mut().for_each(|v| *v = f16::from_f32(*v).to_f32()),
        DType::Bf16 => values.iter_mut().for_each(|v| *v = bf16::from_f32(*v).to_f32()),
        _ => {}
    }
}

/// The type in which a backend computes, and its tolerance.
#[derive(Clone, Copy)]
pub struct Numbers {
    /// The type of activations and of the weights of products.
    pub dtype: DType,
    /// For a device whose f32 functions are the hardware's: 4 times the tolerance of a CPU.
    pub device: bool,
}

impl Numbers {
    /// In f32, the largest difference relative to the largest value may be `tolerance`. For 16-bit numbers, the root
    /// mean square relative to that of the values may be what the rounding of the type explains.
    pub fn check(&self, what: &str, got: &[f32], want: &[f64], tolerance: f32) {
        let rms = match self.dtype {
            DType::Bf16 => 1e-2,
            DType::F16 => 2e-3,
            _ => return check(what, got, want, tolerance * if self.device { 4.0 } else { 1.0 }),
        };
        assert_eq!(got.len(), want.len(), "{what}");
        let square = |x: &mut dyn Iterator<Item = f64>| x.map(|v| v * v).sum::<f64>().sqrt();
        let off = square(&mut got.iter().zip(want).map(|(g, w)| *g as f64 - w));
        let size = square(&mut want.iter().copied()).max(1e-3);
        assert!(off <= rms * size, "{what} {:?}: off by {:.2e} RMS, {rms:.0e} allowed", self.dtype, off / size);
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

//! The layers that every module consists of, and how they are loaded from a checkpoint.

use crate::backend::tensor::{DType, Tensor};
use crate::backend::{Activation, Backend, Conv, Epilogue, LinearData, Memory, Norm};
use crate::checkpoint::{Checkpoint, TensorData};
use crate::error::{Error, Result};
use crate::memory::{try_from_fn, try_with_capacity};
use crate::model::progress::Loading;
use std::cell::RefCell;

/// The epsilon of the norms of the trunk, of maps, and of the memory encoder.
pub const EPS: f32 = 1e-6;
/// The epsilon of the norms of the transformers.
pub const TRANSFORMER_EPS: f32 = 1e-5;

/// A parameter in f32: (n) or (rows, n).
pub struct Param<B: Backend> {
    memory: B::Memory,
    dims: Vec<usize>,
}

impl<B: Backend> Param<B> {
    /// Returns the parameter as an operand.
    pub fn at(&self) -> Tensor<'_> {
        // SAFETY: the memory was made for these dimensions.
        unsafe { Tensor::new(self.memory.addr(), DType::F32, &self.dims) }
    }
}

/// The weights of a layer norm.
pub struct LayerNorm<B: Backend> {
    gamma: Param<B>,
    beta: Param<B>,
    eps: f32,
}

impl<B: Backend> LayerNorm<B> {
    /// Returns the norm as an operand.
    pub fn at(&self) -> Norm<'_> {
        Norm { gamma: self.gamma.at(), beta: self.beta.at(), eps: self.eps }
    }
}

/// Three products with ReLU between them. There are `groups` such products side by side.
pub struct Mlp3<B: Backend> {
    layers: [B::Linear; 3],
}

impl<B: Backend> Mlp3<B> {
    /// Reads `{name}.layers.{0,1,2}` for every name: (hidden, k), (hidden, hidden), (n, hidden).
    pub fn load(l: &Loader<'_, B>, names: &[String], k: usize, hidden: usize, n: usize) -> Result<Self> {
        let layer = |i: usize, n: usize, k: usize| {
            let names: Vec<String> = names.iter().map(|name| format!("{name}.layers.{i}")).collect();
            l.stacked(&names, n, k)
        };
        Ok(Mlp3 { layers: [layer(0, hidden, k)?, layer(1, hidden, hidden)?, layer(2, n, hidden)?] })
    }

    /// Computes `out` (rows, groups * n) from `x` (rows, groups * k). `hidden` are two scratch tensors
    /// (rows, groups * hidden).
    pub fn run(&self, b: &B, out: Tensor<'_>, x: Tensor<'_>, hidden: [Tensor<'_>; 2], last: Activation) {
        b.linear(hidden[0], x.into(), &self.layers[0], Epilogue::RELU);
        b.linear(hidden[1], hidden[0].into(), &self.layers[1], Epilogue::RELU);
        b.linear(out, hidden[1].into(), &self.layers[2], Epilogue::activation(last));
    }
}

/// The source of the tensors of a [`Loader`].
pub enum Source<'a> {
    Checkpoint(Loading<'a>),
    /// No checkpoint. The name and shape of each requested tensor are recorded.
    Manifest(RefCell<Vec<(String, Vec<usize>)>>),
}

/// Loads weights from a checkpoint, each by its name, and checks their shapes.
pub struct Loader<'a, B> {
    b: &'a B,
    source: &'a Source<'a>,
    /// The element type that products multiply in.
    dtype: DType,
    /// Whether the inputs of products have few rows.
    few_rows: bool,
}

impl<'a, B: Backend> Loader<'a, B> {
    /// Creates a loader that reads from `source`. Products multiply in `dtype`.
    pub fn new(b: &'a B, source: &'a Source<'a>, dtype: DType) -> Self {
        Loader { b, source, dtype, few_rows: false }
    }

    /// Returns this loader for products that multiply in f32 at any precision.
    pub fn in_f32(&self) -> Self {
        Loader { dtype: DType::F32, ..*self }
    }

    /// Returns this loader as [`Loader::in_f32`] does, for products whose inputs are the tokens of prompts and have few
    /// rows.
    pub fn of_tokens(&self) -> Self {
        Loader { few_rows: true, ..self.in_f32() }
    }

    /// Returns the values of a tensor. Without a checkpoint the list is empty, so use the values only in
    /// [`Loader::derive`].
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        match self.source {
            Source::Manifest(list) => {
                list.borrow_mut().push((name.into(), shape.to_vec()));
                Ok(Vec::new())
            }
            Source::Checkpoint(loading) => {
                let checkpoint = loading.checkpoint;
                let data = checkpoint.get(name).ok_or_else(|| checkpoint.error(format!("tensor {name} is missing")))?;
                check_shape(checkpoint, name, data, shape)?;
                let values = data.to_f32()?;
                match values.iter().position(|v| !v.is_finite()) {
                    None => loading.count(data).map(|()| values),
                    Some(i) => {
                        Err(checkpoint.error(format!("tensor {name}: value {i} is {}, not a finite number", values[i])))
                    }
                }
            }
        }
    }

    /// Computes values from other values. Without a checkpoint nothing is computed.
    pub fn derive(&self, make: impl FnOnce() -> Result<Vec<f32>>) -> Result<Vec<f32>> {
        if matches!(self.source, Source::Manifest(_)) { Ok(Vec::new()) } else { make() }
    }

    /// Copies values to the device.
    pub fn param(&self, values: &[f32], dims: &[usize]) -> Result<Param<B>> {
        let param = Param { memory: self.b.alloc(dims.iter().product::<usize>() * 4, "weights")?, dims: dims.to_vec() };
        if !matches!(self.source, Source::Manifest(_)) {
            self.b.upload(param.at(), bytemuck::cast_slice(values));
        }
        Ok(param)
    }

    /// Lays out `groups` products (n, k) for the matrix kernel. `bias` may be empty.
    pub fn linear_of(&self, w: &[f32], b: &[f32], groups: usize, n: usize, k: usize) -> Result<B::Linear> {
        self.b.linear_weights(LinearData { w, b, groups, n, k, dtype: self.dtype, few_rows: self.few_rows })
    }

    /// Loads a parameter unchanged from the checkpoint. `dims` may drop dimensions of 1 from `shape`.
    pub fn tensor(&self, name: &str, shape: &[usize], dims: &[usize]) -> Result<Param<B>> {
        self.param(&self.values(name, shape)?, dims)
    }

    /// Loads a layer norm: `{name}.weight` and `{name}.bias`, each (n).
    pub fn norm(&self, name: &str, n: usize, eps: f32) -> Result<LayerNorm<B>> {
        let part = |leaf: &str| self.tensor(&format!("{name}.{leaf}"), &[n], &[n]);
        Ok(LayerNorm { gamma: part("weight")?, beta: part("bias")?, eps })
    }

    /// Loads a product: `{name}.weight` (n, k) and `{name}.bias` (n).
    pub fn linear(&self, name: &str, n: usize, k: usize) -> Result<B::Linear> {
        self.stacked(&[name.into()], n, k)
    }

    /// Loads products as [`Loader::linear`] does, with one group for every name.
    pub fn stacked(&self, names: &[String], n: usize, k: usize) -> Result<B::Linear> {
        let (mut w, mut b) = (Vec::new(), Vec::new());
        for name in names {
            w.push(self.values(&format!("{name}.weight"), &[n, k])?);
            b.push(self.values(&format!("{name}.bias"), &[n])?);
        }
        self.linear_of(&join(w)?, &join(b)?, names.len(), n, k)
    }

    /// Loads a convolution: `{name}.weight` (n, c, kernel, kernel) and `{name}.bias` (n).
    pub fn conv(
        &self,
        name: &str,
        n: usize,
        c: usize,
        kernel: usize,
        stride: usize,
        pad: usize,
    ) -> Result<Conv<B::Linear>> {
        let w = self.values(&format!("{name}.weight"), &[n, c, kernel, kernel])?;
        // (n, c, pixels) to (n, pixels, c)
        let pixels = kernel * kernel;
        let from = |i: usize| i / (pixels * c) * pixels * c + i % c * pixels + i / c % pixels;
        let w = self.derive(|| try_from_fn(n * pixels * c, "weights", |i| w[from(i)]))?;
        let bias = self.values(&format!("{name}.bias"), &[n])?;
        Ok(Conv { weights: self.linear_of(&w, &bias, 1, n, kernel * kernel * c)?, kernel, stride, pad })
    }

    /// Loads a 1x1 convolution as a product: `{name}.weight` (n, k, 1, 1) and `{name}.bias` (n).
    pub fn pointwise(&self, name: &str, n: usize, k: usize) -> Result<B::Linear> {
        Ok(self.conv(name, n, k, 1, 1, 0)?.weights)
    }

    /// Loads a 2x2 transposed convolution of stride 2, `{name}.weight` (k, n, 2, 2) and `{name}.bias` (n), as a product
    /// with columns (2, 2, n).
    pub fn upsampling(&self, name: &str, n: usize, k: usize) -> Result<B::Linear> {
        let w = self.values(&format!("{name}.weight"), &[k, n, 2, 2])?;
        // (k, n, 4) to (4, n, k)
        let from = |i: usize| i % k * 4 * n + i / k % n * 4 + i / k / n;
        let w = self.derive(|| try_from_fn(4 * n * k, "weights", |i| w[from(i)]))?;
        let bias = self.values(&format!("{name}.bias"), &[n])?.repeat(4);
        self.linear_of(&w, &bias, 1, 4 * n, k)
    }
}

/// Returns the parts, one after another.
pub fn join(mut parts: Vec<Vec<f32>>) -> Result<Vec<f32>> {
    if parts.len() == 1 {
        return Ok(parts.remove(0));
    }
    let mut all = try_with_capacity(parts.iter().map(Vec::len).sum(), "weights")?;
    parts.iter().for_each(|part| all.extend_from_slice(part));
    Ok(all)
}

/// Fails if a tensor of the checkpoint has another shape than the model's tensor.
pub fn check_shape(checkpoint: &Checkpoint, name: &str, data: TensorData<'_>, shape: &[usize]) -> Result<(), Error> {
    if data.shape == shape {
        return Ok(());
    }
    Err(checkpoint
        .error(format!("tensor {name}: expected {shape:?}, got {:?}; is this the model's configuration?", data.shape)))
}

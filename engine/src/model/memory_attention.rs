//! Memory attention: the features of the current frame attend to themselves and to the memories of an object.
//!
//! In the attention to memories, values are projected after the attention, and not before: `P (M W_v + b_v) W_o + b_o`
//! = `(P M) (W_o W_v)^T + (W_o b_v + b_o)`, since the rows of P sum to 1 and values are not rotated. So values have the
//! width of memories.

use super::layers::{LayerNorm, Loader, Param, TRANSFORMER_EPS, join};
use super::position::{rotation, sine_position};
use crate::backend::arena::Carver;
use crate::backend::precision::Policy;
use crate::backend::tensor::{DType, Tensor};
use crate::backend::{Activation, Backend, Bank, BankIndex, Epilogue, Input, Rotation};
use crate::error::Result;
use crate::memory::try_zeros;
use crate::model::config::Config;

/// The layers and their constants.
pub struct MemoryAttention<B: Backend> {
    layers: Vec<Layer<B>>,
    norm: LayerNorm<B>,
    /// (hw, d): a tenth of the position encoding, which is added to the features once.
    position: Param<B>,
    /// (hw, d): cosine and sine of every pair of channels.
    rotation: Param<B>,
}

struct Layer<B: Backend> {
    norm1: LayerNorm<B>,
    /// (3d, d)
    qkv: B::Linear,
    self_out: B::Linear,
    norm2: LayerNorm<B>,
    q: B::Linear,
    /// `(d, mem_dim)`
    k: B::Linear,
    /// `(d, mem_dim)`: the projections of values and output as one product.
    out: B::Linear,
    norm3: LayerNorm<B>,
    fc1: B::Linear,
    fc2: B::Linear,
}

/// The numbers of objects and memories that a batch has or can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Memories {
    /// The number of objects.
    pub objects: usize,
    /// The number of frames of the object with the most memories of frames.
    pub frames: usize,
    /// The number of pointers of the object with the most pointers.
    pub pointers: usize,
}

impl Memories {
    /// Returns the number of tokens of an object with these numbers of memories.
    pub fn tokens(&self, config: &Config) -> usize {
        self.frames * config.embed_side() * config.embed_side() + self.pointers * pointer_tokens(config)
    }
}

/// Returns the number of tokens of a pointer.
pub fn pointer_tokens(config: &Config) -> usize {
    config.d_model / config.memory.mem_dim
}

/// The inputs and scratch tensors of `p` objects with `m` tokens of memory each.
pub struct Acts<'a> {
    /// (p, 2) i32: the numbers of frames and pointers of each object.
    pub counts: Tensor<'a>,
    /// (p, b) i32: slots of frames.
    pub maps: Tensor<'a>,
    /// (p, b) i32: rows of the temporal encoding.
    pub times: Tensor<'a>,
    /// (p, q) i32: slots of pointers.
    pub pointers: Tensor<'a>,
    /// (p) i32: hw.
    pub all: Tensor<'a>,
    /// (p) i32: 0.
    pub zeros: Tensor<'a>,
    /// (p) i32: the number of tokens of each object's frames.
    pub spatial: Tensor<'a>,
    /// (p) i32: the number of tokens of each object's memories.
    pub lens: Tensor<'a>,
    /// (p, q, d): sines of each pointer's distance in time.
    pub pointer_sines: Tensor<'a>,
    /// `(p, q, mem_dim)`
    pub pointer_times: Tensor<'a>,
    /// `(p, m, mem_dim)`
    keys: Tensor<'a>,
    /// `(p, m, mem_dim)`
    values: Tensor<'a>,
    /// (p, hw, d): the residual stream.
    x: Tensor<'a>,
    /// (p, hw, 3d)
    qkv: Tensor<'a>,
    /// (p, hw, d)
    attended: Tensor<'a>,
    /// (p, hw, d)
    q: Tensor<'a>,
    /// (p, m, d)
    k: Tensor<'a>,
    /// `(p, hw, mem_dim)`
    narrow: Tensor<'a>,
    /// `(p, hw, dim_feedforward)`
    hidden: Tensor<'a>,
}

impl<'a> Acts<'a> {
    /// Allocates the tensors for a batch of this size.
    pub fn carve(c: &mut Carver<'a>, config: &Config, policy: Policy, size: Memories) -> Self {
        let (p, m) = (size.objects, size.tokens(config));
        let (d, narrow, hw) = (config.d_model, config.memory.mem_dim, config.embed_side() * config.embed_side());
        let index = |c: &mut Carver<'a>, dims: &[usize]| c.take(DType::I32, dims);
        let float = |c: &mut Carver<'a>, dims: &[usize]| c.take(DType::F32, dims);
        let activation = |c: &mut Carver<'a>, dims: &[usize]| c.take(policy.activations, dims);
        Acts {
            counts: index(c, &[p, 2]),
            maps: index(c, &[p, size.frames]),
            times: index(c, &[p, size.frames]),
            pointers: index(c, &[p, size.pointers]),
            all: index(c, &[p]),
            zeros: index(c, &[p]),
            spatial: index(c, &[p]),
            lens: index(c, &[p]),
            pointer_sines: float(c, &[p, size.pointers, d]),
            pointer_times: float(c, &[p, size.pointers, narrow]),
            keys: activation(c, &[p, m, narrow]),
            values: activation(c, &[p, m, narrow]),
            x: float(c, &[p, hw, d]),
            qkv: activation(c, &[p, hw, 3 * d]),
            attended: activation(c, &[p, hw, d]),
            q: activation(c, &[p, hw, d]),
            k: activation(c, &[p, m, d]),
            narrow: activation(c, &[p, hw, narrow]),
            hidden: activation(c, &[p, hw, config.memory.dim_feedforward]),
        }
    }

    /// Returns the memories of each object.
    pub fn index(&self) -> BankIndex<'a> {
        let Acts { counts, maps, times, pointers, pointer_times, .. } = *self;
        BankIndex { counts, maps, times, pointers, pointer_times }
    }
}

impl<B: Backend> MemoryAttention<B> {
    /// Loads the weights.
    pub fn load(l: &Loader<'_, B>, config: &Config) -> Result<Self> {
        let (d, side) = (config.d_model, config.embed_side());
        let layers = 0..config.memory.num_layers;
        let position = l.derive(|| {
            let mut position = sine_position(d, side)?;
            position.iter_mut().for_each(|v| *v *= 0.1);
            Ok(position)
        })?;
        let rotation = l.derive(|| rotation(d, side, config.memory.rope_theta))?;
        Ok(MemoryAttention {
            layers: layers
                .map(|i| Layer::load(l, &format!("memory_attention.layers.{i}"), config))
                .collect::<Result<_>>()?,
            norm: l.norm("memory_attention.norm", d, TRANSFORMER_EPS)?,
            position: l.param(&position, &[side * side, d])?,
            rotation: l.param(&rotation, &[side * side, d])?,
        })
    }

    /// Computes `out` (p, side, side, d) from the features of the frame, `frame` (1, side, side, d), and the objects'
    /// memories.
    pub fn run(&self, b: &B, out: Tensor<'_>, frame: Tensor<'_>, a: &Acts<'_>, bank: Bank<'_>) {
        let [p, hw, d] = *a.x.dims() else { unreachable!("carved with three dimensions") };
        b.gather_memories(a.keys, a.values, bank, a.index());
        // One frame for all objects.
        let (frame, position) = (frame.view(&[1, hw, d]), self.position.at().view(&[1, hw, d]));
        b.add_dense_prompts(a.x, frame, a.zeros, position, a.zeros, position.slice(0, 1).row_of_each(0).view(&[d]));
        for layer in &self.layers {
            layer.run(b, a, self.rotation.at());
        }
        b.layer_norm(out.view(&[p, hw, d]), a.x, self.norm.at(), Activation::None);
    }
}

impl<B: Backend> Layer<B> {
    fn load(l: &Loader<'_, B>, name: &str, config: &Config) -> Result<Self> {
        let (d, narrow, hidden) = (config.d_model, config.memory.mem_dim, config.memory.dim_feedforward);
        let part = |leaf: &str| format!("{name}.{leaf}");
        let norm = |i: usize| l.norm(&part(&format!("norm{i}")), d, TRANSFORMER_EPS);
        let own = |leaf: &str| format!("{name}.self_attn.{leaf}_proj");
        let cross = |leaf: &str| format!("{name}.cross_attn_image.{leaf}_proj");
        let (mut w, mut bias) = (Vec::new(), Vec::new());
        for leaf in ["q", "k", "v"] {
            w.push(l.values(&format!("{}.weight", own(leaf)), &[d, d])?);
            bias.push(l.values(&format!("{}.bias", own(leaf)), &[d])?);
        }
        let (v, v_bias) = (
            l.values(&format!("{}.weight", cross("v")), &[d, narrow])?,
            l.values(&format!("{}.bias", cross("v")), &[d])?,
        );
        let (o, o_bias) = (
            l.values(&format!("{}.weight", cross("out")), &[d, d])?,
            l.values(&format!("{}.bias", cross("out")), &[d])?,
        );
        let both = l.derive(|| product(&o, &v, d, narrow))?;
        let both_bias =
            l.derive(|| Ok(product(&o, &v_bias, d, 1)?.iter().zip(&o_bias).map(|(a, b)| a + b).collect()))?;
        Ok(Layer {
            norm1: norm(1)?,
            qkv: l.linear_of(&join(w)?, &join(bias)?, 1, 3 * d, d)?,
            self_out: l.linear(&own("out"), d, d)?,
            norm2: norm(2)?,
            q: l.linear(&cross("q"), d, d)?,
            k: l.linear(&cross("k"), d, narrow)?,
            out: l.linear_of(&both, &both_bias, 1, d, narrow)?,
            norm3: norm(3)?,
            fc1: l.linear(&part("linear1"), hidden, d)?,
            fc2: l.linear(&part("linear2"), d, hidden)?,
        })
    }

    fn run(&self, b: &B, a: &Acts<'_>, rotation: Tensor<'_>) {
        let d = a.x.cols();
        let rotate = |columns, lens| Epilogue::rotate(Rotation { table: rotation, columns, lens });
        b.linear(a.qkv, Input::norm(a.x, self.norm1.at()), &self.qkv, rotate(2 * d, None));
        b.memory_attention(a.attended, a.qkv.columns(0, d), a.qkv.columns(d, d), a.qkv.columns(2 * d, d), a.all);
        b.linear(a.x, a.attended.into(), &self.self_out, Epilogue::add(a.x));

        b.linear(a.q, Input::norm(a.x, self.norm2.at()), &self.q, rotate(d, None));
        b.linear(a.k, a.keys.into(), &self.k, rotate(d, Some(a.spatial)));
        b.memory_attention(a.narrow, a.q, a.k, a.values, a.lens);
        b.linear(a.x, a.narrow.into(), &self.out, Epilogue::add(a.x));

        b.linear(a.hidden, Input::norm(a.x, self.norm3.at()), &self.fc1, Epilogue::RELU);
        b.linear(a.x, a.hidden.into(), &self.fc2, Epilogue::add(a.x));
    }
}

/// Returns (d, n) = a (d, d) times b (d, n), summed in f64.
fn product(a: &[f32], b: &[f32], d: usize, n: usize) -> Result<Vec<f32>> {
    let mut out = try_zeros::<f32>(d * n, "weights")?;
    for i in 0..d {
        for j in 0..n {
            out[i * n + j] = (0..d).map(|k| f64::from(a[i * d + k]) * f64::from(b[k * n + j])).sum::<f64>() as f32;
        }
    }
    Ok(out)
}

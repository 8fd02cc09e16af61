//! The memory encoder: computes the memory of an object from the features of a frame and the mask of the object.

use super::layers::{EPS, LayerNorm, Loader, Param};
use crate::backend::arena::Carver;
use crate::backend::precision::Policy;
use crate::backend::tensor::{DType, Tensor};
use crate::backend::{Activation, Backend, Conv, Epilogue, Input};
use crate::error::Result;
use crate::memory::try_from_fn;
use crate::model::config::Config;

/// The number of times that the mask is halved to get the size of the features.
const HALVINGS: usize = 4;

/// The mask downsampler, the fuser and the projections.
pub struct MemoryEncoder<B: Backend> {
    down: Vec<(Conv<B::Linear>, LayerNorm<B>)>,
    down_out: B::Linear,
    pix_feat_proj: B::Linear,
    fuser: Vec<Block<B>>,
    out: B::Linear,
}

/// x + gamma pw2(gelu(pw1(norm(depthwise(x))))) (Liu et al., arXiv:2201.03545).
struct Block<B: Backend> {
    /// (49, d)
    depthwise: Param<B>,
    /// (d)
    bias: Param<B>,
    norm: LayerNorm<B>,
    pw1: B::Linear,
    /// The second product, multiplied by gamma.
    pw2: B::Linear,
}

/// The inputs and scratch tensors of `p` objects. S is the side of the model's input.
pub struct Acts<'a> {
    /// (p, S, S, 1): the mask, scaled.
    pub mask: Tensor<'a>,
    /// (p, S/2, S/2, 4) to (p, S/16, S/16, 256)
    down: [Tensor<'a>; HALVINGS],
    /// (hw, d): the projected features, which all objects share.
    pix: Tensor<'a>,
    /// (p, side, side, d)
    x: Tensor<'a>,
    /// (p, side, side, d)
    conv: Tensor<'a>,
    /// (p, side, side, 4d)
    hidden: Tensor<'a>,
    /// `(p, hw, mem_dim)`
    pub out: Tensor<'a>,
}

impl<'a> Acts<'a> {
    /// Allocates the tensors for `p` objects.
    pub fn carve(c: &mut Carver<'a>, config: &Config, policy: Policy, p: usize) -> Self {
        let (d, side, s) = (config.d_model, config.embed_side(), config.image_size);
        let float = |c: &mut Carver<'a>, dims: &[usize]| c.take(DType::F32, dims);
        Acts {
            mask: float(c, &[p, s, s, 1]),
            down: std::array::from_fn(|i| float(c, &[p, s >> (i + 1), s >> (i + 1), 4 << (2 * i)])),
            pix: float(c, &[side * side, d]),
            x: float(c, &[p, side, side, d]),
            conv: float(c, &[p, side, side, d]),
            hidden: c.take(policy.activations, &[p, side, side, 4 * d]),
            out: float(c, &[p, side * side, config.memory.mem_dim]),
        }
    }
}

impl<B: Backend> MemoryEncoder<B> {
    /// Loads the weights.
    pub fn load(l: &Loader<'_, B>, config: &Config) -> Result<Self> {
        let d = config.d_model;
        let name = |leaf: &str| format!("memory_encoder.{leaf}");
        let down = (0..HALVINGS).map(|i| {
            let (from, to) = (if i == 0 { 1 } else { 4 << (2 * i - 2) }, 4 << (2 * i));
            let conv = l.conv(&name(&format!("mask_downsampler.encoder.{}", 3 * i)), to, from, 3, 2, 1)?;
            Ok((conv, l.norm(&name(&format!("mask_downsampler.encoder.{}", 3 * i + 1)), to, EPS)?))
        });
        Ok(MemoryEncoder {
            down: down.collect::<Result<_>>()?,
            down_out: l.pointwise(&name(&format!("mask_downsampler.encoder.{}", 3 * HALVINGS)), d, 256)?,
            pix_feat_proj: l.pointwise(&name("pix_feat_proj"), d, d)?,
            fuser: (0..config.memory.fuser_layers)
                .map(|i| Block::load(l, &name(&format!("fuser.layers.{i}")), d))
                .collect::<Result<_>>()?,
            out: l.pointwise(&name("out_proj"), config.memory.mem_dim, d)?,
        })
    }

    /// Computes `a.out` from `a.mask` and the features of the frame, `frame` (1, side, side, d).
    pub fn run(&self, b: &B, a: &Acts<'_>, frame: Tensor<'_>) {
        let [p, side, _, d] = *a.x.dims() else { unreachable!("carved with four dimensions") };
        let mut x = a.mask;
        for ((conv, norm), out) in self.down.iter().zip(a.down) {
            b.conv2d(out, x, conv, Epilogue::NONE);
            b.layer_norm(out, out, norm.at(), Activation::Gelu);
            x = out;
        }
        b.linear(a.pix, frame.view(&[side * side, d]).into(), &self.pix_feat_proj, Epilogue::NONE);
        for i in 0..p {
            let (out, x) = (a.x.slice(i, 1).view(&[side * side, d]), x.slice(i, 1).view(&[side * side, x.cols()]));
            b.linear(out, x.into(), &self.down_out, Epilogue::add(a.pix));
        }
        for block in &self.fuser {
            b.depthwise_conv7x7(a.conv, a.x, block.depthwise.at(), block.bias.at());
            b.linear(a.hidden, Input::norm(a.conv, block.norm.at()), &block.pw1, Epilogue::GELU);
            b.linear(a.x, a.hidden.into(), &block.pw2, Epilogue::add(a.x));
        }
        b.linear(a.out, a.x.view(&[p, side * side, d]).into(), &self.out, Epilogue::NONE);
    }
}

impl<B: Backend> Block<B> {
    fn load(l: &Loader<'_, B>, name: &str, d: usize) -> Result<Self> {
        let part = |leaf: &str| format!("{name}.{leaf}");
        let depthwise = l.values(&part("dwconv.weight"), &[d, 1, 7, 7])?;
        let depthwise = l.derive(|| try_from_fn(49 * d, "weights", |i| depthwise[i % d * 49 + i / d]))?;
        let gamma = l.values(&part("gamma"), &[d])?;
        let (w, bias) = (l.values(&part("pwconv2.weight"), &[d, 4 * d])?, l.values(&part("pwconv2.bias"), &[d])?);
        let w = l.derive(|| try_from_fn(4 * d * d, "weights", |i| w[i] * gamma[i / (4 * d)]))?;
        let bias = l.derive(|| try_from_fn(d, "weights", |i| bias[i] * gamma[i]))?;
        Ok(Block {
            depthwise: l.param(&depthwise, &[49, d])?,
            bias: l.tensor(&part("dwconv.bias"), &[d], &[d])?,
            norm: l.norm(&part("norm"), d, EPS)?,
            pw1: l.linear(&part("pwconv1"), 4 * d, d)?,
            pw2: l.linear_of(&w, &bias, 1, d, 4 * d)?,
        })
    }
}

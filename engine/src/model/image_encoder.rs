//! The image encoder: the Hiera trunk and the feature pyramid over it.

use super::layers::{EPS, LayerNorm, Loader, Param};
use super::position::hiera_position;
use crate::backend::arena::Carver;
use crate::backend::precision::Policy;
use crate::backend::tensor::{DType, Tensor};
use crate::backend::{Backend, Conv, Epilogue, Input, Windows};
use crate::error::Result;
use crate::memory::try_from_fn;
use crate::model::config::{BlockConfig, Config};

/// The trunk and the neck.
pub struct ImageEncoder<B: Backend> {
    patch_embed: Conv<B::Linear>,
    /// (side, side, c)
    position: Param<B>,
    blocks: Vec<Block<B>>,
    /// From the deepest stage to the width of the embedding.
    level3: B::Linear,
    /// From the third stage to the width of the embedding.
    level2: B::Linear,
    /// From the second stage to the width of the decoder: the convolutions of the neck and of the decoder, multiplied
    /// at load.
    high1: B::Linear,
    /// From the first stage to the width of the decoder, also multiplied at load.
    high0: B::Linear,
}

/// The features of an image, or of several images with a leading dimension.
#[derive(Clone, Copy)]
pub struct Features<'a> {
    /// (side/4, side/4, d)
    pub embed: Tensor<'a>,
    /// (side/2, side/2, d/4)
    pub high1: Tensor<'a>,
    /// (side, side, d/8)
    pub high0: Tensor<'a>,
}

impl<'a> Features<'a> {
    /// Allocates the features of `images` images. Each tensor has one more leading dimension.
    pub fn carve(c: &mut Carver<'a>, config: &Config, policy: Policy, images: usize) -> Self {
        let (d, side) = (config.d_model, config.side());
        let mut level =
            |shrink: usize, d: usize| c.take(policy.activations, &[images, side / shrink, side / shrink, d]);
        Features { embed: level(4, d), high1: level(2, d / 4), high0: level(1, d / 8) }
    }

    /// Returns the features of image `i`.
    pub fn of(&self, i: usize) -> Features<'a> {
        let one = |t: Tensor<'a>| t.slice(i, 1).view(&t.dims()[1..]);
        Features { embed: one(self.embed), high1: one(self.high1), high0: one(self.high0) }
    }
}

/// The scratch tensors of one run.
pub struct Acts<'a> {
    /// (s, s, 3): the image. It shares memory with `wide`.
    pub image: Tensor<'a>,
    /// The residual stream: one tensor for stages 0 and 2, and one for stages 1 and 3.
    streams: [Tensor<'a>; 2],
    /// Queries, keys and values with the result of attention, and then the hidden layer. The tensor has the width of
    /// the widest block.
    wide: Tensor<'a>,
    /// (side/8, side/8, d)
    level3: Tensor<'a>,
}

impl<'a> Acts<'a> {
    /// Allocates the tensors for one image.
    pub fn carve(c: &mut Carver<'a>, config: &Config, policy: Policy) -> Self {
        let (s, side) = (config.image_size, config.side());
        let mut need = 3 * s * s;
        let mut at = side;
        for block in config.trunk.blocks() {
            let (n, out) = (at * at, block.dim_out);
            if block.q_pool {
                at /= 2;
                need = need.max(n * 3 * out + at * at * 2 * out);
            } else {
                need = need.max(n * 4 * out);
            }
        }
        let n = side * side * config.trunk.embed_dim;
        let wide = c.take(policy.activations, &[need]);
        Acts {
            image: wide.prefix(&[s, s, 3]),
            streams: [c.take(DType::F32, &[n]), c.take(DType::F32, &[n / 2])],
            wide,
            level3: c.take(policy.activations, &[side / 8, side / 8, config.d_model]),
        }
    }
}

impl<B: Backend> ImageEncoder<B> {
    /// Loads the weights of the encoder, and of the two convolutions of the decoder that run once per image.
    pub fn load(l: &Loader<'_, B>, config: &Config) -> Result<Self> {
        let (t, d, side) = (&config.trunk, config.d_model, config.side());
        let trunk = "image_encoder.trunk";
        let (dim, window) = (t.embed_dim, t.window_spec[0]);
        let [bh, bw] = t.window_pos_embed_bkg_spatial_size;
        let background = l.values(&format!("{trunk}.pos_embed"), &[1, dim, bh, bw])?;
        let tile = l.values(&format!("{trunk}.pos_embed_window"), &[1, dim, window, window])?;
        let position = l.derive(|| hiera_position(&background, [bh, bw], &tile, window, dim, side))?;

        let lateral = |level: usize| format!("image_encoder.neck.convs.{}.conv", 3 - level);
        let dims = t.dims();
        Ok(ImageEncoder {
            patch_embed: l.conv(&format!("{trunk}.patch_embed.proj"), dim, 3, 7, 4, 3)?,
            position: l.param(&position, &[side, side, dim])?,
            blocks: (t.blocks().enumerate())
                .map(|(i, block)| Block::load(l, &format!("{trunk}.blocks.{i}"), block))
                .collect::<Result<_>>()?,
            level3: l.pointwise(&lateral(3), d, dims[3])?,
            level2: l.pointwise(&lateral(2), d, dims[2])?,
            high1: composed(l, "sam_mask_decoder.conv_s1", &lateral(1), d / 4, d, dims[1])?,
            high0: composed(l, "sam_mask_decoder.conv_s0", &lateral(0), d / 8, d, dims[0])?,
        })
    }

    /// Encodes the image in `a.image`.
    pub fn run(&self, b: &B, a: &Acts<'_>, out: &Features<'_>) {
        let position = self.position.at();
        b.probe("input", a.image);
        b.probe("hiera_pos", position);
        let mut x = a.streams[0].prefix(position.dims());
        // The picture lies where the first block's products go: this is its last use.
        b.conv2d(x, a.image, &self.patch_embed, Epilogue::add(position));

        let (mut stage, mut stages) = (0, [x; 4]);
        for block in &self.blocks {
            // Stages take turns, so the third's result is still there when the fourth is done.
            x = block.run(b, a, x, a.streams[stage % 2]);
            if block.config.ends_stage {
                b.probe(["trunk0", "trunk1", "trunk2", "trunk3"][stage], x);
                match stage {
                    0 => b.linear(out.high0, x.into(), &self.high0, Epilogue::NONE),
                    1 => b.linear(out.high1, x.into(), &self.high1, Epilogue::NONE),
                    _ => {}
                }
                stages[stage] = x;
                stage += 1;
            }
        }
        b.linear(a.level3, stages[3].into(), &self.level3, Epilogue::NONE);
        b.linear(out.embed, stages[2].into(), &self.level2, Epilogue::add_upsampled(a.level3));
        b.probe("fpn3", a.level3);
        b.probe("fpn2", out.embed);
        b.probe("high_res1", out.high1);
        b.probe("high_res0", out.high0);
    }
}

/// Composes two 1x1 convolutions without anything between them, `outer` (n, d) after `inner` (d, k), as one product
/// (n, k).
fn composed<B: Backend>(
    l: &Loader<'_, B>,
    outer: &str,
    inner: &str,
    n: usize,
    d: usize,
    k: usize,
) -> Result<B::Linear> {
    let part = |name: &str, leaf: &str, shape: &[usize]| l.values(&format!("{name}.{leaf}"), shape);
    let (w2, b2) = (part(outer, "weight", &[n, d, 1, 1])?, part(outer, "bias", &[n])?);
    let (w1, b1) = (part(inner, "weight", &[d, k, 1, 1])?, part(inner, "bias", &[d])?);
    let dot = |i: usize, x: &dyn Fn(usize) -> f32| (0..d).map(|j| w2[i * d + j] as f64 * x(j) as f64).sum::<f64>();
    let w = l.derive(|| try_from_fn(n * k, "weights", |i| dot(i / k, &|j| w1[j * k + i % k]) as f32))?;
    let bias = l.derive(|| try_from_fn(n, "weights", |i| (b2[i] as f64 + dot(i, &|j| b1[j])) as f32))?;
    l.linear_of(&w, &bias, 1, n, k)
}

/// A block of the trunk: attention within windows, then an MLP.
struct Block<B: Backend> {
    config: BlockConfig,
    norm1: LayerNorm<B>,
    qkv: B::Linear,
    /// `(3 * dim_out)`: the bias. Padding has the same queries, keys and values.
    qkv_bias: Param<B>,
    proj: B::Linear,
    /// The shortcut of a block that changes the width.
    shortcut: Option<B::Linear>,
    norm2: LayerNorm<B>,
    fc1: B::Linear,
    fc2: B::Linear,
}

impl<B: Backend> Block<B> {
    fn load(l: &Loader<'_, B>, name: &str, config: BlockConfig) -> Result<Self> {
        let BlockConfig { dim, dim_out, .. } = config;
        let qkv = format!("{name}.attn.qkv");
        let w = l.values(&format!("{qkv}.weight"), &[3 * dim_out, dim])?;
        let bias = l.values(&format!("{qkv}.bias"), &[3 * dim_out])?;
        Ok(Block {
            config,
            norm1: l.norm(&format!("{name}.norm1"), dim, EPS)?,
            qkv: l.linear_of(&w, &bias, 1, 3 * dim_out, dim)?,
            qkv_bias: l.param(&bias, &[3 * dim_out])?,
            proj: l.linear(&format!("{name}.attn.proj"), dim_out, dim_out)?,
            shortcut: (dim != dim_out).then(|| l.linear(&format!("{name}.proj"), dim_out, dim)).transpose()?,
            norm2: l.norm(&format!("{name}.norm2"), dim_out, EPS)?,
            fc1: l.linear(&format!("{name}.mlp.layers.0"), 4 * dim_out, dim_out)?,
            fc2: l.linear(&format!("{name}.mlp.layers.1"), dim_out, 4 * dim_out)?,
        })
    }

    /// Runs the block and returns the residual stream: `x` (h, w, dim) itself, or `next` if the block pools.
    fn run<'a>(&self, b: &B, a: &Acts<'a>, x: Tensor<'a>, next: Tensor<'a>) -> Tensor<'a> {
        let BlockConfig { dim_out: c, heads, window, q_pool, .. } = self.config;
        let (h, w) = (x.dim(0), x.dim(1));
        let mut normed = Input::norm(x, self.norm1.at());
        let bias = self.qkv_bias.at();
        let windows = Windows { size: window, pad: (bias.columns(c, c), bias.columns(2 * c, c)) };

        let mut y = x;
        if let Some(shortcut) = &self.shortcut {
            let wide = a.wide.prefix(&[h, w, c]);
            b.linear(wide, normed, shortcut, Epilogue::NONE);
            normed = normed.again();
            y = next.prefix(&[h / 2, w / 2, c]);
            b.max_pool2x2(y, wide);
        }
        let (h_out, w_out) = (y.dim(0), y.dim(1));
        let (n, n_out) = (h * w * 3 * c, h_out * w_out * c);
        let parts = a.wide.prefix(&[1, n + 2 * n_out]);
        let qkv = parts.columns(0, n).view(&[h, w, 3 * c]);
        let attended = parts.columns(n, n_out).view(&[h_out, w_out, c]);
        b.linear(qkv, normed, &self.qkv, Epilogue::NONE);
        let (mut q, k, v) = (qkv.columns(0, c), qkv.columns(c, c), qkv.columns(2 * c, c));
        if q_pool {
            let pooled = parts.columns(n + n_out, n_out).view(&[h_out, w_out, c]);
            b.max_pool2x2(pooled, q);
            q = pooled;
        }
        b.window_attention(attended, q, k, v, heads, windows);
        b.linear(y, attended.into(), &self.proj, Epilogue::add(y));

        let hidden = a.wide.prefix(&[h_out, w_out, 4 * c]);
        b.linear(hidden, Input::norm(y, self.norm2.at()), &self.fc1, Epilogue::GELU);
        b.linear(y, hidden.into(), &self.fc2, Epilogue::add(y));
        y
    }
}

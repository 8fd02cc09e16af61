//! The mask decoder: a two-way transformer between a few tokens and the image, followed by masks and scores.
//!
//! Attention between tokens and image is computed on the side of the tokens. With queries q of head h, keys x + pos and
//! projections W: `q (W_k (x + pos) + b_k) = (W_k^T q) (x + pos)` + a constant that does not affect the softmax, and
//! `P (x W_v + b_v) = (P x) W_v + b_v` since the rows of P sum to 1. So the image enters every product unchanged.

use super::image_encoder::Features;
use super::layers::{EPS, LayerNorm, Loader, Mlp3, Param, TRANSFORMER_EPS, join};
use super::prompt_encoder::{MaskActs, PromptEncoder};
use crate::backend::DECODER_HEADS;
use crate::backend::arena::Carver;
use crate::backend::precision::Policy;
use crate::backend::tensor::{DType, Tensor};
use crate::backend::{Activation, Backend, Epilogue, Input, Selection, TokenAttention};
use crate::error::Result;
use crate::memory::try_from_fn;
use crate::model::config::Config;

/// The hidden width of the token MLPs.
const MLP_DIM: usize = 2048;
/// The hidden width of the IoU head.
const IOU_HIDDEN: usize = 256;
/// The number of masks of a prompt: one for clear prompts, and three for ambiguous prompts.
pub const MASKS: usize = 4;
/// The number of tokens before those of a prompt: object score, IoU, and one per mask.
pub const OUTPUT_TOKENS: usize = 2 + MASKS;

/// The transformer and the heads.
pub struct MaskDecoder<B: Backend> {
    /// (6, d)
    output_tokens: Param<B>,
    layers: [Layer<B>; 2],
    final_attn: ReadImage<B>,
    norm_final: LayerNorm<B>,
    dc1: B::Linear,
    dc_norm: LayerNorm<B>,
    dc2: B::Linear,
    hyper: Mlp3<B>,
    iou_head: Mlp3<B>,
    score_head: Mlp3<B>,
    iou_activation: Activation,
}

/// A layer of the transformer: self-attention of tokens, attention of tokens to the image, MLP, attention of the image
/// to tokens.
struct Layer<B: Backend> {
    self_attn: SelfAttention<B>,
    norm1: LayerNorm<B>,
    read_image: ReadImage<B>,
    norm2: LayerNorm<B>,
    fc1: B::Linear,
    fc2: B::Linear,
    norm3: LayerNorm<B>,
    read_tokens: ReadTokens<B>,
    norm4: LayerNorm<B>,
}

struct SelfAttention<B: Backend> {
    /// (2d, d): queries and keys are computed from the same tokens.
    qk: B::Linear,
    v: B::Linear,
    out: B::Linear,
}

/// The attention of tokens to the image.
struct ReadImage<B: Backend> {
    q: B::Linear,
    /// `W_k^T`, one group per head: (d, width).
    to_image: B::Linear,
    /// `W_v`, one group per head: (width, d).
    from_image: B::Linear,
    out: B::Linear,
}

/// The attention of the image to tokens.
struct ReadTokens<B: Backend> {
    k: B::Linear,
    v: B::Linear,
    /// `W_q^T`, one group per head: (d, width).
    k_to_image: B::Linear,
    /// `b_q`, one group per head: (1, width).
    score_bias: B::Linear,
    /// `W_out`, one group per head: (d, width).
    v_to_image: B::Linear,
    /// (d)
    bias: Param<B>,
}

/// The numbers of prompts, tokens and masks that a batch has or can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Batch {
    /// The number of prompts.
    pub prompts: usize,
    /// The number of tokens of the longest prompt, including output tokens.
    pub tokens: usize,
    /// The number of pairs of image and mask prompt.
    pub entries: usize,
    /// The number of mask prompts.
    pub masks: usize,
}

/// The inputs, scratch tensors and outputs of a batch of `p` prompts with at most `t` tokens each.
pub struct Acts<'a> {
    /// (p, t - 6, 2): x and y in 0..1.
    pub points: Tensor<'a>,
    /// (p, t - 6) i32
    pub point_labels: Tensor<'a>,
    /// (p) i32: the number of tokens of each prompt.
    pub lens: Tensor<'a>,
    /// (p) i32: the image of each prompt.
    pub image: Tensor<'a>,
    /// (p) i32: the entry of each prompt.
    pub source: Tensor<'a>,
    /// (p) i32: 0, 1, 2, ...
    pub identity: Tensor<'a>,
    /// (e) i32: the image of each entry.
    pub entry_image: Tensor<'a>,
    /// (e) i32: the mask prompt of each entry, or -1.
    pub entry_mask: Tensor<'a>,
    /// (m, 4h, 4w, 1): mask prompts as logits.
    pub mask_input: Tensor<'a>,
    mask_acts: MaskActs<'a>,
    /// (m, hw, d)
    dense: Tensor<'a>,
    /// (e, hw, d): image embeddings with their dense prompts.
    entries: Tensor<'a>,
    /// (p, hw, d): the image as updated for each prompt.
    keys: Tensor<'a>,
    /// (p, t, d): the input tokens, which are also their position encoding.
    tokens: Tensor<'a>,
    /// (p, t, d): the tokens as updated by the layers.
    queries: Tensor<'a>,
    /// (p, t, 2d)
    qk: Tensor<'a>,
    /// (p, t, d)
    v: Tensor<'a>,
    /// (p, t, d)
    attended: Tensor<'a>,
    /// (p, t, 2048)
    hidden: Tensor<'a>,
    /// (p, t, d/2), two tensors: the narrower space of the attention with the image.
    narrow: [Tensor<'a>; 2],
    /// (p, t, heads, d), two tensors: tokens at the width of the image.
    wide: [Tensor<'a>; 2],
    /// (p, t, heads)
    score_bias: Tensor<'a>,
    /// (p, max(4d, 256)), two tensors: the hidden layers of the heads.
    head_hidden: [Tensor<'a>; 2],
    /// (p, 4, d/8)
    hyper: Tensor<'a>,
    /// (p, 4, 4h, 4w): logits.
    pub masks: Tensor<'a>,
    /// (p, 4)
    pub iou: Tensor<'a>,
    /// (p, 1)
    pub scores: Tensor<'a>,
    /// (p, 3) i32: the chosen masks.
    pub selected: Tensor<'a>,
}

impl<'a> Acts<'a> {
    /// Allocates the tensors for a batch of this size.
    pub fn carve(c: &mut Carver<'a>, config: &Config, policy: Policy, batch: Batch) -> Self {
        let Batch { prompts: p, tokens: t, entries: e, masks: m } = batch;
        let (d, side) = (config.d_model, config.embed_side());
        let hw = side * side;
        let index = |c: &mut Carver<'a>, n: usize| c.take(DType::I32, &[n]);
        let float = |c: &mut Carver<'a>, dims: &[usize]| c.take(DType::F32, dims);
        let activation = |c: &mut Carver<'a>, dims: &[usize]| c.take(policy.activations, dims);
        Acts {
            points: float(c, &[p, t - OUTPUT_TOKENS, 2]),
            point_labels: c.take(DType::I32, &[p, t - OUTPUT_TOKENS]),
            lens: index(c, p),
            image: index(c, p),
            source: index(c, p),
            identity: index(c, p),
            entry_image: index(c, e),
            entry_mask: index(c, e),
            mask_input: float(c, &[m, 4 * side, 4 * side, 1]),
            mask_acts: MaskActs::carve(c, config, m),
            dense: activation(c, &[m, hw, d]),
            entries: activation(c, &[e, hw, d]),
            keys: activation(c, &[p, hw, d]),
            tokens: float(c, &[p, t, d]),
            queries: float(c, &[p, t, d]),
            qk: float(c, &[p, t, 2 * d]),
            v: float(c, &[p, t, d]),
            attended: float(c, &[p, t, d]),
            hidden: float(c, &[p, t, MLP_DIM]),
            narrow: [0, 1].map(|_| float(c, &[p, t, d / 2])),
            wide: [0, 1].map(|_| activation(c, &[p, t, DECODER_HEADS, d])),
            score_bias: float(c, &[p, t, DECODER_HEADS]),
            head_hidden: [0, 1].map(|_| float(c, &[p, (MASKS * d).max(IOU_HIDDEN)])),
            hyper: float(c, &[p, MASKS, d / 8]),
            masks: float(c, &[p, MASKS, 4 * side, 4 * side]),
            iou: float(c, &[p, MASKS]),
            scores: float(c, &[p, 1]),
            selected: c.take(DType::I32, &[p, 3]),
        }
    }
}

/// The index of the token of mask 0 among the tokens of a prompt.
pub const FIRST_MASK_TOKEN: usize = 2;

impl<'a> Acts<'a> {
    /// Returns (p, t, d): the tokens that the heads read.
    pub fn tokens_out(&self) -> Tensor<'a> {
        self.queries
    }
}

impl<B: Backend> MaskDecoder<B> {
    /// Loads the weights.
    ///
    /// The products on the side of the tokens are small and determine which object a mask shows. They multiply in f32.
    /// The products on the side of the image follow the precision.
    pub fn load(l: &Loader<'_, B>, config: &Config) -> Result<Self> {
        let (d, image, l) = (config.d_model, l, &l.of_tokens());
        let name = |leaf: &str| format!("sam_mask_decoder.{leaf}");
        let part = |leaf: &str| name(&format!("transformer.{leaf}"));
        let tokens = join(vec![
            l.values(&name("obj_score_token.weight"), &[1, d])?,
            l.values(&name("iou_token.weight"), &[1, d])?,
            l.values(&name("mask_tokens.weight"), &[MASKS, d])?,
        ])?;
        let hyper: Vec<String> = (0..MASKS).map(|i| name(&format!("output_hypernetworks_mlps.{i}"))).collect();
        Ok(MaskDecoder {
            output_tokens: l.param(&tokens, &[OUTPUT_TOKENS, d])?,
            layers: [Layer::load(l, &part("layers.0"), d)?, Layer::load(l, &part("layers.1"), d)?],
            final_attn: ReadImage::load(l, &part("final_attn_token_to_image"), d)?,
            norm_final: l.norm(&part("norm_final_attn"), d, TRANSFORMER_EPS)?,
            dc1: image.upsampling(&name("output_upscaling.0"), d / 4, d)?,
            dc_norm: l.norm(&name("output_upscaling.1"), d / 4, EPS)?,
            dc2: image.upsampling(&name("output_upscaling.3"), d / 8, d / 4)?,
            hyper: Mlp3::load(l, &hyper, d, d, d / 8)?,
            iou_head: Mlp3::load(l, &[name("iou_prediction_head")], d, IOU_HIDDEN, MASKS)?,
            score_head: Mlp3::load(l, &[name("pred_obj_score_head")], d, d, 1)?,
            iou_activation: if config.iou_prediction_use_sigmoid { Activation::Sigmoid } else { Activation::None },
        })
    }

    /// Decodes the prompts in `a` on the features of `images`. The tensors of `a` have exactly the sizes of this batch.
    pub fn run(&self, b: &B, a: &Acts<'_>, prompts: &PromptEncoder<B>, images: &Features<'_>, selection: Selection) {
        let (p, d) = (a.tokens.dim(0), a.tokens.dim(2));
        let (n, side) = (images.embed.dim(0), images.embed.dim(1));
        let embed = images.embed.view(&[n, side * side, d]);
        if a.mask_input.dim(0) > 0 {
            prompts.embed_masks(b, a.dense, a.mask_input, &a.mask_acts);
            b.probe("dense", a.dense);
        }
        b.add_dense_prompts(a.entries, embed, a.entry_image, a.dense, a.entry_mask, prompts.no_mask.at());
        let (gaussian, labels) = (prompts.gaussian.at(), prompts.labels.at());
        b.embed_points(a.tokens, a.points, a.point_labels, a.lens, self.output_tokens.at(), gaussian, labels);
        b.probe("tokens", a.tokens);

        let position = prompts.dense_position.at();
        let (mut keys, mut source) = (a.entries, a.source);
        for (i, layer) in self.layers.iter().enumerate() {
            layer.run(b, a, i == 0, keys, source, position);
            (keys, source) = (a.keys, a.identity);
        }
        self.final_attn.run(b, a, keys, source, position);
        b.layer_norm(a.queries, a.queries, self.norm_final.at(), Activation::None);
        b.probe("mask_tokens", a.queries.rows_of_each(FIRST_MASK_TOKEN, MASKS));

        let hidden = |n: usize| a.head_hidden.map(|h| h.prefix(&[p, n]));
        let mask_tokens = a.queries.rows_of_each(FIRST_MASK_TOKEN, MASKS);
        self.hyper.run(b, a.hyper.view(&[p, MASKS * d / 8]), mask_tokens, hidden(MASKS * d), Activation::None);
        self.iou_head.run(b, a.iou, a.queries.row_of_each(1), hidden(IOU_HIDDEN), self.iou_activation);
        self.score_head.run(b, a.scores, a.queries.row_of_each(0), hidden(d), Activation::None);
        let (keys, high) = (keys.view(&[p, side, side, d]), (images.high1, images.high0));
        b.upscale_masks(a.masks, keys, a.hyper, high, a.image, &self.dc1, self.dc_norm.at(), &self.dc2);
        b.probe("all_masks", a.masks);
        b.probe("all_ious", a.iou);
        b.probe("object_score_logits", a.scores);
        b.select_masks(a.selected.prefix(&[p, selection.masks()]), a.masks, a.iou, selection);
    }
}

impl<B: Backend> Layer<B> {
    fn load(l: &Loader<'_, B>, name: &str, d: usize) -> Result<Self> {
        let part = |leaf: &str| format!("{name}.{leaf}");
        let norm = |i: usize| l.norm(&part(&format!("norm{i}")), d, TRANSFORMER_EPS);
        Ok(Layer {
            self_attn: SelfAttention::load(l, &part("self_attn"), d)?,
            norm1: norm(1)?,
            read_image: ReadImage::load(l, &part("cross_attn_token_to_image"), d)?,
            norm2: norm(2)?,
            fc1: l.linear(&part("mlp.layers.0"), MLP_DIM, d)?,
            fc2: l.linear(&part("mlp.layers.1"), d, MLP_DIM)?,
            norm3: norm(3)?,
            read_tokens: ReadTokens::load(l, &part("cross_attn_image_to_token"), d)?,
            norm4: norm(4)?,
        })
    }

    fn run(&self, b: &B, a: &Acts<'_>, first: bool, keys: Tensor<'_>, source: Tensor<'_>, position: Tensor<'_>) {
        self.self_attn.run(b, a, first);
        b.layer_norm(a.queries, a.queries, self.norm1.at(), Activation::None);
        self.read_image.run(b, a, keys, source, position);
        b.layer_norm(a.queries, a.queries, self.norm2.at(), Activation::None);
        b.linear(a.hidden, a.queries.into(), &self.fc1, Epilogue::RELU);
        b.linear(a.queries, a.hidden.into(), &self.fc2, Epilogue::add(a.queries));
        b.layer_norm(a.queries, a.queries, self.norm3.at(), Activation::None);
        self.read_tokens.run(b, a, keys, source, position, &self.norm4);
    }
}

impl<B: Backend> SelfAttention<B> {
    fn load(l: &Loader<'_, B>, name: &str, d: usize) -> Result<Self> {
        let part = |leaf: &str, shape: &[usize]| l.values(&format!("{name}.{leaf}"), shape);
        let w = join(vec![part("q_proj.weight", &[d, d])?, part("k_proj.weight", &[d, d])?])?;
        let bias = join(vec![part("q_proj.bias", &[d])?, part("k_proj.bias", &[d])?])?;
        Ok(SelfAttention {
            qk: l.linear_of(&w, &bias, 1, 2 * d, d)?,
            v: l.linear(&format!("{name}.v_proj"), d, d)?,
            out: l.linear(&format!("{name}.out_proj"), d, d)?,
        })
    }

    /// Runs self-attention. In the first layer, the tokens have no position encoding and there is no residual.
    fn run(&self, b: &B, a: &Acts<'_>, first: bool) {
        let d = a.tokens.cols();
        let x = if first { a.tokens } else { a.queries };
        let positioned = if first { x.into() } else { Input::sum(x, a.tokens) };
        b.linear(a.qk, positioned, &self.qk, Epilogue::NONE);
        b.linear(a.v, x.into(), &self.v, Epilogue::NONE);
        b.token_attention(a.attended, a.qk.columns(0, d), a.qk.columns(d, d), a.v, DECODER_HEADS, a.lens);
        let residual = if first { Epilogue::NONE } else { Epilogue::add(a.queries) };
        b.linear(a.queries, a.attended.into(), &self.out, residual);
    }
}

/// Returns the scale of an attention with the image over `d` channels: 1 / sqrt(width of a head).
fn scale(d: usize) -> f32 {
    1.0 / ((d / 2 / DECODER_HEADS) as f32).sqrt()
}

/// Transposes the rows of each head: (heads * width, d) to (heads, d, width).
fn transposed_heads<B: Backend>(l: &Loader<'_, B>, w: &[f32], d: usize) -> Result<B::Linear> {
    let width = d / 2 / DECODER_HEADS;
    let from = |i: usize| (i / (d * width) * width + i % width) * d + i / width % d;
    let w = l.derive(|| try_from_fn(DECODER_HEADS * d * width, "weights", |i| w[from(i)]))?;
    l.linear_of(&w, &[], DECODER_HEADS, d, width)
}

impl<B: Backend> ReadImage<B> {
    fn load(l: &Loader<'_, B>, name: &str, d: usize) -> Result<Self> {
        let part = |leaf: &str, shape: &[usize]| l.values(&format!("{name}.{leaf}"), shape);
        let k = part("k_proj.weight", &[d / 2, d])?;
        part("k_proj.bias", &[d / 2])?; // adds the same to every score of a softmax
        let (v, v_bias) = (part("v_proj.weight", &[d / 2, d])?, part("v_proj.bias", &[d / 2])?);
        Ok(ReadImage {
            q: l.linear(&format!("{name}.q_proj"), d / 2, d)?,
            to_image: transposed_heads(l, &k, d)?,
            from_image: l.linear_of(&v, &v_bias, DECODER_HEADS, d / 2 / DECODER_HEADS, d)?,
            out: l.linear(&format!("{name}.out_proj"), d, d / 2)?,
        })
    }

    fn run(&self, b: &B, a: &Acts<'_>, keys: Tensor<'_>, source: Tensor<'_>, position: Tensor<'_>) {
        let [p, t, heads, d] = *a.wide[0].dims() else { unreachable!("carved with four dimensions") };
        let [q, answer] = a.wide;
        b.linear(a.narrow[0], Input::sum(a.queries, a.tokens), &self.q, Epilogue::NONE);
        b.linear(q.view(&[p, t, heads * d]), a.narrow[0].into(), &self.to_image, Epilogue::NONE);
        let by_head = [p, t * heads, d];
        b.attend_image(answer.view(&by_head), q.view(&by_head), keys, source, position, scale(d));
        b.linear(a.narrow[1], answer.view(&[p, t, heads * d]).into(), &self.from_image, Epilogue::NONE);
        b.linear(a.queries, a.narrow[1].into(), &self.out, Epilogue::add(a.queries));
    }
}

impl<B: Backend> ReadTokens<B> {
    fn load(l: &Loader<'_, B>, name: &str, d: usize) -> Result<Self> {
        let part = |leaf: &str, shape: &[usize]| l.values(&format!("{name}.{leaf}"), shape);
        let width = d / 2 / DECODER_HEADS;
        let (q, q_bias) = (part("q_proj.weight", &[d / 2, d])?, part("q_proj.bias", &[d / 2])?);
        let out = part("out_proj.weight", &[d, d / 2])?;
        // (d, heads * width) to (heads, d, width)
        let from = |i: usize| i / width % d * (d / 2) + i / (d * width) * width + i % width;
        let out = l.derive(|| try_from_fn(DECODER_HEADS * d * width, "weights", |i| out[from(i)]))?;
        Ok(ReadTokens {
            k: l.linear(&format!("{name}.k_proj"), d / 2, d)?,
            v: l.linear(&format!("{name}.v_proj"), d / 2, d)?,
            k_to_image: transposed_heads(l, &q, d)?,
            score_bias: l.linear_of(&q_bias, &[], DECODER_HEADS, 1, width)?,
            v_to_image: l.linear_of(&out, &[], DECODER_HEADS, d, width)?,
            bias: l.tensor(&format!("{name}.out_proj.bias"), &[d], &[d])?,
        })
    }

    fn run(
        &self,
        b: &B,
        a: &Acts<'_>,
        keys: Tensor<'_>,
        source: Tensor<'_>,
        position: Tensor<'_>,
        norm: &LayerNorm<B>,
    ) {
        let [p, t, heads, d] = *a.wide[0].dims() else { unreachable!("carved with four dimensions") };
        let ([k, v], by_head) = (a.wide, [p, t, heads * d]);
        b.linear(a.narrow[0], Input::sum(a.queries, a.tokens), &self.k, Epilogue::NONE);
        b.linear(a.narrow[1], a.queries.into(), &self.v, Epilogue::NONE);
        b.linear(k.view(&by_head), a.narrow[0].into(), &self.k_to_image, Epilogue::NONE);
        b.linear(a.score_bias, a.narrow[0].into(), &self.score_bias, Epilogue::NONE);
        b.linear(v.view(&by_head), a.narrow[1].into(), &self.v_to_image, Epilogue::NONE);
        let (bias, norm) = (self.bias.at(), norm.at());
        let tokens = TokenAttention { k, score_bias: a.score_bias, v, bias, norm, lens: a.lens, scale: scale(d) };
        b.update_image(a.keys, keys, source, position, tokens);
    }
}

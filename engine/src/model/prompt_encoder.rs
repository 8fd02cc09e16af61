//! The prompt encoder: converts points and boxes to tokens, and masks to a map.

use super::layers::{EPS, LayerNorm, Loader, Param, join};
use super::position::dense_position;
use crate::backend::arena::Carver;
use crate::backend::tensor::{DType, Tensor};
use crate::backend::{Activation, Backend, Conv, Epilogue};
use crate::error::Result;
use crate::model::config::Config;

/// The number of channels between the convolutions of a mask prompt.
const MASK_CHANS: usize = 16;

/// The embeddings of prompts.
pub struct PromptEncoder<B: Backend> {
    /// (2, d/2): the random frequencies.
    pub gaussian: Param<B>,
    /// (5, d): the embeddings of no point, of a point off and on the object, and of the two corners of a box.
    pub labels: Param<B>,
    /// (d): the embedding of a prompt without a mask.
    pub no_mask: Param<B>,
    /// (hw, d): the Fourier features of every cell of the embedding.
    pub dense_position: Param<B>,
    conv1: Conv<B::Linear>,
    norm1: LayerNorm<B>,
    conv2: Conv<B::Linear>,
    norm2: LayerNorm<B>,
    conv3: B::Linear,
}

/// Scratch tensors for mask prompts.
pub struct MaskActs<'a> {
    /// (m, 2h, 2w, 4)
    half: Tensor<'a>,
    /// (m, h, w, 16)
    quarter: Tensor<'a>,
}

impl<'a> MaskActs<'a> {
    /// Allocates the tensors for `masks` mask prompts.
    pub fn carve(c: &mut Carver<'a>, config: &Config, masks: usize) -> Self {
        let h = config.embed_side();
        MaskActs {
            half: c.take(DType::F32, &[masks, 2 * h, 2 * h, MASK_CHANS / 4]),
            quarter: c.take(DType::F32, &[masks, h, h, MASK_CHANS]),
        }
    }
}

impl<B: Backend> PromptEncoder<B> {
    /// Loads the weights.
    pub fn load(l: &Loader<'_, B>, config: &Config) -> Result<Self> {
        let l = &l.in_f32();
        let (d, side) = (config.d_model, config.embed_side());
        let name = |leaf: &str| format!("sam_prompt_encoder.{leaf}");
        let gaussian = l.values(&name("pe_layer.positional_encoding_gaussian_matrix"), &[2, d / 2])?;
        let dense = l.derive(|| dense_position(&gaussian, side))?;
        let mut labels = vec![l.values(&name("not_a_point_embed.weight"), &[1, d])?];
        for i in 0..4 {
            labels.push(l.values(&name(&format!("point_embeddings.{i}.weight")), &[1, d])?);
        }
        let (c1, c2) = (MASK_CHANS / 4, MASK_CHANS);
        Ok(PromptEncoder {
            gaussian: l.param(&gaussian, &[2, d / 2])?,
            labels: l.param(&join(labels)?, &[5, d])?,
            no_mask: l.tensor(&name("no_mask_embed.weight"), &[1, d], &[d])?,
            dense_position: l.param(&dense, &[side * side, d])?,
            conv1: l.conv(&name("mask_downscaling.0"), c1, 1, 2, 2, 0)?,
            norm1: l.norm(&name("mask_downscaling.1"), c1, EPS)?,
            conv2: l.conv(&name("mask_downscaling.3"), c2, c1, 2, 2, 0)?,
            norm2: l.norm(&name("mask_downscaling.4"), c2, EPS)?,
            conv3: l.pointwise(&name("mask_downscaling.6"), d, c2)?,
        })
    }

    /// Computes `out` (m, hw, d) from mask prompts `masks` (m, 4h, 4w, 1).
    pub fn embed_masks(&self, b: &B, out: Tensor<'_>, masks: Tensor<'_>, a: &MaskActs<'_>) {
        let (m, h) = (masks.dim(0), masks.dim(1) / 4);
        let half = a.half.prefix(&[m, 2 * h, 2 * h, MASK_CHANS / 4]);
        let quarter = a.quarter.prefix(&[m, h, h, MASK_CHANS]);
        b.conv2d(half, masks, &self.conv1, Epilogue::NONE);
        b.layer_norm(half, half, self.norm1.at(), Activation::Gelu);
        b.conv2d(quarter, half, &self.conv2, Epilogue::NONE);
        b.layer_norm(quarter, quarter, self.norm2.at(), Activation::Gelu);
        b.linear(out, quarter.into(), &self.conv3, Epilogue::NONE);
    }
}

//! The part of a model for tracking: how memories and pointers are computed and how they are read.

use super::layers::{Loader, Mlp3, Param};
use super::memory_attention::{self, MemoryAttention, pointer_tokens};
use super::memory_encoder::MemoryEncoder;
use super::position::sine_position;
use crate::backend::tensor::Tensor;
use crate::backend::{Absent, Activation, Backend, Bank, Conv, Epilogue};
use crate::error::Result;
use crate::memory::try_zeros;
use crate::model::config::Config;

/// The weights that only tracking uses.
pub struct Tracking<B: Backend> {
    /// The attention of features to memories.
    pub attention: MemoryAttention<B>,
    /// Computes memories from masks.
    pub encoder: MemoryEncoder<B>,
    pointer: PointerProjection<B>,
    /// `(mem_dim, d)`: projects the sines of a distance in time, which are added to the tokens of a pointer.
    pub pointer_time: Option<B::Linear>,
    /// (d): the pointer of an object that is not visible.
    pub no_obj_ptr: Param<B>,
    /// `(mem_dim)`: added to the memory of an object that is not visible. Zeros if the model adds nothing.
    pub no_obj_embed_spatial: Param<B>,
    /// `(num_maskmem, mem_dim)`
    time: Param<B>,
    /// `(hw, mem_dim)`
    space: Param<B>,
    /// Converts a mask to a mask prompt, for its pointer.
    pub mask_downsample: Conv<B::Linear>,
}

enum PointerProjection<B: Backend> {
    Mlp(Mlp3<B>),
    Linear(B::Linear),
}

impl<B: Backend> Tracking<B> {
    /// Loads the weights.
    pub fn load(l: &Loader<'_, B>, config: &Config) -> Result<Self> {
        let (d, m, side) = (config.d_model, &config.memory, config.embed_side());
        let (f32s, tokens) = (&l.in_f32(), &l.of_tokens());
        let space = l.derive(|| sine_position(m.mem_dim, side))?;
        // In the published models but read by none of their ways.
        l.values("no_mem_pos_enc", &[1, 1, d])?;
        let no_obj_embed_spatial = if m.no_obj_embed_spatial {
            l.tensor("no_obj_embed_spatial", &[1, m.mem_dim], &[m.mem_dim])?
        } else {
            l.param(&try_zeros(m.mem_dim, "weights")?, &[m.mem_dim])?
        };
        Ok(Tracking {
            attention: MemoryAttention::load(l, config)?,
            encoder: MemoryEncoder::load(l, config)?,
            pointer: if m.use_mlp_for_obj_ptr_proj {
                PointerProjection::Mlp(Mlp3::load(tokens, &["obj_ptr_proj".into()], d, d, d)?)
            } else {
                PointerProjection::Linear(tokens.linear("obj_ptr_proj", d, d)?)
            },
            pointer_time: if m.add_tpos_enc_to_obj_ptrs && m.proj_tpos_enc_in_obj_ptrs {
                Some(tokens.linear("obj_ptr_tpos_proj", m.mem_dim, d)?)
            } else {
                None
            },
            no_obj_ptr: l.tensor("no_obj_ptr", &[1, d], &[d])?,
            no_obj_embed_spatial,
            time: l.tensor("maskmem_tpos_enc", &[m.num_maskmem, 1, 1, m.mem_dim], &[m.num_maskmem, m.mem_dim])?,
            space: l.param(&space, &[side * side, m.mem_dim])?,
            mask_downsample: f32s.conv("mask_downsample", 1, 1, 4, 4, 0)?,
        })
    }

    /// Returns a bank with this model's encodings: `maps` `(slots, hw, mem_dim)`, `pointers` (slots, d).
    pub fn bank<'a>(&'a self, maps: Tensor<'a>, pointers: Tensor<'a>, config: &Config) -> Bank<'a> {
        let parts = pointer_tokens(config);
        let pointers = pointers.view(&[pointers.dim(0), parts, config.memory.mem_dim]);
        Bank { maps, pointers, space: self.space.at(), time: self.time.at() }
    }

    /// Returns all pointers (slots, d) of a bank, in the shape in which they are stored.
    pub fn pointers<'a>(&self, pointers: Tensor<'a>) -> Tensor<'a> {
        pointers.view(&[pointers.dim(0), 1, pointers.cols()])
    }

    /// Returns the values that are written for the pointers of objects that are not visible according to their `scores`
    /// (p).
    pub fn absent<'a>(&'a self, scores: Tensor<'a>, config: &Config) -> Absent<'a> {
        Absent { scores, vector: self.no_obj_ptr.at(), replace: config.memory.fixed_no_obj_ptr }
    }

    /// Computes the temporal encoding of every pointer of a batch.
    pub fn encode_pointer_times(&self, b: &B, a: &memory_attention::Acts<'_>) {
        if let Some(linear) = self.pointer_time.as_ref().filter(|_| !a.pointer_sines.is_empty()) {
            b.linear(a.pointer_times, a.pointer_sines.into(), linear, Epilogue::NONE);
        }
    }

    /// Computes `out` (p, d), the pointers of the mask tokens `tokens` (p, d). `hidden` are two scratch tensors of that
    /// size.
    pub fn point(&self, b: &B, out: Tensor<'_>, tokens: Tensor<'_>, hidden: [Tensor<'_>; 2]) {
        match &self.pointer {
            PointerProjection::Mlp(mlp) => mlp.run(b, out, tokens, hidden, Activation::None),
            PointerProjection::Linear(linear) => b.linear(out, tokens.into(), linear, Epilogue::NONE),
        }
    }
}

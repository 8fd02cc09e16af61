//! The tensors of a batch of objects.

use crate::backend::Backend;
use crate::backend::arena::Carver;
use crate::backend::tensor::{DType, Tensor};
use crate::model::Network;
use crate::model::mask_decoder::{self, Batch};
use crate::model::memory_attention::{self, Memories};
use crate::model::memory_encoder;

/// The sizes of a batch's tensors.
#[derive(Clone, Copy)]
pub(super) struct StepSize {
    pub batch: Batch,
    /// The room for memories. `None` if the frame is the first of every object.
    pub memories: Option<Memories>,
    /// Whether a mask of the model's input size is given.
    pub mask: bool,
    /// Whether the memories of the frame are encoded.
    pub encode_memory: bool,
}

/// Scratch tensors of a batch of p objects.
pub(super) struct StepActs<'a> {
    pub memory: Option<memory_attention::Acts<'a>>,
    pub decoder: mask_decoder::Acts<'a>,
    /// (p, side, side, d): the frame's embedding, conditioned on each object's memories.
    pub conditioned: Tensor<'a>,
    /// (p, d)
    pub token: Tensor<'a>,
    /// (p, 1, d)
    pub pointer: Tensor<'a>,
    pub hidden: [Tensor<'a>; 2],
    /// (p) i32: the slots of the new pointers.
    pub pointer_slots: Tensor<'a>,
    /// (p) i32: the slots of the new masks.
    pub mask_slots: Tensor<'a>,
    /// (1): the score of an object that is not visible.
    pub absent_score: Tensor<'a>,
    /// (1, S, S, 1): a mask given by the caller.
    pub mask: Tensor<'a>,
    /// `(p, 1, mask_side, mask_side)`: the masks, with holes filled.
    pub low_res: Tensor<'a>,
    /// `(p, 1, mask_side, mask_side)` i32
    pub regions: [Tensor<'a>; 2],
    pub memory_encoder: Option<MemoryEncodeActs<'a>>,
}

impl<'a> StepActs<'a> {
    pub fn carve<B: Backend>(c: &mut Carver<'a>, net: &Network<B>, size: StepSize) -> Self {
        let (config, p) = (&net.config, size.batch.prompts);
        let (d, side, s, low) = (config.d_model, config.embed_side(), config.image_size, config.mask_side());
        StepActs {
            memory: size.memories.map(|memories| memory_attention::Acts::carve(c, config, net.policy, memories)),
            decoder: mask_decoder::Acts::carve(c, config, net.policy, size.batch),
            conditioned: c.take(net.policy.activations, &[p, side, side, d]),
            token: c.take(DType::F32, &[p, d]),
            pointer: c.take(DType::F32, &[p, 1, d]),
            hidden: [0, 1].map(|_| c.take(DType::F32, &[p, d])),
            pointer_slots: c.take(DType::I32, &[p]),
            mask_slots: c.take(DType::I32, &[p]),
            absent_score: c.take(DType::F32, &[1]),
            mask: c.take(DType::F32, &[size.mask as usize, s, s, 1]),
            low_res: c.take(DType::F32, &[p, 1, low, low]),
            regions: [0, 1].map(|_| c.take(DType::I32, &[p, 1, low, low])),
            memory_encoder: size.encode_memory.then(|| MemoryEncodeActs::carve(c, net, p)),
        }
    }
}

/// Scratch tensors for encoding the memories of p objects.
pub(super) struct MemoryEncodeActs<'a> {
    pub encoder: memory_encoder::Acts<'a>,
    /// (p) i32: whether the mask is made binary before its memory is encoded.
    pub binary: Tensor<'a>,
    /// (p) i32: slots of the new memories.
    pub slots: Tensor<'a>,
}

impl<'a> MemoryEncodeActs<'a> {
    pub fn carve<B: Backend>(c: &mut Carver<'a>, net: &Network<B>, p: usize) -> Self {
        MemoryEncodeActs {
            encoder: memory_encoder::Acts::carve(c, &net.config, net.policy, p),
            binary: c.take(DType::I32, &[p]),
            slots: c.take(DType::I32, &[p]),
        }
    }
}

/// Scratch tensors for encoding the memory of a mask in the bank.
pub(super) struct StoredMaskActs<'a> {
    pub memory: MemoryEncodeActs<'a>,
    /// (1) i32: the slot of the mask.
    pub mask: Tensor<'a>,
    /// (1)
    pub score: Tensor<'a>,
}

impl<'a> StoredMaskActs<'a> {
    pub fn carve<B: Backend>(c: &mut Carver<'a>, net: &Network<B>) -> Self {
        StoredMaskActs {
            memory: MemoryEncodeActs::carve(c, net, 1),
            mask: c.take(DType::I32, &[1]),
            score: c.take(DType::F32, &[1]),
        }
    }
}

/// The tensors of masks that are written and measured.
pub(super) struct OutputActs<'a> {
    /// (masks) i32: the slot of each mask.
    pub slots: Tensor<'a>,
    /// (masks) i32: the id of each object, for label maps of ids.
    pub ids: Tensor<'a>,
    /// (masks, 7) i32
    pub measures: Tensor<'a>,
}

impl<'a> OutputActs<'a> {
    pub fn carve(c: &mut Carver<'a>, masks: usize) -> Self {
        let [slots, ids] = [0; 2].map(|_| c.take(DType::I32, &[masks]));
        OutputActs { slots, ids, measures: c.take(DType::I32, &[masks, 7]) }
    }
}

//! One batch of objects on the current frame: the work of the device, stage by stage.

use super::acts::{MemoryEncodeActs, StepActs};
use super::worker::{ObjectStep, StepOptions, StepPrompt};
use crate::backend::tensor::Tensor;
use crate::backend::{Absent, Backend, Cleaning, Epilogue, Selection};
use crate::model::Network;
use crate::model::image_encoder::Features;
use crate::model::mask_decoder::FIRST_MASK_TOKEN;
use crate::model::tracking::Tracking;
use crate::session::queue::floats;

/// The logit of a filled hole.
const FILLED: f32 = 0.1;

/// A batch whose tables are on the device.
pub(super) struct StepBatch<'a, B: Backend> {
    pub net: &'a Network<B>,
    pub tracking: &'a Tracking<B>,
    pub acts: StepActs<'a>,
    /// The current frame.
    pub frame: Features<'a>,
    /// The bank's memories, pointers and masks.
    pub bank: [Tensor<'a>; 3],
    pub options: StepOptions,
    /// Whether a mask is the prompt. The pointer is then decoded from the frame without memories.
    pub mask_given: bool,
}

impl<B: Backend> StepBatch<'_, B> {
    fn objects(&self) -> usize {
        self.acts.token.dim(0)
    }

    /// Returns (p, 1) i32: the mask that was chosen for each object.
    fn selected(&self) -> Tensor<'_> {
        self.acts.decoder.selected.prefix(&[self.objects(), 1])
    }

    /// Returns (p): the scores of the objects.
    fn scores(&self) -> Tensor<'_> {
        self.acts.decoder.scores.view(&[self.objects()])
    }

    /// Conditions the embedding of the frame on the memories of each object.
    pub fn attend_memories(&self, b: &B) {
        let (a, net, tracking) = (&self.acts, self.net, self.tracking);
        let [maps, pointers, _] = self.bank;
        match &a.memory {
            Some(memory) => {
                tracking.encode_pointer_times(b, memory);
                let bank = tracking.bank(maps, pointers, &net.config);
                tracking.attention.run(b, a.conditioned, self.frame.embed, memory, bank);
            }
            None => (0..self.objects())
                .for_each(|i| b.add_vector(a.conditioned.slice(i, 1), self.frame.embed, net.no_mem_embed.at())),
        }
        b.probe("pix_feat_with_mem", a.conditioned);
    }

    /// Decodes masks, scores and pointers.
    pub fn decode(&self, b: &B) {
        let (a, net, tracking, config) = (&self.acts, self.net, self.tracking, &self.net.config);
        let (p, selection) = (self.objects(), self.options.selection);
        let embed = if self.mask_given { self.frame.embed } else { a.conditioned };
        let features = Features { embed, high1: self.frame.high1, high0: self.frame.high0 };
        net.mask_decoder.run(b, &a.decoder, &net.prompt_encoder, &features, selection);
        // Pointers come from the token of the chosen mask, or from that of the single mask.
        let best = selection == Selection::Best && config.memory.use_multimask_token_for_obj_ptr;
        let rows = if best { self.selected() } else { a.decoder.image };
        b.gather_rows(a.token, a.decoder.tokens_out(), FIRST_MASK_TOKEN, rows);
        tracking.point(b, a.pointer.view(&[p, config.d_model]), a.token, a.hidden);
        let absent = tracking.absent(self.scores(), config);
        b.write_bank_slots(tracking.pointers(self.bank[1]), a.pointer, a.pointer_slots, Some(absent));
        b.mask_absent_objects(a.decoder.masks, self.scores());
    }

    /// Encodes the memories of the frame, if the options require it.
    pub fn encode_memories(&self, b: &B) {
        if let Some(acts) = &self.acts.memory_encoder {
            let selected = self.acts.decoder.selected.prefix(&[self.objects()]);
            let masks = MemoryMasks { masks: self.acts.decoder.masks, selected, scores: self.scores() };
            encode_memories(b, self.net, self.tracking, acts, masks, self.frame.embed, self.bank[0]);
        }
    }

    /// Replaces decoded results. If a mask is given, it replaces the decoded masks. If an object is not visible, its
    /// pointer is replaced by the pointer of an object that is not visible.
    pub fn replace_given(&self, b: &B, steps: &[ObjectStep<'_>]) {
        let (a, tracking, low) = (&self.acts, self.tracking, self.net.config.mask_side());
        if self.mask_given {
            b.upload(a.absent_score, floats(&[-1.0]));
        }
        for (i, step) in steps.iter().enumerate() {
            if step.absent {
                let (pointer, slot) = (a.pointer.slice(i, 1), a.pointer_slots.columns(i, 1));
                let absent = tracking.absent(a.absent_score, &self.net.config);
                b.write_bank_slots(tracking.pointers(self.bank[1]), pointer, slot, Some(absent));
            }
            if let StepPrompt::Mask(_, logits) = step.prompt {
                let all = a.decoder.masks.slice(i, 1).view(&[4, low, low]);
                (0..4).for_each(|k| b.upload(all.slice(k, 1), floats(logits)));
            }
        }
    }

    /// Fills the holes of the chosen masks, and writes the masks to the bank.
    pub fn store_masks(&self, b: &B) {
        let (a, masks) = (&self.acts, self.bank[2]);
        let cleaning = Cleaning { threshold: 0.0, hole: self.options.fill_hole_area, sprinkle: 0.0, margin: FILLED };
        b.clean_masks(a.low_res, a.decoder.masks, self.selected(), a.regions[0], a.regions[1], cleaning);
        let low_res = a.low_res.view(&[self.objects(), masks.dim(1), masks.dim(2)]);
        b.write_bank_slots(masks, low_res, a.mask_slots, None);
    }

    /// Copies mask prompts to the device.
    pub fn upload_masks(&self, b: &B, steps: &[ObjectStep<'_>]) {
        let (a, mut next) = (&self.acts, 0);
        for step in steps {
            match step.prompt {
                StepPrompt::Points(_, Some(logits)) => b.upload(a.decoder.mask_input.slice(next, 1), floats(logits)),
                StepPrompt::Mask(mask, _) => {
                    b.upload(a.mask, floats(mask));
                    let input = a.decoder.mask_input.slice(next, 1);
                    b.conv2d(input, a.mask, &self.tracking.mask_downsample, Epilogue::NONE);
                }
                _ => continue,
            }
            next += 1;
        }
    }
}

/// The masks whose memories are encoded.
pub(super) struct MemoryMasks<'a> {
    /// (p, n, h, w)
    pub masks: Tensor<'a>,
    /// (p) i32: the mask of each object.
    pub selected: Tensor<'a>,
    /// (p)
    pub scores: Tensor<'a>,
}

/// Encodes the memories of masks on a frame into their slots of `maps`.
pub(super) fn encode_memories<B: Backend>(
    b: &B,
    net: &Network<B>,
    tracking: &Tracking<B>,
    a: &MemoryEncodeActs<'_>,
    masks: MemoryMasks<'_>,
    frame: Tensor<'_>,
    maps: Tensor<'_>,
) {
    let m = &net.config.memory;
    let (scale, bias) = (m.sigmoid_scale_for_mem_enc, m.sigmoid_bias_for_mem_enc);
    b.memory_mask(a.encoder.mask, masks.masks, masks.selected, a.binary, scale, bias);
    b.probe("mask_for_mem", a.encoder.mask);
    tracking.encoder.run(b, &a.encoder, frame);
    b.probe("maskmem", a.encoder.out);
    // The bank keeps memories in bf16, as the reference does in every precision.
    let absent = Absent { scores: masks.scores, vector: tracking.no_obj_embed_spatial.at(), replace: false };
    b.write_bank_slots(maps, a.encoder.out, a.slots, Some(absent));
}

//! What one pass over some objects needs on the device: scratch memory, and the tables that its kernels read.

use super::bank::Bank;
use super::worker::{Past, Seen, Step};
use crate::arena::Carver;
use crate::backend::{Absent, Backend, Epilogue};
use crate::config::Config;
use crate::model::Network;
use crate::model::mask_decoder::{self, Batch, OUTPUT_TOKENS};
use crate::model::memory_attention::{self, Memories};
use crate::model::memory_encoder;
use crate::model::position::time_sines;
use crate::model::tracking::Tracking;
use crate::tensor::{DType, Tensor};

/// Scratch of a step.
pub(super) struct StepActs<'a> {
    pub memory: Option<memory_attention::Acts<'a>>,
    pub decoder: mask_decoder::Acts<'a>,
    /// (p, side, side, d): the frame as each object sees it.
    pub seen: Tensor<'a>,
    /// (p, d)
    pub token: Tensor<'a>,
    /// (p, 1, d)
    pub pointer: Tensor<'a>,
    pub hidden: [Tensor<'a>; 2],
    /// (p) i32: slots of the pointers that come out.
    pub pointer_slots: Tensor<'a>,
    /// (1): the score of an object that is not there.
    pub unseen: Tensor<'a>,
    /// (1, S, S, 1): a mask given by the caller.
    pub mask: Tensor<'a>,
    /// (p, 1, mask_side, mask_side): the masks, with holes filled.
    pub low: Tensor<'a>,
    /// (p, 1, mask_side, mask_side) i32
    pub regions: [Tensor<'a>; 2],
    pub remember: Option<RememberActs<'a>>,
}

impl<'a> StepActs<'a> {
    pub fn carve<B: Backend>(
        c: &mut Carver<'a>,
        net: &Network<B>,
        batch: Batch,
        past: Option<Memories>,
        mask: bool,
        remember: bool,
    ) -> Self {
        let (config, p) = (&net.config, batch.prompts);
        let (d, side, s, low) = (config.d_model, config.embed_side(), config.image_size, config.mask_side());
        StepActs {
            memory: past.map(|size| memory_attention::Acts::carve(c, config, net.policy, size)),
            decoder: mask_decoder::Acts::carve(c, config, net.policy, batch),
            seen: c.take(net.policy.activations, &[p, side, side, d]),
            token: c.take(DType::F32, &[p, d]),
            pointer: c.take(DType::F32, &[p, 1, d]),
            hidden: [0, 1].map(|_| c.take(DType::F32, &[p, d])),
            pointer_slots: c.take(DType::I32, &[p]),
            unseen: c.take(DType::F32, &[1]),
            mask: c.take(DType::F32, &[mask as usize, s, s, 1]),
            low: c.take(DType::F32, &[p, 1, low, low]),
            regions: [0, 1].map(|_| c.take(DType::I32, &[p, 1, low, low])),
            remember: remember.then(|| RememberActs::carve(c, net, p)),
        }
    }
}

/// Scratch for remembering.
pub(super) struct RememberActs<'a> {
    pub encoder: memory_encoder::Acts<'a>,
    /// (p) i32
    pub binary: Tensor<'a>,
    /// (p) i32: slots of the memories that come out.
    pub slots: Tensor<'a>,
}

impl<'a> RememberActs<'a> {
    pub fn carve<B: Backend>(c: &mut Carver<'a>, net: &Network<B>, p: usize) -> Self {
        RememberActs {
            encoder: memory_encoder::Acts::carve(c, &net.config, net.policy, p),
            binary: c.take(DType::I32, &[p]),
            slots: c.take(DType::I32, &[p]),
        }
    }
}

/// Scratch for remembering what the host has.
pub(super) struct GivenActs<'a> {
    pub remember: RememberActs<'a>,
    /// (p, 1, mask_side, mask_side)
    pub masks: Tensor<'a>,
    /// (p) i32: 0.
    pub selected: Tensor<'a>,
    /// (p)
    pub scores: Tensor<'a>,
}

impl<'a> GivenActs<'a> {
    pub fn carve<B: Backend>(c: &mut Carver<'a>, net: &Network<B>, p: usize) -> Self {
        let side = net.config.mask_side();
        GivenActs {
            remember: RememberActs::carve(c, net, p),
            masks: c.take(DType::F32, &[p, 1, side, side]),
            selected: c.take(DType::I32, &[p]),
            scores: c.take(DType::F32, &[p]),
        }
    }
}

/// How many masks are shown, and how many there are: all that were found, and others.
#[derive(Clone, Copy)]
pub(super) struct ShownSize {
    pub planes: usize,
    pub shown: usize,
}

/// The masks to be shown, those that were found first.
pub(super) struct ShownActs<'a> {
    /// (planes, 1, mask_side, mask_side)
    pub masks: Tensor<'a>,
    /// (shown) i32: which of the masks each is.
    pub order: Tensor<'a>,
    /// (shown, 7) i32
    pub measures: Tensor<'a>,
}

impl<'a> ShownActs<'a> {
    pub fn carve(c: &mut Carver<'a>, config: &Config, size: ShownSize) -> Self {
        let side = config.mask_side();
        ShownActs {
            masks: c.take(DType::F32, &[size.planes, 1, side, side]),
            order: c.take(DType::I32, &[size.shown]),
            measures: c.take(DType::I32, &[size.shown, 7]),
        }
    }
}

/// Integers as bytes of a tensor.
pub(super) fn ints(values: &[i32]) -> &[u8] {
    bytemuck::cast_slice(values)
}

/// Floats as bytes of a tensor.
pub(super) fn floats(values: &[f32]) -> &[u8] {
    bytemuck::cast_slice(values)
}

/// The pasts of a batch as the tables that kernels read; `maps` are the places of all their memories in turn.
pub(super) fn upload_past<B: Backend>(
    b: &B,
    config: &Config,
    tracking: &Tracking<B>,
    a: &memory_attention::Acts<'_>,
    pasts: &[&Past],
    size: Memories,
    places: &[i32],
    bank: &Bank<B>,
) {
    let p = size.objects;
    let (hw, m) = (config.embed_side() * config.embed_side(), &config.memory);
    let parts = memory_attention::pointer_tokens(config);
    let (mut counts, mut maps, mut times, mut pointers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut spatial, mut lens) = (Vec::new(), Vec::new());
    let width = if tracking.pointer_time.is_some() { config.d_model } else { m.mem_dim };
    let mut sines = vec![0.0; p * size.pointers * width];
    let mut places = places.iter();
    for (i, past) in pasts.iter().enumerate() {
        let (frames, pointing) = (past.frames.len(), past.pointers.len());
        counts.extend([frames as i32, pointing as i32]);
        maps.extend(places.by_ref().take(frames));
        maps.resize((i + 1) * size.frames, 0);
        times.extend(past.frames.iter().map(|&(_, row)| row as i32));
        times.resize((i + 1) * size.frames, 0);
        pointers.extend(past.pointers.iter().map(|(slot, _)| bank.place(slot)));
        pointers.resize((i + 1) * size.pointers, 0);
        if m.add_tpos_enc_to_obj_ptrs {
            for (j, &(_, distance)) in past.pointers.iter().enumerate() {
                time_sines(distance, &mut sines[(i * size.pointers + j) * width..][..width]);
            }
        }
        spatial.push((frames * hw) as i32);
        lens.push((frames * hw + pointing * parts) as i32);
    }
    b.upload_all(&[
        (a.counts, ints(&counts)),
        (a.maps, ints(&maps)),
        (a.times, ints(&times)),
        (a.pointers, ints(&pointers)),
        (a.all, ints(&vec![hw as i32; p])),
        (a.zeros, ints(&vec![0; p])),
        (a.spatial, ints(&spatial)),
        (a.lens, ints(&lens)),
    ]);
    // Where nothing is projected: the sines themselves, or zeros, or nothing.
    b.upload(if tracking.pointer_time.is_some() { a.pointer_sines } else { a.pointer_times }, floats(&sines));
}

/// The prompts of a batch.
pub(super) fn upload_prompts<B: Backend>(
    b: &B,
    image_size: f32,
    a: &StepActs<'_>,
    steps: &[Step<'_>],
    masks: &[usize],
    pointer_slots: &[i32],
    tracking: &Tracking<B>,
) {
    let (p, decoder) = (steps.len(), &a.decoder);
    let longest = decoder.points.dim(1);
    let unit = |v: f32| (v * image_size + 0.5) / image_size;
    let (mut xy, mut labels, mut lens) = (Vec::new(), Vec::new(), Vec::new());
    for (i, step) in steps.iter().enumerate() {
        if let Seen::Points(points, _) = step.seen {
            for point in points {
                xy.extend([unit(point.x), unit(point.y)]);
                labels.push(point.label);
            }
        }
        xy.resize(2 * (i + 1) * longest, 0.0);
        labels.resize((i + 1) * longest, -1);
        lens.push((OUTPUT_TOKENS + tokens(step)) as i32);
    }
    let order: Vec<i32> = (0..p as i32).collect();
    let entry_mask: Vec<i32> = (0..p).map(|i| masks.iter().position(|&m| m == i).map_or(-1, |m| m as i32)).collect();
    b.upload_all(&[
        (decoder.points, floats(&xy)),
        (decoder.point_labels, ints(&labels)),
        (decoder.lens, ints(&lens)),
        (decoder.image, ints(&vec![0; p])),
        (decoder.source, ints(&order)),
        (decoder.identity, ints(&order)),
        (decoder.entry_image, ints(&order)),
        (decoder.entry_mask, ints(&entry_mask)),
        (a.pointer_slots, ints(pointer_slots)),
    ]);
    for (m, &i) in masks.iter().enumerate() {
        let place = decoder.mask_input.slice(m, 1);
        match steps[i].seen {
            Seen::Points(_, Some(logits)) => b.upload(place, floats(logits)),
            Seen::Mask(mask, _) => {
                b.upload(a.mask, floats(mask));
                b.conv2d(place, a.mask, &tracking.mask_downsample, Epilogue::NONE);
            }
            _ => {}
        }
    }
}

/// Tokens of a step's points and of the padding point after them. Without points these are two padding points.
pub(super) fn tokens(step: &Step<'_>) -> usize {
    match step.seen {
        Seen::Points(points, _) => points.len() + 1,
        _ => 2,
    }
}

/// Memories of the masks `selected[p]` of `masks` (p, n, h, w) into their slots of `maps`.
pub(super) fn memories<B: Backend>(
    b: &B,
    net: &Network<B>,
    tracking: &Tracking<B>,
    a: &RememberActs<'_>,
    masks: Tensor<'_>,
    selected: Tensor<'_>,
    scores: Tensor<'_>,
    frame: Tensor<'_>,
    maps: Tensor<'_>,
) {
    let m = &net.config.memory;
    let (scale, bias) = (m.sigmoid_scale_for_mem_enc, m.sigmoid_bias_for_mem_enc);
    b.memory_mask(a.encoder.mask, masks, selected, a.binary, scale, bias);
    b.probe("mask_for_mem", a.encoder.mask);
    tracking.encoder.run(b, &a.encoder, frame);
    b.probe("maskmem", a.encoder.out);
    // The reference keeps memories in bf16, also in float32.
    let absent = Absent { vector: tracking.no_obj_embed_spatial.at(), replace: false };
    b.remember(maps, a.encoder.out, a.slots, scores, absent);
}

//! A queue on a device with what the objects of one video leave behind: features of the current frame, memories.

use crate::arena::{Arena, Carver};
use crate::backend::{Absent, Backend, Cleaning, Counters, Epilogue, Filter, Probe, Selection};
use crate::config::Config;
use crate::error::{Error, Result, try_zeros};
use crate::frame::{Frame, MaskData, MaskOut};
use crate::model::Network;
use crate::model::image_encoder::{self, Features};
use crate::model::mask_decoder::{self, Batch, FIRST_MASK_TOKEN, OUTPUT_TOKENS};
use crate::model::memory_attention::{self, Memories};
use crate::model::memory_encoder;
use crate::model::position::time_sines;
use crate::model::tracking::Tracking;
use crate::prompt::Point;
use crate::tensor::{DType, Tensor};
use std::sync::{Arc, Mutex, PoisonError};

/// The logit of a hole that was filled.
const FILLED: f32 = 0.1;

/// A place in the bank, given back when the last holder is gone.
#[derive(Clone)]
pub(crate) struct Slot(Arc<SlotInner>);

struct SlotInner {
    index: usize,
    free: Arc<Mutex<Vec<usize>>>,
}

impl Drop for SlotInner {
    fn drop(&mut self) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.index);
    }
}

impl Slot {
    fn index(&self) -> i32 {
        self.0.index as i32
    }
}

/// What an object remembers, as the current frame sees it.
#[derive(Default)]
pub(crate) struct Past {
    /// Memories of frames, each with its row of the encoding of time.
    pub frames: Vec<(Slot, usize)>,
    /// Pointers, each with its distance in time in units of the longest.
    pub pointers: Vec<(Slot, f32)>,
}

/// What is known of an object on the current frame.
pub(crate) enum Seen<'a> {
    /// Nothing but its past.
    Nothing,
    /// Points in units of the picture, and the logits of an earlier mask.
    Points(&'a [Point], Option<&'a [f32]>),
    /// A mask of the model's input size, of zeros and ones.
    Mask(&'a [f32]),
}

/// An object on the current frame, and what came out.
pub(crate) struct Step<'a> {
    /// None: this frame is the object's first.
    pub past: Option<Past>,
    pub seen: Seen<'a>,
    /// The pointer is that of an object that is not there.
    pub absent: bool,
    /// (mask_side, mask_side)
    pub low_res: Vec<f32>,
    pub score: f32,
    pub pointer: Option<Slot>,
}

impl<'a> Step<'a> {
    /// What is to be found.
    pub fn new(past: Option<Past>, seen: Seen<'a>, absent: bool) -> Self {
        Step { past, seen, absent, low_res: Vec::new(), score: 0.0, pointer: None }
    }
}

/// What a predictor asks of a worker, whatever the device.
pub(crate) trait VideoWorker: Send {
    /// Makes a frame the current one.
    fn encode(&mut self, frame: &Frame<'_>) -> Result<()>;
    /// Finds objects on the current frame, all with a past or all without, all with one `selection`.
    fn step(&mut self, steps: &mut [Step<'_>], selection: Selection) -> Result<()>;
    /// Remembers masks (mask_side, mask_side) of the current frame with their scores; with `binary`, their outlines
    /// alone.
    fn remember(&mut self, masks: &[(&[f32], f32)], binary: bool) -> Result<Vec<Slot>>;
    /// Fills holes of up to `area` pixels of a mask (mask_side, mask_side).
    fn fill_holes(&mut self, mask: &mut [f32], area: f32) -> Result<()>;
    /// A mask (mask_side, mask_side) at another size.
    fn resize(&mut self, mask: &[f32], height: usize, width: usize) -> Result<Vec<f32>>;
    fn set_probe(&mut self, probe: Option<Probe>);
    fn counters(&self) -> Counters;
    /// Bytes of device memory held beside the weights.
    fn bytes(&self) -> usize;
}

/// The worker of video predictors on a backend.
pub(crate) struct Tracker<B: Backend> {
    /// First, so that it is dropped first: it waits for work that uses what follows.
    b: B,
    net: Arc<Network<B>>,
    scratch: Arena<B>,
    /// Of the current frame.
    features: Arena<B>,
    /// Memories of frames, then pointers.
    bank: Arena<B>,
    slots: usize,
    free_maps: Arc<Mutex<Vec<usize>>>,
    free_pointers: Arc<Mutex<Vec<usize>>>,
}

/// Scratch of a step.
struct StepActs<'a> {
    memory: Option<memory_attention::Acts<'a>>,
    decoder: mask_decoder::Acts<'a>,
    /// (p, side, side, d): the frame as each object sees it.
    seen: Tensor<'a>,
    /// (p, d)
    token: Tensor<'a>,
    /// (p, 1, d)
    pointer: Tensor<'a>,
    hidden: [Tensor<'a>; 2],
    /// (p) i32: slots of the pointers that come out.
    slots: Tensor<'a>,
    /// (1): the score of an object that is not there.
    unseen: Tensor<'a>,
    /// (1, S, S, 1): a mask given by the caller.
    mask: Tensor<'a>,
}

impl<'a> StepActs<'a> {
    fn carve<B: Backend>(
        c: &mut Carver<'a>,
        net: &Network<B>,
        batch: Batch,
        past: Option<Memories>,
        mask: bool,
    ) -> Self {
        let (config, p) = (&net.config, batch.prompts);
        let (d, side, s) = (config.d_model, config.embed_side(), config.image_size);
        StepActs {
            memory: past.map(|size| memory_attention::Acts::carve(c, config, net.policy, size)),
            decoder: mask_decoder::Acts::carve(c, config, net.policy, batch),
            seen: c.take(net.policy.activations, &[p, side, side, d]),
            token: c.take(DType::F32, &[p, d]),
            pointer: c.take(DType::F32, &[p, 1, d]),
            hidden: [0, 1].map(|_| c.take(DType::F32, &[p, d])),
            slots: c.take(DType::I32, &[p]),
            unseen: c.take(DType::F32, &[1]),
            mask: c.take(DType::F32, &[mask as usize, s, s, 1]),
        }
    }
}

/// Scratch for remembering.
struct RememberActs<'a> {
    encoder: memory_encoder::Acts<'a>,
    /// (p, 1, side, side)
    masks: Tensor<'a>,
    selected: Tensor<'a>,
    binary: Tensor<'a>,
    slots: Tensor<'a>,
    scores: Tensor<'a>,
}

impl<'a> RememberActs<'a> {
    fn carve<B: Backend>(c: &mut Carver<'a>, net: &Network<B>, p: usize) -> Self {
        let side = net.config.mask_side();
        RememberActs {
            encoder: memory_encoder::Acts::carve(c, &net.config, net.policy, p),
            masks: c.take(DType::F32, &[p, 1, side, side]),
            selected: c.take(DType::I32, &[p]),
            binary: c.take(DType::I32, &[p]),
            slots: c.take(DType::I32, &[p]),
            scores: c.take(DType::F32, &[p]),
        }
    }
}

/// The bank's tensors: memories (slots, hw, mem_dim) and pointers (slots, d).
fn carve_bank<'a, B: Backend>(c: &mut Carver<'a>, net: &Network<B>, slots: usize) -> [Tensor<'a>; 2] {
    let (config, hw) = (&net.config, net.config.embed_side() * net.config.embed_side());
    [c.take(DType::F32, &[slots, hw, config.memory.mem_dim]), c.take(DType::F32, &[slots, config.d_model])]
}

impl<B: Backend> Tracker<B> {
    pub fn new(net: Arc<Network<B>>, b: B, guard: bool) -> Self {
        Tracker {
            b,
            net,
            scratch: Arena::new(guard),
            features: Arena::new(guard),
            bank: Arena::new(false),
            slots: 0,
            free_maps: Arc::default(),
            free_pointers: Arc::default(),
        }
    }

    fn tracking(net: &Network<B>) -> Result<&Tracking<B>> {
        net.tracking.as_ref().ok_or_else(|| Error::Internal("a model without tracking".into()))
    }

    /// A free slot of memories or of pointers; the bank grows when there is none.
    fn slot(&mut self, pointer: bool) -> Result<Slot> {
        let free = if pointer { self.free_pointers.clone() } else { self.free_maps.clone() };
        let take = || free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let index = match take() {
            Some(index) => index,
            None => {
                self.grow()?;
                take().ok_or_else(|| Error::Internal("a bank without room".into()))?
            }
        };
        Ok(Slot(Arc::new(SlotInner { index, free })))
    }

    /// Doubles the bank. What is in it goes through the host, once in a while.
    fn grow(&mut self) -> Result<()> {
        let (old, new) = (self.slots, (self.slots * 2).max(16));
        let net = self.net.clone();
        let tensors = carve_bank(&mut self.bank.carve(), &net, old);
        let mut kept = tensors.iter().map(|t| try_zeros::<u8>(t.len() * 4, "memories")).collect::<Result<Vec<_>>>()?;
        // Nothing may fail between here and the wait: the copies go where `kept` is.
        tensors.iter().zip(&mut kept).for_each(|(t, bytes)| self.b.download(bytes, *t));
        self.b.sync()?;
        // Beside the old one, which is not lost if there is no memory for it.
        let mut grown = Arena::new(false);
        grown.reserve(&self.b, "memories of objects", |c| {
            carve_bank(c, &net, new);
        })?;
        for (t, bytes) in carve_bank(&mut grown.carve(), &net, new).iter().zip(&kept) {
            self.b.upload(t.slice(0, old), bytes);
        }
        self.b.sync()?;
        (self.bank, self.slots) = (grown, new);
        for free in [&self.free_maps, &self.free_pointers] {
            free.lock().unwrap_or_else(PoisonError::into_inner).extend((old..new).rev());
        }
        Ok(())
    }
}

/// Integers as bytes of a tensor.
fn ints(values: &[i32]) -> &[u8] {
    bytemuck::cast_slice(values)
}

/// Floats as bytes of a tensor.
fn floats(values: &[f32]) -> &[u8] {
    bytemuck::cast_slice(values)
}

/// The pasts of a batch as the tables that kernels read.
fn upload_past<B: Backend>(
    b: &B,
    config: &Config,
    tracking: &Tracking<B>,
    a: &memory_attention::Acts<'_>,
    pasts: &[&Past],
    size: Memories,
) {
    let p = size.objects;
    let (hw, d, m) = (config.embed_side() * config.embed_side(), config.d_model, &config.memory);
    let parts = memory_attention::pointer_tokens(config);
    let (mut counts, mut maps, mut times, mut pointers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut spatial, mut lens) = (Vec::new(), Vec::new());
    let width = if tracking.pointer_time.is_some() { d } else { m.mem_dim };
    let mut sines = vec![0.0; p * size.pointers * width];
    for (i, past) in pasts.iter().enumerate() {
        let (frames, pointing) = (past.frames.len(), past.pointers.len());
        counts.extend([frames as i32, pointing as i32]);
        maps.extend(past.frames.iter().map(|(slot, _)| slot.index()));
        maps.resize((i + 1) * size.frames, 0);
        times.extend(past.frames.iter().map(|&(_, row)| row as i32));
        times.resize((i + 1) * size.frames, 0);
        pointers.extend(past.pointers.iter().map(|(slot, _)| slot.index()));
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
    match &tracking.pointer_time {
        Some(linear) if size.pointers > 0 => {
            b.upload(a.pointer_sines, floats(&sines));
            b.linear(a.pointer_times, a.pointer_sines.into(), linear, Epilogue::NONE);
        }
        // The sines themselves, or zeros, or nothing.
        _ => b.upload(a.pointer_times, floats(&sines)),
    }
}

impl<B: Backend> VideoWorker for Tracker<B> {
    fn encode(&mut self, frame: &Frame<'_>) -> Result<()> {
        let (net, b) = (&*self.net, &self.b);
        self.features.reserve(b, "features of a frame", |c| {
            Features::carve(c, &net.config, net.policy, 1);
        })?;
        self.scratch.reserve(b, "scratch of a predictor", |c| {
            image_encoder::Acts::carve(c, &net.config, net.policy);
        })?;
        self.scratch.poison(b);
        let out = Features::carve(&mut self.features.carve(), &net.config, net.policy, 1);
        let a = image_encoder::Acts::carve(&mut self.scratch.carve(), &net.config, net.policy);
        b.preprocess(a.image, frame, Filter::Bicubic);
        net.image_encoder.run(b, &a, &out.of(0));
        b.sync()?;
        self.scratch.check(b)
    }

    fn step(&mut self, steps: &mut [Step<'_>], selection: Selection) -> Result<()> {
        for step in steps.iter_mut() {
            step.pointer = Some(self.slot(true)?);
        }
        let net = self.net.clone();
        let (config, tracking) = (&net.config, Self::tracking(&net)?);
        let (p, d) = (steps.len(), config.d_model);
        let pasts: Vec<&Past> = steps.iter().filter_map(|s| s.past.as_ref()).collect();
        if !pasts.is_empty() && pasts.len() != p {
            return Err(Error::Internal("objects with and without a past in one batch".into()));
        }
        let most = |count: fn(&Past) -> usize| pasts.iter().map(|past| count(past)).max().unwrap_or(0);
        let size = Memories { objects: p, frames: most(|p| p.frames.len()), pointers: most(|p| p.pointers.len()) };
        let past = (!pasts.is_empty()).then_some(size);

        // Two tokens say that no point was given; a click has one such token after its points.
        let points = |s: &Step<'_>| match s.seen {
            Seen::Points(points, _) => points.len() + 1,
            _ => 2,
        };
        let longest = steps.iter().map(points).max().unwrap_or(0);
        let masks: Vec<usize> =
            (0..p).filter(|&i| matches!(steps[i].seen, Seen::Points(_, Some(_)) | Seen::Mask(_))).collect();
        let given = steps.iter().any(|s| matches!(s.seen, Seen::Mask(_)));
        let batch = Batch { prompts: p, tokens: OUTPUT_TOKENS + longest, entries: p, masks: masks.len() };
        self.scratch.reserve(&self.b, "scratch of a predictor", |c| {
            StepActs::carve(c, &net, batch, past, given);
        })?;
        let b = &self.b;
        self.scratch.poison(b);
        let a = StepActs::carve(&mut self.scratch.carve(), &net, batch, past, given);
        let frame = Features::carve(&mut self.features.carve(), config, net.policy, 1);
        let [maps, pointers] = carve_bank(&mut self.bank.carve(), &net, self.slots);
        let bank = tracking.bank(maps, pointers, config);

        // The frame as each object sees it.
        match &a.memory {
            Some(memory) => {
                upload_past(b, config, tracking, memory, &pasts, size);
                tracking.attention.run(b, a.seen, frame.embed, memory, bank);
            }
            None => {
                for i in 0..p {
                    b.add_vector(a.seen.slice(i, 1), frame.embed, net.no_mem_embed.at());
                }
            }
        }
        b.probe("pix_feat_with_mem", a.seen);

        // Prompts.
        let s = config.image_size as f32;
        let unit = |v: f32| (v * s + 0.5) / s;
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
            lens.push((OUTPUT_TOKENS + points(step)) as i32);
        }
        let order: Vec<i32> = (0..p as i32).collect();
        let entry_mask: Vec<i32> =
            (0..p).map(|i| masks.iter().position(|&m| m == i).map_or(-1, |m| m as i32)).collect();
        let slots: Vec<i32> = steps.iter().filter_map(|s| s.pointer.as_ref().map(Slot::index)).collect();
        let decoder = &a.decoder;
        b.upload_all(&[
            (decoder.points, floats(&xy)),
            (decoder.point_labels, ints(&labels)),
            (decoder.lens, ints(&lens)),
            (decoder.image, ints(&vec![0; p])),
            (decoder.source, ints(&order)),
            (decoder.identity, ints(&order)),
            (decoder.entry_image, ints(&order)),
            (decoder.entry_mask, ints(&entry_mask)),
            (a.slots, ints(&slots)),
        ]);
        for (m, &i) in masks.iter().enumerate() {
            let place = decoder.mask_input.slice(m, 1);
            match steps[i].seen {
                Seen::Points(_, Some(logits)) => b.upload(place, floats(logits)),
                Seen::Mask(mask) => {
                    b.upload(a.mask, floats(mask));
                    b.conv2d(place, a.mask, &tracking.mask_downsample, Epilogue::NONE);
                }
                _ => {}
            }
        }
        // A mask's pointer is found on the frame as it is.
        let embed = if given { frame.embed } else { a.seen };
        let features = Features { embed, high1: frame.high1, high0: frame.high0 };
        net.mask_decoder.run(b, decoder, &net.prompt_encoder, &features, selection);

        // Pointers come of the token whose mask was chosen, or of the single mask's.
        let best = selection == Selection::Best && config.memory.use_multimask_token_for_obj_ptr;
        let rows = if best { decoder.selected.prefix(&[p, 1]) } else { decoder.image };
        b.pick_rows(a.token, decoder.tokens_out(), FIRST_MASK_TOKEN, rows);
        tracking.point(b, a.pointer.view(&[p, d]), a.token, a.hidden);
        let absent = Absent { vector: tracking.no_obj_ptr.at(), replace: config.memory.fixed_no_obj_ptr, round: false };
        let bank_pointers = pointers.view(&[self.slots, 1, d]);
        b.remember(bank_pointers, a.pointer, a.slots, decoder.scores.view(&[p]), absent);
        b.upload(a.unseen, floats(&[-1.0]));
        for i in (0..p).filter(|&i| steps[i].absent) {
            b.remember(bank_pointers, a.pointer.slice(i, 1), a.slots.columns(i, 1), a.unseen, absent);
        }
        b.hide_absent(decoder.masks, decoder.scores.view(&[p]));

        let low = config.mask_side();
        let mut scores = vec![0f32; p];
        let mut all = try_zeros::<f32>(p * low * low, "masks")?;
        b.download(bytemuck::cast_slice_mut(&mut scores), decoder.scores);
        let data = MaskData::Logits(&mut all, f32::INFINITY);
        b.write_masks(MaskOut { data, height: low, width: low }, decoder.masks, Some(decoder.selected.prefix(&[p, 1])));
        b.sync()?;
        self.scratch.check(b)?;
        for (i, step) in steps.iter_mut().enumerate() {
            step.low_res = all[i * low * low..][..low * low].to_vec();
            step.score = scores[i];
        }
        Ok(())
    }

    fn remember(&mut self, masks: &[(&[f32], f32)], binary: bool) -> Result<Vec<Slot>> {
        let slots: Vec<Slot> = masks.iter().map(|_| self.slot(false)).collect::<Result<_>>()?;
        let net = self.net.clone();
        let (config, tracking, p) = (&net.config, Self::tracking(&net)?, masks.len());
        self.scratch.reserve(&self.b, "scratch of a predictor", |c| {
            RememberActs::carve(c, &net, p);
        })?;
        let b = &self.b;
        self.scratch.poison(b);
        let a = RememberActs::carve(&mut self.scratch.carve(), &net, p);
        let frame = Features::carve(&mut self.features.carve(), config, net.policy, 1);
        for (i, (mask, _)) in masks.iter().enumerate() {
            b.upload(a.masks.slice(i, 1), floats(mask));
        }
        let indices: Vec<i32> = slots.iter().map(Slot::index).collect();
        let scores: Vec<f32> = masks.iter().map(|(_, score)| *score).collect();
        b.upload_all(&[
            (a.selected, ints(&vec![0; p])),
            (a.binary, ints(&vec![binary as i32; p])),
            (a.slots, ints(&indices)),
            (a.scores, floats(&scores)),
        ]);
        let m = &config.memory;
        b.memory_mask(
            a.encoder.mask,
            a.masks,
            a.selected,
            a.binary,
            m.sigmoid_scale_for_mem_enc,
            m.sigmoid_bias_for_mem_enc,
        );
        b.probe("mask_for_mem", a.encoder.mask);
        tracking.encoder.run(b, &a.encoder, frame.embed);
        b.probe("maskmem", a.encoder.out);
        // The reference keeps memories in bf16, also in float32.
        let absent = Absent { vector: tracking.no_obj_embed_spatial.at(), replace: false, round: true };
        let [maps, _] = carve_bank(&mut self.bank.carve(), &net, self.slots);
        b.remember(maps, a.encoder.out, a.slots, a.scores, absent);
        b.sync()?;
        self.scratch.check(b)?;
        Ok(slots)
    }

    fn fill_holes(&mut self, mask: &mut [f32], area: f32) -> Result<()> {
        let side = self.net.config.mask_side();
        self.scratch.reserve(&self.b, "scratch of a predictor", |c| {
            for _ in 0..5 {
                c.take(DType::F32, &[1, 1, side, side]);
            }
        })?;
        let mut c = self.scratch.carve();
        let [from, out] = [0, 1].map(|_| c.take(DType::F32, &[1, 1, side, side]));
        let [labels, areas] = [0, 1].map(|_| c.take(DType::I32, &[1, 1, side, side]));
        let selected = c.take(DType::I32, &[1, 1]);
        let b = &self.b;
        b.upload(from, floats(mask));
        b.upload(selected, ints(&[0]));
        b.clean_masks(out, from, selected, labels, areas, Cleaning { threshold: 0.0, hole: area, sprinkle: 0.0 });
        let mut filled = try_zeros::<f32>(mask.len(), "masks")?;
        b.download(bytemuck::cast_slice_mut(&mut filled), out);
        b.sync()?;
        for (v, filled) in mask.iter_mut().zip(filled) {
            if *v <= 0.0 && filled > 0.0 {
                *v = FILLED;
            }
        }
        Ok(())
    }

    fn resize(&mut self, mask: &[f32], height: usize, width: usize) -> Result<Vec<f32>> {
        let side = self.net.config.mask_side();
        self.scratch.reserve(&self.b, "scratch of a predictor", |c| {
            c.take(DType::F32, &[1, 1, side, side]);
        })?;
        let (b, mut c) = (&self.b, self.scratch.carve());
        let from = c.take(DType::F32, &[1, 1, side, side]);
        b.upload(from, floats(mask));
        let mut out = try_zeros::<f32>(height * width, "masks")?;
        b.write_masks(MaskOut { data: MaskData::Logits(&mut out, f32::INFINITY), height, width }, from, None);
        b.sync()?;
        Ok(out)
    }

    fn counters(&self) -> Counters {
        self.b.counters()
    }

    fn set_probe(&mut self, probe: Option<Probe>) {
        self.b.set_probe(probe);
    }

    fn bytes(&self) -> usize {
        self.scratch.bytes() + self.features.bytes() + self.bank.bytes()
    }
}

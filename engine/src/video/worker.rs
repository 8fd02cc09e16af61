//! A queue on a device with what the objects of a video leave behind: features of the current frame, memories.

use super::bank::{Bank, Kind, Slot};
use super::pass::{
    GivenActs, ShownActs, ShownSize, StepActs, floats, ints, memories, tokens, upload_past, upload_prompts,
};
use crate::arena::{Arena, Place};
use crate::backend::{Backend, Cleaning, Counters, Filter, Measure, Probe, Selection, StageTime};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::mask_out::{Extent, MaskFormat, MaskOut};
use crate::memory::try_zeros;
use crate::model::Network;
use crate::model::image_encoder::{self, Features};
use crate::model::mask_decoder::{Batch, FIRST_MASK_TOKEN, OUTPUT_TOKENS};
use crate::model::memory_attention::Memories;
use crate::model::tracking::Tracking;
use crate::prompt::Point;
use crate::stage::Stage;
use crate::worker::on_the_cpu;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

/// How far the logits of a filled hole are above 0.
const FILLED: f32 = 0.1;
/// Why scratch memory is wanted.
const SCRATCH: &str = "scratch of a predictor";
/// Likewise, of the current frame's features.
const FEATURES: &str = "features of a frame";
/// Likewise, of masks until all are there.
const SHOWN: &str = "masks of a frame";
/// Tokens of a prompt that room is made for: points, and the point that says nothing.
const PROMPT_TOKENS: usize = 9;

/// What an object remembers, as the current frame sees it.
#[derive(Default)]
pub(crate) struct Past {
    /// Memories of frames, each with its row of the encoding of time.
    pub frames: Vec<(Slot, usize)>,
    /// Pointers, each with its distance in time in units of the longest.
    pub pointers: Vec<(Slot, f32)>,
}

/// What is known of an object on the current frame.
#[derive(Clone, Copy)]
pub(crate) enum Seen<'a> {
    /// Nothing but its past.
    Nothing,
    /// Points in units of the picture, and the logits of an earlier mask.
    Points(&'a [Point], Option<&'a [f32]>),
    /// A mask of the model's input size, of zeros and ones, and its logits (mask_side, mask_side).
    Mask(&'a [f32], &'a [f32]),
}

/// An object on the current frame, and what came out.
pub(crate) struct Step<'a> {
    /// None: this frame is the object's first.
    pub past: Option<Past>,
    pub seen: Seen<'a>,
    /// The pointer is that of an object that is not there.
    pub absent: bool,
    /// (mask_side, mask_side), with holes filled.
    pub low_res: Arc<Vec<f32>>,
    pub score: f32,
    pub pointer: Option<Slot>,
    /// Where frames are remembered at once.
    pub memory: Option<Slot>,
}

impl<'a> Step<'a> {
    /// What is to be found.
    pub fn new(past: Option<Past>, seen: Seen<'a>, absent: bool) -> Self {
        Step { past, seen, absent, low_res: Arc::default(), score: 0.0, pointer: None, memory: None }
    }
}

/// How objects are found.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct How {
    pub selection: Selection,
    /// The frame is remembered as it was found.
    pub remember: bool,
    /// Holes of up to so many pixels of a mask are filled.
    pub fill_hole_area: f32,
}

/// A mask to be shown.
#[derive(Clone, Copy)]
pub(crate) enum Shown<'a> {
    /// That of a step.
    Found(usize),
    /// (mask_side, mask_side)
    Known(&'a [f32]),
}

/// Masks to be shown, and how.
#[derive(Default)]
pub(crate) struct Show<'a, 'o> {
    pub masks: &'a [Shown<'a>],
    /// Height and width of the video: masks are measured at this size.
    pub size: (usize, usize),
    /// Where they go, all to each, of the right size.
    pub outs: Vec<MaskOut<'o>>,
}

/// What a predictor asks of a worker, whatever the device.
pub(crate) trait VideoWorker: Send {
    /// The frame whose features are there.
    fn current(&self) -> Option<u64>;
    /// Makes room for so many objects with one conditioning frame each, and for so many memories and pointers; whether work is
    /// recorded here.
    fn reserve(&mut self, objects: usize, slots: [usize; 2]) -> Result<bool>;
    /// Makes a frame the current one, known by a number of the caller's.
    fn encode(&mut self, key: u64, frame: &Frame<'_>) -> Result<()>;
    /// Whether masks may go to a GPU's memory.
    fn takes_device_memory(&self) -> bool;
    /// Finds objects on the current frame, all with a past or all without, and shows masks; waits once.
    fn find(&mut self, steps: &mut [Step<'_>], how: How, show: Show<'_, '_>) -> Result<Vec<Extent>>;
    /// Remembers masks (mask_side, mask_side) of the current frame with their scores; with `binary`, their outlines
    /// alone.
    fn remember(&mut self, masks: &[(&[f32], f32)], binary: bool) -> Result<Vec<Slot>>;
    /// The bytes of a memory or a pointer.
    fn read(&mut self, kind: Kind, slot: &Slot) -> Result<Vec<u8>>;
    /// A slot with what `read` gave, of the right size.
    fn write(&mut self, kind: Kind, bytes: &[u8]) -> Result<Slot>;
    fn set_probe(&mut self, probe: Option<Probe>);
    /// Starts timing every stage, or stops and returns what was measured.
    fn profile(&mut self, on: bool) -> Vec<StageTime>;
    fn counters(&self) -> Counters;
    /// Bytes held on the device beside the weights, and on the host for memories.
    fn bytes(&self) -> [usize; 2];
}

/// The worker of video predictors on a backend.
pub(crate) struct Tracker<B: Backend> {
    /// First, so that it is dropped first: it waits for work that uses what follows.
    b: B,
    net: Arc<Network<B>>,
    scratch: Arena<B>,
    /// Of the current frame.
    features: Arena<B>,
    /// The masks to be shown, until all are there.
    shown: Arena<B>,
    bank: Bank<B>,
    current: Option<u64>,
    encode: Stage<B, ()>,
    track: Stage<B, Key>,
    profile: Profile,
}

/// The stages, while they are timed.
#[derive(Default)]
struct Profile {
    stages: RefCell<Option<Vec<StageTime>>>,
    failure: RefCell<Option<Error>>,
}

impl Profile {
    /// Does the work of a stage; alone on the device while stages are timed, when nothing is recorded.
    fn stage<B: Backend>(&self, b: &B, name: &'static str, work: impl FnOnce()) {
        if self.stages.borrow().is_none() {
            return work();
        }
        let wait = || b.sync().err().into_iter().for_each(|e| _ = self.failure.borrow_mut().get_or_insert(e));
        wait();
        let (before, start) = (b.counters(), Instant::now());
        work();
        wait();
        let (seconds, matmul_flops) = (start.elapsed().as_secs_f64(), (b.counters() - before).matmul_flops);
        let mut stages = self.stages.borrow_mut();
        let Some(stages) = stages.as_mut() else { return };
        match stages.iter_mut().find(|s| s.name == name) {
            Some(s) => (s.seconds, s.matmul_flops) = (s.seconds + seconds, s.matmul_flops + matmul_flops),
            None => stages.push(StageTime { name, seconds, matmul_flops }),
        }
    }

    /// What failed while stages were timed.
    fn check(&self) -> Result<()> {
        self.failure.take().map_or(Ok(()), Err)
    }
}

/// What the recorded work of a tracked frame depends on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    batch: Batch,
    memories: Memories,
    best: bool,
}

impl<B: Backend> Tracker<B> {
    /// With `offload`, memories are kept on the host.
    pub fn new(net: Arc<Network<B>>, b: B, offload: bool, place: &Place) -> Self {
        Tracker {
            b,
            net,
            scratch: Arena::new(place),
            features: Arena::new(place),
            shown: Arena::new(place),
            bank: Bank::new(offload, place),
            current: None,
            encode: Stage::default(),
            track: Stage::default(),
            profile: Profile::default(),
        }
    }

    fn tracking(net: &Network<B>) -> Result<&Tracking<B>> {
        net.tracking.as_ref().ok_or_else(|| Error::Internal("a model without tracking".into()))
    }

    /// Room for the memories of a pass: as they are, or, where work is recorded, as many as objects with so many conditioning
    /// frames ever have.
    fn capacity(&self, pasts: &[&Past]) -> Memories {
        let most = |count: &dyn Fn(&Past) -> usize| pasts.iter().map(|past| count(past)).max().unwrap_or(0);
        let (frames, pointers) = (most(&|p| p.frames.len()), most(&|p| p.pointers.len()));
        if !self.b.records() {
            return Memories { objects: pasts.len(), frames, pointers };
        }
        let recent = self.net.config.memory.num_maskmem.saturating_sub(1);
        let full = self.full(pasts.len(), most(&|p| p.frames.iter().filter(|(_, row)| *row == recent).count()));
        Memories { frames: frames.max(full.frames), pointers: pointers.max(full.pointers), ..full }
    }

    /// What objects with so many conditioning frames attend to once they were followed for long.
    fn full(&self, objects: usize, cond: usize) -> Memories {
        let m = &self.net.config.memory;
        let pointers = if m.use_obj_ptrs_in_encoder { cond + m.max_obj_ptrs_in_encoder.saturating_sub(1) } else { 0 };
        Memories { objects, frames: cond + m.num_maskmem.saturating_sub(1), pointers }
    }

    /// Scratch memory of a pass over one object.
    fn bytes_of(&self, step: &Step<'_>, how: How) -> usize {
        let past = step.past.as_ref().map(|past| self.capacity(&[past]));
        let batch = Batch { prompts: 1, tokens: OUTPUT_TOKENS + tokens(step), entries: 1, masks: 1 };
        Arena::<B>::measure(false, |c| {
            StepActs::carve(c, &self.net, batch, past, false, how.remember);
        })
    }

    /// Finds some of the objects; what comes out is there after the next wait. `first`: objects found before in this call,
    /// where they are to be shown.
    fn pass(
        &mut self,
        steps: &[Step<'_>],
        how: How,
        low_res: &mut [Vec<f32>],
        scores: &mut [f32],
        shown: Option<(usize, ShownSize)>,
    ) -> Result<()> {
        let net = self.net.clone();
        let (config, tracking, p) = (&net.config, Self::tracking(&net)?, steps.len());
        let pasts: Vec<&Past> = steps.iter().filter_map(|s| s.past.as_ref()).collect();
        if !pasts.is_empty() && pasts.len() != p {
            return Err(Error::Internal("objects with and without a past in one batch".into()));
        }
        if pasts.iter().any(|past| past.frames.is_empty()) {
            return Err(Error::Internal("a past without a frame".into()));
        }
        let past = (!pasts.is_empty()).then(|| self.capacity(&pasts));
        let longest = steps.iter().map(tokens).max().unwrap_or(0);
        let masks: Vec<usize> =
            (0..p).filter(|&i| matches!(steps[i].seen, Seen::Points(_, Some(_)) | Seen::Mask(..))).collect();
        let given = steps.iter().any(|s| matches!(s.seen, Seen::Mask(..)));
        let batch = Batch { prompts: p, tokens: OUTPUT_TOKENS + longest, entries: p, masks: masks.len() };
        self.scratch.reserve(&self.b, SCRATCH, |c| {
            StepActs::carve(c, &net, batch, past, given, how.remember);
        })?;
        let old: Vec<&Slot> = pasts.iter().flat_map(|past| past.frames.iter().map(|(slot, _)| slot)).collect();
        let new: Vec<Slot> = steps.iter().filter_map(|s| s.memory.clone()).collect();
        let (old, made) = self.bank.bring(&self.b, config, &old, &new)?;

        let b = &self.b;
        self.scratch.poison(b);
        let a = StepActs::carve(&mut self.scratch.carve(), &net, batch, past, given, how.remember);
        let frame = Features::carve(&mut self.features.carve(), config, net.policy, 1);
        let [maps, pointers] = self.bank.tensors(config);
        if let (Some(memory), Some(size)) = (&a.memory, past) {
            upload_past(b, config, tracking, memory, &pasts, size, &old, &self.bank);
        }
        let slots: Vec<i32> = steps.iter().filter_map(|s| s.pointer.as_ref().map(|s| self.bank.place(s))).collect();
        upload_prompts(b, config.image_size as f32, &a, steps, &masks, &slots, tracking);
        if let Some(remember) = &a.remember {
            b.upload_all(&[(remember.binary, ints(&vec![0; p])), (remember.slots, ints(&made))]);
        }

        let (selected, profile) = (a.decoder.selected.prefix(&[p, 1]), &self.profile);
        // The frame as each object sees it.
        let look = |b: &B| {
            match &a.memory {
                Some(memory) => {
                    tracking.place_pointers(b, memory);
                    tracking.attention.run(b, a.seen, frame.embed, memory, tracking.bank(maps, pointers, config));
                }
                None => (0..p).for_each(|i| b.add_vector(a.seen.slice(i, 1), frame.embed, net.no_mem_embed.at())),
            }
            b.probe("pix_feat_with_mem", a.seen);
        };
        let decode = |b: &B| {
            // A mask's pointer is found on the frame as it is.
            let embed = if given { frame.embed } else { a.seen };
            let features = Features { embed, high1: frame.high1, high0: frame.high0 };
            net.mask_decoder.run(b, &a.decoder, &net.prompt_encoder, &features, how.selection);
            // Pointers come of the token whose mask was chosen, or of the single mask's.
            let best = how.selection == Selection::Best && config.memory.use_multimask_token_for_obj_ptr;
            b.pick_rows(
                a.token,
                a.decoder.tokens_out(),
                FIRST_MASK_TOKEN,
                if best { selected } else { a.decoder.image },
            );
            tracking.point(b, a.pointer.view(&[p, config.d_model]), a.token, a.hidden);
            let scores = a.decoder.scores.view(&[p]);
            b.remember(tracking.pointers(pointers), a.pointer, a.pointer_slots, scores, tracking.absent(config));
            b.hide_absent(a.decoder.masks, scores);
        };
        let remember = |b: &B| {
            if let Some(remember) = &a.remember {
                let (selected, scores) = (a.decoder.selected.prefix(&[p]), a.decoder.scores.view(&[p]));
                memories(b, &net, tracking, remember, a.decoder.masks, selected, scores, frame.embed, maps);
            }
        };
        let seen = |b: &B| {
            profile.stage(b, "memory attention", || look(b));
            profile.stage(b, "mask decoder", || decode(b));
            profile.stage(b, "memory encoder", || remember(b));
        };
        let fill = |b: &B| {
            let cleaning = Cleaning { threshold: 0.0, hole: how.fill_hole_area, sprinkle: 0.0, margin: FILLED };
            b.clean_masks(a.low, a.decoder.masks, selected, a.regions[0], a.regions[1], cleaning);
        };
        match past {
            // A prompt is as it comes; tracked frames are all alike.
            Some(memories) if how.remember && masks.is_empty() && longest == 2 => {
                let key = Key { batch, memories, best: how.selection == Selection::Best };
                self.track.run(key, b, &[&self.scratch, &self.features, self.bank.arena()], |b| {
                    seen(b);
                    fill(b);
                });
            }
            _ => {
                seen(b);
                if given {
                    b.upload(a.unseen, floats(&[-1.0]));
                }
                for (i, step) in steps.iter().enumerate() {
                    if step.absent {
                        let (pointer, slot) = (a.pointer.slice(i, 1), a.pointer_slots.columns(i, 1));
                        b.remember(tracking.pointers(pointers), pointer, slot, a.unseen, tracking.absent(config));
                    }
                    if let Seen::Mask(_, logits) = step.seen {
                        let low = config.mask_side();
                        let all = a.decoder.masks.slice(i, 1).view(&[4, low, low]);
                        (0..4).for_each(|k| b.upload(all.slice(k, 1), floats(logits)));
                    }
                }
                fill(b);
            }
        }
        b.download(bytemuck::cast_slice_mut(scores), a.decoder.scores);
        for (i, mask) in low_res.iter_mut().enumerate() {
            b.download(bytemuck::cast_slice_mut(mask), a.low.slice(i, 1));
        }
        if let Some((first, size)) = shown {
            let acts = ShownActs::carve(&mut self.shown.carve(), config, size);
            let pixels = config.mask_side() * config.mask_side();
            let (to, from) = (acts.masks.slice(first, p).view(&[p, pixels]), a.low.view(&[p, 1, pixels]));
            // Image 0, as everywhere here, so that this copies.
            b.pick_rows(to, from, 0, a.decoder.image);
        }
        self.bank.keep(b, config, &new);
        self.scratch.check(b)?;
        self.profile.check()
    }

    /// Everything that [`VideoWorker::find`] enqueues.
    fn enqueue(
        &mut self,
        steps: &[Step<'_>],
        how: How,
        show: &mut Show<'_, '_>,
        low_res: &mut [Vec<f32>],
        scores: &mut [f32],
        measures: &mut [i32],
    ) -> Result<()> {
        let net = self.net.clone();
        let config = &net.config;
        let known = show.masks.iter().filter(|mask| matches!(mask, Shown::Known(_))).count();
        let size = ShownSize { planes: steps.len() + known, shown: show.masks.len() };
        let showing = !show.outs.is_empty();
        if showing {
            self.shown.reserve(&self.b, SHOWN, |c| {
                ShownActs::carve(c, config, size);
            })?;
            self.shown.poison(&self.b);
        }
        let per = self.b.objects_per_pass(steps.first().map_or(0, |step| self.bytes_of(step, how)));
        for (i, steps) in steps.chunks(per).enumerate() {
            let (first, n) = (i * per, steps.len());
            let (low_res, scores) = (&mut low_res[first..][..n], &mut scores[first..][..n]);
            self.pass(steps, how, low_res, scores, showing.then_some((first, size)))?;
        }
        if showing {
            self.profile.stage(&self.b, "masks", || self.show(steps.len(), size, show, measures));
            self.shown.check(&self.b)?;
        }
        self.profile.check()
    }

    /// Shows and measures the masks of `found` objects, and others.
    fn show(&self, found: usize, size: ShownSize, show: &mut Show<'_, '_>, measures: &mut [i32]) {
        let b = &self.b;
        let acts = ShownActs::carve(&mut self.shown.carve(), &self.net.config, size);
        let (mut order, mut next) = (Vec::with_capacity(size.shown), found);
        for mask in show.masks {
            match mask {
                Shown::Found(step) => order.push(*step as i32),
                Shown::Known(mask) => {
                    b.upload(acts.masks.slice(next, 1), floats(mask));
                    order.push(next as i32);
                    next += 1;
                }
            }
        }
        b.upload(acts.order, ints(&order));
        let side = self.net.config.mask_side();
        let masks = acts.masks.view(&[1, size.planes, side, side]);
        let (height, width) = show.size;
        b.measure_masks(acts.measures, masks, Some(acts.order), Measure { threshold: 0.0, offset: 0.0, height, width });
        b.download(bytemuck::cast_slice_mut(measures), acts.measures);
        for out in &mut show.outs {
            match out.buffer.format() {
                MaskFormat::Labels => b.write_labels(out.lend(), masks, Some(acts.order)),
                _ => b.write_masks(out.lend(), masks, Some(acts.order)),
            }
        }
    }
}

impl<B: Backend> VideoWorker for Tracker<B> {
    fn current(&self) -> Option<u64> {
        self.current
    }

    fn reserve(&mut self, objects: usize, slots: [usize; 2]) -> Result<bool> {
        let net = self.net.clone();
        let (b, config) = (&self.b, &net.config);
        self.features.reserve(b, FEATURES, |c| {
            Features::carve(c, config, net.policy, 1);
        })?;
        self.scratch.reserve(b, SCRATCH, |c| {
            image_encoder::Acts::carve(c, config, net.policy);
        })?;
        let step = |objects, tokens, masks| {
            let batch = Batch { prompts: objects, tokens: OUTPUT_TOKENS + tokens, entries: objects, masks };
            (batch, Some(self.full(objects, 1)))
        };
        // One by one as they are named, then all together; a prompt of some points takes no more than a mask.
        let named = step(1, PROMPT_TOKENS, 1);
        let one = Arena::<B>::measure(false, |c| {
            StepActs::carve(c, &net, named.0, named.1, true, true);
        });
        let tracked = step(objects.clamp(1, b.objects_per_pass(one)), 2, 0);
        for (batch, past) in [named, tracked] {
            self.scratch.reserve(b, SCRATCH, |c| {
                StepActs::carve(c, &net, batch, past, batch.masks > 0, true);
            })?;
        }
        self.scratch.reserve(b, SCRATCH, |c| {
            GivenActs::carve(c, &net, 1);
        })?;
        self.shown.reserve(b, SHOWN, |c| {
            ShownActs::carve(c, config, ShownSize { planes: objects, shown: objects });
        })?;
        let pass = tracked.0.prompts * (tracked.1.map_or(0, |past| past.frames) + 1);
        self.bank.grow(b, config, slots, pass.next_power_of_two())?;
        Ok(b.records())
    }

    fn encode(&mut self, key: u64, frame: &Frame<'_>) -> Result<()> {
        if !self.b.takes_device_memory() && frame.is_device() {
            return Err(on_the_cpu("picture"));
        }
        self.current = None;
        let (net, b) = (&*self.net, &self.b);
        self.features.reserve(b, FEATURES, |c| {
            Features::carve(c, &net.config, net.policy, 1);
        })?;
        self.scratch.reserve(b, SCRATCH, |c| {
            image_encoder::Acts::carve(c, &net.config, net.policy);
        })?;
        self.scratch.poison(b);
        let out = Features::carve(&mut self.features.carve(), &net.config, net.policy, 1);
        let a = image_encoder::Acts::carve(&mut self.scratch.carve(), &net.config, net.policy);
        let encode = |b: &B| net.image_encoder.run(b, &a, &out.of(0));
        self.profile.stage(b, "image encoder", || {
            b.preprocess(a.image, frame, Filter::Bicubic);
            self.encode.run((), b, &[&self.scratch, &self.features], encode);
        });
        self.scratch.check(b)?;
        self.profile.check()?;
        // What failed on the way; what the device does is known when masks come back.
        b.failure()?;
        self.current = Some(key);
        Ok(())
    }

    fn takes_device_memory(&self) -> bool {
        self.b.takes_device_memory()
    }

    fn find(&mut self, steps: &mut [Step<'_>], how: How, mut show: Show<'_, '_>) -> Result<Vec<Extent>> {
        let net = self.net.clone();
        let low = net.config.mask_side() * net.config.mask_side();
        for step in steps.iter_mut() {
            step.pointer = Some(self.bank.take(&self.b, &net.config, Kind::Pointer)?);
            if how.remember {
                step.memory = Some(self.bank.take(&self.b, &net.config, Kind::Map)?);
            }
        }
        let mut low_res = steps.iter().map(|_| try_zeros::<f32>(low, "a mask")).collect::<Result<Vec<_>>>()?;
        let mut scores = vec![0.0; steps.len()];
        let mut measures = try_zeros::<i32>(show.masks.len() * 7, "masks")?;
        let enqueued = self.enqueue(steps, how, &mut show, &mut low_res, &mut scores, &mut measures);
        // Also after a failure: what was enqueued goes to memory that is borrowed here.
        let waited = self.b.sync();
        enqueued?;
        waited?;
        for ((step, low_res), score) in steps.iter_mut().zip(low_res).zip(scores) {
            (step.low_res, step.score) = (Arc::new(low_res), score);
        }
        Ok(measures.chunks(7).map(Extent::of).collect())
    }

    fn remember(&mut self, masks: &[(&[f32], f32)], binary: bool) -> Result<Vec<Slot>> {
        let net = self.net.clone();
        let (config, tracking, p) = (&net.config, Self::tracking(&net)?, masks.len());
        let slots: Vec<Slot> =
            masks.iter().map(|_| self.bank.take(&self.b, config, Kind::Map)).collect::<Result<_>>()?;
        self.scratch.reserve(&self.b, SCRATCH, |c| {
            GivenActs::carve(c, &net, p);
        })?;
        let (_, places) = self.bank.bring(&self.b, config, &[], &slots)?;
        let b = &self.b;
        self.scratch.poison(b);
        let a = GivenActs::carve(&mut self.scratch.carve(), &net, p);
        let frame = Features::carve(&mut self.features.carve(), config, net.policy, 1);
        masks.iter().enumerate().for_each(|(i, (mask, _))| b.upload(a.masks.slice(i, 1), floats(mask)));
        let scores: Vec<f32> = masks.iter().map(|(_, score)| *score).collect();
        b.upload_all(&[
            (a.remember.binary, ints(&vec![binary as i32; p])),
            (a.remember.slots, ints(&places)),
            (a.selected, ints(&vec![0; p])),
            (a.scores, floats(&scores)),
        ]);
        let [maps, _] = self.bank.tensors(config);
        memories(b, &net, tracking, &a.remember, a.masks, a.selected, a.scores, frame.embed, maps);
        self.bank.keep(&self.b, config, &slots);
        self.b.sync()?;
        self.scratch.check(&self.b)?;
        Ok(slots)
    }

    fn read(&mut self, kind: Kind, slot: &Slot) -> Result<Vec<u8>> {
        self.bank.read(&self.b, &self.net.config, kind, slot)
    }

    fn write(&mut self, kind: Kind, bytes: &[u8]) -> Result<Slot> {
        self.bank.write(&self.b, &self.net.config, kind, bytes)
    }

    fn counters(&self) -> Counters {
        self.b.counters()
    }

    fn set_probe(&mut self, probe: Option<Probe>) {
        self.b.set_probe(probe);
    }

    fn profile(&mut self, on: bool) -> Vec<StageTime> {
        self.b.profile(on);
        self.profile.stages.replace(on.then(Vec::new)).unwrap_or_default()
    }

    fn bytes(&self) -> [usize; 2] {
        let [device, host] = self.bank.bytes();
        [self.scratch.bytes() + self.features.bytes() + self.shown.bytes() + device, host]
    }
}

//! The worker of video predictors on a backend.

use super::acts::{OutputActs, StepActs, StepSize, StoredMaskActs};
use super::bank::{Bank, Kind, Slot};
use super::object::MemoryContext;
use super::step::{MemoryMasks, StepBatch, encode_memories};
use super::tables::MemoryTables;
use super::worker::{NextFrame, ObjectStep, OutputMask, OutputRequest, StepOptions, StepPrompt, VideoWorker};
use crate::backend::arena::{Arena, Placement};
use crate::backend::stage::Stage;
use crate::backend::{Backend, Counters, Measure, MemoryUse, NO_OBJ_SCORE, ProbeFn, Selection, StageTime};
use crate::error::{Error, Result};
use crate::masks::buffer::Extent;
use crate::media::frame::Frame;
use crate::media::size::Size;
use crate::memory::try_from_fn;
use crate::model::Network;
use crate::model::mask_decoder::{Batch, OUTPUT_TOKENS};
use crate::model::memory_attention::Memories;
use crate::model::tracking::Tracking;
use crate::session::features::{Purpose, StoredFeatures};
use crate::session::queue::{Session, floats, ints};
use crate::session::staging::{Entry, PromptTables};
use std::sync::Arc;

/// The number of tokens of a prompt that memory is reserved for: points, and the padding point.
const PROMPT_TOKENS: usize = 9;

/// The worker of video predictors on a backend.
pub(crate) struct Tracker<B: Backend> {
    session: Session<B>,
    /// The tables of masks that are written and measured.
    outputs: Arena<B>,
    bank: Bank<B>,
    /// The mask that stands for an object without an output on the frame.
    no_object: Option<Slot>,
    current: Option<u64>,
    /// The key of the frame whose pixels are being copied to the device.
    staged: Option<u64>,
    track: Stage<B, Key>,
    host: HostTables,
}

/// Tables in host memory. Later frames use the same memory again.
#[derive(Default)]
struct HostTables {
    prompts: PromptTables,
    memories: MemoryTables,
    /// The indices of slots on the device: memories to read and to write, masks to read and to write, and pointers.
    maps: [Vec<i32>; 2],
    masks: [Vec<i32>; 2],
    pointers: Vec<i32>,
    outputs: Vec<i32>,
    /// The ids of the objects of these masks.
    ids: Vec<i32>,
    zeros: Vec<i32>,
    scores: Vec<f32>,
    measures: Vec<i32>,
}

/// The parameters that the recorded work of a tracked frame depends on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    batch: Batch,
    memories: Memories,
    best: bool,
}

/// Returns the number of tokens of a step's points, with the padding point after them. A step without points has two
/// padding points.
fn tokens(step: &ObjectStep<'_>) -> usize {
    match step.prompt {
        StepPrompt::Points(points, _) => points.len() + 1,
        _ => 2,
    }
}

fn has_mask(step: &ObjectStep<'_>) -> bool {
    matches!(step.prompt, StepPrompt::Points(_, Some(_)) | StepPrompt::Mask(..))
}

impl<B: Backend> Tracker<B> {
    /// Creates a worker. With `offload`, memories and masks are kept on the host.
    pub fn new(net: Arc<Network<B>>, b: B, offload: bool, place: &Placement) -> Self {
        Tracker {
            session: Session::new(net, b, Purpose::Video, place),
            outputs: Arena::new(place),
            bank: Bank::new(offload, place),
            no_object: None,
            current: None,
            staged: None,
            track: Stage::default(),
            host: HostTables::default(),
        }
    }

    fn tracking(net: &Network<B>) -> Result<&Tracking<B>> {
        net.tracking.as_ref().ok_or_else(|| Error::Internal("a model without tracking".into()))
    }

    /// Returns the room for the memories of a batch. If the device does not record work, the room is what the batch
    /// needs. Otherwise the room is the most that objects with as many conditioning frames ever need. One recording
    /// then serves all frames.
    fn capacity<'c>(&self, contexts: impl Iterator<Item = &'c MemoryContext> + Clone) -> Memories {
        let max = |count: &dyn Fn(&MemoryContext) -> usize| contexts.clone().map(count).max().unwrap_or(0);
        let (objects, frames, pointers) =
            (contexts.clone().count(), max(&|c| c.frames.len()), max(&|c| c.pointers.len()));
        if !self.session.b.records() {
            return Memories { objects, frames, pointers };
        }
        let recent = self.session.net.config.memory.num_maskmem.saturating_sub(1);
        let full = self.full(objects, max(&|c| c.frames.iter().filter(|(_, row)| *row == recent).count()));
        Memories { frames: frames.max(full.frames), pointers: pointers.max(full.pointers), ..full }
    }

    /// Returns the most memories that objects with `cond` conditioning frames each can have.
    fn full(&self, objects: usize, cond: usize) -> Memories {
        let m = &self.session.net.config.memory;
        let pointers = if m.use_obj_ptrs_in_encoder { cond + m.max_obj_ptrs_in_encoder.saturating_sub(1) } else { 0 };
        Memories { objects, frames: cond + m.num_maskmem.saturating_sub(1), pointers }
    }

    /// Returns the bytes of scratch memory for a batch of one object.
    fn bytes_of(&self, step: &ObjectStep<'_>, options: StepOptions) -> usize {
        let memories = step.context.as_ref().map(|context| self.capacity(std::iter::once(context)));
        let batch = Batch { prompts: 1, tokens: OUTPUT_TOKENS + tokens(step), entries: 1, masks: 1 };
        let size = StepSize { batch, memories, mask: false, encode_memory: options.encode_memory };
        Arena::<B>::measure(false, |c| _ = StepActs::carve(c, &self.session.net, size))
    }

    /// Returns the sizes of a batch of steps, and adds the prompts of the steps to the tables.
    fn size_of(&mut self, steps: &[ObjectStep<'_>], options: StepOptions) -> Result<StepSize> {
        let contexts = steps.iter().filter_map(|s| s.context.as_ref());
        let count = contexts.clone().count();
        if count != 0 && count != steps.len() {
            return Err(Error::Internal("objects with and without memories in one batch".into()));
        }
        if contexts.clone().any(|context| context.frames.is_empty()) {
            return Err(Error::Internal("memories without a frame".into()));
        }
        let memories = (count > 0).then(|| self.capacity(contexts));
        let (prompts, side) = (&mut self.host.prompts, self.session.net.config.image_size as f32);
        prompts.start(steps.iter().map(tokens).max().unwrap_or(0));
        for (i, step) in steps.iter().enumerate() {
            let points = match step.prompt {
                StepPrompt::Points(points, _) => points,
                _ => &[],
            };
            let entry = Entry { tokens: tokens(step), image: 0, embedding: i, mask: has_mask(step) };
            prompts.push(points.iter().copied(), [1.0; 2], side, entry);
        }
        let mask = steps.iter().any(|s| matches!(s.prompt, StepPrompt::Mask(..)));
        Ok(StepSize { batch: prompts.batch(), memories, mask, encode_memory: options.encode_memory })
    }

    /// Enqueues a batch of steps, whose masks go to the slots `masks`. The scores are in `scores` after the next wait.
    fn enqueue_batch(
        &mut self,
        steps: &[ObjectStep<'_>],
        options: StepOptions,
        masks: &[i32],
        scores: &mut [f32],
    ) -> Result<()> {
        let net = self.session.net.clone();
        let (config, tracking, p) = (&net.config, Self::tracking(&net)?, steps.len());
        let size = self.size_of(steps, options)?;
        self.session.reserve_scratch(|c| _ = StepActs::carve(c, &net, size))?;
        let host = &mut self.host;
        let contexts = steps.iter().filter_map(|s| s.context.as_ref());
        let old = contexts.clone().flat_map(|context| context.frames.iter().map(|(slot, _)| slot));
        let new = steps.iter().filter_map(|s| s.memory.as_ref());
        let [read, written] = &mut host.maps;
        self.bank.bring(&self.session.b, config, Kind::Map, (old, read), (new.clone(), written))?;

        let Session { b, scratch, features, stages, .. } = &self.session;
        scratch.poison(b);
        let acts = StepActs::carve(&mut scratch.carve(), &net, size);
        if let (Some(memory), Some(memories)) = (&acts.memory, size.memories) {
            host.memories.upload(b, config, tracking, memory, contexts, memories, read, &self.bank);
        }
        host.prompts.upload(b, &acts.decoder);
        host.pointers.clear();
        host.pointers.extend(steps.iter().filter_map(|s| s.pointer.as_ref()).map(|slot| self.bank.slot_index(slot)));
        b.upload_all(&[(acts.pointer_slots, ints(&host.pointers)), (acts.mask_slots, ints(masks))]);
        if let Some(memory) = &acts.memory_encoder {
            host.zeros.clear();
            host.zeros.resize(p, 0);
            b.upload_all(&[(memory.binary, ints(&host.zeros)), (memory.slots, ints(written))]);
        }
        let step = StepBatch {
            net: &net,
            tracking,
            acts,
            frame: self.session.all_features(),
            bank: Kind::ALL.map(|kind| self.bank.tensor(config, kind)),
            options,
            mask_given: size.mask,
        };
        step.upload_masks(b, steps);
        let stages_of = |b: &B| {
            stages.run(b, "memory attention", || step.attend_memories(b));
            stages.run(b, "mask decoder", || step.decode(b));
            stages.run(b, "memory encoder", || step.encode_memories(b));
        };
        match size.memories {
            // Steps without prompts all do the same work, which is recorded. Steps with prompts differ each time. A recording
            // has no stages that could be measured.
            Some(memories)
                if options.encode_memory
                    && size.batch.masks == 0
                    && size.batch.tokens == OUTPUT_TOKENS + 2
                    && !stages.is_on() =>
            {
                let key = Key { batch: size.batch, memories, best: options.selection == Selection::Best };
                let [maps, pointers, stored] = self.bank.arenas();
                self.track.run(key, b, &[scratch, features, maps, pointers, stored], |b| {
                    stages_of(b);
                    step.store_masks(b);
                });
            }
            _ => {
                stages_of(b);
                step.replace_given(b, steps);
                step.store_masks(b);
            }
        }
        b.download(bytemuck::cast_slice_mut(scores), step.acts.decoder.scores);
        self.bank.keep(b, config, Kind::Map, new);
        scratch.check(b)?;
        stages.check()
    }

    /// Enqueues the work of [`VideoWorker::step_objects`].
    fn enqueue(
        &mut self,
        steps: &[ObjectStep<'_>],
        options: StepOptions,
        output: &mut OutputRequest<'_, '_>,
        scores: &mut [f32],
        measures: &mut [i32],
    ) -> Result<()> {
        let net = self.session.net.clone();
        let writes = output.outs.iter().any(Option::is_some);
        if writes {
            self.outputs.reserve(&self.session.b, "masks of a frame", |c| {
                OutputActs::carve(c, output.masks.len());
            })?;
            self.outputs.poison(&self.session.b);
        }
        let no_object = match output.masks.iter().any(|mask| matches!(mask, OutputMask::Nothing)) {
            true => Some(self.no_object()?),
            false => None,
        };
        let old = output.masks.iter().filter_map(|mask| match mask {
            OutputMask::Step(_) => None,
            OutputMask::Stored(slot) => Some(slot),
            OutputMask::Nothing => no_object.as_ref(),
        });
        let new = steps.iter().filter_map(|s| s.mask.as_ref());
        let [mut read, mut written] = std::mem::take(&mut self.host.masks);
        self.bank.bring(&self.session.b, &net.config, Kind::Mask, (old, &mut read), (new.clone(), &mut written))?;
        let bytes = steps.first().map_or(0, |step| self.bytes_of(step, options));
        let per_batch = self.session.b.max_objects_per_batch(bytes);
        for (i, steps) in steps.chunks(per_batch).enumerate() {
            let range = i * per_batch..i * per_batch + steps.len();
            self.enqueue_batch(steps, options, &written[range.clone()], &mut scores[range])?;
        }
        self.bank.keep(&self.session.b, &net.config, Kind::Mask, new);
        if writes {
            let mut read = read.iter();
            let slot = |mask: &OutputMask| match mask {
                OutputMask::Step(step) => written.get(*step).copied(),
                _ => read.next().copied(),
            };
            self.host.outputs.clear();
            self.host.outputs.extend(output.masks.iter().filter_map(slot));
            self.host.ids.clear();
            // Ids of a label map fit into 16 bits.
            self.host.ids.extend(output.ids.iter().map(|&id| id as i32));
            self.session.stages.run(&self.session.b, "masks", || self.write_outputs(output, measures));
            self.outputs.check(&self.session.b)?;
        }
        self.host.masks = [read, written];
        self.session.stages.check()
    }

    /// Returns the mask that stands for an object without an output on the frame.
    fn no_object(&mut self) -> Result<Slot> {
        if let Some(slot) = &self.no_object {
            return Ok(slot.clone());
        }
        let config = &self.session.net.config;
        let mask = try_from_fn(config.mask_side().pow(2), "a mask", |_| NO_OBJ_SCORE)?;
        let slot = self.bank.write(&self.session.b, config, Kind::Mask, floats(&mask))?;
        Ok(self.no_object.insert(slot).clone())
    }

    /// Measures and writes the masks whose slots are in the tables.
    fn write_outputs(&self, output: &mut OutputRequest<'_, '_>, measures: &mut [i32]) {
        let (b, slots) = (&self.session.b, &self.host.outputs);
        let acts = OutputActs::carve(&mut self.outputs.carve(), slots.len());
        b.upload(acts.slots, ints(slots));
        let masks = self.bank.tensor(&self.session.net.config, Kind::Mask);
        let masks = masks.view(&[1, masks.dim(0), masks.dim(1), masks.dim(2)]);
        let Size { width, height } = output.size;
        let measure = Measure { threshold: 0.0, offset: 0.0, height, width };
        b.measure_masks(acts.measures, masks, Some(acts.slots), measure);
        b.download(bytemuck::cast_slice_mut(measures), acts.measures);
        for out in output.outs.iter_mut().flatten() {
            let format = out.buffer.format();
            if format.largest_id().is_some() {
                b.upload(acts.ids, ints(&self.host.ids));
                b.write_labels(out.lend(), masks, Some(acts.slots), Some(acts.ids));
            } else if format.is_label_map() {
                b.write_labels(out.lend(), masks, Some(acts.slots), None);
            } else {
                let room = out.buffer.room(slots.len(), output.size);
                b.write_masks(out.part(0, room), masks, Some(acts.slots.prefix(&[room])));
            }
        }
    }

    /// Takes slots for the results of steps.
    fn take_slots(&mut self, steps: &mut [ObjectStep<'_>], options: StepOptions) -> Result<()> {
        let (b, config) = (&self.session.b, &self.session.net.config);
        for step in steps {
            step.mask = Some(self.bank.take(b, config, Kind::Mask)?);
            step.pointer = Some(self.bank.take(b, config, Kind::Pointer)?);
            if options.encode_memory {
                step.memory = Some(self.bank.take(b, config, Kind::Map)?);
            }
        }
        Ok(())
    }
}

impl<B: Backend> VideoWorker for Tracker<B> {
    fn current(&self) -> Option<u64> {
        self.current
    }

    fn reserve(&mut self, objects: usize, slots: [usize; 3]) -> Result<bool> {
        let net = self.session.net.clone();
        self.session.reserve_features(1)?;
        self.session.reserve_encoder()?;
        let size = |objects, tokens, masks| {
            let batch = Batch { prompts: objects, tokens: OUTPUT_TOKENS + tokens, entries: objects, masks };
            StepSize { batch, memories: Some(self.full(objects, 1)), mask: masks > 0, encode_memory: true }
        };
        // Objects are named one by one, then tracked together. A prompt of some points takes no more than a mask.
        let named = size(1, PROMPT_TOKENS, 1);
        let one = Arena::<B>::measure(false, |c| _ = StepActs::carve(c, &net, named));
        let tracked = size(objects.clamp(1, self.session.b.max_objects_per_batch(one)), 2, 0);
        for size in [named, tracked] {
            self.session.reserve_scratch(|c| _ = StepActs::carve(c, &net, size))?;
        }
        self.session.reserve_scratch(|c| _ = StoredMaskActs::carve(c, &net))?;
        let b = &self.session.b;
        self.outputs.reserve(b, "masks of a frame", |c| {
            OutputActs::carve(c, objects);
        })?;
        let maps_per_batch = tracked.batch.prompts * (tracked.memories.map_or(0, |m| m.frames) + 1);
        // One more mask: that of an object without an output.
        let [maps, pointers, masks] = slots;
        let batch = [maps_per_batch, 0, objects + 1].map(usize::next_power_of_two);
        self.bank.grow(b, &net.config, [maps, pointers, masks + 1], batch)?;
        Ok(b.records())
    }

    fn encode(&mut self, key: u64, frame: &Frame<'_>) -> Result<()> {
        self.session.check_memory(std::slice::from_ref(frame))?;
        self.current = None;
        let staged = self.staged.take() == Some(key);
        self.session.reserve_features(1)?;
        self.session.encode(0, frame, staged)?;
        self.current = Some(key);
        Ok(())
    }

    fn take_features(&mut self) -> Result<StoredFeatures> {
        let features = self.session.take_features()?;
        self.current = None;
        Ok(features)
    }

    fn network(&self) -> u64 {
        self.session.net.id
    }

    fn set_features(&mut self, key: u64, features: StoredFeatures) -> Result<()> {
        self.session.set_features(features)?;
        self.current = Some(key);
        Ok(())
    }

    fn takes_device_memory(&self) -> bool {
        self.session.b.takes_device_memory()
    }

    fn step_objects(
        &mut self,
        steps: &mut [ObjectStep<'_>],
        options: StepOptions,
        mut output: OutputRequest<'_, '_>,
        next: NextFrame<'_>,
        extents: &mut Vec<Extent>,
    ) -> Result<()> {
        self.take_slots(steps, options)?;
        let (mut scores, mut measures) =
            (std::mem::take(&mut self.host.scores), std::mem::take(&mut self.host.measures));
        scores.clear();
        scores.resize(steps.len(), 0.0);
        measures.clear();
        measures.resize(output.masks.len() * 7, 0);
        let enqueued = self.enqueue(steps, options, &mut output, &mut scores, &mut measures);
        if let Some((key, picture)) = next
            && let Some(picture) = picture()
            && let Ok(frame) = picture.frame()
        {
            self.staged = self.session.b.stage(&frame).then_some(key);
        }
        // Also after a failure: what was enqueued goes to memory that is borrowed here.
        let waited = self.session.b.sync();
        enqueued?;
        waited?;
        steps.iter_mut().zip(&scores).for_each(|(step, score)| step.score = *score);
        extents.clear();
        extents.extend(measures.chunks(7).map(Extent::of));
        (self.host.scores, self.host.measures) = (scores, measures);
        Ok(())
    }

    fn encode_memory(&mut self, mask: &Slot, score: f32, binary: bool) -> Result<Slot> {
        let net = self.session.net.clone();
        let (config, tracking) = (&net.config, Self::tracking(&net)?);
        let new = self.bank.take(&self.session.b, config, Kind::Map)?;
        self.session.reserve_scratch(|c| _ = StoredMaskActs::carve(c, &net))?;
        let Session { b, scratch, .. } = &self.session;
        let (mut maps, mut masks, none) = (Vec::new(), Vec::new(), std::iter::empty());
        let (one_map, one_mask) = (std::iter::once(&new), std::iter::once(mask));
        self.bank.bring(b, config, Kind::Map, (none.clone(), &mut Vec::new()), (one_map.clone(), &mut maps))?;
        self.bank.bring(b, config, Kind::Mask, (one_mask, &mut masks), (none, &mut Vec::new()))?;
        scratch.poison(b);
        let a = StoredMaskActs::carve(&mut scratch.carve(), &net);
        b.upload_all(&[
            (a.memory.binary, ints(&[binary as i32])),
            (a.memory.slots, ints(&maps)),
            (a.mask, ints(&masks)),
            (a.score, floats(&[score])),
        ]);
        let [maps, stored] = [Kind::Map, Kind::Mask].map(|kind| self.bank.tensor(config, kind));
        let stored = stored.view(&[1, stored.dim(0), stored.dim(1), stored.dim(2)]);
        let masks = MemoryMasks { masks: stored, selected: a.mask, scores: a.score };
        encode_memories(b, &net, tracking, &a.memory, masks, self.session.all_features().embed, maps);
        self.bank.keep(b, config, Kind::Map, one_map);
        b.sync()?;
        scratch.check(b)?;
        Ok(new)
    }

    fn read(&mut self, kind: Kind, slot: &Slot) -> Result<Vec<u8>> {
        self.bank.read(&self.session.b, &self.session.net.config, kind, slot)
    }

    fn write(&mut self, kind: Kind, bytes: &[u8]) -> Result<Slot> {
        self.bank.write(&self.session.b, &self.session.net.config, kind, bytes)
    }

    fn synchronize(&mut self) -> Result<()> {
        self.session.b.sync()
    }

    fn counters(&self) -> Counters {
        self.session.b.counters()
    }

    fn set_probe(&mut self, probe: Option<ProbeFn>) {
        self.session.b.set_probe(probe);
    }

    fn profile(&mut self, on: bool) -> Vec<StageTime> {
        self.session.stages.switch(on)
    }

    fn memory_use(&self) -> MemoryUse {
        let MemoryUse { device, host } = self.bank.memory_use();
        MemoryUse { device: self.session.bytes() + self.outputs.bytes() + device, host }
    }
}

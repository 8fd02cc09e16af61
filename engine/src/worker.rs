//! A queue on a device with its scratch memory and recordings, used by one predictor at a time.

mod survey;

pub(crate) use survey::{Found, Survey};

use crate::arena::{Arena, Carver, Place};
use crate::backend::{Backend, Cleaning, Counters, Filter, KernelTime, Probe, Selection};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::mask_out::{MaskBuffer, MaskFormat, MaskOut};
use crate::memory::{try_from_fn, try_zeros};
use crate::model::Network;
use crate::model::image_encoder::{self, Features};
use crate::model::mask_decoder::{self, Batch, OUTPUT_TOKENS};
use crate::prompt::Prompt;
use crate::stage::Stage;
use crate::tensor::{DType, Tensor};
use std::ops::Range;
use std::sync::Arc;

/// Which of the features of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// (d, side/16, side/16): what the mask decoder reads.
    ImageEmbedding,
    /// (d/4, side/8, side/8)
    HighRes1,
    /// (d/8, side/4, side/4)
    HighRes0,
}

/// What a predictor asks of a worker, whatever the device.
pub(crate) trait ImageWorker: Send {
    /// Pictures whose features are there.
    fn images(&self) -> usize;
    /// Makes room for so many images, and for passes whose longest prompt has `points` points.
    fn reserve(&mut self, images: usize, points: usize, masks: bool, clean: bool) -> Result<()>;
    /// Encodes pictures; those of before are forgotten.
    fn encode(&mut self, frames: &[Frame<'_>]) -> Result<()>;
    /// Decodes prompts on the current image, and measures what they find; `keep` says of each mask that is believed in whether
    /// `take` gets it, as bits.
    fn survey(
        &mut self,
        survey: &Survey<'_>,
        keep: &mut dyn FnMut(&Found) -> bool,
        take: &mut dyn FnMut(&Found, &[u8]) -> Result<()>,
    ) -> Result<()>;
    /// Decodes the prompts of every current image; `jobs[i]` is about image `i`.
    fn decode(&mut self, jobs: &mut [Job<'_>], selection: Selection, cleaning: Option<Cleaning>) -> Result<()>;
    /// The features of an image as (c, h, w).
    fn features(&mut self, feature: Feature, image: usize) -> Result<(Vec<f32>, [usize; 3])>;
    /// Whether encoding goes on after the call has returned.
    fn works_ahead(&self) -> bool;
    /// Waits for everything enqueued.
    fn synchronize(&mut self) -> Result<()>;
    fn counters(&self) -> Counters;
    fn profile(&mut self, on: bool) -> Vec<KernelTime>;
    fn set_probe(&mut self, probe: Option<Probe>);
    /// Bytes of device memory held beside the weights.
    fn bytes(&self) -> usize;
}

/// The prompts on one image, and where their results go.
pub(crate) struct Job<'a> {
    /// Checked.
    pub prompts: &'a [Prompt<'a>],
    /// Width and height of the image in the units of the prompts' coordinates.
    pub extent: [f32; 2],
    /// Of every prompt's masks; or, where there is one job, a map of their labels.
    pub masks: Option<MaskOut<'a>>,
    /// (prompts, masks, mask_side, mask_side), clamped to +-32
    pub low_res: Option<&'a mut [f32]>,
    /// (prompts, masks)
    pub iou: &'a mut [f32],
    /// (prompts)
    pub scores: Option<&'a mut [f32]>,
}

/// Host copies of what goes up and comes down in one pass.
#[derive(Default)]
struct Staging {
    points: Vec<f32>,
    labels: Vec<i32>,
    lens: Vec<i32>,
    image: Vec<i32>,
    source: Vec<i32>,
    identity: Vec<i32>,
    entry_image: Vec<i32>,
    entry_mask: Vec<i32>,
    iou: Vec<f32>,
    scores: Vec<f32>,
    selected: Vec<i32>,
    /// Zeros, of a full pass.
    first: Vec<i32>,
}

/// The worker of image predictors on a backend.
pub(crate) struct Worker<B: Backend> {
    /// First, so that it is dropped first: it waits for work that uses what follows.
    b: B,
    net: Arc<Network<B>>,
    /// The encoder's scratch or the decoder's: they never run at once.
    scratch: Arena<B>,
    /// Features of the current pictures.
    features: Arena<B>,
    /// Beside a pass: the masks of a call that wants their labels, until all are there; or what a survey asks of each.
    aside: Arena<B>,
    /// Pictures there is room for.
    capacity: usize,
    images: usize,
    /// Pictures are on their way through pinned memory: the next ones wait for them.
    pending: bool,
    encode: Stage<B, usize>,
    decode: Stage<B, (Batch, usize, bool)>,
    staging: Staging,
}

/// Masks with small areas mended, and the scratch for that.
struct CleanActs<'a> {
    masks: Tensor<'a>,
    labels: Tensor<'a>,
    areas: Tensor<'a>,
}

impl<'a> CleanActs<'a> {
    fn carve(c: &mut Carver<'a>, prompts: usize, masks: usize, side: usize) -> Self {
        let dims = [prompts, masks, side, side];
        CleanActs {
            masks: c.take(DType::F32, &dims),
            labels: c.take(DType::I32, &dims),
            areas: c.take(DType::I32, &dims),
        }
    }
}

/// What a pass of the decoder works on.
struct PassActs<'a> {
    decoder: mask_decoder::Acts<'a>,
    /// (prompts, masks) i32: which of the four masks of a prompt were chosen.
    selected: Tensor<'a>,
    clean: Option<CleanActs<'a>>,
}

impl<'a> PassActs<'a> {
    fn carve<B: Backend>(scratch: &'a Arena<B>, net: &Network<B>, batch: Batch, masks: usize, clean: bool) -> Self {
        let mut carver = scratch.carve();
        let decoder = mask_decoder::Acts::carve(&mut carver, &net.config, net.policy, batch);
        let side = net.config.mask_side();
        PassActs {
            selected: decoder.selected.prefix(&[batch.prompts, masks]),
            clean: clean.then(|| CleanActs::carve(&mut carver, batch.prompts, masks, side)),
            decoder,
        }
    }
}

/// Masks that wait to be labelled.
struct LabelActs<'a> {
    /// (prompts, 1, side, side)
    masks: Tensor<'a>,
    /// (prompts of a pass) i32: 0.
    first: Tensor<'a>,
}

impl<'a> LabelActs<'a> {
    fn carve(c: &mut Carver<'a>, prompts: usize, pass: usize, side: usize) -> Self {
        LabelActs { masks: c.take(DType::F32, &[prompts, 1, side, side]), first: c.take(DType::I32, &[pass]) }
    }
}

impl<B: Backend> Worker<B> {
    pub fn new(net: Arc<Network<B>>, b: B, place: &Place) -> Self {
        Worker {
            net,
            b,
            scratch: Arena::new(place),
            features: Arena::new(place),
            aside: Arena::new(place),
            capacity: 0,
            images: 0,
            pending: false,
            encode: Stage::default(),
            decode: Stage::default(),
            staging: Staging::default(),
        }
    }

    fn reserve_images(&mut self, images: usize) -> Result<()> {
        if images > self.capacity {
            (self.capacity, self.images) = (0, 0);
            let net = self.net.clone();
            self.features.reserve(&self.b, "features of pictures", |c| {
                Features::carve(c, &net.config, net.policy, images);
            })?;
            self.capacity = images;
        }
        Ok(())
    }

    fn reserve_encode(&mut self) -> Result<()> {
        let net = self.net.clone();
        self.scratch.reserve(&self.b, "scratch of a predictor", |c| {
            image_encoder::Acts::carve(c, &net.config, net.policy);
        })
    }

    fn reserve_decode(&mut self, batch: Batch, clean: bool) -> Result<()> {
        let net = self.net.clone();
        self.scratch.reserve(&self.b, "scratch of a predictor", |c| {
            mask_decoder::Acts::carve(c, &net.config, net.policy, batch);
            if clean {
                CleanActs::carve(c, batch.prompts, 3, net.config.mask_side());
            }
        })
    }

    /// Enqueues the decoding of prompts `range`, counted through all jobs; IoUs, scores and choices are in `staging` after the
    /// next wait.
    fn find(
        &mut self,
        jobs: &[Job<'_>],
        range: Range<usize>,
        selection: Selection,
        cleaning: Option<Cleaning>,
    ) -> Result<Batch> {
        let batch = self.staging.fill(jobs, range.clone(), self.net.config.image_size as f32);
        self.reserve_decode(batch, cleaning.is_some())?;
        let (net, b, s, n) = (&*self.net, &self.b, &mut self.staging, selection.masks());
        self.scratch.poison(b);
        let PassActs { decoder: a, selected, clean } =
            PassActs::carve(&self.scratch, net, batch, n, cleaning.is_some());
        let features = Features::carve(&mut self.features.carve(), &net.config, net.policy, self.capacity);
        b.upload_all(&[
            (a.points, bytemuck::cast_slice(&s.points)),
            (a.point_labels, bytemuck::cast_slice(&s.labels)),
            (a.lens, bytemuck::cast_slice(&s.lens)),
            (a.image, bytemuck::cast_slice(&s.image)),
            (a.source, bytemuck::cast_slice(&s.source)),
            (a.identity, bytemuck::cast_slice(&s.identity)),
            (a.entry_image, bytemuck::cast_slice(&s.entry_image)),
            (a.entry_mask, bytemuck::cast_slice(&s.entry_mask)),
        ]);
        let masks = each(jobs, range.clone()).filter_map(|(_, prompt, _)| prompt.mask_input);
        for (i, mask) in masks.enumerate() {
            b.upload(a.mask_input.slice(i, 1), bytemuck::cast_slice(mask));
        }

        self.decode.run((batch, n, clean.is_some()), b, &[&self.scratch, &self.features], |b| {
            net.mask_decoder.run(b, &a, &net.prompt_encoder, &features, selection);
            if let (Some(cleaning), Some(clean)) = (cleaning, &clean) {
                b.clean_masks(clean.masks, a.masks, selected, clean.labels, clean.areas, cleaning);
            }
        });

        s.iou.resize(batch.prompts * 4, 0.0);
        s.scores.resize(batch.prompts, 0.0);
        s.selected.resize(batch.prompts * n, 0);
        b.download(bytemuck::cast_slice_mut(&mut s.iou), a.iou);
        b.download(bytemuck::cast_slice_mut(&mut s.scores), a.scores);
        b.download(bytemuck::cast_slice_mut(&mut s.selected), selected);
        Ok(batch)
    }

    /// One pass over prompts `range`, counted through all jobs.
    fn pass(
        &mut self,
        jobs: &mut [Job<'_>],
        range: Range<usize>,
        selection: Selection,
        cleaning: Option<Cleaning>,
    ) -> Result<()> {
        let batch = self.find(jobs, range.clone(), selection, cleaning)?;
        let (net, b, s, n) = (&*self.net, &self.b, &mut self.staging, selection.masks());
        let (side, total) = (net.config.mask_side(), jobs.iter().map(|job| job.prompts.len()).sum());
        let PassActs { decoder: a, selected, clean } =
            PassActs::carve(&self.scratch, net, batch, n, cleaning.is_some());
        let mut start = 0;
        for job in jobs.iter_mut() {
            let own = start..start + job.prompts.len();
            start = own.end;
            let part = range.start.max(own.start)..range.end.min(own.end);
            if part.is_empty() {
                continue;
            }
            let (first, at, count) = (part.start - range.start, part.start - own.start, part.len());
            let (low, chosen) = (a.masks.slice(first, count), selected.slice(first, count));
            if let Some(out) = &mut job.masks {
                let (masks, chosen) = match &clean {
                    Some(clean) => (clean.masks.slice(first, count), None),
                    None => (low, Some(chosen)),
                };
                if out.buffer.format() == MaskFormat::Labels {
                    let acts = LabelActs::carve(&mut self.aside.carve(), total, b.prompts_per_pass(), side);
                    s.first.resize(b.prompts_per_pass(), 0);
                    b.upload(acts.first, bytemuck::cast_slice(&s.first));
                    let rows = chosen.map_or(acts.first.prefix(&[count]), |chosen| chosen.view(&[count]));
                    let to = acts.masks.slice(at, count).view(&[count, side * side]);
                    b.pick_rows(to, masks.view(&[count, masks.dim(1), side * side]), 0, rows);
                    if range.end == total {
                        b.write_labels(out.lend(), acts.masks, None);
                    }
                } else {
                    b.write_masks(out.part(at * n, count * n), masks, chosen);
                }
            }
            if let Some(out) = &mut job.low_res {
                let size = n * side * side;
                let buffer = MaskBuffer::logits(&mut out[at * size..][..count * size]);
                b.write_masks(MaskOut { buffer, limit: 32.0, height: side, width: side }, low, Some(chosen));
            }
        }
        self.pending = false;
        b.sync()?;
        self.scratch.check(b)?;
        self.aside.check(b)?;

        let (mut p, mut start) = (0, 0);
        for job in jobs {
            for to in 0..job.prompts.len() {
                if !range.contains(&(start + to)) {
                    continue;
                }
                for i in 0..n {
                    job.iou[to * n + i] = s.iou[p * 4 + s.selected[p * n + i] as usize];
                }
                if let Some(scores) = &mut job.scores {
                    scores[to] = s.scores[p];
                }
                p += 1;
            }
            start += job.prompts.len();
        }
        Ok(())
    }
}

pub(crate) fn on_the_cpu(what: &str) -> Error {
    Error::input(format!("the {what} is in a GPU's memory, but the model runs on the CPU"))
}

/// Prompts `range` of all jobs: image, prompt, extent.
fn each<'j>(
    jobs: &'j [Job<'_>],
    range: Range<usize>,
) -> impl Iterator<Item = (usize, &'j Prompt<'j>, [f32; 2])> + Clone {
    let all = jobs.iter().enumerate().flat_map(|(i, job)| job.prompts.iter().map(move |p| (i, p, job.extent)));
    all.skip(range.start).take(range.len())
}

impl Staging {
    /// Copies prompts `range` and returns the size of their pass. `side` is the model's image size.
    fn fill(&mut self, jobs: &[Job<'_>], range: Range<usize>, side: f32) -> Batch {
        let p = range.len();
        let prompts = each(jobs, range);
        let longest = prompts.clone().map(|(_, prompt, _)| prompt.sparse_len()).max().unwrap_or(0);
        for v in [&mut self.points, &mut self.iou, &mut self.scores] {
            v.clear();
        }
        for v in [&mut self.labels, &mut self.lens, &mut self.image, &mut self.source, &mut self.identity] {
            v.clear();
        }
        for v in [&mut self.entry_image, &mut self.entry_mask, &mut self.selected] {
            v.clear();
        }
        let mut masks = 0;
        for (i, (image, prompt, extent)) in prompts.enumerate() {
            let end = (i + 1) * longest;
            let mut push = |x: f32, y: f32, label: i32| {
                // In the reference's order of operations: to the model's pixels, to their centres, to 0..1.
                let unit = |v: f32, extent: f32| (v / extent * side + 0.5) / side;
                self.points.extend([unit(x, extent[0]), unit(y, extent[1])]);
                self.labels.push(label);
            };
            if let Some([x0, y0, x1, y1]) = prompt.box_ {
                push(x0, y0, 2);
                push(x1, y1, 3);
            }
            prompt.points.iter().for_each(|p| push(p.x, p.y, p.label));
            // The point that says nothing, and room up to the longest prompt.
            self.points.resize(2 * end, 0.0);
            self.labels.resize(end, -1);
            self.lens.push((OUTPUT_TOKENS + prompt.sparse_len()) as i32);
            self.image.push(image as i32);
            self.identity.push(i as i32);
            let mask = prompt.mask_input.map_or(-1, |_| masks);
            masks += (mask >= 0) as i32;
            // Prompts without a mask share the entry of their image.
            let entry = (image as i32, mask);
            let known = self.entry_image.iter().zip(&self.entry_mask).position(|(&i, &m)| (i, m) == entry);
            self.source.push(known.unwrap_or(self.entry_image.len()) as i32);
            if known.is_none() {
                self.entry_image.push(entry.0);
                self.entry_mask.push(entry.1);
            }
        }
        Batch { prompts: p, tokens: OUTPUT_TOKENS + longest, entries: self.entry_image.len(), masks: masks as usize }
    }
}

impl<B: Backend> ImageWorker for Worker<B> {
    fn images(&self) -> usize {
        self.images
    }

    fn reserve(&mut self, images: usize, points: usize, masks: bool, clean: bool) -> Result<()> {
        let prompts = self.b.prompts_per_pass();
        // One more for the point that says nothing.
        let tokens = points.saturating_add(OUTPUT_TOKENS + 1);
        let batch = Batch { prompts, tokens, entries: prompts, masks: if masks { prompts } else { 0 } };
        self.reserve_images(images)?;
        self.reserve_encode()?;
        self.reserve_decode(batch, clean)
    }

    fn encode(&mut self, frames: &[Frame<'_>]) -> Result<()> {
        if !self.b.takes_device_memory() && frames.iter().any(Frame::is_device) {
            return Err(on_the_cpu("picture"));
        }
        self.images = 0;
        if self.pending {
            self.synchronize()?;
        }
        self.reserve_images(frames.len())?;
        self.reserve_encode()?;
        self.pending = true;
        let (net, b) = (&*self.net, &self.b);
        let all = Features::carve(&mut self.features.carve(), &net.config, net.policy, self.capacity);
        for (i, frame) in frames.iter().enumerate() {
            self.scratch.poison(b);
            let a = image_encoder::Acts::carve(&mut self.scratch.carve(), &net.config, net.policy);
            b.preprocess(a.image, frame, Filter::Bilinear);
            let out = all.of(i);
            self.encode.run(i, b, &[&self.scratch, &self.features], |b| {
                net.image_encoder.run(b, &a, &out);
                if net.config.memory.directly_add_no_mem_embed {
                    b.add_vector(out.embed, out.embed, net.no_mem_embed.at());
                }
                b.probe("image_embed", out.embed);
                b.probe("dense_pe", net.prompt_encoder.dense_position.at());
            });
            self.scratch.check(b)?;
        }
        // What failed on the way; what the device does is known when masks come back.
        b.failure()?;
        self.images = frames.len();
        Ok(())
    }

    fn survey(
        &mut self,
        survey: &Survey<'_>,
        keep: &mut dyn FnMut(&Found) -> bool,
        take: &mut dyn FnMut(&Found, &[u8]) -> Result<()>,
    ) -> Result<()> {
        self.survey_all(survey, keep, take)
    }

    fn decode(&mut self, jobs: &mut [Job<'_>], selection: Selection, cleaning: Option<Cleaning>) -> Result<()> {
        let mut outs = jobs.iter().filter_map(|job| job.masks.as_ref());
        if outs.clone().any(|out| out.buffer.is_device()) && !self.b.takes_device_memory() {
            return Err(on_the_cpu("buffer for masks"));
        }
        let total = jobs.iter().map(|job| job.prompts.len()).sum();
        if outs.any(|out| out.buffer.format() == MaskFormat::Labels) {
            let (b, side) = (&self.b, self.net.config.mask_side());
            self.aside.reserve(b, "masks to be labelled", |c| {
                LabelActs::carve(c, total, b.prompts_per_pass(), side);
            })?;
            self.aside.poison(b);
            if let ([Job { masks: Some(out), .. }], 0) = (&mut *jobs, total) {
                // A map without labels.
                let acts = LabelActs::carve(&mut self.aside.carve(), 0, b.prompts_per_pass(), side);
                b.write_labels(out.lend(), acts.masks, None);
                return b.sync();
            }
        }
        for first in (0..total).step_by(self.b.prompts_per_pass()) {
            self.pass(jobs, first..(first + self.b.prompts_per_pass()).min(total), selection, cleaning)?;
        }
        Ok(())
    }

    fn features(&mut self, feature: Feature, image: usize) -> Result<(Vec<f32>, [usize; 3])> {
        if image >= self.images {
            return Err(Error::input(format!("no features of image {image}: {} are set", self.images)));
        }
        let net = &*self.net;
        let all = Features::carve(&mut self.features.carve(), &net.config, net.policy, self.capacity).of(image);
        let x = match feature {
            Feature::ImageEmbedding => all.embed,
            Feature::HighRes1 => all.high1,
            Feature::HighRes0 => all.high0,
        };
        let [h, w, c] = *x.dims() else { return Err(Error::Internal(format!("features {x:?}"))) };
        let mut bytes = try_zeros::<u8>(x.len() * x.dtype().bytes(), "features")?;
        self.b.download(&mut bytes, x);
        self.b.sync()?;
        let mut last = try_zeros::<f32>(h * w * c, "features")?;
        last.clear();
        x.dtype().widen(&bytes, &mut last);
        let first = try_from_fn(h * w * c, "features", |i| last[i % (h * w) * c + i / (h * w)])?;
        Ok((first, [c, h, w]))
    }

    fn works_ahead(&self) -> bool {
        self.b.records()
    }

    fn synchronize(&mut self) -> Result<()> {
        self.pending = false;
        self.b.sync()
    }

    fn counters(&self) -> Counters {
        self.b.counters()
    }

    fn profile(&mut self, on: bool) -> Vec<KernelTime> {
        self.b.profile(on)
    }

    fn set_probe(&mut self, probe: Option<Probe>) {
        self.b.set_probe(probe);
    }

    fn bytes(&self) -> usize {
        self.scratch.bytes() + self.features.bytes() + self.aside.bytes()
    }
}

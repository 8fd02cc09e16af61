//! Batches of prompts on the current images.

use super::worker::{CandidateMask, Feature, FeatureMap, ImageWorker, Job, MaskFilter};
use crate::backend::arena::{Arena, Carver, Placement};
use crate::backend::stage::Stage;
use crate::backend::tensor::{DType, Tensor};
use crate::backend::{Backend, Cleaning, Counters, KernelTime, ProbeFn, Selection};
use crate::error::{Error, Result};
use crate::masks::buffer::{MaskBuffer, MaskOut};
use crate::media::frame::Frame;
use crate::memory::{try_from_fn, try_zeros};
use crate::model::Network;
use crate::model::mask_decoder::{self, Batch, OUTPUT_TOKENS};
use crate::session::features::{Purpose, StoredFeatures};
use crate::session::prompt::{Point, Prompt};
use crate::session::queue::{Session, floats, ints, on_the_cpu};
use crate::session::staging::{Entry, PromptTables};
use std::ops::Range;
use std::sync::Arc;

/// Results of a batch on the host. Later batches use the same memory again.
#[derive(Default)]
pub(super) struct BatchResults {
    /// (prompts, 4)
    pub iou: Vec<f32>,
    /// (prompts)
    pub scores: Vec<f32>,
    /// (prompts, masks): the index, among the four masks of a prompt, of each mask that was chosen.
    pub selected: Vec<i32>,
}

/// The worker of image predictors on a backend.
pub(crate) struct ImageQueue<B: Backend> {
    pub(super) session: Session<B>,
    /// Memory in addition to the scratch memory of a batch. It holds the tables of a filter, or the masks of a call
    /// that writes labels. Such masks are kept until all of them are decoded.
    pub(super) aside: Arena<B>,
    images: usize,
    /// Whether the copies of the current images may still be in progress. If so, the next images wait for the copies.
    pub(super) pending: bool,
    decoder: Stage<B, (Batch, usize, bool)>,
    prompts: PromptTables,
    pub(super) results: BatchResults,
    /// Zeros, one for each prompt of a batch.
    first: Vec<i32>,
}

/// Masks that are cleaned of small regions, and the scratch tensors for the cleaning.
pub(super) struct CleanActs<'a> {
    pub masks: Tensor<'a>,
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

/// The tensors of a batch.
pub(super) struct BatchActs<'a> {
    pub decoder: mask_decoder::Acts<'a>,
    /// (prompts, masks) i32: the index, among the four masks of a prompt, of each mask that was chosen.
    selected: Tensor<'a>,
    pub clean: Option<CleanActs<'a>>,
}

impl<'a> BatchActs<'a> {
    pub fn carve<B: Backend>(scratch: &'a Arena<B>, net: &Network<B>, batch: Batch, masks: usize, clean: bool) -> Self {
        let mut carver = scratch.carve();
        let decoder = mask_decoder::Acts::carve(&mut carver, &net.config, net.policy, batch);
        let side = net.config.mask_side();
        BatchActs {
            selected: decoder.selected.prefix(&[batch.prompts, masks]),
            clean: clean.then(|| CleanActs::carve(&mut carver, batch.prompts, masks, side)),
            decoder,
        }
    }
}

/// Masks that are kept until all of them are decoded, so that the label map can be written.
struct LabelActs<'a> {
    /// (prompts, 1, side, side)
    masks: Tensor<'a>,
    /// (prompts of a batch) i32: zeros.
    first: Tensor<'a>,
}

impl<'a> LabelActs<'a> {
    fn carve(c: &mut Carver<'a>, prompts: usize, batch: usize, side: usize) -> Self {
        LabelActs { masks: c.take(DType::F32, &[prompts, 1, side, side]), first: c.take(DType::I32, &[batch]) }
    }
}

/// Returns the prompts `range`, counted through all jobs, each with the index and the extent of its image.
fn prompts_of<'j>(
    jobs: &'j [Job<'_>],
    range: Range<usize>,
) -> impl Iterator<Item = (usize, &'j Prompt<'j>, [f32; 2])> + Clone {
    let all = jobs.iter().enumerate().flat_map(|(i, job)| job.prompts.iter().map(move |p| (i, p, job.extent)));
    all.skip(range.start).take(range.len())
}

/// Returns the points of a prompt: the corners of the box, then the points.
fn points_of<'p>(prompt: &'p Prompt<'_>) -> impl Iterator<Item = Point> + 'p {
    let corner = |x, y, label| Point { x, y, label };
    let corners = prompt.bounds.map(|[x0, y0, x1, y1]| [corner(x0, y0, 2), corner(x1, y1, 3)]);
    corners.into_iter().flatten().chain(prompt.points.iter().copied())
}

impl<B: Backend> ImageQueue<B> {
    pub fn new(net: Arc<Network<B>>, b: B, place: &Placement) -> Self {
        ImageQueue {
            session: Session::new(net, b, Purpose::Image, place),
            aside: Arena::new(place),
            images: 0,
            pending: false,
            decoder: Stage::default(),
            prompts: PromptTables::default(),
            results: BatchResults::default(),
            first: Vec::new(),
        }
    }

    fn reserve_decode(&mut self, batch: Batch, clean: bool) -> Result<()> {
        let net = self.session.net.clone();
        self.session.reserve_scratch(|c| {
            mask_decoder::Acts::carve(c, &net.config, net.policy, batch);
            if clean {
                CleanActs::carve(c, batch.prompts, 3, net.config.mask_side());
            }
        })
    }

    /// Enqueues the decoding of the prompts `range`, counted through all jobs. `results` is valid after the next wait.
    pub(super) fn enqueue_decode(
        &mut self,
        jobs: &[Job<'_>],
        range: Range<usize>,
        selection: Selection,
        cleaning: Option<Cleaning>,
    ) -> Result<Batch> {
        let prompts = prompts_of(jobs, range.clone());
        let side = self.session.net.config.image_size as f32;
        self.prompts.start(prompts.clone().map(|(_, prompt, _)| prompt.sparse_len()).max().unwrap_or(0));
        for (image, prompt, extent) in prompts {
            let (tokens, mask) = (prompt.sparse_len(), prompt.mask_input.is_some());
            self.prompts.push(points_of(prompt), extent, side, Entry { tokens, image, embedding: image, mask });
        }
        let batch = self.prompts.batch();
        self.reserve_decode(batch, cleaning.is_some())?;
        let Session { b, net, scratch, features, .. } = &self.session;
        let (s, n) = (&mut self.results, selection.masks());
        scratch.poison(b);
        let BatchActs { decoder: a, selected, clean } = BatchActs::carve(scratch, net, batch, n, cleaning.is_some());
        let image_features = self.session.all_features();
        self.prompts.upload(b, &a);
        let masks = prompts_of(jobs, range).filter_map(|(_, prompt, _)| prompt.mask_input);
        masks.enumerate().for_each(|(i, mask)| b.upload(a.mask_input.slice(i, 1), floats(mask)));

        self.decoder.run((batch, n, clean.is_some()), b, &[scratch, features], |b| {
            net.mask_decoder.run(b, &a, &net.prompt_encoder, &image_features, selection);
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

    /// Waits for the enqueued batch.
    pub(super) fn wait(&mut self) -> Result<()> {
        self.pending = false;
        let Session { b, scratch, .. } = &self.session;
        b.sync()?;
        scratch.check(b)?;
        self.aside.check(b)
    }

    /// Decodes the prompts `range`, counted through all jobs.
    fn decode_batch(
        &mut self,
        jobs: &mut [Job<'_>],
        range: Range<usize>,
        selection: Selection,
        cleaning: Option<Cleaning>,
    ) -> Result<()> {
        let batch = self.enqueue_decode(jobs, range.clone(), selection, cleaning)?;
        self.write_batch(jobs, range.clone(), batch, selection, cleaning.is_some());
        self.wait()?;
        self.results.copy_to(jobs, range, selection.masks());
        Ok(())
    }

    /// Enqueues the writing of the masks of a batch to the buffers of the jobs.
    fn write_batch(
        &mut self,
        jobs: &mut [Job<'_>],
        range: Range<usize>,
        batch: Batch,
        selection: Selection,
        clean: bool,
    ) {
        let Session { b, net, scratch, .. } = &self.session;
        let (side, n) = (net.config.mask_side(), selection.masks());
        let total = jobs.iter().map(|job| job.prompts.len()).sum();
        let BatchActs { decoder: a, selected, clean } = BatchActs::carve(scratch, net, batch, n, clean);
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
                if out.buffer.format().is_label_map() {
                    let acts = LabelActs::carve(&mut self.aside.carve(), total, b.max_prompts_per_batch(), side);
                    self.first.resize(b.max_prompts_per_batch(), 0);
                    b.upload(acts.first, ints(&self.first));
                    let rows = chosen.map_or(acts.first.prefix(&[count]), |chosen| chosen.view(&[count]));
                    let to = acts.masks.slice(at, count).view(&[count, side * side]);
                    b.gather_rows(to, masks.view(&[count, masks.dim(1), side * side]), 0, rows);
                    if range.end == total {
                        b.write_labels(out.lend(), acts.masks, None, None);
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
    }
}

impl BatchResults {
    /// Copies the IoUs and scores of the prompts `range`, counted through all jobs, to the jobs.
    fn copy_to(&self, jobs: &mut [Job<'_>], range: Range<usize>, n: usize) {
        let (mut p, mut start) = (0, 0);
        for job in jobs {
            for to in 0..job.prompts.len() {
                if !range.contains(&(start + to)) {
                    continue;
                }
                for i in 0..n {
                    job.iou[to * n + i] = self.iou[p * 4 + self.selected[p * n + i] as usize];
                }
                if let Some(scores) = &mut job.scores {
                    scores[to] = self.scores[p];
                }
                p += 1;
            }
            start += job.prompts.len();
        }
    }
}

impl<B: Backend> ImageWorker for ImageQueue<B> {
    fn images(&self) -> usize {
        self.images
    }

    fn reserve(&mut self, images: usize, points: usize, masks: bool, clean: bool) -> Result<()> {
        let prompts = self.session.b.max_prompts_per_batch();
        // One more for the padding point.
        let tokens = points.saturating_add(OUTPUT_TOKENS + 1);
        let batch = Batch { prompts, tokens, entries: prompts, masks: if masks { prompts } else { 0 } };
        if !self.session.has_room(images) {
            self.images = 0;
        }
        self.session.reserve_features(images)?;
        self.session.reserve_encoder()?;
        self.reserve_decode(batch, clean)
    }

    fn encode(&mut self, images: &[Frame<'_>]) -> Result<()> {
        self.session.check_memory(images)?;
        self.images = 0;
        if self.pending {
            self.synchronize()?;
        }
        self.session.reserve_features(images.len())?;
        self.pending = true;
        for (i, image) in images.iter().enumerate() {
            self.session.encode(i, image, false)?;
        }
        self.images = images.len();
        Ok(())
    }

    fn filter_masks(
        &mut self,
        filter: &MaskFilter<'_>,
        keep: &mut dyn FnMut(&CandidateMask) -> bool,
        take: &mut dyn FnMut(&CandidateMask, &[u8]) -> Result<()>,
    ) -> Result<()> {
        self.filter(filter, keep, take)
    }

    fn decode(&mut self, jobs: &mut [Job<'_>], selection: Selection, cleaning: Option<Cleaning>) -> Result<()> {
        let (b, side) = (&self.session.b, self.session.net.config.mask_side());
        let mut outs = jobs.iter().filter_map(|job| job.masks.as_ref());
        if outs.clone().any(|out| out.buffer.is_device()) && !b.takes_device_memory() {
            return Err(on_the_cpu("buffer for masks"));
        }
        let (total, per_batch) = (jobs.iter().map(|job| job.prompts.len()).sum(), b.max_prompts_per_batch());
        if outs.any(|out| out.buffer.format().is_label_map()) {
            self.aside.reserve(b, "masks to be labelled", |c| {
                LabelActs::carve(c, total, per_batch, side);
            })?;
            self.aside.poison(b);
            if let ([Job { masks: Some(out), .. }], 0) = (&mut *jobs, total) {
                // A map without labels.
                let acts = LabelActs::carve(&mut self.aside.carve(), 0, per_batch, side);
                b.write_labels(out.lend(), acts.masks, None, None);
                return b.sync();
            }
        }
        for first in (0..total).step_by(per_batch) {
            self.decode_batch(jobs, first..(first + per_batch).min(total), selection, cleaning)?;
        }
        Ok(())
    }

    fn features(&mut self, feature: Feature, image: usize) -> Result<FeatureMap> {
        if image >= self.images {
            return Err(Error::input(format!("no features of image {image}: {} are set", self.images)));
        }
        let all = self.session.all_features().of(image);
        let x = match feature {
            Feature::ImageEmbedding => all.embed,
            Feature::HighRes1 => all.high1,
            Feature::HighRes0 => all.high0,
        };
        let [h, w, c] = *x.dims() else { return Err(Error::Internal(format!("features {x:?}"))) };
        let mut bytes = try_zeros::<u8>(x.len() * x.dtype().bytes(), "features")?;
        self.session.b.download(&mut bytes, x);
        self.session.b.sync()?;
        let mut last = try_zeros::<f32>(h * w * c, "features")?;
        last.clear();
        x.dtype().widen(&bytes, &mut last);
        let values = try_from_fn(h * w * c, "features", |i| last[i % (h * w) * c + i / (h * w)])?;
        Ok(FeatureMap { values, channels: c, height: h, width: w })
    }

    fn take_features(&mut self) -> Result<StoredFeatures> {
        let features = self.session.take_features()?;
        (self.images, self.pending) = (0, false);
        Ok(features)
    }

    fn network(&self) -> u64 {
        self.session.net.id
    }

    fn set_features(&mut self, features: StoredFeatures, images: usize) -> Result<()> {
        self.session.set_features(features)?;
        self.images = images;
        Ok(())
    }

    fn works_ahead(&self) -> bool {
        self.session.b.records()
    }

    fn synchronize(&mut self) -> Result<()> {
        self.pending = false;
        self.session.b.sync()
    }

    fn counters(&self) -> Counters {
        self.session.b.counters()
    }

    fn profile(&mut self, on: bool) -> Vec<KernelTime> {
        self.session.b.profile(on)
    }

    fn set_probe(&mut self, probe: Option<ProbeFn>) {
        self.session.b.set_probe(probe);
    }

    fn bytes(&self) -> usize {
        self.session.bytes() + self.aside.bytes()
    }
}

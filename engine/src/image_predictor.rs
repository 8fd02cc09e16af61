//! Masks of objects in pictures.

use crate::backend::{Cleaning, Counters, KernelTime, Measure, Probe, Selection};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::mask_out::{MaskBuffer, MaskFormat, MaskOut};
use crate::memory::try_zeros;
use crate::prompt::Prompt;
use crate::worker::{Feature, Found, ImageWorker, Job, Survey};

/// How masks are made of logits; the defaults are the reference's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ImagePredictorOptions {
    /// Logits above it are foreground.
    pub mask_threshold: f32,
    /// Holes of up to this many pixels of the low-resolution mask are filled; 0: none.
    pub max_hole_area: f32,
    /// Specks of up to this many pixels of the low-resolution mask are removed; 0: none.
    pub max_sprinkle_area: f32,
}

/// Options of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PredictOptions {
    /// Three masks per prompt, for when it is not clear what is meant, instead of one.
    pub multimask_output: bool,
    /// Logits instead of binary masks. [`ImagePredictor::predict_into`] goes by the buffer instead.
    pub return_logits: bool,
    /// Coordinates are pixels of the picture; otherwise they are in 0..1.
    pub normalize_coords: bool,
}

impl Default for PredictOptions {
    fn default() -> Self {
        PredictOptions { multimask_output: true, return_logits: false, normalize_coords: true }
    }
}

/// Masks of some prompts on one picture, `n` per prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// (prompts, n, height, width)
    pub masks: Masks,
    /// (prompts, n): how well the model thinks each mask fits, about 0..=1.
    pub iou_predictions: Vec<f32>,
    /// (prompts, n, mask_side, mask_side): logits clamped to +-32, to be fed back as mask input.
    pub low_res_masks: Vec<f32>,
    /// (prompts): above 0 where the model sees an object.
    pub object_score_logits: Vec<f32>,
    /// Number of prompts.
    pub prompts: usize,
    /// Masks per prompt.
    pub masks_per_prompt: usize,
    /// Height of the picture.
    pub height: usize,
    /// Width of the picture.
    pub width: usize,
}

/// The full-size masks of a [`Prediction`].
#[derive(Clone, Debug, PartialEq)]
pub enum Masks {
    /// 1 on the object, 0 elsewhere.
    Binary(Vec<u8>),
    /// Logits.
    Logits(Vec<f32>),
}

impl Prediction {
    /// The mask of `prompt` with the highest predicted IoU, the first of equals, counted through all masks.
    pub fn best(&self, prompt: usize) -> usize {
        let first = prompt * self.masks_per_prompt;
        let iou = &self.iou_predictions;
        (first + 1..first + self.masks_per_prompt).fold(first, |best, i| if iou[i] > iou[best] { i } else { best })
    }
}

/// The caller's buffers for the results of a call; see [`Prediction`] for their contents.
pub struct PredictionBuffers<'a> {
    /// (prompts, n, height, width) in the buffer's format; labels, (height, width), are 1 + the prompt's place, and need one
    /// mask per prompt (`multimask_output` false).
    pub masks: Option<MaskBuffer<'a>>,
    /// (prompts, n)
    pub iou_predictions: &'a mut [f32],
    /// (prompts, n, mask_side, mask_side)
    pub low_res_masks: Option<&'a mut [f32]>,
    /// (prompts)
    pub object_score_logits: Option<&'a mut [f32]>,
}

/// Takes the first `n` values off a slice.
fn front<'a>(all: &mut &'a mut [f32], n: usize) -> &'a mut [f32] {
    let (first, rest) = std::mem::take(all).split_at_mut(n);
    *all = rest;
    first
}

/// Encodes pictures, then makes masks for prompts on them.
///
/// One thread uses a predictor at a time; any number of predictors share a model.
pub struct ImagePredictor {
    worker: Box<dyn ImageWorker>,
    options: ImagePredictorOptions,
    mask_side: usize,
    dynamic_multimask: Option<(f32, f32)>,
    /// Height and width of the current pictures.
    sizes: Vec<(usize, usize)>,
}

impl ImagePredictor {
    pub(crate) fn new(worker: Box<dyn ImageWorker>, config: &Config, options: ImagePredictorOptions) -> Result<Self> {
        let ImagePredictorOptions { mask_threshold, max_hole_area, max_sprinkle_area } = options;
        if !mask_threshold.is_finite() || max_hole_area.is_nan() || max_sprinkle_area.is_nan() {
            let what = format!("threshold {mask_threshold}, hole {max_hole_area}, sprinkle {max_sprinkle_area}");
            return Err(Error::input(format!("options of a predictor: {what}; expected numbers")));
        }
        Ok(ImagePredictor {
            worker,
            options,
            mask_side: config.mask_side(),
            dynamic_multimask: config.dynamic_multimask,
            sizes: Vec::new(),
        })
    }

    /// Side of low-resolution masks and of mask inputs.
    pub fn mask_side(&self) -> usize {
        self.mask_side
    }

    /// Allocates what calls of this size need: so many pictures, prompts of up to `points` points (a box is two), and
    /// mask inputs or not. After that, and one call of each kind, nothing allocates until a call is larger.
    ///
    /// Room for more pictures than there ever was forgets the current ones, also when it fails.
    pub fn reserve(&mut self, images: usize, points: usize, mask_input: bool) -> Result<()> {
        let result = self.worker.reserve(images.max(1), points, mask_input, self.cleaning().is_some());
        if self.worker.images() == 0 {
            self.sizes.clear();
        }
        result
    }

    /// Encodes a picture; the ones of before are forgotten.
    ///
    /// On a GPU this only enqueues the work, once the pixels are copied: `predict` waits for it. A failure of the device
    /// may show there.
    pub fn set_image(&mut self, image: &Frame<'_>) -> Result<()> {
        self.set_image_batch(std::slice::from_ref(image))
    }

    /// Encodes several pictures, of any sizes.
    pub fn set_image_batch(&mut self, images: &[Frame<'_>]) -> Result<()> {
        self.sizes.clear();
        if images.is_empty() {
            return Err(Error::input("no picture given"));
        }
        images.iter().try_for_each(Frame::check_floats)?;
        self.worker.encode(images)?;
        self.sizes.extend(images.iter().map(|f| (f.height(), f.width())));
        Ok(())
    }

    /// Waits for what is enqueued: only of use to those who measure, or who take back memory they lent.
    pub fn synchronize(&mut self) -> Result<()> {
        self.worker.synchronize()
    }

    /// Forgets the pictures.
    pub fn reset_predictor(&mut self) {
        self.sizes.clear();
    }

    /// Height and width of the current pictures.
    pub fn image_sizes(&self) -> &[(usize, usize)] {
        &self.sizes
    }

    /// Masks for each prompt on the current picture. All prompts are decoded together, whatever their lengths.
    pub fn predict(&mut self, prompts: &[Prompt<'_>], options: PredictOptions) -> Result<Prediction> {
        self.the_image()?;
        let mut all = self.predict_all(&[prompts], options)?;
        all.pop().ok_or_else(|| Error::Internal("a picture without a prediction".into()))
    }

    /// As [`ImagePredictor::predict`] for every picture of a batch, all in one go: `prompts[i]` are for picture `i`.
    pub fn predict_batch(&mut self, prompts: &[&[Prompt<'_>]], options: PredictOptions) -> Result<Vec<Prediction>> {
        self.check_pictures(prompts.len())?;
        self.predict_all(prompts, options)
    }

    /// As [`ImagePredictor::predict`], into buffers of the caller's.
    pub fn predict_into(
        &mut self,
        prompts: &[Prompt<'_>],
        options: PredictOptions,
        out: PredictionBuffers<'_>,
    ) -> Result<()> {
        let (size, mut out) = (self.the_image()?, out);
        self.check_buffers(prompts.len(), 1, options, &out)?;
        let mut jobs = [self.job(prompts, size, options, &mut out, true)?];
        self.decode(&mut jobs, options)
    }

    /// As [`ImagePredictor::predict_batch`], into buffers of the caller's: what is of one picture comes after what is of the one
    /// before. A map of labels is of one picture only.
    pub fn predict_batch_into(
        &mut self,
        prompts: &[&[Prompt<'_>]],
        options: PredictOptions,
        out: PredictionBuffers<'_>,
    ) -> Result<()> {
        self.check_pictures(prompts.len())?;
        let mut out = out;
        self.check_buffers(prompts.iter().map(|p| p.len()).sum(), prompts.len(), options, &out)?;
        let each = prompts.iter().zip(&self.sizes).enumerate();
        let jobs: Result<Vec<Job<'_>>> =
            each.map(|(i, (p, size))| self.job(p, *size, options, &mut out, i + 1 == prompts.len())).collect();
        self.decode(&mut jobs?, options)
    }

    /// Fails where buffers, but for masks, are not of the size that so many prompts take.
    fn check_buffers(
        &self,
        prompts: usize,
        pictures: usize,
        options: PredictOptions,
        out: &PredictionBuffers<'_>,
    ) -> Result<()> {
        let (n, side) = (self.selection(options).masks(), self.mask_side);
        if out.masks.as_ref().is_some_and(|m| m.format() == MaskFormat::Labels) && (n > 1 || pictures != 1) {
            let what = "labels are for one mask per prompt, without multimask_output, on one picture";
            return Err(Error::input(format!("buffer masks: {what}")));
        }
        for (name, need, got) in [
            ("iou_predictions", prompts * n, Some(out.iou_predictions.len())),
            ("low_res_masks", prompts * n * side * side, out.low_res_masks.as_ref().map(|d| d.len())),
            ("object_score_logits", prompts, out.object_score_logits.as_ref().map(|d| d.len())),
        ] {
            if got.is_some_and(|got| got != need) {
                return Err(Error::input(format!("buffer {name}: {need} elements needed, got {got:?}")));
            }
        }
        Ok(())
    }

    /// The prompts on one picture, with the first of what is left of the buffers; the last picture's masks are all that is left.
    fn job<'a>(
        &self,
        prompts: &'a [Prompt<'a>],
        (height, width): (usize, usize),
        options: PredictOptions,
        left: &mut PredictionBuffers<'a>,
        last: bool,
    ) -> Result<Job<'a>> {
        let (n, side) = (prompts.len() * self.selection(options).masks(), self.mask_side);
        let masks = match left.masks.take() {
            Some(all) if !last => {
                let (own, rest) = all.split(n, height, width)?;
                left.masks = Some(rest);
                Some(own)
            }
            all => all,
        };
        if let Some(masks) = &masks {
            masks.check(n, height, width)?;
        }
        Ok(Job {
            prompts,
            extent: self.extent((height, width), options),
            masks: masks.map(|masks| MaskOut::new(masks, self.options.mask_threshold, height, width)),
            low_res: left.low_res_masks.as_mut().map(|all| front(all, n * side * side)),
            iou: front(&mut left.iou_predictions, n),
            scores: left.object_score_logits.as_mut().map(|all| front(all, prompts.len())),
        })
    }

    fn check_pictures(&self, given: usize) -> Result<()> {
        let set = self.sizes.len();
        if set == 0 {
            return Err(Error::input("no picture is set: call set_image first"));
        }
        if given != set {
            return Err(Error::input(format!("prompts for {given} pictures, {set} are set")));
        }
        Ok(())
    }

    /// Looks at many prompts at once, most of whose masks nobody wants: see [`Survey`]. `thresholds`: of masks, and its offset for
    /// stability.
    pub(crate) fn survey(
        &mut self,
        prompts: &[Prompt<'_>],
        multimask_output: bool,
        (threshold, offset): (f32, f32),
        iou_above: Option<f32>,
        at_once: usize,
        keep: &mut dyn FnMut(&Found) -> bool,
        take: &mut dyn FnMut(&Found, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let (height, width) = self.the_image()?;
        let options = PredictOptions { multimask_output, ..Default::default() };
        let extent = self.extent((height, width), options);
        prompts.iter().try_for_each(|prompt| prompt.check(extent, self.mask_side))?;
        let (selection, cleaning) = (self.selection(options), self.cleaning());
        let measure = Measure { threshold, offset, height, width };
        self.worker.survey(&Survey { prompts, extent, selection, cleaning, measure, iou_above, at_once }, keep, take)
    }

    /// Whether a device encodes a picture while its caller goes on.
    pub(crate) fn works_ahead(&self) -> bool {
        self.worker.works_ahead()
    }

    /// The features of picture `image`, as (channels, height, width): values, then that shape.
    pub fn features(&mut self, feature: Feature, image: usize) -> Result<(Vec<f32>, [usize; 3])> {
        if image >= self.sizes.len() {
            return Err(Error::input(format!("no picture {image}: {} are set", self.sizes.len())));
        }
        self.worker.features(feature, image)
    }

    /// The features of the current picture that the mask decoder reads, as the reference's method of this name.
    pub fn get_image_embedding(&mut self) -> Result<(Vec<f32>, [usize; 3])> {
        self.features(Feature::ImageEmbedding, 0)
    }

    /// Work done by this predictor so far.
    pub fn counters(&self) -> Counters {
        self.worker.counters()
    }

    /// Starts timing every kernel, or stops and returns what was measured.
    pub fn profile(&mut self, on: bool) -> Vec<KernelTime> {
        self.worker.profile(on)
    }

    /// Shows intermediate results of the calls to come; for debugging and tests.
    pub fn set_probe(&mut self, probe: Option<Probe>) {
        self.worker.set_probe(probe);
    }

    /// Bytes of device memory held beside the model's weights.
    pub fn memory_bytes(&self) -> usize {
        self.worker.bytes()
    }

    fn the_image(&self) -> Result<(usize, usize)> {
        match self.sizes[..] {
            [size] => Ok(size),
            [] => Err(Error::input("no picture is set: call set_image first")),
            _ => Err(Error::input(format!("{} pictures are set: call predict_batch", self.sizes.len()))),
        }
    }

    fn selection(&self, options: PredictOptions) -> Selection {
        match (options.multimask_output, self.dynamic_multimask) {
            (true, _) => Selection::Multimask,
            (false, Some((delta, thresh))) => Selection::Stable { delta, thresh },
            (false, None) => Selection::Single,
        }
    }

    fn cleaning(&self) -> Option<Cleaning> {
        let o = self.options;
        (o.max_hole_area > 0.0 || o.max_sprinkle_area > 0.0).then_some(Cleaning {
            threshold: o.mask_threshold,
            hole: o.max_hole_area,
            sprinkle: o.max_sprinkle_area,
            margin: 10.0,
        })
    }

    fn predict_all(&mut self, prompts: &[&[Prompt<'_>]], options: PredictOptions) -> Result<Vec<Prediction>> {
        let (n, side) = (self.selection(options).masks(), self.mask_side);
        let mut out = Vec::new();
        for (prompts, &(height, width)) in prompts.iter().zip(&self.sizes) {
            let count = prompts.len() * n;
            let full = count * height * width;
            out.push(Prediction {
                masks: if options.return_logits {
                    Masks::Logits(try_zeros(full, "masks")?)
                } else {
                    Masks::Binary(try_zeros(full, "masks")?)
                },
                iou_predictions: try_zeros(count, "scores")?,
                low_res_masks: try_zeros(count * side * side, "low-resolution masks")?,
                object_score_logits: try_zeros(prompts.len(), "scores")?,
                prompts: prompts.len(),
                masks_per_prompt: n,
                height,
                width,
            });
        }
        let threshold = self.options.mask_threshold;
        let mut jobs: Vec<Job<'_>> = (out.iter_mut().zip(prompts))
            .map(|(p, prompts)| Job {
                prompts,
                extent: self.extent((p.height, p.width), options),
                masks: Some(match &mut p.masks {
                    Masks::Binary(data) => MaskOut::new(MaskBuffer::binary(data), threshold, p.height, p.width),
                    Masks::Logits(data) => MaskOut::new(MaskBuffer::logits(data), threshold, p.height, p.width),
                }),
                low_res: Some(&mut p.low_res_masks),
                iou: &mut p.iou_predictions,
                scores: Some(&mut p.object_score_logits),
            })
            .collect();
        self.decode(&mut jobs, options)?;
        drop(jobs);
        Ok(out)
    }

    /// Width and height of a picture in the units of coordinates.
    fn extent(&self, (height, width): (usize, usize), options: PredictOptions) -> [f32; 2] {
        if options.normalize_coords { [width as f32, height as f32] } else { [1.0, 1.0] }
    }

    fn decode(&mut self, jobs: &mut [Job<'_>], options: PredictOptions) -> Result<()> {
        for job in &*jobs {
            for (i, prompt) in job.prompts.iter().enumerate() {
                let which = |e| if job.prompts.len() > 1 { Error::input(format!("prompt {i}: {e}")) } else { e };
                prompt.check(job.extent, self.mask_side).map_err(which)?;
            }
        }
        self.worker.decode(jobs, self.selection(options), self.cleaning())
    }
}

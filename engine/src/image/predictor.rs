//! The image predictor: encodes images, and predicts masks for prompts on them.

use super::prediction::{ImagePredictorOptions, Masks, PredictOptions, Prediction, PredictionBuffers, ReserveOptions};
use super::worker::{CandidateMask, Feature, FeatureMap, ImageWorker, Job, MaskFilter};
use crate::backend::{Cleaning, Counters, KernelTime, Measure, ProbeFn, Selection};
use crate::error::{Error, Result};
use crate::masks::buffer::{MaskBuffer, MaskFormat, MaskOut};
use crate::media::frame::Frame;
use crate::media::size::Size;
use crate::memory::try_zeros;
use crate::model::config::Config;
use crate::session::features::{Encoded, ImageFeatures};
use crate::session::prompt::Prompt;
use std::fmt;

/// Removes the first `n` values from a slice and returns them.
fn front<'a>(all: &mut &'a mut [f32], n: usize) -> &'a mut [f32] {
    let (first, rest) = std::mem::take(all).split_at_mut(n);
    *all = rest;
    first
}

/// Encodes images, and predicts masks for prompts on the images.
///
/// One thread uses a predictor at a time. Any number of predictors share a model.
pub struct ImagePredictor {
    worker: Box<dyn ImageWorker>,
    options: ImagePredictorOptions,
    mask_side: usize,
    dynamic_multimask: Option<(f32, f32)>,
    /// The sizes of the current images.
    sizes: Vec<Size>,
}

impl fmt::Debug for ImagePredictor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("ImagePredictor");
        out.field("options", &self.options).field("image_sizes", &self.sizes).finish_non_exhaustive()
    }
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

    /// Returns the side of low-resolution masks and of mask inputs.
    #[must_use]
    pub fn mask_side(&self) -> usize {
        self.mask_side
    }

    /// Allocates the memory that calls of this size need. After `reserve` and one call of each kind, a call allocates
    /// nothing unless the call is larger.
    ///
    /// If the memory for images grows, the current images are removed, also after an error.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`] if memory is exhausted. [`Error::Device`] if the device fails.
    pub fn reserve(&mut self, options: ReserveOptions) -> Result<()> {
        let ReserveOptions { images, points, mask_input } = options;
        let result = self.worker.reserve(images.max(1), points, mask_input, self.cleaning().is_some());
        if self.worker.images() == 0 {
            self.sizes.clear();
        }
        result
    }

    /// Encodes an image and makes it the current one. The previous images are removed.
    ///
    /// On a GPU the call copies the pixels, enqueues the work and returns. `predict` waits for the work, and may return
    /// an error of the device that belongs to this call.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if a float pixel of the image is not finite or is far from 0..=1, or if the image is in a GPU's
    /// memory and the model is on the CPU. [`Error::OutOfMemory`] if memory is exhausted. [`Error::Device`] if the
    /// device fails.
    pub fn set_image(&mut self, image: &Frame<'_>) -> Result<()> {
        self.set_image_batch(std::slice::from_ref(image))
    }

    /// Encodes several images of any sizes and makes them the current ones.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if there is no image. The other errors are those of [`ImagePredictor::set_image`].
    pub fn set_image_batch(&mut self, images: &[Frame<'_>]) -> Result<()> {
        self.sizes.clear();
        if images.is_empty() {
            return Err(Error::input("no image given"));
        }
        images.iter().try_for_each(Frame::check_floats)?;
        self.worker.encode(images)?;
        self.sizes.extend(images.iter().map(Frame::size));
        Ok(())
    }

    /// Waits for the enqueued work. Only callers that measure time, or that free memory they lent, need this function.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the device failed.
    pub fn synchronize(&mut self) -> Result<()> {
        self.worker.synchronize()
    }

    /// Takes the features of the current images out of the predictor. The predictor then has no images.
    ///
    /// The call waits for the device. The features hold memory of their own size. With `take_features` after
    /// `set_image`, and [`ImagePredictor::set_features`] before `predict`, one predictor can serve any number of
    /// images.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if no image is set, or if the predictor works in a [`Workspace`](crate::Workspace).
    /// [`Error::Device`] if encoding failed.
    pub fn take_features(&mut self) -> Result<ImageFeatures> {
        if self.sizes.is_empty() {
            return Err(Error::input("no image is set: call set_image first"));
        }
        let stored = self.worker.take_features()?;
        Ok(ImageFeatures { stored, what: Encoded::Images(std::mem::take(&mut self.sizes)) })
    }

    /// Makes the images of these features the current images, without encoding them.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if the features are of another model or of a video frame, or if the predictor works in a
    /// [`Workspace`](crate::Workspace). After an error the predictor is unchanged and the features are dropped. To keep
    /// the features, call [`ImagePredictor::check_features`] first.
    pub fn set_features(&mut self, features: ImageFeatures) -> Result<()> {
        self.check_features(&features)?;
        if let Encoded::Images(sizes) = features.what {
            self.worker.set_features(features.stored, sizes.len())?;
            self.sizes = sizes;
        }
        Ok(())
    }

    /// Checks whether [`ImagePredictor::set_features`] would accept these features.
    ///
    /// # Errors
    ///
    /// Those of [`ImagePredictor::set_features`].
    pub fn check_features(&self, features: &ImageFeatures) -> Result<()> {
        match features.what {
            Encoded::Frame(_) => {
                Err(Error::input("features of a video frame; an image predictor takes those of images"))
            }
            Encoded::Images(_) => features.check(self.worker.network()),
        }
    }

    /// Removes the current images.
    pub fn reset_predictor(&mut self) {
        self.sizes.clear();
    }

    /// Returns the sizes of the current images.
    #[must_use]
    pub fn image_sizes(&self) -> &[Size] {
        &self.sizes
    }

    /// Predicts masks for each prompt on the current image. The prompts are decoded in batches, also if their
    /// numbers of points differ.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if the number of current images is not one, or if a prompt is out of its range.
    /// [`Error::OutOfMemory`] if memory is exhausted. [`Error::Device`] if the device fails.
    pub fn predict(&mut self, prompts: &[Prompt<'_>], options: PredictOptions) -> Result<Prediction> {
        self.the_image()?;
        let mut all = self.predict_all(&[prompts], options)?;
        all.pop().ok_or_else(|| Error::Internal("an image without a prediction".into()))
    }

    /// Predicts masks as [`ImagePredictor::predict`] does, for all current images in one call. `prompts[i]` are the
    /// prompts on image `i`.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if the number of lists is not the number of images, or if a prompt is out of its range.
    /// [`Error::OutOfMemory`] if memory is exhausted. [`Error::Device`] if the device fails.
    pub fn predict_batch(&mut self, prompts: &[&[Prompt<'_>]], options: PredictOptions) -> Result<Vec<Prediction>> {
        self.check_pictures(prompts.len())?;
        self.predict_all(prompts, options)
    }

    /// Predicts masks as [`ImagePredictor::predict`] does, and writes the results to caller-provided buffers.
    ///
    /// # Errors
    ///
    /// As [`ImagePredictor::predict`]. [`Error::Input`] also if a buffer does not fit the results.
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

    /// Predicts masks as [`ImagePredictor::predict_batch`] does, and writes the results to caller-provided buffers. The
    /// results of an image follow those of the previous image. A label map holds the masks of one image only.
    ///
    /// # Errors
    ///
    /// As [`ImagePredictor::predict_batch`]. [`Error::Input`] also if a buffer does not fit the results.
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

    /// Fails if the size of a buffer is not the size that the prompts need. The buffer of masks is not checked.
    fn check_buffers(
        &self,
        prompts: usize,
        pictures: usize,
        options: PredictOptions,
        out: &PredictionBuffers<'_>,
    ) -> Result<()> {
        let (n, side) = (self.selection(options).masks(), self.mask_side);
        if let Some(format) = out.masks.as_ref().map(MaskBuffer::format).filter(|format| format.largest_id().is_some())
        {
            return Err(Error::input(format!("buffer masks: {format:?} is for the objects of a video")));
        }
        if out.masks.as_ref().is_some_and(|m| m.format() == MaskFormat::Labels) && (n > 1 || pictures != 1) {
            let what = "labels are for one mask per prompt, without multimask_output, on one image";
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

    /// Makes the job of the prompts on one image. The job takes its part from the front of the remaining buffers. The
    /// job of the last image takes the whole remaining buffer of masks.
    fn job<'a>(
        &self,
        prompts: &'a [Prompt<'a>],
        size: Size,
        options: PredictOptions,
        left: &mut PredictionBuffers<'a>,
        last: bool,
    ) -> Result<Job<'a>> {
        let (n, side) = (prompts.len() * self.selection(options).masks(), self.mask_side);
        let masks = match left.masks.take() {
            Some(all) if !last => {
                let (own, rest) = all.split(n, size)?;
                left.masks = Some(rest);
                Some(own)
            }
            all => all,
        };
        if let Some(masks) = &masks {
            masks.check(n, size)?;
        }
        Ok(Job {
            prompts,
            extent: self.extent(size, options),
            masks: masks.map(|masks| MaskOut::new(masks, self.options.mask_threshold, size)),
            low_res: left.low_res_masks.as_mut().map(|all| front(all, n * side * side)),
            iou: front(&mut left.iou_predictions, n),
            scores: left.object_score_logits.as_mut().map(|all| front(all, prompts.len())),
        })
    }

    fn check_pictures(&self, given: usize) -> Result<()> {
        let set = self.sizes.len();
        if set == 0 {
            return Err(Error::input("no image is set: call set_image first"));
        }
        if given != set {
            return Err(Error::input(format!("prompts for {given} images, {set} are set")));
        }
        Ok(())
    }

    /// Decodes many prompts and filters their masks as [`MaskFilter`] says. `threshold` is the threshold of the masks,
    /// and `offset` is the offset of their stability score.
    pub(crate) fn filter_masks(
        &mut self,
        prompts: &[Prompt<'_>],
        multimask_output: bool,
        (threshold, offset): (f32, f32),
        iou_above: Option<f32>,
        max_batch: usize,
        keep: &mut dyn FnMut(&CandidateMask) -> bool,
        take: &mut dyn FnMut(&CandidateMask, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let size = self.the_image()?;
        let options = PredictOptions { multimask_output, ..Default::default() };
        let extent = self.extent(size, options);
        prompts.iter().try_for_each(|prompt| prompt.check(extent, self.mask_side))?;
        let (selection, cleaning) = (self.selection(options), self.cleaning());
        let measure = Measure { threshold, offset, height: size.height, width: size.width };
        self.worker.filter_masks(
            &MaskFilter { prompts, extent, selection, cleaning, measure, iou_above, max_batch },
            keep,
            take,
        )
    }

    /// Returns whether encoding an image continues on the device after the call has returned.
    pub(crate) fn works_ahead(&self) -> bool {
        self.worker.works_ahead()
    }

    /// Returns a feature map of the current image with the index `image`.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if there is no such image. [`Error::OutOfMemory`] if memory is exhausted. [`Error::Device`] if
    /// the device fails.
    pub fn features(&mut self, feature: Feature, image: usize) -> Result<FeatureMap> {
        if image >= self.sizes.len() {
            return Err(Error::input(format!("no image {image}: {} are set", self.sizes.len())));
        }
        self.worker.features(feature, image)
    }

    /// Returns the features of the current image that the mask decoder reads, as the method of the reference with this
    /// name.
    ///
    /// # Errors
    ///
    /// As [`ImagePredictor::features`].
    pub fn get_image_embedding(&mut self) -> Result<FeatureMap> {
        self.features(Feature::ImageEmbedding, 0)
    }

    /// Returns the counters of the work that this predictor has done.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.worker.counters()
    }

    /// Starts to measure the time of every kernel.
    pub fn start_profile(&mut self) {
        self.worker.profile(true);
    }

    /// Stops measuring, and returns the kernels that ran since [`ImagePredictor::start_profile`].
    pub fn finish_profile(&mut self) -> Vec<KernelTime> {
        self.worker.profile(false)
    }

    /// Sets a function that gets the intermediate results of later calls, for debugging and tests. `None` removes the
    /// function.
    pub fn set_probe(&mut self, probe: Option<ProbeFn>) {
        self.worker.set_probe(probe);
    }

    /// Returns the bytes of device memory that the predictor holds in addition to the weights of the model.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.worker.bytes()
    }

    fn the_image(&self) -> Result<Size> {
        match self.sizes[..] {
            [size] => Ok(size),
            [] => Err(Error::input("no image is set: call set_image first")),
            _ => Err(Error::input(format!("{} images are set: call predict_batch", self.sizes.len()))),
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
        for (prompts, &size) in prompts.iter().zip(&self.sizes) {
            let count = prompts.len() * n;
            let full = count * size.height * size.width;
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
                height: size.height,
                width: size.width,
            });
        }
        let threshold = self.options.mask_threshold;
        let mut jobs: Vec<Job<'_>> = (out.iter_mut().zip(prompts).zip(&self.sizes))
            .map(|((p, prompts), &size)| Job {
                prompts,
                extent: self.extent(size, options),
                masks: Some(match &mut p.masks {
                    Masks::Binary(data) => MaskOut::new(MaskBuffer::binary(data), threshold, size),
                    Masks::Logits(data) => MaskOut::new(MaskBuffer::logits(data), threshold, size),
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

    /// Returns the width and height of an image in the units of coordinates.
    fn extent(&self, size: Size, options: PredictOptions) -> [f32; 2] {
        if options.normalize_coords { [size.width as f32, size.height as f32] } else { [1.0, 1.0] }
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

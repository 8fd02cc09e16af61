//! The interface between an image predictor and its device.

use crate::backend::{Cleaning, Counters, KernelTime, Measure, ProbeFn, Selection};
use crate::error::Result;
use crate::masks::buffer::{MaskOut, Measured};
use crate::media::frame::Frame;
use crate::media::size::Size;
use crate::session::features::StoredFeatures;
use crate::session::prompt::Prompt;

/// A feature map of the image encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// (d, side/16, side/16): the image embedding, which the mask decoder reads.
    ImageEmbedding,
    /// (d/4, side/8, side/8)
    HighRes1,
    /// (d/8, side/4, side/4)
    HighRes0,
}

/// The values of a feature map.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureMap {
    /// (channels, height, width)
    pub values: Vec<f32>,
    /// The number of channels.
    pub channels: usize,
    /// The number of rows.
    pub height: usize,
    /// The number of columns.
    pub width: usize,
}

impl FeatureMap {
    /// Returns the dimensions of `values`: channels, height and width.
    #[must_use]
    pub fn shape(&self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }
}

/// A queue of work on a device, with the features of the current images.
pub(crate) trait ImageWorker: Send {
    /// Returns the number of images whose features are stored.
    fn images(&self) -> usize;
    /// Makes room for `images` images, and for batches of prompts of up to `points` points.
    fn reserve(&mut self, images: usize, points: usize, masks: bool, clean: bool) -> Result<()>;
    /// Encodes images. The features of earlier images are lost.
    fn encode(&mut self, images: &[Frame<'_>]) -> Result<()>;
    /// Decodes prompts on the first image and drops masks as `filter` says. Each mask that passes is measured and given
    /// to `keep`. If `keep` returns true, `take` gets the bits of the mask.
    fn filter_masks(
        &mut self,
        filter: &MaskFilter<'_>,
        keep: &mut dyn FnMut(&CandidateMask) -> bool,
        take: &mut dyn FnMut(&CandidateMask, &[u8]) -> Result<()>,
    ) -> Result<()>;
    /// Decodes the prompts of all current images. `jobs[i]` belongs to image `i`.
    fn decode(&mut self, jobs: &mut [Job<'_>], selection: Selection, cleaning: Option<Cleaning>) -> Result<()>;
    /// Returns a feature map of an image.
    fn features(&mut self, feature: Feature, image: usize) -> Result<FeatureMap>;
    /// Takes the features of all images out of the worker.
    fn take_features(&mut self) -> Result<StoredFeatures>;
    /// Returns the id of the network.
    fn network(&self) -> u64;
    /// Replaces the current features by those of `images` images.
    fn set_features(&mut self, features: StoredFeatures, images: usize) -> Result<()>;
    /// Returns whether encoding continues after the call has returned.
    fn works_ahead(&self) -> bool;
    /// Waits for all enqueued work.
    fn synchronize(&mut self) -> Result<()>;
    fn counters(&self) -> Counters;
    fn profile(&mut self, on: bool) -> Vec<KernelTime>;
    fn set_probe(&mut self, probe: Option<ProbeFn>);
    /// Returns the bytes of device memory that the worker holds in addition to the weights.
    fn bytes(&self) -> usize;
}

/// The prompts on one image, and the destinations of their results.
pub(crate) struct Job<'a> {
    /// The prompts, which have been checked.
    pub prompts: &'a [Prompt<'a>],
    /// The width and height of the image in the units of the prompts' coordinates.
    pub extent: [f32; 2],
    /// The destination of the masks of every prompt. If there is only one job, it may be a label map.
    pub masks: Option<MaskOut<'a>>,
    /// `(prompts, masks, mask_side, mask_side)`, clamped to +-32
    pub low_res: Option<&'a mut [f32]>,
    /// (prompts, masks)
    pub iou: &'a mut [f32],
    /// (prompts)
    pub scores: Option<&'a mut [f32]>,
}

/// Prompts on one image, and the conditions for keeping their masks.
pub(crate) struct MaskFilter<'a> {
    /// The prompts, which have been checked.
    pub prompts: &'a [Prompt<'a>],
    /// The width and height of the image in the units of the prompts' coordinates.
    pub extent: [f32; 2],
    pub selection: Selection,
    pub cleaning: Option<Cleaning>,
    /// What is measured, with the size of the image.
    pub measure: Measure,
    /// A mask passes if its predicted IoU is above this value. `None` disables the filter.
    pub iou_above: Option<f32>,
    /// The maximum number of prompts in a batch.
    pub max_batch: usize,
}

impl MaskFilter<'_> {
    /// Returns the size of the image.
    #[must_use]
    pub fn size(&self) -> Size {
        Size::new(self.measure.width, self.measure.height)
    }
}

/// A mask that passed a filter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct CandidateMask {
    /// The index of the prompt of the mask.
    pub prompt: usize,
    /// The predicted IoU.
    pub iou: f32,
    pub measured: Measured,
}

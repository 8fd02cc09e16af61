//! Options of predictions on images, and their results.

use crate::masks::buffer::MaskBuffer;
use crate::media::size::Size;
use std::fmt;

/// Options for making masks from logits. The defaults are those of the reference.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ImagePredictorOptions {
    /// A pixel whose logit is above this value is foreground.
    pub mask_threshold: f32,
    /// Holes of at most this number of pixels of the low-resolution mask are filled. With 0, no hole is filled.
    pub max_hole_area: f32,
    /// Specks of at most this number of pixels of the low-resolution mask are removed. With 0, no speck is removed.
    pub max_sprinkle_area: f32,
}

/// Options of a prediction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PredictOptions {
    /// Whether to predict three masks per prompt instead of one, for ambiguous prompts.
    pub multimask_output: bool,
    /// Whether to return logits instead of binary masks.
    /// [`ImagePredictor::predict_into`](crate::ImagePredictor::predict_into) ignores this option and uses the format of
    /// the buffer.
    pub return_logits: bool,
    /// Whether coordinates are in pixels of the image. If it is false, coordinates are in 0..1.
    pub normalize_coords: bool,
}

impl Default for PredictOptions {
    fn default() -> Self {
        PredictOptions { multimask_output: true, return_logits: false, normalize_coords: true }
    }
}

/// The size of the calls that [`ImagePredictor::reserve`](crate::ImagePredictor::reserve) allocates memory for. The
/// default is one image, and prompts of one box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReserveOptions {
    /// The number of images that are set at once.
    pub images: usize,
    /// The largest number of points of a prompt. A box is two points.
    pub points: usize,
    /// Whether prompts have mask inputs.
    pub mask_input: bool,
}

impl Default for ReserveOptions {
    fn default() -> Self {
        ReserveOptions { images: 1, points: 2, mask_input: false }
    }
}

/// The masks of prompts on one image. Each prompt has `n` masks.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// (prompts, n, height, width)
    pub masks: Masks,
    /// (prompts, n): the predicted IoU of each mask, in about 0..=1.
    pub iou_predictions: Vec<f32>,
    /// `(prompts, n, mask_side, mask_side)`: logits clamped to +-32, which can be used as mask input.
    pub low_res_masks: Vec<f32>,
    /// (prompts): above 0 if the model predicts that the object is in the image.
    pub object_score_logits: Vec<f32>,
    /// The number of prompts.
    pub prompts: usize,
    /// The number of masks per prompt.
    pub masks_per_prompt: usize,
    /// The height of the image.
    pub height: usize,
    /// The width of the image.
    pub width: usize,
}

/// The full-size masks of a [`Prediction`].
#[derive(Clone, Debug, PartialEq)]
pub enum Masks {
    /// The value is 1 on the object and 0 elsewhere.
    Binary(Vec<u8>),
    /// The values are logits.
    Logits(Vec<f32>),
}

impl Prediction {
    /// Returns the size of the image.
    #[must_use]
    pub fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }

    /// Returns the index, among all masks, of the mask of `prompt` with the highest predicted IoU. Among equal masks,
    /// the first one is returned.
    #[must_use]
    pub fn best(&self, prompt: usize) -> usize {
        let first = prompt * self.masks_per_prompt;
        let iou = &self.iou_predictions;
        (first + 1..first + self.masks_per_prompt).fold(first, |best, i| if iou[i] > iou[best] { i } else { best })
    }
}

/// Caller-provided buffers for the results of a prediction. [`Prediction`] describes the contents.
pub struct PredictionBuffers<'a> {
    /// (prompts, n, height, width) in the format of the buffer. A label map is (height, width) and has 1 + the index of
    /// the prompt. A label map needs one mask per prompt (`multimask_output` false).
    pub masks: Option<MaskBuffer<'a>>,
    /// (prompts, n)
    pub iou_predictions: &'a mut [f32],
    /// `(prompts, n, mask_side, mask_side)`
    pub low_res_masks: Option<&'a mut [f32]>,
    /// (prompts)
    pub object_score_logits: Option<&'a mut [f32]>,
}

impl fmt::Debug for PredictionBuffers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lengths = [
            ("iou_predictions", Some(self.iou_predictions.len())),
            ("low_res_masks", self.low_res_masks.as_ref().map(|values| values.len())),
            ("object_score_logits", self.object_score_logits.as_ref().map(|values| values.len())),
        ];
        let mut out = f.debug_struct("PredictionBuffers");
        out.field("masks", &self.masks);
        for (name, length) in lengths {
            out.field(name, &length);
        }
        out.finish()
    }
}

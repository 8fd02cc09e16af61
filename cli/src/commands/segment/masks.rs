//! Decodes many prompts in batches and keeps their masks as RLE, so that memory is bounded by the size of a batch.

use crate::error::Failure;
use sam2::rle::Rle;
use sam2::{Error, ImagePredictor, MaskBuffer, MaskFormat, PredictOptions, PredictionBuffers, Prompt, Size};

/// The maximum number of prompts in a batch.
const BATCH: usize = 64;
/// The maximum bytes of masks in a batch of more than one prompt.
const BYTES: usize = 64 << 20;

/// The predictions for all prompts.
#[derive(Default)]
pub struct Found {
    /// `masks_per_prompt` masks for each prompt.
    pub masks: Vec<Rle>,
    pub masks_per_prompt: usize,
    /// One per mask.
    pub iou_predictions: Vec<f32>,
    /// One per prompt.
    pub object_score_logits: Vec<f32>,
    /// `(masks, mask_side, mask_side)`
    pub low_res_masks: Vec<f32>,
}

impl Found {
    /// The index of a prompt's mask with the highest predicted IoU. The first of equals.
    pub fn best(&self, prompt: usize) -> usize {
        let iou = &self.iou_predictions;
        let range = prompt * self.masks_per_prompt..(prompt + 1) * self.masks_per_prompt;
        range.clone().fold(range.start, |best, i| if iou[i] > iou[best] { i } else { best })
    }
}

/// Predicts the masks of all prompts on the current image, batch by batch.
pub struct Batches<'a> {
    pub predictor: &'a mut ImagePredictor,
    pub prompts: &'a [Prompt<'a>],
    pub multimask_output: bool,
    /// Height and width of the image.
    pub height: usize,
    pub width: usize,
}

impl Batches<'_> {
    /// The number of prompts in a batch, if masks have this format.
    fn size(&self, format: MaskFormat) -> usize {
        let bytes = format.bytes(self.masks_per_prompt(), Size::new(self.width, self.height));
        (BYTES / bytes.max(1)).clamp(1, BATCH)
    }

    pub fn masks_per_prompt(&self) -> usize {
        if self.multimask_output { 3 } else { 1 }
    }

    fn options(&self) -> PredictOptions {
        PredictOptions { multimask_output: self.multimask_output, ..Default::default() }
    }

    /// Predicts the masks of all prompts. `low_res` keeps the low-resolution logits too.
    pub fn find(&mut self, low_res: bool) -> Result<Found, Failure> {
        let (n, side, options) = (self.masks_per_prompt(), self.predictor.mask_side(), self.options());
        let (size, bytes) =
            (self.size(MaskFormat::Bits), MaskFormat::Bits.bytes(1, Size::new(self.width, self.height)));
        let mut bits = zeros::<u8>(size.min(self.prompts.len()) * n * bytes, "masks")?;
        let mut found = Found { masks_per_prompt: n, ..Found::default() };
        found.iou_predictions = zeros(self.prompts.len() * n, "scores")?;
        found.object_score_logits = zeros(self.prompts.len(), "scores")?;
        found.low_res_masks = zeros(if low_res { self.prompts.len() * n * side * side } else { 0 }, "logits")?;
        let Found { masks, iou_predictions, object_score_logits, low_res_masks, .. } = &mut found;
        let logits_of_one = if low_res { n * side * side } else { 0 };
        for (i, prompts) in self.prompts.chunks(size).enumerate() {
            let (first, count) = (i * size, prompts.len());
            let bits = &mut bits[..count * n * bytes];
            let logits = &mut low_res_masks[first * logits_of_one..][..count * logits_of_one];
            let out = PredictionBuffers {
                masks: Some(MaskBuffer::bits(bits)),
                iou_predictions: &mut iou_predictions[first * n..][..count * n],
                low_res_masks: low_res.then_some(logits),
                object_score_logits: Some(&mut object_score_logits[first..][..count]),
            };
            self.predictor.predict_into(prompts, options, out).map_err(|e| numbered(e, first))?;
            let size = Size::new(self.width, self.height);
            for bits in bits.chunks(bytes) {
                masks.push(Rle::from_bits(bits, size, (0, 0), size)?);
            }
        }
        Ok(found)
    }

    /// Decodes all prompts once more and calls `each` with the logits of every mask (height, width).
    pub fn each_logits(&mut self, mut each: impl FnMut(&[f32]) -> std::io::Result<()>) -> std::io::Result<()> {
        let (n, options, size) = (self.masks_per_prompt(), self.options(), self.size(MaskFormat::Logits));
        let pixels = self.height * self.width;
        let count = size.min(self.prompts.len()) * n;
        let mut logits = zeros::<f32>(count * pixels, "logits").map_err(std::io::Error::other)?;
        let mut iou = vec![0.0; count];
        for prompts in self.prompts.chunks(size) {
            let count = prompts.len() * n;
            let out = PredictionBuffers {
                masks: Some(MaskBuffer::logits(&mut logits[..count * pixels])),
                iou_predictions: &mut iou[..count],
                low_res_masks: None,
                object_score_logits: None,
            };
            self.predictor.predict_into(prompts, options, out).map_err(std::io::Error::other)?;
            logits[..count * pixels].chunks(pixels).try_for_each(&mut each)?;
        }
        Ok(())
    }
}

/// Adds the number of the batch's first prompt to an error, which counts prompts from the start of the batch.
fn numbered(e: Error, first: usize) -> Error {
    match e {
        Error::Input(what) if first > 0 => Error::Input(format!("in the batch from prompt {first} on: {what}")),
        e => e,
    }
}

fn zeros<T: Default + Clone>(n: usize, what: &'static str) -> sam2::Result<Vec<T>> {
    sam2::memory::try_collect(n, what, std::iter::repeat_n(T::default(), n))
}

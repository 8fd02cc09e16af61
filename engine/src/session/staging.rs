//! The tables of prompts that the mask decoder reads for a batch.

use super::prompt::Point;
use super::queue::{floats, ints};
use crate::backend::Backend;
use crate::model::mask_decoder::{Acts, Batch, OUTPUT_TOKENS};

/// Tables in host memory. Later batches use the same memory again.
#[derive(Default)]
pub(crate) struct PromptTables {
    /// The number of tokens of the longest prompt, without the output tokens.
    longest: usize,
    points: Vec<f32>,
    labels: Vec<i32>,
    lens: Vec<i32>,
    image: Vec<i32>,
    source: Vec<i32>,
    identity: Vec<i32>,
    entry_image: Vec<i32>,
    entry_mask: Vec<i32>,
    masks: usize,
}

/// A prompt of a batch, without its points.
pub(crate) struct Entry {
    /// The number of tokens of the points and of the padding points.
    pub tokens: usize,
    /// The image whose high-resolution features are used.
    pub image: usize,
    /// The image whose embedding is used.
    pub embedding: usize,
    /// Whether the prompt has a mask. Masks are counted in the order of the prompts.
    pub mask: bool,
}

impl PromptTables {
    /// Starts a batch whose longest prompt has `longest` tokens.
    pub fn start(&mut self, longest: usize) {
        self.longest = longest;
        self.masks = 0;
        self.points.clear();
        let ints = [
            &mut self.labels,
            &mut self.lens,
            &mut self.image,
            &mut self.source,
            &mut self.identity,
            &mut self.entry_image,
            &mut self.entry_mask,
        ];
        ints.into_iter().for_each(Vec::clear);
    }

    /// Adds a prompt. Coordinates are in 0..`extent`. `side` is the side of the model's input.
    pub fn push(&mut self, points: impl Iterator<Item = Point>, extent: [f32; 2], side: f32, entry: Entry) {
        // In the reference's order of operations: to the model's pixels, to their centres, to 0..1.
        let unit = |v: f32, extent: f32| (v / extent * side + 0.5) / side;
        for p in points {
            self.points.extend([unit(p.x, extent[0]), unit(p.y, extent[1])]);
            self.labels.push(p.label);
        }
        let index = self.lens.len();
        // Padding points, up to the longest prompt.
        self.points.resize(2 * (index + 1) * self.longest, 0.0);
        self.labels.resize((index + 1) * self.longest, -1);
        self.lens.push((OUTPUT_TOKENS + entry.tokens) as i32);
        self.image.push(entry.image as i32);
        self.identity.push(index as i32);
        let mask = if entry.mask { self.masks as i32 } else { -1 };
        self.masks += entry.mask as usize;
        // Prompts without a mask share the entry of their embedding.
        let key = (entry.embedding as i32, mask);
        let known = self.entry_image.iter().zip(&self.entry_mask).position(|(&i, &m)| (i, m) == key);
        self.source.push(known.unwrap_or(self.entry_image.len()) as i32);
        if known.is_none() {
            self.entry_image.push(key.0);
            self.entry_mask.push(key.1);
        }
    }

    /// Returns the sizes of the batch.
    pub fn batch(&self) -> Batch {
        Batch {
            prompts: self.lens.len(),
            tokens: OUTPUT_TOKENS + self.longest,
            entries: self.entry_image.len(),
            masks: self.masks,
        }
    }

    /// Copies the tables to the tensors of the batch.
    pub fn upload<B: Backend>(&self, b: &B, a: &Acts<'_>) {
        b.upload_all(&[
            (a.points, floats(&self.points)),
            (a.point_labels, ints(&self.labels)),
            (a.lens, ints(&self.lens)),
            (a.image, ints(&self.image)),
            (a.source, ints(&self.source)),
            (a.identity, ints(&self.identity)),
            (a.entry_image, ints(&self.entry_image)),
            (a.entry_mask, ints(&self.entry_mask)),
        ]);
    }
}

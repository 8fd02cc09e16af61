//! Images, their features, and masks on them.
//!
//! A lane encodes an image once. Then the image keeps the features, and any lane of the same model decodes prompts with
//! them. Over a limit, the features of the image that was used least recently are dropped, and made again when needed.

use crate::ids;
use crate::lock::lock;
use crate::masks::{MasksJson, mask_json};
use crate::problem::Problem;
use sam2::{ImageFeatures, ImagePredictor, Masks, PredictOptions, Prediction, Size, picture};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// The most bytes of an image.
pub const MAX_IMAGE: usize = 32 << 20;

/// An uploaded image.
#[derive(Debug)]
pub struct Image {
    /// Its id.
    pub id: String,
    /// Its key in the scheduler.
    pub key: u64,
    /// Its size.
    pub size: Size,
    /// The uploaded bytes.
    pub bytes: Vec<u8>,
    /// The features, while no lane has them.
    features: Mutex<Option<ImageFeatures>>,
    encoded: AtomicBool,
    /// The number of the latest request for a preview.
    hover: AtomicU64,
    /// When the image was used, in the order of uses.
    used: AtomicU64,
}

impl Image {
    /// Whether the image has features.
    #[must_use]
    pub fn is_encoded(&self) -> bool {
        self.encoded.load(Ordering::Relaxed)
    }

    /// Registers a request for a preview. An earlier one is not needed any more.
    pub fn begin_hover(&self) -> u64 {
        self.hover.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whether no later request for a preview has come.
    pub fn is_latest_hover(&self, hover: u64) -> bool {
        self.hover.load(Ordering::Relaxed) == hover
    }

    /// The image in JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({"id": self.id, "width": self.size.width, "height": self.size.height, "encoded": self.is_encoded()})
    }
}

/// The images of the server.
#[derive(Debug)]
pub struct Images {
    all: Mutex<HashMap<String, Arc<Image>>>,
    /// The most images.
    most: usize,
    /// The most bytes of features that images keep.
    most_bytes: usize,
    uses: AtomicU64,
    secret: String,
}

impl Images {
    /// A store without images.
    ///
    /// # Errors
    ///
    /// `internal` if the system has no random numbers.
    pub fn new(most: usize, most_bytes: usize) -> Result<Images, Problem> {
        let secret = ids::random().map_err(|e| Problem::internal(e.to_string()))?;
        Ok(Images { all: Mutex::default(), most, most_bytes, uses: AtomicU64::new(1), secret })
    }

    /// Adds an image, or finds the one with the same bytes. Decodes the image, which takes time. Over the limit, the
    /// image that was used least recently is dropped.
    ///
    /// # Errors
    ///
    /// `input` if the bytes are no image.
    pub fn add(&self, bytes: Vec<u8>) -> Result<Arc<Image>, Problem> {
        let id = ids::of_bytes(&self.secret, &bytes);
        if let Ok(image) = self.get(&id) {
            return Ok(image);
        }
        let size = picture::decode("image", &bytes)?.size();
        let used = self.uses.fetch_add(1, Ordering::Relaxed);
        let image = Arc::new(Image {
            id: id.clone(),
            key: used,
            size,
            bytes,
            features: Mutex::new(None),
            encoded: AtomicBool::new(false),
            hover: AtomicU64::new(0),
            used: AtomicU64::new(used),
        });
        let mut all = lock(&self.all);
        while all.len() >= self.most {
            let oldest = all.values().min_by_key(|image| image.used.load(Ordering::Relaxed)).map(|i| i.id.clone());
            let Some(oldest) = oldest else { break };
            all.remove(&oldest);
        }
        Ok(all.entry(id).or_insert(image).clone())
    }

    /// An image by its id. It counts as used.
    ///
    /// # Errors
    ///
    /// `not-found`.
    pub fn get(&self, id: &str) -> Result<Arc<Image>, Problem> {
        let image = lock(&self.all).get(id).cloned().ok_or_else(|| Problem::not_found("no such image"))?;
        image.used.store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Ok(image)
    }

    /// All images, the latest used first.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Image>> {
        let mut all: Vec<_> = lock(&self.all).values().cloned().collect();
        all.sort_by_key(|image| std::cmp::Reverse(image.used.load(Ordering::Relaxed)));
        all
    }

    /// Forgets an image.
    ///
    /// # Errors
    ///
    /// `not-found`.
    pub fn remove(&self, id: &str) -> Result<(), Problem> {
        lock(&self.all).remove(id).map(drop).ok_or_else(|| Problem::not_found("no such image"))
    }

    /// Bytes of the features that images keep.
    #[must_use]
    pub fn feature_bytes(&self) -> usize {
        self.list().iter().map(|image| lock(&image.features).as_ref().map_or(0, ImageFeatures::bytes)).sum()
    }

    /// Gives the features of an image to a lane, encoding the image if it has none. Returns the milliseconds of the encoding.
    fn lend(&self, lane: &mut ImagePredictor, image: &Image) -> Result<Option<f64>, Problem> {
        if let Some(features) = lock(&image.features).take() {
            lane.set_features(features)?;
            return Ok(None);
        }
        let start = Instant::now();
        let decoded = picture::decode("image", &image.bytes)?;
        lane.set_image(&decoded.frame()?)?;
        lane.synchronize()?;
        Ok(Some(start.elapsed().as_secs_f64() * 1e3))
    }

    /// Takes the features back from a lane, and drops others over the limit.
    fn take_back(&self, lane: &mut ImagePredictor, image: &Image) -> Result<(), Problem> {
        *lock(&image.features) = Some(lane.take_features()?);
        image.encoded.store(true, Ordering::Relaxed);
        let mut bytes = self.feature_bytes();
        for old in self.list().iter().rev() {
            if bytes <= self.most_bytes || old.id == image.id {
                continue;
            }
            if let Some(features) = lock(&old.features).take() {
                bytes -= features.bytes();
                old.encoded.store(false, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Encodes an image if it has no features. Returns the milliseconds, if it was encoded now.
    ///
    /// # Errors
    ///
    /// Those of the engine.
    pub fn encode(&self, lane: &mut ImagePredictor, image: &Image) -> Result<Option<f64>, Problem> {
        if image.is_encoded() {
            return Ok(None);
        }
        let taken = self.lend(lane, image)?;
        self.take_back(lane, image)?;
        Ok(taken)
    }

    /// Decodes prompts. Returns the results in JSON, an entry for each prompt.
    ///
    /// # Errors
    ///
    /// `input`, and those of the engine.
    pub fn decode(&self, lane: &mut ImagePredictor, image: &Image, request: &MasksJson) -> Result<Value, Problem> {
        self.visit(lane, image, |lane| predict(lane, image.size, request))
    }

    /// Runs work on a lane that has the features of an image.
    ///
    /// # Errors
    ///
    /// Those of the engine and of the work.
    pub fn visit<R>(
        &self,
        lane: &mut ImagePredictor,
        image: &Image,
        work: impl FnOnce(&mut ImagePredictor) -> Result<R, Problem>,
    ) -> Result<R, Problem> {
        self.lend(lane, image)?;
        let found = work(lane);
        self.take_back(lane, image)?;
        found
    }
}

/// A binary mask of a prediction, by its index among all masks.
///
/// # Errors
///
/// `internal` if the masks are logits.
pub fn binary(found: &Prediction, index: usize) -> Result<&[u8], Problem> {
    let pixels = found.size().pixels();
    let Masks::Binary(masks) = &found.masks else { return Err(Problem::internal("no binary masks")) };
    masks.get(index * pixels..(index + 1) * pixels).ok_or_else(|| Problem::internal("no such mask"))
}

fn predict(lane: &mut ImagePredictor, size: Size, request: &MasksJson) -> Result<Value, Problem> {
    let prompts = &request.prompts;
    let mut results = vec![Value::Null; prompts.len()];
    // Prompts for three masks and prompts for one are two calls.
    for multimask_output in [true, false] {
        let chosen: Vec<usize> = (0..prompts.len()).filter(|&i| prompts[i].multimask() == multimask_output).collect();
        if chosen.is_empty() {
            continue;
        }
        let side = lane.mask_side();
        let logits = chosen.iter().map(|&i| prompts[i].logits(size, side)).collect::<Result<Vec<_>, _>>()?;
        let given: Vec<_> = chosen.iter().zip(&logits).map(|(&i, l)| prompts[i].prompt(l.as_deref())).collect();
        let options = PredictOptions { multimask_output, normalize_coords: !request.normalized, ..Default::default() };
        let found = lane.predict(&given, options)?;
        let n = found.masks_per_prompt;
        let mask = |j: usize| -> Result<Value, Problem> {
            let mut mask = mask_json(binary(&found, j)?, size, request.format)?;
            mask["predicted_iou"] = json!(found.iou_predictions[j]);
            Ok(mask)
        };
        for (k, &i) in chosen.iter().enumerate() {
            let masks = (k * n..(k + 1) * n).map(mask).collect::<Result<Vec<_>, _>>()?;
            results[i] = json!({"masks": masks, "object_score": found.object_score_logits[k]});
        }
    }
    Ok(json!({"results": results}))
}

//! Features of images as a value, independent of the predictor that encoded the images.

use crate::backend::Backend;
use crate::backend::arena::Arena;
use crate::error::{Error, Result};
use crate::media::size::Size;
use std::any::Any;

/// The features of the images, or of the video frame, that a predictor has encoded.
///
/// [`ImagePredictor::take_features`](crate::ImagePredictor::take_features) and
/// [`VideoPredictor::take_features`](crate::VideoPredictor::take_features) return such features. A predictor of the
/// same kind and model accepts the features with `set_features`, and then need not encode the images again. The
/// features are in the memory of the model's device, and hold no other memory.
pub struct ImageFeatures {
    pub(crate) stored: StoredFeatures,
    pub(crate) what: Encoded,
}

/// How a session encodes images.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Images are resized with the bilinear filter. Embeddings contain the model's "no memory" vector.
    Image,
    /// Frames are resized with the bicubic filter. Embeddings are those of the encoder.
    Video,
}

/// The images or the frame that features were encoded from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Encoded {
    /// Images of these sizes.
    Images(Vec<Size>),
    /// The frame with this key.
    Frame(u64),
}

impl ImageFeatures {
    /// Fails if another network made the features.
    pub(crate) fn check(&self, network: u64) -> Result<()> {
        if self.stored.network != network {
            return Err(Error::input("features of another model"));
        }
        Ok(())
    }

    /// Returns the bytes of the device's memory that the features take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.stored.bytes
    }
}

impl std::fmt::Debug for ImageFeatures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImageFeatures").field("what", &self.what).field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

/// Features of a session on any backend.
pub(crate) struct StoredFeatures {
    /// [`SessionFeatures`] of the session's backend.
    pub memory: Box<dyn Any + Send>,
    pub bytes: usize,
    /// The id of the network that encoded the features.
    pub network: u64,
}

/// Features of a session.
pub(super) struct SessionFeatures<B: Backend> {
    pub features: Arena<B>,
    /// The number of images that `features` has room for.
    pub capacity: usize,
}

//! Features of a frame as a value.

use super::predictor::VideoPredictor;
use crate::error::{Error, Result};
use crate::session::features::{Encoded, ImageFeatures};

impl VideoPredictor {
    /// Encodes a frame if the frame is not the current one, and takes its features out of the predictor.
    ///
    /// The call waits for the device. [`VideoPredictor::set_features`] returns the features to the predictor before a
    /// later prompt on the frame. The frame then need not be encoded again. Forks share features as they share frames.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if there is no such frame, if the frame is no longer kept, or if the predictor works in a
    /// [`Workspace`](crate::Workspace). [`Error::Picture`] if the frame does not decode.
    pub fn take_features(&mut self, frame_idx: usize) -> Result<ImageFeatures> {
        let key = self.source.key(frame_idx)?;
        let stored = self.on(frame_idx)?.take_features()?;
        Ok(ImageFeatures { stored, what: Encoded::Frame(key) })
    }

    /// Makes the frame of these features the current frame, without encoding the frame.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if the features are of another video or model, of an image, or of a frame that is no longer
    /// kept, or if the predictor works in a [`Workspace`](crate::Workspace). After an error the features are dropped.
    /// To keep the features, call [`VideoPredictor::check_features`] first.
    pub fn set_features(&mut self, features: ImageFeatures) -> Result<()> {
        self.check_features(&features)?;
        match features.what {
            Encoded::Frame(key) => self.lock().set_features(key, features.stored),
            Encoded::Images(_) => Ok(()),
        }
    }

    /// Checks whether [`VideoPredictor::set_features`] would accept these features.
    ///
    /// # Errors
    ///
    /// Those of [`VideoPredictor::set_features`].
    pub fn check_features(&self, features: &ImageFeatures) -> Result<()> {
        match features.what {
            Encoded::Frame(key) if self.source.has_key(key) => features.check(self.lock().network()),
            Encoded::Frame(_) => Err(Error::input("features of a frame that this video has not, or no longer keeps")),
            Encoded::Images(_) => Err(Error::input("features of images; a video predictor takes those of a frame")),
        }
    }
}

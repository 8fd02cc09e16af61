//! What a lane owns, and the predictors of sessions, which visit it.
//!
//! All sessions share one worker of the engine, which has the features of one frame. When a session leaves the worker
//! after a prompt, it takes the features of its frame along, so that the next prompt on the frame needs no encoding.

use crate::lock::lock;
use crate::problem::Problem;
use sam2::{ImageFeatures, ImagePredictor, VideoPredictor};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};

/// What a lane owns.
#[derive(Debug)]
pub struct Lane {
    /// The predictor for images.
    pub image: ImagePredictor,
    /// The session whose features may be on the worker.
    last: Weak<Mutex<Track>>,
}

impl Lane {
    /// A lane with this predictor.
    #[must_use]
    pub fn new(image: ImagePredictor) -> Lane {
        Lane { image, last: Weak::new() }
    }
}

/// Where the predictor of a session is.
pub enum State {
    /// In memory.
    Live(Box<VideoPredictor>),
    /// In this file.
    Saved(PathBuf),
    /// Lost, because its work panicked.
    Failed,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Live(_) => "Live",
            State::Saved(_) => "Saved",
            State::Failed => "Failed",
        })
    }
}

/// The predictor of a session.
#[derive(Debug)]
pub struct Track {
    /// The predictor.
    pub state: State,
    /// The features of the frame `shown`, while they are not on the worker.
    features: Option<ImageFeatures>,
    /// The frame of the last prompt, if no frame was tracked since.
    shown: Option<usize>,
    /// Bytes of the session's state after its last unit.
    bytes: usize,
}

impl Track {
    /// A session with this predictor.
    #[must_use]
    pub fn new(state: State) -> Arc<Mutex<Track>> {
        Arc::new(Mutex::new(Track { state, features: None, shown: None, bytes: 0 }))
    }

    /// Bytes in memory that the session takes beside its masks as run lengths.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes + self.features.as_ref().map_or(0, ImageFeatures::bytes)
    }

    /// Takes the predictor out. Until it is put back, the session counts as failed.
    fn take(&mut self) -> Result<Box<VideoPredictor>, Problem> {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Live(predictor) => Ok(predictor),
            State::Saved(file) => {
                self.state = State::Saved(file);
                Err(Problem::internal("a session is saved and not restored"))
            }
            State::Failed => Err(Problem::not_found("the session was lost by a defect of the server")),
        }
    }

    /// Drops the features.
    pub fn drop_features(&mut self) {
        self.features = None;
        self.shown = None;
    }

    /// Takes the features of the shown frame from the worker.
    fn leave(&mut self) {
        if let (Some(frame), None) = (self.shown, &self.features)
            && let State::Live(predictor) = &mut self.state
        {
            match predictor.take_features(frame) {
                Ok(features) => self.features = Some(features),
                Err(e) => {
                    log::warn!("features of a session were dropped: {e}");
                    self.shown = None;
                }
            }
        }
    }
}

impl Lane {
    /// Runs work with the predictor of a session. `shown`: the frame that the work encodes and leaves on the worker; none
    /// if it tracks.
    ///
    /// # Errors
    ///
    /// Those of the work. `not-found` if the session failed.
    pub fn visit<R>(
        &mut self,
        track: &Arc<Mutex<Track>>,
        shown: Option<usize>,
        work: impl FnOnce(&mut VideoPredictor) -> Result<R, Problem>,
    ) -> Result<R, Problem> {
        if let Some(last) = self.last.upgrade()
            && !Arc::ptr_eq(&last, track)
        {
            lock(&last).leave();
        }
        self.last = Arc::downgrade(track);
        let mut guard = lock(track);
        let this = &mut *guard;
        // If the work panics, the session stays failed.
        let mut predictor = this.take()?;
        let features = this.features.take().filter(|_| this.shown.is_some() && this.shown == shown);
        let set = features.map_or(Ok(()), |features| predictor.set_features(features));
        let found = set.map_err(Problem::from).and_then(|()| work(&mut predictor));
        this.bytes = predictor.state_bytes();
        this.shown = if found.is_ok() { shown } else { None };
        this.state = State::Live(predictor);
        found
    }
}

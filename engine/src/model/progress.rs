//! How far the loading of a model is.

use crate::cancellation;
use crate::checkpoint::{Checkpoint, TensorData};
use crate::error::{Error, Result};
use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

/// A function that is told how much of a model is loaded, from 0 to 1, and returns whether to continue. It is called
/// on the thread that loads, after every tensor.
#[derive(Clone)]
pub struct LoadProgress(Arc<dyn Fn(f32) -> bool + Send + Sync>);

impl LoadProgress {
    /// Wraps a function.
    pub fn new(function: impl Fn(f32) -> bool + Send + Sync + 'static) -> LoadProgress {
        LoadProgress(Arc::new(function))
    }
}

impl fmt::Debug for LoadProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LoadProgress").finish_non_exhaustive()
    }
}

/// A checkpoint that is being loaded.
pub struct Loading<'a> {
    /// The checkpoint.
    pub checkpoint: &'a Checkpoint,
    progress: Option<&'a LoadProgress>,
    /// The bytes of the tensors that were read, and of all tensors.
    done: Cell<usize>,
    of: usize,
}

impl<'a> Loading<'a> {
    /// Begins to load a checkpoint.
    pub fn new(checkpoint: &'a Checkpoint, progress: Option<&'a LoadProgress>) -> Loading<'a> {
        let of = checkpoint.names().filter_map(|name| checkpoint.get(name)).map(|tensor| tensor.bytes.len()).sum();
        Loading { checkpoint, progress, done: Cell::new(0), of }
    }

    /// Counts a tensor that was read. Fails if loading is to end.
    pub fn count(&self, tensor: TensorData<'_>) -> Result<()> {
        cancellation::check()?;
        self.done.set((self.done.get() + tensor.bytes.len()).min(self.of));
        let part = self.done.get() as f32 / self.of as f32;
        match self.progress {
            Some(LoadProgress(function)) if !function(part) => Err(Error::Cancelled),
            _ => Ok(()),
        }
    }
}

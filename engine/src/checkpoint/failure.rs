//! The error of a checkpoint.

use crate::error::Error;

/// Returns an error about the checkpoint that messages call `name`.
pub fn failure(name: &str, what: impl Into<String>) -> Error {
    Error::Checkpoint { path: name.into(), what: what.into() }
}

//! What can go wrong, by who can mend it.

use std::path::Path;

/// The engine's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every failure of the engine. The text says what, where, expected, got, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder cannot be opened or read.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A checkpoint is damaged, not a SAM 2 checkpoint, or does not fit the configuration.
    #[error("checkpoint {path}: {what}")]
    Checkpoint {
        /// The file, or how it was given.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// A configuration has a key or value the engine does not support.
    #[error("configuration: {key}: {what}")]
    Config {
        /// The key's path, dots between levels.
        key: String,
        /// What is wrong with it.
        what: String,
    },
    /// A picture is damaged, of an unknown kind, or of a size the engine does not take.
    #[error("picture {name}: {what}")]
    Picture {
        /// The file, or how it was given.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// A video file is damaged, of an unknown kind, or of a size the engine does not take.
    #[error("video {path}: {what}")]
    Video {
        /// The file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// The program `ffmpeg` is absent or too old.
    #[error("{program}: {what}")]
    Ffmpeg {
        /// Its name or path.
        program: String,
        /// What is wrong with it, and what to do.
        what: String,
    },
    /// A call's argument is out of its range.
    #[error("{0}")]
    Input(String),
    /// The device asked for is absent, too old or failed.
    #[error("device: {0}")]
    Device(String),
    /// An allocation failed. What existed before the call still works.
    #[error("out of memory: {bytes} bytes for {what}")]
    OutOfMemory {
        /// What the memory was for.
        what: &'static str,
        /// How much was asked for.
        bytes: usize,
    },
    /// A defect of the engine itself.
    #[error("internal error: {0}; please report this")]
    Internal(String),
}

impl Error {
    pub(crate) fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Error::Io { path: path.as_ref().display().to_string(), source }
    }

    pub(crate) fn config(key: impl Into<String>, what: impl Into<String>) -> Self {
        Error::Config { key: key.into(), what: what.into() }
    }

    pub(crate) fn input(what: impl Into<String>) -> Self {
        Error::Input(what.into())
    }
}

//! Error types, grouped by who can fix the problem.

use std::path::Path;

/// The engine's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the engine. The message says what failed and where, what was expected, what was found, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder cannot be opened or read.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: String,
        /// The reason that the system gives.
        source: std::io::Error,
    },
    /// A checkpoint is damaged, not a SAM 2 checkpoint, or does not fit the configuration.
    #[error("checkpoint {path}: {what}")]
    Checkpoint {
        /// The path of the file, or the name of the source if there is no file.
        path: String,
        /// The problem with the checkpoint.
        what: String,
    },
    /// A configuration has a key or a value that the engine does not support.
    #[error("configuration: {key}: {what}")]
    Config {
        /// The path of the key, with dots between levels.
        key: String,
        /// The problem with the value.
        what: String,
    },
    /// An image is damaged, of an unknown kind, or of a size that the engine does not support.
    #[error("picture {name}: {what}")]
    Picture {
        /// The path of the file, or the name of the source if there is no file.
        name: String,
        /// The problem with the image.
        what: String,
    },
    /// A video file is damaged, of an unknown kind, or of a size that the engine does not support.
    #[error("video {path}: {what}")]
    Video {
        /// The path of the file.
        path: String,
        /// The problem with the video.
        what: String,
    },
    /// The program `ffmpeg` is absent or too old.
    #[error("{program}: {what}")]
    Ffmpeg {
        /// The name or path of the program.
        program: String,
        /// The problem with the program, and what to do.
        what: String,
    },
    /// An argument of a call is out of its range.
    #[error("{0}")]
    Input(String),
    /// The requested device is absent or too old, or the device failed.
    #[error("device: {0}")]
    Device(String),
    /// An allocation failed. Everything that existed before the call still works.
    #[error("out of memory: {bytes} bytes for {what}")]
    OutOfMemory {
        /// The purpose of the memory.
        what: &'static str,
        /// The number of bytes that were requested.
        bytes: usize,
    },
    /// A [`CancellationToken`](crate::CancellationToken) ended the call.
    #[error("cancelled")]
    Cancelled,
    /// The call took longer than the deadline of its [`CancellationToken`](crate::CancellationToken).
    #[error("the time limit of the call is over")]
    TimedOut,
    /// A defect of the engine.
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

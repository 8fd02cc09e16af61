//! Errors of a command, and the exit code of each.

use sam2::Error;
use std::path::Path;

/// Why a command failed.
pub enum Failure {
    /// An error of the library.
    Engine(Error),
    /// Arguments that do not go together.
    Usage(String),
    /// Some items of many failed, and each was reported at that time. `code` is the exit code of the first.
    Part { code: u8, message: String },
    /// The reader of standard output closed the pipe.
    Closed,
}

impl Failure {
    /// The exit code and the message.
    pub fn describe(self) -> (u8, String) {
        match self {
            Failure::Usage(message) => (2, message),
            Failure::Engine(e) => (exit_code(&e), e.to_string()),
            Failure::Part { code, message } => (code, message),
            Failure::Closed => (0, "standard output was closed".into()),
        }
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Failure::Engine(e)
    }
}

/// 1: internal, 2: usage, 3: device, 4: file or input, 5: memory.
fn exit_code(e: &Error) -> u8 {
    match e {
        Error::Io { .. }
        | Error::Checkpoint { .. }
        | Error::Config { .. }
        | Error::Picture { .. }
        | Error::Video { .. }
        | Error::Ffmpeg { .. }
        | Error::Input(_) => 4,
        Error::Device(_) => 3,
        Error::OutOfMemory { .. } => 5,
        _ => 1,
    }
}

/// A file or folder that cannot be read or written.
pub fn io(path: &Path, source: std::io::Error) -> Failure {
    Failure::Engine(Error::Io { path: path.display().to_string(), source })
}

/// A file or folder with invalid contents.
pub fn invalid(path: &Path, what: impl std::fmt::Display) -> Failure {
    Error::Input(format!("{}: {what}", path.display())).into()
}

//! The program `ffmpeg`, which reads and writes video files.
//!
//! `ffmpeg` runs as a separate process, and never through a shell. It is the only part that is not Rust code of this
//! project.

mod limits;
mod process;
mod program;
mod running;
mod watched;
mod writer;

pub use limits::ProcessLimits;
pub use process::Process;
pub use program::Ffmpeg;
pub(crate) use program::PATIENCE;
pub use running::Running;
pub use writer::{VideoCodec, VideoWriter};

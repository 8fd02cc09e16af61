//! Writes overlays as a video file, which `ffmpeg` encodes.

use crate::output::Unfinished;
use sam2::ffmpeg::{Ffmpeg, VideoCodec, VideoWriter};
use sam2::picture::Picture;
use sam2::{Error, Result, Size};
use std::path::{Path, PathBuf};

/// The extensions of the video files that can be written.
const EXTENSIONS: [&str; 4] = ["mp4", "mov", "mkv", "avi"];

/// A video that is being written. If it is dropped before [`finish`](Self::finish), no file is left.
pub struct OverlayVideo {
    path: PathBuf,
    /// It is dropped before `file`, since a running ffmpeg would create the file again.
    writer: VideoWriter,
    file: Unfinished,
}

impl OverlayVideo {
    /// Starts a video with frames of one size, at `rate` frames per second. A previous file stays until the video is
    /// finished.
    pub fn create(path: &Path, width: usize, height: usize, rate: f64) -> Result<Self> {
        OverlayVideo::by(&Ffmpeg::find()?, path, width, height, rate)
    }

    /// Like [`create`](Self::create), with a given `ffmpeg`.
    pub fn by(ffmpeg: &Ffmpeg, path: &Path, width: usize, height: usize, rate: f64) -> Result<Self> {
        let kind = path.extension().and_then(|e| e.to_str()).map(str::to_lowercase);
        if kind.is_none_or(|k| !EXTENSIONS.contains(&k.as_str())) {
            let what = format!("{}: the name of a video must end in .{}", path.display(), EXTENSIONS.join(", ."));
            return Err(Error::Input(what));
        }
        if path.is_dir() {
            return Err(Error::Input(format!("{}: is a folder", path.display())));
        }
        let file = Unfinished::create(path).map_err(|source| Error::Io { path: path.display().to_string(), source })?;
        // ffmpeg seeks in the file, which a device or a pipe does not support.
        let Some(part) = file.path().map(Path::to_path_buf) else {
            return Err(Error::Input(format!("{}: a video can only be written to a file", path.display())));
        };
        let writer = VideoWriter::create(ffmpeg, &part, VideoCodec::H264, Size::new(width, height), rate)?;
        Ok(OverlayVideo { path: path.into(), writer, file })
    }

    /// Appends a frame, which must be RGB and of the video's size.
    pub fn push(&mut self, picture: &Picture) -> Result<()> {
        self.writer.push(picture).map_err(|e| of_path(e, &self.path))
    }

    /// Whether the video has no frames yet.
    pub fn is_empty(&self) -> bool {
        self.writer.is_empty()
    }

    /// Completes the video and renames the file to its final name.
    pub fn finish(self) -> Result<()> {
        let OverlayVideo { path, writer, file } = self;
        writer.finish().map_err(|e| of_path(e, &path))?;
        file.finish().map_err(|source| Error::Io { path: path.display().to_string(), source })
    }
}

/// The error with the final path instead of that of the temporary file.
fn of_path(e: Error, path: &Path) -> Error {
    match e {
        Error::Video { what, .. } => Error::Video { path: path.display().to_string(), what },
        e => e,
    }
}

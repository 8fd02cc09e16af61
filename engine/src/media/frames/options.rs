//! Options for reading frames.

use crate::media::ffmpeg::{PATIENCE, ProcessLimits};
use crate::media::picture::ReadOptions;
use std::time::Duration;

/// Options for reading frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FramesOptions {
    /// Whether a damaged recording is read as far as it decodes, instead of failing. The frames of a video file that is
    /// damaged, or joined from several recordings, are then those that `ffmpeg` decodes. A warning gives their number.
    /// In a folder, a frame that does not decode keeps its number, and [`VideoPredictor::propagate_in_video`] skips
    /// this frame with a warning.
    ///
    /// [`VideoPredictor::propagate_in_video`]: crate::VideoPredictor::propagate_in_video
    pub keep_damaged: bool,
    /// Options for reading image files. If files have the same warning, only the first warning is logged. Frames of a
    /// video file are always rotated as the file says.
    pub read: ReadOptions,
    /// The time that `ffmpeg` may take for the next part of a video file. A decoder that writes nothing for longer is
    /// ended, and reading fails. `None` means 15 seconds.
    pub decoder_timeout: Option<Duration>,
    /// Limits of the resources of `ffmpeg`. By default there are none.
    pub decoder_limits: ProcessLimits,
    /// The largest number of frames of a video file. A file with more frames is an error, and is not decoded further.
    pub max_frames: Option<usize>,
    /// The largest width and height of the frames of a video file. A file with larger frames is an error, and is not
    /// decoded further.
    pub max_side: Option<usize>,
}

impl FramesOptions {
    /// Returns the time that `ffmpeg` may take for the next part.
    pub(super) fn patience(&self) -> Duration {
        self.decoder_timeout.unwrap_or(PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoder_has_fifteen_seconds_by_default() {
        assert_eq!(FramesOptions::default().patience(), Duration::from_secs(15));
        let hurried = FramesOptions { decoder_timeout: Some(Duration::from_secs(3)), ..Default::default() };
        assert_eq!(hurried.patience(), Duration::from_secs(3));
    }
}

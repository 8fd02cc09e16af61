//! Writes video files.

use super::process::Process;
use super::program::Ffmpeg;
use crate::error::{Error, Result};
use crate::media::format::PixelFormat;
use crate::media::picture::Picture;
use crate::media::size::Size;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// The codec of a video that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoCodec {
    /// H.264, or MPEG-4 if `ffmpeg` has no H.264 encoder. Both need even sides: an odd side is padded with a black
    /// line.
    H264,
    /// A GIF that repeats, with a palette for each frame.
    Gif,
}

/// A video file that `ffmpeg` writes. If the value is dropped before [`VideoWriter::finish`], the file is incomplete.
#[derive(Debug)]
pub struct VideoWriter {
    path: PathBuf,
    size: Size,
    frames: usize,
    /// `None` after the end.
    process: Option<Process>,
}

impl VideoWriter {
    /// Starts a video with frames of one size, at `rate` frames per second. The extension of the path is that of the
    /// container. An existing file is replaced.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if the size is empty, or if the rate is not within 0.001..=10000. [`Error::Io`] if `ffmpeg`
    /// cannot be run.
    pub fn create(ffmpeg: &Ffmpeg, path: &Path, codec: VideoCodec, size: Size, rate: f64) -> Result<VideoWriter> {
        let Size { width, height } = size;
        if !(rate.is_finite() && (1e-3..=1e4).contains(&rate)) || width == 0 || height == 0 {
            return Err(Error::Input(format!("a video of {width}x{height} pixels at {rate} frames per second")));
        }
        let (pixels, rate) = (format!("{width}x{height}"), rate.to_string());
        let mut args: Vec<&str> =
            vec!["-f", "rawvideo", "-pixel_format", "rgb24", "-video_size", &pixels, "-framerate", &rate];
        args.extend(["-i", "pipe:0", "-vf"]);
        match codec {
            VideoCodec::H264 => {
                args.extend(["pad=ceil(iw/2)*2:ceil(ih/2)*2,scale=out_color_matrix=bt709:out_range=tv"]);
                args.extend(["-pix_fmt", "yuv420p"]);
                args.extend(match ffmpeg.encodes("libx264")? {
                    true => ["-c:v", "libx264", "-crf", "20"],
                    false => ["-c:v", "mpeg4", "-q:v", "4"],
                });
                // The colour space that players assume, stated in the file.
                args.extend(["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"]);
            }
            VideoCodec::Gif => {
                args.push("split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=new=1");
                args.extend(["-loop", "0"]);
            }
        }
        if path.extension().is_some_and(|kind| kind.eq_ignore_ascii_case("mp4") || kind.eq_ignore_ascii_case("mov")) {
            args.extend(["-movflags", "+faststart"]);
        }
        let mut file = OsString::from("file:");
        file.push(path);
        let args = args.into_iter().chain(["-y"]).map(OsString::from).chain([file]);
        // At the end of a long video, ffmpeg may rewrite the whole file.
        let process = Some(ffmpeg.clone().with_limit(Duration::from_secs(3600)).start(args, Stdio::piped())?);
        Ok(VideoWriter { path: path.into(), size, frames: 0, process })
    }

    /// Appends a frame, which must be RGB and of the video's size.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if the frame has another size or format. [`Error::Video`] if `ffmpeg` failed.
    pub fn push(&mut self, picture: &Picture) -> Result<()> {
        if (picture.size(), picture.format) != (self.size, PixelFormat::Rgb8) {
            let what = format!("a frame of {} pixels for a video of {} in RGB", picture.size(), self.size);
            return Err(Error::Input(what));
        }
        self.frames += 1;
        let input = self.process.as_mut().and_then(|p| p.input.as_mut());
        match input.map(|input| input.write_all(&picture.pixels)) {
            Some(Ok(())) => Ok(()),
            // ffmpeg closed the pipe. Its error message says why.
            _ => Err(self.end().err().unwrap_or_else(|| self.error("ffmpeg ended too early"))),
        }
    }

    /// Returns whether the video has no frames yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Completes the file.
    ///
    /// # Errors
    ///
    /// [`Error::Video`] if there are no frames, or if `ffmpeg` failed.
    pub fn finish(mut self) -> Result<()> {
        if self.frames == 0 {
            return Err(self.error("no frames"));
        }
        self.end()
    }

    /// Closes the pipe and waits for `ffmpeg` to end.
    fn end(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Err(self.error("ffmpeg has ended")) };
        process.finish().map(drop).map_err(|words| self.error(&words))
    }

    fn error(&self, what: &str) -> Error {
        Error::Video { path: self.path.display().to_string(), what: what.into() }
    }
}

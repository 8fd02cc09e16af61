//! Overlays as a video file, which `ffmpeg` encodes.

use crate::output::Unfinished;
use sam2::ffmpeg::{Ffmpeg, Process};
use sam2::picture::Picture;
use sam2::{Error, PixelFormat, Result};
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// How the name of a video ends that is written here.
const KINDS: [&str; 4] = ["mp4", "mov", "mkv", "avi"];

/// A video that is being written. Dropped before it is finished, it leaves nothing.
pub struct OverlayVideo {
    path: PathBuf,
    width: usize,
    height: usize,
    frames: usize,
    /// None when it has ended. Dropped before the file, which it would create again.
    process: Option<Process>,
    file: Unfinished,
}

impl OverlayVideo {
    /// Starts a video of frames of one size, so many a second; whatever has its name stays until it is finished.
    ///
    /// It is H.264, or MPEG-4 where `ffmpeg` cannot encode that. Both have even sides only: an odd one gets a black line.
    pub fn create(path: &Path, width: usize, height: usize, rate: f64) -> Result<Self> {
        OverlayVideo::by(&Ffmpeg::find()?, path, width, height, rate)
    }

    /// As [`create`](Self::create), by this `ffmpeg`.
    pub fn by(ffmpeg: &Ffmpeg, path: &Path, width: usize, height: usize, rate: f64) -> Result<Self> {
        let kind = path.extension().and_then(|e| e.to_str()).map(str::to_lowercase);
        let Some(kind) = kind.filter(|k| KINDS.contains(&k.as_str())) else {
            let what = format!("{}: the name of a video ends in .{}", path.display(), KINDS.join(", ."));
            return Err(Error::Input(what));
        };
        if !(rate.is_finite() && (1e-3..=1e4).contains(&rate)) || width == 0 || height == 0 {
            return Err(Error::Input(format!("a video of {width}x{height} pixels with {rate} frames a second")));
        }
        if path.is_dir() {
            return Err(Error::Input(format!("{}: a folder has this name", path.display())));
        }
        let codec: &[&str] = match ffmpeg.encodes("libx264")? {
            true => &["-c:v", "libx264", "-crf", "20"],
            false => &["-c:v", "mpeg4", "-q:v", "4"],
        };
        let unfinished =
            Unfinished::create(path).map_err(|source| Error::Io { path: path.display().to_string(), source })?;
        // ffmpeg goes back in the file, which a device or a pipe does not allow.
        let Some(part) = unfinished.path().map(Path::to_path_buf) else {
            return Err(Error::Input(format!("{}: a video needs a file", path.display())));
        };
        let (size, rate) = (format!("{width}x{height}"), rate.to_string());
        let input =
            ["-f", "rawvideo", "-pixel_format", "rgb24", "-video_size", &size, "-framerate", &rate, "-i", "pipe:0"];
        let filter = "pad=ceil(iw/2)*2:ceil(ih/2)*2,scale=out_color_matrix=bt709:out_range=tv";
        // What players take for granted, said.
        let colours = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"];
        let mut args = [&input[..], &["-vf", filter, "-pix_fmt", "yuv420p"], codec, &colours, &["-y"]].concat();
        if kind == "mp4" || kind == "mov" {
            args.splice(args.len() - 1.., ["-movflags", "+faststart", "-y"]);
        }
        let mut file = OsString::from("file:");
        file.push(part);
        let args = args.into_iter().map(OsString::from).chain([file]);
        // The end of a long video is written in one go.
        let ffmpeg = ffmpeg.clone().with_limit(Duration::from_secs(3600));
        let process = Some(ffmpeg.start(args, Stdio::piped())?);
        Ok(OverlayVideo { path: path.into(), width, height, frames: 0, process, file: unfinished })
    }

    /// Adds a frame: RGB, of the video's size.
    pub fn push(&mut self, picture: &Picture) -> Result<()> {
        let (w, h) = (picture.width, picture.height);
        if (w, h, picture.format) != (self.width, self.height, PixelFormat::Rgb8) {
            let what = format!("a frame of {w}x{h} pixels for a video of {}x{} in RGB", self.width, self.height);
            return Err(Error::Input(what));
        }
        self.frames += 1;
        let input = self.process.as_mut().and_then(|p| p.input.as_mut());
        match input.map(|input| input.write_all(&picture.pixels)) {
            Some(Ok(())) => Ok(()),
            // It has closed its end: why, it has said.
            _ => Err(self.end().err().unwrap_or_else(|| self.error("ffmpeg ended too early"))),
        }
    }

    /// It has no frames yet.
    pub fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Writes what is left, and gives the video its name.
    pub fn finish(mut self) -> Result<()> {
        if self.frames == 0 {
            return Err(self.error("no frames"));
        }
        self.end()?;
        self.file.finish().map_err(|source| Error::Io { path: self.path.display().to_string(), source })
    }

    /// Waits for the end of `ffmpeg`.
    fn end(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Err(self.error("ffmpeg has ended")) };
        process.finish().map(drop).map_err(|words| self.error(&words))
    }

    fn error(&self, what: &str) -> Error {
        Error::Video { path: self.path.display().to_string(), what: what.into() }
    }
}

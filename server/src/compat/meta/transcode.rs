//! Uploads become files that browsers play. The frames stay the same in number and order.

use super::mp4;
use crate::app::App;
use crate::parts::Part;
use crate::problem::{Problem, disk};
use crate::videos::{FFMPEG, MAX_VIDEO, Video, open_frames, without_path};
use sam2::ffmpeg::Ffmpeg;
use sam2::picture::Picture;
use sam2::{PixelFormat, Size};
use std::ffi::OsString;
use std::io::Write;
use std::ops::Range;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

/// `ffmpeg` may take this time to complete a file after the last frame.
const LAST: Duration = Duration::from_secs(300);

/// The part of an upload that is wanted, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cut {
    /// The start.
    pub start: Option<f64>,
    /// The duration.
    pub duration: Option<f64>,
}

impl Cut {
    /// The frames of the part: those that are shown from the start on, and before the end.
    ///
    /// # Errors
    ///
    /// `input` if there are none.
    pub fn frames(&self, count: usize, rate: f64) -> Result<Range<usize>, Problem> {
        let (start, duration) = (self.start.unwrap_or(0.0), self.duration.unwrap_or(f64::INFINITY));
        if !(start.is_finite() && start >= 0.0 && duration > 0.0) {
            return Err(Problem::input("startTimeSec must be 0 or more, and durationTimeSec above 0"));
        }
        // Times such as 1/3 are not exact.
        let frame = |time: f64| (time * rate - 1e-6).ceil().clamp(0.0, count as f64) as usize;
        let range = frame(start)..frame(start + duration);
        match range.is_empty() {
            true => Err(Problem::input("no frames are left of the video")),
            false => Ok(range),
        }
    }
}

/// Adds a video. A file that browsers do not play, or of which a part is wanted, is written anew in H.264.
///
/// # Errors
///
/// `input` if it is no video, or `ffmpeg` cannot write H.264; `full` if there is no room.
pub fn add(app: &App, part: Part, name: Option<String>, cut: Cut) -> Result<Arc<Video>, Problem> {
    let frames = open_frames(part.path())?;
    let size = frames.read(0).map_err(without_path)?.size();
    let rate = frames.rate().filter(|rate| (1e-3..=1e4).contains(rate)).unwrap_or(24.0);
    let range = cut.frames(frames.len(), rate)?;
    let whole = range == (0..frames.len());
    let playable = mp4::playable(part.path()).map_err(|e| disk(&e))?;
    if whole && playable == Some(mp4::Playable { frames: frames.len(), size }) {
        return app.videos.add(part, name);
    }
    let ffmpeg = Ffmpeg::find().map_err(without_path)?;
    if !ffmpeg.encodes("libx264").map_err(without_path)? {
        return Err(Problem::input("the ffmpeg of the server has no encoder for H.264"));
    }
    let written = Part::new(&app.videos.parts, "")?;
    let count = range.len();
    let read = |frame: usize| match app.is_closing() {
        true => Err(Problem::draining("no new work is taken")),
        false => frames.read(frame).map_err(without_path),
    };
    write(&ffmpeg, read, range, rate, size, &written)?;
    drop(part);
    app.videos.check_room(std::fs::metadata(written.path()).map_or(0, |data| data.len()))?;
    let video = app.videos.add(written, name)?;
    if video.frames.len() != count {
        app.videos.remove(&video.id)?;
        return Err(Problem::size(format!("a video may have {MAX_VIDEO} bytes, also in H.264")));
    }
    Ok(video)
}

/// Writes frames to a file. They pass through this process, so that none is lost or repeated.
fn write(
    ffmpeg: &Ffmpeg,
    read: impl Fn(usize) -> Result<Arc<Picture>, Problem>,
    range: Range<usize>,
    rate: f64,
    size: Size,
    to: &Part,
) -> Result<(), Problem> {
    let (shape, rate) = (format!("{}x{}", size.width, size.height), rate.to_string());
    let from = ["-f", "rawvideo", "-pixel_format", "rgb24", "-video_size", &shape, "-framerate", &rate, "-i", "pipe:0"];
    // H.264 needs even sides.
    let filter = "pad=ceil(iw/2)*2:ceil(ih/2)*2,scale=out_color_matrix=bt709:out_range=tv,setsar=1:1";
    let codec = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-crf", "18", "-threads", "2"];
    let colours = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"];
    let mut args = [&from[..], &["-vf", filter], &codec, &colours, &ffmpeg.every_frame()].concat();
    // A longer file is cut there.
    let most = MAX_VIDEO.to_string();
    args.extend(["-fs", &most, "-movflags", "+faststart", "-f", "mp4", "-y"]);
    let mut file = OsString::from("file:");
    file.push(to.path());
    let args = args.into_iter().map(OsString::from).chain([file]);
    let mut process =
        ffmpeg.clone().with_limit(LAST).with_limits(FFMPEG).start(args, Stdio::piped()).map_err(without_path)?;
    let failed = |what: String| {
        log::error!("a video could not be written: {what}");
        Problem::internal("the video could not be written in H.264")
    };
    for frame in range {
        let picture = read(frame)?;
        if picture.format != PixelFormat::Rgb8 || picture.size() != size {
            return Err(failed(format!("frame {frame} is of another kind")));
        }
        let input = process.input.as_mut().ok_or_else(|| failed("no pipe".into()))?;
        if input.write_all(&picture.pixels).is_err() {
            // The process has closed the pipe. Its messages say why.
            break;
        }
    }
    process.finish().map(drop).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_video() {
        let cut = |start, duration| Cut { start, duration }.frames(30, 10.0);
        assert_eq!(cut(None, None), Ok(0..30));
        assert_eq!(cut(Some(1.0), None), Ok(10..30));
        assert_eq!(cut(Some(0.95), Some(0.5)), Ok(10..15));
        assert_eq!(cut(None, Some(99.0)), Ok(0..30));
        assert_eq!(Cut { start: Some(1.0 / 3.0), duration: None }.frames(30, 30.0), Ok(10..30));
        for (start, duration) in [(3.0, 1.0), (-1.0, 1.0), (f64::NAN, 1.0), (0.0, 0.0), (0.0, f64::NAN), (1e300, 1.0)] {
            assert!(cut(Some(start), Some(duration)).is_err(), "{start} {duration}");
        }
    }
}

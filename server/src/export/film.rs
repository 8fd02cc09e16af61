//! Videos with an effect.

use super::request::{Kind, Request};
use super::work::Work;
use crate::effects::{Shown, color_of};
use crate::problem::Problem;
use sam2::ffmpeg::{Ffmpeg, VideoCodec, VideoWriter};
use std::path::Path;

/// The most frames of an animation, which takes far more room than a video.
const MAX_GIF: usize = 600;

/// Writes all frames of the video, with the effect on those that have masks.
pub(super) fn write(work: &Work<'_>, request: Request, path: &Path) -> Result<(), Problem> {
    let video = work.video.ok_or_else(|| Problem::input("the frames of a stream are not kept"))?;
    let codec = if request.format == Kind::Gif { VideoCodec::Gif } else { VideoCodec::H264 };
    if codec == VideoCodec::Gif && work.frames > MAX_GIF {
        return Err(Problem::input(format!("{} frames, an animation may have {MAX_GIF}", work.frames)));
    }
    let ffmpeg = Ffmpeg::find().map_err(|e| Problem::input(e.to_string()))?;
    let mut writer = VideoWriter::create(&ffmpeg, path, codec, work.size, work.rate)?;
    let frames = video.frames.reopen();
    for frame in 0..frames.len() {
        let mut picture = (*frames.read(frame)?).clone();
        let mut shown = Vec::new();
        for mask in work.tracks.on(frame).iter().filter(|mask| mask.area > 0) {
            let index = work.objects.iter().position(|object| *object == mask.object).unwrap_or(0);
            shown.push(Shown { color: color_of(index), mask: mask.decode(work.size)? });
        }
        request.effect.draw(&mut picture, &shown);
        writer.push(&picture)?;
    }
    Ok(writer.finish()?)
}

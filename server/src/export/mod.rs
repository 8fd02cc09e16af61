//! Files with the masks of a session: images, annotations, and videos.

mod annotations;
mod archive;
mod film;
mod request;
mod work;

pub use request::{Kind, Request};

use crate::app::App;
use crate::parts::Part;
use crate::problem::Problem;
use crate::sessions::{Media, Session};
use crate::videos::Video;
use std::sync::Arc;
use work::Work;

/// Writes an export to a file among the parts of uploads. It takes time.
///
/// # Errors
///
/// `input` if there are no masks, or a video is asked of a stream. `full` if the disk is full.
pub fn write(app: &Arc<App>, session: &Session, request: Request) -> Result<Part, Problem> {
    let (tracks, objects, size, frames) = {
        let record = session.record();
        (record.tracks.clone(), record.objects.clone(), record.size(), record.frames)
    };
    if tracks.ranges().is_empty() {
        return Err(Problem::input("the session has no masks"));
    }
    let video = match &session.media {
        Media::Video(video) => Some(&**video),
        Media::Stream(_) => None,
    };
    app.videos.check_room(0)?;
    let rate = video.map_or(24.0, Video::rate);
    let work = Work { tracks: &tracks, objects: &objects, size, frames, rate, video };
    let (_, end) = request.format.media_type();
    let part = Part::new(&app.videos.parts, &format!("-{end}"))?;
    match request.format {
        Kind::Png => archive::masks(&work, part.path())?,
        Kind::Labels => archive::labels(&work, part.path())?,
        Kind::Coco => part.write(&annotations::coco(&work)?)?,
        Kind::Sav => part.write(&annotations::sav(&work)?)?,
        Kind::Ytvis => part.write(&annotations::ytvis(&work)?)?,
        Kind::Mp4 | Kind::Gif => film::write(&work, request, part.path())?,
    }
    Ok(part)
}

//! What a client asks of an export.

use crate::effects::Effect;
use serde::Deserialize;

/// What is written.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A ZIP with a PNG for each object and frame, 255 on the object.
    Png,
    /// A ZIP with an indexed PNG for each frame, whose values are the objects' numbers.
    Labels,
    /// Annotations as COCO has them, with the object as `track_id`.
    Coco,
    /// The masklets of SA-V, on every fourth frame.
    Sav,
    /// Annotations as YouTube-VIS has them.
    Ytvis,
    /// A video with an effect.
    Mp4,
    /// An animation with an effect.
    Gif,
}

/// A request of an export.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Request {
    /// What is written.
    pub format: Kind,
    /// The effect of a video.
    #[serde(default)]
    pub effect: Effect,
}

impl Kind {
    /// The media type of the file, and the end of its name.
    #[must_use]
    pub fn media_type(self) -> (&'static str, &'static str) {
        match self {
            Kind::Png => ("application/zip", "masks.zip"),
            Kind::Labels => ("application/zip", "labels.zip"),
            Kind::Coco => ("application/json", "coco.json"),
            Kind::Sav => ("application/json", "sav.json"),
            Kind::Ytvis => ("application/json", "ytvis.json"),
            Kind::Mp4 => ("video/mp4", "masks.mp4"),
            Kind::Gif => ("image/gif", "masks.gif"),
        }
    }
}

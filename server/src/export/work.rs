//! What exports are made of.

use crate::tracks::Tracks;
use crate::videos::Video;
use sam2::Size;

/// What exports are made of.
#[derive(Debug)]
pub struct Work<'a> {
    /// The masks.
    pub tracks: &'a Tracks,
    /// The objects, in the order in which they were added.
    pub objects: &'a [i64],
    /// The size of the frames.
    pub size: Size,
    /// The number of frames.
    pub frames: usize,
    /// Frames per second.
    pub rate: f64,
    /// The video; none for a stream.
    pub video: Option<&'a Video>,
}

//! Options of a video predictor's calls.

/// Options for the points of a call. See
/// [`VideoPredictor::add_new_points_or_box`](crate::VideoPredictor::add_new_points_or_box). The defaults are those of
/// the reference: both options are true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PointOptions {
    /// Whether the new points replace the earlier points of the object on the frame. If it is false, the new points are
    /// added to the earlier ones.
    pub clear_old_points: bool,
    /// Whether coordinates are in pixels of the video. If it is false, coordinates are in 0..1.
    pub normalize_coords: bool,
}

impl Default for PointOptions {
    fn default() -> Self {
        PointOptions { clear_old_points: true, normalize_coords: true }
    }
}

/// The direction in which objects are tracked through a video.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From a frame to the frames after it.
    #[default]
    Forward,
    /// From a frame to the frames before it, as the reference's `reverse=True`.
    Backward,
}

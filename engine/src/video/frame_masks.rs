//! The masks of one frame.

/// The masks of all objects on one frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrameMasks {
    /// The number of the frame.
    pub frame_idx: usize,
    /// The ids of the objects, in the order in which the objects were added.
    pub obj_ids: Vec<i64>,
    /// (objects, height, width): logits at the size of the video. A pixel whose logit is above 0 is on the object. The
    /// list is empty if the masks were written to a caller-provided buffer.
    pub masks: Vec<f32>,
    /// The number of masks that were written: those of the first objects. It is less than the number of objects if a
    /// caller-provided buffer has no room for more. A label map has all masks.
    pub masks_written: usize,
    /// (objects): above 0 if the object is visible. The score is not a number if the object has no output on this
    /// frame.
    pub object_score_logits: Vec<f32>,
    /// (objects): the number of pixels on the object.
    pub areas: Vec<u64>,
    /// (objects): left, top, right and bottom of the outermost pixels on the object. All are zeros if no pixel is on
    /// the object.
    pub boxes: Vec<[i32; 4]>,
}

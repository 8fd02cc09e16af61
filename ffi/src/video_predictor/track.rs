//! Propagation of the objects of a `sam2_video_predictor` through its video.

use super::frame::{FrameSink, sam2_frame_callback};
use super::{VIDEOS, Video, sam2_video_predictor};
use crate::error::{Failure, Result, call, sam2_status};
use crate::job::{begin, sam2_done_callback, sam2_job};
use crate::mask_buffer::sam2_mask_buffer;
use engine::{Direction, FrameMasks};
use std::ffi::c_void;

/// Tracks all objects.
fn propagate(
    v: &mut Video,
    start_frame_idx: i64,
    max_frame_num_to_track: i64,
    reverse: i32,
    mut to: FrameSink,
) -> Result<()> {
    let (size, mut stopped, masks) = (v.predictor.video_size(), false, to.masks.take());
    let (start_frame_idx, max_frame_num_to_track) =
        (usize::try_from(start_frame_idx).ok(), usize::try_from(max_frame_num_to_track).ok());
    let Video { predictor: p, timestamps, .. } = v;
    let mut show = |found: FrameMasks| {
        stopped = !to.emit(&found, size, timestamps);
        !stopped
    };
    let direction = if reverse != 0 { Direction::Backward } else { Direction::Forward };
    match masks {
        None => p.propagate_in_video(start_frame_idx, max_frame_num_to_track, direction, show)?,
        Some(masks) => {
            p.propagate_in_video_into(start_frame_idx, max_frame_num_to_track, direction, masks, |found, _| {
                show(found)
            })?
        }
    }
    if stopped { Err(Failure::cancelled()) } else { Ok(()) }
}

/// Tracks all objects through the video.
///
/// Blocks until the last frame is tracked, unless `on_frame` returns a nonzero value or another thread calls
/// sam2_video_predictor_cancel(). The results of the frames that were tracked until then are kept, also after a
/// failure.
///
/// @param video The predictor.
/// @param start_frame_idx Index of the first frame. A negative value starts at the first frame with a prompt.
/// @param max_frame_num_to_track Largest number of frames to track after the first one. A negative value continues to
///         the end.
/// @param reverse 1 tracks towards the first frame of the video.
/// @param masks Buffer for the masks of each frame, which is written before `on_frame` is called. See
///         sam2_video_predictor_add_new_points_or_box().
/// @param on_frame Receives the results of each frame. May be NULL.
/// @param user Passed to `on_frame`. May be NULL.
/// @return SAM2_OK, SAM2_ERROR_CANCELLED if the call was ended, SAM2_ERROR_INVALID_ARGUMENT if there is no such frame
///         or no prompt, SAM2_ERROR_IO if a frame cannot be read, SAM2_ERROR_BUSY if the predictor is in use,
///         SAM2_ERROR_DEVICE if the GPU fails, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_propagate_in_video(
    video: *mut sam2_video_predictor,
    start_frame_idx: i64,
    max_frame_num_to_track: i64,
    reverse: i32,
    masks: *const sam2_mask_buffer,
    on_frame: sam2_frame_callback,
    user: *mut c_void,
) -> sam2_status {
    call(|| {
        let mut v = VIDEOS.lease(video)?;
        // SAFETY: contract of callers.
        let to = unsafe { FrameSink::new(masks, on_frame, user) }?;
        v.run(|v| propagate(v, start_frame_idx, max_frame_num_to_track, reverse, to))
    })
}

/// Starts sam2_video_predictor_propagate_in_video() as a job. Returns as soon as the arguments are checked.
///
/// @param video The predictor, which is busy until the job ends.
/// @param start_frame_idx As in sam2_video_predictor_propagate_in_video().
/// @param max_frame_num_to_track As in sam2_video_predictor_propagate_in_video().
/// @param reverse As in sam2_video_predictor_propagate_in_video().
/// @param masks As in sam2_video_predictor_propagate_in_video(). The memory must remain valid until the job ends.
/// @param on_frame Receives the results of each frame, on a thread of the library. May be NULL.
/// @param on_done Called when the job ends. May be NULL.
/// @param user Passed to `on_frame` and `on_done`. May be NULL.
/// @param job Receives the job. NULL starts the job without a handle.
/// @return SAM2_OK if the job started, SAM2_ERROR_BUSY if the predictor is in use, or a common status. No callback is
///         called after a failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_propagate_in_video_async(
    video: *mut sam2_video_predictor,
    start_frame_idx: i64,
    max_frame_num_to_track: i64,
    reverse: i32,
    masks: *const sam2_mask_buffer,
    on_frame: sam2_frame_callback,
    on_done: sam2_done_callback,
    user: *mut c_void,
    job: *mut *mut sam2_job,
) -> sam2_status {
    call(|| {
        // SAFETY: contract of callers.
        unsafe {
            let v = VIDEOS.lease(video)?;
            let to = FrameSink::new(masks, on_frame, user)?;
            begin(job, on_done, user, v, move |v| propagate(v, start_frame_idx, max_frame_num_to_track, reverse, to))
        }
    })
}

/// Ends the call that another thread makes with the predictor, or the job that uses it. The call or job ends with
/// SAM2_ERROR_CANCELLED, within some milliseconds on the CPU and after the current frame on a GPU. Does not block.
///
/// The results of the frames that were tracked until then are kept. A frame whose push is ended is not part of the
/// stream, and can be pushed again.
///
/// @param video The predictor, which may be in use.
/// @return SAM2_OK, also if nothing uses the predictor, or SAM2_ERROR_INVALID_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_video_predictor_cancel(video: *const sam2_video_predictor) -> sam2_status {
    call(|| Ok(VIDEOS.cancel(video)?))
}

//! Frames of live streams, for one `sam2_video_predictor` or several at once.

use super::frame::{FrameSink, sam2_frame_callback};
use super::{VIDEOS, Video, sam2_video_predictor};
use crate::error::{Failure, Result, SAM2_OK, call, outcome, sam2_status};
use crate::image::{frames, sam2_image};
use crate::job::{begin, sam2_done_callback, sam2_job, start};
use crate::mask_buffer::sam2_mask_buffer;
use crate::options::{Sized32, read};
use engine::FrameMasks;
use std::ffi::c_void;

/// Checks the arguments of a push and returns its work.
unsafe fn pushing(
    image: *const sam2_image,
    masks: *const sam2_mask_buffer,
    on_frame: sam2_frame_callback,
    user: *mut c_void,
) -> Result<impl FnOnce(&mut Video) -> Result<()> + Send + 'static> {
    // SAFETY: contract of callers.
    let (frames, mut to) = unsafe { (frames(image, 1)?, FrameSink::new(masks, on_frame, user)?) };
    // SAFETY: contract of callers.
    let timestamp = unsafe { read(image) }?.timestamp;
    Ok(move |v: &mut Video| {
        let masks = to.masks.take();
        let found = match masks {
            None => v.predictor.push_frame(&frames[0])?,
            Some(masks) => {
                let mut found = FrameMasks::default();
                v.predictor.push_frame_into(&frames[0], masks, &mut found)?;
                found
            }
        };
        v.timestamps.push(found.frame_idx, timestamp);
        to.emit(&found, v.predictor.video_size(), &v.timestamps);
        Ok(())
    })
}

/// Passes the next frame to a stream, and tracks all objects to it.
///
/// Blocks until the results are available. After a failure the frame is not part of the stream.
///
/// @param video The predictor, created with sam2_video_predictor_create_stream().
/// @param image The frame.
/// @param masks As in sam2_video_predictor_add_new_points_or_box().
/// @param on_frame Receives the results of all objects. May be NULL.
/// @param user Passed to `on_frame`. May be NULL.
/// @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if the predictor is not a stream or the frame has another size,
///         SAM2_ERROR_BUSY if the predictor is in use, SAM2_ERROR_DEVICE if the GPU fails, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_push_frame(
    video: *mut sam2_video_predictor,
    image: *const sam2_image,
    masks: *const sam2_mask_buffer,
    on_frame: sam2_frame_callback,
    user: *mut c_void,
) -> sam2_status {
    call(|| {
        let mut v = VIDEOS.lease(video)?;
        // SAFETY: contract of callers.
        v.run(unsafe { pushing(image, masks, on_frame, user) }?)
    })
}

/// Starts sam2_video_predictor_push_frame() as a job. Returns as soon as the arguments are checked.
///
/// @param video The predictor, which is busy until the job ends.
/// @param image The frame, which is copied. Its pixels must remain valid until the job ends.
/// @param masks As in sam2_video_predictor_add_new_points_or_box(). The memory must remain valid until the job ends.
/// @param on_frame Receives the results of all objects, on a thread of the library. May be NULL.
/// @param on_done Called when the job ends. May be NULL.
/// @param user Passed to `on_frame` and `on_done`. May be NULL.
/// @param job Receives the job. NULL starts the job without a handle.
/// @return SAM2_OK if the job started, SAM2_ERROR_BUSY if the predictor is in use, or a common status. No callback is
///         called after a failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_push_frame_async(
    video: *mut sam2_video_predictor,
    image: *const sam2_image,
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
            begin(job, on_done, user, v, pushing(image, masks, on_frame, user)?)
        }
    })
}

/// A frame of one of several streams. Initialize it with SAM2_VIDEO_PUSH_INIT.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct sam2_video_push {
    /// sizeof(sam2_video_push).
    pub struct_size: u32,
    /// Output: the status of this push.
    pub status: sam2_status,
    /// The predictor of the stream.
    pub video: *mut sam2_video_predictor,
    /// The frame.
    pub image: *const sam2_image,
    /// As in sam2_video_predictor_push_frame().
    pub masks: *const sam2_mask_buffer,
    /// As in sam2_video_predictor_push_frame(), but called on any thread.
    pub on_frame: sam2_frame_callback,
    /// Passed to `on_frame`.
    pub user: *mut c_void,
}

// SAFETY: integers and pointers, its size first.
unsafe impl Sized32 for sam2_video_push {
    const INIT: Self = sam2_video_push {
        struct_size: size_of::<Self>() as u32,
        status: SAM2_OK,
        video: std::ptr::null_mut(),
        image: std::ptr::null(),
        masks: std::ptr::null(),
        on_frame: None,
        user: std::ptr::null_mut(),
    };
    const NAME: &'static str = "sam2_video_push";
}

/// Passes one frame to each of several streams: at the same time on a GPU, one after another on the CPU.
///
/// Blocks until all pushes end. A failed push does not affect the others.
///
/// @param pushes Array of pushes. Their `status` is written, unless the call fails before any push starts.
/// @param num_pushes Number of pushes.
/// @return SAM2_OK if all pushes succeed, otherwise the status of the first push that failed, whose message
///         sam2_last_error() returns. See sam2_video_predictor_push_frame(). SAM2_ERROR_INVALID_ARGUMENT also if
///         `pushes` is NULL or a `struct_size` is wrong. Then no push starts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_push_frames(
    pushes: *mut sam2_video_push,
    num_pushes: usize,
) -> sam2_status {
    call(|| {
        if pushes.is_null() {
            return Err(Failure::argument("pushes is null"));
        }
        let (mut at, mut places, mut works) = (pushes.cast::<u8>(), Vec::new(), Vec::new());
        for _ in 0..num_pushes {
            // SAFETY: contract of callers.
            let p = unsafe { read(at.cast::<sam2_video_push>()) }?;
            let work = VIDEOS.lease(p.video).map_err(Failure::from).and_then(|mut v| {
                // SAFETY: contract of callers.
                let push = unsafe { pushing(p.image, p.masks, p.on_frame, p.user) }?;
                Ok((v.on_gpu, move || v.run(push)))
            });
            places.push(at.wrapping_add(std::mem::offset_of!(sam2_video_push, status)).cast::<sam2_status>());
            works.push(work);
            at = at.wrapping_add(p.struct_size as usize);
        }
        let started = works.into_iter().map(|work| match work {
            Ok((true, work)) => start(work),
            Ok((false, work)) => Ok(crate::job::Job::ended_with(outcome(work))),
            Err(failure) => Err(failure),
        });
        let started: Vec<_> = started.collect();
        let mut first = Ok(());
        for (job, place) in started.into_iter().zip(places) {
            let ended = job.and_then(|job| job.result());
            // SAFETY: contract of callers.
            unsafe { place.write_unaligned(ended.as_ref().err().map_or(SAM2_OK, |e| e.status)) };
            first = first.and(ended);
        }
        first
    })
}

//! `sam2_frame`: results of a frame, and their way to the caller.

use super::{Timestamps, VIDEOS, Video, sam2_video_predictor};
use crate::error::{Result, call, sam2_status};
use crate::mask_buffer::{mask_buffer, sam2_mask_buffer};
use crate::sent::Sent;
use engine::{FrameMasks, MaskBuffer, Size};
use std::ffi::c_void;

/// Results of a frame, valid until the callback that receives them returns.
#[repr(C)]
#[derive(Debug)]
#[allow(non_camel_case_types)]
pub struct sam2_frame {
    /// sizeof(sam2_frame) in the library. Fields beyond the size that the program knows can be ignored.
    pub struct_size: u32,
    /// Number of objects.
    pub num_objects: u32,
    /// Index of the frame, from 0.
    pub frame_idx: u64,
    /// Timestamp of the image of the frame, if the frame was pushed and is kept or is the latest one, otherwise 0.
    pub timestamp: i64,
    /// Width of a mask in pixels.
    pub width: u32,
    /// Height of a mask in pixels.
    pub height: u32,
    /// (num_objects): ids of the objects.
    pub obj_ids: *const i64,
    /// (num_objects): above 0 if the object is visible. NaN if nothing is known about it on this frame.
    pub object_score_logits: *const f32,
    /// (num_objects): 1 if the object is not visible or nothing is known about it, otherwise 0.
    pub lost: *const u8,
    /// (num_objects, 4): left, top, right and bottom of the outermost pixels. Zeros if the mask is empty.
    pub boxes: *const i32,
    /// (num_objects): areas of the masks in pixels.
    pub areas: *const u64,
    /// (num_objects, height, width): logits, above 0 on the object. NULL if the masks are in a buffer of the caller.
    pub masks: *const f32,
    /// Number of masks that were written: those of the first objects. It is less than `num_objects` if a buffer of the
    /// caller has no room for more. A map of labels or ids has all masks.
    pub masks_written: u32,
    /// Unused.
    pub reserved: u32,
}

/// Receives the results of a frame.
///
/// The library calls it on the calling thread, or on a thread of its own for a job. The callback may call the library.
/// Calls with the predictor of the call return SAM2_ERROR_BUSY, but for sam2_video_predictor_cancel().
///
/// @param user Pointer that was given to the call.
/// @param frame The results, valid until the callback returns.
/// @return 0 to continue. During propagation any other value ends the call with SAM2_ERROR_CANCELLED.
#[allow(non_camel_case_types)]
pub type sam2_frame_callback = Option<unsafe extern "C" fn(user: *mut c_void, frame: *const sam2_frame) -> i32>;

/// Destination of results.
pub(super) struct FrameSink {
    pub masks: Option<MaskBuffer<'static>>,
    on_frame: sam2_frame_callback,
    user: Sent<*mut c_void>,
}

impl FrameSink {
    /// # Safety
    /// Contracts of callers and callbacks, on any thread, until the sink is no longer used.
    pub unsafe fn new(
        masks: *const sam2_mask_buffer,
        on_frame: sam2_frame_callback,
        user: *mut c_void,
    ) -> Result<FrameSink> {
        // SAFETY: contract of callers.
        Ok(unsafe { FrameSink { masks: mask_buffer(masks)?, on_frame, user: Sent::new(user) } })
    }

    /// Passes a frame to the callback. Returns whether to continue.
    pub fn emit(&self, found: &FrameMasks, Size { width, height }: Size, timestamps: &Timestamps) -> bool {
        let Some(on_frame) = self.on_frame else { return true };
        let lost: Vec<u8> = found.object_score_logits.iter().map(|&s| (s.is_nan() || s <= 0.0) as u8).collect();
        let frame = sam2_frame {
            struct_size: size_of::<sam2_frame>() as u32,
            num_objects: found.obj_ids.len() as u32,
            frame_idx: found.frame_idx as u64,
            timestamp: timestamps.of(found.frame_idx),
            width: width as u32,
            height: height as u32,
            obj_ids: found.obj_ids.as_ptr(),
            object_score_logits: found.object_score_logits.as_ptr(),
            lost: lost.as_ptr(),
            boxes: found.boxes.as_ptr().cast(),
            areas: found.areas.as_ptr(),
            masks: if found.masks.is_empty() { std::ptr::null() } else { found.masks.as_ptr() },
            masks_written: found.masks_written as u32,
            reserved: 0,
        };
        // SAFETY: contract of callbacks; what it gets lives until it returns.
        unsafe { on_frame(*self.user.get(), &frame) == 0 }
    }
}

/// Does work with a predictor that returns one frame, and passes the frame to the callback.
pub(super) unsafe fn emit_one(
    video: *const sam2_video_predictor,
    masks: *const sam2_mask_buffer,
    on_frame: sam2_frame_callback,
    user: *mut c_void,
    work: impl FnOnce(&mut Video, Option<MaskBuffer<'_>>) -> Result<FrameMasks>,
) -> sam2_status {
    call(|| {
        let mut v = VIDEOS.lease(video)?;
        // SAFETY: contract of callers.
        let mut to = unsafe { FrameSink::new(masks, on_frame, user) }?;
        let masks = to.masks.take();
        v.run(|v| {
            // Without a callback and a buffer, no masks are needed.
            v.predictor.set_show_prompts(on_frame.is_some());
            let found = work(v, masks)?;
            to.emit(&found, v.predictor.video_size(), &v.timestamps);
            Ok(())
        })
    })
}

//! Prompts on the frames of a `sam2_video_predictor`, and its objects.

use super::frame::{emit_one, sam2_frame_callback};
use super::{VIDEOS, Video, sam2_video_predictor};
use crate::arguments::index;
use crate::error::{Failure, call, sam2_status};
use crate::mask_buffer::sam2_mask_buffer;
use crate::prompt::{prompts, sam2_prompt};
use engine::{FrameMasks, MaskBuffer, PointOptions, Size, VideoPredictor};
use std::ffi::c_void;

/// Flags of sam2_video_predictor_add_new_points_or_box().
#[allow(non_camel_case_types)]
pub type sam2_prompt_flags = u32;

/// Keep the points that were added to the frame before.
pub const SAM2_PROMPT_KEEP_POINTS: sam2_prompt_flags = 1;
/// Coordinates range from 0 to 1 instead of pixels.
pub const SAM2_PROMPT_NORMALIZED: sam2_prompt_flags = 2;

/// Adds points or a box for an object on a frame, and predicts the masks of the frame.
///
/// A new id adds an object. Without `masks` and `on_frame` no masks are computed, and the time to add many objects is
/// proportional to their number.
///
/// A prompt on a tracked frame corrects it. As in the reference, the next propagation over that frame tracks it
/// again, and the correction is lost. After a correction of frame t, propagate from t + 1, or backwards from t - 1,
/// because the following frames attend to the corrected frame. The option `legacy_corrections` keeps corrections
/// through propagation.
///
/// @param video The predictor.
/// @param frame_idx Index of the frame.
/// @param obj_id Id of the object. The caller chooses it.
/// @param prompt The prompt, without masks.
/// @param flags Combination of ::sam2_prompt_flags.
/// @param masks Buffer for the masks (objects, height, width) or one map of labels. NULL passes logits to `on_frame`
///         instead.
/// @param on_frame Receives the results of all objects. May be NULL.
/// @param user Passed to `on_frame`. May be NULL.
/// @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if the prompt is malformed or there is no such frame, SAM2_ERROR_IO
///         if the frame cannot be read, SAM2_ERROR_BUSY if the predictor is in use, SAM2_ERROR_DEVICE if the GPU
///         fails, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_add_new_points_or_box(
    video: *mut sam2_video_predictor,
    frame_idx: u64,
    obj_id: i64,
    prompt: *const sam2_prompt,
    flags: sam2_prompt_flags,
    masks: *const sam2_mask_buffer,
    on_frame: sam2_frame_callback,
    user: *mut c_void,
) -> sam2_status {
    let work = |v: &mut Video, masks: Option<MaskBuffer<'_>>| {
        if flags & !(SAM2_PROMPT_KEEP_POINTS | SAM2_PROMPT_NORMALIZED) != 0 {
            return Err(Failure::argument(format!("no flags {flags:#x}")));
        }
        // SAFETY: contract of callers.
        let list = unsafe { prompts(prompt, 1, v.mask_side) }?;
        let options = PointOptions {
            clear_old_points: flags & SAM2_PROMPT_KEEP_POINTS == 0,
            normalize_coords: flags & SAM2_PROMPT_NORMALIZED == 0,
        };
        let (p, frame) = (&mut v.predictor, index(frame_idx));
        Ok(match masks {
            None => p.add_new_points_or_box(frame, obj_id, &list.all()[0], options)?,
            Some(masks) => p.add_new_points_or_box_into(frame, obj_id, &list.all()[0], options, masks)?,
        })
    };
    // SAFETY: contract of callers.
    unsafe { emit_one(video, masks, on_frame, user, work) }
}

/// Sets the mask of an object, from bytes or floats.
///
/// # Safety
/// Contracts of callers and callbacks.
unsafe fn add_mask<T>(
    video: *mut sam2_video_predictor,
    mask: *const T,
    [width, height]: [u32; 2],
    masks: *const sam2_mask_buffer,
    on_frame: sam2_frame_callback,
    user: *mut c_void,
    add: impl FnOnce(&mut VideoPredictor, &[T], [usize; 2], Option<MaskBuffer<'_>>) -> engine::Result<FrameMasks>,
) -> sam2_status {
    let work = |v: &mut Video, masks: Option<MaskBuffer<'_>>| {
        if mask.is_null() {
            return Err(Failure::argument("mask is null"));
        }
        let size = crate::mask::pixels(width, height)?;
        // SAFETY: contract of callers.
        let mask = unsafe { std::slice::from_raw_parts(mask, size) };
        Ok(add(&mut v.predictor, mask, [height as usize, width as usize], masks)?)
    };
    // SAFETY: contract of callers.
    unsafe { emit_one(video, masks, on_frame, user, work) }
}

/// Sets the mask of an object on a frame, and returns the masks of the frame.
///
/// An empty mask states that the object is not visible.
///
/// @param video The predictor.
/// @param frame_idx Index of the frame.
/// @param obj_id Id of the object. The caller chooses it.
/// @param mask (height, width): nonzero on the object. The mask may have any size.
/// @param width Width of `mask` in pixels.
/// @param height Height of `mask` in pixels.
/// @param masks As in sam2_video_predictor_add_new_points_or_box().
/// @param on_frame Receives the results of all objects. May be NULL.
/// @param user Passed to `on_frame`. May be NULL.
/// @return As sam2_video_predictor_add_new_points_or_box().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_add_new_mask(
    video: *mut sam2_video_predictor,
    frame_idx: u64,
    obj_id: i64,
    mask: *const u8,
    width: u32,
    height: u32,
    masks: *const sam2_mask_buffer,
    on_frame: sam2_frame_callback,
    user: *mut c_void,
) -> sam2_status {
    // SAFETY: contract of callers.
    unsafe {
        add_mask(video, mask, [width, height], masks, on_frame, user, |p, mask, [height, width], masks| match masks {
            None => p.add_new_mask(index(frame_idx), obj_id, mask, Size::new(width, height)),
            Some(masks) => p.add_new_mask_into(index(frame_idx), obj_id, mask, Size::new(width, height), masks),
        })
    }
}

/// Removes the prompts for an object on a frame.
///
/// @param video The predictor.
/// @param frame_idx Index of the frame.
/// @param obj_id Id of the object.
/// @param masks As in sam2_video_predictor_add_new_points_or_box().
/// @param on_frame Receives the results of all objects. May be NULL.
/// @param user Passed to `on_frame`. May be NULL.
/// @return As sam2_video_predictor_add_new_points_or_box().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_clear_all_prompts_in_frame(
    video: *mut sam2_video_predictor,
    frame_idx: u64,
    obj_id: i64,
    masks: *const sam2_mask_buffer,
    on_frame: sam2_frame_callback,
    user: *mut c_void,
) -> sam2_status {
    let work = |v: &mut Video, masks: Option<MaskBuffer<'_>>| {
        let (p, frame) = (&mut v.predictor, index(frame_idx));
        Ok(match masks {
            None => p.clear_all_prompts_in_frame(frame, obj_id)?,
            Some(masks) => p.clear_all_prompts_in_frame_into(frame, obj_id, masks)?,
        })
    };
    // SAFETY: contract of callers.
    unsafe { emit_one(video, masks, on_frame, user, work) }
}

/// Sets the mask of an object on a frame from float values, as the reference does from a tensor.
///
/// The mask is resized to the side of the model's input, and values of at least 0.5 are on the object. A mask of
/// exactly that size is used without thresholding. Otherwise as sam2_video_predictor_add_new_mask().
///
/// @param video The predictor.
/// @param frame_idx Index of the frame.
/// @param obj_id Id of the object. The caller chooses it.
/// @param mask (height, width) values.
/// @param width Width of `mask` in pixels.
/// @param height Height of `mask` in pixels.
/// @param masks As in sam2_video_predictor_add_new_points_or_box().
/// @param on_frame Receives the results of all objects. May be NULL.
/// @param user Passed to `on_frame`. May be NULL.
/// @return As sam2_video_predictor_add_new_points_or_box().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_add_new_mask_f32(
    video: *mut sam2_video_predictor,
    frame_idx: u64,
    obj_id: i64,
    mask: *const f32,
    width: u32,
    height: u32,
    masks: *const sam2_mask_buffer,
    on_frame: sam2_frame_callback,
    user: *mut c_void,
) -> sam2_status {
    // SAFETY: contract of callers.
    unsafe {
        add_mask(video, mask, [width, height], masks, on_frame, user, |p, mask, [height, width], masks| match masks {
            None => p.add_new_mask_f32(index(frame_idx), obj_id, mask, Size::new(width, height)),
            Some(masks) => p.add_new_mask_f32_into(index(frame_idx), obj_id, mask, Size::new(width, height), masks),
        })
    }
}

/// Removes an object and its memories.
///
/// @param video The predictor.
/// @param obj_id Id of the object.
/// @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if there is no such object, SAM2_ERROR_BUSY if the predictor is in
///         use, or a common status.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_video_predictor_remove_object(video: *mut sam2_video_predictor, obj_id: i64) -> sam2_status {
    call(|| {
        VIDEOS.lease(video)?.run(|v| {
            // The masks of the other objects are not returned, so they are not made.
            v.predictor.set_show_prompts(false);
            v.predictor.remove_object(obj_id)?;
            Ok(())
        })
    })
}

/// Removes all objects.
///
/// @param video The predictor.
/// @return SAM2_OK, SAM2_ERROR_BUSY if the predictor is in use, or a common status.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_video_predictor_reset_state(video: *mut sam2_video_predictor) -> sam2_status {
    call(|| {
        VIDEOS.lease(video)?.predictor.reset_state();
        Ok(())
    })
}

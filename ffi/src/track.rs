//! What `sam2_video_predictor` does: prompts, tracking, and what is found.

use crate::handles::Lease;
use crate::image::{frames, sam2_image};
use crate::job::{Sent, begin, sam2_done_callback, sam2_job, start};
use crate::masks::{mask_buffer, sam2_mask_buffer};
use crate::options::{Sized32, read};
use crate::prompts::{prompts, sam2_prompt};
use crate::status::{Failure, Result, SAM2_OK, call, outcome, sam2_status};
use crate::video::{VIDEOS, Video, sam2_video_predictor};
use engine::{FrameMasks, MaskBuffer, VideoPredictor};
use std::ffi::c_void;

/// What was found on a frame, there until the callback that gets it returns.
#[repr(C)]
#[allow(non_camel_case_types)]
pub struct sam2_frame {
    /// sizeof(sam2_frame) as the library knows it; what comes later than the caller knows may be left alone.
    pub struct_size: u32,
    /// Objects.
    pub num_objects: u32,
    /// The frame's number, from 0.
    pub frame_idx: u64,
    /// Of the picture that was pushed; else 0.
    pub timestamp: i64,
    /// Pixels across of a mask.
    pub width: u32,
    /// Pixels down of a mask.
    pub height: u32,
    /// (num_objects): the numbers that the caller knows them by.
    pub object_ids: *const i64,
    /// (num_objects): above 0 where the object is to be seen; NaN where nothing is known of it on this frame.
    pub scores: *const f32,
    /// (num_objects): 1 where the object is not to be seen, or nothing is known of it; else 0.
    pub lost: *const u8,
    /// (num_objects, 4): left, top, right and bottom of the mask's outermost pixels; zeros where it is empty.
    pub boxes: *const i32,
    /// (num_objects): pixels of the mask.
    pub areas: *const u64,
    /// (num_objects, height, width): logits; above 0 is on the object. Null where they went to a buffer of the caller's.
    pub masks: *const f32,
}

/// Gets the caller's pointer and a frame; returns 0 to go on. It runs on the thread that made the call, of a job on one of the
/// library's, and may make calls, but none on that predictor.
#[allow(non_camel_case_types)]
pub type sam2_frame_callback = Option<unsafe extern "C" fn(user: *mut c_void, frame: *const sam2_frame) -> i32>;

/// Where what is found goes.
struct To {
    masks: Option<MaskBuffer<'static>>,
    each: sam2_frame_callback,
    user: Sent<*mut c_void>,
    timestamp: i64,
}

impl To {
    /// # Safety
    /// `masks` describes what is there until this is used, and so is what `each` does with `user`, on any thread.
    unsafe fn new(masks: *const sam2_mask_buffer, each: sam2_frame_callback, user: *mut c_void) -> Result<To> {
        // SAFETY: the caller's promise.
        Ok(unsafe { To { masks: mask_buffer(masks)?, each, user: Sent::new(user), timestamp: 0 } })
    }

    /// Shows a frame to the caller; whether to go on.
    fn show(&self, found: &FrameMasks, (height, width): (usize, usize)) -> bool {
        let Some(each) = self.each else { return true };
        let lost: Vec<u8> = found.scores.iter().map(|&s| (s.is_nan() || s <= 0.0) as u8).collect();
        let frame = sam2_frame {
            struct_size: size_of::<sam2_frame>() as u32,
            num_objects: found.obj_ids.len() as u32,
            frame_idx: found.frame_idx as u64,
            timestamp: self.timestamp,
            width: width as u32,
            height: height as u32,
            object_ids: found.obj_ids.as_ptr(),
            scores: found.scores.as_ptr(),
            lost: lost.as_ptr(),
            boxes: found.boxes.as_ptr().cast(),
            areas: found.areas.as_ptr(),
            masks: if found.masks.is_empty() { std::ptr::null() } else { found.masks.as_ptr() },
        };
        // SAFETY: the caller's function; what it gets lives until it returns.
        unsafe { each(*self.user.get(), &frame) == 0 }
    }
}

/// Does something with a predictor, and shows the masks that come back.
unsafe fn shown(
    video: *const sam2_video_predictor,
    masks: *const sam2_mask_buffer,
    each: sam2_frame_callback,
    user: *mut c_void,
    work: impl FnOnce(&mut Video, Option<MaskBuffer<'_>>) -> Result<FrameMasks>,
) -> sam2_status {
    call(|| {
        let mut v = VIDEOS.lease(video)?;
        // SAFETY: the caller's promise.
        let mut to = unsafe { To::new(masks, each, user) }?;
        let masks = to.masks.take();
        // Without a callback and a buffer, no masks are needed.
        v.predictor.show_prompts(each.is_some());
        let found = work(&mut v, masks)?;
        to.show(&found, v.predictor.video_size());
        Ok(())
    })
}

/// Keep what was said of the frame's points before.
pub const SAM2_PROMPT_KEEP_POINTS: u32 = 1;
/// Coordinates are in 0..1, not in pixels.
pub const SAM2_PROMPT_NORMALIZED: u32 = 2;

/// Says where an object is on a frame, by points, a box or both. `each` gets what is found of all objects there, and may be
/// null. `masks`: where masks go instead, (objects, height, width) or as its kind says; null: to `each`. With neither, no masks
/// are made, and adding many objects takes time in proportion to their number.
///
/// Corrections: a prompt on a frame that was tracked changes its mask at once, but as in the reference the next propagation
/// over that frame finds it anew and the correction is lost. So after a correction of frame t, propagate from t + 1
/// (backwards from t - 1): the frames that follow attend to the corrected one. `legacy_corrections` in the options keeps
/// corrections through propagation.
///
/// # Safety
/// `prompt` is readable, and what it points at; `masks` describes what is there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_add_new_points_or_box(
    video: *mut sam2_video_predictor,
    frame_idx: u64,
    object_id: i64,
    prompt: *const sam2_prompt,
    flags: u32,
    masks: *const sam2_mask_buffer,
    each: sam2_frame_callback,
    user: *mut c_void,
) -> sam2_status {
    let work = |v: &mut Video, masks: Option<MaskBuffer<'_>>| {
        if flags & !(SAM2_PROMPT_KEEP_POINTS | SAM2_PROMPT_NORMALIZED) != 0 {
            return Err(Failure::argument(format!("no flags {flags:#x}")));
        }
        // SAFETY: the caller's promise.
        let list = unsafe { prompts(prompt, 1, v.mask_side) }?;
        let (clear, pixels) = (flags & SAM2_PROMPT_KEEP_POINTS == 0, flags & SAM2_PROMPT_NORMALIZED == 0);
        let (p, frame) = (&mut v.predictor, index(frame_idx));
        Ok(match masks {
            None => p.add_new_points_or_box(frame, object_id, &list.all()[0], clear, pixels)?,
            Some(masks) => p.add_new_points_or_box_into(frame, object_id, &list.all()[0], clear, pixels, masks)?,
        })
    };
    // SAFETY: the caller's promise.
    unsafe { shown(video, masks, each, user, work) }
}

/// A frame's number; one that there cannot be is told so by the predictor.
fn index(frame_idx: u64) -> usize {
    usize::try_from(frame_idx).unwrap_or(usize::MAX)
}

/// Says where an object is by a mask, of bytes or of floats.
///
/// # Safety
/// `mask` is null or has width times height values; `masks` describes what is there.
unsafe fn add_mask<T>(
    video: *mut sam2_video_predictor,
    mask: *const T,
    [width, height]: [u32; 2],
    masks: *const sam2_mask_buffer,
    each: sam2_frame_callback,
    user: *mut c_void,
    add: impl FnOnce(&mut VideoPredictor, &[T], [usize; 2], Option<MaskBuffer<'_>>) -> engine::Result<FrameMasks>,
) -> sam2_status {
    let work = |v: &mut Video, masks: Option<MaskBuffer<'_>>| {
        if mask.is_null() {
            return Err(Failure::argument("mask is null"));
        }
        let size = crate::masks::pixels(width, height)?;
        // SAFETY: the caller's promise.
        let mask = unsafe { std::slice::from_raw_parts(mask, size) };
        Ok(add(&mut v.predictor, mask, [height as usize, width as usize], masks)?)
    };
    // SAFETY: the caller's promise.
    unsafe { shown(video, masks, each, user, work) }
}

/// Says where an object is on a frame, by a mask (height, width) of any size, 0 where it is not. An empty mask says that it is
/// not there. `masks`, `each`, `user`: as of `sam2_video_predictor_add_new_points_or_box`.
///
/// # Safety
/// `mask` has height times width bytes; `masks` describes what is there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_add_new_mask(
    video: *mut sam2_video_predictor,
    frame_idx: u64,
    object_id: i64,
    mask: *const u8,
    width: u32,
    height: u32,
    masks: *const sam2_mask_buffer,
    each: sam2_frame_callback,
    user: *mut c_void,
) -> sam2_status {
    // SAFETY: the caller's promise.
    unsafe {
        add_mask(video, mask, [width, height], masks, each, user, |p, mask, [height, width], masks| match masks {
            None => p.add_new_mask(index(frame_idx), object_id, mask, height, width),
            Some(masks) => p.add_new_mask_into(index(frame_idx), object_id, mask, height, width, masks),
        })
    }
}

/// Forgets what was said of an object on a frame. `masks`, `each`, `user`: as of `sam2_video_predictor_add_new_points_or_box`.
///
/// # Safety
/// `masks` describes what is there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_clear_all_prompts_in_frame(
    video: *mut sam2_video_predictor,
    frame_idx: u64,
    object_id: i64,
    masks: *const sam2_mask_buffer,
    each: sam2_frame_callback,
    user: *mut c_void,
) -> sam2_status {
    let work = |v: &mut Video, masks: Option<MaskBuffer<'_>>| {
        let (p, frame) = (&mut v.predictor, index(frame_idx));
        Ok(match masks {
            None => p.clear_all_prompts_in_frame(frame, object_id)?,
            Some(masks) => p.clear_all_prompts_in_frame_into(frame, object_id, masks)?,
        })
    };
    // SAFETY: the caller's promise.
    unsafe { shown(video, masks, each, user, work) }
}

/// Removes an object.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_video_predictor_remove_object(video: *mut sam2_video_predictor, object_id: i64) -> sam2_status {
    call(|| Ok(VIDEOS.lease(video)?.predictor.remove_object(object_id)?))
}

/// Removes all objects.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_video_predictor_reset_state(video: *mut sam2_video_predictor) -> sam2_status {
    call(|| {
        VIDEOS.lease(video)?.predictor.reset_state();
        Ok(())
    })
}

/// Follows all objects, as told.
fn propagate(v: &mut Lease<Video>, start: i64, count: i64, reverse: i32, mut to: To) -> Result<()> {
    let (size, mut stopped, of, masks) = (v.predictor.video_size(), false, v.of.clone(), to.masks.take());
    let (start, count) = (usize::try_from(start).ok(), usize::try_from(count).ok());
    let mut each = |found: FrameMasks| {
        stopped = !to.show(&found, size) || of.take_cancel();
        !stopped
    };
    let (p, reverse) = (&mut v.predictor, reverse != 0);
    match masks {
        None => p.propagate_in_video(start, count, reverse, each)?,
        Some(masks) => p.propagate_in_video_into(start, count, reverse, masks, |found, _| each(found))?,
    }
    if stopped { Err(Failure::cancelled()) } else { Ok(()) }
}

/// Follows all objects from frame `start` (negative: the first that anything was said of) over at most `count` further frames
/// (negative: to the end), towards the first frame where `reverse` is not 0. `each` gets what is found frame by frame; where it
/// returns anything but 0, or `sam2_video_predictor_cancel` is called meanwhile, the call ends with SAM2_ERROR_CANCELLED, and
/// what was found so far is kept. `masks`: where the masks of each frame go before `each` is called, as of
/// `sam2_video_predictor_add_new_points_or_box`.
///
/// # Safety
/// `masks` describes what is there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_propagate_in_video(
    video: *mut sam2_video_predictor,
    start: i64,
    count: i64,
    reverse: i32,
    masks: *const sam2_mask_buffer,
    each: sam2_frame_callback,
    user: *mut c_void,
) -> sam2_status {
    call(|| {
        let mut v = VIDEOS.lease(video)?;
        v.of.take_cancel();
        // SAFETY: the caller's promise.
        propagate(&mut v, start, count, reverse, unsafe { To::new(masks, each, user) }?)
    })
}

/// As `sam2_video_predictor_propagate_in_video`, as a job: `each` is called on a thread of the library's, with the same `user`
/// as `done`.
///
/// # Safety
/// As of `sam2_video_predictor_propagate_in_video`, until the job has ended; `job` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_propagate_in_video_async(
    video: *mut sam2_video_predictor,
    start: i64,
    count: i64,
    reverse: i32,
    masks: *const sam2_mask_buffer,
    each: sam2_frame_callback,
    done: sam2_done_callback,
    user: *mut c_void,
    job: *mut *mut sam2_job,
) -> sam2_status {
    call(|| {
        // SAFETY: the caller's promise.
        unsafe {
            let mut v = VIDEOS.lease(video)?;
            v.of.take_cancel();
            let to = To::new(masks, each, user)?;
            begin(job, done, user, move || propagate(&mut v, start, count, reverse, to))
        }
    })
}

/// Ends the propagation that another thread, or a job, has in progress after its current frame. Never waits.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_video_predictor_cancel(video: *const sam2_video_predictor) -> sam2_status {
    call(|| {
        VIDEOS.get(video)?.cancelled.store(true, std::sync::atomic::Ordering::Release);
        Ok(())
    })
}

/// As `sam2_video_predictor_add_new_mask`, of float values, as the reference takes a tensor: resized to the side of the
/// model's input they are on the object from 0.5 on; of that very size they are taken as they are.
///
/// # Safety
/// `mask` has height times width floats; `masks` describes what is there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_add_new_mask_f32(
    video: *mut sam2_video_predictor,
    frame_idx: u64,
    object_id: i64,
    mask: *const f32,
    width: u32,
    height: u32,
    masks: *const sam2_mask_buffer,
    each: sam2_frame_callback,
    user: *mut c_void,
) -> sam2_status {
    // SAFETY: the caller's promise.
    unsafe {
        add_mask(video, mask, [width, height], masks, each, user, |p, mask, [height, width], masks| match masks {
            None => p.add_new_mask_f32(index(frame_idx), object_id, mask, height, width),
            Some(masks) => p.add_new_mask_f32_into(index(frame_idx), object_id, mask, height, width, masks),
        })
    }
}

/// What pushing a frame is to do, once its arguments are known to be right.
unsafe fn pushing(
    mut v: Lease<Video>,
    image: *const sam2_image,
    masks: *const sam2_mask_buffer,
    each: sam2_frame_callback,
    user: *mut c_void,
) -> Result<impl FnOnce() -> Result<()> + Send + 'static> {
    // SAFETY: the caller's promise.
    let (frames, mut to) = unsafe { (frames(image, 1)?, To::new(masks, each, user)?) };
    // SAFETY: as above.
    to.timestamp = unsafe { read(image) }?.timestamp;
    Ok(move || {
        let masks = to.masks.take();
        let found = match masks {
            None => v.predictor.push_frame(&frames[0])?,
            Some(masks) => v.predictor.push_frame_into(&frames[0], masks)?,
        };
        to.show(&found, v.predictor.video_size());
        Ok(())
    })
}

/// The next frame of a stream: follows all objects to it. After a failure the frame does not count. `masks`, `each`, `user`: as
/// of `sam2_video_predictor_add_new_points_or_box`.
///
/// # Safety
/// `image` and `masks` describe what is there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_push_frame(
    video: *mut sam2_video_predictor,
    image: *const sam2_image,
    masks: *const sam2_mask_buffer,
    each: sam2_frame_callback,
    user: *mut c_void,
) -> sam2_status {
    call(|| {
        let v = VIDEOS.lease(video)?;
        // SAFETY: the caller's promise.
        unsafe { pushing(v, image, masks, each, user) }?()
    })
}

/// As `sam2_video_predictor_push_frame`, as a job: the picture and the buffer must be there until it has ended. `each` is called on
/// a thread of the library's, with the same `user` as `done`.
///
/// # Safety
/// As of `sam2_video_predictor_push_frame`, until the job has ended; `job` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_push_frame_async(
    video: *mut sam2_video_predictor,
    image: *const sam2_image,
    masks: *const sam2_mask_buffer,
    each: sam2_frame_callback,
    done: sam2_done_callback,
    user: *mut c_void,
    job: *mut *mut sam2_job,
) -> sam2_status {
    call(|| {
        // SAFETY: the caller's promise.
        unsafe { begin(job, done, user, pushing(VIDEOS.lease(video)?, image, masks, each, user)?) }
    })
}

/// A frame of one of several cameras. Begin with SAM2_PUSH_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam2_push {
    /// sizeof(sam2_push)
    pub struct_size: u32,
    /// Is written: how it ended.
    pub status: sam2_status,
    /// The camera's stream.
    pub video: *mut sam2_video_predictor,
    /// Its frame.
    pub image: *const sam2_image,
    /// As of `sam2_video_predictor_push_frame`.
    pub masks: *const sam2_mask_buffer,
    /// As of `sam2_video_predictor_push_frame`; on any thread.
    pub each: sam2_frame_callback,
    /// For `each`.
    pub user: *mut c_void,
}

// SAFETY: integers and pointers, its size first.
unsafe impl Sized32 for sam2_push {
    const INIT: Self = sam2_push {
        struct_size: size_of::<Self>() as u32,
        status: SAM2_OK,
        video: std::ptr::null_mut(),
        image: std::ptr::null(),
        masks: std::ptr::null(),
        each: None,
        user: std::ptr::null_mut(),
    };
    const NAME: &'static str = "sam2_push";
}

/// Pushes a frame each of several cameras, one struct after another: on a GPU at the same time, on the CPU one by one. Each goes on
/// whatever becomes of the others; the call returns the first failure's status.
///
/// # Safety
/// `pushes` are `count` structs, whose pointers are as of `sam2_video_predictor_push_frame`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_push_frames(pushes: *mut sam2_push, count: usize) -> sam2_status {
    call(|| {
        if pushes.is_null() {
            return Err(Failure::argument("pushes is null"));
        }
        let (mut at, mut places, mut works) = (pushes.cast::<u8>(), Vec::new(), Vec::new());
        for _ in 0..count {
            // SAFETY: the caller's promise.
            let p = unsafe { read(at.cast::<sam2_push>()) }?;
            let work = VIDEOS.lease(p.video).map_err(Failure::from).and_then(|v| {
                // SAFETY: as above.
                let on_gpu = v.on_gpu;
                Ok((on_gpu, unsafe { pushing(v, p.image, p.masks, p.each, p.user) }?))
            });
            places.push(at.wrapping_add(std::mem::offset_of!(sam2_push, status)).cast::<sam2_status>());
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
            // SAFETY: the caller's promise.
            unsafe { place.write_unaligned(ended.as_ref().err().map_or(SAM2_OK, |e| e.status)) };
            first = first.and(ended);
        }
        first
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::*;
    use engine::Counters;
    use std::ptr::{null, null_mut};

    extern "C" fn look(_: *mut c_void, _: *const sam2_frame) -> i32 {
        0
    }

    /// Names so many objects on the first frame of a stream, by a click or a mask each; the work of each call.
    fn work_of_naming(objects: usize, by_mask: bool, each: sam2_frame_callback) -> Vec<Counters> {
        let options = sam2_model_options { device: SAM2_DEVICE_CPU, ..Sized32::INIT };
        let (mut model, mut video) = (null_mut(), null_mut::<sam2_video_predictor>());
        let pixels = [99u8; 32 * 32 * 3];
        let image =
            sam2_image { width: 32, height: 32, planes: [pixels.as_ptr().cast(), null(), null()], ..Sized32::INIT };
        let (at, label, mask) = ([16f32; 2], 1, [1u8; 8 * 8]);
        let prompt = sam2_prompt { num_points: 1, points: at.as_ptr(), labels: &label, ..Sized32::INIT };
        let counters = |video: *const sam2_video_predictor| VIDEOS.lease(video).ok().unwrap().predictor.counters();
        // SAFETY: everything is where its pointer says.
        let work = unsafe {
            assert_eq!(sam2_model_load(c"../demo".as_ptr(), &options, &mut model), SAM2_OK);
            assert_eq!(sam2_video_predictor_stream(model, null(), &mut video), SAM2_OK);
            assert_eq!(sam2_video_predictor_push_frame(video, &image, null(), None, null_mut()), SAM2_OK);
            let name = |id: i64| {
                let (before, user) = (counters(video), null_mut());
                let status = match by_mask {
                    true => sam2_video_predictor_add_new_mask(video, 0, id, mask.as_ptr(), 8, 8, null(), each, user),
                    false => sam2_video_predictor_add_new_points_or_box(video, 0, id, &prompt, 0, null(), each, user),
                };
                assert_eq!(status, SAM2_OK);
                counters(video) - before
            };
            (0..objects as i64).map(name).collect()
        };
        assert_eq!(sam2_video_predictor_destroy(video), SAM2_OK);
        assert_eq!(sam2_model_destroy(model), SAM2_OK);
        work
    }

    #[test]
    fn an_object_costs_the_same_however_many_there_are() {
        for by_mask in [false, true] {
            let work = work_of_naming(200, by_mask, None);
            // The first has the picture encoded.
            let (second, last) = (work[1], work[199]);
            assert_eq!(last, second, "by a mask: {by_mask}");
            // The room for pointers is doubled when it is full, which copies them.
            let more = work[1..].iter().filter(|&&work| work != second).count();
            assert!(more <= 4, "{more} calls do more, by a mask: {by_mask}");
            // A callback is shown all objects.
            let shown = work_of_naming(20, by_mask, Some(look));
            assert!(shown[19].bytes > shown[1].bytes, "{shown:?}");
        }
    }
}

//! `sam2_video_predictor`

use crate::handles::{Object, Table};
use crate::image::{frame, sam2_image};
use crate::model::{MODELS, put, sam2_model, text};
use crate::options::{Sized32, read};
use crate::predictor::{mask_buffer, sam2_mask_buffer};
use crate::prompts::{prompt, sam2_prompt};
use crate::status::{Failure, Result, call, sam2_status};
use engine::{FrameMasks, Frames, Retention, VideoPredictor, VideoPredictorOptions};
use std::ffi::{c_char, c_void};

/// Follows objects through a video. One thread uses it at a time.
#[allow(non_camel_case_types)]
pub struct sam2_video_predictor {
    _opaque: [u8; 0],
}

/// A predictor, and the side of the masks it takes.
pub(crate) struct Video {
    predictor: VideoPredictor,
    mask_side: usize,
}

pub(crate) static VIDEOS: Table<Video> = Table::new("video predictor", 3);

/// Everything is kept: anything may be said of any frame.
pub const SAM2_RETAIN_EVERYTHING: u32 = 0xffff_ffff;

/// How a video predictor keeps what it learns. Begin with SAM2_VIDEO_OPTIONS_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam2_video_options {
    /// sizeof(sam2_video_options)
    pub struct_size: u32,
    /// Of a stream: so many frames before the last are kept, pictures and masks; or SAM2_RETAIN_EVERYTHING.
    pub window: u32,
    /// Not 0: corrections of tracked frames outlast the next propagation over them.
    pub legacy_corrections: i32,
    /// Not 0: memories are kept in the host's memory.
    pub offload_state_to_cpu: i32,
}

// SAFETY: integers, its size first.
unsafe impl Sized32 for sam2_video_options {
    const INIT: Self = sam2_video_options {
        struct_size: size_of::<Self>() as u32,
        window: 0,
        legacy_corrections: 0,
        offload_state_to_cpu: 0,
    };
    const NAME: &'static str = "sam2_video_options";
}

/// What was found on a frame, there until the callback that gets it returns.
#[repr(C)]
#[allow(non_camel_case_types)]
pub struct sam2_frame {
    /// The frame's number, from 0.
    pub frame_idx: u64,
    /// Objects.
    pub num_objects: u32,
    /// Pixels across of a mask.
    pub width: u32,
    /// Pixels down of a mask.
    pub height: u32,
    /// Not used.
    pub reserved: u32,
    /// (num_objects): the numbers that the caller knows them by.
    pub object_ids: *const i64,
    /// (num_objects): above 0 where the object is to be seen; NaN where nothing is known of it on this frame.
    pub scores: *const f32,
    /// (num_objects, height, width): logits; above 0 is on the object. Null where they went to a buffer of the caller's.
    pub masks: *const f32,
}

/// Gets the caller's pointer and a frame; returns 0 to go on.
#[allow(non_camel_case_types)]
pub type sam2_frame_callback = Option<unsafe extern "C" fn(user: *mut c_void, frame: *const sam2_frame) -> i32>;

/// Gets the caller's pointer and bytes to store; returns 0 to go on.
#[allow(non_camel_case_types)]
pub type sam2_write_callback = Option<unsafe extern "C" fn(user: *mut c_void, data: *const u8, size: usize) -> i32>;

/// Shows a frame to the caller; whether to go on.
fn show(each: sam2_frame_callback, user: *mut c_void, masks: &FrameMasks, (height, width): (usize, usize)) -> bool {
    let Some(each) = each else { return true };
    let frame = sam2_frame {
        frame_idx: masks.frame_idx as u64,
        num_objects: masks.obj_ids.len() as u32,
        width: width as u32,
        height: height as u32,
        reserved: 0,
        object_ids: masks.obj_ids.as_ptr(),
        scores: masks.scores.as_ptr(),
        masks: if masks.masks.is_empty() { std::ptr::null() } else { masks.masks.as_ptr() },
    };
    // SAFETY: the caller's function; what it gets lives until it returns.
    unsafe { each(user, &frame) == 0 }
}

unsafe fn create(
    model: *const sam2_model,
    options: *const sam2_video_options,
    out: *mut *mut sam2_video_predictor,
    frames: impl FnOnce() -> Result<Option<Frames>>,
) -> sam2_status {
    call(|| {
        // SAFETY: the caller's promise, of both.
        unsafe {
            put("out", out, || {
                let o = read(options)?;
                let options = VideoPredictorOptions {
                    legacy_corrections: o.legacy_corrections != 0,
                    offload_state_to_cpu: o.offload_state_to_cpu != 0,
                };
                let retention = match o.window {
                    SAM2_RETAIN_EVERYTHING => Retention::Everything,
                    n => Retention::Window(n as usize),
                };
                let frames = frames()?;
                let model = MODELS.look(model, Clone::clone)?;
                let predictor = match frames {
                    Some(frames) => model.video_predictor(frames, options)?,
                    None => model.video_stream(retention, options)?,
                };
                Ok(VIDEOS.insert(Video { predictor, mask_side: model.config().mask_side() }))
            })
        }
    })
}

/// Opens a folder of frames named by their numbers (00000.jpg, ...), or a video file, which needs the program `ffmpeg`.
/// `options` may be null. On success `*out` is to be given to `sam2_video_predictor_destroy`.
///
/// # Safety
/// `path` ends in 0; `options` is null or readable; `out` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_open(
    model: *const sam2_model,
    path: *const c_char,
    options: *const sam2_video_options,
    out: *mut *mut sam2_video_predictor,
) -> sam2_status {
    // SAFETY: the caller's promise.
    unsafe {
        create(model, options, out, || {
            let path = text("path", path)?.ok_or_else(|| Failure::argument("path is null"))?;
            Ok(Some(Frames::open(path)?))
        })
    }
}

/// Makes a predictor for frames that come one by one, `sam2_video_predictor_push_frame`, nobody knows how many.
///
/// # Safety
/// As of `sam2_video_predictor_open`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_stream(
    model: *const sam2_model,
    options: *const sam2_video_options,
    out: *mut *mut sam2_video_predictor,
) -> sam2_status {
    // SAFETY: the caller's promise.
    unsafe { create(model, options, out, || Ok(None)) }
}

/// A predictor that knows what this one does and goes its own way from here, as to try a prompt. Nothing is copied.
///
/// # Safety
/// `out` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_fork(
    video: *const sam2_video_predictor,
    out: *mut *mut sam2_video_predictor,
) -> sam2_status {
    call(|| {
        // SAFETY: the caller's promise.
        unsafe {
            put("out", out, || {
                let fork = VIDEOS.with(video, |v, _| {
                    Ok::<_, Failure>(Video { predictor: v.predictor.fork(), mask_side: v.mask_side })
                })?;
                Ok(VIDEOS.insert(fork))
            })
        }
    })
}

/// Lets go of a predictor.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_video_predictor_destroy(video: *mut sam2_video_predictor) -> sam2_status {
    call(|| Ok(VIDEOS.remove(video)?))
}

/// Does something with a predictor, and shows the masks that come back.
fn shown(
    video: *const sam2_video_predictor,
    each: sam2_frame_callback,
    user: *mut c_void,
    work: impl FnOnce(&mut Video) -> Result<FrameMasks>,
) -> sam2_status {
    call(|| {
        VIDEOS.with(video, |v, _| {
            let masks = work(v)?;
            show(each, user, &masks, v.predictor.video_size());
            Ok(())
        })
    })
}

/// Keep what was said of the frame's points before.
pub const SAM2_PROMPT_KEEP_POINTS: u32 = 1;
/// Coordinates are in 0..1, not in pixels.
pub const SAM2_PROMPT_NORMALIZED: u32 = 2;

/// Says where an object is on a frame, by points, a box or both; `each` gets the masks of all objects there, and may be
/// null.
///
/// # Safety
/// `prompt` is readable, and what it points at.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_add_new_points_or_box(
    video: *mut sam2_video_predictor,
    frame_idx: u64,
    object_id: i64,
    prompt_: *const sam2_prompt,
    flags: u32,
    each: sam2_frame_callback,
    user: *mut c_void,
) -> sam2_status {
    shown(video, each, user, |v| {
        if flags & !(SAM2_PROMPT_KEEP_POINTS | SAM2_PROMPT_NORMALIZED) != 0 {
            return Err(Failure::argument(format!("no flags {flags:#x}")));
        }
        // SAFETY: the caller's promise.
        let (prompt, _) = unsafe { prompt(prompt_, v.mask_side) }?;
        let (clear, pixels) = (flags & SAM2_PROMPT_KEEP_POINTS == 0, flags & SAM2_PROMPT_NORMALIZED == 0);
        Ok(v.predictor.add_new_points_or_box(index(frame_idx), object_id, &prompt, clear, pixels)?)
    })
}

/// A frame's number; one that there cannot be is told so by the predictor.
fn index(frame_idx: u64) -> usize {
    usize::try_from(frame_idx).unwrap_or(usize::MAX)
}

/// Says where an object is on a frame, by a mask (height, width) of any size, 0 where it is not. An empty mask says that it is
/// not there.
///
/// # Safety
/// `mask` has height times width bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_add_new_mask(
    video: *mut sam2_video_predictor,
    frame_idx: u64,
    object_id: i64,
    mask: *const u8,
    height: u32,
    width: u32,
    each: sam2_frame_callback,
    user: *mut c_void,
) -> sam2_status {
    shown(video, each, user, |v| {
        if mask.is_null() {
            return Err(Failure::argument("mask is null"));
        }
        let (height, width) = (height as usize, width as usize);
        // SAFETY: the caller's promise.
        let mask = unsafe { std::slice::from_raw_parts(mask, height * width) };
        Ok(v.predictor.add_new_mask(index(frame_idx), object_id, mask, height, width)?)
    })
}

/// Forgets what was said of an object on a frame; `each` gets the masks of all objects there, and may be null.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_video_predictor_clear_all_prompts_in_frame(
    video: *mut sam2_video_predictor,
    frame_idx: u64,
    object_id: i64,
    each: sam2_frame_callback,
    user: *mut c_void,
) -> sam2_status {
    shown(video, each, user, |v| Ok(v.predictor.clear_all_prompts_in_frame(index(frame_idx), object_id)?))
}

/// Removes an object.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_video_predictor_remove_object(video: *mut sam2_video_predictor, object_id: i64) -> sam2_status {
    call(|| VIDEOS.with(video, |v, _| Ok(v.predictor.remove_object(object_id)?)))
}

/// Removes all objects.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_video_predictor_reset_state(video: *mut sam2_video_predictor) -> sam2_status {
    call(|| {
        VIDEOS.with(video, |v, _| {
            v.predictor.reset_state();
            Ok(())
        })
    })
}

/// Follows all objects from frame `start` (negative: the first that anything was said of) over at most `count` further frames
/// (negative: to the end), towards the first frame where `reverse` is not 0. `each` gets the masks frame by frame; where it
/// returns anything but 0, or `sam2_video_predictor_cancel` is called meanwhile, the call ends with SAM2_ERROR_CANCELLED, and
/// what was found so far is kept.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_video_predictor_propagate_in_video(
    video: *mut sam2_video_predictor,
    start: i64,
    count: i64,
    reverse: i32,
    each: sam2_frame_callback,
    user: *mut c_void,
) -> sam2_status {
    call(|| {
        VIDEOS.with(video, |v, object: &Object<Video>| {
            object.take_cancel();
            let (size, mut stopped) = (v.predictor.video_size(), false);
            let (start, count) = (usize::try_from(start).ok(), usize::try_from(count).ok());
            v.predictor.propagate_in_video(start, count, reverse != 0, |masks| {
                stopped = !show(each, user, &masks, size) || object.take_cancel();
                !stopped
            })?;
            if stopped { Err(Failure::cancelled()) } else { Ok(()) }
        })
    })
}

/// Ends the propagation that another thread has in progress after its current frame. Never waits.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_video_predictor_cancel(video: *const sam2_video_predictor) -> sam2_status {
    call(|| {
        VIDEOS.get(video)?.cancelled.store(true, std::sync::atomic::Ordering::Release);
        Ok(())
    })
}

/// The next frame of a stream: follows all objects to it. `each` gets their masks, and may be null. `masks`: where masks go
/// instead, (objects, height, width); null: to `each`. After a failure the frame does not count.
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
    shown(video, each, user, |v| {
        // SAFETY: the caller's promise.
        let (frame, masks) = unsafe { (frame(image)?, mask_buffer(masks)?) };
        Ok(match masks {
            Some(masks) => v.predictor.push_frame_into(&frame, masks)?,
            None => v.predictor.push_frame(&frame)?,
        })
    })
}

/// What a video is, and what is held of it. Begin with SAM2_VIDEO_INFO_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam2_video_info {
    /// sizeof(sam2_video_info)
    pub struct_size: u32,
    /// Objects.
    pub num_objects: u32,
    /// Frames so far.
    pub num_frames: u64,
    /// Pixels across; 0 before a stream's first frame.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Bytes of the device held beside the model's weights.
    pub device_bytes: u64,
    /// Bytes of the host held for memories, masks and frames.
    pub host_bytes: u64,
}

// SAFETY: integers, its size first.
unsafe impl Sized32 for sam2_video_info {
    const INIT: Self = sam2_video_info {
        struct_size: size_of::<Self>() as u32,
        num_objects: 0,
        num_frames: 0,
        width: 0,
        height: 0,
        device_bytes: 0,
        host_bytes: 0,
    };
    const NAME: &'static str = "sam2_video_info";
}

/// Writes what a video is, as much as `info->struct_size` says there is room for.
///
/// # Safety
/// `info` points at as many writable bytes as its `struct_size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_get_info(
    video: *const sam2_video_predictor,
    info: *mut sam2_video_info,
) -> sam2_status {
    call(|| {
        VIDEOS.with(video, |v, _| {
            // SAFETY: the caller's promise.
            unsafe {
                crate::options::fill(info, |info| {
                    let p = &v.predictor;
                    let ((height, width), [device, host]) = (p.video_size(), p.memory_bytes());
                    info.num_objects = p.obj_ids().len() as u32;
                    info.num_frames = p.num_frames() as u64;
                    (info.width, info.height) = (width as u32, height as u32);
                    (info.device_bytes, info.host_bytes) = (device as u64, host as u64);
                })
            }
        })
    })
}

/// Writes everything that is known of the objects, and the frames of a stream that are kept: `write` gets it piece by piece.
///
/// # Safety
/// `write` may be called with `user`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_save_state(
    video: *const sam2_video_predictor,
    write: sam2_write_callback,
    user: *mut c_void,
) -> sam2_status {
    struct Out(unsafe extern "C" fn(*mut c_void, *const u8, usize) -> i32, *mut c_void);
    impl std::io::Write for Out {
        fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
            // SAFETY: the caller's function; the bytes live until it returns.
            match unsafe { self.0(self.1, data.as_ptr(), data.len()) } {
                0 => Ok(data.len()),
                code => Err(std::io::Error::other(format!("the caller's function returned {code}"))),
            }
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    call(|| {
        let write = write.ok_or_else(|| Failure::argument("write is null"))?;
        VIDEOS.with(video, |v, _| Ok(v.predictor.save_state(Out(write, user))?))
    })
}

/// Takes what `sam2_video_predictor_save_state` wrote, in place of all that was known. The model must be the same. After a
/// failure the predictor is as it was.
///
/// # Safety
/// `data` has `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_load_state(
    video: *mut sam2_video_predictor,
    data: *const u8,
    size: usize,
) -> sam2_status {
    call(|| {
        VIDEOS.with(video, |v, _| {
            if data.is_null() || size == 0 || size > isize::MAX as usize {
                return Err(Failure::argument("no data"));
            }
            // SAFETY: the caller's promise.
            Ok(v.predictor.load_state(unsafe { std::slice::from_raw_parts(data, size) })?)
        })
    })
}

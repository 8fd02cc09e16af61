//! `sam2_video_predictor`: objects tracked through a video. This file has its lifetime and state.

use crate::arguments::{as_path, bytes, put};
use crate::error::{Failure, Result, call, release, sam2_status};
use crate::exclusive::Exclusive;
use crate::handles::Table;
use crate::image::read_options;
use crate::limits;
use crate::model::{MODELS, sam2_model, within};
use crate::options::{Sized32, fill, read};
use engine::{Frames, FramesOptions, Retention, VideoPredictor, VideoPredictorOptions};
use std::ffi::{c_char, c_void};
use std::time::Duration;

mod timestamps;
use timestamps::Timestamps;

mod frame;
pub use frame::{sam2_frame, sam2_frame_callback};

mod prompts;
pub use prompts::*;

mod track;
pub use track::*;

mod push;
pub use push::*;

#[cfg(test)]
mod tests;

/// Tracks objects through a video. One thread uses it at a time.
#[derive(Debug)]
#[allow(non_camel_case_types)]
pub struct sam2_video_predictor {
    _opaque: [u8; 0],
}

/// A predictor, with properties of its model.
pub(crate) struct Video {
    pub predictor: VideoPredictor,
    pub timestamps: Timestamps,
    pub mask_side: usize,
    pub on_gpu: bool,
}

pub(crate) static VIDEOS: Table<Exclusive<Video>> = Table::new("video predictor", 3);

/// Value of `window` in ::sam2_video_predictor_options that keeps all frames, so that prompts on any frame are
/// possible.
pub const SAM2_RETAIN_EVERYTHING: u32 = u32::MAX;

/// Options of sam2_video_predictor_open() and sam2_video_predictor_create_stream(). Initialize them with
/// SAM2_VIDEO_PREDICTOR_OPTIONS_INIT.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct sam2_video_predictor_options {
    /// sizeof(sam2_video_predictor_options).
    pub struct_size: u32,
    /// Streams only: number of frames to keep before the latest frame, with their masks. Or SAM2_RETAIN_EVERYTHING.
    pub window: u32,
    /// 1 keeps corrections of tracked frames through the next propagation. See
    /// sam2_video_predictor_add_new_points_or_box().
    pub legacy_corrections: i32,
    /// 1 keeps memories in host memory.
    pub offload_state_to_cpu: i32,
    /// Memory for the predictor and its forks to use instead of allocating, as in ::sam2_image_predictor_options. It
    /// must remain valid until the predictor and all its forks are destroyed. NULL lets the library allocate.
    pub workspace: *mut c_void,
    /// Size of `workspace` in bytes.
    pub workspace_size: u64,
    /// 1 uses the frames that can be decoded from a damaged or concatenated video file, and skips damaged images of a
    /// folder during propagation. The library then logs warnings. 0 treats both as errors.
    pub keep_damaged: i32,
    /// Folders only: as in ::sam2_picture_options. Video files are upright in any case.
    pub upright: i32,
    /// Folders only: as in ::sam2_picture_options.
    pub bit_depth: u32,
    /// Seconds to wait for output of `ffmpeg`. After this time the decoder is terminated and the call fails. 0 means
    /// 15 seconds.
    pub decoder_timeout: u32,
}

// SAFETY: integers, its size first.
unsafe impl Sized32 for sam2_video_predictor_options {
    const INIT: Self = sam2_video_predictor_options {
        struct_size: size_of::<Self>() as u32,
        window: 0,
        legacy_corrections: 0,
        offload_state_to_cpu: 0,
        workspace: std::ptr::null_mut(),
        workspace_size: 0,
        keep_damaged: 0,
        upright: 0,
        bit_depth: 0,
        decoder_timeout: 0,
    };
    const NAME: &'static str = "sam2_video_predictor_options";
}

/// Receives bytes to store.
///
/// @param user Pointer that was given to the call.
/// @param data The bytes, valid until the callback returns.
/// @param size Number of bytes.
/// @return 0 to continue. Any other value ends the call with SAM2_ERROR_IO.
#[allow(non_camel_case_types)]
pub type sam2_write_callback = Option<unsafe extern "C" fn(user: *mut c_void, data: *const u8, size: usize) -> i32>;

unsafe fn create(
    model: *const sam2_model,
    options: *const sam2_video_predictor_options,
    out: *mut *mut sam2_video_predictor,
    frames: impl FnOnce(&FramesOptions) -> Result<Option<Frames>>,
) -> sam2_status {
    call(|| {
        // SAFETY: contract of callers.
        unsafe {
            put("out", out, || {
                let o = read(options)?;
                let options = VideoPredictorOptions {
                    legacy_corrections: o.legacy_corrections != 0,
                    offload_state_to_cpu: o.offload_state_to_cpu != 0,
                    forget_tracked_frames: false,
                };
                let retention = match o.window {
                    SAM2_RETAIN_EVERYTHING => Retention::Everything,
                    n => Retention::Window(n as usize),
                };
                let read = read_options(o.upright, o.bit_depth);
                let decoder_timeout = (o.decoder_timeout != 0).then(|| Duration::from_secs(o.decoder_timeout.into()));
                let keep_damaged = o.keep_damaged != 0;
                let reading = FramesOptions { read, keep_damaged, decoder_timeout, ..Default::default() };
                let model = MODELS.get(model)?;
                let model = within(&model, o.workspace, o.workspace_size)?;
                let predictor = limits::token().run(|| {
                    Ok::<_, Failure>(match frames(&reading)? {
                        Some(frames) => model.video_predictor(frames, options)?,
                        None => model.video_stream(retention, options)?,
                    })
                })?;
                let (mask_side, on_gpu) = (model.config().mask_side(), model.device() != "CPU");
                let timestamps = Timestamps::new(match retention {
                    Retention::Window(n) => n,
                    _ => usize::MAX,
                });
                Ok(VIDEOS.insert(Exclusive::new(Video { predictor, timestamps, mask_side, on_gpu }))?)
            })
        }
    })
}

/// Opens a folder of frames or a video file for tracking.
///
/// The frames of a folder are its JPEG files, or its PNG files if there is no JPEG file, whose names contain numbers
/// (00000.jpg, frame_0001.jpg, 1690000000.5.jpg), in natural order. A warning is logged with the number of other
/// files. Video files require the program `ffmpeg`. Blocks while the folder or file is scanned.
///
/// @param model The model.
/// @param path Path of the folder or file. Must not be NULL.
/// @param options Options. NULL uses the defaults.
/// @param out Receives the predictor. Destroy it with sam2_video_predictor_destroy().
/// @return SAM2_OK, SAM2_ERROR_IO if the frames cannot be read, SAM2_ERROR_DEVICE if the GPU fails, or a common
///         status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_open(
    model: *const sam2_model,
    path: *const c_char,
    options: *const sam2_video_predictor_options,
    out: *mut *mut sam2_video_predictor,
) -> sam2_status {
    // SAFETY: contract of callers.
    unsafe { create(model, options, out, |reading| Ok(Some(Frames::open_with(as_path("path", path)?, reading)?))) }
}

/// Creates a predictor for a live stream of unknown length, whose frames are passed to
/// sam2_video_predictor_push_frame().
///
/// @param model The model.
/// @param options Options. NULL uses the defaults.
/// @param out Receives the predictor. Destroy it with sam2_video_predictor_destroy().
/// @return SAM2_OK, SAM2_ERROR_DEVICE if the GPU fails, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_create_stream(
    model: *const sam2_model,
    options: *const sam2_video_predictor_options,
    out: *mut *mut sam2_video_predictor,
) -> sam2_status {
    // SAFETY: contract of callers.
    unsafe { create(model, options, out, |_| Ok(None)) }
}

/// Forks a predictor, for example to try a prompt. The fork shares memories and frames with the original and diverges
/// from it.
///
/// Nothing is copied.
///
/// @param video The predictor.
/// @param out Receives the fork. Destroy it with sam2_video_predictor_destroy().
/// @return SAM2_OK, SAM2_ERROR_BUSY if the predictor is in use, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_fork(
    video: *const sam2_video_predictor,
    out: *mut *mut sam2_video_predictor,
) -> sam2_status {
    call(|| {
        // SAFETY: contract of callers.
        unsafe {
            put("out", out, || {
                let v = VIDEOS.lease(video)?;
                let (predictor, timestamps) = (v.predictor.fork(), v.timestamps.clone());
                Ok(VIDEOS.insert(Exclusive::new(Video { predictor, timestamps, ..*v }))?)
            })
        }
    })
}

/// Destroys a video predictor. Its forks remain valid.
///
/// Ends the call or job that uses the predictor, as sam2_video_predictor_cancel() does, and blocks until it has ended.
///
/// @param video The predictor.
/// @return SAM2_OK, SAM2_ERROR_BUSY in a callback of the predictor, which then remains valid, or
///         SAM2_ERROR_INVALID_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_video_predictor_destroy(video: *mut sam2_video_predictor) -> sam2_status {
    release(|| Ok(VIDEOS.destroy(video)?))
}

/// State of a video predictor. Initialize it with SAM2_VIDEO_PREDICTOR_INFO_INIT.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct sam2_video_predictor_info {
    /// sizeof(sam2_video_predictor_info).
    pub struct_size: u32,
    /// Number of objects.
    pub num_objects: u32,
    /// Number of frames. For a stream, the number of frames so far.
    pub num_frames: u64,
    /// Width of the frames in pixels. 0 before the first frame of a stream.
    pub width: u32,
    /// Height of the frames in pixels.
    pub height: u32,
    /// Device memory of the predictor in bytes, without the model's weights.
    pub device_bytes: u64,
    /// Host memory for memories, masks and frames in bytes.
    pub host_bytes: u64,
    /// Largest device memory of an object in a stream with a window, in bytes. 0 if it grows with the number of
    /// frames.
    pub object_device_bytes: u64,
    /// Largest host memory of an object in a stream with a window, in bytes.
    pub object_host_bytes: u64,
}

// SAFETY: integers, its size first.
unsafe impl Sized32 for sam2_video_predictor_info {
    const INIT: Self = sam2_video_predictor_info {
        struct_size: size_of::<Self>() as u32,
        num_objects: 0,
        num_frames: 0,
        width: 0,
        height: 0,
        device_bytes: 0,
        host_bytes: 0,
        object_device_bytes: 0,
        object_host_bytes: 0,
    };
    const NAME: &'static str = "sam2_video_predictor_info";
}

/// Describes the state of a video predictor.
///
/// @param video The predictor.
/// @param info Receives the description, as far as its `struct_size` reaches.
/// @return SAM2_OK, SAM2_ERROR_BUSY if the predictor is in use, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_get_info(
    video: *const sam2_video_predictor,
    info: *mut sam2_video_predictor_info,
) -> sam2_status {
    call(|| {
        let v = VIDEOS.lease(video)?;
        let (engine::Size { width, height }, used) = (v.predictor.video_size(), v.predictor.memory_bytes());
        let of_object = v.predictor.object_bytes().unwrap_or_default();
        // SAFETY: contract of callers.
        unsafe {
            fill(info, |info| {
                info.num_objects = v.predictor.obj_ids().len() as u32;
                info.num_frames = v.predictor.num_frames() as u64;
                (info.width, info.height) = (width as u32, height as u32);
                (info.device_bytes, info.host_bytes) = (used.device as u64, used.host as u64);
                (info.object_device_bytes, info.object_host_bytes) = (of_object.device as u64, of_object.host as u64);
            })
        }
    })
}

/// Gets the ids of the objects, in the order of their masks.
///
/// @param video The predictor.
/// @param ids Receives the ids. NULL returns only the count.
/// @param count On entry, the capacity of `ids`. On return, the number of objects, also if the capacity is too small.
/// @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if the capacity is too small, SAM2_ERROR_BUSY if the predictor is in
///         use, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_get_obj_ids(
    video: *const sam2_video_predictor,
    ids: *mut i64,
    count: *mut usize,
) -> sam2_status {
    call(|| {
        if count.is_null() {
            return Err(Failure::argument("count is null"));
        }
        let v = VIDEOS.lease(video)?;
        let found = v.predictor.obj_ids();
        // SAFETY: contract of callers.
        unsafe {
            let room = count.replace(found.len());
            if ids.is_null() {
                return Ok(());
            }
            if room < found.len() {
                return Err(Failure::argument(format!("room for {room} objects, there are {}", found.len())));
            }
            ids.copy_from_nonoverlapping(found.as_ptr(), found.len());
        }
        Ok(())
    })
}

/// Allocates memory in advance and does all work that is done once, so that the first frames take no longer than
/// later ones.
///
/// @param video The predictor.
/// @param num_objects Number of objects.
/// @param width Width of the frames in pixels.
/// @param height Height of the frames in pixels.
/// @return SAM2_OK, SAM2_ERROR_BUSY if the predictor is in use, SAM2_ERROR_DEVICE if the GPU fails, or a common
///         status.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_video_predictor_reserve(
    video: *mut sam2_video_predictor,
    num_objects: u32,
    width: u32,
    height: u32,
) -> sam2_status {
    call(|| {
        let size = engine::Size::new(width as usize, height as usize);
        VIDEOS.lease(video)?.run(|v| Ok(v.predictor.reserve(num_objects as usize, size)?))
    })
}

/// Saves the state of all objects, and the frames that a stream keeps.
///
/// @param video The predictor.
/// @param write Receives the state piece by piece. Must not be NULL.
/// @param user Passed to `write`. May be NULL.
/// @return SAM2_OK, SAM2_ERROR_IO if `write` returns a nonzero value, SAM2_ERROR_BUSY if the predictor is in use,
///         SAM2_ERROR_DEVICE if the GPU fails, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_save_state(
    video: *const sam2_video_predictor,
    write: sam2_write_callback,
    user: *mut c_void,
) -> sam2_status {
    struct Out(unsafe extern "C" fn(*mut c_void, *const u8, usize) -> i32, *mut c_void);
    impl std::io::Write for Out {
        fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
            // SAFETY: contract of callbacks; the bytes live until it returns.
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
        VIDEOS.lease(video)?.run(|v| Ok(v.predictor.save_state(Out(write, user))?))
    })
}

/// Replaces the state of a predictor with a saved state. After a failure the predictor is unchanged.
///
/// @param video The predictor, which must use the same model as the saved one.
/// @param data The bytes that sam2_video_predictor_save_state() wrote. They are not used after the call.
/// @param size Number of bytes.
/// @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if the state is damaged or belongs to another model, SAM2_ERROR_BUSY
///         if the predictor is in use, SAM2_ERROR_DEVICE if the GPU fails, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_load_state(
    video: *mut sam2_video_predictor,
    data: *const u8,
    size: usize,
) -> sam2_status {
    call(|| {
        // SAFETY: contract of callers.
        let data = unsafe { bytes(data, size) }?;
        VIDEOS.lease(video)?.run(|v| Ok(v.predictor.load_state(data)?))
    })
}

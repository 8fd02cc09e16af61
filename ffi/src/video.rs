//! `sam2_video_predictor`: what it is and what it holds; `track.rs` has what it does.

use crate::arguments::{as_path, put};
use crate::handles::{Exclusive, Table};
use crate::model::{MODELS, sam2_model, within};
use crate::options::{Sized32, fill, read};
use crate::picture::read_options;
use crate::status::{Failure, Result, call, release, sam2_status};
use engine::{Frames, FramesOptions, Retention, VideoPredictor, VideoPredictorOptions};
use std::ffi::{c_char, c_void};
use std::time::Duration;

/// Follows objects through a video. One thread uses it at a time.
#[allow(non_camel_case_types)]
pub struct sam2_video_predictor {
    _opaque: [u8; 0],
}

/// A predictor, and what is known of its model.
pub(crate) struct Video {
    pub predictor: VideoPredictor,
    pub mask_side: usize,
    pub on_gpu: bool,
}

pub(crate) static VIDEOS: Table<Exclusive<Video>> = Table::new("video predictor", 3);

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
    /// Not 0: corrections of tracked frames outlast the next propagation over them. See
    /// `sam2_video_predictor_add_new_points_or_box`.
    pub legacy_corrections: i32,
    /// Not 0: memories are kept in the host's memory.
    pub offload_state_to_cpu: i32,
    /// Memory to work in instead of allocating: of the host where the model runs on the CPU, else of its GPU; there until the
    /// predictor and all its forks are destroyed. Enough is what `device_bytes` of a predictor like this says after its reserve, and
    /// 4 KiB; where it is too small calls fail with SAM2_ERROR_OUT_OF_MEMORY. Null: none.
    pub workspace: *mut c_void,
    /// Bytes of it.
    pub workspace_size: u64,
    /// Not 0: of a damaged or joined video file the frames that decode are taken, which a warning counts, and damaged pictures
    /// of a folder are passed over by propagation, with a warning each. 0: both are errors.
    pub keep_damaged: i32,
    /// As in `sam2_picture_options`, of the pictures of a folder. A video file is upright by itself.
    pub upright: i32,
    /// As in `sam2_picture_options`, of the pictures of a folder.
    pub bit_depth: u32,
    /// Seconds that `ffmpeg` may take for the next part of a video file; a decoder that writes nothing for longer is ended, and
    /// the call fails. 0: 15.
    pub decoder_timeout: u32,
}

// SAFETY: integers, its size first.
unsafe impl Sized32 for sam2_video_options {
    const INIT: Self = sam2_video_options {
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
    const NAME: &'static str = "sam2_video_options";
}

/// Gets the caller's pointer and bytes to store; returns 0 to go on.
#[allow(non_camel_case_types)]
pub type sam2_write_callback = Option<unsafe extern "C" fn(user: *mut c_void, data: *const u8, size: usize) -> i32>;

unsafe fn create(
    model: *const sam2_model,
    options: *const sam2_video_options,
    out: *mut *mut sam2_video_predictor,
    frames: impl FnOnce(&FramesOptions) -> Result<Option<Frames>>,
) -> sam2_status {
    call(|| {
        // SAFETY: the caller's promise, of both.
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
                let frames = frames(&FramesOptions { read, keep_damaged: o.keep_damaged != 0, decoder_timeout })?;
                let model = MODELS.get(model)?;
                let model = within(&model, o.workspace, o.workspace_size)?;
                let predictor = match frames {
                    Some(frames) => model.video_predictor(frames, options)?,
                    None => model.video_stream(retention, options)?,
                };
                let (mask_side, on_gpu) = (model.config().mask_side(), model.device() != "CPU");
                Ok(VIDEOS.insert(Exclusive::new(Video { predictor, mask_side, on_gpu }))?)
            })
        }
    })
}

/// Opens a folder of frames, or a video file, which needs the program `ffmpeg`. The frames of a folder are its JPEG files, or
/// else its PNG files, that are named by numbers (00000.jpg, frame_0001.jpg, 1690000000.5.jpg), in natural order; a warning
/// counts the files that are left out.
///
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
    unsafe { create(model, options, out, |reading| Ok(Some(Frames::open_with(as_path("path", path)?, reading)?))) }
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
    unsafe { create(model, options, out, |_| Ok(None)) }
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
                let v = VIDEOS.lease(video)?;
                Ok(VIDEOS.insert(Exclusive::new(Video { predictor: v.predictor.fork(), ..*v }))?)
            })
        }
    })
}

/// Destroys a predictor. Returns SAM2_ERROR_BUSY while a call or a job uses it, and destroys nothing then.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_video_predictor_destroy(video: *mut sam2_video_predictor) -> sam2_status {
    release(|| Ok(VIDEOS.destroy(video)?))
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
    /// Bytes of the device that an object takes at most in a stream with a window; 0: it grows with the frames.
    pub object_device_bytes: u64,
    /// Bytes of the host that an object takes at most in such a stream.
    pub object_host_bytes: u64,
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
        object_device_bytes: 0,
        object_host_bytes: 0,
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
        let v = VIDEOS.lease(video)?;
        let ((height, width), [device, host]) = (v.predictor.video_size(), v.predictor.memory_bytes());
        let [object_device, object_host] = v.predictor.object_bytes().unwrap_or_default();
        // SAFETY: the caller's promise.
        unsafe {
            fill(info, |info| {
                info.num_objects = v.predictor.obj_ids().len() as u32;
                info.num_frames = v.predictor.num_frames() as u64;
                (info.width, info.height) = (width as u32, height as u32);
                (info.device_bytes, info.host_bytes) = (device as u64, host as u64);
                (info.object_device_bytes, info.object_host_bytes) = (object_device as u64, object_host as u64);
            })
        }
    })
}

/// Writes the numbers that the caller knows the objects by, in the order of their masks. `*count` is the room in `ids` before,
/// and how many there are after; where the room is too small the call fails, and where `ids` is null it only asks.
///
/// # Safety
/// `ids` is null or has `*count` numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_video_predictor_get_object_ids(
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
        // SAFETY: the caller's promise.
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

/// Allocates what following `num_objects` objects in frames of this size needs, and does what is done only once, so that the
/// first frames take no longer than the others.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_video_predictor_reserve(
    video: *mut sam2_video_predictor,
    num_objects: u32,
    width: u32,
    height: u32,
) -> sam2_status {
    call(|| {
        let mut v = VIDEOS.lease(video)?;
        Ok(v.predictor.reserve(num_objects as usize, height as usize, width as usize)?)
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
        Ok(VIDEOS.lease(video)?.predictor.save_state(Out(write, user))?)
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
        if data.is_null() || size == 0 || size > isize::MAX as usize {
            return Err(Failure::argument("no data"));
        }
        // SAFETY: the caller's promise.
        let data = unsafe { std::slice::from_raw_parts(data, size) };
        Ok(VIDEOS.lease(video)?.predictor.load_state(data)?)
    })
}

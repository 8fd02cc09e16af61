//! Threads that do everything to everything through the C interface: predictors, forks and jobs are made, used, cancelled and
//! destroyed by threads that share their handles, callbacks call back, and models are destroyed under their predictors. No
//! call may end in an internal error, and no log callback is called after it was replaced. `.ci/long tsan` runs it for
//! longer under ThreadSanitizer. `SAM2_STRESS` is its seconds, 2 by default.

#[path = "../../tests/common/tiny.rs"]
mod tiny;

use engine::Config;
use sam2_ffi::*;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

const THREADS: u64 = 6;
const SIDE: usize = 32;

static CALLS: AtomicU64 = AtomicU64::new(0);
static LATE: AtomicU64 = AtomicU64::new(0);
static PIXELS: [u8; SIDE * SIDE * 3] = [90; SIDE * SIDE * 3];
static POINT: [f32; 2] = [8.0, 9.0];
static LABEL: [i32; 1] = [1];

/// Handles that all threads use; each is replaced, and the old one destroyed, at any time.
#[derive(Clone, Copy)]
struct Shared {
    models: [usize; 2],
    images: [usize; 4],
    videos: [usize; 6],
    jobs: [usize; 4],
}
static SHARED: Mutex<Shared> = Mutex::new(Shared { models: [0; 2], images: [0; 4], videos: [0; 6], jobs: [0; 4] });

fn shared() -> Shared {
    *SHARED.lock().unwrap()
}

/// Counts a call, which may fail, but not by a fault of the library's.
fn c(status: i32) -> i32 {
    CALLS.fetch_add(1, SeqCst);
    // SAFETY: this thread's text.
    assert_ne!(status, SAM2_ERROR_INTERNAL, "{:?}", unsafe { CStr::from_ptr(sam2_last_error()) });
    status
}

/// Xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n) as usize
    }
}

/// A struct of the interface with its size set.
macro_rules! sized {
    ($kind:ident { $($field:ident: $value:expr),* }) => {
        // SAFETY: numbers, pointers and optional functions.
        $kind { struct_size: size_of::<$kind>() as u32, $($field: $value,)* ..unsafe { std::mem::zeroed() } }
    };
}

fn image() -> sam2_image {
    let mut image = sized!(sam2_image { width: SIDE as u32, height: SIDE as u32 });
    image.planes[0] = PIXELS.as_ptr().cast();
    image
}

/// Calls back: cancels and resets what is in use, and makes a predictor.
unsafe extern "C" fn each(user: *mut c_void, _: *const sam2_frame) -> i32 {
    let s = shared();
    for v in s.videos {
        c(sam2_video_predictor_cancel(v as *const _));
        c(sam2_video_predictor_reset_state(v as *mut _));
    }
    let mut made = null_mut();
    // SAFETY: handles may be anything.
    c(unsafe { sam2_image_predictor_create(s.models[0] as *const _, null(), &mut made) });
    c(sam2_image_predictor_destroy(made));
    i32::from(!user.is_null())
}

unsafe extern "C" fn done(_: *mut c_void, status: i32) {
    assert_ne!(status, SAM2_ERROR_INTERNAL);
    shared().videos.iter().for_each(|&v| _ = c(sam2_video_predictor_cancel(v as *const _)));
}

/// `user` is whether it may be called.
unsafe extern "C" fn hear(user: *mut c_void, _: i32, message: *const c_char) {
    // SAFETY: leaked, and a text of the library.
    let (allowed, text) = unsafe { (&*user.cast::<AtomicBool>(), CStr::from_ptr(message)) };
    if !allowed.load(SeqCst) {
        LATE.fetch_add(1, SeqCst);
    }
    assert!(text.to_str().is_ok());
    // Refused within the callback.
    c(sam2_set_log_callback(SAM2_LOG_DEBUG, None, null_mut()));
}

unsafe extern "C" fn write(user: *mut c_void, data: *const u8, size: usize) -> i32 {
    // SAFETY: the vector of the thread that called.
    unsafe { (*user.cast::<Vec<u8>>()).extend_from_slice(std::slice::from_raw_parts(data, size)) };
    0
}

fn load(checkpoint: &[u8]) -> usize {
    let yaml = CString::new(tiny::YAML).unwrap();
    let options = sized!(sam2_model_options {
        device: SAM2_DEVICE_CPU,
        threads: 2,
        image_size: tiny::SIDE as u32,
        config_yaml: yaml.as_ptr()
    });
    let mut model = null_mut();
    // SAFETY: the bytes are there.
    assert_eq!(
        c(unsafe { sam2_model_load_memory(checkpoint.as_ptr(), checkpoint.len(), &options, &mut model) }),
        SAM2_OK
    );
    model as usize
}

/// Puts a new handle where an old one was.
fn replace(slot: impl Fn(&mut Shared) -> &mut usize, new: usize) -> usize {
    std::mem::replace(slot(&mut SHARED.lock().unwrap()), new)
}

/// What one thread does until the end.
#[allow(unused_unsafe)] // `sized` has one of its own
fn work(thread: u64, checkpoint: &[u8], end: Instant) {
    let mut r = Random(7919 + thread);
    let mut saved: Vec<u8> = Vec::new();
    let prompt = sized!(sam2_prompt { num_points: 1, points: POINT.as_ptr(), labels: LABEL.as_ptr() });
    // Jobs may read it after this thread has ended.
    let image: &'static sam2_image = Box::leak(Box::new(image()));
    while Instant::now() < end {
        let s = shared();
        let (i, v, j) = (r.below(4), r.below(6), r.below(4));
        let model = s.models[r.below(2)] as *const sam2_model;
        let (picture, video, job) = (s.images[i], s.videos[v], s.jobs[j]);
        let new_video = |h: *mut sam2_video_predictor| {
            if !h.is_null() {
                c(sam2_video_predictor_destroy(replace(|s| &mut s.videos[v], h as usize) as *mut _));
            }
        };
        let new_job = |h: *mut sam2_job| {
            if !h.is_null() {
                c(sam2_job_destroy(replace(|s| &mut s.jobs[j], h as usize) as *mut _));
            }
        };
        // SAFETY: handles may be anything; the memory is static, leaked or this thread's, where the call waits.
        unsafe {
            match r.below(24) {
                0 if r.below(8) == 0 => {
                    let at = r.below(2);
                    let new = load(checkpoint);
                    c(sam2_model_destroy(replace(|s| &mut s.models[at], new) as *mut _));
                }
                1 => {
                    let mut h = null_mut();
                    c(sam2_image_predictor_create(model, null(), &mut h));
                    c(sam2_image_predictor_destroy(replace(|s| &mut s.images[i], h as usize) as *mut _));
                }
                2 => {
                    let mut h = null_mut();
                    let offload_state_to_cpu = r.below(2) as i32;
                    let options = sized!(sam2_video_options {
                        window: r.below(4) as u32,
                        offload_state_to_cpu: offload_state_to_cpu
                    });
                    c(sam2_video_predictor_stream(model, &options, &mut h));
                    new_video(h);
                }
                3 => {
                    let mut h = null_mut();
                    c(sam2_video_predictor_fork(video as *const _, &mut h));
                    new_video(h);
                }
                4 | 5 => _ = c(sam2_image_predictor_set_image(picture as *mut _, image)),
                6 | 7 => {
                    let (mut mask, mut iou) = ([0u8; SIDE * SIDE], [0f32; 3]);
                    let out = sized!(sam2_mask_buffer { data: mask.as_mut_ptr().cast(), size: mask.len() as u64 });
                    let iou = iou.as_mut_ptr();
                    c(sam2_image_predictor_predict(
                        picture as *mut _,
                        &prompt,
                        1,
                        0,
                        &out,
                        iou,
                        null_mut(),
                        null_mut(),
                    ));
                }
                8..=10 => {
                    let stop = r.below(2) as *mut c_void;
                    c(sam2_video_predictor_push_frame(video as *mut _, image, null(), Some(each), stop));
                }
                11 | 12 => {
                    let mut info = sized!(sam2_video_info {});
                    if c(sam2_video_predictor_get_info(video as *const _, &mut info)) == SAM2_OK && info.num_frames > 0
                    {
                        let (frame, object) = (r.below(info.num_frames) as u64, r.below(3) as i64);
                        let video = video as *mut sam2_video_predictor;
                        c(sam2_video_predictor_add_new_points_or_box(
                            video,
                            frame,
                            object,
                            &prompt,
                            0,
                            null(),
                            Some(each),
                            null_mut(),
                        ));
                    }
                }
                13 => {
                    let (video, reverse) = (video as *mut _, r.below(2) as i32);
                    c(sam2_video_predictor_propagate_in_video(video, -1, -1, reverse, null(), Some(each), null_mut()));
                }
                14 | 15 => {
                    let (mut h, each, done) = (null_mut(), Some(each as _), Some(done as _));
                    let video = video as *mut sam2_video_predictor;
                    c(sam2_video_predictor_propagate_in_video_async(
                        video,
                        -1,
                        -1,
                        0,
                        null(),
                        each,
                        done,
                        null_mut(),
                        &mut h,
                    ));
                    new_job(h);
                }
                16 => {
                    let (mut h, each, done) = (null_mut(), Some(each as _), Some(done as _));
                    let video = video as *mut sam2_video_predictor;
                    c(sam2_video_predictor_push_frame_async(video, image, null(), each, done, null_mut(), &mut h));
                    new_job(h);
                }
                17 => {
                    let mut how = 0;
                    c(sam2_job_wait(job as *const _, r.below(5) as u64, &mut how));
                }
                18 => _ = c(sam2_job_destroy(job as *mut _)),
                19 => _ = c(sam2_video_predictor_cancel(video as *const _)),
                20 => {
                    saved.clear();
                    c(sam2_video_predictor_save_state(video as *const _, Some(write), (&raw mut saved).cast()));
                }
                21 => _ = c(sam2_video_predictor_load_state(video as *mut _, saved.as_ptr(), saved.len())),
                22 => {
                    c(sam2_video_predictor_reset_state(video as *mut _));
                    c(sam2_image_predictor_reset(picture as *mut _));
                }
                23 if thread == 0 => {
                    let allowed: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(true)));
                    c(sam2_set_log_callback(SAM2_LOG_DEBUG, Some(hear), (&raw const *allowed).cast_mut().cast()));
                    std::thread::yield_now();
                    c(sam2_set_log_callback(SAM2_LOG_DEBUG, None, null_mut()));
                    allowed.store(false, SeqCst);
                }
                _ => {}
            }
        }
    }
}

#[test]
fn threads_do_everything_to_everything() {
    let seconds = std::env::var("SAM2_STRESS").map_or(2, |s| s.parse().expect("seconds"));
    let manifest = engine::manifest(&Config::parse(tiny::YAML, &[], true).unwrap(), true).unwrap();
    let checkpoint = tiny::checkpoint(&manifest);
    SHARED.lock().unwrap().models = [load(&checkpoint), load(&checkpoint)];
    let end = Instant::now() + Duration::from_secs(seconds);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let checkpoint = &checkpoint;
            scope.spawn(move || work(thread, checkpoint, end));
        }
    });
    let s = shared();
    s.jobs.iter().for_each(|&h| _ = c(sam2_job_destroy(h as *mut _)));
    s.videos.iter().for_each(|&h| _ = c(sam2_video_predictor_destroy(h as *mut _)));
    s.images.iter().for_each(|&h| _ = c(sam2_image_predictor_destroy(h as *mut _)));
    s.models.iter().for_each(|&h| _ = c(sam2_model_destroy(h as *mut _)));
    let (calls, late) = (CALLS.load(SeqCst), LATE.load(SeqCst));
    println!("{calls} calls in {seconds} s by {THREADS} threads, {late} of a callback that was replaced");
    assert_eq!(late, 0);
    assert!(calls > 100);
}

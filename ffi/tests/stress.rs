//! Stress test of threads. Threads create, use, cancel and destroy predictors, generators, forks and jobs whose handles
//! they share, with and without time limits. Callbacks call the library, models are destroyed before their predictors,
//! and the process forks. No call may end in an internal error, and no log callback is called after it is replaced.
//! `SAM2_STRESS` is the duration in seconds, 2 by default. `.ci/long stress` runs the test for longer under
//! AddressSanitizer and ThreadSanitizer.

#[path = "../../tests/common/tiny.rs"]
mod tiny;

use engine::Config;
use sam2_ffi::*;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

const THREADS: u64 = 8;
const SIDE: usize = 32;

static CALLS: AtomicU64 = AtomicU64::new(0);
static LATE: AtomicU64 = AtomicU64::new(0);
static PIXELS: [u8; SIDE * SIDE * 3] = [90; SIDE * SIDE * 3];
static POINT: [f32; 2] = [8.0, 9.0];
static LABEL: [i32; 1] = [1];

/// Handles that all threads use. Each may be replaced and the old one destroyed at any time.
#[derive(Clone, Copy)]
struct Shared {
    models: [usize; 2],
    images: [usize; 4],
    videos: [usize; 6],
    jobs: [usize; 4],
    generators: [usize; 2],
}
static SHARED: Mutex<Shared> =
    Mutex::new(Shared { models: [0; 2], images: [0; 4], videos: [0; 6], jobs: [0; 4], generators: [0; 2] });

/// What lives until the process ends. It is listed, so that it is not taken for a leak.
static KEPT: Mutex<Vec<usize>> = Mutex::new(Vec::new());

fn keep<T>(value: T) -> &'static T {
    let value = Box::leak(Box::new(value));
    KEPT.lock().unwrap().push(std::ptr::from_ref(value) as usize);
    value
}

fn shared() -> Shared {
    *SHARED.lock().unwrap()
}

/// Counts a call, which may fail but not with an internal error.
fn c(status: i32) -> i32 {
    CALLS.fetch_add(1, SeqCst);
    // SAFETY: the string belongs to this thread.
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

/// A callback that cancels and resets predictors in use, and creates a predictor.
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

/// A log callback. `user` states whether it may be called.
unsafe extern "C" fn hear(user: *mut c_void, _: i32, message: *const c_char) {
    // SAFETY: the flag is leaked, and the string belongs to the library.
    let (allowed, text) = unsafe { (&*user.cast::<AtomicBool>(), CStr::from_ptr(message)) };
    if !allowed.load(SeqCst) {
        LATE.fetch_add(1, SeqCst);
    }
    assert!(text.to_str().is_ok());
    // Refused within the callback.
    c(sam2_set_log_callback(SAM2_LOG_DEBUG, None, null_mut()));
}

unsafe extern "C" fn no_mask(_: *mut c_void, _: *const sam2_automatic_mask) -> i32 {
    1
}

unsafe extern "C" fn write(user: *mut c_void, data: *const u8, size: usize) -> i32 {
    // SAFETY: the vector of the thread that called.
    unsafe { (*user.cast::<Vec<u8>>()).extend_from_slice(std::slice::from_raw_parts(data, size)) };
    0
}

fn load(checkpoint: &[u8]) -> usize {
    // SAFETY: no result is asked for.
    c(unsafe { sam2_set_time_limit(SAM2_WAIT_FOREVER, null_mut()) });
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

/// Replaces a handle.
fn replace(slot: impl Fn(&mut Shared) -> &mut usize, new: usize) -> usize {
    std::mem::replace(slot(&mut SHARED.lock().unwrap()), new)
}

/// One turn of a thread: the handles that it uses, and where they are shared.
struct Turn<'a> {
    r: &'a mut Random,
    saved: &'a mut Vec<u8>,
    prompt: &'a sam2_prompt,
    /// Jobs may read it after this thread has ended.
    image: &'static sam2_image,
    places: [usize; 3],
    model: *const sam2_model,
    predictor: *mut sam2_image_predictor,
    video: *mut sam2_video_predictor,
    job: *mut sam2_job,
    generator: *mut sam2_automatic_mask_generator,
}

// Handles may be anything in all calls. Memory is static, leaked, or owned by this thread if the call waits.
impl Turn<'_> {
    fn new_video(&self, h: *mut sam2_video_predictor) {
        if !h.is_null() {
            c(sam2_video_predictor_destroy(replace(|s| &mut s.videos[self.places[1]], h as usize) as *mut _));
        }
    }

    fn new_job(&self, h: *mut sam2_job) {
        if !h.is_null() {
            c(sam2_job_destroy(replace(|s| &mut s.jobs[self.places[2]], h as usize) as *mut _));
        }
    }

    fn model(&mut self, checkpoint: &[u8]) {
        if self.r.below(8) == 0 {
            let at = self.r.below(2);
            let new = load(checkpoint);
            c(sam2_model_destroy(replace(|s| &mut s.models[at], new) as *mut _));
        }
    }

    fn new_predictor(&mut self) {
        let mut h = null_mut();
        // SAFETY: as above.
        c(unsafe { sam2_image_predictor_create(self.model, null(), &mut h) });
        c(sam2_image_predictor_destroy(replace(|s| &mut s.images[self.places[0]], h as usize) as *mut _));
    }

    fn predict(&mut self) {
        let (mut mask, mut iou) = ([0u8; SIDE * SIDE], [0f32; 3]);
        let out = sized!(sam2_mask_buffer { data: mask.as_mut_ptr().cast(), size: mask.len() as u64 });
        let (p, iou) = (self.predictor, iou.as_mut_ptr());
        // SAFETY: as above.
        c(unsafe { sam2_image_predictor_predict(p, self.prompt, 1, 0, &out, iou, null_mut(), null_mut()) });
    }

    #[allow(unused_unsafe)] // `sized` has one of its own
    fn new_stream(&mut self) {
        let mut h = null_mut();
        let offload_state_to_cpu = self.r.below(2) as i32;
        let options = sized!(sam2_video_predictor_options {
            window: self.r.below(4) as u32,
            offload_state_to_cpu: offload_state_to_cpu
        });
        // SAFETY: as above.
        c(unsafe { sam2_video_predictor_create_stream(self.model, &options, &mut h) });
        self.new_video(h);
    }

    fn fork(&mut self) {
        let mut h = null_mut();
        // SAFETY: as above.
        c(unsafe { sam2_video_predictor_fork(self.video, &mut h) });
        self.new_video(h);
    }

    fn push(&mut self) {
        let stop = self.r.below(2) as *mut c_void;
        // SAFETY: as above.
        c(unsafe { sam2_video_predictor_push_frame(self.video, self.image, null(), Some(each), stop) });
    }

    fn click(&mut self) {
        let mut info = sized!(sam2_video_predictor_info {});
        // SAFETY: as above.
        let known = c(unsafe { sam2_video_predictor_get_info(self.video, &mut info) }) == SAM2_OK;
        if known && info.num_frames > 0 {
            let (frame, object) = (self.r.below(info.num_frames) as u64, self.r.below(3) as i64);
            let (video, user) = (self.video, null_mut());
            let each = Some(each as _);
            // SAFETY: as above.
            c(unsafe {
                sam2_video_predictor_add_new_points_or_box(video, frame, object, self.prompt, 0, null(), each, user)
            });
        }
    }

    fn propagate(&mut self) {
        let (video, reverse) = (self.video, self.r.below(2) as i32);
        // SAFETY: as above.
        c(unsafe { sam2_video_predictor_propagate_in_video(video, -1, -1, reverse, null(), Some(each), null_mut()) });
    }

    fn propagate_as_job(&mut self) {
        let (mut h, each, done, user) = (null_mut(), Some(each as _), Some(done as _), null_mut());
        let video = self.video;
        // SAFETY: as above.
        c(unsafe { sam2_video_predictor_propagate_in_video_async(video, -1, -1, 0, null(), each, done, user, &mut h) });
        self.new_job(h);
    }

    fn push_as_job(&mut self) {
        let (mut h, each, done) = (null_mut(), Some(each as _), Some(done as _));
        let (video, image) = (self.video, self.image);
        // SAFETY: as above.
        c(unsafe { sam2_video_predictor_push_frame_async(video, image, null(), each, done, null_mut(), &mut h) });
        self.new_job(h);
    }

    fn wait(&mut self) {
        let mut how = 0;
        // SAFETY: as above.
        c(unsafe { sam2_job_wait(self.job, self.r.below(5) as u64, &mut how) });
    }

    fn new_generator(&mut self) {
        let (mut h, at) = (null_mut(), self.r.below(2));
        // SAFETY: as above.
        c(unsafe { sam2_automatic_mask_generator_create(self.model, null(), &mut h) });
        c(sam2_automatic_mask_generator_destroy(replace(|s| &mut s.generators[at], h as usize) as *mut _));
    }

    fn generate(&mut self) {
        let (generator, none) = (self.generator, null_mut());
        // SAFETY: as above.
        c(unsafe {
            sam2_automatic_mask_generator_generate(generator, self.image, 5, None, Some(no_mask), none, null_mut())
        });
    }

    fn cancel(&mut self) {
        match self.r.below(4) {
            0 => c(sam2_video_predictor_cancel(self.video)),
            1 => c(sam2_image_predictor_cancel(self.predictor)),
            2 => c(sam2_automatic_mask_generator_cancel(self.generator)),
            _ => c(sam2_job_cancel(self.job)),
        };
    }

    /// Limits some calls of this thread to a time that they may or may not need.
    fn limit(&mut self) {
        let limits = [SAM2_WAIT_FOREVER, SAM2_WAIT_FOREVER, 0, 1, 2, 20];
        // SAFETY: no result is asked for.
        c(unsafe { sam2_set_time_limit(limits[self.r.below(limits.len() as u64)], null_mut()) });
    }

    /// Forks the process. Other threads may be inside the library, so the child only ends.
    #[cfg(unix)]
    fn fork_the_process(&mut self) {
        if self.r.below(16) == 0 {
            // SAFETY: the child calls nothing but `_exit`.
            unsafe {
                match libc::fork() {
                    0 => libc::_exit(0),
                    child => {
                        let mut status = 0;
                        assert_eq!((libc::waitpid(child, &mut status, 0), status), (child, 0));
                    }
                }
            }
        }
    }

    fn save(&mut self) {
        self.saved.clear();
        // SAFETY: as above.
        c(unsafe { sam2_video_predictor_save_state(self.video, Some(write), (&raw mut *self.saved).cast()) });
    }

    fn log(&mut self) {
        let allowed = keep(AtomicBool::new(true));
        c(sam2_set_log_callback(SAM2_LOG_DEBUG, Some(hear), (&raw const *allowed).cast_mut().cast()));
        std::thread::yield_now();
        c(sam2_set_log_callback(SAM2_LOG_DEBUG, None, null_mut()));
        allowed.store(false, SeqCst);
    }
}

/// Work of one thread.
fn work(thread: u64, checkpoint: &[u8], end: Instant) {
    let mut r = Random(7919 + thread);
    let mut saved: Vec<u8> = Vec::new();
    let prompt = sized!(sam2_prompt { num_points: 1, points: POINT.as_ptr(), labels: LABEL.as_ptr() });
    let image = keep(image());
    while Instant::now() < end {
        let s = shared();
        let places = [r.below(4), r.below(6), r.below(4)];
        let model = s.models[r.below(2)] as *const sam2_model;
        let (predictor, video, job) =
            (s.images[places[0]] as *mut _, s.videos[places[1]] as *mut _, s.jobs[places[2]] as *mut _);
        let generator = s.generators[r.below(2)] as *mut _;
        let (what, r, saved, prompt) = (r.below(29), &mut r, &mut saved, &prompt);
        let mut t = Turn { r, saved, prompt, image, places, model, predictor, video, job, generator };
        match what {
            0 => t.model(checkpoint),
            1 => t.new_predictor(),
            2 => t.new_stream(),
            3 => t.fork(),
            // SAFETY: as above.
            4 | 5 => _ = c(unsafe { sam2_image_predictor_set_image(predictor, image) }),
            6 | 7 => t.predict(),
            8..=10 => t.push(),
            11 | 12 => t.click(),
            13 => t.propagate(),
            14 | 15 => t.propagate_as_job(),
            16 => t.push_as_job(),
            17 => t.wait(),
            18 => _ = c(sam2_job_destroy(job)),
            19 | 20 => t.cancel(),
            21 => t.save(),
            // SAFETY: as above.
            22 => _ = c(unsafe { sam2_video_predictor_load_state(video, t.saved.as_ptr(), t.saved.len()) }),
            23 => {
                c(sam2_video_predictor_reset_state(video));
                c(sam2_image_predictor_reset(predictor));
            }
            24 => t.new_generator(),
            25 => t.generate(),
            26 => t.limit(),
            #[cfg(unix)]
            27 => t.fork_the_process(),
            28 if thread == 0 => t.log(),
            _ => {}
        }
    }
}

#[test]
fn threads_do_everything_to_everything() {
    let seconds = std::env::var("SAM2_STRESS").map_or(2, |s| s.parse().expect("seconds"));
    let manifest = Config::parse(tiny::YAML, &[], true).unwrap().tensor_shapes().unwrap();
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
    s.generators.iter().for_each(|&h| _ = c(sam2_automatic_mask_generator_destroy(h as *mut _)));
    s.models.iter().for_each(|&h| _ = c(sam2_model_destroy(h as *mut _)));
    let (calls, late) = (CALLS.load(SeqCst), LATE.load(SeqCst));
    println!("{calls} calls in {seconds} s by {THREADS} threads, {late} of a callback that was replaced");
    assert_eq!(late, 0);
    assert!(calls > 100);
}

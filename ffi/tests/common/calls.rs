//! Interprets bytes as a sequence of calls of the C interface, for the fuzz target `calls`. Handles are valid, stale,
//! NULL or of another kind, pointers are NULL or valid, and numbers are anything that the memory has room for. No call
//! may end in an internal error.

use crate::tensor::Tensor;
use crate::tiny;
use engine::Config;
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::LazyLock;

use sam2_ffi::*;

#[path = "every.rs"]
#[macro_use]
mod every;
use every::Outcome;

#[path = "draw.rs"]
mod draw;
use draw::Draw;

/// Tensors, which are not handles. Their own deleter frees them.
const TENSOR: &str = "DLManagedTensorVersioned";
/// Number of calls in a sequence.
const CALLS: usize = 48;
/// Bytes behind every pointer to results, more than any drawn count needs. Zero pages cost nothing before they are
/// touched.
const ROOM: usize = 1 << 20;
/// Bytes behind every pointer to input bytes: a mask of the largest sides.
const READ: usize = 1 << 14;
/// Floats behind every pointer to input floats: an image of the largest sides and strides.
const FLOATS: usize = 1 << 16;
/// Sides of images and masks, and counts.
const SMALL: [u32; 8] = [0, 1, 2, 3, 7, 32, 33, 100];
/// Largest count of type `usize`.
const FEW: usize = 4;

static CHECKPOINT: LazyLock<(Vec<u8>, usize)> =
    LazyLock::new(|| padded(tiny::checkpoint(&Config::parse(tiny::YAML, &[], true).unwrap().tensor_shapes().unwrap())));
static YAML: LazyLock<CString> = LazyLock::new(|| CString::new(tiny::YAML).unwrap());
/// The checkpoint as a file.
static CHECKPOINT_FILE: LazyLock<std::fs::File> = LazyLock::new(|| {
    let path = std::env::temp_dir().join(format!("sam2-calls-{}.safetensors", std::process::id()));
    std::fs::write(&path, &CHECKPOINT.0[..CHECKPOINT.1]).unwrap();
    let file = std::fs::File::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file
});
/// Path of a file that the library may write and read.
static FILE: LazyLock<CString> = LazyLock::new(|| {
    let name = format!("sam2-calls-{}.png", std::process::id());
    CString::new(std::env::temp_dir().join(name).to_str().unwrap()).unwrap()
});

/// Pads bytes to the readable size. Returns their original number too.
fn padded(mut bytes: Vec<u8>) -> (Vec<u8>, usize) {
    let n = bytes.len();
    bytes.resize(n.max(READ), 0);
    (bytes, n)
}

thread_local! {
    /// A model that sequences share, since loading one takes longer than all their other calls; 0 before the first.
    static MODEL: Cell<usize> = const { Cell::new(0) };
    /// Floats that no call uses.
    static SPARE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
    /// What was saved last.
    static SAVED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// A video predictor that callbacks call.
    static VIDEO: RefCell<*mut sam2_video_predictor> = const { RefCell::new(null_mut()) };
}

/// A callback that reads all of a frame, and calls the predictor in use.
unsafe extern "C" fn see(user: *mut c_void, frame: *const sam2_frame) -> i32 {
    // SAFETY: what the header promises of a frame.
    let sum: f32 = unsafe {
        let f = &*frame;
        let objects = f.num_objects as usize;
        let ids = std::slice::from_raw_parts(f.obj_ids, objects);
        let scores = std::slice::from_raw_parts(f.object_score_logits, objects);
        let pixels = if f.masks.is_null() { 0 } else { objects * f.width as usize * f.height as usize };
        let masks = if pixels == 0 { &[] } else { std::slice::from_raw_parts(f.masks, pixels) };
        ids.iter().map(|&i| i as f32).chain(scores.iter().copied()).chain(masks.iter().copied()).sum()
    };
    std::hint::black_box(sum);
    let status = sam2_video_predictor_reset_state(VIDEO.with_borrow(|v| *v));
    assert_ne!(status, SAM2_ERROR_INTERNAL);
    i32::from(!user.is_null())
}

unsafe extern "C" fn on(user: *mut c_void, points: u64, of: u64, _: u64) -> i32 {
    assert!(points <= of);
    i32::from(!user.is_null())
}

unsafe extern "C" fn look(user: *mut c_void, mask: *const sam2_automatic_mask) -> i32 {
    // SAFETY: what the header promises.
    let text = unsafe { CStr::from_ptr((*mask).rle) };
    std::hint::black_box(text.to_bytes().len());
    i32::from(!user.is_null())
}

unsafe extern "C" fn ended(_: *mut c_void, status: i32) {
    assert_ne!(status, SAM2_ERROR_INTERNAL);
}

unsafe extern "C" fn hear(_: *mut c_void, level: i32, message: *const c_char) {
    // SAFETY: what the header promises.
    std::hint::black_box((level, unsafe { CStr::from_ptr(message) }.to_bytes().len()));
    let status = sam2_set_log_callback(SAM2_LOG_INFO, None, null_mut());
    assert_eq!(status, SAM2_ERROR_INVALID_ARGUMENT);
}

unsafe extern "C" fn save(user: *mut c_void, data: *const u8, size: usize) -> i32 {
    // SAFETY: what the header promises.
    SAVED.with_borrow_mut(|saved| saved.extend_from_slice(unsafe { std::slice::from_raw_parts(data, size) }));
    i32::from(!user.is_null())
}

/// Loads the model that sequences share, again if a sequence has destroyed it.
fn shared_model() -> usize {
    // SAFETY: numbers; and a handle may be anything.
    let status = unsafe {
        let mut info = sam2_model_info { struct_size: size_of::<sam2_model_info>() as u32, ..std::mem::zeroed() };
        sam2_model_get_info(MODEL.get() as *const _, &mut info)
    };
    if status != SAM2_OK {
        let options = sam2_model_options {
            struct_size: size_of::<sam2_model_options>() as u32,
            device: SAM2_DEVICE_CPU,
            threads: 1,
            image_size: tiny::SIDE as u32,
            config_yaml: YAML.as_ptr(),
            // SAFETY: numbers and pointers.
            ..unsafe { std::mem::zeroed() }
        };
        let mut model = null_mut();
        // SAFETY: the bytes are there.
        let status = unsafe { sam2_model_load_memory(CHECKPOINT.0.as_ptr(), CHECKPOINT.1, &options, &mut model) };
        assert_eq!(status, SAM2_OK);
        MODEL.set(model as usize);
    }
    MODEL.get()
}

/// State of a sequence.
struct Run<'a> {
    bytes: &'a [u8],
    /// The function that is called.
    function: &'static str,
    /// Every handle that there has been, by kind.
    handles: Vec<(&'static str, usize)>,
    /// Where the call in progress leaves handles.
    out: Vec<(&'static str, Box<usize>)>,
    /// What the pointers of the call in progress point at.
    memory: Vec<Box<dyn std::any::Any>>,
    /// The floats among it, which later calls use again.
    floats: Vec<Vec<f32>>,
    /// How long the bytes are that the call in progress was given.
    length: Option<usize>,
}

impl Run<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        first
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.byte() as usize % of.len()]
    }

    /// Keeps a value until the call is over.
    fn keep<T: 'static>(&mut self, values: Vec<T>) -> *mut T {
        let mut values = Box::new(values);
        let at = values.as_mut_ptr();
        self.memory.push(values);
        at
    }

    /// A handle of a kind, the latest as a rule. The shared model is seldom drawn to be destroyed.
    fn handle(&mut self, kind: &'static str) -> usize {
        let byte = self.byte() as usize;
        let spared = if self.function == "sam2_model_destroy" { MODEL.get() } else { 0 };
        let of: Vec<usize> =
            self.handles.iter().rev().filter(|(k, h)| *k == kind && *h != spared).map(|(_, h)| *h).collect();
        match byte {
            0..200 => of.get(byte / 50).or(of.first()).copied().unwrap_or(0),
            200..240 => self.handles.get(byte - 200).map_or(0, |(_, h)| *h),
            240..250 => 0,
            _ => [1, 3, 8, usize::MAX, 1 << 56 | 1, 5 << 56 | 1][byte - 250],
        }
    }

    /// Structs one after another, each as long as its size says, in room for the longest.
    fn structs<T: Copy + 'static>(&mut self, whole: usize, draw: impl Fn(&mut Self, u32) -> T) -> *mut T {
        if self.byte() >= 240 {
            return null_mut();
        }
        let size = self.one(&[whole, whole, whole, whole, whole + 8, whole - 8, 8, 4096, 4, 0]);
        let memory = self.keep(vec![0u64; FEW * 4096 / 8]).cast::<u8>();
        for i in 0..FEW {
            let value = draw(self, size as u32);
            // SAFETY: there is room for as many of the longest; the next overwrites what is too much.
            unsafe { memory.add(i * size).cast::<T>().write_unaligned(value) };
        }
        memory.cast()
    }
}

macro_rules! call_one {
    ($($name:ident($($arg:tt),*))*) => {
        /// Calls the function of this number; None where there is none.
        #[allow(unused_unsafe)]
        fn call_one(run: &mut Run<'_>, number: usize) -> Option<(&'static str, Option<i32>)> {
            let mut next = 0..;
            $(if next.next() == Some(number) {
                run.function = stringify!($name);
                // SAFETY: pointers are null or to as much as the functions use.
                let outcome = unsafe { $name($({
                    let _ = stringify!($arg);
                    Draw::draw(run)
                }),*) };
                return Some((stringify!($name), outcome.status()));
            })*
            None
        }
    };
}
every_function!(call_one);

/// Makes the calls of a sequence and destroys all handles at the end. Returns the functions that succeeded.
pub fn calls(data: &[u8]) -> Vec<&'static str> {
    // A sequence before this one may have set another limit.
    // SAFETY: no result is asked for.
    unsafe { sam2_set_time_limit(SAM2_WAIT_FOREVER, null_mut()) };
    let handles = vec![("sam2_model", shared_model())];
    let mut run = Run {
        bytes: data,
        function: "",
        handles,
        out: Vec::new(),
        memory: Vec::new(),
        floats: Vec::new(),
        length: None,
    };
    SAVED.with_borrow_mut(Vec::clear);
    let mut succeeded = Vec::new();
    for _ in 0..CALLS {
        if run.bytes.is_empty() {
            break;
        }
        let number = run.byte() as usize;
        let Some((name, status)) = call_one(&mut run, number) else { continue };
        if status == Some(SAM2_ERROR_INTERNAL) {
            // SAFETY: this thread's text.
            panic!("{name}: {:?}", unsafe { CStr::from_ptr(sam2_last_error()) });
        }
        if status == Some(SAM2_OK) {
            succeeded.push(name);
        }
        for (kind, handle) in std::mem::take(&mut run.out) {
            assert!(status == Some(SAM2_OK) || *handle == 0, "{name} failed and wrote a handle");
            if *handle != 0 {
                run.handles.push((kind, *handle));
            }
            if kind == "sam2_job" && *handle != 0 {
                // What it was lent is gone after this.
                let mut how = 0;
                // SAFETY: a number is written.
                let waited = unsafe { sam2_job_wait(*handle as *const _, SAM2_WAIT_FOREVER, &mut how) };
                assert!(waited == SAM2_OK && how != SAM2_ERROR_INTERNAL, "{name}: {waited}, {how}");
            }
            if kind == "sam2_video_predictor" {
                VIDEO.set(*handle as *mut sam2_video_predictor);
            }
        }
        run.memory.clear();
        SPARE.with_borrow_mut(|spare| spare.append(&mut run.floats));
        run.length = None;
    }
    for (kind, handle) in run.handles.into_iter().skip(1) {
        let status = match kind {
            "sam2_model" => sam2_model_destroy(handle as *mut _),
            "sam2_picture" => sam2_picture_destroy(handle as *mut _),
            "sam2_image_predictor" => sam2_image_predictor_destroy(handle as *mut _),
            "sam2_job" => sam2_job_destroy(handle as *mut _),
            "sam2_features" => sam2_features_destroy(handle as *mut _),
            "sam2_automatic_mask_generator" => sam2_automatic_mask_generator_destroy(handle as *mut _),
            TENSOR => {
                // SAFETY: made by the library, and deleted once.
                unsafe { (*(handle as *mut Tensor)).deleter.map(|delete| delete(handle as *mut Tensor)) };
                SAM2_OK
            }
            _ => sam2_video_predictor_destroy(handle as *mut _),
        };
        assert!([SAM2_OK, SAM2_ERROR_INVALID_HANDLE].contains(&status), "{kind}: {status}");
    }
    succeeded
}

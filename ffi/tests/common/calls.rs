//! Bytes as a sequence of calls of the C ABI, for the fuzz target `calls`: handles are alive, stale, null or of another
//! kind, pointers null or valid, numbers anything that what they count has room for. No call may end in an internal error.

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

/// Tensors, which are no handles: their own deleter lets go of them.
const TENSOR: &str = "DLManagedTensorVersioned";
/// Calls of one sequence.
const CALLS: usize = 48;
/// Bytes behind every pointer to what is written: more than any count that is drawn asks for. They are zeros, which cost
/// nothing before they are touched.
const ROOM: usize = 1 << 20;
/// Bytes behind every pointer to bytes that are read: a mask of the largest sides.
const READ: usize = 1 << 14;
/// Floats behind every pointer to floats that are read: a picture of the largest sides and strides.
const FLOATS: usize = 1 << 16;
/// Sides of pictures and masks, and counts.
const SMALL: [u32; 8] = [0, 1, 2, 3, 7, 32, 33, 100];
/// At most as many of what is counted by `usize`.
const FEW: usize = 4;

static CHECKPOINT: LazyLock<(Vec<u8>, usize)> = LazyLock::new(|| {
    padded(tiny::checkpoint(&engine::manifest(&Config::parse(tiny::YAML, &[], true).unwrap(), true).unwrap()))
});
static YAML: LazyLock<CString> = LazyLock::new(|| CString::new(tiny::YAML).unwrap());
/// The checkpoint as a file.
static CHECKPOINT_FILE: LazyLock<std::fs::File> = LazyLock::new(|| {
    let path = std::env::temp_dir().join(format!("sam2-calls-{}.safetensors", std::process::id()));
    std::fs::write(&path, &CHECKPOINT.0[..CHECKPOINT.1]).unwrap();
    let file = std::fs::File::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file
});
/// A file that the library may write and read.
static FILE: LazyLock<CString> = LazyLock::new(|| {
    let name = format!("sam2-calls-{}.png", std::process::id());
    CString::new(std::env::temp_dir().join(name).to_str().unwrap()).unwrap()
});

/// Bytes with room behind them, and how many they are.
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

/// Reads all of a frame, and calls what is in use.
unsafe extern "C" fn see(user: *mut c_void, frame: *const sam2_frame) -> i32 {
    // SAFETY: what the header promises of a frame.
    let sum: f32 = unsafe {
        let f = &*frame;
        let objects = f.num_objects as usize;
        let ids = std::slice::from_raw_parts(f.object_ids, objects);
        let scores = std::slice::from_raw_parts(f.scores, objects);
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

/// The model that sequences share: loaded at first, and again after a sequence has destroyed it.
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

/// A sequence in progress.
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

/// An argument.
trait Draw {
    fn draw(run: &mut Run<'_>) -> Self;
}

macro_rules! handles {
    ($($kind:ident)*) => {$(
        impl Draw for *mut $kind {
            fn draw(run: &mut Run<'_>) -> Self {
                run.handle(stringify!($kind)) as Self
            }
        }
        impl Draw for *const $kind {
            fn draw(run: &mut Run<'_>) -> Self {
                run.handle(stringify!($kind)) as Self
            }
        }
        impl Draw for *mut *mut $kind {
            fn draw(run: &mut Run<'_>) -> Self {
                // Without a handle of its job, a call's end could not be waited for.
                if run.byte() >= 240 && stringify!($kind) != "sam2_job" {
                    return null_mut();
                }
                run.out.push((stringify!($kind), Box::new(0)));
                (&raw mut *run.out.last_mut().expect("just put there").1).cast()
            }
        }
    )*};
}
handles!(sam2_model sam2_picture sam2_image_predictor sam2_video_predictor sam2_job sam2_automatic_mask_generator);

impl Draw for *mut *mut DLManagedTensorVersioned {
    fn draw(run: &mut Run<'_>) -> Self {
        if run.byte() >= 240 {
            return null_mut();
        }
        run.out.push((TENSOR, Box::new(0)));
        (&raw mut *run.out.last_mut().expect("just put there").1).cast()
    }
}

impl Draw for *const DLManagedTensorVersioned {
    /// None, the library's, or another's; never one that is gone, which is a pointer.
    fn draw(run: &mut Run<'_>) -> Self {
        let made = run.handles.iter().rev().find(|(kind, _)| *kind == TENSOR).map(|(_, h)| *h as Self);
        match run.byte() {
            0..20 => null(),
            20..120 if made.is_some() => made.unwrap_or(null()),
            _ => {
                let sizes = |run: &mut Run<'_>, of: &[i64]| -> *mut i64 {
                    let values = (0..4).map(|_| run.one(of)).collect();
                    run.keep(values)
                };
                let (shape, strides) = (sizes(run, &[3, 3, 8, 16, 1, 0, -1, 4]), sizes(run, &[1, 3, 9, 24, 48, 0, -1]));
                let tensor = Tensor {
                    version: [run.one(&[1, 1, 1, 0, 2]), 0],
                    context: null_mut(),
                    deleter: None,
                    flags: run.one(&[0, 0, 0, 1]),
                    data: <*mut f32>::draw(run).cast(),
                    device: [run.one(&[1, 1, 1, 3, 2, 13, 77]), 0],
                    ndim: run.one(&[3, 3, 2, 1, 4, 0, -1, 5]),
                    code: run.one(&[1, 1, 2, 0, 6]),
                    bits: run.one(&[8, 8, 32, 16]),
                    lanes: run.one(&[1, 1, 1, 2]),
                    shape,
                    strides: run.one(&[null_mut(), null_mut(), strides]),
                    byte_offset: run.one(&[0, 0, 4, 3]),
                };
                run.keep(vec![tensor]).cast_const().cast()
            }
        }
    }
}

macro_rules! structs {
    ($($kind:ident { $($field:ident: $value:expr),* } by $run:ident;)*) => {$(
        impl Draw for *mut $kind {
            fn draw(run: &mut Run<'_>) -> Self {
                run.structs(size_of::<$kind>(), |$run, struct_size| $kind {
                    struct_size,
                    $($field: $value,)*
                    // SAFETY: numbers, pointers and optional functions.
                    ..unsafe { std::mem::zeroed() }
                })
            }
        }
        impl Draw for *const $kind {
            fn draw(run: &mut Run<'_>) -> Self {
                <*mut $kind>::draw(run)
            }
        }
    )*};
}

structs! {
    sam2_model_options {
        device: run.one(&[SAM2_DEVICE_CPU, SAM2_DEVICE_CPU, SAM2_DEVICE_CPU, 9]),
        device_index: run.one(&[0, 0, -1]),
        precision: run.one(&[0, 0, 1, 2, 3, 4]),
        threads: run.one(&[1, 2]),
        image_size: run.one(&[32, 32, 32, 64, 33]),
        no_postprocessing: run.byte().into(),
        no_mmap: run.byte().into(),
        config_yaml: run.one(&[YAML.as_ptr(), YAML.as_ptr(), YAML.as_ptr(), null(), c"model: [".as_ptr(), c"\xff".as_ptr()]),
        overrides: run.one(&[null(), null(), c"".as_ptr(), c"model.num_maskmem=3".as_ptr(), c"x=".as_ptr()])
    } by run;
    sam2_model_info {} by _run;
    sam2_image_predictor_info {} by _run;
    sam2_gpu_info {} by _run;
    sam2_image {
        format: run.one(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 0, 0]),
        width: run.one(&SMALL),
        height: run.one(&SMALL),
        planes: std::array::from_fn(|_| <*const f32>::draw(run).cast()),
        strides: std::array::from_fn(|_| run.one(&[0, 0, 0, 0, 0, 400, 2000, 1, u64::MAX])),
        matrix: run.one(&[0, 0, 0, 1, 2]),
        range: run.one(&[0, 0, 0, 1, 2]),
        flip: run.one(&[0, 0, 1]),
        memory: run.one(&[0, 0, 0, 0, 1, 2]),
        has_stream: run.one(&[0, 1]),
        stream: null_mut()
    } by run;
    sam2_image_predictor_options {
        mask_threshold: f32::draw(run),
        max_hole_area: f32::draw(run),
        max_sprinkle_area: f32::draw(run)
    } by run;
    sam2_prompt {
        num_points: run.one(&[1, 1, 2, 0, 3, 1000, 1001, u32::MAX]),
        points: Draw::draw(run),
        labels: Draw::draw(run),
        box_: Draw::draw(run),
        mask_input: Draw::draw(run),
        image: run.one(&[0, 0, 0, 1, 2])
    } by run;
    sam2_mask_buffer {
        kind: run.one(&[0, 0, 1, 1, 2, 2, 3, 3, 4]),
        flip: run.one(&[0, 0, 1]),
        data: <*mut f32>::draw(run).cast(),
        size: run.one(&[1, 49, 1024, 4096, 10000, 40000, 7, 3 * 1024, 1_000_000, 128, 2048, 20000, 98]),
        memory: run.one(&[0, 0, 0, 0, 1, 2]),
        has_stream: run.one(&[0, 1]),
        stream: null_mut()
    } by run;
    sam2_video_options {
        window: run.one(&[0, 0, 1, 2, SAM2_RETAIN_EVERYTHING, 1 << 31]),
        legacy_corrections: run.one(&[0, 1]),
        offload_state_to_cpu: run.one(&[0, 1]),
        keep_damaged: run.one(&[0, 1]),
        upright: run.one(&[0, 1]),
        bit_depth: run.one(&[0, 0, 12, 7, 300])
    } by run;
    sam2_picture_options {
        upright: run.one(&[0, 1]),
        bit_depth: run.one(&[0, 0, 8, 12, 16, 7, 300])
    } by run;
    sam2_automatic_mask_options {
        points_per_side: run.one(&[2, 2, 1, 3, 0, 2000]),
        points_per_batch: run.one(&[3, 1, 64, 0]),
        crop_n_layers: run.one(&[0, 0, 0, 1, 9]),
        crop_n_points_downscale_factor: run.one(&[1, 1, 2, 0]),
        min_mask_region_area: run.one(&[0, 0, 5]),
        use_m2m: run.one(&[0, 0, 1]),
        multimask_output: run.one(&[0, 1]),
        pred_iou_thresh: run.one(&[0.0, 0.0, 0.5, f32::NAN]),
        stability_score_thresh: run.one(&[0.0, 0.0, 0.5]),
        stability_score_offset: run.one(&[1.0, 0.0, -1.0]),
        mask_threshold: f32::draw(run),
        box_nms_thresh: run.one(&[0.7, 0.0, 2.0]),
        crop_nms_thresh: run.one(&[0.7, 0.0, 2.0]),
        point_grids: if run.byte() < 160 { null() } else { Draw::draw(run) },
        points_per_grid: Draw::draw(run),
        num_point_grids: run.one(&[0, 0, 1, 2, u32::MAX])
    } by run;
    sam2_video_info {} by _run;
    sam2_push {
        video: Draw::draw(run),
        image: Draw::draw(run),
        masks: Draw::draw(run),
        each: Draw::draw(run)
    } by run;
}

macro_rules! numbers {
    ($($type:ty: $run:ident => $value:expr;)*) => {$(
        impl Draw for $type {
            fn draw($run: &mut Run<'_>) -> Self {
                $value
            }
        }
    )*};
}

numbers! {
    // Flags, sides and counts of points.
    u32: run => run.one(&SMALL);
    i32: run => match run.function {
        #[cfg(unix)]
        "sam2_model_load_fd" => match run.byte() {
            0..4 => std::os::fd::AsRawFd::as_raw_fd(&*CHECKPOINT_FILE),
            _ => -1,
        },
        _ => run.one(&[0, 1, -1, 2]),
    };
    u64: run => run.one(&[0, 0, 1, 2, 3, u64::MAX, 1 << 40]);
    i64: run => run.one(&[1, 1, 2, 0, -1, 3, i64::MIN, i64::MAX]);
    f32: run => run.one(&[0.0, 1.0, 16.0, 5.5, 31.0, -1.0, 0.5, 1e30, f32::NAN, f32::INFINITY]);
    usize: run => match (run.length.take(), run.byte()) {
        (Some(n), 0..200) => n,
        (Some(n), byte) => n * byte as usize / 255,
        (None, byte) => byte as usize % (FEW + 1),
    };
    *mut c_void: run => run.one(&[null_mut(), null_mut(), 8 as *mut c_void]);
    // Files are written to the temporary folder only.
    *const c_char: run => match run.function {
        "sam2_mask_write_png" => run.one(&[FILE.as_ptr(), FILE.as_ptr(), c"/nowhere/0".as_ptr(), c"".as_ptr(), null()]),
        _ => run.one(&[
            FILE.as_ptr(),
            FILE.as_ptr(),
            c"/nowhere/0".as_ptr(),
            c"".as_ptr(),
            c"\xff".as_ptr(),
            c"01".as_ptr(),
            null(),
        ]),
    };
    sam2_frame_callback: run => run.one(&[None, Some(see as _)]);
    sam2_progress_callback: run => run.one(&[None, Some(on as _)]);
    sam2_automatic_mask_callback: run => run.one(&[Some(look as _), Some(look as _), None]);
    sam2_done_callback: run => run.one(&[None, Some(ended as _)]);
    sam2_log_callback: run => run.one(&[None, Some(hear as _)]);
    *mut i32: run => if run.byte() < 240 { run.keep(vec![7i32]) } else { null_mut() };
    *mut u32: run => if run.byte() < 240 { run.keep(vec![0u32; ROOM / 4]) } else { null_mut() };
    *mut u16: run => if run.byte() < 240 { run.keep(vec![0u16; ROOM / 2]) } else { null_mut() };
    *const u32: run => {
        let few = (0..FEW).map(|_| run.one(&[1u32, 1, 2, 0, u32::MAX])).collect();
        if run.byte() < 240 { run.keep(few) } else { null_mut() }
    };
    *const f64: run => {
        let few = (0..4 * FEW).map(|_| run.one(&[0.5, 0.5, 0.25, 1.0, 0.0, -1.0, f64::NAN])).collect();
        if run.byte() < 240 { run.keep(few) } else { null_mut() }
    };
    *const *const c_char: run => {
        let few = (0..FEW).map(|_| run.one(&[c"01", c"1", c"04", c"0T3", c"x"]).as_ptr()).collect();
        if run.byte() < 240 { run.keep(few) } else { null_mut() }
    };
    *mut i64: run => if run.byte() < 160 { run.keep(vec![0i64; ROOM / 8]) } else { null_mut() };
    *const i64: run => {
        if run.byte() >= 240 {
            return null();
        }
        let few = (0..4).map(|_| run.one(&[1i64, 7, 32, 1, 0, -1, i64::MAX, 1 << 40])).collect();
        run.keep(few)
    };
    *mut usize: run => {
        if run.byte() >= 240 {
            return null_mut();
        }
        let room = run.one(&[0usize, 1, 9, ROOM / 8]);
        run.keep(vec![room])
    };
    *mut u8: run => if run.byte() < 240 { run.keep(vec![0u8; ROOM]) } else { null_mut() };
    *mut c_char: run => if run.byte() < 160 { run.keep(vec![0 as c_char; ROOM]) } else { null_mut() };
    sam2_write_callback: run => run.one(&[Some(save as _), Some(save as _), Some(save as _), None]);
    *const i32: run => {
        if run.byte() >= 240 {
            return null();
        }
        let few: [i32; 4] = std::array::from_fn(|_| run.one(&[1, 1, 0, 1, 0, 2, -1, 9]));
        run.keep(few.repeat(250))
    };
    *mut f32: run => if run.byte() < 240 { run.keep(vec![0f32; ROOM / 4]) } else { null_mut() };
    *const f32: run => {
        if run.byte() >= 160 {
            return null();
        }
        let mut values = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
        values.resize(FLOATS, 8.0);
        values[..8].fill_with(|| f32::draw(run));
        let at = values.as_ptr();
        run.floats.push(values);
        at
    };
    *const u8: run => {
        let (bytes, n) = match run.byte() {
            0..100 => padded(SAVED.with_borrow(Clone::clone)),
            // Seldom, for loading takes long.
            100..102 => {
                run.length = Some(CHECKPOINT.1);
                return CHECKPOINT.0.as_ptr();
            }
            102..240 => padded((0..16).map(|_| run.byte()).collect()),
            _ => return null(),
        };
        run.length = Some(n);
        run.keep(bytes)
    };
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

/// Does what the bytes say, and lets go of all handles at the end. Returns the functions that succeeded.
pub fn calls(data: &[u8]) -> Vec<&'static str> {
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

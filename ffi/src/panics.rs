//! Tests with planted panics: every call ends with an error, and handles work afterwards.

use crate::*;
use std::cell::Cell;

#[path = "../tests/common/every.rs"]
#[macro_use]
mod every;
#[path = "../tests/common/header.rs"]
#[allow(dead_code)]
mod header;

use every::Outcome;

/// Where a call of this thread panics.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum PanicSite {
    /// Before it reads its arguments.
    Begin,
    /// While it uses the object of a handle.
    Held,
}

thread_local! {
    static PANIC: Cell<Option<PanicSite>> = const { Cell::new(None) };
}

/// Panics if a panic is planted here.
pub(crate) fn at(place: PanicSite) {
    if PANIC.get() == Some(place) {
        panic!("on purpose");
    }
}

fn panicking<T>(place: PanicSite, work: impl FnOnce() -> T) -> T {
    PANIC.set(Some(place));
    let result = work();
    PANIC.set(None);
    result
}

/// An argument of all zeros.
macro_rules! zero {
    ($arg:tt) => {
        std::mem::zeroed()
    };
}

macro_rules! call_each {
    ($($name:ident($($arg:tt),*))*) => {
        // SAFETY: numbers, pointers and optional functions may be zero, and no pointer is dereferenced.
        #[allow(unused_unsafe)]
        [$((stringify!($name), <[&str]>::len(&[$(stringify!($arg)),*]), unsafe { $name($(zero!($arg)),*) }.status())),*]
    };
}

#[test]
fn every_function_survives_a_panic() {
    let called: Vec<(&str, usize, Option<sam2_status>)> =
        panicking(PanicSite::Begin, || every_function!(call_each).into_iter().collect());
    let declared = header::functions();
    for function in &declared {
        let line = format!("{}({})", function.name, vec!["_"; function.arguments].join(", "));
        let this = called.iter().find(|(name, n, _)| *name == function.name && *n == function.arguments);
        let (_, _, status) = this.unwrap_or_else(|| panic!("tests/common/every.rs lacks {line}"));
        // Other functions do not return a status.
        let status = status.filter(|_| function.has_status());
        assert_eq!(status, function.has_status().then_some(SAM2_ERROR_INTERNAL), "{line}");
    }
    assert_eq!(called.len(), declared.len());
}

#[test]
fn a_handle_works_after_a_panic() {
    let demo = c"../demo".as_ptr();
    let options = sam2_model_options { device: SAM2_DEVICE_CPU, ..options::Sized32::INIT };
    let (mut model, mut predictor, mut video) =
        (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut::<sam2_video_predictor>());
    let pixels = [99u8; 16 * 16 * 3];
    let planes = [pixels.as_ptr().cast(), std::ptr::null(), std::ptr::null()];
    let image = sam2_image { width: 16, height: 16, planes, ..options::Sized32::INIT };
    // SAFETY: all pointers are valid.
    unsafe {
        assert_eq!(sam2_model_load(demo, &options, &mut model), SAM2_OK);
        assert_eq!(sam2_image_predictor_create(model, std::ptr::null(), &mut predictor), SAM2_OK);
        assert_eq!(sam2_video_predictor_create_stream(model, std::ptr::null(), &mut video), SAM2_OK);
        let use_all = || {
            [
                sam2_image_predictor_set_image(predictor, &image),
                sam2_video_predictor_push_frame(video, &image, std::ptr::null(), None, std::ptr::null_mut()),
                sam2_video_predictor_reset_state(video),
            ]
        };
        assert_eq!(panicking(PanicSite::Held, use_all), [SAM2_ERROR_INTERNAL; 3]);
        assert_eq!(use_all(), [SAM2_OK; 3]);
    }
    assert_eq!(sam2_video_predictor_destroy(video), SAM2_OK);
    assert_eq!(sam2_image_predictor_destroy(predictor), SAM2_OK);
    assert_eq!(sam2_model_destroy(model), SAM2_OK);
}

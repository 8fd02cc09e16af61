//! The C++ header, with results and with exceptions: both the bits that Rust makes.

mod common;

use common::*;
use engine::{Frames, Masks, Prompt};

const RESULTS: Compiler = ("CXX", "c++", &["-std=c++17", "-fno-exceptions", "-fno-rtti"]);
const EXCEPTIONS: Compiler = ("CXX", "c++", &["-std=c++17", "-DSAM2_CPP_EXCEPTIONS"]);

fn show<T>(what: &str, values: &[T]) -> String {
    // SAFETY: bytes of numbers.
    let bytes = unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) };
    let hash = |h: u64, &b: &u8| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3);
    format!("{what} {} {:016x}\n", values.len(), bytes.iter().fold(0xcbf2_9ce4_8422_2325, hash))
}

#[test]
fn both_forms_make_rusts_bits() {
    let (picture, frames) = ("demo/pictures/astronaut.png", "demo/samples/video1/frames");
    let model = engine::load(root().join("demo"), &Default::default()).unwrap();
    let mut predictor = model.image_predictor(Default::default()).unwrap();
    predictor.set_image(&engine::picture::read(root().join(picture)).unwrap().frame().unwrap()).unwrap();
    let prompts = [Prompt::new().point(77.0, 400.0, 1), Prompt::new().bounds([20.0, 160.0, 365.0, 511.0])];
    let found = predictor.predict(&prompts, Default::default()).unwrap();
    let Masks::Binary(masks) = found.masks else { panic!() };
    let mut want =
        show("masks", &masks) + &show("iou", &found.iou_predictions) + &show("low_res", &found.low_res_masks);
    let mut video = model.video_predictor(Frames::open(root().join(frames)).unwrap(), Default::default()).unwrap();
    video.add_new_points_or_box(0, 1, &Prompt::new().point(208.0, 249.0, 1), true, true).unwrap();
    let mut last = Vec::new();
    let each = |masks: engine::FrameMasks| {
        last = masks.masks;
        true
    };
    video.propagate_in_video(None, Some(3), false, each).unwrap();
    let video = show("video", &last);
    want += &format!("frames 4\n{video}{video}objects 1\nstatus 4\nthrown 5\n");
    for compiler in [RESULTS, EXCEPTIONS] {
        assert_eq!(run(compiler, "bindings/cpp/test.cpp", &["demo", picture, frames]), want, "{compiler:?}");
    }
}

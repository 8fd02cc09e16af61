//! Pixel formats of cameras and engines in whole calls: the masks equal those of the RGB conversion, to the bit.

mod common;
#[path = "common/formats.rs"]
mod stored;

use common::*;
use sam2::{Error, Frame, PixelFormat, Plane, Prompt, Retention, Size, VideoPredictorOptions, f16};
use stored::{Stored, every_format};

/// Numbers that are the same every time.
fn random(mut seed: u64) -> impl FnMut() -> u64 {
    move || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        seed >> 32
    }
}

#[test]
fn masks_of_every_format() {
    let model = demo();
    let mut predictor = model.image_predictor(Default::default()).unwrap();
    let mut masks = |frame: &Frame<'_>| {
        predictor.set_image(frame).unwrap();
        predictor.predict(&[Prompt::new().point(40.0, 20.0, 1)], Default::default()).unwrap()
    };
    for format in every_format() {
        let stored = Stored::new(format, 77, 43, random(5));
        for flipped in [false, true] {
            let frame = if flipped { stored.frame().flipped() } else { stored.frame() };
            let want = masks(&stored.converted(flipped).frame());
            assert_eq!(masks(&frame), want, "{format:?}, flipped {flipped}");
        }
    }
}

/// Frames of a stream: as they arrive, corrected later, and from a saved state.
#[test]
fn streams_of_every_format() {
    let model = demo();
    let new = || model.video_stream(Retention::Window(2), VideoPredictorOptions::default()).unwrap();
    let click = Prompt::new().point(30.0, 25.0, 1);
    for format in every_format() {
        let frames: Vec<Stored> = (0..3).map(|i| Stored::new(format, 61, 47, random(i))).collect();
        let run = |frame: &dyn Fn(usize, &mut dyn FnMut(&Frame<'_>))| {
            let mut shown = Vec::new();
            let mut p = new();
            frame(0, &mut |f| _ = p.push_frame(f).unwrap());
            shown.push(p.add_new_points_or_box(0, 1, &click, Default::default()).unwrap());
            frame(1, &mut |f| shown.push(p.push_frame(f).unwrap()));
            // Frame 0 is processed again, and its prompt is used after the state was saved and loaded.
            shown.push(p.add_new_points_or_box(0, 2, &click, Default::default()).unwrap());
            let mut file = Vec::new();
            p.save_state(&mut file).unwrap();
            let mut p = new();
            p.load_state(&file).unwrap();
            frame(2, &mut |f| shown.push(p.push_frame(f).unwrap()));
            shown
        };
        let got = run(&|i, push| push(&frames[i].frame().flipped()));
        let want = run(&|i, push| push(&frames[i].converted(true).frame()));
        assert_eq!(got, want, "{format:?}");
        assert_eq!(got[3].obj_ids, [1, 2]);
    }
}

#[test]
fn planes_that_are_not_finite() {
    let model = demo();
    let (good, mut bad) = ([0.5f32; 64], [0.5f32; 64]);
    bad[13] = f32::INFINITY;
    let planes = [&good, &good, &bad].map(|plane| Plane::f32(plane, 32));
    let frame = Frame::planes(PixelFormat::RgbF32Planar, &planes, Size::new(8, 8)).unwrap();
    let refused = model.image_predictor(Default::default()).unwrap().set_image(&frame);
    assert!(matches!(&refused, Err(Error::Input(e)) if e.contains("pixel (5, 1) is inf")), "{refused:?}");
    let refused = model.video_stream(Retention::Window(0), Default::default()).unwrap().push_frame(&frame);
    assert!(matches!(&refused, Err(Error::Input(e)) if e.contains("pixel (5, 1) is inf")), "{refused:?}");
    // Half floats, whose infinity differs.
    let mut halves = [f16::from_f32(0.5); 64 * 3];
    halves[3 * 13 + 1] = f16::INFINITY;
    let frame = Frame::new(PixelFormat::RgbF16, bytemuck::cast_slice(&halves), Size::new(8, 8), 48).unwrap();
    let refused = model.image_predictor(Default::default()).unwrap().set_image(&frame);
    assert!(matches!(&refused, Err(Error::Input(e)) if e.contains("pixel (5, 1) is inf")), "{refused:?}");
}

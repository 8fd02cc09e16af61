//! Every large allocation fails once: the error is typed, nothing aborts, and earlier objects continue to work. One
//! test, since the allocator is that of the whole process.

mod common;
#[path = "common/allocator.rs"]
mod counting;

use common::*;
use counting::{Counting, FAIL_AFTER};
use sam2::{
    Checkpoint, Error, FrameMasks, ImagePredictor, LoadOptions, Model, PointOptions, PredictOptions, Prediction,
    Prompt, ReserveOptions, Retention, Size, VideoPredictor,
};
use std::sync::atomic::Ordering::SeqCst;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `work` with the first large allocation failing, then the second, until all succeed. Returns their number.
fn fail_each<T>(what: &str, mut work: impl FnMut() -> sam2::Result<T>) -> (usize, T) {
    for i in 0.. {
        FAIL_AFTER.store(i, SeqCst);
        let result = work();
        let reached = FAIL_AFTER.swap(-1, SeqCst) < 0;
        match result {
            Err(Error::OutOfMemory { .. }) => assert!(reached, "{what}: failed on its own"),
            Err(other) => panic!("{what}: large allocation {i}: {other}"),
            Ok(value) => {
                assert!(!reached, "{what}: large allocation {i} failed and nobody noticed");
                return (i as usize, value);
            }
        }
    }
    unreachable!("loops until it returns")
}

fn predict(predictor: &mut ImagePredictor) -> sam2::Result<Prediction> {
    let side = predictor.mask_side();
    let mask = [0.5; 64 * 64];
    let prompts: Vec<Prompt<'_>> =
        (0..20).map(|i| Prompt::new().point(20.0 * i as f32, 100.0, 1).mask_input(&mask[..side * side])).collect();
    predictor.predict(&prompts, PredictOptions { return_logits: true, ..Default::default() })
}

#[test]
fn every_large_allocation_may_fail() {
    let checkpoint = Checkpoint::open(file("demo")).unwrap();
    let load = || sam2::load_checkpoint(&checkpoint, None, &options());
    let (loads, model): (usize, Model) = fail_each("load", load);
    assert!(loads > 20, "only {loads} large allocations while loading");

    let picture = sam2::picture::read(file("demo/samples/images/image1.png")).unwrap();
    let (_, mut predictor) = fail_each("predictor", || model.image_predictor(Default::default()));
    let (encodes, ()) = fail_each("set_image", || predictor.set_image(&picture.frame()?));
    assert!(encodes >= 2, "scratch and features");
    let (predicts, got) = fail_each("predict", || predict(&mut predictor));
    assert!(predicts >= 3, "scratch, workspace and results");

    // A larger batch fails halfway. Then the predictor works like one that never failed.
    let frames = [picture.frame().unwrap(); 3];
    let (_, ()) = fail_each("set_image_batch", || predictor.set_image_batch(&frames));
    fail_each("reserve", || predictor.reserve(ReserveOptions { images: 5, points: 900, mask_input: true }));
    predictor.set_image(&frames[0]).unwrap();
    assert_eq!(predict(&mut predictor).unwrap(), got);
    let mut fresh = load().unwrap().image_predictor(Default::default()).unwrap();
    fresh.set_image(&frames[0]).unwrap();
    assert_eq!(predict(&mut fresh).unwrap(), got);

    tracking(&checkpoint);
}

/// The calls of a stream. Each call fails at every large allocation before it is repeated. The masks equal those of a
/// stream without failures.
fn tracking(checkpoint: &Checkpoint) {
    // So large that low-resolution masks count as large allocations.
    let model = sam2::load_checkpoint(checkpoint, None, &LoadOptions { image_size: Some(512), ..options() }).unwrap();
    let picture = |i: usize| sam2::picture::read(file(&format!("demo/samples/video1/frames/{i:05}.jpg"))).unwrap();
    let (first, second) = (picture(0), picture(1));
    let mask: Vec<u8> = (0..512 * 512).map(|i| (i % 512 > 300 && i / 512 > 300) as u8).collect();
    let (click, more) = (Prompt::new().point(208.0, 249.0, 1), Prompt::new().point(215.0, 240.0, 1));
    type Call<'a> = &'a dyn Fn(&mut VideoPredictor) -> sam2::Result<FrameMasks>;
    let calls: [(&str, Call<'_>); 5] = [
        ("push_frame", &|p| p.push_frame(&first.frame()?)),
        ("add_new_points_or_box", &|p| p.add_new_points_or_box(0, 1, &click, Default::default())),
        ("add_new_points_or_box again", &|p| {
            p.add_new_points_or_box(0, 1, &more, PointOptions { clear_old_points: false, ..Default::default() })
        }),
        ("add_new_mask", &|p| p.add_new_mask(0, 2, &mask, Size::new(512, 512))),
        ("push_frame with objects", &|p| p.push_frame(&second.frame()?)),
    ];
    let stream = || model.video_stream(Retention::Window(1), Default::default()).unwrap();
    let (mut failing, mut fresh) = (stream(), stream());
    for (what, call) in calls {
        let (failures, got) = fail_each(what, || call(&mut failing));
        assert!(failures >= 1, "{what}: no large allocation");
        assert_eq!(got, call(&mut fresh).unwrap(), "{what}");
    }
}

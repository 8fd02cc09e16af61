//! Features as a value: taken from a predictor and given to another, they give the same masks without encoding.

mod common;

use common::*;
use sam2::picture::Picture;
use sam2::{Error, Frames, ImagePredictor, Masks, PredictOptions, Prediction, Prompt, Retention, Workspace};

fn sample(i: usize) -> Picture {
    sam2::picture::read(file(&format!("demo/samples/video1/frames/{i:05}.jpg"))).unwrap()
}

fn click(p: &mut ImagePredictor) -> Prediction {
    p.predict(&[Prompt::new().point(208.0, 200.0, 1)], PredictOptions::default()).unwrap()
}

fn masks(p: &Prediction) -> &Masks {
    &p.masks
}

#[test]
fn features_of_images() {
    let model = demo();
    let mut p = model.image_predictor(Default::default()).unwrap();
    let mut other = model.image_predictor(Default::default()).unwrap();
    assert!(matches!(p.take_features(), Err(Error::Input(_))), "nothing is set");
    let (mut want, mut all) = (Vec::new(), Vec::new());
    for i in [0, 9] {
        p.set_image(&sample(i).frame().unwrap()).unwrap();
        want.push(click(&mut p));
        all.push(p.take_features().unwrap());
        assert!(p.image_sizes().is_empty());
        let refused = p.predict(&[Prompt::new().point(1.0, 1.0, 1)], PredictOptions::default());
        assert!(matches!(refused, Err(Error::Input(_))), "the features are gone");
    }
    assert_ne!(masks(&want[0]), masks(&want[1]));
    // The embedding, and two maps of twice and four times its side with a quarter and an eighth of its channels.
    let (side, d) = (model.config().image_size / 16, model.config().d_model);
    let bytes = all[0].bytes();
    assert!((side * side * d * 4 * 4..side * side * d * 4 * 4 + 2048).contains(&bytes), "{bytes} bytes");
    // In another order, by another predictor that has never encoded an image.
    for (features, want) in all.into_iter().zip(&want).rev() {
        other.set_features(features).unwrap();
        let before = other.counters();
        assert_eq!(click(&mut other), *want);
        assert!((other.counters() - before).matmul_flops < 1 << 30, "an image was encoded");
    }
    // Features in a caller's workspace would outlive it.
    let mut memory = vec![0u64; 1 << 22];
    // SAFETY: the memory lives longer than the predictor.
    let space = unsafe { Workspace::new(memory.as_mut_ptr() as u64, 8 << 22) };
    let mut within = model.within(space).image_predictor(Default::default()).unwrap();
    within.set_image(&sample(0).frame().unwrap()).unwrap();
    assert!(matches!(within.take_features(), Err(Error::Input(_))));
    assert_eq!(click(&mut within), want[0]);

    let features = other.take_features().unwrap();
    let refused = demo().image_predictor(Default::default()).unwrap().set_features(features);
    assert!(matches!(refused, Err(Error::Input(_))), "{refused:?}");
}

#[test]
fn features_of_frames() {
    let model = demo();
    let clip = || Frames::pictures((0..4).map(sample).collect());
    let mut p = model.video_predictor(clip(), Default::default()).unwrap();
    let prompt = Prompt::new().point(208.0, 249.0, 1);
    let want = p.fork().add_new_points_or_box(2, 1, &prompt, Default::default()).unwrap();
    let features = p.take_features(2).unwrap();
    // The current frame is another one in between.
    p.add_new_points_or_box(0, 7, &prompt, Default::default()).unwrap();
    p.reset_state();
    p.set_features(features).unwrap();
    let before = p.counters();
    assert_eq!(p.add_new_points_or_box(2, 1, &prompt, Default::default()).unwrap(), want);
    assert!((p.counters() - before).matmul_flops < 1 << 30, "the frame was encoded again");

    assert!(matches!(p.take_features(4), Err(Error::Input(_))), "no such frame");
    let features = p.take_features(1).unwrap();
    let mut other = model.video_predictor(clip(), Default::default()).unwrap();
    assert!(matches!(other.set_features(features), Err(Error::Input(_))), "a frame of another video");
    let mut images = model.image_predictor(Default::default()).unwrap();
    assert!(matches!(images.set_features(p.take_features(1).unwrap()), Err(Error::Input(_))), "a frame is no image");

    // A frame of a stream that is no longer kept.
    let mut stream = model.video_stream(Retention::Window(0), Default::default()).unwrap();
    stream.push_frame(&sample(0).frame().unwrap()).unwrap();
    let features = stream.take_features(0).unwrap();
    stream.push_frame(&sample(1).frame().unwrap()).unwrap();
    assert!(matches!(stream.set_features(features), Err(Error::Input(_))));
}

//! Calls that end by a token or at a deadline, at many moments of each call. Afterwards everything works as if they had
//! never been made.

mod common;

use common::*;
use sam2::{
    AutomaticMaskGeneratorOptions, CancellationToken, Direction, Error, FrameMasks, Frames, LoadOptions, LoadProgress,
    Precision, PredictOptions, Prompt, Result, Retention, VideoPredictor,
};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Makes a call again and again, at first with no time, then with a little more each time, until it succeeds. `then`
/// gets each result.
fn at_all_moments<S, R>(
    state: &mut S,
    mut call: impl FnMut(&mut S) -> Result<R>,
    mut then: impl FnMut(&mut S, Result<R>),
) {
    let start = Instant::now();
    let whole = call(state);
    let step = start.elapsed() / 24;
    then(state, whole);
    let mut ended = 0;
    loop {
        let token = CancellationToken::with_deadline(Instant::now() + step * ended);
        let result = token.run(|| call(state));
        match &result {
            Err(Error::TimedOut) => ended += 1,
            Err(e) => panic!("call {ended}: {e}"),
            Ok(_) => {
                assert!(ended > 0, "a call without time succeeded");
                return then(state, result);
            }
        }
        then(state, result);
    }
}

fn model() -> sam2::Model {
    let cpu = sam2::engine::cpu::Cpu::new(2).unwrap();
    small_demo(cpu, Precision::F32, &["model.image_size=128"])
}

fn prompts() -> [Prompt<'static>; 2] {
    [Prompt::new().point(20.0, 30.0, 1), Prompt::new().bounds([10.0, 5.0, 50.0, 40.0])]
}

#[test]
fn images() {
    let (model, picture) = (model(), &small_frames(80)[0]);
    let mut p = model.image_predictor(Default::default()).unwrap();
    let frame = picture.frame().unwrap();
    p.set_image(&frame).unwrap();
    let want = p.predict(&prompts(), PredictOptions::default()).unwrap();
    at_all_moments(
        &mut p,
        |p| p.set_image(&frame),
        |p, set| {
            if set.is_err() {
                assert!(p.image_sizes().is_empty());
                assert!(matches!(p.predict(&prompts(), PredictOptions::default()), Err(Error::Input(_))));
                p.set_image(&frame).unwrap();
            }
            assert!(p.predict(&prompts(), PredictOptions::default()).unwrap() == want);
        },
    );
    at_all_moments(
        &mut p,
        |p| p.predict(&prompts(), PredictOptions::default()),
        |p, got| {
            let got = got.unwrap_or_else(|_| p.predict(&prompts(), PredictOptions::default()).unwrap());
            assert!(got == want);
        },
    );
}

#[test]
fn automatic_masks() {
    let (model, picture) = (model(), &small_frames(80)[0]);
    let options = AutomaticMaskGeneratorOptions {
        points_per_side: Some(4),
        pred_iou_thresh: 0.0,
        stability_score_thresh: 0.0,
        ..Default::default()
    };
    let mut generator = model.automatic_mask_generator(options).unwrap();
    let frame = picture.frame().unwrap();
    let want = generator.generate(&frame).unwrap();
    assert!(!want.is_empty());
    at_all_moments(
        &mut generator,
        |g| g.generate(&frame),
        |g, got| assert!(got.unwrap_or_else(|_| g.generate(&frame).unwrap()) == want),
    );
}

/// What a predictor says of its objects: logits bit by bit.
fn same(a: &FrameMasks, b: &FrameMasks) -> bool {
    let bits = |m: &FrameMasks| m.masks.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    a.frame_idx == b.frame_idx && a.obj_ids == b.obj_ids && bits(a) == bits(b)
}

fn tracked(p: &mut VideoPredictor) -> Result<Vec<FrameMasks>> {
    let mut all = Vec::new();
    p.propagate_in_video(None, None, Direction::Forward, |masks| {
        all.push(masks);
        true
    })?;
    Ok(all)
}

#[test]
fn videos() {
    let model = model();
    for offload_state_to_cpu in [false, true] {
        let options = sam2::VideoPredictorOptions { offload_state_to_cpu, ..Default::default() };
        let mut p = model.video_predictor(Frames::pictures(small_frames(80)), options).unwrap();
        let [first, second] = prompts();
        let want_first = p.add_new_points_or_box(0, 7, &first, Default::default()).unwrap();
        p.add_new_points_or_box(0, 3, &second, Default::default()).unwrap();
        let want = tracked(&mut p).unwrap();
        assert_eq!(want.len(), 4);
        // Propagation, which may have been ended on any frame, gives the same when it is done again.
        at_all_moments(&mut p, tracked, |p, got| {
            let got = got.unwrap_or_else(|_| tracked(p).unwrap());
            assert!(got.iter().zip(&want).all(|(a, b)| same(a, b)));
        });
        // A prompt that was ended was not given.
        let click = |p: &mut VideoPredictor| {
            p.reset_state();
            p.add_new_points_or_box(0, 7, &first, Default::default())
        };
        at_all_moments(&mut p, click, |p, got| {
            let got = got.unwrap_or_else(|_| p.add_new_points_or_box(0, 7, &first, Default::default()).unwrap());
            assert!(same(&got, &want_first), "{:?} {:?}", got.obj_ids, want_first.obj_ids);
        });
    }
}

/// A frame whose push was ended is not part of the stream, and can be pushed again.
#[test]
fn streams() {
    let (model, pictures) = (model(), small_frames(80));
    let begin = || {
        let mut p = model.video_stream(Retention::Window(2), Default::default()).unwrap();
        p.push_frame(&pictures[0].frame().unwrap()).unwrap();
        let [first, second] = prompts();
        p.add_new_points_or_box(0, 7, &first, Default::default()).unwrap();
        p.add_new_points_or_box(0, 3, &second, Default::default()).unwrap();
        p
    };
    let frame = |i: usize| pictures[i % 4].frame().unwrap();
    let (mut plain, mut disturbed) = (begin(), begin());
    for i in 1..12 {
        let want = plain.push_frame(&frame(i)).unwrap();
        let mut ended = 0;
        let got = loop {
            let token = CancellationToken::with_deadline(Instant::now() + Duration::from_micros(100) * ended);
            match token.run(|| disturbed.push_frame(&frame(i))) {
                Ok(got) => break got,
                Err(Error::TimedOut) => ended += 1,
                Err(e) => panic!("{e}"),
            }
            assert_eq!(disturbed.num_frames(), i);
        };
        assert!(ended > 0 && same(&got, &want), "frame {i}");
    }
}

#[test]
fn another_thread_cancels() {
    let (model, pictures) = (demo(), Frames::folder(file("demo/samples/video1/frames")).unwrap());
    let mut p = model.video_predictor(pictures, Default::default()).unwrap();
    p.add_new_points_or_box(0, 3, &Prompt::new().point(208.0, 249.0, 1), Default::default()).unwrap();
    let token = CancellationToken::new();
    let mut seen = 0;
    std::thread::scope(|scope| {
        let propagated = token.run(|| {
            p.propagate_in_video(None, None, Direction::Forward, |_| {
                seen += 1;
                if seen == 2 {
                    scope.spawn(|| token.cancel());
                }
                true
            })
        });
        assert!(matches!(propagated, Err(Error::Cancelled)));
    });
    assert!(seen < p.num_frames(), "{seen} frames were tracked");
    // The thread has left the token.
    assert!(p.propagate_in_video(None, Some(1), Direction::Forward, |_| true).is_ok());
}

#[test]
fn loading_tells_how_far_it_is_and_ends() {
    let told: Arc<Mutex<Vec<f32>>> = Arc::default();
    let load = |last: f32| {
        let told = told.clone();
        let progress = LoadProgress::new(move |part| {
            told.lock().unwrap().push(part);
            part < last
        });
        sam2::load(file("demo/sam2.1_hiera_demo.safetensors"), &LoadOptions { progress: Some(progress), ..options() })
    };
    load(2.0).unwrap();
    let all = std::mem::take(&mut *told.lock().unwrap());
    assert!(all.len() > 100 && all.is_sorted() && all[0] > 0.0 && all.last() == Some(&1.0), "{all:?}");
    assert!(matches!(load(0.5), Err(Error::Cancelled)));
    assert!(told.lock().unwrap().last().is_some_and(|part| (0.5..0.9).contains(part)));
    at_all_moments(&mut (), |_| load(2.0), |_, _| ());
}

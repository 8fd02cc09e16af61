//! Tracking beyond the goldens: objects in a batch, and input without a meaning.

mod common;

use common::masks::iou;
use common::samples::sample_labels;
use common::*;
use sam2::picture::Picture;
use sam2::{
    Device, Direction, Error, FrameMasks, Frames, FramesOptions, LoadOptions, Point, PointOptions, Prompt, Size,
    VideoPredictor, VideoPredictorOptions,
};

fn sample() -> Frames {
    Frames::folder(file("demo/samples/video1/frames")).unwrap()
}

/// Frames 0 to `last`.
fn track(p: &mut VideoPredictor, last: usize) -> Vec<FrameMasks> {
    let mut all = Vec::new();
    p.propagate_in_video(Some(0), Some(last), Direction::Forward, |masks| {
        all.push(masks);
        true
    })
    .unwrap();
    all
}

/// Objects with different numbers of memories, prompted on different frames, in one batch: the same as each alone.
#[test]
fn company_changes_nothing() {
    let model = demo();
    let said: [(i64, usize, Prompt<'_>); 3] = [
        (7, 0, Prompt::new().bounds([346.0, 175.0, 428.0, 266.0])),
        (3, 0, Prompt::new().point(208.0, 249.0, 1)),
        (5, 4, Prompt::new().point(100.0, 60.0, 1).point(300.0, 200.0, 0)),
    ];
    let run = |said: &[(i64, usize, Prompt<'_>)]| {
        let mut p = model.video_predictor(sample(), Default::default()).unwrap();
        for (id, frame, prompt) in said {
            p.add_new_points_or_box(*frame, *id, prompt, Default::default()).unwrap();
        }
        track(&mut p, 9)
    };
    let together = run(&said);
    for (i, one) in said.iter().enumerate() {
        let alone = run(std::slice::from_ref(one));
        assert_eq!((alone.len(), together.len()), (10, 10));
        for (masks, all) in alone.iter().zip(&together) {
            let size = masks.masks.len();
            assert_eq!(all.masks[i * size..][..size], masks.masks, "object {}, frame {}", one.0, masks.frame_idx);
        }
    }
}

#[test]
fn what_cannot_be_meant() {
    let model = demo();
    let mut p = model.video_predictor(sample(), Default::default()).unwrap();
    let click = Prompt::new().point(208.0, 249.0, 1);
    let input = |r: Result<FrameMasks, Error>, says: &str| match r {
        Err(Error::Input(what)) => assert!(what.contains(says), "{what}"),
        other => panic!("{says}: {:?}", other.map(|m| m.frame_idx)),
    };
    let nothing = p.propagate_in_video(None, None, Direction::Forward, |_| true);
    assert!(matches!(nothing, Err(Error::Input(_))), "{nothing:?}");
    p.add_new_points_or_box(0, 1, &click, Default::default()).unwrap();
    let want = track(&mut p, 3);
    let bounds = Prompt::new().bounds([0.0, 0.0, 50.0, 50.0]);
    let nan = Prompt { points: vec![Point { x: f32::NAN, y: 0.0, label: 1 }], ..Prompt::default() };
    input(p.add_new_points_or_box(24, 1, &click, Default::default()), "no frame 24");
    input(p.add_new_points_or_box(0, 1, &Prompt::new(), Default::default()), "at least one of points or box");
    input(
        p.add_new_points_or_box(0, 1, &bounds, PointOptions { clear_old_points: false, ..Default::default() }),
        "clear_old_points",
    );
    input(p.add_new_points_or_box(0, 1, &nan, Default::default()), "finite");
    input(p.add_new_mask(0, 1, &[1, 0, 1], Size::new(2, 2)), "3 values for 2x2");
    input(p.clear_all_prompts_in_frame(0, 9), "no object 9");
    assert!(matches!(p.remove_object(9), Err(Error::Input(_))));
    assert!(matches!(p.propagate_in_video(Some(99), None, Direction::Forward, |_| true), Err(Error::Input(_))));
    // None of it changed anything.
    assert_eq!(track(&mut p, 3), want);
    // An empty mask is legal: the object is not there.
    let empty = p.add_new_mask(0, 2, &[0; 6], Size::new(3, 2)).unwrap();
    assert_eq!(empty.object_score_logits[1], -10.0);
    p.remove_object(2).unwrap();
    p.clear_all_prompts_in_frame(0, 1).unwrap();
    let nothing = p.propagate_in_video(None, None, Direction::Forward, |_| true);
    assert!(matches!(nothing, Err(Error::Input(_))), "{nothing:?}");
    p.reset_state();
    assert!(p.obj_ids().is_empty());

    let gray = |w: usize| Picture { pixels: vec![9; w * 40], width: w, height: 40, format: sam2::PixelFormat::Gray8 };
    let mut p = model.video_predictor(Frames::pictures(vec![gray(50), gray(51)]), Default::default()).unwrap();
    p.add_new_points_or_box(0, 1, &Prompt::new().point(3.0, 3.0, 1), Default::default()).unwrap();
    let other = p.propagate_in_video(None, None, Direction::Forward, |_| true);
    assert!(matches!(&other, Err(Error::Input(what)) if what.contains("frame 1 has 51x40")), "{other:?}");
    assert!(model.video_predictor(Frames::pictures(Vec::new()), Default::default()).is_err());
    assert!(Frames::folder(file("demo")).is_err() && Frames::folder(file("nowhere")).is_err());
}

/// A frame that cannot be decoded ends a propagation. Earlier results stay, and other frames can be tracked.
#[test]
fn a_frame_that_is_damaged() {
    let folder = std::env::temp_dir().join(format!("sam2-damaged-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for i in 0..5 {
        let name = format!("{i:05}.jpg");
        let mut bytes = std::fs::read(file("demo/samples/video1/frames").join(&name)).unwrap();
        if i == 3 {
            bytes.truncate(bytes.len() / 2);
        }
        std::fs::write(folder.join(&name), bytes).unwrap();
    }
    let mut p = demo().video_predictor(Frames::folder(&folder).unwrap(), Default::default()).unwrap();
    p.add_new_points_or_box(0, 1, &Prompt::new().point(208.0, 249.0, 1), Default::default()).unwrap();
    let mut seen = Vec::new();
    let result = p.propagate_in_video(None, None, Direction::Forward, |masks| {
        seen.push(masks);
        true
    });
    assert!(matches!(&result, Err(Error::Picture { name, .. }) if name.contains("00003")), "{result:?}");
    assert_eq!(seen.len(), 3);
    assert!(p.add_new_points_or_box(3, 1, &Prompt::new().point(208.0, 249.0, 1), Default::default()).is_err());
    assert_eq!(track(&mut p, 2), seen);
    std::fs::remove_dir_all(folder).unwrap();
}

/// Floats as a mask have the meaning of a tensor in the reference.
#[test]
fn masks_of_floats() {
    let model = demo();
    let side = model.config().image_size;
    let seen = |mask: &[f32], height, width| {
        let frames = Frames::open(file("demo/samples/video1/frames")).unwrap();
        let mut p = model.video_predictor(frames, Default::default()).unwrap();
        p.add_new_mask_f32(0, 1, mask, Size::new(width, height))
    };
    // If they are resized, values of 0.5 and more are on the object.
    assert_eq!(seen(&[0.49; 6], 2, 3).unwrap().object_score_logits, [-10.0]);
    assert_eq!(seen(&[0.5; 6], 2, 3).unwrap().areas, [480 * 360]);
    // With the side of the model's input they are logits, 20 of them from 0 to 1.
    let whole = seen(&vec![0.25; side * side], side, side).unwrap();
    assert!(whole.masks.iter().all(|v| (v + 5.0).abs() < 1e-3) && whole.object_score_logits == [10.0]);
    for (says, mask, height) in
        [("5 values for 3x2", vec![1.0; 5], 2), ("(2, 1) is NaN", [vec![1.0; 5], vec![f32::NAN]].concat(), 2)]
    {
        match seen(&mask, height, 3) {
            Err(Error::Input(what)) => assert!(what.contains(says), "{what}"),
            other => panic!("{says}: {:?}", other.map(|m| m.frame_idx)),
        }
    }
}

/// An object that was lost and is prompted again on a tracked frame is tracked from there, also if the frames around a
/// prompt are forgotten: the corrected frame itself is not.
#[test]
fn a_correction_outlasts_the_clearing_around_it() {
    let overrides = vec!["++model.clear_non_cond_mem_around_input=true".to_string()];
    for (overrides, corrections) in [(vec![], 1), (overrides.clone(), 1), (overrides, 2)] {
        let options = LoadOptions { device: Device::Cpu, overrides, ..Default::default() };
        let model = sam2::load(file("demo"), &options).unwrap();
        let frames = Frames::folder(file("tests/data/lost/frames")).unwrap();
        let mut p = model.video_predictor(frames, Default::default()).unwrap();
        p.add_new_points_or_box(0, 1, &Prompt::new().point(40.0, 80.0, 1), Default::default()).unwrap();
        p.propagate_in_video(None, None, Direction::Forward, |_| true).unwrap();
        // Of two corrections close together, the later does not clear the earlier.
        p.add_new_points_or_box(14, 1, &Prompt::new().bounds([238.0, 130.0, 298.0, 190.0]), Default::default())
            .unwrap();
        if corrections == 2 {
            let mask = sample_labels("tests/data/lost/masks/00013.png");
            p.add_new_mask(13, 1, &mask, Size::new(320, 240)).unwrap();
        }
        let mut found = Vec::new();
        p.propagate_in_video(Some(15), None, Direction::Forward, |masks| {
            found.push(masks);
            true
        })
        .unwrap();
        for frame in [15, 18, 23] {
            let labels = sample_labels(&format!("tests/data/lost/masks/{frame:05}.png"));
            let iou = iou(found[frame - 15].masks.iter().zip(&labels).map(|(&v, &label)| (v > 0.0, label != 0)));
            assert!(iou > 0.95, "frame {frame}: {iou}");
        }
    }
}

/// Memory that is forgotten changes no mask, forwards, and backwards from the same frame.
#[test]
fn what_is_forgotten_is_not_attended_to() {
    let run = |forget_tracked_frames, n| {
        let options = VideoPredictorOptions { forget_tracked_frames, offload_state_to_cpu: true, ..Default::default() };
        let clip = sample();
        let at = |i: usize| i.abs_diff(24).min(23);
        let frames = Frames::pictures((0..n).map(|i| (*clip.read(at(i)).unwrap()).clone()).collect());
        let mut p = demo().video_predictor(frames, options).unwrap();
        p.add_new_points_or_box(20, 1, &Prompt::new().point(208.0, 249.0, 1), Default::default()).unwrap();
        p.add_new_points_or_box(26, 2, &Prompt::new().bounds([346.0, 175.0, 428.0, 266.0]), Default::default())
            .unwrap();
        let mut all = Vec::new();
        for direction in [Direction::Forward, Direction::Backward] {
            p.propagate_in_video(Some(20), None, direction, |masks| {
                all.push(masks);
                true
            })
            .unwrap();
        }
        (all, p.memory_bytes().host)
    };
    let ((kept, much), (forgotten, little)) = (run(false, 48), run(true, 48));
    assert_eq!((kept.len(), forgotten.len()), (28 + 21, 28 + 21));
    // Only the outputs that are attended to are kept, of 98, and no mask. Slots are allocated by doubling.
    assert!(kept == forgotten && little * 3 < much, "{little} of {much} bytes");
    // The memory does not depend on the number of frames.
    assert_eq!(run(true, 72).1, little);
}

/// A damaged image is an error, or it is skipped and the others keep their numbers.
#[test]
fn a_damaged_frame_is_passed_over() {
    let folder = std::env::temp_dir().join(format!("sam2-video-{}-damaged", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for i in 0..6 {
        let bytes = std::fs::read(file(&format!("demo/samples/video1/frames/{i:05}.jpg"))).unwrap();
        let len = if [0, 3].contains(&i) { bytes.len() / 2 } else { bytes.len() };
        std::fs::write(folder.join(format!("{i}.jpg")), &bytes[..len]).unwrap();
    }
    let run = |keep_damaged| {
        let frames = Frames::open_with(&folder, &FramesOptions { keep_damaged, ..Default::default() })?;
        let mut p = demo().video_predictor(frames, Default::default())?;
        p.add_new_points_or_box(1, 1, &Prompt::new().point(208.0, 249.0, 1), Default::default())?;
        let mut all = Vec::new();
        for direction in [Direction::Forward, Direction::Backward] {
            p.propagate_in_video(None, None, direction, |masks| {
                all.push(masks.frame_idx);
                true
            })?;
        }
        Ok::<_, Error>(all)
    };
    assert!(matches!(run(false), Err(Error::Picture { name, .. }) if name.contains("0.jpg")));
    assert_eq!(run(true).unwrap(), [1, 2, 4, 5, 1]);
    let _ = std::fs::remove_dir_all(folder);
}

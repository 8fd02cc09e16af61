//! Streams of frames, and states that are forked, saved, restored and kept elsewhere: all give the same masks.

mod common;
#[path = "common/state.rs"]
mod state;

use common::*;
use sam2::{
    Direction, Error, Frame, FrameMasks, Frames, MaskBuffer, Model, Point, PointOptions, Prompt, Retention, Size,
    VideoPredictor, VideoPredictorOptions,
};
use state::State;

fn sample() -> Frames {
    Frames::folder(file("demo/samples/video1/frames")).unwrap()
}

/// A prompt on a frame, given as soon as the frame is there.
type Said = (usize, i64, Prompt<'static>);

/// Two objects, one of which is added later, and a correction.
fn said() -> Vec<Said> {
    vec![
        (0, 7, Prompt::new().bounds([346.0, 175.0, 428.0, 266.0])),
        (0, 3, Prompt::new().point(208.0, 249.0, 1)),
        (5, 9, Prompt::new().point(100.0, 60.0, 1).point(300.0, 200.0, 0).point(0.0, 0.0, -1)),
        (11, 3, Prompt::new().point(215.0, 240.0, 1)),
    ]
}

fn say(p: &mut VideoPredictor, said: &[Said], frame: usize) -> Option<FrameMasks> {
    let mut last = None;
    for (_, id, prompt) in said.iter().filter(|(f, ..)| *f == frame) {
        last = Some(p.add_new_points_or_box(frame, *id, prompt, Default::default()).unwrap());
    }
    last
}

/// The output of a stream for frames `from..`, with the prompts of each frame.
fn stream_on(p: &mut VideoPredictor, frames: &Frames, from: usize, said: &[Said]) -> Vec<FrameMasks> {
    (from..frames.len()).map(|i| push(p, frames, i, said)).collect()
}

fn stream(model: &Model, retention: Retention, options: VideoPredictorOptions) -> Vec<FrameMasks> {
    let mut p = model.video_stream(retention, options).unwrap();
    stream_on(&mut p, &sample(), 0, &said())
}

/// The same by a predictor that has all frames, from one prompt to the next.
fn offline(model: &Model, options: VideoPredictorOptions) -> Vec<FrameMasks> {
    let (frames, said) = (sample(), said());
    let mut p = model.video_predictor(frames.clone(), options).unwrap();
    let mut all = vec![say(&mut p, &said, 0).unwrap()];
    for (start, end) in [(0, 5), (5, 11), (11, frames.len() - 1)] {
        // The first frame was output before. Its correction is lost when it is tracked again.
        let first = start + 1;
        p.propagate_in_video(Some(first), Some(end - first), Direction::Forward, |masks| {
            all.push(masks);
            true
        })
        .unwrap();
        if let Some(corrected) = say(&mut p, &said, end) {
            *all.last_mut().unwrap() = corrected;
        }
    }
    all
}

/// Equal to the bit, scores that are not numbers included.
fn assert_same(what: &str, got: &[FrameMasks], want: &[FrameMasks]) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (got, want) in got.iter().zip(want) {
        let bits = |m: &FrameMasks| m.object_score_logits.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        let same = got.masks == want.masks && bits(got) == bits(want) && got.obj_ids == want.obj_ids;
        assert!(same && got.frame_idx == want.frame_idx, "{what}: frame {}", want.frame_idx);
    }
}

#[test]
fn streaming_equals_offline() {
    let model = demo();
    let want = offline(&model, Default::default());
    assert_eq!(want.last().unwrap().obj_ids, [7, 3, 9]);
    assert!(want.last().unwrap().object_score_logits.iter().all(|s| s.is_finite()));
    for retention in [Retention::Everything, Retention::Window(0), Retention::Window(3)] {
        assert_same(&format!("{retention:?}"), &stream(&model, retention, Default::default()), &want);
    }
    let offload = VideoPredictorOptions { offload_state_to_cpu: true, ..Default::default() };
    assert_same("offloaded stream", &stream(&model, Retention::Window(2), offload), &want);
    assert_same("offloaded", &offline(&model, offload), &want);
}

/// Frames that are kept can be corrected and tracked from. Others cannot.
#[test]
fn corrections_of_earlier_frames() {
    let (model, frames) = (demo(), sample());
    let click = Prompt::new().point(208.0, 249.0, 1);
    let more = Prompt::new().point(230.0, 230.0, 1);
    let run = |p: &mut VideoPredictor| {
        let mut all = Vec::new();
        all.push(p.add_new_points_or_box(6, 3, &more, Default::default()).unwrap());
        p.propagate_in_video(Some(7), None, Direction::Forward, |masks| {
            all.push(masks);
            true
        })
        .unwrap();
        all
    };
    let push = |retention| {
        let mut p = model.video_stream(retention, Default::default()).unwrap();
        for i in 0..10 {
            p.push_frame(&frames.read(i).unwrap().frame().unwrap()).unwrap();
            if i == 0 {
                p.add_new_points_or_box(0, 3, &click, Default::default()).unwrap();
            }
        }
        p
    };
    let want = run(&mut push(Retention::Everything));
    assert_eq!(want.len(), 4);
    assert_same("a window", &run(&mut push(Retention::Window(3))), &want);
    let mut short = push(Retention::Window(2));
    let before = short.push_frame(&frames.read(10).unwrap().frame().unwrap()).unwrap();
    let mut short = push(Retention::Window(2));
    let gone = short.add_new_points_or_box(6, 3, &more, Default::default());
    assert!(matches!(&gone, Err(Error::Input(e)) if e.contains("frame 6 is no longer kept: of 10 frames the last 3")));
    assert!(short.propagate_in_video(Some(6), None, Direction::Forward, |_| true).is_err());
    let mut back = Vec::new();
    short
        .fork()
        .propagate_in_video(Some(9), None, Direction::Backward, |masks| {
            back.push(masks.frame_idx);
            true
        })
        .unwrap();
    assert_eq!(back, [9, 8, 7], "backwards to the first that is kept");
    assert!(matches!(short.clear_all_prompts_in_frame(10, 3), Err(Error::Input(_))));
    assert_eq!(short.push_frame(&frames.read(10).unwrap().frame().unwrap()).unwrap(), before);
}

/// A fork diverges, and neither affects the other.
#[test]
fn forks_go_their_own_way() {
    let (model, frames) = (demo(), sample());
    let want = stream(&model, Retention::Window(1), Default::default());
    let mut p = model.video_stream(Retention::Window(1), Default::default()).unwrap();
    let (mut got, mut twins) = (Vec::new(), Vec::new());
    for i in 0..frames.len() {
        got.push(push(&mut p, &frames, i, &said()));
        if i == 8 {
            let held = p.memory_bytes();
            let mut fork = p.fork();
            assert_eq!(fork.memory_bytes(), held, "a fork copies nothing");
            fork.add_new_points_or_box(i, 3, &Prompt::new().point(20.0, 20.0, 1), Default::default()).unwrap();
            fork.remove_object(7).unwrap();
            let other = fork.push_frame(&frames.read(20).unwrap().frame().unwrap()).unwrap();
            assert_eq!(other.obj_ids, [3, 9]);
            // Other forks do the same at the same time.
            for _ in 0..2 {
                let (mut twin, frames) = (p.fork(), frames.clone());
                twins.push(std::thread::spawn(move || stream_on(&mut twin, &frames, 9, &said())));
            }
        }
    }
    for twin in twins {
        assert_same("a fork", &twin.join().unwrap(), &want[9..]);
    }
    assert_same("the origin", &got, &want);
}

/// The output of a stream for frame `i`, with the prompts of the frame.
fn push(p: &mut VideoPredictor, frames: &Frames, i: usize, said: &[Said]) -> FrameMasks {
    let got = p.push_frame(&frames.read(i).unwrap().frame().unwrap()).unwrap();
    assert_eq!(got.frame_idx, i);
    say(p, said, i).unwrap_or(got)
}

/// A state that was saved after frames, and between prompts, continues with the same masks.
#[test]
fn saved_and_restored() {
    let (model, frames) = (demo(), sample());
    let want = stream(&model, Retention::Window(2), Default::default());
    for at in [0, 4, 5, 11] {
        let mut p = model.video_stream(Retention::Window(2), Default::default()).unwrap();
        (0..=at).for_each(|i| _ = push(&mut p, &frames, i, &said()));
        let mut file = Vec::new();
        p.save_state(&mut file).unwrap();
        drop(p);
        // As in another process.
        let mut p = demo().video_stream(Retention::Window(2), Default::default()).unwrap();
        p.load_state(&file).unwrap();
        assert_eq!((p.num_frames(), p.obj_ids()), (at + 1, &want[at].obj_ids[..]));
        assert_same(&format!("saved after frame {at}"), &stream_on(&mut p, &frames, at + 1, &said()), &want[at + 1..]);
        let mut again = Vec::new();
        p.load_state(&file).unwrap();
        p.save_state(&mut again).unwrap();
        assert_eq!(again, file, "saved again");
    }

    // With all frames: corrections use the kept masks.
    let run = |restored: bool| {
        let mut p = model.video_predictor(frames.clone(), Default::default()).unwrap();
        say(&mut p, &said(), 0);
        p.propagate_in_video(None, Some(6), Direction::Forward, |_| true).unwrap();
        p.add_new_points_or_box(4, 3, &Prompt::new().point(215.0, 240.0, 1), Default::default()).unwrap();
        if restored {
            let mut file = Vec::new();
            p.save_state(&mut file).unwrap();
            p = model.video_predictor(frames.clone(), Default::default()).unwrap();
            p.load_state(&file).unwrap();
        }
        let more = Prompt::new().point(220.0, 245.0, 1);
        let mut all = vec![
            p.add_new_points_or_box(4, 3, &more, PointOptions { clear_old_points: false, ..Default::default() })
                .unwrap(),
        ];
        p.propagate_in_video(Some(5), Some(5), Direction::Forward, |masks| {
            all.push(masks);
            true
        })
        .unwrap();
        p.propagate_in_video(Some(8), Some(3), Direction::Backward, |masks| {
            all.push(masks);
            true
        })
        .unwrap();
        all
    };
    assert_same("offline", &run(true), &run(false));
}

/// A file that is cut or altered anywhere, or of another model or video, is an error. The current state does not
/// change.
#[test]
fn states_that_are_none() {
    let (model, frames) = (demo(), sample());
    let mut p = model.video_stream(Retention::Window(0), Default::default()).unwrap();
    (0..3).for_each(|i| _ = push(&mut p, &frames, i, &said()));
    let mut file = Vec::new();
    p.save_state(&mut file).unwrap();
    let mut want = p.fork();
    let want = want.push_frame(&frames.read(3).unwrap().frame().unwrap()).unwrap();
    let mut refuse = |bytes: &[u8], says: &str| match p.load_state(bytes) {
        Err(Error::Input(e)) => assert!(e.starts_with("saved state: ") && e.contains(says), "{e}"),
        other => panic!("{says}: {other:?}"),
    };
    for cut in (0..200).chain((200..file.len()).step_by(file.len() / 97)).chain(file.len() - 9..file.len()) {
        refuse(&file[..cut], "");
    }
    for at in (0..file.len()).step_by(file.len() / 211) {
        let mut altered = file.clone();
        altered[at] ^= 0x10;
        refuse(&altered, "");
    }
    let mut longer = file.clone();
    longer.push(0);
    refuse(&longer, "");
    refuse(&std::fs::read("demo/sam2.1_hiera_demo.safetensors").unwrap(), "no bookkeeping");

    let mut other = Mini::load("mini21").model.video_stream(Retention::Window(0), Default::default()).unwrap();
    let error = other.load_state(&file).unwrap_err().to_string();
    assert!(error.contains("model"), "{error}");
    let mut given = model.video_predictor(frames.clone(), Default::default()).unwrap();
    let error = given.load_state(&file).unwrap_err().to_string();
    assert!(error.contains("of a stream"), "{error}");
    let mut of_given = Vec::new();
    given.save_state(&mut of_given).unwrap();
    refuse(&of_given, "of a stream");
    let fewer = Frames::pictures((0..5).map(|i| (*frames.read(i).unwrap()).clone()).collect());
    let error = model.video_predictor(fewer, Default::default()).unwrap().load_state(&of_given).unwrap_err();
    assert!(error.to_string().contains("of 24 frames"), "{error}");

    assert_eq!(p.push_frame(&frames.read(3).unwrap().frame().unwrap()).unwrap(), want);
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("full"))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    assert!(matches!(p.save_state(Full), Err(Error::Io { .. })));
}

/// An invalid frame is an error, and the stream continues as if it had not been pushed.
#[test]
fn frames_that_do_not_fit() {
    let (model, frames) = (demo(), sample());
    let mut p = model.video_stream(Retention::Window(1), Default::default()).unwrap();
    assert_eq!((p.num_frames(), p.video_size()), (0, Size::default()));
    let click = Prompt::new().point(208.0, 249.0, 1);
    assert!(
        matches!(p.add_new_points_or_box(0, 1, &click, Default::default()), Err(Error::Input(_))),
        "nothing was pushed"
    );
    assert!(p.propagate_in_video(None, None, Direction::Forward, |_| true).is_err());
    let nothing = p.push_frame(&frames.read(0).unwrap().frame().unwrap()).unwrap();
    assert!(nothing.obj_ids.is_empty() && nothing.masks.is_empty());
    p.add_new_points_or_box(0, 1, &click, Default::default()).unwrap();
    let want = p.fork().push_frame(&frames.read(1).unwrap().frame().unwrap()).unwrap();

    let small = [0u8; 300];
    let size = p.push_frame(&Frame::rgb8(&small, Size::new(10, 10)).unwrap());
    assert!(matches!(&size, Err(Error::Input(e)) if e.contains("a frame of 10x10 pixels")), "{size:?}");
    let first = frames.read(1).unwrap();
    let mut floats = vec![0.5f32; first.width * first.height * 3];
    floats[77] = f32::NAN;
    let nan = p.push_frame(&Frame::rgb_f32(&floats, Size::new(first.width, first.height)).unwrap());
    assert!(matches!(&nan, Err(Error::Input(e)) if e.contains("not a finite number")), "{nan:?}");
    let mut short = vec![0u8; 7];
    let into = p.push_frame_into(&first.frame().unwrap(), MaskBuffer::binary(&mut short), &mut FrameMasks::default());
    assert!(matches!(&into, Err(Error::Input(e)) if e.contains("bytes needed")), "{into:?}");
    assert_eq!(p.num_frames(), 1);

    // Into a buffer: the same, as ones and zeros.
    let mut binary = vec![9u8; first.width * first.height];
    let mut got = FrameMasks::default();
    p.fork().push_frame_into(&first.frame().unwrap(), MaskBuffer::binary(&mut binary), &mut got).unwrap();
    assert!(got.masks.is_empty() && got.object_score_logits == want.object_score_logits);
    assert!(binary.iter().zip(&want.masks).all(|(&b, &v)| b == (v > 0.0) as u8));
    assert_eq!(p.push_frame(&first.frame().unwrap()).unwrap(), want);

    let mut given = model.video_predictor(frames.clone(), Default::default()).unwrap();
    assert!(matches!(given.push_frame(&first.frame().unwrap()), Err(Error::Input(_))));
    // A refused prompt adds no object.
    let nan = Prompt { points: vec![Point { x: f32::NAN, y: 0.0, label: 1 }], ..Prompt::default() };
    assert!(p.add_new_points_or_box(1, 77, &nan, Default::default()).is_err());
    assert_eq!(p.obj_ids(), [1]);
}

/// With legacy corrections, corrections survive a saved state, until they are cleared.
#[test]
fn corrections_that_last() {
    let (model, frames) = (demo(), sample());
    let options = VideoPredictorOptions { legacy_corrections: true, ..Default::default() };
    let follow = |p: &mut VideoPredictor| {
        let mut all = Vec::new();
        p.propagate_in_video(Some(0), Some(5), Direction::Forward, |masks| {
            all.push(masks);
            true
        })
        .unwrap();
        all
    };
    let mut p = model.video_predictor(frames.clone(), options).unwrap();
    p.add_new_points_or_box(0, 3, &Prompt::new().point(208.0, 249.0, 1), Default::default()).unwrap();
    let plain = follow(&mut p);
    let corrected = p.add_new_points_or_box(3, 3, &Prompt::new().point(60.0, 60.0, 1), Default::default()).unwrap();
    assert_ne!(corrected, plain[3]);
    let lasting = follow(&mut p);
    assert_same("before the correction", &lasting[..3], &plain[..3]);
    assert_same("the correction", &lasting[3..4], &[corrected]);
    assert_ne!(lasting[4], plain[4]);
    let mut file = Vec::new();
    p.save_state(&mut file).unwrap();
    let mut p = model.video_predictor(frames, options).unwrap();
    p.load_state(&file).unwrap();
    assert_same("restored", &follow(&mut p), &lasting);
    p.clear_all_prompts_in_frame(3, 3).unwrap();
    assert_same("taken back", &follow(&mut p), &plain);
}

/// A frame that was tracked from prompts that were cleared later is an error.
#[test]
fn nothing_to_go_by() {
    let (model, frames) = (demo(), sample());
    let mut p = model.video_predictor(frames, Default::default()).unwrap();
    let click = Prompt::new().point(208.0, 249.0, 1);
    p.add_new_points_or_box(0, 1, &click, Default::default()).unwrap();
    p.propagate_in_video(Some(20), Some(0), Direction::Forward, |_| true).unwrap();
    p.clear_all_prompts_in_frame(0, 1).unwrap();
    let error = p.add_new_points_or_box(20, 1, &click, Default::default()).unwrap_err();
    assert!(matches!(&error, Error::Input(e) if e.contains("was cleared")), "{error}");
    // A click works on a frame to which the object was not tracked.
    p.add_new_points_or_box(4, 1, &click, Default::default()).unwrap();
    p.propagate_in_video(None, Some(1), Direction::Forward, |_| true).unwrap();
}

/// In a video of one frame, a second click works as in any other.
#[test]
fn a_video_of_one_frame() {
    let (model, frames) = (demo(), sample());
    let run = |n: usize| {
        let frames = Frames::pictures((0..n).map(|_| (*frames.read(0).unwrap()).clone()).collect());
        let mut p = model.video_predictor(frames, Default::default()).unwrap();
        p.add_new_points_or_box(0, 1, &Prompt::new().point(208.0, 249.0, 1), Default::default()).unwrap();
        p.propagate_in_video(None, Some(0), Direction::Forward, |_| true).unwrap();
        p.add_new_points_or_box(0, 1, &Prompt::new().point(215.0, 240.0, 1), Default::default()).unwrap()
    };
    assert_same("one frame", &[run(1)], &[run(2)]);
}

/// Saved states with a right checksum and wrong contents.
#[test]
fn states_that_were_made_up() {
    let (model, frames) = (demo(), sample());
    let fresh = || model.video_stream(Retention::Window(1), Default::default()).unwrap();
    let mut p = fresh();
    (0..3).for_each(|i| _ = push(&mut p, &frames, i, &said()));
    p.add_new_points_or_box(2, 3, &Prompt::new().point(215.0, 240.0, 1), Default::default()).unwrap();
    let good = State::of(&p);
    fresh().load_state(&good.rewritten(|_| {}).sealed()).unwrap();
    type Change = fn(&mut serde_json::Value);
    let changes: [(&str, Change); 13] = [
        ("a size that wraps", |s| (s["height"], s["width"]) = ((1u64 << 32).into(), (1u64 << 32).into())),
        ("no size", |s| s["height"] = 0.into()),
        ("frames that nobody saw", |s| s["len"] = u64::MAX.into()),
        ("no frames", |s| s["len"] = 0.into()),
        ("frames of another size", |s| s["height"] = 359.into()),
        ("a frame without pixels that is to be remembered", |s| s["kept"][1] = serde_json::Value::Null),
        ("fewer frames kept", |s| s["kept"] = serde_json::json!([])),
        ("objects without numbers", |s| s["ids"] = serde_json::json!([7])),
        ("a number twice", |s| s["ids"] = serde_json::json!([7, 7])),
        ("a conditioning frame without memory", |s| s["objects"][0]["outputs"][0][0]["memory"] = false.into()),
        ("what is to be remembered without a mask", |s| s["objects"][1]["outputs"][3][0]["low_res"] = false.into()),
        ("a frame to come", |s| s["objects"][0]["outputs"][0][0]["frame"] = 3.into()),
        ("a point that is none", |s| s["objects"][1]["points"]["2"][0][2] = 4.into()),
    ];
    for (what, change) in changes {
        let mut p = fresh();
        let result = p.load_state(&good.rewritten(change).sealed());
        assert!(matches!(&result, Err(Error::Input(e)) if e.starts_with("saved state: ")), "{what}: {result:?}");
        assert_eq!(p.num_frames(), 0);
    }
}

/// Prompts without output cost the same for any number of objects, and do not change what is tracked.
#[test]
fn many_objects_cost_one_after_another_the_same() {
    let (model, frames, n) = (demo(), sample(), 60);
    let click = |i: i64| Prompt::new().point(5.0 + 6.0 * i as f32, 100.0, 1);
    let tracked = |shows: bool| {
        let mut p = model.video_stream(Retention::Window(0), VideoPredictorOptions::default()).unwrap();
        p.set_show_prompts(shows);
        p.push_frame(&frames.read(0).unwrap().frame().unwrap()).unwrap();
        let mut work = Vec::new();
        for i in 0..n {
            let before = p.counters();
            let shown = p.add_new_points_or_box(0, i, &click(i), Default::default()).unwrap();
            assert_eq!(shown.obj_ids.len(), if shows { i as usize + 1 } else { 0 });
            let after = p.counters();
            work.push([
                after.matmul_flops - before.matmul_flops,
                after.bytes - before.bytes,
                after.launches - before.launches,
            ]);
        }
        (work, p.push_frame(&frames.read(1).unwrap().frame().unwrap()).unwrap())
    };
    let ((quiet, got), (shown, want)) = (tracked(false), tracked(true));
    // The first prompt encodes the image. Memory that doubles occasionally copies its contents.
    let [flops, bytes, launches] = quiet[1];
    assert!(quiet[1..].iter().all(|work| work[0] == flops && work[2] == launches), "{quiet:?}");
    assert!(quiet[1..].iter().map(|work| work[1]).sum::<u64>() < n as u64 * bytes * 11 / 10, "{quiet:?}");
    assert!(shown[n as usize - 1][1] > shown[1][1], "what is shown does not cost anything: {shown:?}");
    assert_eq!(got, want);
}

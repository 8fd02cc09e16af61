//! Tracking against the reference, call by call.
//!
//! Memories depend on the sign of logits, so that free running drifts: a logit of 1e-5 whose sign differs changes a
//! memory by a hundredth. So three things are compared. Frames that were prompted before anything was tracked are
//! compared closely. Every tracked frame is compared by itself, with the reference's memories in place of the engine's.
//! Free running is compared by IoU and RMS. `tests/reference/drift.py` measures how far the reference itself moves when
//! its logits are disturbed by 1e-5. mini21 moves to an IoU of 0.999 over ten frames. mini21occ has other weights, and
//! moves to an IoU of 0.977 and an RMS of 4.6e-3 of the largest logit (a point, and two objects). mini20 moves to
//! 0.9975 and 4.4e-3 by frame 6, but to 0.91 on frame 9. So mini20 is compared up to frame 6. Instruction sets round
//! differently, and each takes another path.

mod common;

#[path = "common/state.rs"]
mod state;

use common::*;
use sam2::engine::backend::Backend;
use sam2::engine::cpu::Cpu;
use sam2::picture::Picture;
use sam2::{
    Checkpoint, Config, Direction, FrameMasks, Frames, Model, PixelFormat, PointOptions, Precision, Prompt, Size,
    VideoPredictor, VideoPredictorOptions,
};
use sam2_cuda::emulator::Emulator;
use sam2_cuda::{Cuda, Driver};
use serde_json::Value;
use state::{COND, NON_COND, State};

const FOLDER: &str = "tests/data/golden";

/// The frames of the goldens.
fn frames(count: usize) -> Frames {
    let input = Golden::open(&format!("{FOLDER}/mini21/video_input.safetensors"));
    let &[n, height, width, 3] = input.shape("frames_u8") else { panic!("frames") };
    let pixels = input.bytes("frames_u8");
    let one = |i: usize| Picture {
        pixels: pixels[i * height * width * 3..][..height * width * 3].to_vec(),
        width,
        height,
        format: PixelFormat::Rgb8,
    };
    Frames::pictures((0..n.min(count)).map(one).collect())
}

/// The intersection over union of the pixels above 0, and the root mean square difference relative to the largest
/// value.
fn compare(got: &[f32], want: &[f32]) -> (f64, f64) {
    let (mut both, mut any, mut square, mut most) = (0, 0, 0.0, 1e-6f64);
    for (g, w) in got.iter().zip(want) {
        both += (*g > 0.0 && *w > 0.0) as usize;
        any += (*g > 0.0 || *w > 0.0) as usize;
        square += f64::from(g - w).powi(2);
        most = most.max(f64::from(w.abs()));
    }
    (if any == 0 { 1.0 } else { both as f64 / any as f64 }, (square / got.len() as f64).sqrt() / most)
}

/// The value of pixels in a filled hole, and the most pixels of a hole, in the reference's settings.
const FILLED: f32 = 0.1;
const HOLE: usize = 8;

/// The number of pixels, up to [`HOLE`] + 1, that are connected with pixel `start` by pixels below `limit`.
fn connected(values: &[f32], start: usize, limit: f32) -> usize {
    let side = values.len().isqrt();
    let mut found = vec![start];
    let mut next = 0;
    while next < found.len() && found.len() <= HOLE {
        let (x, y) = (found[next] % side, found[next] / side);
        next += 1;
        for y in y.saturating_sub(1)..=(y + 1).min(side - 1) {
            for x in x.saturating_sub(1)..=(x + 1).min(side - 1) {
                let i = y * side + x;
                if values[i] < limit && !found.contains(&i) {
                    found.push(i);
                }
            }
        }
    }
    found.len()
}

/// Makes `got` equal to `want` where only one of them is in a filled hole, and `noise` explains it: the logit is within
/// the noise of 0, or the pixel is in a hole if logits within the noise of 0 are on the object. `noise` is relative to
/// the largest logit. Returns the pixels.
fn excuse_holes(got: &mut [f32], want: &[f32], noise: f64) -> Vec<usize> {
    let noise = noise as f32 * want.iter().fold(0f32, |m, v| m.max(v.abs()));
    let (before, mut excused) = (got.to_vec(), Vec::new());
    for (i, &want_here) in want.iter().enumerate() {
        let open = match (before[i] == FILLED, want_here == FILLED) {
            (true, false) => want,
            (false, true) => &before[..],
            _ => continue,
        };
        if open[i].abs() <= noise || open[i] < 0.0 && connected(open, i, -noise) <= HOLE {
            got[i] = want_here;
            excused.push(i);
        }
    }
    excused
}

/// The same for enlarged masks, (objects, height, width): makes `got` equal to `want` where it depends on the excused
/// pixels of a low-resolution mask of `side` by `side` pixels. An enlarged pixel depends on the four pixels around it.
fn excuse_enlarged(got: &mut [f32], want: &[f32], (width, height): (usize, usize), side: usize, excused: &[usize]) {
    let near = |at: usize, size: usize, low: usize| {
        ((at as f32 + 0.5) * side as f32 / size as f32 - 0.5 - low as f32).abs() < 1.0
    };
    for (i, (got, &want)) in got.iter_mut().zip(want).enumerate() {
        let (x, y) = (i % width, i / width % height);
        if excused.iter().any(|e| near(x, width, e % side) && near(y, height, e / side)) {
            *got = want;
        }
    }
}

fn cpu() -> Cpu {
    Cpu::new(0).unwrap()
}

/// The calls of a golden, and their results.
struct Case {
    name: String,
    golden: Golden,
    about: Value,
    /// Frames of the video.
    frames: usize,
    /// The largest RMS and the least IoU of tracked frames. They follow what `tests/reference/drift.py` shows for the
    /// reference itself.
    rms: f64,
    iou: f64,
    /// The same for the object's score.
    score: f32,
}

impl Case {
    fn open(model: &str, case: &str) -> Case {
        let json = |name: &str| -> Value {
            let path = format!("{FOLDER}/{model}/{name}.json");
            serde_json::from_str(&std::fs::read_to_string(file(&path)).unwrap_or_else(|e| panic!("{path}: {e}")))
                .unwrap()
        };
        let (rms, iou, score) = match model {
            "mini20" => (5e-3, 0.98, 0.35),
            "mini21occ" => (5e-3, 0.95, 0.1),
            _ => (2e-3, 0.98, 0.1),
        };
        Case {
            name: format!("{model} {case}"),
            golden: Golden::open(&format!("{FOLDER}/{model}/video_{case}.safetensors")),
            about: json(&format!("video_{case}")),
            frames: json("video_input")["num_frames"].as_u64().unwrap() as usize,
            rms,
            iou,
            score,
        }
    }

    /// The model with the settings that the golden was made with.
    fn load(&self, model: &str, b: impl Backend) -> Model {
        let checkpoint = Checkpoint::open(file(&format!("tests/data/weights/{model}.safetensors"))).unwrap();
        let settings = self.about["settings"].as_object();
        let settings: Vec<String> = settings.into_iter().flatten().map(|(k, v)| format!("model.{k}={v}")).collect();
        let config = Config::parse(&yaml(model.trim_end_matches("occ")), &settings, true).unwrap();
        Model::load(b, &checkpoint, &config, Precision::F32, None).unwrap()
    }

    fn predictor(&self, model: &Model) -> VideoPredictor {
        let legacy_corrections = self.about["legacy"].as_bool().unwrap_or(false);
        let options = VideoPredictorOptions { legacy_corrections, ..Default::default() };
        model.guarded_video_predictor(frames(self.frames), options).unwrap()
    }

    /// Replays the calls, tracks up to frame `last`, and compares up to frame `compared`.
    fn run(&self, mut p: VideoPredictor, last: usize, compared: usize) {
        let case = &self.name;
        let mut tracked = false;
        for (n, call) in self.about["calls"].as_array().unwrap().iter().enumerate() {
            let args = &call["args"];
            let int = |key: &str| args[key].as_i64();
            let (frame, id) = (int("frame_idx").unwrap_or(0) as usize, int("obj_id").unwrap_or(0));
            match call["op"].as_str().unwrap() {
                "add_new_points_or_box" => {
                    let mut prompt = Prompt { pad_points: args["points"].is_array(), ..Prompt::new() };
                    for (i, xy) in args["points"].as_array().into_iter().flatten().enumerate() {
                        let at = |k: usize| xy[k].as_f64().unwrap() as f32;
                        prompt = prompt.point(at(0), at(1), args["labels"][i].as_i64().unwrap() as i32);
                    }
                    if args["box"].is_array() {
                        prompt = prompt.bounds([0, 1, 2, 3].map(|k| args["box"][k].as_f64().unwrap() as f32));
                    }
                    let clear = args["clear_old_points"].as_bool().unwrap_or(true);
                    let got = p
                        .add_new_points_or_box(
                            frame,
                            id,
                            &prompt,
                            PointOptions { clear_old_points: clear, ..Default::default() },
                        )
                        .unwrap();
                    self.check(n, &got, &State::of(&p), !tracked);
                }
                "add_new_mask" => {
                    let name = format!("{n}.mask");
                    let &[h, w] = self.golden.shape(&name) else { panic!("mask") };
                    let got = p.add_new_mask(frame, id, &self.golden.bytes(&name), Size::new(w, h)).unwrap();
                    self.check(n, &got, &State::of(&p), !tracked);
                }
                "propagate_in_video" => {
                    tracked = true;
                    let mut seen = Vec::new();
                    let start = int("start_frame_idx").map(|v| v as usize);
                    let count = int("max_frame_num_to_track").map(|v| v as usize);
                    let reverse = args["reverse"].as_bool().unwrap_or(false);
                    let direction = if reverse { Direction::Backward } else { Direction::Forward };
                    p.propagate_in_video(start, count, direction, |got| {
                        seen.push(got);
                        seen.last().is_some_and(|got| got.frame_idx < last)
                    })
                    .unwrap();
                    let state = State::of(&p);
                    seen.iter()
                        .filter(|got| got.frame_idx <= compared)
                        .for_each(|got| self.check(n, got, &state, false));
                    let want: Vec<u64> =
                        call["frames"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap()).collect();
                    let got: Vec<u64> = seen.iter().map(|got| got.frame_idx as u64).collect();
                    assert!(got == want[..got.len()] && (got.len() == want.len() || last < 100), "{case}, call {n}");
                }
                "remove_object" => drop(p.remove_object(id).unwrap()),
                "clear_all_prompts_in_frame" => _ = p.clear_all_prompts_in_frame(frame, id).unwrap(),
                other => panic!("{other}"),
            }
            if let Some(ids) = call["ids"].as_array() {
                assert_eq!(
                    p.obj_ids(),
                    ids.iter().map(|v| v.as_i64().unwrap()).collect::<Vec<_>>(),
                    "{case}, call {n}"
                );
            }
        }
    }

    /// The output, and what `state` keeps of it. `first`: nothing was tracked yet, so no memory affects the output.
    fn check(&self, n: usize, got: &FrameMasks, state: &State, first: bool) {
        let (case, tag) = (&self.name, format!("{n}.f{}", got.frame_idx));
        let values = |name: String| self.golden.get(&name).map(|(_, values)| values);
        let pixels = got.masks.len() / got.obj_ids.len();
        let mut masks = got.masks.clone();
        for (i, id) in got.obj_ids.iter().enumerate() {
            let Some(score) = values(format!("{tag}.obj{id}.score")) else { continue };
            let (tolerance, score) = (if first { 3e-4 } else { self.score }, score[0]);
            assert!(
                (got.object_score_logits[i] - score).abs() <= tolerance,
                "{case} {tag}: score {} for {score}",
                got.object_score_logits[i]
            );
            let want = values(format!("{tag}.obj{id}.low_res")).unwrap();
            let Some(mut low_res) = state.low_res(i, got.frame_idx) else {
                let cleared = self.about["settings"]["clear_non_cond_mem_around_input"] == true;
                assert!(cleared, "{case} {tag}: nothing kept");
                continue;
            };
            let excused = excuse_holes(&mut low_res, want, if first { 3e-4 } else { self.rms });
            if let Some((&[.., height, width], want)) = self.golden.get(&format!("{tag}.video_res")) {
                excuse_enlarged(&mut masks, want, (width, height), low_res.len().isqrt(), &excused);
            }
            let (iou, rms) = compare(&low_res, want);
            eprintln!("{case} {tag}: object {id}: IoU {iou:.5}, RMS {rms:.1e}, {:.1e}", distance(&low_res, want));
            if first {
                assert_close(&format!("{case} {tag}, object {id}"), &low_res, want, 3e-4);
            }
            assert!(iou >= self.iou && rms <= self.rms, "{case} {tag}, object {id}: IoU {iou}, RMS {rms}");
        }
        if let Some(want) = values(format!("{tag}.video_res")) {
            let (iou, rms) = compare(&masks, want);
            // Where two objects are about equal on a pixel, the pixel may belong to either.
            let disputed = masks.iter().zip(want).filter(|(g, w)| (**g - **w).abs() > 1.0).count();
            let most = if self.about["settings"]["non_overlap_masks"] == true { got.masks.len() / 1000 } else { 0 };
            eprintln!("{case} {tag}: IoU {iou:.5}, RMS {rms:.1e}, {disputed} disputed");
            assert!(
                iou >= self.iou && (rms <= self.rms || most > 0) && disputed <= most,
                "{case} {tag}: IoU {iou}, RMS {rms}"
            );
        } else if let Some(want) = values(format!("{tag}.video_pos")) {
            for (mask, want) in got.masks.chunks(pixels).zip(want) {
                let on = mask.iter().filter(|v| **v > 0.0).count() as f32;
                let tolerance = if first { 1.0 } else { 4.0 + 0.02 * want };
                assert!((on - want).abs() <= tolerance, "{case} {tag}: {on} pixels for {want}");
            }
        }
    }

    /// Every tracked frame by itself, with the reference's own memories. The remaining difference is the rounding of
    /// this frame.
    fn fed(&self, model: &Model, last: usize) {
        let values = |frame: usize, what: &str| self.golden.values(&format!("1.f{frame}.obj1.{what}"));
        let channels_last = |frame: usize| self.golden.channels_last(&format!("1.f{frame}.obj1.maskmem"));
        let mut p = self.predictor(model);
        let call = &self.about["calls"][0]["args"];
        let at = |k: usize| call["points"][0][k].as_f64().unwrap() as f32;
        p.add_new_points_or_box(0, 1, &Prompt::new().point(at(0), at(1), 1), Default::default()).unwrap();
        for frame in 1..=last {
            p.propagate_in_video(Some(frame - 1), Some(0), Direction::Forward, |_| true).unwrap();
            let mut state = State::of(&p);
            for past in 0..frame {
                let kind = if past == 0 { COND } else { NON_COND };
                state.set(&format!("0.{kind}.{past}.memory"), &channels_last(past));
                state.set(&format!("0.{kind}.{past}.pointer"), values(past, "obj_ptr"));
            }
            p.load_state(&state.sealed()).unwrap();
            let mut score = f32::NAN;
            p.propagate_in_video(Some(frame), Some(0), Direction::Forward, |got| {
                score = got.object_score_logits[0];
                true
            })
            .unwrap();
            let (what, state) = (format!("{} frame {frame}, fed", self.name), State::of(&p));
            let low_res = state.low_res(0, frame).unwrap();
            eprintln!("{what}: {:.1e}", distance(&low_res, values(frame, "low_res")));
            assert_close(&what, &low_res, values(frame, "low_res"), 1e-3);
            assert_close(
                &format!("{what}: pointer"),
                &state.pointer(0, NON_COND, frame),
                values(frame, "obj_ptr"),
                1e-3,
            );
            assert!((score - values(frame, "score")[0]).abs() <= 1e-3, "{what}: score {score}");
        }
    }
}

/// All sequences of calls: corrections kept and lost, objects added and removed, both directions, and every setting.
#[test]
fn every_sequence_of_calls() {
    for (model, compared, cases) in [
        (
            "mini21",
            usize::MAX,
            &[
                "point",
                "mask",
                "two_objects",
                "empty_points",
                "box_then_click",
                "correction_from_start",
                "correction_from_next",
                "reclick_first_frame",
                "reverse",
                "two_cond_frames",
                "remove_object",
                "add_object_later",
                "long",
                "closest_two",
                "closest_three_reverse",
                "closest_ties",
                "mask_through_sam",
                "every_third",
                "every_third_reverse",
                "no_overlap",
                "corrections_as_cond",
                "cleared_around",
                "legacy",
                "cleared",
            ][..],
        ),
        ("mini21occ", usize::MAX, &["point", "two_objects", "correction_from_next"]),
        ("mini20", 6, &["point", "mask", "correction_from_start"]),
    ] {
        for name in cases {
            let case = Case::open(model, name);
            let model = case.load(model, cpu());
            case.run(case.predictor(&model), usize::MAX, compared);
        }
    }
}

#[test]
fn frame_by_frame_with_the_references_memories() {
    for (name, last) in [("mini21", 10), ("mini21occ", 10), ("mini20", 4)] {
        let case = Case::open(name, "point");
        case.fed(&case.load(name, cpu()), last);
    }
}

/// The same with the CUDA kernels: a click tracked over six frames.
#[test]
fn on_the_emulator() {
    let case = Case::open("mini21", "point");
    let model = case.load("mini21", Cuda::on(Emulator::new(41)));
    case.run(case.predictor(&model), 5, usize::MAX);
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn gpu_every_sequence_of_calls() {
    for name in ["point", "mask", "two_objects", "box_then_click", "correction_from_next", "reverse", "remove_object"] {
        let case = Case::open("mini21", name);
        let model = case.load("mini21", Cuda::on(Driver::new(0).unwrap()));
        case.run(case.predictor(&model), usize::MAX, usize::MAX);
    }
    let case = Case::open("mini21", "point");
    case.fed(&case.load("mini21", Cuda::on(Driver::new(0).unwrap())), 10);
}

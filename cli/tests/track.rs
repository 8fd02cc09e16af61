//! `sam2 track`: objects through folders and video files, by arguments and by scripts.

mod common;

use common::*;
use libtest_mimic::{Arguments, Trial};
use sam2::ffmpeg::Ffmpeg;
use sam2::{Frames, Prompt, labels};
use serde_json::{Value, json};
use std::process::Command;

const FRAMES: &str = "demo/samples/video1/frames";

fn lines(args: &[&str]) -> Vec<Value> {
    stdout(args).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn mask(record: &Value) -> Vec<u8> {
    let segmentation = &record["segmentation"];
    let size = |i: usize| segmentation["size"][i].as_u64().unwrap() as usize;
    sam2::rle::Rle::from_coco(segmentation["counts"].as_str().unwrap(), size(0), size(1)).unwrap().decode().unwrap()
}

/// Masks, overlays, JSON and raw tensors agree with each other.
fn a_folder() {
    let folder = Folder::new("track");
    let (out, raw) = (folder.file("out"), folder.file("raw.safetensors"));
    let args = ["track", FRAMES, "--model", "demo", "--max-frames", "2"];
    let args = [&args[..], &["--box", "0:1:346,175,428,266", "--point", "0:2:208,249"]].concat();
    assert_eq!(stdout(&[&args[..], &["-o", &out, "--raw", &raw]].concat()), "2 objects on 3 frames\n");
    let records = lines(&[&args[..], &["--json"]].concat());
    assert_eq!(records.len(), 6);
    let bytes = std::fs::read(&raw).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.names().len(), 12);
    for record in &records {
        let (frame, object) = (record["frame"].as_u64().unwrap(), record["object"].as_u64().unwrap());
        let png = labels::read(format!("{out}/{frame:05}.png")).unwrap();
        let overlay = sam2::picture::read(format!("{out}/overlay/{frame:05}.png")).unwrap();
        assert_eq!((png.width, png.height, overlay.width, overlay.height), (480, 360, 480, 360));
        let mask = mask(record);
        assert!(mask.contains(&1), "frame {frame}, object {object}");
        // Where objects overlap, another may have the pixel; none is without one.
        let wrong = |(&n, &on): (&u8, &u8)| (u64::from(n) == object && on == 0) || (n == 0 && on == 1);
        assert!(png.numbers.iter().any(|&n| u64::from(n) == object));
        assert!(!png.numbers.iter().zip(&mask).any(wrong), "frame {frame}, object {object}");
        let tensor = |what: &str| tensors.tensor(&format!("{frame:05}/obj_{object}/{what}")).unwrap();
        assert_eq!(tensor("logits").shape(), [360, 480]);
        let float = |b: &[u8]| f32::from_le_bytes(b.try_into().unwrap());
        let on: Vec<u8> = tensor("logits").data().chunks(4).map(|b| (float(b) > 0.0) as u8).collect();
        assert_eq!(on, mask);
        assert_eq!(f64::from(float(tensor("score").data())) as f32, record["object_score"].as_f64().unwrap() as f32);
    }
    for (code, says, args) in [
        (2, "nothing to track", &["--max-frames", "2"][..]),
        (2, "FRAME:OBJECT:", &["--point", "1,2"]),
        (4, "no frame 24", &["--point", "24:1:5,5"]),
        (2, "two masks", &["--mask", "0:1:x.png", "--mask", "0:1:y.png"]),
        (2, "a mask and more", &["--point", "0:1:5,5", "--mask", "0:1:x.png"]),
        (2, "cannot be used with", &["--point", "0:1:5,5", "--script", "x.json"]),
        (2, "numbers from 1 to 255", &["--point", "0:300:5,5", "-o", &out]),
        (4, "x.png", &["--mask", "0:1:x.png"]),
    ] {
        fails(code, says, &[&["track", FRAMES, "--model", "demo"], args].concat());
    }
    fails(4, "no frames named", &["track", "demo", "--model", "demo", "--point", "0:1:5,5"]);
}

/// Every call of the API from a file; the same as the calls themselves.
fn a_script() {
    let folder = Folder::new("script");
    let (png, script) = (folder.file("mask.png"), folder.file("calls.json"));
    let square: Vec<u8> = (0..40 * 30).map(|i| (i % 40 > 10 && i / 40 > 12) as u8 * 255).collect();
    let picture =
        sam2::picture::Picture { pixels: square.clone(), width: 40, height: 30, format: sam2::PixelFormat::Gray8 };
    std::fs::write(&png, sam2::picture::encode_png(&picture).unwrap()).unwrap();
    let rle = sam2::rle::Rle::encode(&square, 30, 40);
    let calls = json!([
        {"op": "add_new_points_or_box", "args": {"frame_idx": 0, "obj_id": 9, "points": [[5, 5]], "labels": [1]}},
        {"op": "reset_state", "args": {}},
        {"op": "add_new_points_or_box", "args": {"frame_idx": 0, "obj_id": 1, "box": [346, 175, 428, 266]}, "ids": [1]},
        {"op": "add_new_points_or_box", "args": {"frame_idx": 0, "obj_id": 1, "points": [[0.8, 0.6]], "labels": [1],
                                                 "clear_old_points": false, "normalize_coords": false}},
        {"op": "add_new_mask", "args": {"frame_idx": 1, "obj_id": 2, "mask": "mask.png"}},
        {"op": "add_new_mask", "args": {"frame_idx": 1, "obj_id": 3, "mask": {"size": [30, 40], "counts": rle.to_coco()}}},
        {"op": "add_new_mask", "args": {"frame_idx": 1, "obj_id": 4, "mask": {"size": [30, 40], "counts": rle.counts}}},
        {"op": "propagate_in_video", "args": {"max_frame_num_to_track": 3}},
        {"op": "remove_object", "args": {"obj_id": 3}},
        {"op": "add_new_points_or_box", "args": {"frame_idx": 2, "obj_id": 1, "points": [[380, 220]], "labels": [1]}},
        {"op": "clear_all_prompts_in_frame", "args": {"frame_idx": 2, "obj_id": 1}},
        {"op": "propagate_in_video", "args": {"start_frame_idx": 3, "max_frame_num_to_track": 2, "reverse": true}},
    ]);
    std::fs::write(&script, calls.to_string()).unwrap();
    let got = lines(&["track", FRAMES, "--model", "demo", "--script", &script, "--json"]);

    let model = sam2::load(root().join("demo"), &Default::default()).unwrap();
    let mut p = model.video_predictor(Frames::folder(root().join(FRAMES)).unwrap(), Default::default()).unwrap();
    let mut want = Vec::new();
    let mut keep = |call: usize, m: sam2::FrameMasks| want.push((call, m));
    let bounds = Prompt::new().bounds([346.0, 175.0, 428.0, 266.0]);
    keep(0, p.add_new_points_or_box(0, 9, &Prompt::new().point(5.0, 5.0, 1), true, true).unwrap());
    p.reset_state();
    keep(2, p.add_new_points_or_box(0, 1, &bounds, true, true).unwrap());
    keep(3, p.add_new_points_or_box(0, 1, &Prompt::new().point(0.8, 0.6, 1), false, false).unwrap());
    for (call, id) in [(4, 2), (5, 3), (6, 4)] {
        keep(call, p.add_new_mask(1, id, &square, 30, 40).unwrap());
    }
    let mut follow = |p: &mut sam2::VideoPredictor, call, start, count, reverse| {
        p.propagate_in_video(start, Some(count), reverse, |m| {
            keep(call, m);
            true
        })
        .unwrap();
    };
    follow(&mut p, 7, None, 3, false);
    p.remove_object(3).unwrap();
    want.push((9, p.add_new_points_or_box(2, 1, &Prompt::new().point(380.0, 220.0, 1), true, true).unwrap()));
    want.push((10, p.clear_all_prompts_in_frame(2, 1).unwrap()));
    let mut keep = |call: usize, m: sam2::FrameMasks| want.push((call, m));
    p.propagate_in_video(Some(3), Some(2), true, |m| {
        keep(11, m);
        true
    })
    .unwrap();

    let mut got = got.into_iter();
    for (call, masks) in want {
        for (k, id) in masks.obj_ids.iter().enumerate() {
            let record = got.next().unwrap();
            assert_eq!(
                (&record["call"], &record["frame"], &record["object"]),
                (&call.into(), &masks.frame_idx.into(), &(*id).into())
            );
            let on: Vec<u8> = masks.masks[k * 480 * 360..][..480 * 360].iter().map(|&v| (v > 0.0) as u8).collect();
            assert_eq!(mask(&record), on, "call {call}, frame {}, object {id}", masks.frame_idx);
        }
    }
    assert!(got.next().is_none());

    for (says, text) in [
        ("line 1", "[{"),
        ("call 0", r#"[{"op": "fly"}]"#),
        ("missing field `frame_idx`", r#"[{"op": "add_new_mask", "args": {"obj_id": 1}}]"#),
        (
            "unknown field `frames`",
            r#"[{"op": "reset_state"}, {"op": "remove_object", "args": {"obj_id": 1, "frames": 2}}]"#,
        ),
        (
            "1 points with 0 labels",
            r#"[{"op": "add_new_points_or_box", "args": {"frame_idx": 0, "obj_id": 1, "points": [[1, 1]]}}]"#,
        ),
        ("no object 5", r#"[{"op": "remove_object", "args": {"obj_id": 5}}]"#),
        (
            "RLE",
            r#"[{"op": "add_new_mask", "args": {"frame_idx": 0, "obj_id": 1, "mask": {"size": [9, 9], "counts": [5]}}}]"#,
        ),
        ("none.png", r#"[{"op": "add_new_mask", "args": {"frame_idx": 0, "obj_id": 1, "mask": "none.png"}}]"#),
        ("box", r#"[{"op": "add_new_points_or_box", "args": {"frame_idx": 0, "obj_id": 1, "box": [9, 9, 3, 3]}}]"#),
    ] {
        std::fs::write(&script, text).unwrap();
        fails(4, says, &["track", FRAMES, "--model", "demo", "--script", &script]);
    }
}

/// A video file in, a video of overlays out.
fn a_video() {
    let folder = Folder::new("track-video");
    let (clip, out) = (folder.file("clip.mkv"), folder.file("out"));
    let frames = root().join(FRAMES).join("%05d.jpg").display().to_string();
    let ffmpeg = std::env::var_os("SAM2_FFMPEG").unwrap_or("ffmpeg".into());
    let made = Command::new(ffmpeg)
        .args([
            "-v",
            "error",
            "-framerate",
            "10",
            "-i",
            &frames,
            "-frames:v",
            "5",
            "-c:v",
            "ffv1",
            "-pix_fmt",
            "bgr0",
            &clip,
        ])
        .status()
        .unwrap();
    assert!(made.success());
    let args = ["track", &clip, "--model", "demo", "--box", "0:1:346,175,428,266", "-o", &out];
    assert_eq!(stdout(&args), "1 objects on 5 frames\n");
    assert!(labels::read(format!("{out}/00004.png")).unwrap().numbers.contains(&1));
    let overlay = Frames::video(format!("{out}/overlay.mp4")).unwrap();
    assert_eq!((overlay.len(), overlay.rate().map(f64::round)), (5, Some(10.0)));
    let (drawn, plain) = (overlay.read(0).unwrap(), Frames::video(&clip).unwrap().read(0).unwrap());
    assert_eq!((drawn.width, drawn.height), (480, 360));
    let pixel = |p: &sam2::picture::Picture, x: usize, y: usize| p.pixels[(y * 480 + x) * 3..][..3].to_vec();
    // Backwards from the first frame there is nothing.
    let none = folder.file("none");
    let args = ["track", &clip, "--model", "demo", "--point", "0:1:5,5", "--reverse", "-o", &none];
    assert_eq!(stdout(&args), "1 objects on 0 frames\n");
    assert_eq!(std::fs::read_dir(&none).unwrap().count(), 0);
    let far = |x, y| pixel(&drawn, x, y).iter().zip(&pixel(&plain, x, y)).any(|(a, b)| a.abs_diff(*b) > 40);
    assert!(far(390, 220) && !far(10, 10), "the object is coloured, the rest is not");
}

fn no_video() {
    let folder = Folder::new("track-none");
    let text = folder.file("text.mp4");
    std::fs::write(&text, "not a video").unwrap();
    for file in [&text, &folder.file("absent.mp4")] {
        let out = sam2(&["track", file, "--model", "demo", "--point", "0:1:5,5"]);
        assert_eq!(out.status.code(), Some(4), "{}", String::from_utf8_lossy(&out.stderr));
    }
}

fn main() {
    // Where there is no ffmpeg the test cannot run; in CI it must.
    let lacking = Ffmpeg::find().is_err() && std::env::var_os("CI").is_none();
    let test = |name: &str, run: fn()| {
        Trial::test(name, move || {
            run();
            Ok(())
        })
    };
    let tests = vec![
        test("a_folder", a_folder),
        test("a_script", a_script),
        test("a_video", a_video).with_ignored_flag(lacking),
        test("no_video", no_video),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit();
}

//! Tests of `sam2 track` on folders and video files, with arguments and with scripts.

mod common;

use common::*;
use libtest_mimic::{Arguments, Trial};
use sam2::ffmpeg::Ffmpeg;
use sam2::{Direction, Frames, PointOptions, Prompt, Size, labels};
use serde_json::{Value, json};
use std::process::Command;

const FRAMES: &str = "demo/samples/video1/frames";

fn lines(args: &[&str]) -> Vec<Value> {
    stdout(args).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn mask(record: &Value) -> Vec<u8> {
    let segmentation = &record["segmentation"];
    let size = |i: usize| segmentation["size"][i].as_u64().unwrap() as usize;
    sam2::rle::Rle::from_coco(segmentation["counts"].as_str().unwrap(), Size::new(size(1), size(0)))
        .unwrap()
        .decode()
        .unwrap()
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
        // Where objects overlap, another object may own the pixel. Every pixel on a mask has an owner.
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
        (2, "a mask and other prompts", &["--point", "0:1:5,5", "--mask", "0:1:x.png"]),
        (2, "cannot be used with", &["--point", "0:1:5,5", "--script", "x.json"]),
        (2, "numbers from 1 to 255", &["--point", "0:300:5,5", "-o", &out]),
        (4, "x.png", &["--mask", "0:1:x.png"]),
    ] {
        fails(code, says, &[&["track", FRAMES, "--model", "demo"], args].concat());
    }
    fails(4, "no frames named", &["track", "demo", "--model", "demo", "--point", "0:1:5,5"]);
}

/// Every call of the API in a script gives the same as the call itself.
fn a_script() {
    let folder = Folder::new("script");
    let (png, script) = (folder.file("mask.png"), folder.file("calls.json"));
    let square: Vec<u8> = (0..40 * 30).map(|i| (i % 40 > 10 && i / 40 > 12) as u8 * 255).collect();
    let picture =
        sam2::picture::Picture { pixels: square.clone(), width: 40, height: 30, format: sam2::PixelFormat::Gray8 };
    std::fs::write(&png, sam2::picture::encode_png(&picture).unwrap()).unwrap();
    let rle = sam2::rle::Rle::encode(&square, Size::new(40, 30)).unwrap();
    let calls = json!([
        {"op": "add_new_points_or_box", "args": {"frame_idx": 0, "obj_id": 9, "points": [[5, 5]], "labels": [1]}},
        {"op": "reset_state", "args": {}},
        {"op": "add_new_points_or_box", "args": {"frame_idx": 0, "obj_id": 1, "box": [346, 175, 428, 266]}, "ids": [1]},
        {"op": "add_new_points_or_box", "args": {"frame_idx": 0, "obj_id": 1, "points": [[0.8, 0.6]], "labels": [1],
                                                 "clear_old_points": false, "normalize_coords": false}},
        {"op": "add_new_mask", "args": {"frame_idx": 1, "obj_id": 2, "mask": "mask.png"}},
        {"op": "add_new_mask", "args": {"frame_idx": 1, "obj_id": 3, "mask": {"size": [30, 40], "counts": rle.to_coco().unwrap()}}},
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
    let added = PointOptions { clear_old_points: false, normalize_coords: false };
    keep(0, p.add_new_points_or_box(0, 9, &Prompt::new().point(5.0, 5.0, 1), Default::default()).unwrap());
    p.reset_state();
    keep(2, p.add_new_points_or_box(0, 1, &bounds, Default::default()).unwrap());
    keep(3, p.add_new_points_or_box(0, 1, &Prompt::new().point(0.8, 0.6, 1), added).unwrap());
    for (call, id) in [(4, 2), (5, 3), (6, 4)] {
        keep(call, p.add_new_mask(1, id, &square, Size::new(40, 30)).unwrap());
    }
    let mut follow = |p: &mut sam2::VideoPredictor, call, start, count, direction| {
        p.propagate_in_video(start, Some(count), direction, |m| {
            keep(call, m);
            true
        })
        .unwrap();
    };
    follow(&mut p, 7, None, 3, Direction::Forward);
    p.remove_object(3).unwrap();
    want.push((9, p.add_new_points_or_box(2, 1, &Prompt::new().point(380.0, 220.0, 1), Default::default()).unwrap()));
    want.push((10, p.clear_all_prompts_in_frame(2, 1).unwrap()));
    let mut keep = |call: usize, m: sam2::FrameMasks| want.push((call, m));
    p.propagate_in_video(Some(3), Some(2), Direction::Backward, |m| {
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

/// A video file gives an overlay video.
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
    // There is no frame before the first.
    let none = folder.file("none");
    let args = ["track", &clip, "--model", "demo", "--point", "0:1:5,5", "--reverse", "-o", &none];
    assert_eq!(stdout(&args), "1 objects on 0 frames\n");
    assert_eq!(std::fs::read_dir(&none).unwrap().count(), 0);
    let far = |x, y| pixel(&drawn, x, y).iter().zip(&pixel(&plain, x, y)).any(|(a, b)| a.abs_diff(*b) > 40);
    assert!(far(390, 220) && !far(10, 10), "the object is coloured, the rest is not");
}

/// A folder with the frames of the sample under other names.
fn renamed(folder: &Folder, names: &[&str]) -> String {
    std::fs::create_dir_all(folder.file("frames")).unwrap();
    for (i, name) in names.iter().enumerate() {
        let frame = root().join(FRAMES).join(format!("{i:05}.jpg"));
        std::fs::copy(frame, folder.file(&format!("frames/{name}"))).unwrap();
    }
    folder.file("frames")
}

/// The files in a folder, sorted.
fn names(folder: &str) -> Vec<String> {
    let mut all: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    all.sort();
    all
}

/// Results have the names of the frames, in natural order. A note counts the ignored files.
fn names_are_kept() {
    let folder = Folder::new("track-names");
    let frames = renamed(&folder, &["00095.jpg", "00100.jpg", "00105.jpg", "key_1.jpg"]);
    std::fs::write(folder.file("frames/00100.png"), "a mask").unwrap();
    std::fs::write(folder.file("frames/.DS_Store"), "").unwrap();
    let (out, raw) = (folder.file("out"), folder.file("raw.safetensors"));
    let args =
        ["track", &frames, "--model", "demo", "--box", "1:1:346,175,428,266", "-o", &out, "--raw", &raw, "--json"];
    let run = sam2(&args);
    let note = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(note.contains("3 files are frames, 2 others are left out: *.png (1), key_*.jpg (1)"), "{note}");
    let records: Vec<Value> =
        String::from_utf8(run.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let named: Vec<_> = records.iter().map(|r| (r["frame"].as_u64().unwrap(), r["name"].as_str().unwrap())).collect();
    assert_eq!(named, [(1, "00100"), (2, "00105")]);
    assert_eq!(names(&out), ["00100.png", "00105.png", "overlay"]);
    assert_eq!(names(&format!("{out}/overlay")), ["00100.png", "00105.png"]);
    let bytes = std::fs::read(&raw).unwrap();
    let mut tensors: Vec<String> =
        safetensors::SafeTensors::deserialize(&bytes).unwrap().names().into_iter().map(String::from).collect();
    tensors.sort();
    assert_eq!(tensors, ["00100/obj_1/logits", "00100/obj_1/score", "00105/obj_1/logits", "00105/obj_1/score"]);
    assert_eq!(names(&folder.0.display().to_string()), ["frames", "out", "raw.safetensors"]);
    std::fs::remove_dir_all(&frames).unwrap();
    renamed(&folder, &["a_1.jpg", "b_1.jpg"]);
    fails(4, "which files are the frames?", &["track", &frames, "--model", "demo", "--point", "0:1:5,5"]);
}

/// The frames and masks of a run.
fn masks_of(args: &[&str]) -> Vec<(u64, u64, Value)> {
    let record = |r: Value| (r["frame"].as_u64().unwrap(), r["object"].as_u64().unwrap(), r["segmentation"].clone());
    lines(&[args, &["--json"]].concat()).into_iter().map(record).collect()
}

/// Tracking backwards from the last prompt, both ways from the first, and every third frame.
fn other_orders() {
    let folder = Folder::new("track-orders");
    let base = ["track", FRAMES, "--model", "demo", "--point", "6:1:208,249", "--box", "9:2:346,175,428,266"];
    let frames = |got: &[(u64, u64, Value)], object: u64| -> Vec<u64> {
        got.iter().filter(|(_, id, _)| *id == object).map(|(frame, ..)| *frame).collect()
    };
    let back = masks_of(&[&base[..], &["--reverse"]].concat());
    assert_eq!(frames(&back, 1), (0..=9).rev().collect::<Vec<_>>());
    // The same by calls of the API that keep all frames.
    let script = folder.file("both.json");
    let calls = json!([
        {"op": "add_new_points_or_box", "args": {"frame_idx": 6, "obj_id": 1, "points": [[208, 249]], "labels": [1]}},
        {"op": "add_new_points_or_box", "args": {"frame_idx": 9, "obj_id": 2, "box": [346, 175, 428, 266]}},
        {"op": "propagate_in_video", "args": {}},
        {"op": "propagate_in_video", "args": {"reverse": true}},
    ]);
    std::fs::write(&script, calls.to_string()).unwrap();
    let both = masks_of(&[&base[..], &["--both"]].concat());
    let order: Vec<u64> = (6..24).chain((0..6).rev()).collect();
    assert_eq!(frames(&both, 2), order, "each frame once");
    let all = lines(&["track", FRAMES, "--model", "demo", "--script", &script, "--json"]);
    let calls = all.into_iter().filter(|r| r["call"] == 2 || r["call"] == 3 && r["frame"] != 6);
    let want: Vec<Value> = calls.map(|r| r["segmentation"].clone()).collect();
    assert_eq!(both.iter().map(|(.., mask)| mask.clone()).collect::<Vec<_>>(), want);

    let stride = ["track", FRAMES, "--model", "demo", "--point", "7:1:208,249", "--stride", "3"];
    let got = masks_of(&[&stride[..], &["--both", "--max-frames", "2"]].concat());
    assert_eq!(frames(&got, 1), [7, 10, 13, 4, 1]);
    let chosen: Vec<String> = (1..24).step_by(3).map(|i| format!("{i:05}.jpg")).collect();
    std::fs::create_dir_all(folder.file("chosen")).unwrap();
    for name in &chosen {
        std::fs::copy(root().join(FRAMES).join(name), folder.file(&format!("chosen/{name}"))).unwrap();
    }
    let alone = ["track", &folder.file("chosen"), "--model", "demo", "--point", "2:1:208,249", "--max-frames", "2"];
    let alone = masks_of(&alone);
    assert!(alone.iter().map(|(.., mask)| mask).eq(got[..3].iter().map(|(.., mask)| mask)));
    for (code, says, more) in [
        (2, "frame 8: --stride 3 tracks frames 1, 4, ...", &["--box", "8:1:1,1,9,9"][..]),
        (2, "frame 9: --stride 3", &["--start", "9"]),
        (2, "invalid value '0'", &["--stride", "0"]),
        (2, "cannot be used with", &["--both", "--reverse"]),
        (2, "cannot be used with", &["--script", "x.json"]),
    ] {
        fails(code, says, &[&stride[..if more[0] == "--stride" { 6 } else { 8 }], more].concat());
    }
    fails(2, "cannot be used with", &["track", FRAMES, "--model", "demo", "--both", "--script", "x.json"]);
    let nothing = sam2(&["track", FRAMES, "--model", "demo", "--point", "0:1:5,5", "--reverse"]);
    let note = String::from_utf8_lossy(&nothing.stderr).into_owned();
    assert!(nothing.status.success() && note.contains("no frame was tracked backwards from frame 0"), "{note}");
}

/// After two calls over the same frames, the overlay has each frame once, with its latest masks, in ascending order.
fn an_overlay_has_each_frame_once() {
    let folder = Folder::new("track-overlay");
    let clip = folder.file("clip.mkv");
    let frames = root().join(FRAMES).join("%05d.jpg").display().to_string();
    let input =
        ["-v", "error", "-framerate", "22", "-i", &frames, "-frames:v", "8", "-c:v", "ffv1", "-pix_fmt", "bgr0"];
    let ffmpeg = std::env::var_os("SAM2_FFMPEG").unwrap_or("ffmpeg".into());
    assert!(Command::new(ffmpeg).args(input).arg(&clip).status().unwrap().success());
    let script = folder.file("calls.json");
    let click = |frame: usize, x: f32, y: f32| json!({"op": "add_new_points_or_box", "args": {"frame_idx": frame, "obj_id": 1, "points": [[x, y]], "labels": [1]}});
    let follow = |reverse: bool| json!({"op": "propagate_in_video", "args": {"reverse": reverse}});
    let calls = json!([click(4, 5.0, 5.0), follow(false), {"op": "reset_state", "args": {}}, click(4, 390.0, 220.0), follow(true), follow(false)]);
    std::fs::write(&script, calls.to_string()).unwrap();
    let plain = Frames::video(&clip).unwrap();
    let coloured = |overlay: &Frames, i: usize, x: usize, y: usize| {
        let at = (y * 480 + x) * 3;
        let (drawn, plain) = (overlay.read(i).unwrap(), plain.read(i).unwrap());
        drawn.pixels[at..at + 3].iter().zip(&plain.pixels[at..at + 3]).any(|(a, b)| a.abs_diff(*b) > 40)
    };
    let click = ["--point", "4:1:390,220"];
    for (args, count, rate, first) in [
        (&["--script", &script][..], 8, 22.0, 0),
        (&[&click[..], &["--reverse"]].concat(), 5, 22.0, 0),
        (&[&click[..], &["--both"]].concat(), 8, 22.0, 0),
        (&[&click[..], &["--both", "--stride", "2"]].concat(), 4, 11.0, 0),
        (&[&click[..], &["--max-frames", "2"]].concat(), 3, 22.0, 4),
    ] {
        let out = folder.file("out");
        stdout(&[&["track", &clip, "--model", "demo", "-o", &out], args].concat());
        let overlay = Frames::video(format!("{out}/overlay.mp4")).unwrap();
        assert_eq!((overlay.len(), overlay.rate()), (count, Some(rate)), "{args:?}");
        let stride = if rate == 11.0 { 2 } else { 1 };
        for i in 0..count {
            // Other frames differ by more than the loss of the encoder.
            let (drawn, plain) = (overlay.read(i).unwrap(), plain.read(first + i * stride).unwrap());
            let far: u64 = drawn.pixels.iter().zip(&plain.pixels).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
            assert!(far < 6 * drawn.pixels.len() as u64, "{args:?}, frame {i}: {far}");
        }
        if stride == 1 && first == 0 {
            assert!((0..count).all(|i| coloured(&overlay, i, 390, 220) && !coloured(&overlay, i, 8, 8)), "{args:?}");
        }
        let masks = names(&out).len() - 1;
        assert_eq!(masks, count, "{:?}", names(&out));
        std::fs::remove_dir_all(out).unwrap();
    }
}

/// A truncated JPEG or recording is an error, or is skipped with `--keep-damaged`.
fn damaged_frames() {
    let folder = Folder::new("track-damaged");
    let frames = renamed(&folder, &["0.jpg", "1.jpg", "2.jpg", "3.jpg"]);
    let bytes = std::fs::read(format!("{frames}/2.jpg")).unwrap();
    std::fs::write(format!("{frames}/2.jpg"), &bytes[..bytes.len() / 2]).unwrap();
    let out = folder.file("out");
    let args = ["track", &frames, "--model", "demo", "--box", "0:1:346,175,428,266", "-o", &out];
    fails(4, "2.jpg", &args);
    std::fs::remove_dir_all(&out).unwrap();
    let run = sam2(&[&args[..], &["--keep-damaged"]].concat());
    let note = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.success() && note.contains("frame 2 is passed over: ") && note.contains("2.jpg"), "{note}");
    assert_eq!(names(&out), ["0.png", "1.png", "3.png", "overlay"]);
}

fn damaged_videos() {
    let args = ["track", "tests/data/video/cut_t.ts", "--model", "demo", "--point", "0:1:50,70"];
    fails(
        4,
        "7 frames decode; h264: error while decoding MB 9 14, bytestream -6; keep_damaged (--keep-damaged)",
        &args,
    );
    let run = sam2(&[&args[..], &["--keep-damaged"]].concat());
    assert_eq!(String::from_utf8_lossy(&run.stdout), "1 objects on 7 frames\n");
    assert!(String::from_utf8_lossy(&run.stderr).contains("note: tests/data/video/cut_t.ts: damaged"));
    fails(4, "no video stream", &["track", "tests/data/video/sound.m4a", "--model", "demo", "--point", "0:1:5,5"]);
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
    // Without ffmpeg these tests are ignored; in CI they must run.
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
        test("names_are_kept", names_are_kept),
        test("other_orders", other_orders),
        test("an_overlay_has_each_frame_once", an_overlay_has_each_frame_once).with_ignored_flag(lacking),
        test("damaged_frames", damaged_frames),
        test("damaged_videos", damaged_videos).with_ignored_flag(lacking),
        test("no_video", no_video),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit();
}

//! Tests of `sam2 vos` on data sets of the demo model's samples, against calls of the library.

mod common;

use common::*;
use sam2::labels::{self, Labels};
use sam2::rle::Rle;
use sam2::{Direction, Frames, LoadOptions, Size, VideoPredictor};
use std::path::PathBuf;

/// The number of frames of a video, and their size.
const FRAMES: usize = 6;
const SIZE: Size = Size::new(480, 360);

/// The frames of one video, and folders of masks.
struct Set(Folder);

impl Set {
    fn new(name: &str) -> Set {
        let set = Set(Folder::new(name));
        std::fs::create_dir_all(set.0.file("frames/cats")).unwrap();
        for frame in 0..FRAMES {
            std::fs::copy(
                sample(&format!("frames/{frame:05}.jpg")),
                set.0.file(&format!("frames/cats/{frame:05}.jpg")),
            )
            .unwrap();
        }
        set
    }

    /// Writes a mask with the palette of the samples.
    fn mask(&self, file: &str, numbers: &[u8]) {
        let file = self.0.0.join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let colours = truth(0).palette.unwrap();
        std::fs::write(file, labels::encode(numbers, SIZE, &colours).unwrap()).unwrap();
    }

    /// Runs the program on the masks of a folder. Returns the folder of results.
    fn run(&self, masks: &str, more: &[&str]) -> String {
        let out = self.0.file(&format!("{masks}-out{}", more.concat()));
        stdout(&[&strs(&self.args(masks, &out))[..], more].concat());
        format!("{out}/cats")
    }

    fn args(&self, masks: &str, out: &str) -> Vec<String> {
        let (frames, masks) = (self.0.file("frames"), self.0.file(masks));
        let args = ["vos", "--model", "demo", "--base-video-dir", &frames, "--input-mask-dir", &masks];
        args.iter().chain(&["--output-mask-dir", out]).map(|s| s.to_string()).collect()
    }

    /// A predictor of the video with the reference's settings.
    fn predictor(&self) -> VideoPredictor {
        let options = LoadOptions { postprocessing: false, ..Default::default() };
        let model = sam2::load(root().join("demo"), &options).unwrap();
        model.video_predictor(Frames::folder(self.0.file("frames/cats")).unwrap(), Default::default()).unwrap()
    }
}

fn strs(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

fn sample(path: &str) -> PathBuf {
    root().join("demo/samples/video2").join(path)
}

/// The sample's objects on a frame.
fn truth(frame: usize) -> Labels {
    labels::read(sample(&format!("masks/{frame:05}.png"))).unwrap()
}

fn only(numbers: &[u8], object: u8) -> Vec<u8> {
    numbers.iter().map(|&v| (v == object) as u8).collect()
}

fn read(folder: &str, frame: usize) -> Labels {
    labels::read(format!("{folder}/{frame:05}.png")).unwrap()
}

/// The logits of objects by frame. The objects start from the masks `(frame, object)` and are tracked together.
fn follow(predictor: &mut VideoPredictor, masks: &[(usize, u8)]) -> Vec<Option<Vec<f32>>> {
    predictor.reset_state();
    for &(frame, object) in masks {
        predictor.add_new_mask(frame, object.into(), &only(&truth(frame).numbers, object), SIZE).unwrap();
    }
    let mut all = vec![None; FRAMES];
    predictor
        .propagate_in_video(None, None, Direction::Forward, |masks| {
            all[masks.frame_idx] = Some(masks.masks);
            true
        })
        .unwrap();
    all
}

/// By pixel, the object with the highest logit above a threshold.
fn winners(objects: &[(u8, &[f32])], threshold: f32) -> Vec<u8> {
    let winner = |i: usize| {
        let best = objects.iter().max_by(|a, b| a.1[i].total_cmp(&b.1[i])).unwrap();
        if best.1[i] > threshold { best.0 } else { 0 }
    };
    (0..SIZE.pixels()).map(winner).collect()
}

fn differing(a: &[u8], b: &[u8]) -> usize {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).filter(|(a, b)| a != b).count()
}

#[test]
fn one_file_for_all_objects_or_one_for_each() {
    let set = Set::new("vos-layouts");
    let first = truth(0);
    set.mask("together/cats/00000.png", &first.numbers);
    for object in 1..=4u8 {
        set.mask(&format!("apart/cats/{object:03}/00000.png"), &only(&first.numbers, object));
    }
    let wanted = follow(&mut set.predictor(), &[(0, 1), (0, 2), (0, 3), (0, 4)]);
    let apart = set.run("apart", &["--per-obj-png-file"]);
    for threshold in [0.0, 3.0, -3.0] {
        let together = set.run("together", &[&format!("--score-thresh={threshold}")]);
        for frame in 0..FRAMES {
            let found = read(&together, frame);
            assert_eq!(found.palette.unwrap(), first.palette.clone().unwrap(), "the input's colours are kept");
            let logits = wanted[frame].as_ref().unwrap();
            let objects: Vec<(u8, &[f32])> = (1..=4).zip(logits.chunks(SIZE.pixels())).collect();
            let want = winners(&objects, threshold);
            assert_eq!(differing(&found.numbers, &want), 0, "frame {frame} above {threshold}");
            assert!(frame > 0 || (1..=4).all(|object| want.contains(&object)), "above {threshold}: all are seen");
            for (object, logits) in objects.iter().filter(|_| threshold == 0.0) {
                let alone = read(&format!("{apart}/{object:03}"), frame).numbers;
                let want: Vec<u8> = logits.iter().map(|&v| (v > 0.0) as u8).collect();
                assert_eq!(differing(&alone, &want), 0, "frame {frame} object {object}");
            }
        }
    }
    assert_eq!(std::fs::read_dir(apart).unwrap().count(), 4);
}

#[test]
fn objects_in_files_of_their_own_may_overlap() {
    let set = Set::new("vos-overlap");
    let part = only(&truth(0).numbers, 2);
    let whole: Vec<u8> = truth(0).numbers.iter().map(|&v| (v == 2 || v == 3) as u8).collect();
    set.mask("apart/cats/000/00000.png", &part);
    set.mask("apart/cats/001/00000.png", &whole);
    let found = set.run("apart", &["--per-obj-png-file"]);
    let [part, whole] = ["000", "001"].map(|object| read(&format!("{found}/{object}"), 0).numbers);
    let (area, both) = part.iter().zip(&whole).fold((0, 0), |(n, m), (&a, &b)| (n + a as u32, m + (a & b) as u32));
    assert!(area > 1000 && both > area * 9 / 10, "{both} of {area} pixels are on both");
}

#[test]
fn all_masks_or_the_first() {
    let set = Set::new("vos-all");
    let frames = [1, 3];
    for frame in frames {
        set.mask(&format!("some/cats/{frame:05}.png"), &truth(frame).numbers);
    }
    let more: Vec<(usize, u8)> = frames.iter().flat_map(|&f| (1..=4).map(move |object| (f, object))).collect();
    let wanted = follow(&mut set.predictor(), &more);
    let found = set.run("some", &["--use-all-masks"]);
    // No mask is already written the frame of the first mask.
    let files: Vec<bool> = (0..FRAMES).map(|f| PathBuf::from(format!("{found}/{f:05}.png")).exists()).collect();
    assert_eq!(files, [false, true, true, true, true, true]);
    for frame in 1..FRAMES {
        let logits = wanted[frame].as_ref().unwrap();
        let objects: Vec<(u8, &[f32])> = (1..=4).zip(logits.chunks(SIZE.pixels())).collect();
        assert_eq!(differing(&read(&found, frame).numbers, &winners(&objects, 0.0)), 0, "frame {frame}");
    }
    let args = set.args("some", &set.0.file("none"));
    fails(4, "no mask for frame 0; give --track-object-appearing-later-in-video", &strs(&args));
    // With the first masks only, the frame of the second mask differs.
    let once = set.run("some", &["--track-object-appearing-later-in-video"]);
    assert_ne!(read(&once, 3).numbers, read(&found, 3).numbers);
    assert_eq!(read(&once, 1).numbers, read(&found, 1).numbers);
    assert!(read(&once, 0).numbers.iter().all(|&v| v == 0), "an empty mask before");
}

#[test]
fn objects_that_appear_later_start_on_their_first_frame() {
    const LATER: &str = "--track-object-appearing-later-in-video";
    let set = Set::new("vos-later");
    // 3 and 4 from the start, 2 from frame 2, 1 from frame 3.
    let firsts = [(1u8, 3), (2, 2), (3, 0), (4, 0)];
    for frame in [0, 2, 3, 4] {
        let seen = |v: u8| if firsts.iter().any(|&(object, first)| object == v && first <= frame) { v } else { 0 };
        let numbers: Vec<u8> = truth(frame).numbers.into_iter().map(seen).collect();
        set.mask(&format!("together/cats/{frame:05}.png"), &numbers);
        for (object, _) in firsts {
            // Empty masks before an object's first frame have no effect.
            set.mask(&format!("apart/cats/{object:03}/{frame:05}.png"), &only(&numbers, object));
        }
    }
    for all in [false, true] {
        let mut predictor = set.predictor();
        let alone = |(object, first): (u8, usize)| {
            let frames = [0, 2, 3, 4].into_iter().filter(|&f| f == first || all && f > first);
            follow(&mut predictor, &frames.map(|f| (f, object)).collect::<Vec<_>>())
        };
        let wanted: Vec<Vec<Option<Vec<f32>>>> = firsts.map(alone).into();
        let flags = if all { &[LATER, "--use-all-masks"][..] } else { &[LATER][..] };
        let together = set.run("together", flags);
        let apart = set.run("apart", &[flags, &["--per-obj-png-file"]].concat());
        for frame in 0..FRAMES {
            let logits = firsts.iter().zip(&wanted);
            let there: Vec<(u8, &[f32])> =
                logits.filter_map(|(&(id, _), w)| Some((id, w[frame].as_deref()?))).collect();
            assert_eq!(there.len(), firsts.iter().filter(|(_, first)| *first <= frame).count());
            assert_eq!(differing(&read(&together, frame).numbers, &winners(&there, 0.0)), 0, "frame {frame}, {all}");
            for (object, _) in firsts {
                let logits = there.iter().find(|(id, _)| *id == object).map(|(_, logits)| *logits);
                let want: Vec<u8> = match logits {
                    Some(logits) => logits.iter().map(|&v| (v > 0.0) as u8).collect(),
                    None => vec![0; SIZE.pixels()],
                };
                let found = read(&format!("{apart}/{object:03}"), frame).numbers;
                assert_eq!(differing(&found, &want), 0, "frame {frame} object {object}, {all}");
            }
        }
    }
    let without = set.args("together", &set.0.file("none"));
    fails(4, "object 2 is on frame 2, but not on frame 0", &[&strs(&without)[..], &["--use-all-masks"]].concat());
}

#[test]
fn masklets_are_masks_of_every_fourth_frame() {
    let set = Set::new("vos-masklets");
    let mut masklet = Vec::new();
    for frame in [0, 4] {
        let mut masks = Vec::new();
        for object in [2u8, 4] {
            let mask = only(&truth(frame).numbers, object);
            set.mask(&format!("png/cats/{:03}/{frame:05}.png", object - 2), &mask);
            let counts = Rle::encode(&mask, SIZE).unwrap().to_coco().unwrap();
            masks.push(serde_json::json!({"size": [SIZE.height, SIZE.width], "counts": counts}));
        }
        masklet.push(masks);
    }
    let text = serde_json::json!({"video_id": "cats", "masklet": masklet, "masklet_id": [0, 2], "masklet_num": 2});
    std::fs::write(set.0.file("png/cats_manual.json"), text.to_string()).unwrap();
    let json = ["--per-obj-png-file", "--masklets", "manual"];
    for more in [&[][..], &["--use-all-masks"][..]] {
        let from_png = set.run("png", &[&["--per-obj-png-file"], more].concat());
        let from_json = set.run("png", &[&json[..], more].concat());
        for (frame, object) in (0..FRAMES).flat_map(|f| ["000", "002"].map(|o| (f, o))) {
            let found = [&from_png, &from_json].map(|folder| read(&format!("{folder}/{object}"), frame).numbers);
            assert!(found[0] == found[1] && found[0].contains(&1), "frame {frame} object {object} {more:?}");
        }
    }
    let out = set.0.file("none");
    let args = set.args("png", &out);
    let with = |more: &[&'static str]| [&strs(&args)[..], more].concat();
    fails(2, "--per-obj-png-file", &with(&["--masklets", "manual"]));
    fails(2, "possible values: manual, auto", &with(&["--per-obj-png-file", "--masklets", "all"]));
    fails(4, "masks of 2 frames with a stride of 6", &with(&[&json[..], &["--masklet-stride", "6"]].concat()));
    fails(4, "cats_auto.json", &with(&["--per-obj-png-file", "--masklets", "auto"]));
    for (damaged, says) in [
        (r#"{"masklet": [[]], "masklet_id": [0]}"#, "masklet 0: 0 masks"),
        (r#"{"masklet": [], "masklet_id": [1, 1]}"#, "distinct numbers"),
        (r#"{"masklet": [[{"size": [2, 2], "counts": "09"}]], "masklet_id": [0]}"#, "RLE"),
        (r#"{"masklet": 1}"#, "cats_auto.json"),
        (r#"{"masklet": [], "masklet_id": []}"#, "no mask for frame 0"),
    ] {
        std::fs::write(set.0.file("png/cats_auto.json"), damaged).unwrap();
        fails(4, says, &with(&["--per-obj-png-file", "--masklets", "auto"]));
    }
}

#[test]
fn a_video_that_fails_does_not_end_the_run() {
    let set = Set::new("vos-run");
    set.mask("masks/cats/00000.png", &truth(0).numbers);
    set.mask("masks/gone/00000.png", &truth(0).numbers);
    std::fs::create_dir_all(set.0.file("frames/dogs")).unwrap();
    let (list, out) = (set.0.file("list.txt"), set.0.file("out"));
    std::fs::write(&list, "gone\n\n cats \n").unwrap();
    let base = set.args("masks", &out);
    let base = strs(&base);
    let listed = [&base[..], &["--video-list-file", &list]].concat();
    let run = fails(4, "error: 1 of 2 videos failed: gone", &listed);
    assert_eq!(String::from_utf8_lossy(&run.stdout), "cats: 4 objects on 6 frames\n");
    // All folders: the dogs have no frames.
    fails(4, "error: video dogs: ", &base);

    let last = set.0.file("out/cats/00005.png");
    let skip = [&listed[..], &["--skip-existing"]].concat();
    std::fs::write(&list, "cats").unwrap();
    let mine = labels::encode(&[1], Size::new(1, 1), &[]).unwrap();
    std::fs::write(&last, &mine).unwrap();
    assert_eq!(stdout(&skip), "cats: already written\n");
    assert_eq!(std::fs::read(&last).unwrap(), mine);
    // A missing file, and an incomplete file.
    std::fs::remove_file(&last).unwrap();
    assert_eq!(stdout(&skip), "cats: 4 objects on 6 frames\n");
    std::fs::write(&last, &mine[..mine.len() - 1]).unwrap();
    assert_eq!(stdout(&skip), "cats: 4 objects on 6 frames\n");
    std::fs::write(&last, &mine).unwrap();
    stdout(&listed);
    assert_ne!(std::fs::read(&last).unwrap(), mine);
}

#[test]
fn sets_that_are_not_laid_out_as_they_should_be() {
    let set = Set::new("vos-wrong");
    let nothing = vec![0; SIZE.pixels()];
    set.mask("empty/cats/00000.png", &nothing);
    set.mask("names/cats/cat/00000.png", &nothing);
    set.mask("twice/cats/1/00000.png", &nothing);
    set.mask("twice/cats/001/00000.png", &nothing);
    set.mask("apart/cats/001/00000.png", &only(&truth(0).numbers, 1));
    set.mask("apart/cats/002/00003.png", &only(&truth(0).numbers, 2));
    let (list, out) = (set.0.file("list.txt"), set.0.file("out"));
    let try_ = |code, says, masks, more: &[&str]| {
        let args = set.args(masks, &out);
        fails(code, says, &[&strs(&args)[..], more].concat());
    };
    try_(4, "no object on frame 0", "empty", &[]);
    try_(4, "no input masks", "empty", &["--track-object-appearing-later-in-video"]);
    try_(4, "no input masks", "none", &["--use-all-masks"]);
    try_(4, "whose name is a number", "names", &["--per-obj-png-file"]);
    try_(4, "another folder is also of object 1", "twice", &["--per-obj-png-file"]);
    try_(4, "no mask of object 2 for frame 0", "apart", &["--per-obj-png-file"]);
    try_(2, "must be a number", "empty", &["--score-thresh", "nan"]);
    for name in ["../cats", "/cats"] {
        std::fs::write(&list, name).unwrap();
        try_(4, "is not a valid name of a video", "empty", &["--video-list-file", &list]);
    }
    std::fs::write(&list, "\n").unwrap();
    try_(4, "no videos", "empty", &["--video-list-file", &list]);
    std::fs::copy(set.0.file("frames/cats/00001.jpg"), set.0.file("frames/cats/1.jpg")).unwrap();
    std::fs::copy(sample("masks/00000.png"), set.0.file("frames/cats/00001.png")).unwrap();
    try_(4, "two files for one frame: 00001.jpg and 1.jpg", "empty", &[]);
    let here = set.0.file("out");
    assert!(!PathBuf::from(here).exists(), "nothing is written where nothing is found");
}

#[test]
fn masks_without_colours_get_those_of_davis() {
    let set = Set::new("vos-gray");
    let gray = sam2::picture::Picture {
        pixels: truth(0).numbers,
        width: SIZE.width,
        height: SIZE.height,
        format: sam2::PixelFormat::Gray8,
    };
    std::fs::create_dir_all(set.0.file("gray/cats")).unwrap();
    std::fs::write(set.0.file("gray/cats/00000.png"), sam2::picture::encode_png(&gray).unwrap()).unwrap();
    let palette = read(&set.run("gray", &["--apply-postprocessing"]), 2).palette.unwrap();
    assert_eq!(palette[..12], [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]);
    assert_eq!(palette.len(), 768);
}

#[test]
fn files_of_systems_do_not_matter() {
    let set = Set::new("vos-hidden");
    let mask = only(&truth(0).numbers, 2);
    set.mask("png/cats/001/00000.png", &mask);
    let clean = set.run("png", &["--per-obj-png-file"]);
    for place in ["frames", "frames/cats", "png", "png/cats", "png/cats/001"] {
        for name in [".DS_Store", "._00000.jpg", "._00000.png", "Thumbs.db"] {
            std::fs::write(set.0.0.join(place).join(name), "not a mask").unwrap();
        }
        ["@eaDir", ".git"].iter().for_each(|name| std::fs::create_dir_all(set.0.0.join(place).join(name)).unwrap());
    }
    // Masks beside the frames are not frames.
    std::fs::copy(set.0.file("png/cats/001/00000.png"), set.0.file("frames/cats/00000.png")).unwrap();
    let out = set.run("png", &["--per-obj-png-file", "--use-all-masks"]);
    for frame in 0..FRAMES {
        assert!(read(&format!("{clean}/001"), frame) == read(&format!("{out}/001"), frame));
    }
}

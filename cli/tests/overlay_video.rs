//! Tests of overlay videos: frames survive encoding, and a failure leaves previous files unchanged.

#[allow(dead_code)] // only the program handles signals
#[path = "../src/output/unfinished.rs"]
mod output;
#[path = "../src/overlay_video.rs"]
mod overlay_video;

use libtest_mimic::{Arguments, Trial};
use overlay_video::OverlayVideo;
use sam2::ffmpeg::Ffmpeg;
use sam2::picture::Picture;
use sam2::{Error, Frames, PixelFormat};
use std::path::{Path, PathBuf};
use std::process::Command;

/// An empty folder.
fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("sam2-overlay-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// A colour gradient that changes from frame to frame.
fn picture(width: usize, height: usize, frame: usize) -> Picture {
    let colour = |i: usize| [2 * (i % width) as u8 + 20, 3 * (i / width) as u8 + 10, 20 * frame as u8];
    Picture { pixels: (0..width * height).flat_map(colour).collect(), width, height, format: PixelFormat::Rgb8 }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

/// The maximum over frames of the mean difference between read and written frame. A side may be padded by one.
fn difference(frames: &Frames, width: usize, height: usize) -> f64 {
    let one = |i: usize| {
        let (got, want) = (frames.read(i).unwrap(), picture(width, height, i));
        assert_eq!((got.width, got.height), (width.next_multiple_of(2), height.next_multiple_of(2)));
        let at = |x: usize, y: usize| got.pixels[(y * got.width + x) * 3..][..3].to_vec();
        let all = (0..height).flat_map(|y| (0..width).flat_map(move |x| at(x, y)));
        let sum: f64 = all.zip(&want.pixels).map(|(a, &b)| a.abs_diff(b) as f64).sum();
        sum / want.pixels.len() as f64
    };
    (0..frames.len()).map(one).fold(0.0, f64::max)
}

fn write(video: sam2::Result<OverlayVideo>, (width, height): (usize, usize)) {
    let mut video = video.unwrap_or_else(|e| panic!("{e}"));
    (0..10).for_each(|i| video.push(&picture(width, height, i)).unwrap());
    video.finish().unwrap();
}

fn what_is_written_is_read() {
    let (folder, ntsc) = (folder("written"), 30e3 / 1001.0);
    for (name, size, rate) in [
        ("even.mp4", (96, 64), ntsc),
        ("odd.mov", (75, 41), 24.0),
        ("-y.mkv", (96, 64), 12.5),
        ("http:x.%03d|a.AVI", (64, 75), 25.0),
        ("even.mp4", (32, 32), 60.0),
    ] {
        write(OverlayVideo::create(&folder.join(name), size.0, size.1, rate), size);
        let frames = Frames::video(folder.join(name)).unwrap();
        assert_eq!((frames.len(), frames.rate()), (10, Some(rate)), "{name}");
        let far = difference(&frames, size.0, size.1);
        assert!(far < 4.0, "{name}: {far}");
    }
    // The folder only contains the videos.
    assert_eq!(names(&folder).len(), 4, "{:?}", names(&folder));
    let _ = std::fs::remove_dir_all(folder);
}

/// A program that replaces ffmpeg.
fn stand_in(folder: &Path, script: &str) -> Ffmpeg {
    let path = folder.join("ffmpeg");
    std::fs::write(&path, format!("#!/bin/sh\ncase \"$*\" in *-version*) echo ffmpeg version 6.0;; {script} esac\n"))
        .unwrap();
    Command::new("chmod").arg("+x").arg(&path).status().unwrap();
    Ffmpeg::at(path.into()).unwrap()
}

fn without_x264_it_is_mpeg4() {
    let folder = folder("mpeg4");
    let real = std::env::var("SAM2_FFMPEG").unwrap_or("ffmpeg".into());
    let ffmpeg = stand_in(&folder, &format!("*-encoders*) echo ' V..... mpeg4';; *mpeg4*) exec {real} \"$@\";;"));
    let path = folder.join("x.mp4");
    write(OverlayVideo::by(&ffmpeg, &path, 96, 64, 25.0), (96, 64));
    let frames = Frames::video(&path).unwrap();
    assert!(frames.len() == 10 && difference(&frames, 96, 64) < 4.0);
    let _ = std::fs::remove_dir_all(folder);
}

fn a_failure_leaves_what_was_there() {
    let folder = folder("failures");
    let path = folder.join("x.mp4");
    std::fs::write(&path, b"before").unwrap();
    let same = || names(&folder).len() == 2 && std::fs::read(&path).unwrap() == b"before";
    for (script, says) in [
        // More output on stderr than a pipe holds, then the reason.
        (
            "*-i*) head -c 300000 /dev/zero | tr '\\0' '\\n' >&2; echo the disk is full >&2; exit 1;;",
            "the disk is full",
        ),
        ("*-i*) head -c 100000 >/dev/null; kill -9 $$;;", "SIGKILL"),
        ("*-i*) exit 0;;", "ended too early"),
    ] {
        let ffmpeg = stand_in(&folder, script);
        let mut video = OverlayVideo::by(&ffmpeg, &path, 96, 64, 25.0).unwrap();
        let failed = (0..1000).find_map(|_| video.push(&picture(96, 64, 0)).err()).unwrap();
        assert!(matches!(&failed, Error::Video { what, .. } if what.contains(says)), "{failed}");
        // A second push fails too.
        assert!(video.push(&picture(96, 64, 0)).is_err() && video.finish().is_err());
        assert!(same(), "{:?}", names(&folder));
    }
    // A program that fails only at the end.
    let ffmpeg = stand_in(&folder, "*-i*) cat >/dev/null; echo no room for the index >&2; exit 1;;");
    let mut video = OverlayVideo::by(&ffmpeg, &path, 96, 64, 25.0).unwrap();
    video.push(&picture(96, 64, 0)).unwrap();
    assert!(matches!(video.finish(), Err(Error::Video { what, .. }) if what == "no room for the index") && same());
    // A video that is dropped unfinished.
    let mut video = OverlayVideo::by(&ffmpeg, &path, 96, 64, 25.0).unwrap();
    video.push(&picture(96, 64, 0)).unwrap();
    assert!(!same());
    drop(video);
    assert!(same(), "{:?}", names(&folder));
    let _ = std::fs::remove_dir_all(folder);
}

fn what_cannot_be_meant() {
    let folder = folder("meant");
    let ffmpeg = stand_in(&folder, "*-i*) cat >/dev/null;;");
    let create = |name: &str, width, rate| OverlayVideo::by(&ffmpeg, &folder.join(name), width, 64, rate);
    std::fs::create_dir(folder.join("folder.mp4")).unwrap();
    let refused =
        [create("x.gif", 96, 25.0), create("x", 96, 25.0), create("x.mp4", 0, 25.0), create("folder.mp4", 96, 25.0)];
    for one in refused.into_iter().chain([0.0, -1.0, f64::NAN, f64::INFINITY].map(|rate| create("x.mp4", 96, rate))) {
        assert!(matches!(one, Err(Error::Input(_))));
    }
    assert!(matches!(create("nowhere/x.mp4", 96, 25.0), Err(Error::Io { .. })));
    let mut video = create("x.mp4", 96, 25.0).unwrap();
    let gray = Picture { format: PixelFormat::Gray8, ..picture(96, 64, 0) };
    for other in [picture(64, 96, 0), picture(96, 32, 0), gray] {
        assert!(matches!(video.push(&other), Err(Error::Input(_))));
    }
    assert!(video.is_empty());
    assert!(matches!(video.finish(), Err(Error::Video { what, .. }) if what == "no frames"));
    assert_eq!(names(&folder).len(), 2);
    let _ = std::fs::remove_dir_all(folder);
}

/// Tests that need ffmpeg are reported as ignored if it is not installed; in CI they fail.
fn main() {
    let (found, ci) = (Ffmpeg::find().is_ok(), std::env::var_os("CI").is_some());
    let trial = |name: &str, test: fn(), needs_ffmpeg: bool| {
        let run = move || {
            test();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(!cfg!(unix) || needs_ffmpeg && !found && !ci)
    };
    let trials = vec![
        trial("what_is_written_is_read", what_is_written_is_read, true),
        trial("without_x264_it_is_mpeg4", without_x264_it_is_mpeg4, true),
        trial("a_failure_leaves_what_was_there", a_failure_leaves_what_was_there, false),
        trial("what_cannot_be_meant", what_cannot_be_meant, false),
    ];
    // Tests run one after another: a script cannot be executed while any process has it open for writing.
    let args = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    libtest_mimic::run(&args, trials).exit();
}

//! Frames of video files: their number, order and rate, and an error for what is damaged or no video.

use crate::common::file;
use crate::decoder::opened;
use crate::rig::{NOTES, SAMPLE, folder, helpers, same, sample, says, soon};
use sam2::{Error, Frames, FramesOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs ffmpeg and fails if it does.
fn ffmpeg(args: &[&str], out: &Path) {
    let mut command = Command::new(std::env::var_os("SAM2_FFMPEG").unwrap_or("ffmpeg".into()));
    command.args(["-v", "error", "-y"]).args(args).arg(format!("file:{}", out.display())).stdin(Stdio::null());
    let done = command.output().unwrap();
    assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// The sample without loss.
fn clip(folder: &Path, name: &str) -> PathBuf {
    let (path, raw) = (folder.join(name), folder.join("raw"));
    std::fs::write(&raw, sample().iter().flat_map(|p| p.pixels.iter().copied()).collect::<Vec<u8>>()).unwrap();
    let input = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "480x360", "-framerate", "30000/1001", "-i"];
    let raw = raw.display().to_string();
    ffmpeg(&[&input[..], &[&raw, "-c:v", "ffv1", "-g", "1", "-pix_fmt", "bgr0"]].concat(), &path);
    path
}

pub fn a_video_is_its_frames() {
    let (folder, want) = (folder("video"), sample());
    // Names that could be taken for options, protocols or patterns.
    for name in ["clip.mkv", "-x.mkv", "http:x %03d.mkv", "concat:a|b.mkv"] {
        let frames = Frames::open(clip(&folder, name)).unwrap();
        assert_eq!((frames.len(), frames.rate()), (24, Some(30e3 / 1001.0)), "{name}");
        assert!(*frames.read(11).unwrap() == want[11]);
        let beside = opened(|command| _ = command.current_dir(&folder), Path::new(name));
        assert_eq!(beside, "24 frames\n", "{name}");
    }
    let frames = Frames::video(folder.join("clip.mkv")).unwrap();
    same(&frames, &want);
    let every = frames.every(5, 2).unwrap();
    same(&every, &want.iter().skip(2).step_by(5).cloned().collect::<Vec<_>>());
    assert_eq!(every.rate(), Some(30e3 / 1001.0 / 5.0));
    drop(every);
    // Backwards, the block holds the next frames, and shrinks. Forwards there is no block.
    frames.read(23).unwrap();
    frames.read(22).unwrap();
    let one = want[0].pixels.len();
    assert!(soon(|| frames.bytes() >= 20 * one) && frames.bytes() <= 26 * one, "{}", frames.bytes() / one);
    (0..22).rev().for_each(|i| _ = frames.read(i).unwrap());
    assert!(soon(|| frames.bytes() == one), "{}", frames.bytes() / one);
    assert!(helpers() > 0);
    drop(frames);
    assert!(soon(|| helpers() == 0));
    let _ = std::fs::remove_dir_all(folder);
}

/// Hidden frames, fields, and unordered times: each frame that is shown counts once.
pub fn frames_are_counted_as_they_are_shown() {
    let folder = folder("counted");
    let all = format!("{SAMPLE}/%05d.jpg");
    let wanted = [
        ("vp8.webm", vec!["-c:v", "libvpx", "-auto-alt-ref", "1", "-lag-in-frames", "16", "-b:v", "200k"], 24),
        ("fields.ts", vec!["-vf", "tinterlace=interleave_top", "-c:v", "mpeg2video", "-flags", "+ilme+ildct"], 12),
        ("uneven.mkv", vec!["-vf", "setpts=N*N*40", "-fps_mode", "passthrough", "-c:v", "mpeg4", "-bf", "2"], 24),
    ];
    for (name, how, count) in wanted {
        let path = folder.join(name);
        ffmpeg(&[&["-framerate", "25", "-i", &all][..], &how].concat(), &path);
        let frames = Frames::video(&path).unwrap();
        assert_eq!(frames.len(), count, "{name}");
        let last = frames.read(count - 1).unwrap();
        assert!(*last != *frames.read(0).unwrap() && *last == *frames.read(count - 1).unwrap());
    }
    let one = folder.join("turned.mp4");
    ffmpeg(&["-i", &format!("{SAMPLE}/00000.jpg"), "-c:v", "mpeg4"], &folder.join("flat.mp4"));
    let flat = folder.join("flat.mp4").display().to_string();
    ffmpeg(&["-i", &flat, "-metadata:s:v:0", "rotate=90", "-c", "copy"], &one);
    let frames = Frames::video(&one).unwrap();
    let (picture, want) = (frames.read(0).unwrap(), &sample()[0]);
    assert_eq!((picture.width, picture.height, frames.rate()), (want.height, want.width, None));
    let _ = std::fs::remove_dir_all(folder);
}

pub fn what_is_no_video_is_said() {
    let folder = folder("bad");
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.join(name), bytes).unwrap();
        folder.join(name)
    };
    let start = Instant::now();
    says(Frames::video(write("text.txt", b"just a text\n")), "Invalid data");
    says(Frames::video(write("empty.mp4", b"")), "Invalid data");
    says(Frames::video(write("-x.mp4", b"nothing\n")), "Invalid data");
    says(Frames::video(&folder), "not a file");
    for nowhere in ["-i", "pipe:0", "http://localhost/x.mp4", "-x.mp4"] {
        assert!(matches!(Frames::open(nowhere), Err(Error::Io { .. })), "{nowhere}");
    }
    // A list of other files is not followed.
    let clip = clip(&folder, "clip.mkv");
    says(Frames::video(write("list.ffconcat", b"ffconcat version 1.0\nfile clip.mkv\n")), "not read as a video");
    let bytes = std::fs::read(&clip).unwrap();
    let cut = write("cut.mkv", &bytes[..bytes.len() / 2]);
    says(Frames::video(&cut), "frames decode; matroska,webm: File ended prematurely");
    assert!((5..20).contains(
        &Frames::open_with(&cut, &FramesOptions { keep_damaged: true, ..Default::default() }).unwrap().len()
    ));
    ffmpeg(&["-i", &clip.display().to_string(), "-c:v", "mpeg4"], &folder.join("whole.mp4"));
    let mp4 = std::fs::read(folder.join("whole.mp4")).unwrap();
    says(Frames::video(write("cut.mp4", &mp4[..mp4.len() * 2 / 3])), "");
    let mut damaged = mp4;
    (20_000..24_000).for_each(|i| damaged[i] = ((i * 7919) >> 3) as u8);
    says(Frames::video(write("damaged.mp4", &damaged)), "frames decode; ");
    ffmpeg(&["-f", "lavfi", "-i", "sine=d=1", "-c:a", "pcm_s16le"], &folder.join("sound.mkv"));
    says(Frames::video(folder.join("sound.mkv")), "no video stream");
    // The size changes halfway.
    let part = |size: &str, name: &str| {
        let path = folder.join(name);
        ffmpeg(&["-i", &clip.display().to_string(), "-s", size, "-c:v", "mpeg2video", "-f", "mpeg2video"], &path);
        std::fs::read(path).unwrap()
    };
    let (wide, high) = (part("320x240", "wide.m2v"), part("240x320", "high.m2v"));
    let both = write("both.m2v", &[wide, high].concat());
    says(Frames::video(&both), "23 frames decode; frame 23 has ");
    let kept = Frames::open_with(&both, &FramesOptions { keep_damaged: true, ..Default::default() }).unwrap();
    assert_eq!((kept.len(), kept.read(22).unwrap().width), (23, 320));
    drop(kept);
    assert!(start.elapsed() < Duration::from_secs(20));
    assert!(soon(|| helpers() == 0));
    let _ = std::fs::remove_dir_all(folder);
}

/// A damaged or joined recording is refused each time it is opened, with the same words. Or the frames that decode are
/// taken, the same ones each time.
pub fn damaged_videos_have_one_policy() {
    let kept = FramesOptions { keep_damaged: true, ..Default::default() };
    for (name, count, says) in [
        ("cut_t.ts", 7, "error while decoding MB 9 14, bytestream -6"),
        ("bits.mp4", 12, "error while decoding MB"),
        ("bits.ts", 11, "co located POCs unavailable"),
        ("pts_back.ts", 24, "corrupt input packet"),
    ] {
        let path = file(&format!("tests/data/video/{name}"));
        let mut words = Vec::new();
        for _ in 0..if name == "cut_t.ts" { 20 } else { 3 } {
            words.push(Frames::video(&path).err().map(|e| e.to_string()).unwrap_or_else(|| panic!("{name} is taken")));
        }
        let want = format!("damaged, or joined of several recordings: {count} frames decode; ");
        assert!(words[0].contains(&want) && words[0].contains(says), "{}", words[0]);
        assert!(words[0].contains("--keep-damaged") && !words[0].contains("0x"), "{}", words[0]);
        assert!(words.iter().all(|w| *w == words[0]), "{words:?}");
        let read = || {
            NOTES.lock().unwrap().clear();
            let frames = Frames::open_with(&path, &kept).unwrap();
            let note = NOTES.lock().unwrap().join("|");
            assert!(note.contains(&want) && note.contains(name), "{note}");
            // On average, one frame of `bits.ts` is lost.
            assert_eq!(
                (frames.len(), frames.rate().map(f64::ceil)),
                (count, Some(if count == 11 { 11.0 } else { 12.0 }))
            );
            (0..count).map(|i| frames.read(i).unwrap()).collect::<Vec<_>>()
        };
        assert!(read() == read());
    }
    NOTES.lock().unwrap().clear();
    says(Frames::video(file("tests/data/video/sound.m4a")), "no video stream: the file has only sound");
    says(Frames::open_with(file("tests/data/video/sound.m4a"), &kept).map(drop), "no video stream");
    // An edit list that cuts off six frames, as players apply it.
    assert_eq!(Frames::open_with(file("tests/data/video/editlist.mp4"), &kept).unwrap().len(), 6);
    assert!(NOTES.lock().unwrap().is_empty());
}

pub fn short_clips_have_their_exact_rate() {
    let folder = folder("rates");
    let all = format!("{SAMPLE}/%05d.jpg");
    for (rate, exact) in [
        ("22", 22.0),
        ("28", 28.0),
        ("31", 31.0),
        ("52", 52.0),
        ("55", 55.0),
        ("24", 24.0),
        ("30", 30.0),
        ("60", 60.0),
        ("120", 120.0),
        ("15/2", 7.5),
        ("24000/1001", 24e3 / 1001.0),
        ("30000/1001", 30e3 / 1001.0),
        ("60000/1001", 60e3 / 1001.0),
    ] {
        for (name, count) in [("clip.mp4", "2"), ("clip.mkv", "8")] {
            let path = folder.join(name);
            ffmpeg(&["-framerate", rate, "-i", &all, "-frames:v", count, "-s", "64x48", "-c:v", "mpeg4"], &path);
            let frames = Frames::video(&path).unwrap();
            assert_eq!((frames.len().to_string().as_str(), frames.rate()), (count, Some(exact)), "{name} at {rate}");
        }
    }
    let _ = std::fs::remove_dir_all(folder);
}

/// The file changes, or the decoder is killed, after the frames were counted.
pub fn a_video_that_fails_later() {
    let folder = folder("later");
    let clip = clip(&folder, "clip.mkv");
    let bytes = std::fs::read(&clip).unwrap();
    let frames = Frames::video(&clip).unwrap();
    std::fs::write(&clip, &bytes[..bytes.len() / 2]).unwrap();
    let failed = (0..24).find(|&i| frames.read(i).is_err()).unwrap();
    assert!((5..20).contains(&failed), "{failed}");
    says(frames.read(23), &format!("the video ended after {failed} of 24 frames"));
    assert!(frames.read(3).is_ok());
    std::fs::remove_file(&clip).unwrap();
    says(frames.read(0), "No such file");
    std::fs::write(&clip, &bytes).unwrap();
    assert!(*frames.read(0).unwrap() == sample()[0]);
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let children = std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
        for child in children.split_whitespace() {
            assert!(Command::new("kill").args(["-9", child]).status().unwrap().success());
        }
    }
    // The contents of the pipe may still be read.
    let failed = (2..24).step_by(2).find_map(|i| frames.read(i).err());
    says(failed.map_or(Ok(()), Err), "SIGKILL");
    assert!(frames.read(23).is_ok());
    drop(frames);
    assert!(soon(|| helpers() == 0));
    let _ = std::fs::remove_dir_all(folder);
}

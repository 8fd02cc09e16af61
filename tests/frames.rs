//! Frames of folders and of video files: in any order the same pixels, and whatever is wrong an error.

mod common;

use common::file;
use libtest_mimic::{Arguments, Trial};
use sam2::ffmpeg::Ffmpeg;
use sam2::log::{self, Log, Metadata, Record};
use sam2::picture::{self, Picture};
use sam2::{Error, Frames, FramesOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const SAMPLE: &str = "demo/samples/video1/frames";

/// The library's warnings.
static NOTES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Notes;

impl Log for Notes {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        NOTES.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

/// An empty folder.
fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("sam2-frames-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// The sample's frames as they are read directly.
fn sample() -> Vec<Picture> {
    (0..24).map(|i| picture::read(file(&format!("{SAMPLE}/{i:05}.jpg"))).unwrap()).collect()
}

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

/// Every order that tracking knows, and none.
fn orders(n: usize) -> Vec<Vec<usize>> {
    let twice = (0..n).flat_map(|i| [i, i]).collect();
    let turns = (n / 2..n).chain((0..n / 2).rev()).chain(0..n).collect();
    let random = (0..2 * n).map(|i| (i * 7919 + 13) % 101 % n).collect();
    vec![(0..n).collect(), (0..n).rev().collect(), twice, turns, random]
}

fn same(frames: &Frames, want: &[Picture]) {
    assert_eq!(frames.len(), want.len());
    for order in orders(want.len()) {
        for i in order {
            assert!(*frames.read(i).unwrap() == want[i], "frame {i}");
        }
    }
    for i in [want.len(), usize::MAX] {
        assert!(matches!(frames.read(i), Err(Error::Input(_))));
    }
}

/// Threads of this process that decode ahead or listen to ffmpeg, and processes that it started, zombies included.
fn helpers() -> usize {
    let task = |path: PathBuf| {
        let threads = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
        let children = std::fs::read_to_string(path.join("children")).unwrap_or_default();
        threads.starts_with("sam2-") as usize + children.split_whitespace().count()
    };
    std::fs::read_dir("/proc/self/task").unwrap().map(|entry| task(entry.unwrap().path())).sum()
}

/// Waits until it is true.
fn soon(what: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while !what() && start.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(5));
    }
    what()
}

fn says<T>(result: Result<T, Error>, text: &str) {
    match result {
        Err(Error::Video { what, .. } | Error::Picture { what, .. }) => assert!(what.contains(text), "{text}: {what}"),
        Err(other) => panic!("{text}: {other:?}"),
        Ok(_) => panic!("{text}: no error"),
    }
}

fn folders_have_an_order_and_gaps() {
    let folder = folder("gaps");
    for (name, of) in [("7.jpg", 1), ("00010.JPG", 2), ("2.jpeg", 0), ("x.jpg", 5), ("3.txt", 6)] {
        std::fs::copy(file(&format!("{SAMPLE}/{of:05}.jpg")), folder.join(name)).unwrap();
    }
    let (frames, want) = (Frames::open(&folder).unwrap(), sample());
    assert_eq!((frames.len(), frames.rate(), frames.bytes()), (3, None, 0));
    (0..3).for_each(|i| assert!(*frames.read(i).unwrap() == want[i]));
    let _ = std::fs::remove_dir_all(folder);
    assert!(matches!(Frames::folder(file("demo")), Err(Error::Input(_))));
    assert!(matches!(Frames::open(file("nowhere")), Err(Error::Io { .. })));
}

/// A folder of empty files of these names.
fn named(name: &str, files: &[&str]) -> PathBuf {
    let folder = folder(name);
    files.iter().for_each(|file| std::fs::write(folder.join(file), b"").unwrap());
    folder
}

fn names_of(folder: &Path) -> Result<Vec<String>, Error> {
    let name = |file: PathBuf| file.file_name().unwrap().to_str().unwrap().to_string();
    Ok(Frames::list(folder)?.into_iter().map(name).collect())
}

fn which_files_are_frames() {
    for (files, want, note) in [
        // The reference's: masks of the same numbers beside JPEG frames.
        (&["0.jpg", "0.png", "1.JPEG", "1.png"][..], &["0.jpg", "1.JPEG"][..], "2 others are left out: *.png (2)"),
        (&["00000.png", "1.PNG", "10.png", "2.png"], &["00000.png", "1.PNG", "2.png", "10.png"], ""),
        (
            &["frame_0010.jpg", "frame_2.jpg", "frame_0001.jpg"],
            &["frame_0001.jpg", "frame_2.jpg", "frame_0010.jpg"],
            "",
        ),
        (
            &["1690000000.15.jpg", "1690000000.2.jpg", "1690000000.1.jpg"],
            &["1690000000.1.jpg", "1690000000.15.jpg", "1690000000.2.jpg"],
            "",
        ),
        (
            &["img (10).jpg", "img (2).jpg", "img.jpg"],
            &["img (2).jpg", "img (10).jpg"],
            "1 others are left out: img.jpg (1)",
        ),
        // Plain numbers before any other series, however large.
        (
            &["2.jpg", "key_1.jpg", "key_3.jpg", "notes.txt"],
            &["2.jpg"],
            "3 others are left out: key_*.jpg (2), notes.txt (1)",
        ),
        (&["a_1.jpg", "a_2.jpg", "b_1.jpg"], &["a_1.jpg", "a_2.jpg"], "1 others are left out: b_*.jpg (1)"),
        (&["cover.jpg", "1.png", "2.png"], &["1.png", "2.png"], "1 others are left out: cover.jpg (1)"),
        // What systems make.
        (&[".DS_Store", "._0.jpg", ".0.jpg", "Thumbs.db", "desktop.ini", "0.jpg"], &["0.jpg"], ""),
        (&["1.webp", "2.webp"], &["1.webp", "2.webp"], ""),
    ] {
        let folder = named("which", files);
        NOTES.lock().unwrap().clear();
        assert_eq!(names_of(&folder).unwrap(), want);
        let said = NOTES.lock().unwrap().join("|");
        assert!(if note.is_empty() { said.is_empty() } else { said.ends_with(note) }, "{files:?}: {said}");
    }
    let folder = named("which", &["1.jpg"]);
    ["@eaDir", "2.jpg", "masks"].iter().for_each(|name| std::fs::create_dir(folder.join(name)).unwrap());
    assert_eq!(names_of(&folder).unwrap(), ["1.jpg"]);
    for (files, says) in [
        (&["0.jpg", "00000.jpg"][..], "two files for one frame: 0"),
        (&["7.jpg", "7.jpeg"], "two files for one frame: 7."),
        (&["f1.png", "f01.PNG"], "two files for one frame: f"),
        (&["left_1.jpg", "right_1.jpg"], "which files are the frames? left_*.jpg (1), right_*.jpg (1)"),
        (
            &["a.jpg", "b.txt"],
            "no frames named by numbers, such as 00000.jpg or frame_0001.png; it has a.jpg (1), b.txt (1)",
        ),
        (&[".0.jpg"], "no frames named"),
    ] {
        let found = names_of(&named("which", files));
        assert!(matches!(&found, Err(Error::Input(what)) if what.contains(says)), "{files:?}: {found:?}");
    }
    let _ = std::fs::remove_dir_all(folder);
}

/// Every third frame, of a folder and of a video, in any order.
fn every_nth_frame() {
    let want: Vec<Picture> = sample().into_iter().skip(1).step_by(3).collect();
    let frames = Frames::folder(file(SAMPLE)).unwrap().every(3, 1).unwrap();
    same(&frames, &want);
    assert_eq!([0, 1, 7, 8].map(|i| frames.name(i)), [Some("00001"), Some("00004"), Some("00022"), None]);
    same(&Frames::pictures(sample()).every(3, 1).unwrap(), &want);
    for (stride, first) in [(0, 0), (1, 24), (usize::MAX, usize::MAX)] {
        assert!(matches!(Frames::folder(file(SAMPLE)).unwrap().every(stride, first), Err(Error::Input(_))));
    }
    assert_eq!(frames.every(usize::MAX, 7).unwrap().len(), 1);
}

fn frames_know_their_names() {
    let folder = named("names", &["00105.jpg", "00100.jpg"]);
    let frames = Frames::folder(&folder).unwrap();
    assert_eq!([0, 1, 2].map(|i| frames.name(i)), [Some("00100"), Some("00105"), None]);
    assert_eq!(Frames::pictures(vec![]).name(0), None);
    let _ = std::fs::remove_dir_all(folder);
}

fn any_order_gives_the_same_pixels() {
    let want = sample();
    same(&Frames::pictures(want.clone()), &want);
    same(&Frames::folder(file(SAMPLE)).unwrap(), &want);
    let nothing = Frames::files(Vec::new());
    assert!(nothing.is_empty() && nothing.read(0).is_err());
}

fn a_frame_is_decoded_once_and_ahead() {
    let folder = folder("ahead");
    let files: Vec<PathBuf> = (0..9).map(|i| folder.join(format!("{i}.jpg"))).collect();
    let copy = || files.iter().for_each(|f| _ = std::fs::copy(file(&format!("{SAMPLE}/00000.jpg")), f).unwrap());
    let gone = || files.iter().for_each(|f| std::fs::remove_file(f).unwrap());
    for (order, ahead) in [([3, 4], [5, 6]), ([5, 4], [3, 2])] {
        copy();
        let frames = Frames::files(files.clone());
        let one = frames.read(order[0]).unwrap();
        assert!(frames.bytes() == one.pixels.len() && soon(|| helpers() == 0));
        let (again, other) = (frames.clone(), frames.read(order[1]).unwrap());
        assert!(soon(|| frames.bytes() == 3 * one.pixels.len()));
        gone();
        assert!(Arc::ptr_eq(&other, &again.read(order[1]).unwrap()));
        let [near, far] = ahead.map(|i| frames.read(i));
        assert!(near.is_ok() && far.is_ok());
        // What is gone is an error of that frame alone, and each time.
        for _ in 0..2 {
            assert!(matches!(frames.read(if ahead[1] > 4 { 7 } else { 1 }), Err(Error::Io { .. })));
        }
    }
    let _ = std::fs::remove_dir_all(folder);
}

fn a_damaged_file_is_one_frame() {
    let folder = folder("damaged");
    let files: Vec<PathBuf> = (0..8).map(|i| folder.join(format!("{i}.jpg"))).collect();
    files.iter().for_each(|f| _ = std::fs::copy(file(&format!("{SAMPLE}/00000.jpg")), f).unwrap());
    std::fs::write(&files[4], &std::fs::read(&files[3]).unwrap()[..5000]).unwrap();
    for reverse in [false, true] {
        let frames = Frames::folder(&folder).unwrap();
        for i in 0..8 {
            let i = if reverse { 7 - i } else { i };
            for _ in 0..2 {
                match frames.read(i) {
                    Ok(_) => assert_ne!(i, 4),
                    failed => assert_eq!((i, says(failed, "damaged")), (4, ())),
                }
            }
        }
    }
    // Mended, it is read, also after it was found damaged ahead of time.
    let frames = Frames::folder(&folder).unwrap();
    let one = [2, 3].map(|i| frames.read(i).unwrap())[0].pixels.len();
    assert!(soon(|| frames.bytes() == 2 * one));
    says(frames.read(4), "damaged");
    std::fs::copy(&files[3], &files[4]).unwrap();
    assert!(frames.read(4).is_ok());
    let _ = std::fs::remove_dir_all(folder);
}

fn nothing_is_left_behind() {
    let frames = Frames::folder(file(SAMPLE)).unwrap();
    let clone = frames.clone();
    frames.read(0).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(helpers(), 0);
    frames.read(1).unwrap();
    // A thread has its name soon after its start.
    assert!(soon(|| helpers() == 1));
    drop(frames);
    clone.read(2).unwrap();
    assert_eq!(helpers(), 1);
    drop(clone);
    assert!(soon(|| helpers() == 0));
}

fn a_video_is_its_frames() {
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
    // Backwards, the block holds what comes next, and shrinks; forwards there is none.
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

/// Hidden frames, fields, and times of no order: each frame that is shown counts, once.
fn frames_are_counted_as_they_are_shown() {
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

fn what_is_no_video_is_said() {
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
    // Another size halfway.
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

/// A damaged or joined recording is refused each time it is opened, with the same words; or what decodes of it is taken, the
/// same each time.
fn damaged_videos_have_one_policy() {
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
            // On average: of `bits.ts` a frame is lost.
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
    // An edit list that cuts six frames off, as players apply it.
    assert_eq!(Frames::open_with(file("tests/data/video/editlist.mp4"), &kept).unwrap().len(), 6);
    assert!(NOTES.lock().unwrap().is_empty());
}

fn short_clips_have_their_exact_rate() {
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
fn a_video_that_fails_later() {
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
    // What was in the pipe may still be read.
    let failed = (2..24).step_by(2).find_map(|i| frames.read(i).err());
    says(failed.map_or(Ok(()), Err), "SIGKILL");
    assert!(frames.read(23).is_ok());
    drop(frames);
    assert!(soon(|| helpers() == 0));
    let _ = std::fs::remove_dir_all(folder);
}

/// What opening a video leads to in a process of its own, of another environment or folder.
fn opened(process: impl FnOnce(&mut Command), video: &Path) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    process(&mut command);
    let out = command.env("OPEN_AND_TELL", video).output().unwrap();
    String::from_utf8(out.stdout).unwrap()
}

/// The same with a stand-in for ffmpeg.
fn with_ffmpeg(program: &Path, video: &Path) -> String {
    opened(|command| _ = command.env("SAM2_FFMPEG", program), video)
}

/// What [`opened`] runs.
fn open_and_tell(path: &Path) {
    let options = FramesOptions { decoder_timeout: Some(Duration::from_secs(3)), ..Default::default() };
    match Frames::open_with(path, &options).and_then(|frames| Ok((frames.len(), frames.read(0)?))) {
        Ok((count, _)) => println!("{count} frames"),
        Err(e) => println!("{e}"),
    }
}

fn an_ffmpeg_that_is_not_as_expected() {
    let folder = folder("stand-ins");
    let video = folder.join("x.mp4");
    std::fs::write(&video, b"x").unwrap();
    assert!(with_ffmpeg(&folder.join("absent"), &video).contains("install it"));
    assert!(with_ffmpeg(Path::new("true"), &video).contains("version"));
    let stand_in = |survey: &str, frames: &str| {
        let path = folder.join("ffmpeg");
        let list = "case \"$*\" in *-version*) echo ffmpeg version 6.0;;";
        let script = format!("#!/bin/sh\n{list} *framecrc*) {survey};; *) {frames};; esac\n");
        std::fs::write(&path, script).unwrap();
        Command::new("chmod").arg("+x").arg(&path).status().unwrap();
        let start = Instant::now();
        let told = with_ffmpeg(&path, &video);
        assert!(start.elapsed() < Duration::from_secs(20), "{survey}");
        told
    };
    let lists = "echo 0, 0, 0, 1, 2, 0; echo 1, 0, 0, 1, 1, 0";
    let (picture, much) = ("printf 'P6\\n2 1\\n255\\nabcdef'", "head -c 9000000 /dev/zero | tr '\\0' '\\n' >&2");
    for (survey, frames, want) in [
        (lists, picture, "1 frames"),
        // More on stderr than a pipe holds.
        (&format!("{much}; {lists}"), &format!("{much}; {picture}"), "1 frames"),
        (&format!("{much}; echo so it is >&2; exit 1"), "", "so it is"),
        ("head -c 9000 /dev/zero | tr '\\0' x >&2; exit 1", "", &"x".repeat(300)),
        (lists, "printf 'P6\\n2 1\\n255\\nab'", "frame 0: the video ended after 0 of 1 frames"),
        (lists, "printf 'P6\\n1 2\\n255\\nabcdef'", "frame 0 has 1x2 pixels"),
        (lists, "echo no picture", "frame 0: the video ended after 0 of 1 frames"),
        (lists, "exec yes garbage", "not what ffmpeg writes"),
        (lists, "exec cat /dev/zero", "not what ffmpeg writes"),
        (lists, "head -c 64 /dev/zero; exec sleep 1000", "not what ffmpeg writes"),
        (lists, "exec sleep 1000", "ffmpeg has decoded nothing for 3 seconds"),
        (lists, "printf 'P6\\n2 1\\n255\\nab'; exec sleep 1000", "ffmpeg has decoded nothing for 3 seconds"),
        ("exec sleep 1000", "", "ffmpeg has decoded nothing for 3 seconds"),
        ("exec >&-; sleep 1000", "", "does not end"),
        ("exec cat /dev/zero", "", "ffmpeg told"),
        (lists, "echo it broke >&2; exit 3", "frame 0: it broke"),
        (lists, "kill -9 $$", "SIGKILL"),
        ("kill -9 $$", "", "SIGKILL"),
        ("echo gibberish; exec sleep 60", "", "gibberish"),
        ("echo 0, 0, 0, 1, 99999, 0; echo 1, 0, 0, 1, 99999, 0", "", "99999x99999 pixels"),
        // A process that it leaves behind with its pipes.
        (&format!("{lists}; sleep 5 >/dev/null &"), picture, "1 frames"),
    ] {
        let told = stand_in(survey, frames);
        assert!(told.contains(want) && told.len() < 600, "{survey}; {frames}: {told}");
    }
    let _ = std::fs::remove_dir_all(folder);
}

/// What needs ffmpeg is skipped, and counted so, where there is none; in CI it fails. Threads are counted in Linux's way.
fn main() {
    if let Some(path) = std::env::var_os("OPEN_AND_TELL") {
        return open_and_tell(path.as_ref());
    }
    log::set_logger(&Notes).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
    let (found, ci) = (Ffmpeg::find().is_ok(), std::env::var_os("CI").is_some());
    let trial = |name: &str, test: fn(), needs_ffmpeg: bool| {
        let run = move || {
            test();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(!cfg!(target_os = "linux") || needs_ffmpeg && !found && !ci)
    };
    let trials = vec![
        trial("folders_have_an_order_and_gaps", folders_have_an_order_and_gaps, false),
        trial("which_files_are_frames", which_files_are_frames, false),
        trial("every_nth_frame", every_nth_frame, false),
        trial("frames_know_their_names", frames_know_their_names, false),
        trial("any_order_gives_the_same_pixels", any_order_gives_the_same_pixels, false),
        trial("a_frame_is_decoded_once_and_ahead", a_frame_is_decoded_once_and_ahead, false),
        trial("a_damaged_file_is_one_frame", a_damaged_file_is_one_frame, false),
        trial("nothing_is_left_behind", nothing_is_left_behind, false),
        trial("a_video_is_its_frames", a_video_is_its_frames, true),
        trial("frames_are_counted_as_they_are_shown", frames_are_counted_as_they_are_shown, true),
        trial("what_is_no_video_is_said", what_is_no_video_is_said, true),
        trial("damaged_videos_have_one_policy", damaged_videos_have_one_policy, true),
        trial("short_clips_have_their_exact_rate", short_clips_have_their_exact_rate, true),
        trial("a_video_that_fails_later", a_video_that_fails_later, true),
        trial("an_ffmpeg_that_is_not_as_expected", an_ffmpeg_that_is_not_as_expected, false),
    ];
    // One after another: they count threads.
    let args = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    libtest_mimic::run(&args, trials).exit();
}

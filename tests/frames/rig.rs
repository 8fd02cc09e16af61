//! What the tests of folders and of videos share: the sample's frames, the order of reads, and what is left behind.

use crate::common::file;
use sam2::log::{Log, Metadata, Record};
use sam2::picture::{self, Picture};
use sam2::{Error, Frames};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

pub const SAMPLE: &str = "demo/samples/video1/frames";

/// The library's warnings.
pub static NOTES: Mutex<Vec<String>> = Mutex::new(Vec::new());

pub struct Notes;

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
pub fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("sam2-frames-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// The sample's frames as they are read directly.
pub fn sample() -> Vec<Picture> {
    (0..24).map(|i| picture::read(file(&format!("{SAMPLE}/{i:05}.jpg"))).unwrap()).collect()
}

/// Every order that tracking uses, and random order.
pub fn orders(n: usize) -> Vec<Vec<usize>> {
    let twice = (0..n).flat_map(|i| [i, i]).collect();
    let turns = (n / 2..n).chain((0..n / 2).rev()).chain(0..n).collect();
    let random = (0..2 * n).map(|i| (i * 7919 + 13) % 101 % n).collect();
    vec![(0..n).collect(), (0..n).rev().collect(), twice, turns, random]
}

pub fn same(frames: &Frames, want: &[Picture]) {
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

/// Threads of this process that decode ahead or read from ffmpeg, and processes that it started, including zombies.
pub fn helpers() -> usize {
    let task = |path: PathBuf| {
        let threads = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
        let children = std::fs::read_to_string(path.join("children")).unwrap_or_default();
        threads.starts_with("sam2-") as usize + children.split_whitespace().count()
    };
    std::fs::read_dir("/proc/self/task").unwrap().map(|entry| task(entry.unwrap().path())).sum()
}

/// Waits until the condition is true.
pub fn soon(what: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while !what() && start.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(5));
    }
    what()
}

pub fn says<T>(result: Result<T, Error>, text: &str) {
    match result {
        Err(Error::Video { what, .. } | Error::Picture { what, .. }) => assert!(what.contains(text), "{text}: {what}"),
        Err(other) => panic!("{text}: {other:?}"),
        Ok(_) => panic!("{text}: no error"),
    }
}

//! Frames of folders and of lists of files: which files are frames, and in which order; decoding ahead; damaged files.

use crate::common::file;
use crate::rig::{NOTES, SAMPLE, folder, helpers, same, sample, says, soon};
use sam2::picture::Picture;
use sam2::{Error, Frames};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub fn folders_have_an_order_and_gaps() {
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

pub fn which_files_are_frames() {
    for (files, want, note) in [
        // The reference's layout: masks of the same numbers beside JPEG frames.
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
        // Plain numbers are preferred to any other series, however large.
        (
            &["2.jpg", "key_1.jpg", "key_3.jpg", "notes.txt"],
            &["2.jpg"],
            "3 others are left out: key_*.jpg (2), notes.txt (1)",
        ),
        (&["a_1.jpg", "a_2.jpg", "b_1.jpg"], &["a_1.jpg", "a_2.jpg"], "1 others are left out: b_*.jpg (1)"),
        (&["cover.jpg", "1.png", "2.png"], &["1.png", "2.png"], "1 others are left out: cover.jpg (1)"),
        // Files of operating systems.
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
pub fn every_nth_frame() {
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

pub fn frames_know_their_names() {
    let folder = named("names", &["00105.jpg", "00100.jpg"]);
    let frames = Frames::folder(&folder).unwrap();
    assert_eq!([0, 1, 2].map(|i| frames.name(i)), [Some("00100"), Some("00105"), None]);
    assert_eq!(Frames::pictures(vec![]).name(0), None);
    let _ = std::fs::remove_dir_all(folder);
}

pub fn any_order_gives_the_same_pixels() {
    let want = sample();
    same(&Frames::pictures(want.clone()), &want);
    same(&Frames::folder(file(SAMPLE)).unwrap(), &want);
    let nothing = Frames::files(Vec::new());
    assert!(nothing.is_empty() && nothing.read(0).is_err());
}

pub fn a_frame_is_decoded_once_and_ahead() {
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
        // A missing file is an error of that frame alone, each time.
        for _ in 0..2 {
            assert!(matches!(frames.read(if ahead[1] > 4 { 7 } else { 1 }), Err(Error::Io { .. })));
        }
    }
    let _ = std::fs::remove_dir_all(folder);
}

pub fn a_damaged_file_is_one_frame() {
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
    // A repaired file is read, also after it was found damaged ahead of time.
    let frames = Frames::folder(&folder).unwrap();
    let one = [2, 3].map(|i| frames.read(i).unwrap())[0].pixels.len();
    assert!(soon(|| frames.bytes() == 2 * one));
    says(frames.read(4), "damaged");
    std::fs::copy(&files[3], &files[4]).unwrap();
    assert!(frames.read(4).is_ok());
    let _ = std::fs::remove_dir_all(folder);
}

pub fn nothing_is_left_behind() {
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

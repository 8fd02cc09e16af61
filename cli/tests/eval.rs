//! Tests of `sam2 eval` against scores of the reference's evaluator, which `tests/reference/vos_fixtures.py` wrote.

mod common;

use common::*;
use sam2::{Size, labels};
use serde_json::Value;
use std::path::Path;

const DATA: &str = "cli/tests/data/eval";
const ALL_FRAMES: &str = "--do-not-skip-first-and-last-frame";

fn eval<'a>(truth: &'a str, found: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["eval", "--gt-root", truth, "--pred-root", found], more].concat()
}

/// Writes a mask of one row.
fn mask(folder: &Folder, name: &str, numbers: &[u8]) {
    let file = folder.0.join(name);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, labels::encode(numbers, Size::new(numbers.len(), 1), &[]).unwrap()).unwrap();
}

/// Compares every number of `want` with the number at the same place in the result.
fn compare(at: &str, got: &Value, want: &Value) -> usize {
    match want {
        Value::Object(map) => map.iter().map(|(key, want)| compare(&format!("{at}/{key}"), &got[key], want)).sum(),
        _ => {
            let (got, want) = (got.as_f64().unwrap_or(f64::NAN), want.as_f64().unwrap());
            assert!((got - want).abs() <= 1e-9, "{at}: {got}, the reference has {want}");
            1
        }
    }
}

#[test]
fn figures_are_those_of_the_reference() {
    let folder = Folder::new("eval");
    let wanted: Value =
        serde_json::from_str(&std::fs::read_to_string(root().join(DATA).join("figures.json")).unwrap()).unwrap();
    for (key, set, more) in [
        ("davis", "davis", &[][..]),
        ("davis_all_frames", "davis", &[ALL_FRAMES][..]),
        ("sav", "sav", &[][..]),
        ("sav_all_frames", "sav", &[ALL_FRAMES, "--threads", "1"][..]),
    ] {
        let (truth, found) = (format!("{DATA}/{set}/gt"), format!("{DATA}/{set}/pred"));
        let csv = folder.file("results.csv");
        let got: Value =
            serde_json::from_str(&stdout(&[&eval(&truth, &found, more)[..], &["--json", "-o", &csv]].concat()))
                .unwrap();
        let want = &wanted[key];
        assert!(compare(key, &got, want) > 10);
        let objects = |v: &Value| -> Vec<(String, Vec<String>)> {
            let videos = v["videos"].as_object().unwrap().iter();
            let ids = |v: &Value| v.as_object().unwrap().keys().cloned().collect();
            videos.map(|(name, v)| (name.clone(), ids(v))).filter(|(_, ids): &(_, Vec<_>)| !ids.is_empty()).collect()
        };
        assert_eq!(objects(&got), objects(want), "{key}");
        let table = std::fs::read_to_string(root().join(DATA).join(format!("{key}.csv"))).unwrap();
        assert_eq!(std::fs::read_to_string(&csv).unwrap(), table, "{key}");
        assert_eq!(stdout(&eval(&truth, &found, more)), table.replace(',', " "), "{key}");
    }
}

#[test]
fn what_is_missing_or_does_not_fit_is_an_error() {
    let folder = Folder::new("eval-missing");
    let (truth, found) = (folder.file("gt"), folder.file("pred"));
    for frame in ["00000", "00001", "00002"] {
        mask(&folder, &format!("gt/a/{frame}.png"), &[1, 1, 0, 0]);
        mask(&folder, &format!("gt/unpredicted/{frame}.png"), &[1, 1, 0, 0]);
    }
    std::fs::create_dir_all(Path::new(&found)).unwrap();
    fails(4, "no object to score", &eval(&truth, &found, &[]));
    fails(4, "missing: a, unpredicted", &eval(&truth, &found, &["--strict"]));
    mask(&folder, "pred/a/00001.png", &[1, 1, 1, 0]);
    let line = |text: String| text.lines().nth(1).unwrap().to_string();
    assert_eq!(line(stdout(&eval(&truth, &found, &[]))), "Global score      83.3  66.7  100.0");
    fails(4, "00000.png", &eval(&truth, &found, &[ALL_FRAMES]));
    mask(&folder, "pred/a/00001.png", &[1, 1, 1]);
    fails(4, "3x1 pixels, expected 4x1", &eval(&truth, &found, &[]));
    let picture = root().join("demo/samples/images/image1.png");
    std::fs::copy(picture, format!("{found}/a/00001.png")).unwrap();
    fails(4, "a PNG with a palette or one gray channel", &eval(&truth, &found, &[]));
}

#[test]
fn objects_in_files_of_their_own() {
    let folder = Folder::new("eval-objects");
    let (truth, found) = (folder.file("gt"), folder.file("pred"));
    for (object, numbers) in [("000", [9, 0, 0]), ("001", [0, 0, 0])] {
        for frame in 0..3 {
            mask(&folder, &format!("gt/a/{object}/{frame}.png"), &numbers);
            mask(&folder, &format!("pred/a/{object}/{frame}.png"), &[1, 0, 0]);
        }
    }
    let out = sam2(&eval(&truth, &found, &["--json"]));
    let got: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((&got["J"], got["videos"]["a"].as_object().unwrap().len()), (&100.0.into(), 1), "{got}");
    let note = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(note.contains("001: the object is on no frame"), "{note}");
    mask(&folder, "pred/a/000/1.png", &[1, 2, 0]);
    fails(4, "more than one object", &eval(&truth, &found, &[]));
    std::fs::remove_dir_all(folder.0.join("pred/a/001")).unwrap();
    mask(&folder, "pred/a/000/1.png", &[1, 0, 0]);
    fails(4, "001", &eval(&truth, &found, &[]));
}

/// Runs the evaluation. Returns its JSON and its notes.
fn evaluated(truth: &str, found: &str, more: &[&str]) -> (Value, String) {
    let out = sam2(&[&eval(truth, found, more)[..], &["--json"]].concat());
    let notes = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{notes}");
    (serde_json::from_slice(&out.stdout).unwrap(), notes)
}

#[test]
fn void_pixels_are_not_scored() {
    let folder = Folder::new("eval-void");
    let (truth, found) = (folder.file("gt"), folder.file("pred"));
    for frame in 0..3 {
        mask(&folder, &format!("gt/a/{frame}.png"), &[1, 1, 255, 0, 0, 0]);
        mask(&folder, &format!("pred/a/{frame}.png"), &[1, 1, 1, 0, 0, 0]);
        // In black-and-white masks, 255 is the object.
        mask(&folder, &format!("gt/b/{frame}.png"), &[0, 255, 255, 0, 0, 0]);
        mask(&folder, &format!("pred/b/{frame}.png"), &[0, 255, 0, 0, 0, 0]);
    }
    let (got, notes) = evaluated(&truth, &found, &[]);
    assert_eq!(got["videos"]["a"], serde_json::json!({"001": {"J&F": 100.0, "J": 100.0, "F": 100.0}}));
    assert_eq!(got["videos"]["b"]["255"]["J"], 50.0);
    assert_eq!(notes.matches("label 255 are void").count(), 1, "{notes}");
    let (got, notes) = evaluated(&truth, &found, &["--void", "none"]);
    assert!((got["videos"]["a"]["001"]["J"].as_f64().unwrap() - 200.0 / 3.0).abs() < 1e-9, "{got}");
    assert!(got["videos"]["a"]["255"]["J"] == 0.0 && !notes.contains("void"), "{got}");
    let (got, _) = evaluated(&truth, &found, &["--void", "1"]);
    assert_eq!(got["videos"]["a"]["255"]["J"], 0.0);
    for label in ["0", "256", "x"] {
        fails(2, "expected auto, none or a label", &eval(&truth, &found, &["--void", label]));
    }
}

#[test]
fn what_is_scored_otherwise_than_meant_is_noted() {
    let folder = Folder::new("eval-notes");
    let (truth, found) = (folder.file("gt"), folder.file("pred"));
    for frame in 0..4 {
        mask(&folder, &format!("gt/white/{frame}.png"), &[0, 1, 2, 2]);
        mask(&folder, &format!("pred/white/{frame}.png"), &[0, 255, 0, 0]);
        mask(&folder, &format!("gt/new/{frame}.png"), &[0, 1, if frame > 1 { 7 } else { 0 }, 0]);
        mask(&folder, &format!("pred/new/{frame}.png"), &[0, 1, 0, 0]);
    }
    for frame in [0, 5] {
        mask(&folder, &format!("gt/short/{frame}.png"), &[0, 1]);
        mask(&folder, &format!("pred/short/{frame}.png"), &[0, 1]);
    }
    let (got, notes) = evaluated(&truth, &found, &[]);
    for says in [
        "pred/white: labels 255, but the objects are 1, 2: no object is found",
        "new/0.png: objects that appear later are scored from their first frame on: 7\n",
        "short: not scored: no frame is left of 2 without the first and the last; --do-not-skip-first-and-last-frame",
    ] {
        assert_eq!(notes.matches(says).count(), 1, "{says}: {notes}");
    }
    assert_eq!(notes.lines().count(), 3, "{notes}");
    assert!(got["videos"]["white"]["001"]["J"] == 0.0 && got["videos"]["short"] == serde_json::json!({}), "{got}");
    assert!(got["J"].as_f64().unwrap().is_finite());
    assert_eq!(evaluated(&truth, &found, &[ALL_FRAMES]).0["videos"]["short"]["001"]["J"], 100.0);
    // No object to score is an error.
    ["white", "new"].iter().for_each(|name| std::fs::remove_dir_all(folder.0.join("gt").join(name)).unwrap());
    fails(4, "no object to score", &eval(&truth, &found, &[]));
}

#[test]
fn hidden_files_do_not_matter() {
    let folder = Folder::new("eval-hidden");
    let (truth, found) = (folder.file("gt"), folder.file("pred"));
    for video in ["a", "b/001"] {
        // In natural order the last frame is 10, not 9. The masks of 9 differ.
        for frame in [1, 2, 9, 10] {
            mask(&folder, &format!("gt/{video}/f{frame}.png"), &[0, 1, 1, 0]);
            let found = if [1, 10].contains(&frame) { [1, 0, 0, 0] } else { [0, 1, 1, 0] };
            mask(&folder, &format!("pred/{video}/f{frame}.png"), &found);
        }
    }
    let (clean, _) = evaluated(&truth, &found, &[]);
    assert_eq!(clean["J"], 100.0, "{clean}");
    for place in ["gt", "gt/a", "gt/b", "gt/b/001", "pred", "pred/a", "pred/b"] {
        for name in [".DS_Store", "._f2.png", "Thumbs.db", "desktop.ini"] {
            std::fs::write(folder.0.join(place).join(name), "not a mask").unwrap();
        }
        std::fs::create_dir_all(folder.0.join(place).join("@eaDir")).unwrap();
    }
    assert_eq!(evaluated(&truth, &found, &["--strict"]).0, clean);
}

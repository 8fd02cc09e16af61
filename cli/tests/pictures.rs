//! Tests of image files: formats, orientation, masks from files, and folders of images.

mod common;

use common::*;
use sam2::picture::{self, ReadOptions};
use std::path::Path;
use std::process::Output;

const PHONE: &str = "tests/data/pictures/exif6.jpg";
const GOLDEN: &str = "tests/data/golden";

fn notes(out: &Output) -> String {
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    text.lines()
        .filter(|line| line.starts_with("note: ") && !line.contains("demonstration model"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The output of `segment` for an image, and its notes.
fn segment(picture: &str, more: &[&str]) -> (String, String) {
    let out = sam2(&[&["segment", picture, "--model", "demo", "--device", "cpu", "--json"], more].concat());
    (String::from_utf8(out.stdout.clone()).unwrap(), notes(&out))
}

#[test]
fn a_picture_is_turned_upright_with_its_coordinates() {
    let folder = Folder::new("upright");
    let upright = picture::read_with(root().join(PHONE), &ReadOptions { upright: true, bit_depth: None }).unwrap();
    let png = folder.file("upright.png");
    std::fs::write(&png, picture::encode_png(&upright).unwrap()).unwrap();
    let at = ["--box", "190,20,300,90"];
    let (stored, note) = segment(PHONE, &at);
    assert!(note.contains("exif6.jpg: EXIF orientation 6") && note.contains("--upright"), "{note}");
    let (turned, silence) = segment(PHONE, &[&at[..], &["--upright"]].concat());
    assert_eq!((&turned, silence.as_str()), (&segment(&png, &at).0, ""));
    assert_ne!(stored, turned);
    assert!(turned.contains(r#""size":[200,320]"#), "masks are on the upright picture");

    // The other commands: auto on an image and on a folder, encode, and track.
    let auto = |picture: &str, more: &[&str]| {
        let quick = ["auto", picture, "--model", "demo", "--device", "cpu", "--points-per-side", "4"];
        sam2(&[&quick[..], more].concat())
    };
    let everything = auto(&png, &["--json"]).stdout;
    assert_eq!(auto(PHONE, &["--json", "--upright"]).stdout, everything);
    let (photos, out) = (folder.file("photos"), folder.file("out"));
    std::fs::create_dir_all(&photos).unwrap();
    std::fs::copy(root().join(PHONE), format!("{photos}/00000.jpg")).unwrap();
    assert_eq!(notes(&auto(&photos, &["-o", &out, "--upright"])), "");
    let record = std::fs::read(format!("{out}/00000.jpg.json")).unwrap();
    assert_eq!(record.trim_ascii(), everything.trim_ascii());
    assert!(notes(&auto(&photos, &["-o", &folder.file("stored")])).contains("EXIF orientation 6"));

    let (one, other) = (folder.file("1.safetensors"), folder.file("2.safetensors"));
    stdout(&["encode", PHONE, "--model", "demo", "--device", "cpu", "--upright", "--raw", &one]);
    stdout(&["encode", &png, "--model", "demo", "--device", "cpu", "--raw", &other]);
    assert!(std::fs::read(one).unwrap() == std::fs::read(other).unwrap());

    let track = |more: &[&str]| {
        let box_ = ["track", &photos, "--model", "demo", "--device", "cpu", "--box", "0:1:190,20,300,90", "--json"];
        sam2(&[&box_[..], more].concat())
    };
    assert!(notes(&track(&[])).contains("EXIF orientation 6"));
    let turned = track(&["--upright"]);
    assert_eq!(notes(&turned), "");
    assert!(String::from_utf8_lossy(&turned.stdout).contains(r#""size":[200,320]"#));
}

#[test]
fn every_kind_of_file_is_read() {
    let click = ["--point", "9,8"];
    let expected = segment(&format!("{GOLDEN}/pictures/rgb.bmp.png"), &click).0;
    for name in ["rgb.bmp", "rgb.tif", "rgb.ppm", "lossless.webp", "tiles_rgb.tif", "text.ppm"] {
        assert_eq!(segment(&format!("{GOLDEN}/pictures/{name}"), &click), (expected.clone(), String::new()), "{name}");
    }
    let gif = segment(&format!("{GOLDEN}/pictures/rgb.gif.png"), &click);
    assert_eq!(segment(&format!("{GOLDEN}/pictures/rgb.gif"), &click), gif);
    // The format is determined by content, not by name.
    let folder = Folder::new("kinds");
    let download = folder.file("download.jpg");
    std::fs::copy(root().join(GOLDEN).join("pictures/lossless.webp"), &download).unwrap();
    assert_eq!(segment(&download, &click).0, expected);
    // The data are complete, but the end marker is missing.
    assert_eq!(segment("tests/data/pictures/no_end_but_a_trailer.jpg", &["--point", "99,99"]).1, "");
    let phone = folder.file("phone.heic");
    std::fs::write(&phone, b"\0\0\0\x18ftypheic\0\0\0\0mif1heic").unwrap();
    fails(
        4,
        "a HEIC file, which is not read; convert it to PNG or JPEG",
        &["segment", &phone, "--model", "demo", "--point", "1,1"],
    );
}

#[test]
fn bits_of_a_sensor() {
    let (sensor, at) = ("tests/data/pictures/gray16_12bit.png", ["--point", "99,99"]);
    let (dark, note) = segment(sensor, &at);
    assert!(note.contains("largest value is 3040 of 65535") && note.contains("--bit-depth 12"), "{note}");
    let (scaled, silence) = segment(sensor, &[&at[..], &["--bit-depth", "12"]].concat());
    assert_eq!(silence, "");
    assert_ne!(dark, scaled);
    let refused = |code, says, bits| {
        fails(code, says, &["segment", sensor, "--model", "demo", "--point", "1,1", "--bit-depth", bits]);
    };
    refused(4, "its largest value 3040 has 12 bits, more than the bit depth of 10", "10");
    refused(2, "--bit-depth", "7");
    refused(2, "--bit-depth", "17");
}

#[test]
fn masks_from_files_of_every_kind() {
    let photo = "demo/pictures/astronaut.png";
    let from = |file: &str| segment(photo, &["--mask-input", file]);
    let golden = |name: &str| format!("{GOLDEN}/masks/{name}");
    let (expected, silence) = from(&golden("gray255.png"));
    assert_eq!(silence, "");
    assert_eq!(from(&golden("gray16_1.png")), (expected.clone(), String::new()));
    let (alpha, note) = from(&golden("alpha_only.png"));
    assert_eq!(alpha, expected);
    assert!(note.contains("alpha_only.png: the colour is the same everywhere, so the alpha channel"), "{note}");
    let soft = from(&golden("soft.png")).1;
    assert!(soft.contains("soft.png: a soft mask, with values between 0 and 255"), "{soft}");
    let (exact, _) = from(&golden("saved_as.png"));
    let (lossy, note) = from(&golden("saved_as.jpg"));
    assert_eq!(lossy, exact);
    assert!(note.contains("saved_as.jpg: a soft mask, since its compression is lossy"), "{note}");

    // Two adjacent labels.
    let folder = Folder::new("labels");
    let file = |name: &str, values: [u8; 2]| {
        let pixels: Vec<u8> = (0..80 * 60).map(|i| if i / 80 < 40 { 0 } else { values[i % 80 / 40] }).collect();
        let path = folder.file(name);
        std::fs::write(&path, sam2::labels::encode(&pixels, sam2::Size::new(80, 60), &[]).unwrap()).unwrap();
        path
    };
    let (both, left) = (file("both.png", [3, 7]), file("left.png", [1, 0]));
    let (all, note) = from(&both);
    assert!(note.contains("a label picture of 2 labels (3, 7); all of them are taken as one object"), "{note}");
    assert!(note.contains("both.png#N takes label N alone"), "{note}");
    let (one, silence) = from(&format!("{both}#3"));
    assert_eq!((&one, silence.as_str()), (&from(&left).0, ""));
    assert_ne!(all, one);
    let mask_input = |file: &str| ["segment", photo, "--model", "demo", "--mask-input", file].map(String::from);
    let input = mask_input(&format!("{both}#5"));
    fails(4, "no pixel has label 5; there are 2 labels (3, 7)", &input.each_ref().map(String::as_str));
    // An input is not overwritten, even if it is named with a label.
    let input = mask_input(&format!("{both}#3"));
    let over = [&input.each_ref().map(String::as_str)[..], &["-o", &both]].concat();
    fails(4, "is not overwritten", &over);
    assert!(Path::new(&both).exists());
    fails(4, "neither PNG, JPEG, WebP", &["segment", photo, "--model", "demo", "--mask-input", "README.md"]);

    // The same for a video, as an argument and in a script.
    let video = "demo/samples/video1/frames";
    let track = |more: &[&str]| {
        let out = sam2(&[&["track", video, "--model", "demo", "--device", "cpu", "--json"], more].concat());
        (String::from_utf8(out.stdout.clone()).unwrap(), notes(&out))
    };
    let short = ["--max-frames", "1"];
    let (left, silence) = track(&[&["--mask", &format!("0:1:{left}")][..], &short].concat());
    assert_eq!(silence, "");
    assert_eq!(track(&[&["--mask", &format!("0:1:{both}#3")][..], &short].concat()), (left, String::new()));
    assert!(
        track(&[&["--mask", &format!("0:1:{both}")][..], &short].concat()).1.contains("a label picture of 2 labels")
    );
    let script = folder.file("calls.json");
    let calls = r#"[{"op": "add_new_mask", "args": {"frame_idx": 0, "obj_id": 1, "mask": "both.png#7"}}]"#;
    std::fs::write(&script, calls).unwrap();
    assert_eq!(track(&["--script", &script]).1, "");
}

#[test]
fn a_folder_of_every_kind() {
    let folder = Folder::new("folder");
    let (inside, out) = (folder.file("in"), folder.file("out"));
    std::fs::create_dir_all(format!("{inside}/more")).unwrap();
    let names = ["rgb.bmp", "rgb.gif", "lossy.webp", "rgb.tif", "rgb.ppm", "orient1.jpg", "gray.pgm"];
    for name in names {
        std::fs::copy(root().join(GOLDEN).join("pictures").join(name), format!("{inside}/{name}")).unwrap();
    }
    for name in ["notes.txt", "IMG_1.HEIC", ".DS_Store", "Thumbs.db"] {
        std::fs::write(format!("{inside}/{name}"), "").unwrap();
    }
    let auto = ["auto", &inside, "--model", "demo", "--device", "cpu", "--points-per-side", "2", "-o", &out];
    let said = notes(&sam2(&auto));
    assert!(said.contains("7 images; skipped: 2 files and 1 folder (IMG_1.HEIC, more, notes.txt)"), "{said}");
    assert!(said.contains("convert HEIC and AVIF to PNG or JPEG"), "{said}");
    for name in names {
        assert!(Path::new(&format!("{out}/{name}.json")).exists(), "{name}");
    }
    let none = folder.file("none");
    std::fs::create_dir_all(&none).unwrap();
    let start = std::time::Instant::now();
    let auto = ["auto", &none, "--model", "demo", "-o", &folder.file("never")];
    fails(4, "no images; it is empty", &auto);
    std::fs::write(format!("{none}/a.txt"), "").unwrap();
    fails(4, "no images; skipped: 1 file (a.txt)", &auto);
    assert!(start.elapsed().as_secs() < 20, "before the model is loaded");
    assert!(!Path::new(&folder.file("never")).exists());
}

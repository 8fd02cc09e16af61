//! Tests of `sam2 auto`, on an image and on a folder of images.

mod common;

use common::*;
use serde_json::Value;

const SETTINGS: [&str; 8] =
    ["--model", "demo", "--points-per-side", "8", "--stability-score-thresh", "0.8", "--pred-iou-thresh", "0.6"];

fn auto(picture: &str, more: &[&str]) -> String {
    stdout(&[&["auto", picture][..], &SETTINGS, more].concat())
}

fn records(text: &str) -> Vec<Value> {
    let Value::Array(all) = serde_json::from_str(text).unwrap() else { panic!("{text}") };
    all
}

fn segmentation(record: &Value) -> sam2::rle::Rle {
    sam2::rle::Rle::from_coco(record["segmentation"]["counts"].as_str().unwrap(), sam2::Size::new(480, 360)).unwrap()
}

#[test]
fn a_picture() {
    let (folder, picture) = (Folder::new("auto"), "demo/samples/images/image1.png");
    let map = folder.file("all.png");
    let lines = auto(picture, &["-o", &map]);
    let found = records(&auto(picture, &["--json"]));
    assert!(found.len() >= 3 && lines.lines().count() == found.len(), "{lines}");
    let labels = sam2::labels::read(&map).unwrap();
    let overlay = sam2::picture::read(folder.file("all.overlay.png")).unwrap();
    assert_eq!((labels.width, labels.height, overlay.width, overlay.height), (480, 360, 480, 360));
    // Small masks are above large ones, and have the colours of their edges in the overlay.
    let mut want = vec![0u8; 480 * 360];
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_by_key(|&i| found[i]["area"].as_u64().unwrap());
    for &i in order.iter().rev() {
        let mask = segmentation(&found[i]).decode().unwrap();
        want.iter_mut().zip(mask).filter(|(_, on)| *on == 1).for_each(|(label, _)| *label = i as u8 + 1);
    }
    assert_eq!(labels.numbers, want);
    let smallest = order[0] as u8 + 1;
    let top = want.iter().position(|&v| v == smallest).unwrap();
    assert_eq!(labels.palette.unwrap()[3 * smallest as usize..][..3], overlay.pixels[3 * top..][..3]);
    for record in &found {
        let mask = segmentation(record);
        assert_eq!(mask.area(), record["area"].as_u64().unwrap());
        let [x, y, w, h] = mask.bbox().map(|v| v as f64);
        let bbox: Vec<f64> = record["bbox"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        assert_eq!(bbox, [x, y, w - 1.0, h - 1.0]);
        assert!(record["predicted_iou"].as_f64().unwrap() > 0.6 && record["stability_score"].as_f64().unwrap() >= 0.8);
    }
    // The same masks as uncompressed RLE and with outlines.
    let mode = ["--json", "--polygons", "--output-mode", "uncompressed_rle"];
    let more = records(&auto(picture, &mode));
    assert_eq!(more.len(), found.len());
    for (with, record) in more.iter().zip(&found) {
        let rle = segmentation(record);
        assert_eq!(with["segmentation"], serde_json::json!({"size": [360, 480], "counts": rle.counts}));
        let rings: Vec<Vec<u32>> = rle.polygons().unwrap().iter().map(|ring| ring.concat()).collect();
        assert_eq!(with["polygons"], serde_json::json!(rings));
        assert!(record.get("polygons").is_none() && with["area"] == record["area"]);
    }
    fails(2, "--json", &["auto", picture, "--model", "demo", "--polygons"]);
    // Settings that keep no mask.
    assert_eq!(auto(picture, &["--box-nms-thresh", "0.5", "--mask-threshold=99", "--json"]).trim(), "[]");
    fails(4, "points_per_batch", &["auto", picture, "--model", "demo", "--points-per-batch", "0"]);
}

#[test]
fn points_of_ones_own() {
    let (folder, picture) = (Folder::new("auto-points"), "demo/samples/images/image1.png");
    let file = folder.file("grids.json");
    let all = ["--pred-iou-thresh", "0", "--stability-score-thresh", "0", "--json"];
    let args = [&["auto", picture, "--model", "demo", "--point-grids", &file][..], &all].concat();
    std::fs::write(&file, "[[[0.25, 0.5], [0.75, 0.5]]]").unwrap();
    let found = records(&stdout(&args));
    assert!(!found.is_empty());
    for record in found {
        let [x, y] = [0, 1].map(|i| record["point_coords"][0][i].as_f64().unwrap());
        assert!(y == 180.0 && (x == 120.0 || x == 360.0), "{record}");
    }
    for (text, says) in [
        ("[[[0.25, 1.5]]]", "not in 0..1"),
        ("[[[0.25, 0.5]], [[0.5, 0.5]]]", "point_grids"),
        ("[[]]", "points"),
        ("[[[0.25]]]", "grids.json"),
        ("[[[NaN, 0.5]]]", "grids.json"),
        ("", "grids.json"),
    ] {
        std::fs::write(&file, text).unwrap();
        fails(4, says, &args);
    }
    fails(2, "--points-per-side", &[&args[..], &["--points-per-side", "4"]].concat());
    std::fs::remove_file(&file).unwrap();
    // The grids are read before the model is loaded.
    fails(4, "grids.json", &["auto", picture, "--model", "nowhere", "--point-grids", &file]);
}

#[test]
fn a_folder_with_a_bad_file() {
    let folder = Folder::new("auto-folder");
    let (pictures, out) = (folder.0.join("in"), folder.file("out"));
    std::fs::create_dir(&pictures).unwrap();
    std::fs::copy(root().join("demo/samples/images/image1.png"), pictures.join("a.png")).unwrap();
    std::fs::write(pictures.join("b.jpg"), b"\xff\xd8 no picture").unwrap();
    std::fs::copy(root().join("demo/samples/images/image2.png"), pictures.join("c.png")).unwrap();
    std::fs::write(pictures.join("notes.txt"), b"not looked at").unwrap();
    let args = [&["auto", pictures.to_str().unwrap()][..], &SETTINGS, &["-o", &out]].concat();
    fails(4, "1 of 3 images failed", &args);
    let done = folder.0.join("out/a.png.json");
    assert!(records(&std::fs::read_to_string(&done).unwrap()).len() >= 3);
    let map = sam2::labels::read(folder.0.join("out/a.png.labels.png")).unwrap();
    assert!(map.numbers.iter().any(|&label| label > 2));
    assert!(folder.0.join("out/a.png.overlay.png").exists() && !folder.0.join("out/b.jpg.json").exists());
    // Three cells in rows of two. The cell of the damaged image is empty.
    let file = folder.0.join("out/contact_sheet.png");
    let sheet = sam2::picture::read(&file).unwrap();
    assert_eq!((sheet.width, sheet.height), (512, 512));
    let seen = |x: usize, y: usize| {
        (0..256 * 256).any(|i| sheet.pixels[((y + i / 256) * 512 + x + i % 256) * 3..][..3] != [0; 3])
    };
    assert!(seen(0, 0) && !seen(256, 0) && seen(0, 256) && !seen(256, 256));
    // The results of the others equal those of single runs.
    let alone = records(&auto("demo/samples/images/image2.png", &["--json"]));
    assert_eq!(records(&std::fs::read_to_string(folder.0.join("out/c.png.json")).unwrap()), alone);
    // Existing results are not computed again, but are on the contact sheet.
    std::fs::remove_file(folder.0.join("out/c.png.json")).unwrap();
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&done, b"[]").unwrap();
    fails(4, "1 of 3 images failed", &args);
    assert!(sam2::picture::read(&file).unwrap() == sheet);
    std::fs::remove_file(pictures.join("b.jpg")).unwrap();
    let overlay = folder.0.join("out/a.png.overlay.png");
    std::fs::write(&overlay, b"damaged").unwrap();
    let told = String::from_utf8(sam2(&args).stderr).unwrap();
    assert!(told.contains("a.png is not on the contact sheet"), "{told}");
    assert_eq!(std::fs::read(&done).unwrap(), b"[]");
    // Only complete results are not computed again.
    std::fs::remove_file(&overlay).unwrap();
    assert!(sam2(&args).status.success() && overlay.exists());
    assert_ne!(std::fs::read(&done).unwrap(), b"[]");
    fails(2, "--output FOLDER", &["auto", pictures.to_str().unwrap(), "--model", "demo"]);
    // Results in the folder of the images would be read as images in the next run.
    let (here, same) = (pictures.to_str().unwrap(), pictures.join("../in"));
    let before = std::fs::read_dir(&pictures).unwrap().count();
    fails(4, "is not overwritten", &["auto", here, "--model", "demo", "-o", same.to_str().unwrap()]);
    assert_eq!(std::fs::read_dir(&pictures).unwrap().count(), before);
    let picture = pictures.join("a.png");
    let picture = picture.to_str().unwrap();
    fails(4, "is not overwritten", &["auto", picture, "--model", "demo", "-o", picture]);
}

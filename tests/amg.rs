//! Automatic masks against the reference, in every setting, and features that the reference does not have.

mod common;

use common::*;
use sam2::picture::Picture;
use sam2::{
    AutomaticMask, AutomaticMaskGeneratorOptions, Error, Frame, GenerateControl, Model, PixelFormat, Plane, Progress,
    Size, Yuv, YuvMatrix, YuvRange, rle::Rle,
};
use sam2_cuda::Cuda;
use sam2_cuda::emulator::Emulator;
use serde_json::Value;
use std::time::Duration;

const CASES: [&str; 8] = ["grid8_zero", "grid8", "crops", "crops_downscale", "single", "m2m", "no_filter", "min_area"];

/// A case of the reference: its options, and its results.
fn golden(case: &str) -> (AutomaticMaskGeneratorOptions, Vec<Value>) {
    let text = std::fs::read_to_string(file(&format!("tests/data/golden/mini21/amg_{case}.json"))).unwrap();
    let Value::Object(mut all) = serde_json::from_str(&text.replace(": NaN", ": null")).unwrap() else { panic!() };
    let mut o = AutomaticMaskGeneratorOptions::default();
    for (name, v) in all["options"].as_object().unwrap() {
        let (int, real) = (v.as_u64().unwrap_or(0) as usize, v.as_f64().unwrap_or(0.0) as f32);
        match name.as_str() {
            "points_per_side" => o.points_per_side = Some(int),
            "points_per_batch" => o.points_per_batch = int,
            "pred_iou_thresh" => o.pred_iou_thresh = real,
            "stability_score_thresh" => o.stability_score_thresh = real,
            "stability_score_offset" => o.stability_score_offset = real,
            "mask_threshold" => o.mask_threshold = real,
            "box_nms_thresh" => o.box_nms_thresh = real,
            "crop_n_layers" => o.crop_n_layers = int,
            "crop_n_points_downscale_factor" => o.crop_n_points_downscale_factor = int,
            "min_mask_region_area" => o.min_mask_region_area = int,
            "use_m2m" => o.use_m2m = v.as_bool().unwrap(),
            "multimask_output" => o.multimask_output = v.as_bool().unwrap(),
            other => panic!("{other}"),
        }
    }
    let Value::Array(records) = all.remove("records").unwrap() else { panic!() };
    (o, records)
}

fn numbers(v: &Value) -> Vec<f32> {
    v.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

fn iou(a: &Rle, b: &Rle) -> f64 {
    let (a, b) = (a.decode().unwrap(), b.decode().unwrap());
    let count = |f: fn(u8, u8) -> bool| a.iter().zip(&b).filter(|(a, b)| f(**a, **b)).count() as f64;
    let union = count(|a, b| a + b > 0);
    if union == 0.0 { 1.0 } else { count(|a, b| a * b > 0) / union }
}

/// The same records in the same order, except that records with scores closer than rounding may be exchanged.
fn agree(case: &str, got: &[AutomaticMask], want: &[Value]) {
    let boxes = |r: &AutomaticMask| (r.bbox, r.predicted_iou);
    assert_eq!(got.len(), want.len(), "{case}: {:?}", got.iter().map(boxes).collect::<Vec<_>>());
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        let close = |name: &str, got: f32| match w[name].as_f64() {
            None => assert!(got.is_nan(), "{case} {i}: {name} {got}"),
            Some(want) => assert!((got - want as f32).abs() <= 1e-3, "{case} {i}: {name} {got}, {want}"),
        };
        close("predicted_iou", g.predicted_iou);
        close("stability_score", g.stability_score);
        assert_eq!(g.bbox.to_vec(), numbers(&w["bbox"]), "{case} {i}");
        assert_eq!(g.crop_box.to_vec(), numbers(&w["crop_box"]), "{case} {i}");
        assert_eq!(g.point_coords.to_vec(), numbers(&w["point_coords"][0]), "{case} {i}");
        let size = numbers(&w["rle"]["size"]);
        let counts = w["rle"]["counts"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect();
        let there = Rle { height: size[0] as usize, width: size[1] as usize, counts };
        assert!(iou(&g.segmentation, &there) >= 0.999, "{case} {i}: IoU {}", iou(&g.segmentation, &there));
        assert_eq!(g.area, g.segmentation.area(), "{case} {i}");
        if g.segmentation == there {
            assert_eq!(g.segmentation.to_coco().unwrap(), w["coco"]["counts"].as_str().unwrap(), "{case} {i}");
        }
    }
}

fn find(model: &Model, o: &AutomaticMaskGeneratorOptions, frame: &Frame<'_>) -> Vec<AutomaticMask> {
    model.automatic_mask_generator(o.clone()).unwrap().generate(frame).unwrap()
}

#[test]
fn every_setting_agrees_with_the_reference() {
    let mini = Mini::load("mini21");
    let picture = sam2::picture::read(file("tests/data/inputs/coffee.png")).unwrap();
    for case in CASES {
        let (options, want) = golden(case);
        let got = find(&mini.model, &options, &picture.frame().unwrap());
        agree(case, &got, &want);
        // For any number of points at once.
        let few = AutomaticMaskGeneratorOptions { points_per_batch: 5, ..options };
        // Compared as text, since some scores are not a number.
        let text = |masks: &[AutomaticMask]| format!("{masks:?}");
        assert_eq!(text(&find(&mini.model, &few, &picture.frame().unwrap())), text(&got), "{case}");
    }
}

#[test]
fn on_the_emulator() {
    let mini = Mini::on("mini21", Cuda::on(Emulator::new(3)));
    let picture = sam2::picture::read(file("tests/data/inputs/coffee.png")).unwrap();
    let (options, want) = golden("no_filter");
    agree("no_filter", &find(&mini.model, &options, &picture.frame().unwrap()), &want);
}

/// Two images of different sizes, and their masks with few points.
fn two_pictures(model: &Model, crop_n_layers: usize) -> ([Picture; 2], AutomaticMaskGeneratorOptions, [String; 2]) {
    let coffee = sam2::picture::read(file("tests/data/inputs/coffee.png")).unwrap();
    let pixels = (0..97 * 60).map(|i| (i % 97 * 2 + i / 97) as u8).collect();
    let gray = Picture { pixels, width: 97, height: 60, format: PixelFormat::Gray8 };
    let options = AutomaticMaskGeneratorOptions {
        points_per_side: Some(2),
        crop_n_layers,
        pred_iou_thresh: 0.0,
        stability_score_thresh: 0.0,
        ..Default::default()
    };
    // Compared as text, since some scores are not a number.
    let alone = [&coffee, &gray].map(|p| format!("{:?}", find(model, &options, &p.frame().unwrap())));
    assert!(alone.iter().all(|text| text.contains("segmentation")), "{alone:?}");
    ([coffee, gray], options, alone)
}

/// Images of a batch give the same masks as alone, whatever is between them.
#[test]
fn pictures_one_after_another() {
    let mini = Mini::load("mini21");
    let ([coffee, gray], options, alone) = two_pictures(&mini.model, 1);
    let mut generator = mini.model.automatic_mask_generator(options).unwrap();
    let bad = || Err(Error::Input("a bad file".into()));
    let pictures = [Ok(&coffee), bad(), Ok(&gray), Ok(&gray), bad(), Ok(&coffee), Ok(&gray)];
    let mut batch = generator.generate_batch(pictures);
    let mut seen = Vec::new();
    // The fourth ends before its crops are processed.
    for i in 0.. {
        let mut go_on = |_| i != 3;
        let Some(found) = batch.next_with(GenerateControl { progress: &mut go_on, budget: None }) else { break };
        seen.push(found.map(|(picture, found)| (picture.width, found.complete, format!("{:?}", found.masks))));
    }
    assert!(batch.next().is_none() && seen.len() == 7 && seen[1].is_err() && seen[4].is_err());
    for (i, want) in [(0, 0), (2, 1), (5, 0), (6, 1)] {
        let width = [coffee.width, gray.width][want];
        assert_eq!(seen[i].as_ref().unwrap(), &(width, true, alone[want].clone()), "{i}");
    }
    let (width, complete, masks) = seen[3].as_ref().unwrap();
    assert!(*width == 97 && !complete && masks != &alone[1]);
    // A budget is for the whole call, including the time to take the image.
    let slow = [Ok(&gray)].into_iter().inspect(|_| std::thread::sleep(Duration::from_millis(500)));
    let short = GenerateControl { progress: &mut |_| true, budget: Some(Duration::from_millis(500)) };
    assert!(!generator.generate_batch(slow).next_with(short).unwrap().unwrap().1.complete);
    // The CPU starts nothing ahead.
    let mut taken = 0;
    let mut batch = generator.generate_batch([Ok(&gray), Ok(&gray)].into_iter().inspect(|_| taken += 1));
    batch.next().unwrap().unwrap();
    assert_eq!(taken, 1);
}

/// A device that works by itself starts the next image before the masks of the current one are returned.
#[test]
fn pictures_one_after_another_on_the_emulator() {
    let mini = Mini::on("mini21", Cuda::on(Emulator::new(3)));
    let ([coffee, gray], options, alone) = two_pictures(&mini.model, 0);
    let mut generator = mini.model.automatic_mask_generator(options).unwrap();
    let taken = std::cell::Cell::new(0);
    let pictures = [Ok(&coffee), Ok(&gray), Err(Error::Input("a bad file".into()))];
    let mut batch = generator.generate_batch(pictures.into_iter().inspect(|_| taken.set(taken.get() + 1)));
    for (i, want) in alone.iter().enumerate() {
        let (_, masks) = batch.next().unwrap().unwrap();
        assert_eq!((taken.get(), &format!("{masks:?}")), (i + 2, want));
    }
    assert!(batch.next().unwrap().is_err() && batch.next().is_none());
}

/// Crops of an image are the same in every pixel format.
#[test]
fn crops_of_every_format() {
    let mini = Mini::load("mini21");
    let (options, _) = golden("crops");
    let (w, h) = (61usize, 47usize);
    let gray: Vec<u8> = (0..w * h).map(|i| (i % w * 3 + i / w * 2 + i * i / 37 % 50) as u8).collect();
    let rgb: Vec<u8> = gray.iter().flat_map(|&v| [v; 3]).collect();
    let want = find(&mini.model, &options, &Frame::rgb8(&rgb, Size::new(w, h)).unwrap());
    assert!(want.iter().any(|m| m.crop_box[2] < w as f32), "{want:?}");
    let upside: Vec<u8> = rgb.chunks(w * 3).rev().flatten().copied().collect();
    let (chroma, yuv) = (vec![128u8; h.div_ceil(2) * (w + 1)], Yuv { matrix: YuvMatrix::Bt709, range: YuvRange::Full });
    let nv12 = [Plane::new(&gray, w), Plane::new(&chroma, w + 1)];
    for frame in [
        Frame::rgb8(&upside, Size::new(w, h)).map(Frame::flipped),
        Frame::new(PixelFormat::Gray8, &gray, Size::new(w, h), w),
        Frame::planes(PixelFormat::Nv12(yuv), &nv12, Size::new(w, h)),
    ] {
        assert_eq!(find(&mini.model, &options, &frame.unwrap()), want);
    }
}

/// The search can be limited, and returns the masks so far.
#[test]
fn a_search_ends_when_it_should() {
    let mini = Mini::load("mini21");
    let picture = sam2::picture::read(file("tests/data/inputs/coffee.png")).unwrap();
    let (frame, (options, _)) = (picture.frame().unwrap(), golden("min_area"));
    let all = find(&mini.model, &options, &frame);
    let mut generator = mini.model.automatic_mask_generator(options).unwrap();
    let mut seen: Vec<Progress> = Vec::new();
    let mut progress = |p: Progress| {
        seen.push(p);
        true
    };
    let whole = generator
        .generate_with(&frame, GenerateControl { progress: &mut progress, budget: Some(Duration::MAX) })
        .unwrap();
    assert_eq!((whole.masks, whole.complete), (all.clone(), true));
    assert_eq!(seen.iter().map(|p| (p.points, p.of)).collect::<Vec<_>>(), [(24, 64), (48, 64), (64, 64)]);
    assert!(seen[2].masks >= all.len());

    let mut first = |p: Progress| p.points < 24;
    let part = generator.generate_with(&frame, GenerateControl { progress: &mut first, budget: None }).unwrap();
    assert!(
        !part.complete && !part.masks.is_empty() && part.masks.iter().all(|m| m.point_coords[1] < 131.0 * 3.0 / 8.0)
    );
    let none = GenerateControl { progress: &mut |_| true, budget: Some(Duration::ZERO) };
    assert_eq!(generator.generate_with(&frame, none).unwrap(), part, "one batch at least");
    assert_eq!(generator.generate(&frame).unwrap(), all, "and afterwards as before");
}

/// Crops without pixels are left out, and the other crops are unaffected.
#[test]
fn crops_of_tiny_pictures() {
    let mini = Mini::load("mini21");
    let pixels: Vec<u8> = (0..20 * 300 * 3).map(|i| (i * 7 % 251) as u8).collect();
    for (width, height) in [(1, 1), (1, 9), (9, 1), (10, 10), (300, 20)] {
        for crop_n_layers in if width == 300 { 3..4 } else { 1..5 } {
            let options = AutomaticMaskGeneratorOptions {
                points_per_side: Some(1),
                points_per_batch: usize::MAX,
                pred_iou_thresh: 0.0,
                stability_score_thresh: 0.0,
                box_nms_thresh: 1.0,
                crop_nms_thresh: 1.0,
                crop_n_layers,
                min_mask_region_area: usize::MAX,
                ..Default::default()
            };
            let frame = Frame::rgb8(&pixels[..3 * width * height], Size::new(width, height)).unwrap();
            for m in find(&mini.model, &options, &frame) {
                let [left, top, w, h] = m.crop_box;
                assert!(w >= 1.0 && h >= 1.0 && left + w <= width as f32 && top + h <= height as f32, "{m:?}");
                assert_eq!((m.segmentation.width, m.segmentation.height), (width, height));
                assert!(m.area as usize <= width * height);
            }
        }
    }
}

#[test]
fn settings_that_keep_nothing_or_mean_nothing() {
    let mini = Mini::load("mini21");
    let picture = sam2::picture::read(file("tests/data/inputs/coffee.png")).unwrap();
    let base = AutomaticMaskGeneratorOptions { points_per_side: Some(2), ..Default::default() };
    let strict = AutomaticMaskGeneratorOptions { pred_iou_thresh: 2.0, ..base.clone() };
    assert_eq!(find(&mini.model, &strict, &picture.frame().unwrap()), []);
    let four = vec![[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]];
    let own = AutomaticMaskGeneratorOptions { points_per_side: None, point_grids: Some(vec![four]), ..base.clone() };
    assert_eq!(find(&mini.model, &own, &picture.frame().unwrap()), find(&mini.model, &base, &picture.frame().unwrap()));
    type Change = fn(&mut AutomaticMaskGeneratorOptions);
    let grids: [Change; 8] = [
        |o| o.points_per_side = Some(2),
        |o| o.point_grids = None,
        |o| o.crop_n_layers = 1,
        |o| o.point_grids = Some(vec![vec![[0.5, 0.5]]; 2]),
        |o| o.point_grids = Some(vec![]),
        |o| o.point_grids = Some(vec![vec![]]),
        |o| o.point_grids = Some(vec![vec![[0.5, 1.5]]]),
        |o| o.point_grids = Some(vec![vec![[0.5, 0.5], [f64::NAN, 0.5]]]),
    ];
    let changes: [Change; 17] = [
        |o| o.points_per_side = Some(0),
        |o| o.points_per_side = Some(5000),
        |o| o.points_per_batch = 0,
        |o| o.pred_iou_thresh = f32::NAN,
        |o| o.stability_score_offset = f32::INFINITY,
        |o| o.crop_overlap_ratio = 1.0,
        |o| o.crop_overlap_ratio = -0.1,
        |o| o.crop_overlap_ratio = f64::NAN,
        |o| o.crop_overlap_ratio = f64::INFINITY,
        |o| o.crop_overlap_ratio = 1e300,
        |o| o.crop_n_layers = 7,
        |o| o.crop_n_layers = 64,
        |o| o.crop_n_layers = usize::MAX,
        |o| o.points_per_side = Some(usize::MAX),
        |o| (o.crop_n_layers, o.crop_n_points_downscale_factor) = (6, usize::MAX),
        |o| (o.crop_n_layers, o.crop_n_points_downscale_factor) = (2, 2),
        |o| o.crop_n_points_downscale_factor = 0,
    ];
    let all = grids.into_iter().map(|c| (&own, c)).chain(changes.into_iter().map(|c| (&base, c)));
    for (i, (from, change)) in all.enumerate() {
        let mut options = from.clone();
        change(&mut options);
        assert!(matches!(mini.model.automatic_mask_generator(options), Err(Error::Input(_))), "{i}");
    }
}

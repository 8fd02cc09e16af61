//! The demo model does on its samples what its model card says, measured as the card's figures were.

mod common;

use common::*;
use sam2::{Frames, Masks, PredictOptions, Prompt};

/// IoU by click and by box of each object of each sample, from the model card.
const CARD: [(&[f32], &[f32]); 6] = [
    (&[0.677, 0.51, 0.768, 0.915], &[0.826, 0.488, 0.828, 0.933]),
    (&[0.939, 0.87, 0.849], &[0.928, 0.896, 0.874]),
    (&[0.369, 0.752, 0.629, 0.913, 0.932, 0.571], &[0.735, 0.774, 0.732, 0.93, 0.924, 0.912]),
    (&[0.919, 0.846, 0.714, 0.714], &[0.921, 0.854, 0.704, 0.766]),
    (&[0.745, 0.757, 0.841, 0.644, 0.598, 0.411], &[0.772, 0.003, 0.778, 0.587, 0.657, 0.429]),
    (&[0.901, 0.885, 0.786, 0.684, 0.906], &[0.88, 0.749, 0.755, 0.928, 0.956]),
];

/// The palette indices of a PNG.
fn labels(path: &str) -> Vec<u8> {
    sam2::labels::read(file(path)).unwrap().numbers
}

fn iou(mask: &[u8], labels: &[u8], object: u8) -> f32 {
    let pairs = mask.iter().zip(labels).map(|(&m, &l)| (m != 0, l == object));
    let (both, any) = pairs.fold((0, 0), |(both, any), (m, l)| (both + (m && l) as u32, any + (m || l) as u32));
    both as f32 / any as f32
}

#[test]
fn samples_are_segmented_as_the_model_card_says() {
    let mut predictor = demo().image_predictor(Default::default()).unwrap();
    for (i, (clicks, boxes)) in CARD.iter().enumerate() {
        let name = format!("demo/samples/images/image{}", i + 1);
        let picture = sam2::picture::read(file(&format!("{name}.png"))).unwrap();
        let labels = labels(&format!("{name}_mask.png"));
        let text = std::fs::read_to_string(file(&format!("{name}.json"))).unwrap();
        let objects: serde_json::Value = serde_json::from_str(&text).unwrap();
        let objects = objects["objects"].as_object().unwrap();
        assert_eq!(objects.len(), clicks.len());
        predictor.set_image(&picture.frame().unwrap()).unwrap();
        for (j, (id, object)) in objects.iter().enumerate() {
            let number = |key: &str, n: usize| object[key][n].as_f64().unwrap() as f32;
            let click = Prompt::new().point(number("click", 0), number("click", 1), 1);
            let bounds = Prompt::new().bounds([0, 1, 2, 3].map(|n| number("box", n)));
            for (prompt, multimask_output, want) in [(click, true, clicks[j]), (bounds, false, boxes[j])] {
                let options = PredictOptions { multimask_output, ..Default::default() };
                let p = predictor.predict(&[prompt], options).unwrap();
                let Masks::Binary(masks) = &p.masks else { panic!() };
                let mask = &masks[p.best(0) * labels.len()..][..labels.len()];
                let got = iou(mask, &labels, id.parse().unwrap());
                assert!((got - want).abs() <= 0.002, "{name} object {id}: IoU {got}, the card says {want}");
            }
        }
    }
}

/// Mean IoU of each object over all frames but the first, from one click there, from the model card.
const VIDEOS: [&[f32]; 3] = [&[0.919, 0.943], &[0.939, 0.922, 0.924], &[0.462, 0.796, 0.584, 0.261]];

#[test]
fn objects_are_followed_as_the_model_card_says() {
    let model = demo();
    for (i, want) in VIDEOS.iter().enumerate() {
        let name = format!("demo/samples/video{}", i + 1);
        let text = std::fs::read_to_string(file(&format!("{name}/prompts.json"))).unwrap();
        let objects: serde_json::Value = serde_json::from_str(&text).unwrap();
        let frames = Frames::folder(file(&format!("{name}/frames"))).unwrap();
        let mut predictor = model.video_predictor(frames, Default::default()).unwrap();
        for (id, object) in objects["objects"].as_object().unwrap() {
            let number = |n: usize| object["click"][n].as_f64().unwrap() as f32;
            let click = Prompt::new().point(number(0), number(1), 1);
            predictor.add_new_points_or_box(0, id.parse().unwrap(), &click, true, true).unwrap();
        }
        let (mut sums, mut frames) = (vec![0.0; want.len()], 0);
        predictor
            .propagate_in_video(None, None, false, |masks| {
                if masks.frame_idx > 0 {
                    frames += 1;
                    let labels = labels(&format!("{name}/masks/{:05}.png", masks.frame_idx));
                    for (k, (logits, &id)) in masks.masks.chunks(labels.len()).zip(&masks.obj_ids).enumerate() {
                        let mask: Vec<u8> = logits.iter().map(|&v| (v > 0.0) as u8).collect();
                        // An object that is not there and was not found counts 1.
                        let seen = labels.iter().any(|&l| i64::from(l) == id) || mask.contains(&1);
                        sums[k] += if seen { iou(&mask, &labels, id as u8) } else { 1.0 };
                    }
                }
                true
            })
            .unwrap();
        for (k, (sum, want)) in sums.iter().zip(*want).enumerate() {
            let got = sum / frames as f32;
            assert!(got >= want - 0.01, "{name} object {k}: J {got}, the card says {want}");
        }
    }
}

//! The demo's samples: their objects, and how well they are tracked.

use super::file;
use super::masks::iou;
use sam2::{Direction, Frames, Model, Prompt};

/// An object of a sample: the number of its pixels, a click on it and its box.
pub struct Object {
    pub id: u8,
    pub click: Prompt<'static>,
    pub bounds: Prompt<'static>,
}

/// The objects of an image or video, from its description.
fn objects(description: &str) -> Vec<Object> {
    let text = std::fs::read_to_string(file(description)).unwrap();
    let sample: serde_json::Value = serde_json::from_str(&text).unwrap();
    let object = |(id, said): (&String, &serde_json::Value)| {
        let number = |key: &str, n: usize| said[key][n].as_f64().unwrap() as f32;
        let click = Prompt::new().point(number("click", 0), number("click", 1), 1);
        let bounds = Prompt::new().bounds([0, 1, 2, 3].map(|n| number("box", n)));
        Object { id: id.parse().unwrap(), click, bounds }
    };
    sample["objects"].as_object().unwrap().iter().map(object).collect()
}

/// The objects of an image.
pub fn sample_objects(name: &str) -> Vec<Object> {
    objects(&format!("{name}.json"))
}

/// The click and the box of each object of an image.
pub fn sample_prompts(name: &str) -> Vec<Prompt<'static>> {
    sample_objects(name).into_iter().flat_map(|object| [object.click, object.bounds]).collect()
}

/// The object of each pixel of an image or frame, 0 for none.
pub fn sample_labels(path: &str) -> Vec<u8> {
    sam2::labels::read(file(path)).unwrap().numbers
}

/// The mean IoU of each object of a video over all frames except the first, where it is clicked. An object that is
/// absent from a frame and from its mask counts 1.
pub fn followed(model: &Model, name: &str) -> Vec<f64> {
    let objects = objects(&format!("{name}/prompts.json"));
    let frames = Frames::folder(file(&format!("{name}/frames"))).unwrap();
    let mut predictor = model.video_predictor(frames, Default::default()).unwrap();
    for object in &objects {
        predictor.add_new_points_or_box(0, object.id.into(), &object.click, Default::default()).unwrap();
    }
    let (mut sums, mut frames) = (vec![0.0; objects.len()], 0);
    predictor
        .propagate_in_video(None, None, Direction::Forward, |masks| {
            if masks.frame_idx > 0 {
                frames += 1;
                let labels = sample_labels(&format!("{name}/masks/{:05}.png", masks.frame_idx));
                for ((sum, object), logits) in sums.iter_mut().zip(&objects).zip(masks.masks.chunks(labels.len())) {
                    *sum += iou(logits.iter().zip(&labels).map(|(&v, &label)| (v > 0.0, label == object.id)));
                }
            }
            true
        })
        .unwrap();
    sums.iter().map(|sum| sum / f64::from(frames)).collect()
}

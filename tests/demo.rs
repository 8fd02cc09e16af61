//! The demo model's results on its samples equal the figures of its model card, measured in the same way.

mod common;

use common::masks::iou;
use common::samples::*;
use common::*;
use sam2::{Masks, PredictOptions};

/// The IoU by click and by box of each object of each sample, from the model card.
const CARD: [(&[f64], &[f64]); 6] = [
    (&[0.677, 0.51, 0.768, 0.915], &[0.826, 0.488, 0.828, 0.933]),
    (&[0.939, 0.87, 0.849], &[0.928, 0.896, 0.874]),
    (&[0.369, 0.752, 0.629, 0.913, 0.932, 0.571], &[0.735, 0.774, 0.732, 0.93, 0.924, 0.912]),
    (&[0.919, 0.846, 0.714, 0.714], &[0.921, 0.854, 0.704, 0.766]),
    (&[0.745, 0.757, 0.841, 0.644, 0.598, 0.411], &[0.772, 0.003, 0.778, 0.587, 0.657, 0.429]),
    (&[0.901, 0.885, 0.786, 0.684, 0.906], &[0.88, 0.749, 0.755, 0.928, 0.956]),
];

#[test]
fn samples_are_segmented_as_the_model_card_says() {
    let mut predictor = demo().image_predictor(Default::default()).unwrap();
    for (i, (clicks, boxes)) in CARD.iter().enumerate() {
        let name = format!("demo/samples/images/image{}", i + 1);
        let picture = sam2::picture::read(file(&format!("{name}.png"))).unwrap();
        let (objects, labels) = (sample_objects(&name), sample_labels(&format!("{name}_mask.png")));
        assert_eq!(objects.len(), clicks.len());
        predictor.set_image(&picture.frame().unwrap()).unwrap();
        for (j, Object { id, click, bounds }) in objects.into_iter().enumerate() {
            for (prompt, multimask_output, want) in [(click, true, clicks[j]), (bounds, false, boxes[j])] {
                let options = PredictOptions { multimask_output, ..Default::default() };
                let p = predictor.predict(&[prompt], options).unwrap();
                let Masks::Binary(masks) = &p.masks else { panic!() };
                let mask = &masks[p.best(0) * labels.len()..][..labels.len()];
                let got = iou(mask.iter().zip(&labels).map(|(&m, &label)| (m != 0, label == id)));
                assert!((got - want).abs() <= 0.002, "{name} object {id}: IoU {got}, the card says {want}");
            }
        }
    }
}

/// The mean IoU of each object over all frames except the first, after one click there, from the model card.
const VIDEOS: [&[f64]; 3] = [&[0.919, 0.943], &[0.939, 0.922, 0.924], &[0.462, 0.796, 0.584, 0.261]];

#[test]
fn objects_are_followed_as_the_model_card_says() {
    let model = demo();
    for (i, want) in VIDEOS.iter().enumerate() {
        let name = format!("demo/samples/video{}", i + 1);
        let found = followed(&model, &name);
        assert_eq!(found.len(), want.len());
        for (k, (got, want)) in found.iter().zip(*want).enumerate() {
            assert!(*got >= want - 0.01, "{name} object {k}: J {got}, the card says {want}");
        }
    }
}

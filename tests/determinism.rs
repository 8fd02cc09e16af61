//! The same bits for any number of threads, any batch, and any other users of the model.

mod common;

use common::*;
use sam2::{Error, ImagePredictorOptions, LoadOptions, Model, PredictOptions, Prediction, Prompt};

fn load(threads: usize) -> Model {
    sam2::load(file("demo"), &LoadOptions { threads, ..options() }).unwrap()
}

fn prompts(seed: usize) -> Vec<Prompt<'static>> {
    let at = |i: usize| ((i * 7919 + seed * 104_729) % 479) as f32 * 0.75;
    (0..13)
        .map(|i| match i % 4 {
            0 => Prompt::new().point(at(i), at(i + 1), 1),
            1 => Prompt::new().bounds([at(i) * 0.3, at(i + 1) * 0.3, 120.0 + at(i + 2), 110.0 + at(i + 3)]),
            2 => (0..6).fold(Prompt::new(), |p, j| p.point(at(i + j), at(i + 2 * j), (j % 2) as i32)),
            _ => Prompt::new().bounds([5.0, 6.0, 300.0, 200.0]).point(at(i), at(i + 5), 0),
        })
        .collect()
}

fn run(model: &Model, image: usize, seed: usize) -> (Prediction, Vec<f32>) {
    let options = ImagePredictorOptions { max_hole_area: 5.0, ..Default::default() };
    let mut predictor = model.image_predictor(options).unwrap();
    let picture = sam2::picture::read(file(&format!("demo/samples/images/image{image}.png"))).unwrap();
    predictor.set_image(&picture.frame().unwrap()).unwrap();
    let options = PredictOptions { return_logits: true, ..Default::default() };
    (predictor.predict(&prompts(seed), options).unwrap(), predictor.get_image_embedding().unwrap().values)
}

#[test]
fn any_number_of_threads() {
    let want = run(&load(1), 1, 1);
    for threads in [2, 3, 8] {
        assert!(run(&load(threads), 1, 1) == want, "{threads} threads");
    }
}

#[test]
fn eight_threads_on_one_model() {
    let model = load(2);
    let serial: Vec<_> = (0..8).map(|i| run(&model, i % 6 + 1, i)).collect();
    for _ in 0..3 {
        let parallel: Vec<_> = std::thread::scope(|scope| {
            let model = &model;
            let threads: Vec<_> = (0..8).map(|i| scope.spawn(move || run(model, i % 6 + 1, i))).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(parallel == serial);
    }
}

#[test]
fn prompts_alone_or_in_a_batch() {
    let model = load(2);
    for multimask_output in [true, false] {
        let mut predictor = model.guarded_image_predictor(Default::default()).unwrap();
        let picture = sam2::picture::read(file("demo/samples/images/image3.png")).unwrap();
        predictor.set_image(&picture.frame().unwrap()).unwrap();
        let options = PredictOptions { multimask_output, return_logits: true, normalize_coords: true };
        let low = vec![0.25; predictor.mask_side() * predictor.mask_side()];
        let mut prompts = prompts(5);
        prompts[4].mask_input = Some(&low);
        prompts.push(Prompt::new());
        let all = predictor.predict(&prompts, options).unwrap();
        let n = all.masks_per_prompt;
        let side = predictor.mask_side();
        for (i, prompt) in prompts.iter().enumerate() {
            let one = predictor.predict(std::slice::from_ref(prompt), options).unwrap();
            assert_eq!(one.iou_predictions, all.iou_predictions[i * n..][..n], "prompt {i}");
            assert_eq!(one.low_res_masks, all.low_res_masks[i * n * side * side..][..n * side * side], "prompt {i}");
            assert_eq!(one.object_score_logits, all.object_score_logits[i..i + 1], "prompt {i}");
        }
    }
}

#[test]
fn pictures_alone_or_in_a_batch() {
    let model = load(2);
    let pictures: Vec<_> =
        (1..=3).map(|i| sam2::picture::read(file(&format!("demo/samples/images/image{i}.png"))).unwrap()).collect();
    let frames: Vec<_> = pictures.iter().map(|p| p.frame().unwrap()).collect();
    let (a, b, none) = (prompts(1), prompts(2)[..3].to_vec(), []);
    let sets: [&[Prompt<'_>]; 3] = [&a, &none, &b];
    let mut predictor = model.image_predictor(Default::default()).unwrap();
    predictor.set_image_batch(&frames).unwrap();
    let batch = predictor.predict_batch(&sets, Default::default()).unwrap();
    assert!(matches!(predictor.predict(&a, Default::default()), Err(Error::Input(_))), "which picture?");
    assert!(matches!(predictor.predict_batch(&sets[..2], Default::default()), Err(Error::Input(_))));
    for (i, (frame, prompts)) in frames.iter().zip(sets).enumerate() {
        predictor.set_image(frame).unwrap();
        assert_eq!(predictor.predict(prompts, Default::default()).unwrap(), batch[i], "picture {i}");
    }
    predictor.reset_predictor();
    assert!(matches!(predictor.predict(&a, Default::default()), Err(Error::Input(_))), "no picture");
    assert!(matches!(predictor.get_image_embedding(), Err(Error::Input(_))), "no picture");
}

//! The CUDA backend end to end on the emulator: the same kernels, launches, arenas and recordings as on a GPU.

mod common;

use common::*;
use sam2::engine::Model;
use sam2::{Checkpoint, Config, Error, ImagePredictor, Masks, Precision, PredictOptions, Prediction, Prompt, Variant};
use sam2_cuda::{Cuda, emulator::Emulator};
use std::sync::atomic::Ordering;

fn load(device: Emulator, precision: Precision) -> sam2::Result<Model> {
    let checkpoint = Checkpoint::open(file("demo/sam2.1_hiera_demo.safetensors"))?;
    let config = Config::parse(Variant::of(&checkpoint)?.yaml, &[], true)?;
    Model::load(Cuda::on(device), &checkpoint, &config, precision)
}

/// The clicks and boxes of a sample's objects, as its description has them.
fn prompts(sample: usize) -> Vec<Prompt<'static>> {
    let text = std::fs::read_to_string(file(&format!("demo/samples/images/image{sample}.json"))).unwrap();
    let sample: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut prompts = Vec::new();
    for object in sample["objects"].as_object().unwrap().values() {
        let number = |key: &str, n: usize| object[key][n].as_f64().unwrap() as f32;
        prompts.push(Prompt::new().point(number("click", 0), number("click", 1), 1));
        prompts.push(Prompt::new().bounds([0, 1, 2, 3].map(|n| number("box", n))));
    }
    prompts
}

/// Three masks of each, and one.
fn predict(predictor: &mut ImagePredictor, prompts: &[Prompt<'_>]) -> sam2::Result<Vec<Prediction>> {
    [true, false]
        .into_iter()
        .map(|multimask_output| predictor.predict(prompts, PredictOptions { multimask_output, ..Default::default() }))
        .collect()
}

fn binary(p: &Prediction) -> &[u8] {
    let Masks::Binary(masks) = &p.masks else { panic!("binary masks were asked for") };
    masks
}

/// IoU of every mask with the other prediction's.
fn ious(a: &Prediction, b: &Prediction) -> Vec<f64> {
    let size = a.width * a.height;
    let iou = |x: &[u8], y: &[u8]| {
        let (both, any) =
            x.iter().zip(y).fold((0, 0), |(both, any), (x, y)| (both + (x & y) as u32, any + (x | y) as u32));
        if any == 0 { 1.0 } else { both as f64 / any as f64 }
    };
    binary(a).chunks(size).zip(binary(b).chunks(size)).map(|(x, y)| iou(x, y)).collect()
}

#[test]
fn the_demo_model_gives_the_masks_of_the_cpu() {
    let picture = sam2::picture::read(file("demo/samples/images/image1.png")).unwrap();
    let mut cpu = demo().image_predictor(Default::default()).unwrap();
    cpu.set_image(&picture.frame().unwrap()).unwrap();
    let prompts = prompts(1);
    let want = predict(&mut cpu, &prompts).unwrap();
    for (precision, least) in [(Precision::F32, 0.999), (Precision::Bf16, 0.99), (Precision::F16, 0.998)] {
        let model = load(Emulator::new(7), precision).unwrap();
        let mut predictor = model.guarded_image_predictor(Default::default()).unwrap();
        predictor.set_image(&picture.frame().unwrap()).unwrap();
        for (got, want) in predict(&mut predictor, &prompts).unwrap().iter().zip(&want) {
            let ious = ious(got, want);
            eprintln!("{precision:?}: IoU {ious:.4?}");
            // Where the model believes its mask, that is; others hang by logits near 0, and in 16 bits some fall.
            let mut excused = 0;
            for (i, &iou) in ious.iter().enumerate() {
                let (believed, own) = (want.iou_predictions[i], got.iou_predictions[i]);
                // Which mask is the single one is a decision of its own: by the share of logits near 0.
                if (believed - own).abs() > 0.004 {
                    excused += 1;
                    continue;
                }
                let least = if believed >= 0.6 { least } else { 10.0 * least - 9.0 };
                assert!(iou >= least, "{precision:?}, mask {i}: IoU {iou}, believed {believed} and {own}");
            }
            assert!(excused <= (precision != Precision::F32) as usize, "{precision:?}: {excused} others were chosen");
        }
    }
}

/// Recorded work, replayed, does what the same work does eagerly; and a call waits once.
#[test]
fn replay_equals_eager() {
    let model = load(Emulator::new(3), Precision::Bf16).unwrap();
    let pictures = [1, 2].map(|i| sam2::picture::read(file(&format!("demo/samples/images/image{i}.png"))).unwrap());
    let prompts = prompts(1);
    let run = |eager: bool| -> Vec<Prediction> {
        let mut predictor = model.image_predictor(Default::default()).unwrap();
        if eager {
            predictor.set_probe(Some(Box::new(|_, _, _| {}))); // who looks at every step cannot have recordings
        }
        let mut all = Vec::new();
        for picture in [&pictures[0], &pictures[1], &pictures[0]] {
            predictor.set_image(&picture.frame().unwrap()).unwrap();
            all.push(predictor.predict(&prompts[..2], Default::default()).unwrap());
        }
        all
    };
    let (replayed, eager) = (run(false), run(true));
    assert_eq!(replayed, eager);
    assert_ne!(replayed[0].low_res_masks, replayed[1].low_res_masks);
    assert_eq!(replayed[0], replayed[2]);
}

/// A prompt's masks are the same bits alone and in company, whatever the company's lengths.
#[test]
fn company_changes_nothing() {
    let model = load(Emulator::new(5), Precision::Bf16).unwrap();
    let picture = sam2::picture::read(file("demo/samples/images/image1.png")).unwrap();
    let mut predictor = model.image_predictor(Default::default()).unwrap();
    predictor.set_image(&picture.frame().unwrap()).unwrap();
    let mut prompts = prompts(1)[..2].to_vec();
    prompts.push(Prompt::new().point(9.0, 200.0, 1).point(100.0, 20.0, 0).point(50.0, 60.0, 1));
    let together = predictor.predict(&prompts, Default::default()).unwrap();
    let size = together.low_res_masks.len() / prompts.len();
    for (i, prompt) in prompts.iter().enumerate() {
        let alone = predictor.predict(std::slice::from_ref(prompt), Default::default()).unwrap();
        assert_eq!(alone.low_res_masks, together.low_res_masks[i * size..][..size], "prompt {i}");
    }
}

/// Device memory that runs out at any moment is an error of memory, and what was made before still works.
#[test]
fn every_device_allocation_may_fail() {
    let device = Emulator::new(11);
    let failing = device.failing();
    let picture = sam2::picture::read(file("demo/samples/images/image1.png")).unwrap();
    let frame = picture.frame().unwrap();
    let prompts = &prompts(1)[..];
    let model = load(device, Precision::Bf16).unwrap();
    let mut predictor = model.image_predictor(Default::default()).unwrap();
    let mut until_none_fails = |what: &str, work: &mut dyn FnMut(&mut ImagePredictor) -> sam2::Result<()>| {
        for i in 0.. {
            failing.store(i, Ordering::Relaxed);
            let result = work(&mut predictor);
            failing.store(-1, Ordering::Relaxed);
            match result {
                Ok(()) => return i,
                Err(Error::OutOfMemory { .. }) => {}
                Err(other) => panic!("{what}, allocation {i}: {other}"),
            }
        }
        unreachable!("some count is enough")
    };
    let encodes = until_none_fails("set_image", &mut |p| p.set_image(&frame));
    let predicts = until_none_fails("predict", &mut |p| p.predict(prompts, Default::default()).map(|_| ()));
    assert!(encodes >= 3 && predicts >= 1, "{encodes} and {predicts} allocations");
    let got = predictor.predict(prompts, Default::default()).unwrap();
    let mut fresh = model.image_predictor(Default::default()).unwrap();
    fresh.set_image(&frame).unwrap();
    assert_eq!(fresh.predict(prompts, Default::default()).unwrap(), got);
}

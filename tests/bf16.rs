//! bf16 on the CPU against float32: the distance of features, the number of different masks, and tracked objects.
//! Results are the same for any number of threads.

mod common;

use common::masks::iou;
use common::samples::*;
use common::*;
use libtest_mimic::{Arguments, Trial};
use sam2::engine::cpu::Cpu;
use sam2::engine::cpu::simd::Isa;
use sam2::picture::Picture;
use sam2::{Frame, ImagePredictor, Masks, Model, PixelFormat, PredictOptions, Prediction, Prompt, Size};

/// The choice of the single mask depends on stability. These are the numbers of the published models.
const DELTA: f32 = 0.05;
const THRESH: f32 = 0.98;

/// The same model in float32 and in bf16.
fn both(load: impl Fn(sam2::Precision) -> Model) -> [Model; 2] {
    [sam2::Precision::F32, sam2::Precision::Bf16].map(load)
}

fn mini(name: &'static str) -> [Model; 2] {
    both(|precision| Mini::in_precision(name, Cpu::new(2).unwrap(), precision).model)
}

fn demo_model() -> [Model; 2] {
    both(|precision| demo_with(Cpu::new(2).unwrap(), precision, &[]).unwrap())
}

/// The root mean square of a difference, relative to that of the values.
fn rms(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let square = |x: &mut dyn Iterator<Item = f32>| x.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
    square(&mut got.iter().zip(want).map(|(a, b)| a - b)) / square(&mut want.iter().copied())
}

fn encoded(model: &Model, frame: &Frame<'_>) -> (ImagePredictor, Probed) {
    let mut predictor = model.guarded_image_predictor(Default::default()).unwrap();
    let probed = probe(&mut predictor);
    predictor.set_image(frame).unwrap();
    (predictor, probed)
}

/// The features of every depth of the encoder.
fn features(what: &str, models: &[Model; 2], frame: &Frame<'_>) {
    let [want, got] = models.each_ref().map(|model| encoded(model, frame).1.lock().unwrap().clone());
    for name in ["trunk0", "trunk1", "trunk2", "trunk3", "fpn3", "fpn2", "high_res1", "high_res0", "image_embed"] {
        let off = rms(&got[name].1, &want[name].1);
        println!("{what} {name}: {:.2}% RMS", 100.0 * off);
        assert!(off <= 0.012, "{what} {name}: {:.2}% RMS", 100.0 * off);
    }
}

fn levels_of_the_encoder() {
    for name in ["mini21", "mini20"] {
        let golden = Golden::open(&format!("tests/data/golden/{name}/encoder.safetensors"));
        let (pixels, shape) = (golden.bytes("image_u8"), golden.shape("image_u8"));
        features(name, &mini(name), &Frame::rgb8(&pixels, Size::new(shape[1], shape[0])).unwrap());
    }
    let models = demo_model();
    for i in 1..=6 {
        let picture = sam2::picture::read(file(&format!("demo/samples/images/image{i}.png"))).unwrap();
        features(&format!("demo, sample {i}"), &models, &picture.frame().unwrap());
    }
}

/// Masks of a group of images, in bf16, and in float32 for images with a disturbance below a hundredth.
#[derive(Default)]
struct Tally {
    masks: usize,
    /// Masks of which float32 is not sure: they move by more than a hundredth, or were chosen by a small margin.
    unsure: usize,
    /// Masks that differ from float32's by more than a hundredth.
    others: usize,
    /// Masks that float32 chose with a margin, so the other mask is the same one. `rms` and `shaken_rms` are sums over
    /// these.
    compared: usize,
    /// The differences of the logits from float32's.
    rms: f64,
    shaken_rms: f64,
}

/// The IoU of two masks of logits.
fn overlap(a: &[f32], b: &[f32]) -> f64 {
    iou(a.iter().zip(b).map(|(&a, &b)| (a > 0.0, b > 0.0)))
}

/// Returns true if float32 chooses its mask with a margin below a hundredth, of the stability or of the predicted IoU,
/// or by one pixel.
fn chosen_by_a_hair(all_masks: &[f32], ious: &[f32]) -> bool {
    let first = &all_masks[..all_masks.len() / 4];
    let above = |t: f32| first.iter().filter(|&&v| v > t).count() as f32;
    let (inner, outer) = (above(DELTA), above(-DELTA).max(1.0));
    let [low, high] = [-1.0, 1.0].map(|by| (inner + by) / outer + 0.01 * by);
    let mut ranked = ious[1..].to_vec();
    ranked.sort_by(|a, b| b.total_cmp(a));
    (low..high).contains(&THRESH) || inner / outer < THRESH && ranked[0] - ranked[1] < 0.01
}

/// The image with every value changed at random by two levels of 255 up or down.
fn disturbed(pixels: &[u8], seed: u64) -> Vec<u8> {
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut change = |v: &u8| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if random >> 63 == 0 { v.saturating_sub(2) } else { v.saturating_add(2) }
    };
    pixels.iter().map(&mut change).collect()
}

fn logits(p: &Prediction) -> Vec<&[f32]> {
    let Masks::Logits(logits) = &p.masks else { panic!("asked for logits") };
    logits.chunks(p.width * p.height).collect()
}

/// Three masks of every prompt, and the single one.
fn masks(models: &[Model; 2], picture: &Picture, prompts: &[Prompt<'_>], tally: &mut Tally) {
    let (mut own, probed) = encoded(&models[0], &picture.frame().unwrap());
    let mut others = vec![encoded(&models[1], &picture.frame().unwrap()).0];
    for seed in 1..=8 {
        let shaken = Picture { pixels: disturbed(&picture.pixels, seed), ..picture.clone() };
        others.push(encoded(&models[0], &shaken.frame().unwrap()).0);
    }
    for (prompt, multimask_output) in prompts.iter().flat_map(|p| [(p, true), (p, false)]) {
        let options = PredictOptions { multimask_output, return_logits: true, ..Default::default() };
        let prompt = std::slice::from_ref(prompt);
        let want = own.predict(prompt, options).unwrap();
        let seen = probed.lock().unwrap().clone();
        let hair = !multimask_output && chosen_by_a_hair(&seen["all_masks"].1, &seen["all_ious"].1);
        let others: Vec<Prediction> = others.iter_mut().map(|p| p.predict(prompt, options).unwrap()).collect();
        for (j, want) in logits(&want).into_iter().enumerate() {
            let others: Vec<&[f32]> = others.iter().map(|p| logits(p)[j]).collect();
            let ious: Vec<f64> = others.iter().map(|other| overlap(other, want)).collect();
            let unsure = hair || ious[1..].iter().any(|&iou| iou < 0.99);
            assert!(unsure || ious[0] >= 0.99, "{prompt:?} mask {j}: IoU {ious:?}");
            tally.masks += 1;
            tally.unsure += unsure as usize;
            tally.others += (!hair && ious[0] < 0.99) as usize;
            if !hair {
                tally.compared += 1;
                tally.rms += rms(others[0], want);
                tally.shaken_rms += others[1..].iter().map(|other| rms(other, want)).sum::<f64>() / 8.0;
            }
        }
    }
}

/// Prints the results. `others`: the most masks that may differ by more than a hundredth, sure or not.
fn settle(what: &str, tally: Tally, others: usize) {
    let Tally { masks, unsure, others: found, compared, rms, shaken_rms } = tally;
    let [rms, shaken] = [rms, shaken_rms].map(|sum| 100.0 * sum / compared as f64);
    println!("{what}: {masks} masks, of {unsure} float32 is not sure; {found} of bf16 below IoU 0.99");
    println!("{what}: logits off by {rms:.1}% RMS, float32's of the disturbed picture by {shaken:.1}%");
    assert!(found <= others && rms <= 1.25 * shaken, "{what}: {found} masks, {rms}% RMS");
}

/// Random weights magnify small differences. bf16 may move masks as far as a disturbance of the image does, and no
/// farther.
fn masks_of_random_weights() {
    for name in ["mini21", "mini20"] {
        let golden = Golden::open(&format!("tests/data/golden/{name}/encoder.safetensors"));
        let (pixels, shape) = (golden.bytes("image_u8"), golden.shape("image_u8"));
        let picture = Picture { pixels, width: shape[1], height: shape[0], format: PixelFormat::Rgb8 };
        let case = |case: &str| Golden::open(&format!("tests/data/golden/{name}/image_{case}.safetensors"));
        let cases: Vec<Golden> = parity::CASES.into_iter().filter(|&name| name != "normalized").map(case).collect();
        let prompts: Vec<Prompt<'_>> = cases.iter().flat_map(parity::prompts).collect();
        let mut tally = Tally::default();
        masks(&mini(name), &picture, &prompts, &mut tally);
        settle(name, tally, usize::MAX);
    }
}

fn masks_of_the_samples() {
    let (models, mut tally) = (demo_model(), Tally::default());
    for i in 1..=6 {
        let name = format!("demo/samples/images/image{i}");
        let picture = sam2::picture::read(file(&format!("{name}.png"))).unwrap();
        masks(&models, &picture, &sample_prompts(&name), &mut tally);
    }
    settle("samples", tally, 6);
}

fn objects_are_followed_as_well() {
    let models = demo_model();
    for i in 1..=3 {
        let name = format!("demo/samples/video{i}");
        let [want, got] = models.each_ref().map(|model| followed(model, &name));
        for (k, (want, got)) in want.into_iter().zip(got).enumerate() {
            println!("{name} object {k}: J {want:.4}, in bf16 {got:.4}");
            assert!((got - want).abs() <= 0.005, "{name} object {k}: J {want}, in bf16 {got}");
        }
    }
}

/// The same bits for any number of threads, alone or in a batch.
fn any_number_of_threads() {
    let (picture, prompts) = (
        sam2::picture::read(file("demo/samples/images/image3.png")).unwrap(),
        sample_prompts("demo/samples/images/image3"),
    );
    let options = PredictOptions { return_logits: true, ..Default::default() };
    let run = |threads: usize, together: bool| {
        let model = demo_with(Cpu::new(threads).unwrap(), sam2::Precision::Bf16, &[]).unwrap();
        let (mut predictor, _) = encoded(&model, &picture.frame().unwrap());
        let embedding = predictor.get_image_embedding().unwrap().values;
        let (mut masks, mut ious) = (Vec::new(), Vec::new());
        for some in prompts.chunks(if together { prompts.len() } else { 1 }) {
            let p = predictor.predict(some, options).unwrap();
            masks.extend(logits(&p).concat());
            ious.extend(p.iou_predictions);
        }
        (embedding, masks, ious)
    };
    let want = run(1, true);
    for (threads, together) in [(1, false), (2, true), (3, false), (8, true)] {
        assert!(run(threads, together) == want, "{threads} threads, together: {together}");
    }
}

/// Skipped, and counted as skipped, on CPUs that do not multiply bf16.
fn main() {
    let here = Isa::available()[0].multiplies_bf16();
    let trial = |name: &str, test: fn()| {
        let run = move || {
            test();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(!here)
    };
    let trials = vec![
        trial("levels_of_the_encoder", levels_of_the_encoder),
        trial("masks_of_random_weights", masks_of_random_weights),
        trial("masks_of_the_samples", masks_of_the_samples),
        trial("objects_are_followed_as_well", objects_are_followed_as_well),
        trial("any_number_of_threads", any_number_of_threads),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

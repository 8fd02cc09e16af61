//! Counts the work per call, so that an optimisation is not lost. No clock is used.

mod common;

use common::*;
use sam2::{
    Counters, Frame, ImagePredictor, Model, PredictOptions, PredictionBuffers, Prompt, Retention, Size, VARIANTS,
};

/// The work of an image, of one click, and of twenty clicks in one call. Then the bytes of scratch memory and features.
fn work(model: &Model) -> ([Counters; 3], usize) {
    let mut predictor = model.image_predictor(Default::default()).unwrap();
    let pixels = vec![99u8; 640 * 480 * 3];
    let start = predictor.counters();
    predictor.set_image(&Frame::rgb8(&pixels, Size::new(640, 480)).unwrap()).unwrap();
    let encode = predictor.counters() - start;
    let one = clicks(&mut predictor, 1);
    let twenty = clicks(&mut predictor, 20);
    ([encode, one, twenty], predictor.memory_bytes())
}

fn clicks(predictor: &mut ImagePredictor, n: usize) -> Counters {
    let prompts: Vec<Prompt<'_>> = (0..n).map(|i| Prompt::new().point(30.0 * i as f32, 20.0 * i as f32, 1)).collect();
    let side = predictor.mask_side();
    let (mut iou, mut low) = (vec![0.0; 3 * n], vec![0.0; 3 * n * side * side]);
    let start = predictor.counters();
    let out = PredictionBuffers {
        masks: None,
        iou_predictions: &mut iou,
        low_res_masks: Some(&mut low),
        object_score_logits: None,
    };
    predictor.predict_into(&prompts, PredictOptions::default(), out).unwrap();
    predictor.counters() - start
}

fn counters(matmul_flops: u64, bytes: u64, launches: u64, waits: u64) -> Counters {
    Counters { matmul_flops, bytes, launches, waits }
}

#[test]
fn the_demo_model() {
    let want = [
        counters(612_249_600, 40_751_104, 51, 0),
        counters(77_156_608, 3_803_248, 60, 1),
        counters(1_543_132_160, 60_467_256, 180, 3),
    ];
    assert_eq!(work(&demo()), (want, 3_899_904));
}

/// The reference computes 292.4 GFLOP for the image and 3.6 for a click (2.83 if the shared part of clicks is computed
/// once).
#[test]
fn the_tiny_model_at_full_size() {
    let tiny = VARIANTS.iter().find(|v| v.name == "sam2.1_hiera_t").unwrap();
    let want = [
        counters(279_959_814_144, 3_070_103_552, 76, 0),
        counters(2_218_465_792, 81_329_776, 60, 1),
        counters(44_369_315_840, 1_127_473_208, 180, 3),
    ];
    assert_eq!(work(&random_model(tiny, options())), (want, 231_735_808));
}

/// The work of a frame with one and with three tracked objects that have the most memories.
#[test]
fn tracked_frames() {
    let model = demo();
    let work = |objects: usize| {
        let mut p = model.video_stream(Retention::Window(0), Default::default()).unwrap();
        let mut last = Counters::default();
        for i in 0..18 {
            let pixels: Vec<u8> = (0..96 * 64 * 3).map(|k| (k * (i + 3) / 7) as u8).collect();
            let before = p.counters();
            p.push_frame(&Frame::rgb8(&pixels, Size::new(96, 64)).unwrap()).unwrap();
            last = p.counters() - before;
            for k in 0..objects {
                if i == 0 {
                    let click = Prompt::new().point(20.0 + 20.0 * k as f32, 30.0, 1);
                    p.add_new_points_or_box(0, k as i64, &click, Default::default()).unwrap();
                }
            }
        }
        last
    };
    assert_eq!(
        [work(1), work(3)],
        [counters(1_514_602_752, 69_668_136, 166, 1), counters(3_302_531_840, 127_997_816, 168, 1)]
    );
}

//! After `reserve` and a warm-up, images, prompts and the frames of a stream allocate nothing. One test, since the
//! allocator counts for the whole process.

mod common;
#[path = "common/allocator.rs"]
mod counting;

use common::*;
use counting::{COUNT, Counting};
use sam2::{
    FrameMasks, ImagePredictorOptions, MaskBuffer, Model, PredictOptions, PredictionBuffers, Prompt, ReserveOptions,
    Retention,
};
use std::sync::atomic::Ordering::SeqCst;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn after_the_warm_up() {
    let model = demo();
    pictures_allocate_nothing(&model);
    frames_allocate_nothing(&model);
}

fn frames_allocate_nothing(model: &Model) {
    let mut video = model.video_stream(Retention::Window(0), Default::default()).unwrap();
    let picture = sam2::picture::read(file("demo/samples/video1/frames/00000.jpg")).unwrap();
    let frame = picture.frame().unwrap();
    video.push_frame(&frame).unwrap();
    for (id, x) in [(1, 208.0), (2, 40.0)] {
        video.add_new_points_or_box(0, id, &Prompt::new().point(x, 100.0, 1), Default::default()).unwrap();
    }
    let mut masks = vec![0u8; 2 * picture.width * picture.height];
    let (mut counts, mut found) = (Vec::with_capacity(40), FrameMasks::default());
    // The memory holds seven frames and sixteen pointers.
    for i in 0..40 {
        let before = COUNT.load(SeqCst);
        video.push_frame_into(&frame, MaskBuffer::binary(&mut masks), &mut found).unwrap();
        if i >= 20 {
            counts.push(COUNT.load(SeqCst) - before);
        }
    }
    assert!(counts.iter().all(|&n| n == 0), "allocations of frames: {counts:?}");
}

fn pictures_allocate_nothing(model: &Model) {
    let options = ImagePredictorOptions { max_hole_area: 8.0, max_sprinkle_area: 8.0, ..Default::default() };
    let mut predictor = model.image_predictor(options).unwrap();
    predictor.reserve(ReserveOptions { images: 1, points: 4, mask_input: true }).unwrap();
    let reserved = predictor.memory_bytes();
    let picture = sam2::picture::read(file("demo/samples/images/image1.png")).unwrap();
    let frame = picture.frame().unwrap();
    let side = predictor.mask_side();
    let n = 11; // more than one batch takes
    let mut masks = vec![0u8; n * 3 * picture.width * picture.height];
    let (mut iou, mut low, mut scores) = (vec![0.0; n * 3], vec![0.0; n * 3 * side * side], vec![0.0; n]);
    let mask_input = vec![1.5; side * side];
    let clicks: Vec<Prompt<'_>> = (0..n).map(|i| Prompt::new().point(40.0 * i as f32, 20.0 * i as f32, 1)).collect();
    let mixed =
        [Prompt::new().bounds([10.0, 20.0, 200.0, 300.0]).point(90.0, 90.0, 0), Prompt::new().mask_input(&mask_input)];
    let mut round = || {
        predictor.set_image(&frame).unwrap();
        for prompts in [&clicks[..], &mixed, &clicks[..3]] {
            let m = prompts.len() * 3;
            let out = PredictionBuffers {
                masks: Some(MaskBuffer::binary(&mut masks[..m * picture.width * picture.height])),
                iou_predictions: &mut iou[..m],
                low_res_masks: Some(&mut low[..m * side * side]),
                object_score_logits: Some(&mut scores[..prompts.len()]),
            };
            predictor.predict_into(prompts, PredictOptions::default(), out).unwrap();
        }
    };
    round();
    let before = COUNT.load(SeqCst);
    round();
    round();
    assert_eq!(COUNT.load(SeqCst) - before, 0, "allocations of two rounds");
    assert_eq!(predictor.memory_bytes(), reserved, "device memory after reserve");
}

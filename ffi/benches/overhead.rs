//! Overhead of the C interface, which must be at most 5 microseconds per call. Measures the same prediction through C
//! and Rust, whose difference is the overhead, and the cheapest calls.

use criterion::{Criterion, criterion_group, criterion_main};
use engine::{
    Checkpoint, Config, Device, Frame, LoadOptions, MaskBuffer, PixelFormat, PredictOptions, PredictionBuffers, Prompt,
    Size,
};
use sam2_ffi::*;
use std::hint::black_box;
use std::ptr::{null, null_mut};

#[path = "../../tests/common/tiny.rs"]
mod tiny;

const SIDE: usize = 32;

fn checkpoint() -> Vec<u8> {
    tiny::checkpoint(&Config::parse(tiny::YAML, &[], true).unwrap().tensor_shapes().unwrap())
}

fn through_rust(c: &mut Criterion) {
    let checkpoint = Checkpoint::from_bytes("tiny", checkpoint()).unwrap();
    let options = LoadOptions { device: Device::Cpu, threads: 1, image_size: Some(tiny::SIDE), ..Default::default() };
    let model = engine::load_checkpoint(&checkpoint, Some(tiny::YAML), &options).unwrap();
    let mut predictor = model.image_predictor(Default::default()).unwrap();
    let pixels = [99u8; SIDE * SIDE * 3];
    predictor.set_image(&Frame::new(PixelFormat::Rgb8, &pixels, Size::new(SIDE, SIDE), SIDE * 3).unwrap()).unwrap();
    let (mut masks, mut iou) = ([0u8; SIDE * SIDE], [0f32]);
    let options = PredictOptions { multimask_output: false, ..Default::default() };
    c.bench_function("predict through Rust", |b| {
        b.iter(|| {
            let out = PredictionBuffers {
                masks: Some(MaskBuffer::binary(&mut masks)),
                iou_predictions: &mut iou,
                low_res_masks: None,
                object_score_logits: None,
            };
            predictor.predict_into(&[Prompt::new().point(9.0, 7.0, 1)], options, out).unwrap();
        })
    });
    c.bench_function("predict nothing through Rust", |b| {
        b.iter(|| {
            let out = PredictionBuffers {
                masks: None,
                iou_predictions: &mut [],
                low_res_masks: None,
                object_score_logits: None,
            };
            predictor.predict_into(black_box(&[]), options, out).unwrap();
        })
    });
}

/// A struct as SAM2_..._INIT begins it.
fn begun<T>() -> T {
    // SAFETY: of numbers and pointers, the first of them its size.
    unsafe {
        let mut value: T = std::mem::zeroed();
        (&raw mut value).cast::<u32>().write(size_of::<T>() as u32);
        value
    }
}

fn through_c(c: &mut Criterion) {
    let (bytes, yaml) = (checkpoint(), std::ffi::CString::new(tiny::YAML).unwrap());
    let options = sam2_model_options {
        device: SAM2_DEVICE_CPU,
        threads: 1,
        image_size: tiny::SIDE as u32,
        config_yaml: yaml.as_ptr(),
        ..begun()
    };
    let pixels = [99u8; SIDE * SIDE * 3];
    let planes = [pixels.as_ptr().cast(), null(), null()];
    let image = sam2_image { width: SIDE as u32, height: SIDE as u32, planes, ..begun() };
    let (point, label) = ([9f32, 7.0], 1);
    let prompt = sam2_prompt { num_points: 1, points: point.as_ptr(), labels: &label, ..begun() };
    let (mut mask, mut iou) = ([0u8; SIDE * SIDE], 0f32);
    let masks = sam2_mask_buffer { data: mask.as_mut_ptr().cast(), size: mask.len() as u64, ..begun() };
    let (mut model, mut predictor) = (null_mut(), null_mut());
    let mut info: sam2_model_info = begun();
    // SAFETY: everything is where its pointer says.
    unsafe {
        assert_eq!(sam2_model_load_memory(bytes.as_ptr(), bytes.len(), &options, &mut model), SAM2_OK);
        assert_eq!(sam2_image_predictor_create(model, null(), &mut predictor), SAM2_OK);
        assert_eq!(sam2_image_predictor_set_image(predictor, &image), SAM2_OK);
        c.bench_function("predict through C", |b| {
            b.iter(|| {
                let (low, scores) = (null_mut(), null_mut());
                let status = sam2_image_predictor_predict(predictor, &prompt, 1, 0, &masks, &mut iou, low, scores);
                assert_eq!(status, SAM2_OK);
            })
        });
        // All that a prediction through C does more, but for a prompt's numbers.
        c.bench_function("predict nothing through C", |b| {
            b.iter(|| {
                let nothing = null_mut();
                let status = sam2_image_predictor_predict(predictor, &prompt, 0, 0, null(), &mut iou, nothing, nothing);
                assert_eq!(status, SAM2_OK);
            })
        });
        c.bench_function("get_info", |b| b.iter(|| assert_eq!(sam2_model_get_info(model, &mut info), SAM2_OK)));
        c.bench_function("reserve", |b| {
            b.iter(|| assert_eq!(sam2_image_predictor_reserve(predictor, 1, 1, 0), SAM2_OK))
        });
        assert_eq!(sam2_image_predictor_destroy(predictor), SAM2_OK);
        c.bench_function("a stale handle", |b| {
            b.iter(|| assert_eq!(sam2_image_predictor_destroy(black_box(predictor)), SAM2_ERROR_INVALID_HANDLE))
        });
        assert_eq!(sam2_model_destroy(model), SAM2_OK);
    }
}

criterion_group!(benches, through_rust, through_c);
criterion_main!(benches);

//! `reserve` allocates all that is needed, in memory of the device or of the caller, and changes nothing else.

mod common;

use common::*;
use sam2::engine::{backend::Backend, cpu::Cpu};
use sam2::{
    Error, Frame, FrameMasks, Model, Precision, PredictOptions, Prompt, ReserveOptions, Retention, Size,
    VideoPredictor, VideoPredictorOptions, Workspace,
};
use sam2_cuda::Cuda;
use sam2_cuda::emulator::Emulator;
use std::sync::atomic::Ordering;

const SIZE: Size = Size::new(53, 37);

fn load(b: impl Backend) -> Model {
    small_demo(b, Precision::F32, &[])
}

fn pixels(frame: usize) -> Vec<u8> {
    (0..SIZE.pixels() * 3).map(|i| (i * (frame + 3) / 7 + i / 90 * 5) as u8).collect()
}

fn stream(model: &Model, offload_state_to_cpu: bool) -> VideoPredictor {
    let options = VideoPredictorOptions { offload_state_to_cpu, ..Default::default() };
    model.video_stream(Retention::Window(1), options).unwrap()
}

/// Two objects through some frames, one prompted by a click and one by a box.
fn follow(p: &mut VideoPredictor, frames: usize) -> Vec<FrameMasks> {
    let said = [Prompt::new().point(20.0, 12.0, 1), Prompt::new().bounds([8.0, 5.0, 30.0, 28.0])];
    let mut all = Vec::new();
    for i in 0..frames {
        let pixels = pixels(i);
        all.push(p.push_frame(&Frame::rgb8(&pixels, SIZE).unwrap()).unwrap());
        if let Some(prompt) = said.get(i) {
            p.add_new_points_or_box(i, i as i64, prompt, Default::default()).unwrap();
        }
    }
    all
}

/// Device memory stays as `reserve` left it, and masks are the same as without it.
fn nothing_grows(model: &Model, frames: usize, offload: bool) {
    let want = follow(&mut stream(model, offload), frames);
    let mut p = stream(model, offload);
    p.reserve(2, SIZE).unwrap();
    assert_eq!((p.num_frames(), p.obj_ids()), (0, &[][..]), "nothing is known");
    let reserved = p.memory_bytes().device;
    assert_eq!(follow(&mut p, frames), want);
    assert_eq!(p.memory_bytes().device, reserved);
}

#[test]
fn a_reserved_stream_does_not_grow() {
    let model = load(Cpu::new(0).unwrap());
    nothing_grows(&model, 20, false);
    nothing_grows(&model, 20, true);
    let mut p = stream(&model, false);
    for (objects, height, width) in [(1, 0, 5), (1, 5, 0), (1 << 17, 5, 5), (1, 5, 1 << 20)] {
        assert!(matches!(p.reserve(objects, Size::new(width, height)), Err(Error::Input(_))));
    }
    for offload_state_to_cpu in [false, true] {
        let options = VideoPredictorOptions { offload_state_to_cpu, ..Default::default() };
        let mut p = model.video_stream(Retention::Window(1 << 31), options).unwrap();
        assert!(matches!(p.reserve(1, Size::new(5, 5)), Err(Error::Input(_))));
    }
}

/// On the emulator: no allocation after `reserve`, from the first frame on.
#[test]
fn a_reserved_stream_allocates_nothing_on_the_emulator() {
    let device = Emulator::new(1);
    let allocations = device.failing();
    let model = load(Cuda::on(device));
    let mut p = stream(&model, false);
    p.reserve(2, SIZE).unwrap();
    allocations.store(1000, Ordering::Relaxed);
    follow(&mut p, 3);
    assert_eq!(allocations.load(Ordering::Relaxed), 1000);
}

/// Both predictors in caller-provided memory of the size that they reported, and of a smaller size.
fn in_a_workspace(model: &Model, frames: usize) {
    let options = PredictOptions::default();
    let (pixels, click) = (pixels(0), [Prompt::new().point(20.0, 12.0, 1)]);
    let frame = Frame::rgb8(&pixels, SIZE).unwrap();
    let mut p = model.image_predictor(Default::default()).unwrap();
    p.reserve(ReserveOptions { images: 1, points: 4, mask_input: true }).unwrap();
    p.set_image(&frame).unwrap();
    let want = p.predict(&click, options).unwrap();
    let mut video = stream(model, false);
    video.reserve(2, SIZE).unwrap();
    let masks = follow(&mut video, frames);

    let [image_bytes, video_bytes] = [p.memory_bytes(), video.memory_bytes().device];
    let memory = model.alloc(image_bytes + video_bytes + 2 * 4096).unwrap();
    // SAFETY: the memory outlives the predictors.
    let inside = |bytes: usize| model.within(unsafe { Workspace::new(memory.addr(), bytes) });
    let roomy = inside(memory.bytes());
    let mut p = roomy.image_predictor(Default::default()).unwrap();
    p.reserve(ReserveOptions { images: 1, points: 4, mask_input: true }).unwrap();
    p.set_image(&frame).unwrap();
    assert_eq!(p.predict(&click, options).unwrap(), want);
    let mut video = stream(&roomy, false);
    video.reserve(2, SIZE).unwrap();
    assert_eq!(follow(&mut video, frames), masks);
    assert!(matches!(
        p.reserve(ReserveOptions { images: 50, points: 4, mask_input: true }),
        Err(Error::OutOfMemory { .. })
    ));
    drop((p, video));

    let tight = inside(4096);
    let mut p = tight.image_predictor(Default::default()).unwrap();
    assert!(matches!(p.set_image(&frame), Err(Error::OutOfMemory { .. })));
    assert!(matches!(stream(&tight, false).reserve(1, Size::new(8, 8)), Err(Error::OutOfMemory { .. })));
}

#[test]
fn predictors_work_in_the_callers_memory() {
    in_a_workspace(&load(Cpu::new(0).unwrap()), 12);
}

#[test]
fn pictures_work_in_the_callers_memory_on_the_emulator() {
    let model = load(Cuda::on(Emulator::new(2)));
    let (pixels, click) = (pixels(0), [Prompt::new().point(20.0, 12.0, 1)]);
    let frame = Frame::rgb8(&pixels, SIZE).unwrap();
    let memory = model.alloc(32 << 20).unwrap();
    // SAFETY: the memory outlives the predictor.
    let inside = model.within(unsafe { Workspace::new(memory.addr(), memory.bytes()) });
    let [here, there] = [&model, &inside].map(|model| {
        let mut p = model.image_predictor(Default::default()).unwrap();
        p.set_image(&frame).unwrap();
        p.predict(&click, Default::default()).unwrap()
    });
    assert_eq!(here, there);
    assert!(model.memory().unwrap().is_some_and(|memory| memory.free > 0 && memory.free <= memory.total));
}

//! Tracking on the CUDA backend, on the emulator: one recording for every fill of the memory bank, one wait per frame.

mod common;

use common::masks::*;
use common::*;
use sam2::engine::backend::Memory;
use sam2::{
    DeviceSlice, Error, Frame, FrameMasks, MaskBuffer, MaskFormat, Model, Precision, Prompt, Retention, Size,
    VideoPredictor, VideoPredictorOptions, picture::Picture,
};
use sam2_cuda::device::{Device, Pinned};
use sam2_cuda::emulator::Emulator;
use sam2_cuda::{Cuda, Driver};
use std::sync::atomic::Ordering;

fn load(device: impl Device, precision: Precision) -> Model {
    small_demo(Cuda::on(device), precision, &[])
}

fn frames() -> Vec<Picture> {
    small_frames(60)
}

fn stream(model: &Model, options: VideoPredictorOptions) -> VideoPredictor {
    model.video_stream(Retention::Window(1), options).unwrap()
}

fn objects() -> [(i64, Prompt<'static>); 2] {
    [(1, Prompt::new().bounds([43.0, 22.0, 53.0, 33.0])), (2, Prompt::new().point(26.0, 31.0, 1))]
}

/// Object 1 from the first frame, object 2 from the second.
fn run(p: &mut VideoPredictor, frames: &[Picture], objects: &[(i64, Prompt<'_>)]) -> Vec<FrameMasks> {
    let mut all = Vec::new();
    for (i, picture) in frames.iter().enumerate() {
        all.push(p.push_frame(&picture.frame().unwrap()).unwrap());
        if let Some((id, prompt)) = objects.get(i) {
            p.add_new_points_or_box(i, *id, prompt, Default::default()).unwrap();
        }
    }
    all
}

/// Recorded work gives the results of eager work, while memories fill and age, on the device or on the host.
fn replay_equals_eager(device: impl Device) {
    let (model, frames) = (load(device, Precision::Bf16), frames());
    let replayed = run(&mut stream(&model, Default::default()), &frames, &objects());
    let mut eager = stream(&model, Default::default());
    eager.set_probe(Some(Box::new(|_, _, _| {}))); // a probe at every step excludes recordings
    assert_eq!(run(&mut eager, &frames, &objects()), replayed);
    let offload = VideoPredictorOptions { offload_state_to_cpu: true, ..Default::default() };
    assert_eq!(run(&mut stream(&model, offload), &frames, &objects()), replayed);
    let last = replayed.last().unwrap();
    assert_eq!(last.obj_ids, [1, 2]);
    let size = frames[0].size();
    replayed.iter().for_each(|got| assert_measured(&format!("frame {}", got.frame_idx), got, &got.masks, size));
    assert!(last.masks != replayed[2].masks && last.masks.iter().any(|&v| v > 0.0));
}

#[test]
fn replay_equals_eager_on_the_emulator() {
    replay_equals_eager(Emulator::new(61));
}

/// Objects with different memories in one batch give the same bits as each object alone.
#[test]
fn company_changes_nothing() {
    let (model, frames) = (load(Emulator::new(67), Precision::F16), &frames()[..3]);
    let together = run(&mut stream(&model, Default::default()), frames, &objects());
    let pixels = frames[0].width * frames[0].height;
    let mut alone = stream(&model, Default::default());
    let alone = run(&mut alone, frames, &objects()[..1]);
    for (alone, together) in alone.iter().zip(&together).skip(1) {
        assert_eq!(alone.masks, together.masks[..pixels], "frame {}", alone.frame_idx);
    }
}

/// After a warm-up, a frame allocates nothing on the device, and the host waits once.
#[test]
fn a_warm_frame_allocates_nothing_and_waits_once() {
    let device = Emulator::new(71);
    let allocations = device.failing();
    let (model, frames) = (load(device, Precision::Bf16), frames());
    let mut p = stream(&model, Default::default());
    for (i, picture) in frames.iter().enumerate() {
        allocations.store(1000, Ordering::Relaxed);
        let before = p.counters();
        p.push_frame(&picture.frame().unwrap()).unwrap();
        let work = p.counters() - before;
        // Object 2 is prompted on the second frame and tracked on the third, which records a batch of two.
        if i >= 3 {
            assert_eq!(work.waits, 1, "frame {i}");
            assert_eq!(allocations.load(Ordering::Relaxed), 1000, "frame {i}: allocations");
        }
        if let Some((id, prompt)) = objects().get(i) {
            p.add_new_points_or_box(i, *id, prompt, Default::default()).unwrap();
        }
    }
}

/// If device memory runs out at any moment, the frame does not count and can be pushed again.
#[test]
fn every_device_allocation_may_fail() {
    let device = Emulator::new(73);
    let failing = device.failing();
    let (model, frames) = (load(device, Precision::Bf16), &frames()[..2]);
    let want = run(&mut stream(&model, Default::default()), frames, &objects()[..1]);
    let mut p = stream(&model, Default::default());
    let mut failures = 0;
    let mut until_none_fails = |what: &str, work: &mut dyn FnMut() -> sam2::Result<FrameMasks>| {
        for i in 0.. {
            failing.store(i, Ordering::Relaxed);
            let result = work();
            failing.store(-1, Ordering::Relaxed);
            match result {
                Ok(masks) => return masks,
                Err(Error::OutOfMemory { .. }) => failures += 1,
                Err(other) => panic!("{what}, allocation {i}: {other}"),
            }
        }
        unreachable!("some count is enough")
    };
    let (id, prompt) = &objects()[0];
    let first = until_none_fails("the first frame", &mut || p.push_frame(&frames[0].frame().unwrap()));
    until_none_fails("a prompt", &mut || p.add_new_points_or_box(0, *id, prompt, Default::default()));
    let second = until_none_fails("the second frame", &mut || p.push_frame(&frames[1].frame().unwrap()));
    assert_eq!([first, second], want[..]);
    assert!(failures >= 4, "{failures} allocations");
}

/// Frames and masks in device memory: the frame of a camera on the GPU does not go through the host.
fn device_memory(device: impl Device) {
    let stream_of_ours = device.fork().unwrap();
    let (model, frames) = (load(device, Precision::F32), &frames()[..3]);
    let want = run(&mut stream(&model, Default::default()), frames, &objects()[..1]);
    let mut p = stream(&model, Default::default());
    let (w, h) = (frames[0].width, frames[0].height);
    let up = stream_of_ours.pinned(w * h * 3).unwrap();
    let input = stream_of_ours.alloc(w * h * 3, "a frame").unwrap();
    let masks = stream_of_ours.alloc(w * h * 4, "masks").unwrap();
    let down = stream_of_ours.pinned(w * h * 4).unwrap();
    let queue = stream_of_ours.stream() as *mut std::ffi::c_void;
    // SAFETY: memory of these sizes, which outlives the calls.
    let of = |m: &dyn Memory| unsafe { DeviceSlice::new(m.addr(), m.bytes(), queue) };
    let to = |format: MaskFormat, flipped: bool| {
        // SAFETY: no more than the memory.
        let slice = unsafe { DeviceSlice::new(masks.addr(), format.bytes(1, Size::new(w, h)), queue) };
        let buffer = MaskBuffer::device(format, slice);
        if flipped { buffer.flipped() } else { buffer }
    };
    // The contents are now the mask of `want`.
    let look = |got: &FrameMasks, want: &FrameMasks, format: MaskFormat, flipped: bool| {
        let what = format!("frame {}, {format:?}, {flipped}", got.frame_idx);
        assert!(got.masks.is_empty() && got.object_score_logits == want.object_score_logits, "{what}");
        assert_measured(&what, got, &want.masks, Size::new(w, h));
        let bytes = format.bytes(1, Size::new(w, h));
        stream_of_ours.copy_out(down.ptr(), masks.addr(), bytes).unwrap();
        stream_of_ours.sync().unwrap();
        // SAFETY: pinned memory of at least that size.
        let bytes = unsafe { std::slice::from_raw_parts(down.ptr(), bytes) };
        assert!(bytes == formed(&want.masks, Size::new(w, h), 0.0, format, flipped), "{what}");
    };
    // A frame whose mask goes to memory with space between rows.
    let strided = |p: &mut VideoPredictor, frame: &Frame<'_>, want: &FrameMasks| {
        let (row, size) = (w + 12, Size::new(w, h));
        let nines = vec![NINE; masks.bytes()];
        // SAFETY: pinned memory of that size. The call waits for the copy.
        unsafe {
            std::ptr::copy_nonoverlapping(nines.as_ptr(), down.ptr(), nines.len());
            stream_of_ours.copy_in(masks.addr(), down.ptr(), nines.len()).unwrap();
        }
        let out = MaskBuffer::device(MaskFormat::Ids8, of(&masks)).with_strides(row, 0);
        p.push_frame_into(frame, out, &mut FrameMasks::default()).unwrap();
        stream_of_ours.copy_out(down.ptr(), masks.addr(), nines.len()).unwrap();
        stream_of_ours.sync().unwrap();
        // SAFETY: pinned memory of at least that size.
        let bytes = unsafe { std::slice::from_raw_parts(down.ptr(), nines.len()) };
        let labels = formed(&want.masks, size, 0.0, MaskFormat::Labels, false);
        let mut expected = spread(&with_ids(&labels, &want.obj_ids, MaskFormat::Ids8), w, h, [row, row * h]);
        expected.resize(nines.len(), NINE);
        assert!(bytes == expected, "frame {} with strides", want.frame_idx);
    };
    for (i, picture) in frames.iter().enumerate() {
        assert_eq!(picture.pixels.len(), up.bytes());
        // SAFETY: pinned memory of that size. The call waits for the copy.
        unsafe {
            std::ptr::copy_nonoverlapping(picture.pixels.as_ptr(), up.ptr(), up.bytes());
            stream_of_ours.copy_in(input.addr(), up.ptr(), up.bytes()).unwrap();
        }
        let frame = Frame::device(picture.format, of(&input), Size::new(w, h), w * 3).unwrap();
        if i == 0 {
            p.push_frame(&frame).unwrap();
            let (id, prompt) = &objects()[0];
            let want = p.fork().add_new_points_or_box(0, *id, prompt, Default::default()).unwrap();
            let out = to(MaskFormat::Labels, true);
            let got = p.add_new_points_or_box_into(0, *id, prompt, Default::default(), out).unwrap();
            look(&got, &want, MaskFormat::Labels, true);
            continue;
        }
        // The frame of a fork takes the place of the previous frame, whose features must not be needed any more.
        let forms: &[_] = if i == 1 { &[] } else { &[(MaskFormat::Bits, true), (MaskFormat::Logits, true)] };
        for &(format, flipped) in forms {
            let mut got = FrameMasks::default();
            p.fork().push_frame_into(&frame, to(format, flipped), &mut got).unwrap();
            look(&got, &want[i], format, flipped);
        }
        if i == 2 {
            strided(&mut p.fork(), &frame, &want[i]);
        }
        let mut got = FrameMasks::default();
        p.push_frame_into(&frame, to(MaskFormat::Binary, false), &mut got).unwrap();
        look(&got, &want[i], MaskFormat::Binary, false);
    }
    // Such frames are not kept, so a frame before the last is an error.
    let gone = p.add_new_points_or_box(1, 5, &objects()[1].1, Default::default());
    assert!(matches!(&gone, Err(Error::Input(e)) if e.contains("GPU's memory and is not kept")), "{gone:?}");
    // On another device such memory is an error.
    let mut cpu = demo().video_stream(Retention::Window(0), Default::default()).unwrap();
    let frame = Frame::device(frames[0].format, of(&input), Size::new(w, h), w * 3).unwrap();
    assert!(matches!(cpu.push_frame(&frame), Err(Error::Input(_))));
    cpu.push_frame(&frames[0].frame().unwrap()).unwrap();
    cpu.add_new_points_or_box(0, 1, &objects()[0].1, Default::default()).unwrap();
    let out = to(MaskFormat::Binary, false);
    assert!(matches!(
        cpu.push_frame_into(&frames[1].frame().unwrap(), out, &mut FrameMasks::default()),
        Err(Error::Input(_))
    ));
    assert_eq!(cpu.num_frames(), 1);
}

#[test]
fn device_memory_on_the_emulator() {
    device_memory(Emulator::new(79));
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn gpu_replay_equals_eager() {
    replay_equals_eager(Driver::new(0).unwrap());
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn gpu_device_memory() {
    device_memory(Driver::new(0).unwrap());
}

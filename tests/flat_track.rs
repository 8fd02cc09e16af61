//! A video that is tracked from its prompts, with tracked frames forgotten, uses constant memory. One test, since the
//! allocator counts for the whole process.

mod common;
#[path = "common/allocator.rs"]
mod counting;

use common::*;
use counting::{Counting, HELD};
use sam2::{Direction, Frames, Prompt, VideoPredictorOptions};
use std::sync::atomic::Ordering::SeqCst;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn memory_is_flat_from_the_100th_frame_on() {
    let clip = Frames::folder(file("demo/samples/video1/frames")).unwrap();
    // Forwards and backwards through the clip, so that there are no jumps.
    let at = |i: usize| (i % 46).min(46 - i % 46);
    let frames = Frames::pictures((0..131).map(|i| (*clip.read(at(i)).unwrap()).clone()).collect());
    let options = VideoPredictorOptions { forget_tracked_frames: true, ..Default::default() };
    let mut p = demo().video_predictor(frames, options).unwrap();
    p.add_new_points_or_box(0, 1, &Prompt::new().point(208.0, 249.0, 1), Default::default()).unwrap();
    p.add_new_points_or_box(4, 2, &Prompt::new().bounds([346.0, 175.0, 428.0, 266.0]), Default::default()).unwrap();
    let mut held = Vec::with_capacity(200);
    p.propagate_in_video(None, None, Direction::Forward, |_| {
        held.push(HELD.load(SeqCst));
        true
    })
    .unwrap();
    assert_eq!(held.len(), 131);
    let [least, most] = [held[100..].iter().min(), held[100..].iter().max()].map(|n| *n.unwrap());
    // Maps of a few dozen entries split and join. A mask is 16 KiB or more.
    assert!(most - least < 8 << 10, "{least} to {most} bytes");
    assert!(held[130] - held[100] < 8 << 10, "{held:?}");
}

//! A stream that keeps a window uses constant memory. One test, since the allocator counts for the whole process.
//!
//! `SAM2_FRAMES=10000 cargo test --release --test flat_memory` is the long form.

mod common;
#[path = "common/allocator.rs"]
mod counting;

use common::*;
use counting::{Counting, HELD};
use sam2::{Frames, MemoryUse, Prompt, Retention};
use std::sync::atomic::Ordering::SeqCst;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn memory_is_flat() {
    let frames: usize = std::env::var("SAM2_FRAMES").map_or(120, |n| n.parse().unwrap());
    let clip = Frames::folder(file("demo/samples/video1/frames")).unwrap();
    let clip: Vec<_> = (0..clip.len()).map(|i| clip.read(i).unwrap()).collect();
    let mut p = demo().video_stream(Retention::Window(2), Default::default()).unwrap();
    let mut held = Vec::with_capacity(frames);
    for i in 0..frames {
        // Forwards and backwards through the clip, so that there are no jumps.
        let at = i % (2 * clip.len() - 2);
        let picture = &clip[at.min(2 * clip.len() - 2 - at)];
        p.push_frame(&picture.frame().unwrap()).unwrap();
        match i {
            0 => _ = p.add_new_points_or_box(0, 1, &Prompt::new().point(208.0, 249.0, 1), Default::default()).unwrap(),
            4 => {
                let bounds = Prompt::new().bounds([346.0, 175.0, 428.0, 266.0]);
                p.add_new_points_or_box(4, 2, &bounds, Default::default()).unwrap();
            }
            _ => {}
        }
        // There are occasional corrections, and an object is added and removed.
        if i % 30 == 29 {
            p.add_new_points_or_box(i, 1, &Prompt::new().point(208.0, 249.0, 1), Default::default()).unwrap();
            p.add_new_points_or_box(i, 3, &Prompt::new().point(60.0, 60.0, 1), Default::default()).unwrap();
        }
        if i % 30 == 3 && i > 30 {
            p.remove_object(3).unwrap();
        }
        let MemoryUse { device, host } = p.memory_bytes();
        held.push((HELD.load(SeqCst), [device, host]));
    }
    // At the same point of every cycle of corrections.
    let warm: Vec<_> = held.into_iter().skip(59).step_by(30).collect();
    let most = warm.iter().map(|(_, bytes)| bytes).max().unwrap();
    assert!(warm.len() >= 2 && warm.iter().all(|(_, bytes)| bytes == most), "{warm:?}");
    let (first, last) = (warm[0].0, warm.last().unwrap().0);
    assert_eq!(first, last, "bytes allocated after {} rounds: {warm:?}", warm.len());
}

//! Streams that their clients leave keep no memory. The test has a process of its own, whose memory it reads.

#[path = "../../tests/common/allocator.rs"]
mod allocator;
mod common;

use common::*;
use serde_json::json;
use std::io::Read;
use std::sync::atomic::Ordering::SeqCst;

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;

/// The number of streams, or that of `SAM2_LEFT_STREAMS`.
const STREAMS: usize = 100;

fn streams_that_are_left_leave_nothing() {
    let server = Server::new(&options());
    let to = server.to;
    let video = upload(to, &clip(&folder()));
    let session = begin(to, &json!({"video": video}));
    prompt(to, &session, 0, 1, &[click(390.0, 215.0, 1)]);
    propagate(to, &session, &json!({}));
    let one = || {
        // From the first frame: frames before another one are kept if it was reached from a later frame.
        let mut stream = open(to, &format!("{session}/propagate"), &json!({"start": 0}));
        stream.read_exact(&mut [0; 100]).unwrap();
        drop(stream);
        wait_until("it has ended", || !server.app.sessions.list()[0].is_tracking());
    };
    let memory = |streams: usize| -> Vec<[isize; 2]> {
        let each = |_| {
            one();
            [allocator::HELD.load(SeqCst), resident() as isize]
        };
        (0..streams).map(each).collect()
    };
    let streams = std::env::var("SAM2_LEFT_STREAMS").ok().map_or(STREAMS, |n| n.parse().unwrap());
    let (before, after) = (memory(50), memory(streams));
    // A frame that is decoded ahead is in memory after one stream and not after another. What is kept is there after
    // every one.
    let most = [0, 1].map(|i| before.iter().map(|memory| memory[i]).max().unwrap());
    let least = [0, 1].map(|i| after[after.len() - 50..].iter().map(|memory| memory[i]).min().unwrap());
    let [held, resident] = [0, 1].map(|i| least[i] - most[i]);
    println!("{streams} streams: {held} bytes more are held, {resident} more are resident");
    assert!(held < 1 << 20, "{held} bytes more are held");
    assert!(resident < 8 << 20, "{resident} bytes more are resident");
    assert_eq!(server.app.lanes.waiting(), 0);
}

fn main() {
    run_with_ffmpeg(&[("streams_that_are_left_leave_nothing", streams_that_are_left_leave_nothing, true)]);
}

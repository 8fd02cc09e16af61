//! Streams that their clients leave keep no memory. The test has a process of its own, whose memory it reads.

mod common;

use common::*;
use serde_json::json;
use std::io::Read;

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
        let mut stream = open(to, &format!("{session}/propagate"), &json!({"start": 20}));
        stream.read_exact(&mut [0; 100]).unwrap();
        drop(stream);
        wait_until("it has ended", || !server.app.sessions.list()[0].is_tracking());
    };
    // Frames that are decoded ahead are in memory at one time and not at another.
    let before = (0..50).map(|_| (one(), resident()).1).max().unwrap_or_default();
    let streams = std::env::var("SAM2_LEFT_STREAMS").ok().map_or(STREAMS, |n| n.parse().unwrap());
    (0..streams).for_each(|_| one());
    let grown = resident().saturating_sub(before);
    println!("{streams} streams: {grown} bytes more");
    assert!(grown < 8 << 20, "{grown} bytes more");
    assert_eq!(server.app.lanes.waiting(), 0);
}

fn main() {
    run_with_ffmpeg(&[("streams_that_are_left_leave_nothing", streams_that_are_left_leave_nothing, true)]);
}

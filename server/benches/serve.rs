//! Latencies and throughput of the server on loopback, and the memory of an idle session.
//!
//!     cargo bench -p sam2-server --bench serve -- [MODEL]
//!
//! MODEL is the demo model by default. Prints a table in Markdown. Videos need ffmpeg.

#[path = "../tests/common/mod.rs"]
mod common;

use common::*;
use sam2::{LoadOptions, Model};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A connection that is kept for many requests.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn new(to: SocketAddr) -> Connection {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_nodelay(true).unwrap();
        Connection(BufReader::new(stream))
    }

    /// Sends JSON and reads the answer. Returns its time.
    fn post(&mut self, path: &str, body: &Value) -> Duration {
        let (start, body) = (Instant::now(), body.to_string());
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.get_mut().write_all(head.as_bytes()).unwrap();
        let (mut line, mut length, mut ok) = (String::new(), 0, false);
        loop {
            line.clear();
            self.0.read_line(&mut line).unwrap();
            ok |= line.starts_with("HTTP/1.1 200");
            if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                length = n.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        assert!(ok);
        std::io::copy(&mut self.0.by_ref().take(length), &mut std::io::sink()).unwrap();
        start.elapsed()
    }
}

/// The median and the 95th percentile in milliseconds.
fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    format!("{:.1} ms, p95 {:.1} ms", at(0.5), at(0.95))
}

fn row(what: &str, value: &str) {
    println!("| {what} | {value} |");
}

fn clicks(to: SocketAddr, path: &str, count: usize) -> Vec<Duration> {
    let mut connection = Connection::new(to);
    (0..count)
        .map(|i| {
            let prompt = json!({"points": [{"x": 100 + i % 50, "y": 150 + i % 40, "label": 1}]});
            connection.post(path, &json!({"prompts": [prompt]}))
        })
        .collect()
}

fn main() {
    let path = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or("../demo".into());
    let model: Model = sam2::load(&path, &LoadOptions::default()).unwrap();
    let begin_server = Instant::now();
    let server = Server::with(model, &options());
    println!("`{path}`, {}, {}\n\n| | |\n|---|---|", server.app.model.device(), server.app.model.precision().name());
    let to = server.to;
    ask(to, "GET", "/health/ready", &[], b"");
    row("from the model to the first answer", &format!("{:.1} ms", begin_server.elapsed().as_secs_f64() * 1e3));
    let png = [("Content-Type", "image/png")];
    let image = ask(to, "POST", "/api/v1/images?wait=1", &png, &demo("samples/images/image1.png")).json();
    row("encoding of an image", &format!("{:.1} ms", image["encode_ms"].as_f64().unwrap()));
    let masks = format!("/api/v1/images/{}/masks", image["id"].as_str().unwrap());
    clicks(to, &masks, 10);
    let (start, count) = (Instant::now(), 200);
    let alone = clicks(to, &masks, count);
    row("a click over HTTP", &percentiles(alone));
    row("clicks a second, one client", &format!("{:.0}", count as f64 / start.elapsed().as_secs_f64()));
    let start = Instant::now();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let masks = masks.clone();
            std::thread::spawn(move || clicks(to, &masks, 100))
        })
        .collect();
    let times: Vec<Duration> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    let second = times.len() as f64 / start.elapsed().as_secs_f64();
    row("clicks a second, four clients", &format!("{second:.0}"));

    let video = upload(to, &clip(&folder()));
    let sessions: Vec<String> = (0..4).map(|_| begin(to, &json!({"video": video}))).collect();
    for session in &sessions {
        prompt(to, session, 0, 1, &[click(390.0, 215.0, 1)]);
    }
    let first = server.app.sessions.list().into_iter().find(|s| sessions[0].ends_with(&s.id)).unwrap();
    row("an idle session after a click", &format!("{:.1} MiB", first.bytes() as f64 / f64::from(1 << 20)));
    let mut connection = Connection::new(to);
    let body = json!({"frame": 0, "object": 1, "points": [click(390.0, 215.0, 1)]});
    let times = sessions.iter().cycle().take(40).map(|session| connection.post(&format!("{session}/prompts"), &body));
    row("a click on a video, of four sessions in turn", &percentiles(times.collect()));
    let start = Instant::now();
    let frames = propagate(to, &sessions[0], &json!({})).iter().filter(|(name, _)| name == "frame").count();
    let frame = start.elapsed().as_secs_f64() * 1e3 / frames as f64;
    row("a tracked frame over HTTP", &format!("{frame:.1} ms"));
    let streams: Vec<_> = sessions
        .iter()
        .map(|session| {
            let session = session.clone();
            std::thread::spawn(move || propagate(to, &session, &json!({})))
        })
        .collect();
    wait_until("all track", || server.app.sessions.list().iter().any(|session| session.is_tracking()));
    let mut times = Vec::new();
    while server.app.sessions.list().iter().all(|session| session.is_tracking()) && times.len() < 200 {
        times.extend(clicks(to, &masks, 1));
    }
    if !times.is_empty() {
        row("a click on an image while four clips are tracked", &percentiles(times));
    }
    streams.into_iter().for_each(|stream| drop(stream.join()));
}

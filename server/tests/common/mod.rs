//! A server on a port of its own, and a client.

// Not every test program uses everything.
#![allow(dead_code)]

use libtest_mimic::{Arguments, Trial};
use sam2::{LoadOptions, Model};
use sam2_server::app::App;
use sam2_server::guard::Guard;
use sam2_server::listen;
use sam2_server::options::Options;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// The demo model.
pub static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let options = LoadOptions { threads: 2, ..Default::default() };
    sam2::load("../demo/sam2.1_hiera_demo.safetensors", &options).unwrap()
});

/// A file of the demo.
pub fn demo(name: &str) -> Vec<u8> {
    std::fs::read(format!("../demo/{name}")).unwrap()
}

/// An empty folder of this test.
pub fn folder() -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let name = format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Options of a server that keeps 2 images.
pub fn options() -> Options {
    let hosts = ["localhost", "127.0.0.1"].map(String::from).to_vec();
    let guard = Guard { hosts, ..Default::default() };
    Options { max_images: 2, ..Options::new(guard, "demo".into(), folder()) }
}

/// A running server, which ends when the value is dropped.
pub struct Server {
    pub to: SocketAddr,
    pub app: Arc<App>,
    end: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<std::io::Result<()>>>,
}

impl Server {
    /// Starts a server with the demo model.
    pub fn new(options: &Options) -> Server {
        Server::with(MODEL.clone(), options)
    }

    /// Starts a server.
    pub fn with(model: Model, options: &Options) -> Server {
        let app = Arc::new(App::new(model, options).unwrap());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let (end, ended) = tokio::sync::oneshot::channel();
        let here = app.clone();
        let run = move || listen::run(&here, listener, async { drop(ended.await) });
        Server { to, app, end: Some(end), thread: Some(std::thread::spawn(run)) }
    }

    /// Has the server end as after a signal, and waits for it.
    pub fn end(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// An answer.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|l| l.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|p| p.1))
    }
}

/// Sends a request and reads the answer until the server closes the connection.
pub fn ask(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(to).unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == "Host") {
        head += &format!("Host: {to}\r\n");
    }
    headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    stream.write_all((head + "\r\n").as_bytes()).unwrap();
    // A server that refuses may close before it has read the body.
    let _ = stream.write_all(body);
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    let end = all.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or_else(|| panic!("{method} {path}: no answer"));
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut body = all.split_off(end + 4);
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        body = unchunked(&body);
    }
    Answer { status, head, body }
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(line) = rest.windows(2).position(|w| w == b"\r\n") {
        let n = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap().trim(), 16).unwrap();
        out.extend(&rest[line + 2..][..n]);
        rest = rest.get(line + 4 + n..).unwrap_or_default();
    }
    out
}

/// The server-sent events of a body.
pub fn events(body: &[u8]) -> Vec<(String, Value)> {
    let text = std::str::from_utf8(body).unwrap();
    let event = |block: &str| -> (String, Value) {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_string();
        (field("event: "), serde_json::from_str(&field("data: ")).unwrap())
    };
    text.split("\n\n").filter(|block| block.contains("event: ")).map(event).collect()
}

/// Sends JSON and returns the answer.
pub fn post(to: SocketAddr, path: &str, body: &Value) -> Answer {
    ask(to, "POST", path, &[("Content-Type", "application/json")], body.to_string().as_bytes())
}

/// The frames of a video of the demo.
pub const FRAMES: &str = "../demo/samples/video1/frames";

/// A clip of the demo's frames.
pub fn clip(folder: &Path) -> PathBuf {
    let file = folder.join("clip.mp4");
    let mut ffmpeg = std::process::Command::new("ffmpeg");
    ffmpeg.args(["-loglevel", "error", "-nostdin", "-framerate", "12", "-i", &format!("{FRAMES}/%05d.jpg")]);
    let done = ffmpeg.args(["-c:v", "mpeg4", "-q:v", "2", "-y"]).arg(&file).status().unwrap();
    assert!(done.success());
    file
}

/// Uploads a video and returns its id.
pub fn upload(to: SocketAddr, clip: &Path) -> String {
    let answer = ask(to, "POST", "/api/v1/videos", &[("Content-Type", "video/mp4")], &std::fs::read(clip).unwrap());
    assert_eq!(answer.status, 201, "{}", answer.json());
    answer.json()["id"].as_str().unwrap().into()
}

/// Begins a session and returns its path.
pub fn begin(to: SocketAddr, what: &Value) -> String {
    let answer = post(to, "/api/v1/sessions", what);
    assert_eq!(answer.status, 201, "{}", answer.json());
    format!("/api/v1/sessions/{}", answer.json()["id"].as_str().unwrap())
}

/// A point of a prompt.
pub fn click(x: f32, y: f32, label: i32) -> Value {
    json!({"x": x, "y": y, "label": label})
}

/// Adds a prompt, and returns the masks of the frame.
pub fn prompt(to: SocketAddr, session: &str, frame: usize, object: i64, points: &[Value]) -> Value {
    let body = json!({"frame": frame, "object": object, "points": points});
    let answer = post(to, &format!("{session}/prompts"), &body);
    assert_eq!(answer.status, 200, "{}", answer.json());
    answer.json()
}

/// Propagates, and returns all events.
pub fn propagate(to: SocketAddr, session: &str, how: &Value) -> Vec<(String, Value)> {
    events(&post(to, &format!("{session}/propagate"), how).body)
}

/// Opens a stream and reads nothing of it.
pub fn open(to: SocketAddr, path: &str, body: &Value) -> TcpStream {
    let mut stream = TcpStream::connect(to).unwrap();
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {to}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// Waits for a condition.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The resident memory of this process in bytes.
pub fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

/// Runs tests of which some need ffmpeg. In CI it must be there.
pub fn run_with_ffmpeg(tests: &[(&str, fn(), bool)]) {
    let ffmpeg = std::process::Command::new("ffmpeg").arg("-version").output().is_ok();
    let lacking = !ffmpeg && std::env::var_os("CI").is_none();
    let trial = |&(name, test, needs): &(&str, fn(), bool)| {
        let run = move || {
            test();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(needs && lacking)
    };
    libtest_mimic::run(&Arguments::from_args(), tests.iter().map(trial).collect()).exit();
}

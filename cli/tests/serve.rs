//! The command `serve`: what it refuses, and how it ends.

#![cfg(all(feature = "serve", unix))]

mod common;

use common::Folder;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sam2");

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["serve", "--model", "../demo", "--port", "0"]).args(args).env_remove("SAM2_API_KEY");
    command
}

/// A running server, which is killed when the value is dropped.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(args: &[&str]) -> Server {
        Server::run(command(args).stderr(Stdio::null()))
    }

    fn run(command: &mut Command) -> Server {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").and_then(|rest| rest.strip_suffix('/')).unwrap().to_string();
        Server { child, address }
    }

    fn signal(&self, signal: i32) {
        // SAFETY: the process is a child that was not waited for.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }

    fn send(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        stream
    }

    /// The status and the body of an answer.
    fn ask(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> (u16, serde_json::Value) {
        let mut text = Vec::new();
        let _ = self.send(method, path, kind, body).read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text).into_owned();
        let status = text.split(' ').nth(1).unwrap().parse().unwrap();
        let body = text.split_once("\r\n\r\n").unwrap().1;
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    fn post(&self, path: &str, body: &serde_json::Value) -> (u16, serde_json::Value) {
        self.ask("POST", path, "application/json", body.to_string().as_bytes())
    }

    fn wait(&mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(start.elapsed() < Duration::from_secs(40), "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn refused(output: &Output, code: i32, says: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), text.contains(says)), (Some(code), true), "{text}");
    assert!(output.stdout.is_empty());
}

#[test]
fn what_is_not_safe_does_not_start() {
    refused(&command(&["--host", "0.0.0.0"]).output().unwrap(), 2, "--api-key-file");
    let folder = Folder::new("serve-refused");
    let keys = folder.file("keys");
    std::fs::write(&keys, "\n \n").unwrap();
    refused(&command(&["--host", "0.0.0.0", "--api-key-file", &keys]).output().unwrap(), 2, "no key");
    for origin in ["*", "localhost", "http://a/b", "http://"] {
        refused(&command(&["--cors-origin", origin]).output().unwrap(), 2, "expected http://HOST");
    }
    refused(&command(&["--compat", "meta,other"]).output().unwrap(), 2, "roboflow");
    refused(&command(&["--max-sessions", "0"]).output().unwrap(), 2, "at least 1");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = Command::new(PROGRAM).args(["serve", "--model", "../demo", "--port", &port]).output().unwrap();
    refused(&output, 4, &port);
    let data = folder.file("taken");
    let _first = Server::start(&["--data", &data]);
    refused(&command(&["--data", &data]).output().unwrap(), 2, "another server");
}

#[test]
fn keys_come_from_a_file() {
    let folder = Folder::new("serve-keys");
    let keys = folder.file("keys");
    std::fs::write(&keys, "first\n second \n").unwrap();
    let mut server = Server::start(&["--host", "0.0.0.0", "--api-key-file", &keys]);
    server.address = server.address.replace("0.0.0.0", "127.0.0.1");
    let status = |key: &str| {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        let head =
            format!("GET /api/v1/system HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Api-Key: {key}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    assert_eq!(["first", "second", "third", ""].map(status), [200, 200, 401, 401]);
}

fn session_of_a_stream(server: &Server) -> String {
    let (status, session) = server.post("/api/v1/sessions", &serde_json::json!({"stream": true}));
    assert_eq!(status, 201);
    let session = format!("/api/v1/sessions/{}", session["id"].as_str().unwrap());
    let frame = std::fs::read("../demo/samples/video1/frames/00000.jpg").unwrap();
    assert_eq!(server.ask("POST", &format!("{session}/frames"), "image/jpeg", &frame).0, 200);
    let click = serde_json::json!({"frame": 0, "object": 1, "points": [{"x": 390, "y": 215, "label": 1}]});
    assert_eq!(server.post(&format!("{session}/prompts"), &click).0, 200);
    session
}

fn next_frame(server: &Server, session: &str, number: usize) -> serde_json::Value {
    let frame = std::fs::read(format!("../demo/samples/video1/frames/{number:05}.jpg")).unwrap();
    let (status, masks) = server.ask("POST", &format!("{session}/frames"), "image/jpeg", &frame);
    assert_eq!(status, 200, "{masks}");
    masks
}

#[test]
fn a_signal_under_load_loses_no_session() {
    let folder = Folder::new("serve-signal");
    let data = folder.file("data");
    let mut server = Server::start(&["--data", &data]);
    let sessions: Vec<String> = (0..3).map(|_| session_of_a_stream(&server)).collect();
    let want = next_frame(&server, &sessions[0], 1);
    // Work that runs and waits when the signal comes.
    let frame = std::fs::read("../demo/samples/video1/frames/00001.jpg").unwrap();
    let open: Vec<TcpStream> =
        (0..8).map(|_| server.send("POST", &format!("{}/frames", sessions[2]), "image/jpeg", &frame)).collect();
    server.signal(libc::SIGTERM);
    assert_eq!(server.wait(), Some(0));
    drop(open);
    let server = Server::start(&["--data", &data]);
    let (_, list) = server.ask("GET", "/api/v1/sessions", "", b"");
    assert_eq!(list["sessions"].as_array().unwrap().len(), 3);
    // The second session continues as the first one did before.
    assert_eq!(next_frame(&server, &sessions[1], 1), want);
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut server = Server::start(&[]);
    // A body that does not come keeps the server from ending by itself.
    let mut stream = TcpStream::connect(&server.address).unwrap();
    let head = "POST /api/v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    server.signal(libc::SIGINT);
    std::thread::sleep(Duration::from_millis(300));
    assert!(server.child.try_wait().unwrap().is_none());
    let start = Instant::now();
    server.signal(libc::SIGINT);
    assert_eq!(server.wait(), Some(130));
    assert!(start.elapsed() < Duration::from_secs(5));
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all
}

#[test]
fn a_killed_server_leaves_nothing_torn() {
    let folder = Folder::new("serve-killed");
    let (data, path) = (folder.0.join("data"), folder.file("data"));
    for _ in 0..3 {
        // Little memory, so that sessions are saved while it runs.
        let mut server = Server::start(&["--data", &path, "--memory-limit", "0"]);
        let _sessions: Vec<String> = (0..3).map(|_| session_of_a_stream(&server)).collect();
        let mut upload = TcpStream::connect(&server.address).unwrap();
        let head = "POST /api/v1/videos HTTP/1.1\r\nHost: localhost\r\nContent-Type: video/mp4\r\nContent-Length: 1000000\r\n\r\n";
        upload.write_all(head.as_bytes()).unwrap();
        upload.write_all(&[0; 50_000]).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        server.signal(libc::SIGKILL);
        assert_eq!(server.wait(), None);
    }
    let server = Server::start(&["--data", &path]);
    assert_eq!(server.ask("GET", "/api/v1/videos", "", b"").1["videos"], serde_json::json!([]));
    assert_eq!(server.ask("GET", "/api/v1/sessions", "", b"").1["sessions"], serde_json::json!([]));
    let left = files(&data);
    assert_eq!(left, [data.join("lock")], "a crash left files");
}

#[test]
fn requests_are_logged_as_json() {
    let folder = Folder::new("serve-log");
    let (keys, log) = (folder.file("keys"), folder.0.join("log"));
    std::fs::write(&keys, "the-secret").unwrap();
    let stderr = std::fs::File::create(&log).unwrap();
    let mut server = Server::run(command(&["--log-json", "--api-key-file", &keys]).stderr(stderr));
    let get = |path: &str, header: &str| {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.to_ascii_lowercase().lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap().to_string()
    };
    assert_eq!(get("/version", "X-Request-Id: the-id"), "the-id");
    let own = get("/api/v1/images/the-path?the-query", "X-Api-Key: the-secret");
    get("/version", "X-Request-Id: {\"forged\": 1}");
    server.signal(libc::SIGTERM);
    assert_eq!(server.wait(), Some(0));
    let text = std::fs::read_to_string(&log).unwrap();
    for word in ["the-secret", "the-path", "the-query", "forged"] {
        assert!(!text.contains(word), "{word} is in {text}");
    }
    let lines: Vec<serde_json::Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let line = |id: &str| lines.iter().find(|line| line["id"] == id).unwrap_or_else(|| panic!("{id} is not in {text}"));
    let first = line("the-id");
    assert_eq!(
        (&first["method"], &first["route"], &first["client"]),
        (&"GET".into(), &"/version".into(), &"127.0.0.1".into())
    );
    assert_eq!((&first["status"], &first["queue_ms"], &first["bytes"]), (&200.into(), &0.0.into(), &19.into()));
    assert!(first["time"].as_f64().unwrap() > 1.7e9 && first["ms"].is_number());
    assert_eq!((&line(&own)["status"], &line(&own)["route"]), (&404.into(), &"/api/v1/images/{id}".into()));
}

#[test]
fn ffmpeg_runs_under_limits() {
    let folder = Folder::new("serve-limits");
    let (program, seen) = (folder.file("ffmpeg"), folder.0.join("seen"));
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *-version*) echo ffmpeg version 6.0; exit;; esac\n\
         {{ ulimit -t; ulimit -v; ulimit -f; ulimit -c; env; }} > {}\nexit 1\n",
        seen.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let server = Server::run(command(&[]).env("SAM2_FFMPEG", &program).env("THE_SECRET", "1").stderr(Stdio::null()));
    assert_eq!(server.ask("POST", "/api/v1/videos", "video/mp4", b"no video").0, 422);
    let text = std::fs::read_to_string(&seen).unwrap();
    // Seconds, KiB, blocks of 512 bytes.
    assert_eq!(text.lines().take(4).collect::<Vec<_>>(), ["3600", "4194304", "1048576", "0"]);
    assert!(!text.contains("THE_SECRET") && text.contains("PATH="), "{text}");
}

//! What strangers and hostile pages send: each is refused with the status it should have, and nothing is kept of it.

mod common;

use common::*;
use sam2_server::options::Options;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// Every route, with the method that it takes.
const ROUTES: &[(&str, &str)] = &[
    ("GET", "/"),
    ("GET", "/sam2-page.js"),
    ("GET", "/health"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/version"),
    ("GET", "/metrics"),
    ("GET", "/api/v1/system"),
    ("GET", "/api/v1/images"),
    ("POST", "/api/v1/images"),
    ("POST", "/api/v1/masks"),
    ("GET", "/api/v1/images/ID"),
    ("DELETE", "/api/v1/images/ID"),
    ("GET", "/api/v1/images/ID/file"),
    ("POST", "/api/v1/images/ID/masks"),
    ("POST", "/api/v1/images/ID/everything"),
    ("GET", "/api/v1/videos"),
    ("POST", "/api/v1/videos"),
    ("GET", "/api/v1/videos/ID"),
    ("DELETE", "/api/v1/videos/ID"),
    ("GET", "/api/v1/videos/ID/file"),
    ("GET", "/api/v1/videos/ID/frames/0.jpg"),
    ("GET", "/api/v1/sessions"),
    ("POST", "/api/v1/sessions"),
    ("GET", "/api/v1/sessions/ID"),
    ("DELETE", "/api/v1/sessions/ID"),
    ("POST", "/api/v1/sessions/ID/encode"),
    ("POST", "/api/v1/sessions/ID/prompts"),
    ("DELETE", "/api/v1/sessions/ID/prompts?frame=0&object=1"),
    ("DELETE", "/api/v1/sessions/ID/objects/1"),
    ("POST", "/api/v1/sessions/ID/reset"),
    ("POST", "/api/v1/sessions/ID/propagate"),
    ("POST", "/api/v1/sessions/ID/cancel"),
    ("GET", "/api/v1/sessions/ID/masks"),
    ("GET", "/api/v1/sessions/ID/export?format=coco"),
    ("POST", "/api/v1/sessions/ID/frames"),
];

#[test]
fn hosts_origins_and_methods_on_every_route() {
    let server = Server::new(&options());
    let status =
        |method: &str, path: &str, headers: &[(&str, &str)]| ask(server.to, method, path, headers, b"{}").status;
    for (method, path) in ROUTES {
        for host in ["attacker.example", "127.0.0.1.attacker.example", "localhost.", "169.254.169.254", ""] {
            assert_eq!(status(method, path, &[("Host", host)]), 403, "{method} {path} by {host}");
        }
        let changes = *method != "GET";
        for origin in ["http://attacker.example", "null", "https://localhost", "file://", "http://127.0.0.1"] {
            let got = status(method, path, &[("Origin", origin), JSON]);
            assert_eq!(got == 403, changes, "{method} {path} from {origin}: {got}");
        }
        let cross = status(method, path, &[("Sec-Fetch-Site", "cross-site"), JSON]);
        assert_eq!(cross == 403, changes, "{method} {path} of another site: {cross}");
        for wrong in ["PUT", "PATCH", "TRACE", "CONNECT", "BREW"] {
            assert!([400, 403, 404, 405].contains(&status(wrong, path, &[])), "{wrong} {path}");
        }
        // What a form of another site can send is no JSON.
        if *method == "POST" && path.starts_with("/api/v1/sessions") {
            for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
                let got = status(method, path, &[("Content-Type", kind)]);
                assert!([404, 415].contains(&got), "{method} {path} as {kind}: {got}");
            }
        }
    }
}

#[test]
fn paths_lead_nowhere() {
    let server = Server::new(&options());
    let steps =
        ["..", "%2e%2e", "..%2f..", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%5c..", "%00", "/etc/passwd", "C:%5c", "...."];
    let folders = ["", "/api/v1/images/", "/api/v1/videos/", "/api/v1/sessions/", "/api/v1/videos/ID/frames/"];
    for folder in folders {
        for step in steps {
            for end in ["", "/file", "/etc/passwd", "/../../../../etc/passwd"] {
                let path = format!("{folder}/{step}{end}").replace("//", "/");
                let answer = ask(server.to, "GET", &path, &[], b"");
                assert!([400, 404].contains(&answer.status), "{path}: {}", answer.status);
                assert!(!String::from_utf8_lossy(&answer.body).contains("root:"), "{path}");
            }
        }
    }
}

/// A PNG whose header says that it is huge.
fn huge_png() -> Vec<u8> {
    let mut head = b"IHDR".to_vec();
    head.extend(50_000u32.to_be_bytes());
    head.extend(50_000u32.to_be_bytes());
    head.extend([8, 2, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0d".to_vec();
    let sum = crc(&head);
    png.extend(head);
    png.extend(sum.to_be_bytes());
    png
}

/// The checksum of PNG.
fn crc(bytes: &[u8]) -> u32 {
    let step = |c: u32| (0..8).fold(c, |c, _| if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 });
    !bytes.iter().fold(!0, |c, byte| step((c ^ u32::from(*byte)) & 0xff) ^ (c >> 8))
}

#[test]
fn bombs_are_refused_without_memory() {
    let server = Server::new(&options());
    let to = server.to;
    let png = [("Content-Type", "image/png")];
    let image = ask(to, "POST", "/api/v1/images?wait=1", &png, &demo("samples/images/image1.png")).json();
    let masks = format!("/api/v1/images/{}/masks", image["id"].as_str().unwrap());
    let before = resident();
    let start = Instant::now();
    assert_eq!(ask(to, "POST", "/api/v1/images", &png, &huge_png()).status, 422);
    let rle = |size: [u64; 2], counts: &str| json!({"prompts": [{"mask": {"rle": {"size": size, "counts": counts}}}]});
    for (size, counts) in [
        ([1 << 40, 1 << 40], "0"),
        ([360, 480], "ooooooooooooooooooooo0"),
        ([360, 480], "\u{0}\u{7f}"),
        ([0, 0], ""),
        ([480, 360], "P9"),
    ] {
        assert_eq!(post(to, &masks, &rle(size, counts)).status, 422, "{counts:?}");
    }
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    for text in [
        &*deep,
        "{\"prompts\": [{\"points\": [{\"x\": 1e999, \"y\": 0, \"label\": 1}]}]}",
        "\u{feff}{}",
        "nul",
        "\"\\ud800\"",
    ] {
        assert_eq!(ask(to, "POST", &masks, &[JSON], text.as_bytes()).status, 400, "{}", &text[..20.min(text.len())]);
    }
    for value in [json!(9), json!(1_u64 << 40), json!("x"), Value::Null, json!([])] {
        let answer = post(to, &masks, &json!({"prompts": [{"points": [{"x": 1, "y": 1, "label": value}]}]}));
        assert!([400, 422].contains(&answer.status), "{value}");
    }
    // Forms with too many parts, without an end, and with a boundary of nothing.
    let part = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n";
    for (boundary, text) in [("x", part.repeat(9)), ("x", part.into()), ("", part.into()), ("x", "--x\r\n".into())] {
        let kind = format!("multipart/form-data; boundary={boundary}");
        assert_eq!(
            ask(to, "POST", "/api/v1/images", &[("Content-Type", &kind)], text.as_bytes()).status,
            400,
            "{boundary}"
        );
    }
    assert!(start.elapsed() < Duration::from_secs(20));
    assert!(resident().saturating_sub(before) < 256 << 20, "{} and {before} bytes", resident());
}

/// Sends bytes, and returns the status of the answer and the time until the connection is closed.
fn raw(to: std::net::SocketAddr, bytes: &[u8]) -> (Option<u16>, Duration) {
    let start = Instant::now();
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(bytes).unwrap();
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    let text = String::from_utf8_lossy(&all);
    (text.split(' ').nth(1).and_then(|status| status.parse().ok()), start.elapsed())
}

#[test]
fn slow_requests_and_too_many_connections_end() {
    let short = Duration::from_millis(300);
    let server = Server::new(&Options { head_timeout: short, body_timeout: short, max_connections: 8, ..options() });
    let to = server.to;
    for start in ["", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: localhost\r\nX: "] {
        let (_, time) = raw(to, start.as_bytes());
        assert!(time < Duration::from_secs(5), "{start:?}: {time:?}");
    }
    for (path, kind) in [("/api/v1/images", "image/png"), ("/api/v1/videos", "video/mp4"), ("/api/v1/sessions", JSON.1)]
    {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: 1000\r\n\r\nabc"
        );
        let (status, time) = raw(to, head.as_bytes());
        assert!(time < Duration::from_secs(5), "{path}: {time:?}");
        assert_eq!(status, Some(408), "{path}");
    }
    wait_until("nothing is left", || std::fs::read_dir(&server.app.videos.parts).unwrap().count() == 0);
    // A head that is too large.
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "a".repeat(300_000));
    let (status, _) = raw(to, long.as_bytes());
    assert!(status.is_none_or(|status| status == 431), "{status:?}");
    // Chunks that lie of their size.
    let chunked = "POST /api/v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    for chunks in ["ffffffffffffffffff\r\n", "-1\r\n", "zz\r\n", "1;x\r\n"] {
        let (status, time) = raw(to, format!("{chunked}{chunks}").as_bytes());
        assert!(status.is_none_or(|status| (400..500).contains(&status)), "{chunks:?}: {status:?}");
        assert!(time < Duration::from_secs(5), "{chunks:?}");
    }
    let idle: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(to).unwrap()).collect();
    std::thread::sleep(Duration::from_millis(50));
    let (status, time) = raw(to, b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(status.is_none() && time < Duration::from_secs(2), "{status:?}");
    drop(idle);
    wait_until("connections are taken again", || {
        raw(to, b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").0 == Some(200)
    });
}

#[test]
fn uploads_that_are_cut_leave_nothing() {
    let server = Server::new(&options());
    for _ in 0..20 {
        let mut stream = TcpStream::connect(server.to).unwrap();
        let head = "POST /api/v1/videos HTTP/1.1\r\nHost: localhost\r\nContent-Type: video/mp4\r\nContent-Length: 1000000\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&[0; 10_000]).unwrap();
    }
    wait_until("nothing is left", || std::fs::read_dir(&server.app.videos.parts).unwrap().count() == 0);
    // A data folder that is full takes no more.
    let full = Server::new(&Options { data_limit: 100, ..options() });
    let answer = ask(full.to, "POST", "/api/v1/videos", &[("Content-Type", "video/mp4")], &[0; 1000]);
    assert_eq!((answer.status, answer.json()["type"].as_str()), (503, Some("/problems/full")));
}

#[test]
fn a_unit_that_takes_too_long_is_told() {
    let server = Server::new(&Options { unit_timeout: Duration::from_millis(50), ..options() });
    let get = |path: &str| ask(server.to, "GET", path, &[], b"");
    assert_eq!(get("/health/ready").status, 200);
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let unit = move |_: &mut sam2_server::lane::Lane| _ = gate.recv();
    server.app.lanes.submit(sam2_server::schedule::Class::Bulk, 7, unit).unwrap();
    wait_until("the unit takes long", || get("/health/ready").status == 503);
    for path in ["/health", "/healthy"] {
        assert_eq!((get(path).status, get(path).json()["type"].as_str()), (503, Some("/problems/full")), "{path}");
    }
    assert_eq!(get("/health/live").status, 200);
    let metrics = String::from_utf8(get("/metrics").body).unwrap();
    assert!(metrics.lines().any(|line| line == "sam2_ready 0"), "{metrics}");
    drop(open);
    wait_until("the unit has ended", || get("/health/ready").status == 200);
}

#[test]
fn every_error_is_a_problem() {
    let server = Server::new(&options());
    let session = begin(server.to, &json!({"stream": true}));
    for (method, path, status) in [
        ("DELETE", format!("{session}/objects/none"), 404),
        ("DELETE", format!("{session}/prompts?frame=-1&object=1"), 400),
        ("DELETE", format!("{session}/prompts"), 400),
        ("GET", format!("{session}/masks?to=-1"), 400),
        ("GET", format!("{session}/masks?format=jpeg"), 400),
        ("GET", format!("{session}/export?format=a&format=b"), 400),
        ("GET", "/api/v1/images/%FF".into(), 404),
        ("POST", "/api/v1/images?wait=x".into(), 400),
        ("GET", "/none".into(), 404),
        ("PUT", "/version".into(), 405),
    ] {
        let answer = ask(server.to, method, &path, &[], b"");
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, Some("application/problem+json")),
            "{path}"
        );
    }
}

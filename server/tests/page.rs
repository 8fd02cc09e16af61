//! The page that the program contains.

mod common;

use common::*;
use sha2::{Digest, Sha256};

/// What `npm run keep` computes: the SHA-256 of the names and the contents of all sources, in order.
#[test]
fn the_page_is_built_from_its_sources() {
    let mut names: Vec<String> = std::fs::read_dir("page/src")
        .unwrap()
        .map(|entry| format!("src/{}", entry.unwrap().file_name().into_string().unwrap()))
        .collect();
    names.sort();
    let mut sum = Sha256::new();
    for name in ["build.mjs".into(), "package-lock.json".into()].into_iter().chain(names) {
        let name: String = name;
        sum.update(format!("{name}\n"));
        sum.update(std::fs::read(format!("page/{name}")).unwrap());
    }
    let hash: String = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let kept = std::fs::read_to_string("page/built/sources.sha256").unwrap();
    assert_eq!(kept.trim(), hash, "the sources have changed: run `npm run keep` in server/page");
}

#[test]
fn the_page_is_served_without_a_key_and_cached() {
    let mut options = options();
    options.guard.keys.push("secret".into());
    let server = Server::new(&options);
    let get = |path: &str, headers: &[(&str, &str)]| ask(server.to, "GET", path, headers, b"");
    let page = get("/", &[]);
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let text = String::from_utf8(page.body).unwrap();
    // The page names no other host.
    for path in ["sam2-page.js", "sam2-style.css"] {
        assert!(text.contains(path));
        let (plain, small) =
            (get(&format!("/{path}"), &[]), get(&format!("/{path}"), &[("Accept-Encoding", "gzip, br")]));
        assert_eq!((plain.status, small.header("content-encoding")), (200, Some("gzip")));
        assert!(small.body.len() < plain.body.len());
        let words = String::from_utf8(plain.body).unwrap();
        for address in words.match_indices("http").map(|(at, _)| &words[at..(at + 40).min(words.len())]) {
            assert!(
                !address.starts_with("http://") && !address.starts_with("https://") || address.contains("www.w3.org"),
                "{address}"
            );
        }
        let tag = plain.head.lines().find_map(|l| l.strip_prefix("etag: ")).unwrap().to_string();
        assert_eq!(get(&format!("/{path}"), &[("If-None-Match", &tag)]).status, 304);
    }
    assert!(get("/", &[]).header("content-security-policy").unwrap().contains("default-src 'self'"));
    assert_eq!(get("/api/v1/system", &[]).status, 401);
}

#[test]
fn pages_of_allowed_origins_may_ask() {
    let mut options = options();
    options.guard.keys.push("secret".into());
    options.guard.origins.push("http://tool.example:8080".into());
    let server = Server::new(&options);
    let tool = ("Origin", "http://tool.example:8080");
    let asks = |origin| {
        let headers = [("Origin", origin), ("Access-Control-Request-Method", "POST")];
        ask(server.to, "OPTIONS", "/api/v1/images", &headers, b"")
    };
    let allowed = asks(tool.1);
    assert_eq!((allowed.status, allowed.header("access-control-allow-origin")), (204, Some(tool.1)));
    let other = asks("http://tool.example:8081");
    assert_eq!((other.status, other.header("access-control-allow-origin")), (401, None));
    let answer = ask(server.to, "GET", "/api/v1/images", &[tool, ("X-Api-Key", "secret")], b"");
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some(tool.1)));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    assert!(answer.head.to_ascii_lowercase().contains("vary: origin"));
    // The page of Meta's demo sends credentials, and shows files.
    let headers = [tool, ("Access-Control-Request-Method", "POST")];
    let meta = ask(server.to, "OPTIONS", "/graphql", &headers, b"");
    assert_eq!((meta.status, meta.header("access-control-allow-credentials")), (204, Some("true")));
    let stranger = [("Origin", "http://other.example"), ("X-Api-Key", "secret")];
    let refused = ask(server.to, "GET", "/healthy", &stranger, b"");
    assert_eq!(refused.header("access-control-allow-credentials"), None);
    let policy = |path: &str| ask(server.to, "GET", path, &[("X-Api-Key", "secret")], b"");
    assert_eq!(policy("/posters/a.jpg").header("cross-origin-resource-policy"), Some("same-site"));
    assert_eq!(policy("/api/v1/images").header("cross-origin-resource-policy"), Some("same-origin"));
}

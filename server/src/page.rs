//! The files of the page, which the program contains.

use crate::ids::hash;
use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::read::GzDecoder;
use std::io::Read;
use std::sync::LazyLock;

/// A file of the page, compressed by gzip.
struct File {
    path: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

const FILES: [File; 5] = [
    File { path: "/", kind: "text/html; charset=utf-8", bytes: include_bytes!("../page/built/index.html.gz") },
    File { path: "/docs", kind: "text/html; charset=utf-8", bytes: include_bytes!("../page/built/docs.html.gz") },
    File {
        path: "/sam2-docs.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../page/built/sam2-docs.js.gz"),
    },
    File {
        path: "/sam2-page.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../page/built/sam2-page.js.gz"),
    },
    File {
        path: "/sam2-style.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("../page/built/sam2-style.css.gz"),
    },
];

/// The entity tags of the files.
static TAGS: LazyLock<[String; 5]> = LazyLock::new(|| FILES.map(|file| format!("\"{}\"", hash(file.bytes))));

/// Whether a path is a file of the page, which needs no key.
#[must_use]
pub fn is_file(path: &str) -> bool {
    FILES.iter().any(|file| file.path == path)
}

/// The routes of the page.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let route = |router: Router<S>, i: usize| {
        router.route(FILES[i].path, get(async move |headers: HeaderMap| send(i, &headers)))
    };
    (0..FILES.len()).fold(Router::new(), route)
}

fn send(i: usize, headers: &HeaderMap) -> Response {
    let (file, tag) = (&FILES[i], TAGS[i].as_str());
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // A new version of the program has a new tag.
    let always = [(header::ETAG, tag), (header::CACHE_CONTROL, "no-cache"), (header::VARY, "accept-encoding")];
    if text(header::IF_NONE_MATCH).split(',').any(|known| known.trim() == tag) {
        return (StatusCode::NOT_MODIFIED, always).into_response();
    }
    let kind = [(header::CONTENT_TYPE, file.kind)];
    if text(header::ACCEPT_ENCODING).contains("gzip") {
        return (always, kind, [(header::CONTENT_ENCODING, "gzip")], file.bytes).into_response();
    }
    let mut bytes = Vec::new();
    match GzDecoder::new(file.bytes).read_to_end(&mut bytes) {
        Ok(_) => (always, kind, bytes).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

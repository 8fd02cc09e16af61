//! What is logged of each request.

use crate::ids;
use crate::spent::Spent;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

/// The target of the lines.
pub const TARGET: &str = "sam2_server::request";
/// The header with the id of a request.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The most characters of an id that a client chooses.
const MAX_ID: usize = 128;

/// The id of a request: that of the client, if it is a short word, or a new one.
#[must_use]
pub fn request_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let is_word = |id: &&HeaderValue| {
        let id = id.as_bytes();
        (1..=MAX_ID).contains(&id.len()) && id.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
    };
    let given = headers.get(REQUEST_ID).filter(is_word).cloned();
    given.or_else(|| HeaderValue::from_str(&ids::random().ok()?).ok())
}

/// A request and its answer. Bodies, names of files and keys are not part of it.
#[derive(Debug)]
pub struct Access<'a> {
    /// The id of the request.
    pub id: &'a str,
    /// The address of the client.
    pub client: Option<IpAddr>,
    /// The method.
    pub method: &'a str,
    /// The pattern of the path, which has no text of the client.
    pub route: &'a str,
    /// The id of the session, if the path has one.
    pub session: Option<&'a str>,
    /// The status of the answer.
    pub status: u16,
    /// The bytes of the body of the answer, if they are known beforehand.
    pub bytes: Option<u64>,
    /// The time until the head of the answer.
    pub time: Duration,
    /// The part of it that units of work took.
    pub spent: Spent,
}

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e4).round() / 10.0
}

impl Access<'_> {
    /// Logs the line, in JSON or for people.
    pub fn log(&self, as_json: bool) {
        if as_json {
            log::info!(target: TARGET, "{}", self.json());
        } else {
            log::info!(target: TARGET, "{} {} {} {:.1} ms", self.method, self.route, self.status, ms(self.time));
        }
    }

    fn json(&self) -> serde_json::Value {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        json!({
            "time": (now.as_secs_f64() * 1e3).round() / 1e3, "level": "info", "id": self.id, "client": self.client,
            "method": self.method, "route": self.route, "session": self.session, "status": self.status,
            "bytes": self.bytes, "ms": ms(self.time), "queue_ms": ms(self.spent.waited), "work_ms": ms(self.spent.worked),
        })
    }
}

/// The id of the session in a path of the API.
#[must_use]
pub fn session_of(path: &str) -> Option<&str> {
    let id = path.strip_prefix("/api/v1/sessions/")?.split('/').next()?;
    ids::is_id(id).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_requests() {
        let id = |text: &str| {
            let headers = HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_str(text).unwrap())]);
            request_id(&headers).unwrap().to_str().unwrap().to_string()
        };
        assert_eq!(id("a-1_b.C"), "a-1_b.C");
        for wrong in ["", "a b", "{\"a\":1}", "\u{e9}", &"a".repeat(MAX_ID + 1)] {
            assert!(ids::is_id(&id(wrong)), "{wrong}");
        }
    }

    #[test]
    fn sessions_of_paths() {
        let id = ids::random().unwrap();
        assert_eq!(session_of(&format!("/api/v1/sessions/{id}/masks")), Some(id.as_str()));
        assert_eq!(session_of(&format!("/api/v1/sessions/{id}")), Some(id.as_str()));
        assert_eq!(session_of("/api/v1/sessions/a b"), None);
        assert_eq!(session_of(&format!("/api/v1/images/{id}")), None);
    }
}

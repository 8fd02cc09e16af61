//! Errors as RFC 9457 problems.

use crate::schedule::Refused;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::io;

/// What is wrong with a request, or with the server. A client can rely on the word; the detail is for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    status: StatusCode,
    word: &'static str,
    title: &'static str,
    detail: String,
}

/// Words, their statuses and titles.
macro_rules! problems {
    ($($name:ident $word:literal $status:ident $title:literal;)*) => {
        impl Problem {
            $(#[doc = concat!($title, ": `", $word, "`.")]
            #[must_use]
            pub fn $name(detail: impl Into<String>) -> Problem {
                Problem { status: StatusCode::$status, word: $word, title: $title, detail: detail.into() }
            })*
        }
    };
}

problems! {
    request "request" BAD_REQUEST "The request cannot be read";
    key "key" UNAUTHORIZED "A key is needed";
    host "host" FORBIDDEN "The server does not answer under this host";
    origin "origin" FORBIDDEN "The server takes no requests from this origin";
    not_found "not-found" NOT_FOUND "There is no such thing";
    timeout "timeout" REQUEST_TIMEOUT "The request came too slowly";
    busy "busy" CONFLICT "It is in use";
    size "size" PAYLOAD_TOO_LARGE "The body is too large";
    media_type "media-type" UNSUPPORTED_MEDIA_TYPE "The body is of another type";
    method "method" METHOD_NOT_ALLOWED "The path takes other methods";
    input "input" UNPROCESSABLE_ENTITY "The input has no meaning";
    limit "limit" TOO_MANY_REQUESTS "Too much work waits";
    full "full" SERVICE_UNAVAILABLE "The server is full";
    draining "draining" SERVICE_UNAVAILABLE "The server ends";
    internal "internal" INTERNAL_SERVER_ERROR "The server failed";
}

impl Problem {
    /// The problem in JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "type": format!("/problems/{}", self.word),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        })
    }

    /// What is wrong, for people.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The answer for a client that reads no problems: another status and other JSON with the same headers.
    #[must_use]
    pub fn answer(self, status: StatusCode, json: &serde_json::Value) -> Response {
        let mut answer = self.into_response();
        *answer.status_mut() = status;
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer.map(|_| json.to_string().into())
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut answer = (self.status, self.json().to_string()).into_response();
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.word == "limit" {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.word == "key" {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        answer
    }
}

/// A problem of the data folder, whose paths stay in the log.
#[must_use]
pub fn disk(e: &io::Error) -> Problem {
    log::error!("the data folder: {e}");
    match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Problem::full("the disk of the server is full"),
        _ => Problem::internal("the data folder cannot be written"),
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Problem {
        match refused {
            Refused::Full => Problem::limit("too many requests wait; try again"),
            Refused::Closed => Problem::draining("no new work is taken"),
            Refused::Failed => Problem::internal("the work was ended by a defect of the server"),
        }
    }
}

impl From<sam2::Error> for Problem {
    fn from(e: sam2::Error) -> Problem {
        match e {
            sam2::Error::Input(_) | sam2::Error::Picture { .. } | sam2::Error::Video { .. } => {
                Problem::input(e.to_string())
            }
            sam2::Error::OutOfMemory { .. } => Problem::full(e.to_string()),
            // Messages may name files of the server.
            other => {
                log::error!("{other}");
                Problem::internal("the engine failed; the log of the server has the reason")
            }
        }
    }
}

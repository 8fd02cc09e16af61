//! Bodies of requests, and the headers that tell of them.

use crate::problem::Problem;
use axum::body::Body;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use std::collections::HashMap;

/// The most bytes of JSON.
pub const MAX_JSON: usize = 1 << 20;
/// The most parts of a form.
const MAX_PARTS: usize = 8;

/// The media type of a body, in lower case and without parameters.
#[must_use]
pub fn media_type(headers: &HeaderMap) -> String {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether the client wants server-sent events.
#[must_use]
pub fn wants_events(headers: &HeaderMap) -> bool {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepts.contains("text/event-stream")
}

/// The JSON of a request. A form of another site cannot send its type, so such a site cannot send it unasked.
///
/// # Errors
///
/// `media-type`, `size` or `request`.
pub async fn json<T: for<'de> Deserialize<'de>>(headers: &HeaderMap, body: Body) -> Result<T, Problem> {
    parse(&json_bytes(headers, body, MAX_JSON).await?)
}

/// The text of a JSON body of at most `most` bytes.
///
/// # Errors
///
/// `media-type` or `size`.
pub async fn json_bytes(headers: &HeaderMap, body: Body, most: usize) -> Result<Vec<u8>, Problem> {
    if media_type(headers) != "application/json" {
        return Err(Problem::media_type("send application/json"));
    }
    bytes(body, most).await
}

/// JSON from its text.
///
/// # Errors
///
/// `request`.
pub fn parse<T: for<'de> Deserialize<'de>>(text: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(text).map_err(|e| Problem::request(e.to_string()))
}

/// As [`json`], and the defaults if there is no body.
///
/// # Errors
///
/// As [`json`].
pub async fn json_or_default<T: for<'de> Deserialize<'de> + Default>(
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Problem> {
    let none = headers.get(header::CONTENT_LENGTH).is_none_or(|length| length == "0");
    if none && !headers.contains_key(header::TRANSFER_ENCODING) {
        return Ok(T::default());
    }
    json(headers, body).await
}

/// A whole body of at most `most` bytes.
///
/// # Errors
///
/// `size`.
pub async fn bytes(body: Body, most: usize) -> Result<Vec<u8>, Problem> {
    let bytes = axum::body::to_bytes(body, most).await;
    bytes.map(Vec::from).map_err(|e| match is_timeout(&e) {
        true => Problem::timeout("the body did not come"),
        false => Problem::size(format!("a body may have {most} bytes")),
    })
}

/// Whether an error says that no more of the body came in time.
fn is_timeout(e: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(e);
    while let Some(e) = next {
        if e.is::<tower_http::timeout::TimeoutError>() {
            return true;
        }
        next = e.source();
    }
    false
}

/// The problem of a body that ends early.
#[must_use]
pub fn stream_problem(e: &axum::Error) -> Problem {
    match is_timeout(e) {
        true => Problem::timeout("the body did not come"),
        false => Problem::request(e.to_string()),
    }
}

/// The problem of a form that cannot be read.
#[must_use]
pub fn form_problem(e: &MultipartError) -> Problem {
    match e.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::size("the form is too large"),
        _ if is_timeout(e) => Problem::timeout("the form did not come"),
        _ => Problem::request(e.body_text()),
    }
}

/// The form of a request.
///
/// # Errors
///
/// `request`.
pub async fn form(request: Request) -> Result<Multipart, Problem> {
    Multipart::from_request(request, &()).await.map_err(|e| Problem::request(e.body_text()))
}

/// The next part of a form, of which there may be few. `seen` counts them.
///
/// # Errors
///
/// `request` or `size`.
pub async fn part<'a>(form: &'a mut Multipart, seen: &mut usize) -> Result<Option<Field<'a>>, Problem> {
    *seen += 1;
    if *seen > MAX_PARTS {
        return Err(Problem::request(format!("a form may have {MAX_PARTS} parts")));
    }
    form.next_field().await.map_err(|e| form_problem(&e))
}

/// The parts of a form by name, of which there may be few. `most` gives the most bytes of a part.
///
/// # Errors
///
/// `request` or `size`.
pub async fn parts(request: Request, most: impl Fn(&str) -> usize) -> Result<HashMap<String, Vec<u8>>, Problem> {
    let (mut form, mut seen, mut all) = (form(request).await?, 0, HashMap::new());
    while let Some(field) = part(&mut form, &mut seen).await? {
        let name = field.name().unwrap_or_default().to_string();
        let bytes = field.bytes().await.map_err(|e| form_problem(&e))?;
        let most = most(&name);
        if bytes.len() > most {
            return Err(Problem::size(format!("this part may have {most} bytes")));
        }
        all.insert(name, Vec::from(bytes));
    }
    Ok(all)
}

//! The answer to a call that made something.

use crate::problem::Problem;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// 201 with the path of what was made, and its JSON.
///
/// # Errors
///
/// `internal` if the path is not text of a header.
pub fn created(path: &str, json: Value) -> Result<Response, Problem> {
    let location = HeaderValue::from_str(path).map_err(|_| Problem::internal("an id that is no text"))?;
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(json)).into_response())
}

//! Propagation as a multipart stream.
//!
//! The stream has no closing boundary: the page of the demo takes one for a damaged part. While a frame is computed, an
//! empty part comes from time to time. The page skips it, but looks then whether tracking was cancelled.

use super::masks::{self, OfObject};
use super::state::State;
use crate::app::App;
use crate::masks::Format;
use crate::problem::Problem;
use crate::propagate::{Plan, Told, Way, start};
use crate::routes::sessions::visit;
use crate::sessions::Session;
use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use sam2::Size;
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;

/// An empty part comes after this time without a frame.
const ALIVE: Duration = Duration::from_millis(100);
const EMPTY: &str = "--frame\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n";
const KIND: &str = "multipart/x-savi-stream; boundary=frame";

/// A request.
#[derive(Clone, Debug, Deserialize)]
pub struct Asked {
    session_id: String,
    #[serde(default)]
    start_frame_index: usize,
}

/// The body of a part.
#[derive(Serialize)]
struct Frame {
    frame_index: usize,
    results: Vec<OfObject>,
}

/// Starts a propagation in both directions. A propagation of the session that runs is ended first.
///
/// A cancellation counts from the time when the request is read until the propagation ends. One that comes when no
/// propagation runs or is about to begin is forgotten, so that it cannot end a later one.
///
/// Without points on any frame the stream has no parts: the page cannot read another answer, and does not recover from one.
///
/// # Errors
///
/// `not-found` if there is no such session, and `input` if there is no such frame.
pub async fn response(app: &Arc<App>, state: &State, asked: Asked) -> Result<Response, Problem> {
    let session = app.sessions.get(&asked.session_id)?;
    let starting = state.starting(&session.id);
    if session.is_tracking() {
        drop(session.turn(true).await?);
    }
    leave_out(app, &session).await?;
    if session.record().objects.is_empty() {
        return Ok(stream(Body::empty()));
    }
    let plan =
        Plan { start: Some(asked.start_frame_index), direction: Way::Both, max_frames: None, format: Format::Rle };
    let told = start(app, session.clone(), plan).await?;
    starting.pass_on(&session);
    let (objects, size) = {
        let record = session.record();
        (record.objects.clone(), record.size())
    };
    let parts = Parts { told, objects, size };
    Ok(stream(Body::from_stream(futures_util::stream::unfold(Some(parts), Parts::next))))
}

fn stream(body: Body) -> Response {
    ([(header::CONTENT_TYPE.as_str(), KIND), ("x-accel-buffering", "no")], body).into_response()
}

/// Removes the objects that have no points on any frame. The reference refuses to track beside them, and its page, which
/// leaves such objects after their last point is deleted, does not recover from a refusal.
async fn leave_out(app: &Arc<App>, session: &Arc<Session>) -> Result<(), Problem> {
    let _turn = session.turn(true).await?;
    let idle: Vec<i64> = {
        let record = session.record();
        let prompted = |object: &i64| record.prompts.keys().any(|(_, o)| o == object);
        record.objects.iter().copied().filter(|object| !prompted(object)).collect()
    };
    for object in idle {
        visit(app, session, move |visit| visit.remove(object)).await?;
    }
    Ok(())
}

/// The parts of a stream.
struct Parts {
    told: Receiver<Told>,
    objects: Vec<i64>,
    size: Size,
}

impl Parts {
    /// The next part. A stream that does not reach its end breaks off, so that the client cannot take it for whole.
    async fn next(this: Option<Parts>) -> Option<(io::Result<Bytes>, Option<Parts>)> {
        let mut this = this?;
        loop {
            let broken = |what: &str| Some((Err(io::Error::other(what.to_string())), None));
            return match tokio::time::timeout(ALIVE, this.told.recv()).await {
                Err(_) => Some((Ok(Bytes::from_static(EMPTY.as_bytes())), Some(this))),
                Ok(Some(Told::Progress { .. })) => continue,
                Ok(Some(Told::Frame(frame, tracked))) => {
                    let masks = masks::of_all(&this.objects, this.size, &tracked);
                    match masks.map_err(|problem| format!("{problem:?}")).and_then(|masks| part(frame, masks)) {
                        Ok(part) => Some((Ok(part), Some(this))),
                        Err(what) => broken(&what),
                    }
                }
                Ok(Some(Told::Done { .. })) => None,
                Ok(Some(Told::Failed(problem))) => {
                    log::warn!("a propagation failed: {problem:?}");
                    broken("the propagation failed")
                }
                Ok(Some(Told::Shutdown)) => broken("the server ends"),
                Ok(None) => broken("the client did not read"),
            };
        }
    }
}

fn part(frame_index: usize, results: Vec<OfObject>) -> Result<Bytes, String> {
    let body = serde_json::to_string(&Frame { frame_index, results }).map_err(|e| e.to_string())?;
    let part = format!(
        "--frame\r\nContent-Type: application/json; charset=utf-8\r\nFrame-Current: -1\r\nFrame-Total: -1\r\n\
         Mask-Type: RLE[]\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    Ok(part.into())
}

#[cfg(test)]
mod tests {
    use super::super::masks::Mask;
    use super::*;

    #[test]
    fn a_part_byte_by_byte() {
        let mask = Mask { size: [2, 3], counts: "06".into() };
        let part = part(5, vec![OfObject { object_id: 1, mask }]).unwrap();
        let body = r#"{"frame_index":5,"results":[{"object_id":1,"mask":{"size":[2,3],"counts":"06"}}]}"#;
        let head = "--frame\r\nContent-Type: application/json; charset=utf-8\r\nFrame-Current: -1\r\nFrame-Total: -1\r\n\
                    Mask-Type: RLE[]\r\nContent-Length: 81\r\n\r\n";
        assert_eq!(part, format!("{head}{body}"));
    }
}

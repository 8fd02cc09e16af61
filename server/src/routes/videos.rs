//! Routes of videos.

use crate::app::App;
use crate::body;
use crate::extract::Path;
use crate::parts::Part;
use crate::problem::{Problem, disk};
use crate::routes::created::created;
use crate::videos::MAX_VIDEO;
use crate::work;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::{Stream, StreamExt};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tower::ServiceExt;
use tower_http::services::ServeFile;

type Shared = State<Arc<App>>;

/// The longest time of an upload.
pub const UPLOAD: Duration = Duration::from_secs(600);

/// Routes under `/api/v1`.
pub fn api() -> Router<Arc<App>> {
    let upload = get(list).post(upload).layer(DefaultBodyLimit::disable());
    Router::new()
        .route("/videos", upload)
        .route("/videos/{id}", get(describe).delete(forget))
        .route("/videos/{id}/file", get(file))
        .route("/videos/{id}/frames/{name}", get(frame))
}

async fn list(State(app): Shared) -> Json<Value> {
    Json(json!({"videos": app.videos.list().iter().map(|video| video.json()).collect::<Vec<_>>()}))
}

async fn describe(State(app): Shared, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    Ok(Json(app.videos.get(&id)?.json()))
}

async fn forget(State(app): Shared, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    app.videos.get(&id)?;
    if app.sessions.uses(&id) {
        return Err(Problem::busy("a session uses the video"));
    }
    app.videos.remove(&id).map(|()| StatusCode::NO_CONTENT)
}

async fn file(State(app): Shared, Path(id): Path<String>, request: Request) -> Result<Response, Problem> {
    let video = app.videos.get(&id)?;
    let Ok(answer) = ServeFile::new(&video.file).oneshot(request).await;
    let mut answer = answer.map(Body::new);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    Ok(answer)
}

async fn frame(State(app): Shared, Path((id, name)): Path<(String, String)>) -> Result<Response, Problem> {
    let video = app.videos.get(&id)?;
    let number = name.strip_suffix(".jpg").and_then(|number| number.parse().ok());
    let bytes = video.jpeg(number.ok_or_else(|| Problem::not_found("a frame is NUMBER.jpg"))?).await?;
    let headers = [(header::CONTENT_TYPE, "image/jpeg"), (header::CACHE_CONTROL, "private, immutable, max-age=86400")];
    Ok((headers, bytes).into_response())
}

/// Writes what comes to a file of at most `most` bytes.
///
/// # Errors
///
/// `size`, `full`, and those of what comes.
pub async fn write<E>(
    app: &App,
    mut chunks: impl Stream<Item = Result<Bytes, E>> + Unpin,
    most: u64,
    problem: impl Fn(E) -> Problem,
) -> Result<Part, Problem> {
    app.videos.check_room(0)?;
    let part = Part::new(&app.videos.parts, "")?;
    let mut file = tokio::fs::File::create(part.path()).await.map_err(|e| disk(&e))?;
    let mut written = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(&problem)?;
        written += chunk.len() as u64;
        if written > most {
            return Err(Problem::size(format!("a video may have {most} bytes")));
        }
        app.videos.check_room(written)?;
        file.write_all(&chunk).await.map_err(|e| disk(&e))?;
    }
    file.sync_all().await.map_err(|e| disk(&e))?;
    Ok(part)
}

/// Writes the video of a request to a file. Returns the file and the client's name of it.
async fn receive(app: &App, request: Request) -> Result<(Part, Option<String>), Problem> {
    let kind = body::media_type(request.headers());
    if kind == "multipart/form-data" {
        let (mut form, mut seen) = (body::form(request).await?, 0);
        while let Some(field) = body::part(&mut form, &mut seen).await? {
            if field.name() == Some("file") {
                let name = field.file_name().map(String::from);
                return Ok((write(app, field, MAX_VIDEO, |e| body::form_problem(&e)).await?, name));
            }
        }
        return Err(Problem::request("the form has no part `file`"));
    }
    if !kind.starts_with("video/") && kind != "application/octet-stream" && kind != "image/gif" {
        return Err(Problem::media_type("send a video, or a form with the part `file`"));
    }
    let chunks = request.into_body().into_data_stream();
    Ok((write(app, chunks, MAX_VIDEO, |e| body::stream_problem(&e)).await?, None))
}

async fn upload(State(app): Shared, request: Request) -> Result<Response, Problem> {
    let received = tokio::time::timeout(UPLOAD, receive(&app, request)).await;
    let (part, name) = received.map_err(|_| Problem::timeout("the upload took too long"))??;
    let video = work::aside(&app, move |app| app.videos.add(part, name)).await?;
    created(&format!("/api/v1/videos/{}", video.id), video.json())
}

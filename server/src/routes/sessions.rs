//! Routes of sessions.

use crate::app::App;
use crate::body;
use crate::events;
use crate::export;
use crate::extract::{Path, Query};
use crate::images::MAX_IMAGE;
use crate::lane::Lane;
use crate::masks::{Format, FramePrompt, MaskJson, PointJson};
use crate::parts::Part;
use crate::problem::{Problem, disk};
use crate::propagate::{Plan, Told, start};
use crate::routes::created::created;
use crate::schedule::Class;
use crate::sessions::{MAX_WINDOW, Media, Session};
use crate::tracking::{Ask, Visit};
use crate::tracks::{Tracked, frame_json};
use crate::work;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use sam2::picture;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::io::AsyncReadExt;

type Shared = State<Arc<App>>;

/// The bytes of a file that are read at once.
const CHUNK: usize = 64 << 10;
/// The most frames of an answer with masks.
const MAX_ANSWER: usize = 1000;

/// Routes under `/api/v1`.
pub fn api() -> Router<Arc<App>> {
    Router::new()
        .route("/sessions", get(list).post(begin))
        .route("/sessions/{id}", get(describe).delete(end))
        .route("/sessions/{id}/encode", post(encode))
        .route("/sessions/{id}/prompts", post(prompt).delete(clear))
        .route("/sessions/{id}/objects/{object}", delete(remove))
        .route("/sessions/{id}/reset", post(reset))
        .route("/sessions/{id}/propagate", post(propagate))
        .route("/sessions/{id}/cancel", post(cancel))
        .route("/sessions/{id}/masks", get(masks))
        .route("/sessions/{id}/export", get(export))
        .route("/sessions/{id}/frames", post(push).layer(DefaultBodyLimit::max(MAX_IMAGE)))
}

async fn list(State(app): Shared) -> Json<Value> {
    Json(json!({"sessions": app.sessions.list().iter().map(|session| session.json()).collect::<Vec<_>>()}))
}

async fn describe(State(app): Shared, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    Ok(Json(app.sessions.get(&id)?.json()))
}

async fn end(State(app): Shared, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    app.sessions.remove(&id).map(|()| StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Begin {
    video: Option<String>,
    #[serde(default)]
    stream: bool,
    window: Option<usize>,
    legacy_corrections: Option<bool>,
}

async fn begin(State(app): Shared, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    let asked: Begin = body::json(&headers, body).await?;
    app.root()?;
    let media = match (asked.video, asked.stream) {
        (Some(_), true) | (None, false) => return Err(Problem::input("a session has a video, or \"stream\": true")),
        (Some(id), false) => Media::Video(app.videos.get(&id)?),
        (None, true) => Media::Stream(asked.window.unwrap_or(16)),
    };
    if let Media::Stream(window) = media
        && window > MAX_WINDOW
    {
        return Err(Problem::input(format!("window is {window}, at most {MAX_WINDOW} are taken")));
    }
    let (here, corrections) = (app.clone(), asked.legacy_corrections.unwrap_or(true));
    let begun = tokio::task::spawn_blocking(move || here.sessions.begin(here.root()?, media, corrections));
    let session = begun.await.map_err(|_| Problem::internal("the session could not begin"))??;
    app.tidy();
    created(&format!("/api/v1/sessions/{}", session.id), session.json())
}

/// Runs a unit of work with a session.
///
/// # Errors
///
/// Those of the work, and those of a queue that is full or closed.
pub async fn visit<R: Send + 'static>(
    app: &Arc<App>,
    session: &Arc<Session>,
    work: impl FnOnce(&mut Visit<'_>) -> Result<R, Problem> + Send + 'static,
) -> Result<R, Problem> {
    let (here, of) = (app.clone(), session.clone());
    let unit = move |lane: &mut Lane| work(&mut Visit { lane, root: here.root()?, session: &of });
    app.lanes.run(Class::Interactive, session.key, unit).await?
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Encode {
    frame: usize,
}

/// Encodes a frame ahead of its prompts. A later request, or a preview, makes it needless.
async fn encode(
    State(app): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let session = app.sessions.get(&id)?;
    let asked: Encode = body::json(&headers, body).await?;
    let Ok(_turn) = session.turn(false).await else { return Ok(StatusCode::NO_CONTENT) };
    let (number, latest) = (session.begin_hover(), session.clone());
    let encoded = visit(&app, &session, move |visit| match latest.is_latest_hover(number) {
        true => visit.encode(asked.frame),
        false => Ok(()),
    });
    encoded.await.map(|()| StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PromptBody {
    frame: usize,
    object: i64,
    #[serde(default)]
    points: Vec<PointJson>,
    #[serde(rename = "box")]
    bounds: Option<[f32; 4]>,
    mask: Option<MaskJson>,
    /// As the reference's `clear_old_points`.
    #[serde(default = "yes")]
    clear: bool,
    #[serde(default)]
    normalized: bool,
    #[serde(default)]
    hover: bool,
    #[serde(default)]
    interrupt: bool,
    #[serde(default)]
    format: Format,
}

fn yes() -> bool {
    true
}

fn answer(session: &Session, frame: usize, masks: &[Tracked], format: Format) -> Result<Response, Problem> {
    let size = session.record().size();
    Ok(Json(frame_json(frame, masks, size, format)?).into_response())
}

async fn prompt(
    State(app): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let session = app.sessions.get(&id)?;
    let asked: PromptBody = body::json(&headers, body).await?;
    let PromptBody { frame, object, points, bounds, mask, clear, normalized, hover, interrupt, format } = asked;
    let prompt = FramePrompt { points, bounds, mask };
    prompt.check()?;
    let ask = Ask { frame, object, prompt, clear, normalized };
    let _turn = session.turn(interrupt).await?;
    let masks = if hover {
        let (number, latest) = (session.begin_hover(), session.clone());
        let found = visit(&app, &session, move |visit| match latest.is_latest_hover(number) {
            true => visit.preview(&ask).map(Some),
            false => Ok(None),
        });
        let Some(masks) = found.await? else { return Ok(StatusCode::NO_CONTENT.into_response()) };
        masks
    } else {
        visit(&app, &session, move |visit| visit.prompt(&ask)).await?
    };
    answer(&session, frame, &masks, format)
}

#[derive(Deserialize)]
struct Place {
    frame: usize,
    object: i64,
    #[serde(default)]
    format: Format,
}

async fn clear(State(app): Shared, Path(id): Path<String>, Query(at): Query<Place>) -> Result<Response, Problem> {
    let session = app.sessions.get(&id)?;
    let _turn = session.turn(false).await?;
    let Place { frame, object, format } = at;
    let masks = visit(&app, &session, move |visit| visit.clear(frame, object)).await?;
    answer(&session, frame, &masks, format)
}

async fn remove(State(app): Shared, Path((id, object)): Path<(String, i64)>) -> Result<Response, Problem> {
    let session = app.sessions.get(&id)?;
    let _turn = session.turn(false).await?;
    let frames = visit(&app, &session, move |visit| visit.remove(object)).await?;
    let size = session.record().size();
    let frames = frames.iter().map(|(frame, masks)| frame_json(*frame, masks, size, Format::Rle));
    Ok(Json(json!({"frames": frames.collect::<Result<Vec<_>, _>>()?})).into_response())
}

async fn reset(State(app): Shared, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    let session = app.sessions.get(&id)?;
    let _turn = session.turn(true).await?;
    visit(&app, &session, |visit| visit.reset()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn cancel(State(app): Shared, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    app.sessions.get(&id)?.cancel();
    Ok(StatusCode::NO_CONTENT)
}

async fn propagate(
    State(app): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let session = app.sessions.get(&id)?;
    let plan: Plan = body::json_or_default(&headers, body).await?;
    let told = start(&app, session.clone(), plan).await?;
    let size = session.record().size();
    Ok(events::response(told, move |told: &Told| told.event(size, plan.format)))
}

#[derive(Deserialize)]
struct Range {
    from: Option<usize>,
    to: Option<usize>,
    #[serde(default)]
    format: Format,
}

async fn masks(State(app): Shared, Path(id): Path<String>, Query(range): Query<Range>) -> Result<Response, Problem> {
    let session = app.sessions.get(&id)?;
    let found = tokio::task::spawn_blocking(move || {
        let record = session.record();
        let (from, size) = (range.from.unwrap_or(0), record.size());
        let frames = record.tracks.frames(from, range.to.unwrap_or(usize::MAX)).take(MAX_ANSWER);
        frames.map(|(frame, masks)| frame_json(frame, masks, size, range.format)).collect::<Result<Vec<_>, _>>()
    });
    let frames = found.await.map_err(|_| Problem::internal("the masks could not be written"))??;
    Ok(Json(json!({"frames": frames})).into_response())
}

async fn push(State(app): Shared, Path(id): Path<String>, request: Request) -> Result<Response, Problem> {
    let session = app.sessions.get(&id)?;
    let kind = body::media_type(request.headers());
    if !kind.starts_with("image/") && kind != "application/octet-stream" {
        return Err(Problem::media_type("send an image"));
    }
    let bytes = body::bytes(request.into_body(), MAX_IMAGE).await?;
    let picture = work::aside(&app, move |_| Ok(picture::decode("frame", &bytes)?)).await?;
    let _turn = session.turn(false).await?;
    let (frame, masks) = visit(&app, &session, move |visit| visit.push(&picture)).await?;
    answer(&session, frame, &masks, Format::Rle)
}

async fn export(
    State(app): Shared,
    Path(id): Path<String>,
    Query(request): Query<export::Request>,
) -> Result<Response, Problem> {
    let session = app.sessions.get(&id)?;
    // Of several exports, one after the other is made.
    let turn = app.exports.clone().acquire_owned().await.map_err(|_| Problem::draining("no new work is taken"))?;
    let here = app.clone();
    let made = tokio::task::spawn_blocking(move || {
        let made = export::write(&here, &session, request);
        drop(turn);
        made
    });
    let part = made.await.map_err(|_| Problem::internal("the export could not be made"))??;
    let (kind, name) = request.format.media_type();
    let headers = [
        (header::CONTENT_TYPE, kind.to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    let file = tokio::fs::File::open(part.path()).await.map_err(|e| disk(&e))?;
    let length = file.metadata().await.map_err(|e| disk(&e))?.len();
    // The file is deleted when it is sent, or when the client goes away.
    let next = async |(mut file, part): (tokio::fs::File, Part)| {
        let mut chunk = vec![0; CHUNK];
        let n = file.read(&mut chunk).await;
        let chunk = n.map(|n| {
            chunk.truncate(n);
            chunk
        });
        match chunk {
            Ok(chunk) if chunk.is_empty() => None,
            chunk => Some((chunk, (file, part))),
        }
    };
    let body = Body::from_stream(futures_util::stream::unfold((file, part), next));
    Ok((headers, [(header::CONTENT_LENGTH, length.to_string())], body).into_response())
}

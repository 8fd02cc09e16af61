//! Tracking for X-AnyLabeling.
//!
//! | call | answer, in `data` |
//! |---|---|
//! | `POST /v1/video/init` with `model` and `frames` in base64 | `session_id`, `num_frames`, `start_frame_index` |
//! | `POST /v1/video/prompt` with `session_id`, `frame_index`, `points` of 0 to 1, `point_labels`, `obj_id`, `params` | `frame_index`, `masks`, `num_objects` |
//! | `POST /v1/video/propagate/stream` with `session_id`, `start_frame`, `end_frame` | events: `started`, `progress`, `completed` with all masks, `error` |
//! | `POST /v1/video/cleanup/{session}` | `message` |
//!
//! The frames are the images of the client's folder. A prompt has all points of the object on its frame. The client tracks
//! one object after the other in a session, always under one id: after a propagation, other points begin another object.
//! The client ends few of its sessions itself, so an address has few.

use super::answers::{EPSILON, Failed, VIDEO_MODEL, no_model, polygons, shape};
use super::frames;
use crate::app::App;
use crate::body;
use crate::events;
use crate::extract::Path;
use crate::lock::lock;
use crate::masks::{FramePrompt, PointJson};
use crate::parts::Part;
use crate::problem::Problem;
use crate::propagate::{Plan, Told, Way, start};
use crate::routes::sessions::visit;
use crate::routes::videos::{UPLOAD, write};
use crate::sessions::{Media, Session};
use crate::tracking::Ask;
use crate::tracks::Tracked;
use crate::work;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::Event;
use axum::routing::post;
use axum::{Extension, Json, Router};
use sam2::Size;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc::{Receiver, channel};

/// The most bytes of a request with frames.
const MAX_FRAMES_JSON: u64 = 256 << 20;
/// The most sessions of all clients.
const MAX_SESSIONS: usize = 8;

/// What is kept of a session beside the session.
#[derive(Debug)]
struct Kept {
    session: String,
    video: String,
    params: Params,
    /// The latest prompt.
    last: Option<(usize, Vec<[f32; 2]>, Vec<i32>)>,
    /// Whether a propagation has ended since that prompt came first.
    tracked: bool,
}

/// The sessions of this interface, the latest used last.
type Sessions = Arc<Mutex<Vec<Kept>>>;

/// The routes.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/video/init", post(init))
        .route("/v1/video/prompt", post(prompt))
        .route("/v1/video/propagate/stream", post(propagate))
        .route("/v1/video/cleanup/{session}", post(cleanup))
        .layer(Extension(Sessions::default()))
}

fn success(data: &Value) -> Json<Value> {
    Json(json!({"success": true, "data": data}))
}

/// Ends a session and deletes its frames. Both may be gone.
fn end(app: &App, kept: &Kept) {
    let _ = app.sessions.remove(&kept.session);
    let _ = app.videos.remove(&kept.video);
}

async fn init(
    State(app): State<Arc<App>>,
    Extension(sessions): Extension<Sessions>,
    request: Request,
) -> Result<Json<Value>, Failed> {
    app.root()?;
    if body::media_type(request.headers()) != "application/json" {
        return Err(Problem::media_type("send application/json").into());
    }
    let chunks = request.into_body().into_data_stream();
    let received = write(&app, chunks, MAX_FRAMES_JSON, |e| body::stream_problem(&e));
    let received = tokio::time::timeout(UPLOAD, received).await;
    let part = received.map_err(|_| Problem::timeout("the upload took too long"))??;
    let (asked, video) = work::aside(&app, move |app| {
        let folder = Part::new(&app.videos.parts, "")?;
        let asked = frames::read(part.path(), folder.path())?;
        drop(part);
        if asked.frames == 0 {
            return Err(Problem::input("`frames` is empty"));
        }
        let video = app.videos.add_temporary(folder)?;
        Ok((asked, video))
    })
    .await?;
    let id = video.id.clone();
    let begun = begin(&app, &asked, Media::Video(video)).await;
    let session = begun.inspect_err(|_| drop(app.videos.remove(&id)))?;
    let mut all = lock(&sessions);
    all.push(Kept { session: session.id.clone(), video: id, params: Params::default(), last: None, tracked: false });
    while all.len() > MAX_SESSIONS {
        end(&app, &all.remove(0));
    }
    Ok(success(&json!({"session_id": session.id, "num_frames": asked.frames, "start_frame_index": 0})))
}

async fn begin(app: &Arc<App>, asked: &frames::Request, media: Media) -> Result<Arc<Session>, Failed> {
    if asked.model != VIDEO_MODEL {
        return Err(no_model());
    }
    let here = app.clone();
    Ok(work::aside(app, move |_| here.sessions.begin(here.root()?, media, true)).await?)
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Params {
    conf_threshold: Option<f32>,
    epsilon_factor: Option<f64>,
}

#[derive(Deserialize)]
struct Prompt {
    session_id: String,
    #[serde(default)]
    frame_index: usize,
    #[serde(default)]
    points: Vec<[f32; 2]>,
    #[serde(default)]
    point_labels: Vec<i32>,
    obj_id: Option<i64>,
    text_prompt: Option<String>,
    #[serde(default)]
    params: Params,
}

/// The shapes of the objects on a frame.
fn shapes(masks: &[Tracked], size: Size, params: Params) -> Result<Vec<Value>, Problem> {
    let mut all = Vec::new();
    for mask in masks {
        let score = 1.0 / (1.0 + (-mask.score).exp());
        if score >= params.conf_threshold.unwrap_or(0.0) {
            let parts = polygons(&mask.rle(size)?, params.epsilon_factor.unwrap_or(EPSILON))?;
            all.extend(parts.iter().map(|points| shape(points, score)));
        }
    }
    Ok(all)
}

async fn prompt(
    State(app): State<Arc<App>>,
    Extension(sessions): Extension<Sessions>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Failed> {
    let asked: Prompt = body::json(&headers, body).await?;
    let session = app.sessions.get(&asked.session_id)?;
    if asked.text_prompt.is_some_and(|text| !text.is_empty()) {
        return Err(Problem::input("the model takes points, and no text").into());
    }
    if asked.points.len() != asked.point_labels.len() {
        return Err(Problem::input("`points` and `point_labels` have different lengths").into());
    }
    if !(0.0..=1.0).contains(&asked.params.epsilon_factor.unwrap_or(EPSILON)) {
        return Err(Problem::input("epsilon_factor is 0 to 1").into());
    }
    let object = asked.obj_id.unwrap_or(0);
    let points = asked.points.iter().zip(&asked.point_labels).map(|(&[x, y], &label)| PointJson { x, y, label });
    let prompt = FramePrompt { points: points.collect(), ..Default::default() };
    prompt.check()?;
    // Points that are refused must not end the earlier object.
    let frames = session.record().frames;
    if asked.frame_index >= frames {
        return Err(Problem::input(format!("no frame {}: the video has {frames}", asked.frame_index)).into());
    }
    let _turn = session.turn(true).await?;
    let place = (asked.frame_index, asked.points, asked.point_labels);
    let anew = {
        let mut all = lock(&sessions);
        let at = all.iter().position(|kept| kept.session == session.id);
        let mut kept = all.remove(at.ok_or_else(|| Problem::not_found("no such session"))?);
        // The client sends the points of the object again before it has the object tracked.
        let anew = kept.tracked && kept.last.as_ref().is_none_or(|last| *last != place);
        kept.tracked &= !anew;
        kept.params = asked.params;
        kept.last = Some(place);
        all.push(kept);
        anew
    };
    let ask = Ask { frame: asked.frame_index, object, prompt, clear: true, normalized: true };
    let masks = visit(&app, &session, move |visit| {
        if anew {
            visit.reset()?;
        }
        visit.prompt(&ask)
    });
    let masks = masks.await?;
    let (size, objects) = (session.record().size(), masks.len());
    let masks = shapes(&masks, size, asked.params)?;
    Ok(success(&json!({"frame_index": asked.frame_index, "masks": masks, "num_objects": objects})))
}

#[derive(Deserialize)]
struct Propagate {
    session_id: String,
    start_frame: Option<usize>,
    end_frame: Option<usize>,
}

/// An event for the client. It reads lines of data alone.
fn event(value: &Value) -> Event {
    Event::default().data(value.to_string())
}

/// Tracks from `start_frame` to `end_frame`, which is included. Problems are events too, whose text the client shows.
async fn propagate(
    State(app): State<Arc<App>>,
    Extension(sessions): Extension<Sessions>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failed> {
    let asked: Propagate = body::json(&headers, body).await?;
    let (send, receive) = channel(8);
    match begin_propagation(&app, &sessions, &asked).await {
        Ok(run) => drop(tokio::spawn(run.tell(sessions, send))),
        Err(problem) => drop(send.try_send(json!({"type": "error", "message": problem.detail()}))),
    }
    Ok(events::response(receive, event))
}

/// A propagation that runs.
struct Run {
    session: Arc<Session>,
    told: Receiver<Told>,
    params: Params,
    first: usize,
    total: usize,
}

async fn begin_propagation(app: &Arc<App>, sessions: &Sessions, asked: &Propagate) -> Result<Run, Problem> {
    let session = app.sessions.get(&asked.session_id)?;
    let (first, frames) = {
        let record = session.record();
        (asked.start_frame.or_else(|| record.prompts.keys().map(|key| key.0).min()).unwrap_or(0), record.frames)
    };
    let last = asked.end_frame.unwrap_or(frames).min(frames.saturating_sub(1));
    let more = last.checked_sub(first).ok_or_else(|| Problem::input("`end_frame` comes before `start_frame`"))?;
    let plan = Plan { start: Some(first), direction: Way::Forward, max_frames: Some(more), format: Default::default() };
    let told = start(app, session.clone(), plan).await?;
    let kept = lock(sessions).iter().find(|kept| kept.session == session.id).map(|kept| kept.params);
    Ok(Run { session, told, params: kept.unwrap_or_default(), first, total: more + 1 })
}

impl Run {
    /// Sends what the propagation tells. It ends when the client goes away.
    async fn tell(mut self, sessions: Sessions, to: tokio::sync::mpsc::Sender<Value>) {
        let started = json!({"type": "started", "total_frames": self.total, "start_frame_index": self.first});
        let mut next = Some(started);
        let mut results = Map::new();
        while let Some(value) = next {
            if to.send(value).await.is_err() {
                return;
            }
            next = loop {
                match self.told.recv().await {
                    None => break None,
                    Some(Told::Frame(frame, masks)) => {
                        match shapes(&masks, self.session.record().size(), self.params) {
                            Ok(masks) => {
                                results.insert(frame.to_string(), json!({"masks": masks}));
                                break Some(
                                    json!({"type": "progress", "current_frame": frame, "total_frames": self.total}),
                                );
                            }
                            Err(problem) => break Some(json!({"type": "error", "message": problem.detail()})),
                        }
                    }
                    Some(Told::Progress { .. }) => {}
                    Some(Told::Done { cancelled: false }) => {
                        let mut all = lock(&sessions);
                        let kept = all.iter_mut().find(|kept| kept.session == self.session.id);
                        kept.into_iter().for_each(|kept| kept.tracked = true);
                        break Some(json!({"type": "completed", "results": std::mem::take(&mut results)}));
                    }
                    Some(Told::Done { .. } | Told::Shutdown) => {
                        break Some(json!({"type": "error", "message": "tracking was cancelled"}));
                    }
                    Some(Told::Failed(problem)) => break Some(json!({"type": "error", "message": problem.detail()})),
                }
            };
        }
    }
}

async fn cleanup(
    State(app): State<Arc<App>>,
    Extension(sessions): Extension<Sessions>,
    Path(session): Path<String>,
) -> Json<Value> {
    let mut all = lock(&sessions);
    if let Some(at) = all.iter().position(|kept| kept.session == session) {
        end(&app, &all.remove(at));
    }
    success(&json!({"message": "the session is ended"}))
}

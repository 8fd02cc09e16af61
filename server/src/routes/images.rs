//! Routes of images.

use crate::app::App;
use crate::body;
use crate::events;
use crate::everything::{self, Everything, Found};
use crate::extract::{Path, Query};
use crate::images::{Image, MAX_IMAGE};
use crate::lane::Lane;
use crate::masks::MasksJson;
use crate::problem::Problem;
use crate::routes::created::created;
use crate::schedule::Class;
use crate::work;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

type Shared = State<Arc<App>>;

/// Routes under `/api/v1`.
pub fn api() -> Router<Arc<App>> {
    let uploads = Router::new()
        .route("/images", get(list).post(upload))
        .route("/masks", post(one_shot))
        .layer(DefaultBodyLimit::max(MAX_IMAGE + body::MAX_JSON));
    Router::new()
        .route("/images/{id}", get(describe).delete(forget))
        .route("/images/{id}/file", get(file))
        .route("/images/{id}/masks", post(masks))
        .route("/images/{id}/everything", post(everything))
        .merge(uploads)
}

async fn list(State(app): Shared) -> Json<Value> {
    Json(json!({"images": app.images.list().iter().map(|image| image.json()).collect::<Vec<_>>()}))
}

async fn describe(State(app): Shared, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    Ok(Json(app.images.get(&id)?.json()))
}

async fn forget(State(app): Shared, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    app.images.remove(&id).map(|()| StatusCode::NO_CONTENT)
}

async fn file(State(app): Shared, Path(id): Path<String>) -> Result<Response, Problem> {
    let image = app.images.get(&id)?;
    // The type is that of the bytes and not the client's word. Anything else is no type that a browser runs.
    let kind = match image.bytes[..] {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, ..] => "image/jpeg",
        [b'G', b'I', b'F', ..] => "image/gif",
        [b'B', b'M', ..] => "image/bmp",
        [b'R', b'I', b'F', b'F', ..] => "image/webp",
        _ => "application/octet-stream",
    };
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "private, immutable, max-age=86400")];
    Ok((headers, Body::from(image.bytes.clone())).into_response())
}

#[derive(Deserialize)]
struct UploadQuery {
    wait: Option<u8>,
}

/// A form with an image and with JSON, or an image alone.
struct Sent {
    image: Option<Vec<u8>>,
    request: Option<Vec<u8>>,
}

async fn read(request: Request) -> Result<Sent, Problem> {
    let kind = body::media_type(request.headers());
    if kind == "multipart/form-data" {
        let most = |name: &str| if name == "file" { MAX_IMAGE } else { body::MAX_JSON };
        let mut parts = body::parts(request, most).await?;
        return Ok(Sent { image: parts.remove("file"), request: parts.remove("request") });
    }
    if !kind.starts_with("image/") && kind != "application/octet-stream" {
        return Err(Problem::media_type("send an image, or a form with the part `file`"));
    }
    Ok(Sent { image: Some(body::bytes(request.into_body(), MAX_IMAGE).await?), request: None })
}

async fn add(app: &Arc<App>, bytes: Option<Vec<u8>>) -> Result<Arc<Image>, Problem> {
    work::add(app, bytes.ok_or_else(|| Problem::request("the form has no part `file`"))?).await
}

async fn upload(State(app): Shared, Query(query): Query<UploadQuery>, request: Request) -> Result<Response, Problem> {
    let image = add(&app, read(request).await?.image).await?;
    let mut answer = image.json();
    if query.wait.unwrap_or(0) > 0 {
        let milliseconds = work::encode(&app, &image).await?;
        answer = image.json();
        answer["encode_ms"] = json!(milliseconds.unwrap_or(0.0));
    } else {
        let (here, encoded) = (app.clone(), image.clone());
        let unit = move |lane: &mut Lane| {
            if let Err(problem) = here.images.encode(&mut lane.image, &encoded) {
                log::warn!("an image was not encoded ahead: {problem:?}");
            }
        };
        app.lanes.submit(Class::Interactive, image.key, unit)?;
    }
    created(&format!("/api/v1/images/{}", image.id), answer)
}

async fn decode(app: &Arc<App>, image: Arc<Image>, request: MasksJson) -> Result<Response, Problem> {
    request.check()?;
    let number = request.hover.then(|| image.begin_hover());
    let (here, key) = (app.clone(), image.key);
    let unit = move |lane: &mut Lane| {
        if number.is_some_and(|number| !image.is_latest_hover(number)) {
            return Ok(None);
        }
        here.images.decode(&mut lane.image, &image, &request).map(Some)
    };
    Ok(match app.lanes.run(Class::Interactive, key, unit).await?? {
        Some(found) => Json(found).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

async fn masks(
    State(app): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let image = app.images.get(&id)?;
    let request: MasksJson = body::json(&headers, body).await?;
    decode(&app, image, request).await
}

async fn one_shot(State(app): Shared, request: Request) -> Result<Response, Problem> {
    let sent = read(request).await?;
    let text = sent.request.ok_or_else(|| Problem::request("the form has no part `request`"))?;
    let request: MasksJson = body::parse(&text)?;
    request.check()?;
    let image = add(&app, sent.image).await?;
    decode(&app, image, request).await
}

async fn everything(
    State(app): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let image = app.images.get(&id)?;
    let request: Everything = body::json_or_default(&headers, body).await?;
    let found = request.start(&app, image).await?;
    if body::wants_events(&headers) {
        return Ok(events::response(found, Found::event));
    }
    Ok(Json(json!({"masks": everything::all(found).await?})).into_response())
}

//! The interface of Meta's video demo: GraphQL, a multipart stream of masks, and the files of videos.
//!
//! - `mp4`, `transcode`: which files a browser plays, and how the others become such files.
//! - `schema`, `graphql`: the fields that exist, and documents that ask for them.
//! - `masks`, `state`: masks of all objects of a session, and what the interface knows beside the core.
//! - `upload`: requests with a document, and forms with a document and a file.
//! - `resolve`: what each field of the root does.
//! - `stream`: propagation as a multipart stream.
//!
//! A path that a client sends is looked up among the videos of the server. It never becomes a path of a file.

pub mod graphql;
pub mod masks;
pub mod mp4;
pub mod resolve;
pub mod schema;
pub mod state;
pub mod stream;
pub mod transcode;
pub mod upload;

use crate::app::App;
use crate::body;
use crate::extract::Path;
use crate::problem::Problem;
use axum::body::Body;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use graphql::Document;
use resolve::Call;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use tower::ServiceExt;
use tower_http::services::ServeFile;

type Shared = State<Arc<App>>;
type Facade = Extension<Arc<state::State>>;

/// The routes, which have no prefix.
pub fn router() -> Router<Arc<App>> {
    // The parts of a form have limits of their own.
    let graphql = post(graphql).layer(DefaultBodyLimit::disable());
    Router::new()
        .route("/healthy", get(healthy))
        .route("/graphql", graphql)
        .route("/propagate_in_video", post(propagate))
        .route("/uploads/{name}", get(file))
        .route("/gallery/{name}", get(file))
        .route("/posters/{name}", get(poster))
        .layer(Extension(Arc::new(state::State::default())))
}

/// Whether a path is one of a file, which pages of allowed origins may show.
#[must_use]
pub fn is_file(path: &str) -> bool {
    ["/posters/", "/uploads/", "/gallery/"].iter().any(|folder| path.starts_with(folder))
}

async fn healthy(State(app): Shared) -> Result<&'static str, Problem> {
    app.check_ready()?;
    Ok("OK")
}

async fn file(State(app): Shared, Path(name): Path<String>, request: Request) -> Result<Response, Problem> {
    let id = name.strip_suffix(".mp4").ok_or_else(|| Problem::not_found("a video is ID.mp4"))?;
    let video = app.videos.get(id)?;
    let Ok(answer) = ServeFile::new(&video.file).oneshot(request).await;
    let mut answer = answer.map(Body::new);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("video/mp4"));
    Ok(answer)
}

async fn poster(State(app): Shared, Path(name): Path<String>) -> Result<Response, Problem> {
    let id = name.strip_suffix(".jpg").ok_or_else(|| Problem::not_found("a poster is ID.jpg"))?;
    let bytes = app.videos.get(id)?.jpeg(0).await?;
    let headers = [(header::CONTENT_TYPE, "image/jpeg"), (header::CACHE_CONTROL, "private, immutable, max-age=86400")];
    Ok((headers, bytes).into_response())
}

/// The address under which the client reached the server. The guard has checked the host.
fn base(headers: &HeaderMap) -> String {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    // A proxy may speak TLS; a page tells how it was loaded.
    let own = |origin: &&str| origin.split_once("://").is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(host));
    let origin = text(header::ORIGIN).filter(own).map(String::from);
    origin.unwrap_or_else(|| format!("http://{host}"))
}

async fn graphql(State(app): Shared, Extension(state): Facade, request: Request) -> Result<Json<Value>, Problem> {
    let base = base(request.headers());
    let client = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
    let (asked, file) = upload::receive(&app, request).await?;
    let document = match Document::new(&asked) {
        Ok(document) => document,
        Err(fault) => return Ok(Json(json!({"data": null, "errors": [fault.json()]}))),
    };
    let mut call = Call { app, state, base, client, file };
    Ok(Json(call.answer(&document).await))
}

async fn propagate(
    State(app): Shared,
    Extension(state): Facade,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    stream::response(&app, &state, body::json(&headers, body).await?).await
}

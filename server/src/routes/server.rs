//! Routes of the server's state.

use crate::app::App;
use crate::metrics::Gauge;
use crate::problem::Problem;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use std::sync::Arc;

/// Routes without a prefix. All but `/metrics` need no key.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/health", get(health))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/version", get(version))
        .route("/metrics", get(metrics))
}

/// Routes under `/api/v1`.
pub fn api() -> Router<Arc<App>> {
    Router::new().route("/system", get(system)).route("/models", get(models)).route("/openapi.json", get(openapi))
}

/// Whether a path needs no key.
#[must_use]
pub fn is_public(app: &App, path: &str) -> bool {
    matches!(path, "/health" | "/healthy" | "/health/live" | "/health/ready" | "/version")
        || (app.options.metrics_public && path == "/metrics")
}

async fn live() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

async fn ready(State(app): State<Arc<App>>) -> Result<Json<Value>, Problem> {
    app.check_ready()?;
    Ok(Json(json!({"status": "ok"})))
}

/// The members are those that clients of other tools read.
async fn health(State(app): State<Arc<App>>) -> Result<Json<Value>, Problem> {
    app.check_ready()?;
    let about = app.about();
    let model = &about["model"];
    Ok(Json(json!({
        "status": "ok", "version": about["version"], "model_class": "Sam2", "model_size": model,
        "loaded_models": [model], "models_loaded": true,
    })))
}

async fn version() -> Json<Value> {
    Json(json!({"version": env!("CARGO_PKG_VERSION")}))
}

async fn system(State(app): State<Arc<App>>) -> Json<Value> {
    Json(app.about())
}

async fn models(State(app): State<Arc<App>>) -> Json<Value> {
    Json(app.models())
}

/// The document of the interface. A test holds it against the routes.
async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("../../openapi.json")).into_response()
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let gauges = [
        ("ready", "Whether the server takes work.", f64::from(u8::from(app.check_ready().is_ok()))),
        ("longest_unit_seconds", "How long the unit of work that runs now has run.", app.lanes.longest().as_secs_f64()),
        ("queue_depth", "Units of work that wait.", app.lanes.waiting() as f64),
        ("images", "Images.", app.images.list().len() as f64),
        ("videos", "Videos.", app.videos.list().len() as f64),
        ("sessions", "Sessions.", app.sessions.list().len() as f64),
        ("feature_bytes", "Bytes of the features of images.", app.images.feature_bytes() as f64),
        ("session_bytes", "Bytes of sessions in memory.", app.sessions.bytes() as f64),
        ("data_bytes", "Bytes of videos on disk.", app.videos.bytes() as f64),
    ];
    let gauges = gauges.map(|(name, help, value)| Gauge { name, help, value });
    let [interactive, bulk] = app.lanes.times();
    let text = app.metrics.text(&gauges, &[("interactive", interactive), ("bulk", bulk)]);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

//! A remote server of X-AnyLabeling.
//!
//! | call | answer |
//! |---|---|
//! | `GET /v1/models` | the model, and the buttons that the client shows for it |
//! | `POST /v1/predict` with `model`, `image` in base64, and `params` | `{"success": true, "data": {"shapes", ...}}` |
//! | `POST /v1/video/init`, `prompt`, `propagate/stream`, `cleanup/{session}` | tracking |
//!
//! Points make one object, together with a rectangle if there is one. Rectangles without points are an object each. An
//! object is a polygon for each part of its mask; specks and holes are left out, which the client's shapes have no form for.
//! Errors are `{"success": false, "error": {"code", "message"}}`, with the status of the problem, which the client shows.

mod frames;
mod video;

use crate::app::App;
use crate::compat::outlines;
use crate::images::binary;
use crate::masks::{FramePrompt, PointJson};
use crate::problem::Problem;
use crate::work;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use sam2::rle::Rle;
use sam2::{PredictOptions, Prediction};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// The id of the model. It is the same for all models, so that settings of the client outlast a change.
const MODEL: &str = "segment_anything_2";
/// The id under which the model tracks. With it, the client sends all images of a folder as the frames of a video.
const VIDEO_MODEL: &str = "segment_anything_2_video";
/// What the client calls objects that have no label yet.
const LABEL: &str = "AUTOLABEL_OBJECT";
/// The part of the length of an outline that its simplification may move it by.
const EPSILON: f64 = 0.001;
/// A part of a mask is a speck if its area is less than this part of the largest one.
const SPECK: f64 = 0.01;

/// The routes.
pub fn router() -> Router<Arc<App>> {
    Router::new().route("/v1/models", get(models)).route("/v1/predict", post(predict)).merge(video::router())
}

/// A problem as the client reads it, with its word for the cause.
struct Failed(&'static str, Problem);

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Failed {
        let code = match problem.status() {
            StatusCode::TOO_MANY_REQUESTS => "QUEUE_FULL",
            StatusCode::BAD_REQUEST | StatusCode::UNSUPPORTED_MEDIA_TYPE => "INVALID_REQUEST",
            _ => "INFERENCE_ERROR",
        };
        Failed(code, problem)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let Failed(code, problem) = self;
        let json = json!({"success": false, "error": {"code": code, "message": problem.detail()}});
        let status = problem.status();
        problem.answer(status, &json)
    }
}

/// What the client shows for a model.
fn model(name: &str, mode: Option<&str>, widgets: &[&str]) -> Value {
    let shared = ["button_add_point", "button_remove_point", "button_clear", "button_finish_object"];
    let fineness = ["mask_fineness_slider", "mask_fineness_value_label"];
    let widgets = [&shared, widgets, &fineness].concat();
    let widgets: Vec<Value> = widgets.iter().map(|name| json!({"name": name, "value": null})).collect();
    json!({"display_name": name, "widgets": widgets, "params": {}, "batch_processing_mode": mode})
}

async fn models(State(app): State<Arc<App>>) -> Json<Value> {
    let name = app.model_name();
    let image = model(&format!("SAM 2 ({name})"), None, &["button_add_rect", "button_run", "output_label"]);
    let mut models = json!({MODEL: image});
    if app.root().is_ok() {
        models[VIDEO_MODEL] = model(&format!("SAM 2 ({name}), video"), Some("video"), &[]);
    }
    Json(json!({"success": true, "data": models}))
}

/// A prompt.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Mark {
    Point { data: [f32; 2], label: i32 },
    Rectangle { data: [f32; 4], label: Option<i32> },
}

#[derive(Default, Deserialize)]
struct Params {
    #[serde(default)]
    marks: Vec<Mark>,
    conf_threshold: Option<f32>,
    epsilon_factor: Option<f64>,
    text_prompt: Option<String>,
}

#[derive(Deserialize)]
struct Request {
    model: String,
    image: String,
    #[serde(default)]
    params: Params,
}

fn no_model() -> Failed {
    Failed("MODEL_NOT_FOUND", Problem::not_found(format!("the models are `{MODEL}` and `{VIDEO_MODEL}`")))
}

/// A part of an object as the client reads it.
fn shape(points: &[outlines::Corner], score: f32) -> Value {
    json!({"label": LABEL, "shape_type": "polygon", "points": points, "score": score})
}

/// The objects that marks mean.
fn prompts(marks: Vec<Mark>) -> Result<Vec<FramePrompt>, Problem> {
    let (mut points, mut boxes) = (Vec::new(), Vec::new());
    for mark in marks {
        match mark {
            Mark::Point { data: [x, y], label } => points.push(PointJson { x, y, label }),
            Mark::Rectangle { label: Some(0), .. } => {
                return Err(Problem::input("a rectangle cannot say where the object is not; use points"));
            }
            Mark::Rectangle { data: [a, b, c, d], .. } => boxes.push([a.min(c), b.min(d), a.max(c), b.max(d)]),
        }
    }
    match (points.is_empty(), boxes.len()) {
        (false, 2..) => Err(Problem::input("points go with one rectangle at most")),
        (false, _) => Ok(vec![FramePrompt { points, bounds: boxes.pop(), mask: None }]),
        (true, _) => Ok(boxes.into_iter().map(|b| FramePrompt { bounds: Some(b), ..Default::default() }).collect()),
    }
}

async fn predict(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Result<Json<Value>, Failed> {
    let Request { model, image, params } = work::json(&app, &headers, body).await?;
    if model != MODEL && model != VIDEO_MODEL {
        return Err(no_model());
    }
    let epsilon = params.epsilon_factor.unwrap_or(EPSILON);
    if !(0.0..=1.0).contains(&epsilon) {
        return Err(Problem::input("epsilon_factor is 0 to 1").into());
    }
    if params.marks.is_empty() && params.text_prompt.is_some_and(|text| !text.is_empty()) {
        return Err(Problem::input("the model takes points and rectangles, and no text").into());
    }
    let least = params.conf_threshold.unwrap_or(0.0);
    let prompts = prompts(params.marks)?;
    let image = work::add_base64(&app, image).await.map_err(|problem| match problem.status() {
        StatusCode::UNPROCESSABLE_ENTITY | StatusCode::PAYLOAD_TOO_LARGE => Failed("INVALID_IMAGE", problem),
        _ => problem.into(),
    })?;
    let answer = |shapes: Vec<Value>| {
        Ok(Json(json!({"success": true, "data": {"shapes": shapes, "description": "", "replace": false}})))
    };
    if prompts.is_empty() {
        return answer(Vec::new());
    }
    // A single click may mean the object or a part of it.
    let multimask_output = prompts[0].points.len() == 1 && prompts[0].bounds.is_none();
    let options = PredictOptions { multimask_output, ..Default::default() };
    let convert = move |found: &Prediction| {
        let mut shapes = Vec::new();
        for prompt in 0..found.prompts {
            let best = found.best(prompt);
            let score = found.iou_predictions[best];
            if score >= least {
                let rle = Rle::encode(binary(found, best)?, found.size())?;
                shapes.extend(polygons(&rle, epsilon)?.iter().map(|points| shape(points, score)));
            }
        }
        Ok(shapes)
    };
    answer(work::predict(&app, &image, prompts, options, convert).await?)
}

/// The parts of a mask as polygons whose last point is the first one again.
fn polygons(rle: &Rle, epsilon: f64) -> Result<Vec<Vec<outlines::Corner>>, Problem> {
    let rings = outlines::parts(rle)?;
    let areas: Vec<i64> = rings.iter().map(|ring| outlines::area(ring)).collect();
    let is_speck = |area: i64| (area as f64) < SPECK * areas[0] as f64;
    let kept = rings.iter().zip(&areas).filter(|(_, area)| !is_speck(**area));
    let mut polygons: Vec<_> = kept.map(|(ring, _)| outlines::simplify(ring, epsilon)).collect();
    polygons.retain(|polygon| polygon.len() >= 3);
    polygons.iter_mut().for_each(|polygon| polygon.push(polygon[0]));
    Ok(polygons)
}

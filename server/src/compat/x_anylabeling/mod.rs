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

mod answers;
mod frames;
mod video;

use self::answers::{EPSILON, Failed, MODEL, VIDEO_MODEL, no_model, polygons, shape};

use crate::app::App;
use crate::images::binary;
use crate::masks::{FramePrompt, PointJson};
use crate::problem::Problem;
use crate::work;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use sam2::rle::Rle;
use sam2::{PredictOptions, Prediction};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// The routes.
pub fn router() -> Router<Arc<App>> {
    Router::new().route("/v1/models", get(models)).route("/v1/predict", post(predict)).merge(video::router())
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

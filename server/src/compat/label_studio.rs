//! An ML backend of Label Studio, for interactive labels of a brush.
//!
//! | call | answer |
//! |---|---|
//! | `POST /predict` with `tasks`, `label_config`, and `params.context` | `{"results": [{"result", "score", "model_version"}]}` |
//! | `POST /setup`, `GET /versions`, `POST /validate` | the version of the model, or whether the configuration fits |
//! | `POST /webhook` | 201; nothing is learned |
//!
//! The points and the rectangle of the context are one object, whose best mask becomes a region of the brush. The image of
//! the task is a `data:` URI, or a path that is fetched from the one address in the options. The host and the token of
//! `/setup` are ignored, so that no client can make the server send requests elsewhere. Without a context, as when predictions
//! of whole projects are asked for, there are no results.

use crate::app::App;
use crate::body::{self, MAX_JSON};
use crate::compat::brush;
use crate::compat::label_config::{Tag, tags};
use crate::ids;
use crate::images::{Image, binary};
use crate::masks::{FramePrompt, PointJson};
use crate::problem::Problem;
use crate::work;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use sam2::{PredictOptions, Prediction, Size};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// The routes.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/setup", post(setup))
        .route("/predict", post(predict))
        .route("/webhook", post(webhook))
        .route("/versions", get(versions))
        .route("/validate", post(validate))
}

type Answer = Result<Json<Value>, Problem>;

fn version(app: &App) -> String {
    format!("sam2-{}", app.model_name())
}

async fn setup(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Answer {
    body::json::<Value>(&headers, body).await?;
    Ok(Json(json!({"model_version": version(&app)})))
}

async fn versions(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({"versions": [version(&app)]}))
}

async fn webhook(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    // Events have whole tasks with their annotations.
    work::json::<Value>(&app, &headers, body).await?;
    Ok((StatusCode::CREATED, Json(json!({}))))
}

#[derive(Deserialize)]
struct Validate {
    #[serde(default)]
    config: String,
}

async fn validate(headers: HeaderMap, body: Body) -> Answer {
    let request: Validate = body::json(&headers, body).await?;
    Control::find(&request.config)?;
    Ok(Json(json!({"status": "ok"})))
}

/// The brush of a configuration, and its image.
#[derive(Debug, PartialEq)]
struct Control {
    from_name: String,
    to_name: String,
    /// The member of a task's data that has the image.
    data: String,
}

impl Control {
    fn find(config: &str) -> Result<Control, Problem> {
        if config.len() > MAX_JSON {
            return Err(Problem::size(format!("a configuration may have {MAX_JSON} bytes")));
        }
        let all = tags(config);
        let image = |name: &str| all.iter().find(|tag| tag.name == "Image" && tag.get("name") == Some(name));
        let brush = |tag: &Tag<'_>| {
            let (from_name, to_name) = (tag.get("name")?, tag.get("toName")?);
            let data = image(to_name)?.get("value")?.strip_prefix('$')?;
            Some(Control { from_name: from_name.into(), to_name: to_name.into(), data: data.into() })
        };
        let found = all.iter().filter(|tag| tag.name == "BrushLabels").find_map(brush);
        found.ok_or_else(|| {
            Problem::input("the configuration has no BrushLabels of an Image with a value such as $image")
        })
    }
}

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    tasks: Vec<Task>,
    #[serde(default)]
    label_config: String,
    params: Option<Params>,
}

#[derive(Deserialize)]
struct Task {
    #[serde(default)]
    data: Value,
}

#[derive(Deserialize)]
struct Params {
    context: Option<Context>,
}

#[derive(Deserialize)]
struct Context {
    #[serde(default)]
    result: Vec<Region>,
}

/// A point or a rectangle that the user made. Coordinates are 0 to 100.
#[derive(Deserialize)]
struct Region {
    original_width: usize,
    original_height: usize,
    value: Place,
    is_positive: Option<Flag>,
    #[serde(rename = "type")]
    kind: Kind,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    KeypointLabels,
    RectangleLabels,
}

/// Label Studio sends 0 and 1, and other clients of the interface true and false.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Flag {
    Bool(bool),
    Number(f64),
}

#[derive(Deserialize)]
struct Place {
    x: f32,
    y: f32,
    #[serde(default)]
    width: f32,
    #[serde(default)]
    height: f32,
    keypointlabels: Option<Vec<String>>,
    rectanglelabels: Option<Vec<String>>,
}

/// The object of a context on an image of this size, and its label.
fn prompt(regions: Vec<Region>, size: Size) -> Result<(FramePrompt, Option<String>), Problem> {
    let (mut prompt, mut label) = (FramePrompt::default(), None);
    for Region { original_width, original_height, value, is_positive, kind } in regions {
        let told = Size::new(original_width, original_height);
        if told != size {
            return Err(Problem::input(format!("the image has {size} pixels, and Label Studio says {told}")));
        }
        let (x, y) = (value.x * size.width as f32 / 100.0, value.y * size.height as f32 / 100.0);
        match kind {
            Kind::KeypointLabels => {
                let is_positive = match is_positive {
                    None => true,
                    Some(Flag::Bool(flag)) => flag,
                    Some(Flag::Number(number)) => number != 0.0,
                };
                prompt.points.push(PointJson { x, y, label: i32::from(is_positive) });
            }
            Kind::RectangleLabels => {
                let (width, height) =
                    (value.width * size.width as f32 / 100.0, value.height * size.height as f32 / 100.0);
                if prompt.bounds.replace([x, y, x + width, y + height]).is_some() {
                    return Err(Problem::input("an object has one rectangle at most"));
                }
            }
        }
        let labels = value.keypointlabels.or(value.rectanglelabels).unwrap_or_default();
        label = labels.into_iter().next().or(label);
    }
    Ok((prompt, label))
}

/// Gets the image of a task.
async fn image(app: &Arc<App>, place: &str) -> Result<Arc<Image>, Problem> {
    if place.starts_with("data:") {
        return work::add_base64(app, place.into()).await;
    }
    let Some(origin) = app.label_studio.clone() else {
        return Err(Problem::input("the image is no data: URI, and label_studio_url is not set: nothing is fetched"));
    };
    let path =
        origin.path(place).ok_or_else(|| Problem::input("the image is not on the server of label_studio_url"))?;
    let path = path.to_string();
    // A slow server of others holds a thread of its own, and no turn of those that decode.
    let got = tokio::task::spawn_blocking(move || origin.get(&path)).await;
    work::add(app, got.map_err(|_| Problem::internal("the image could not be fetched"))??).await
}

async fn predict(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Answer {
    let request: Request = work::json(&app, &headers, body).await?;
    let version = version(&app);
    let regions = request.params.and_then(|params| params.context).map(|context| context.result).unwrap_or_default();
    let (Some(task), false) = (request.tasks.first(), regions.is_empty()) else {
        return Ok(Json(json!({"results": [], "model_version": version})));
    };
    let control = Control::find(&request.label_config)?;
    let place = task.data.get(&control.data).and_then(Value::as_str);
    let place = place.ok_or_else(|| Problem::input("the data of the task has no image of the configuration"))?;
    let image = image(&app, place).await?;
    let (prompt, label) = prompt(regions, image.size)?;
    let label = label.ok_or_else(|| Problem::input("the context has no label"))?;
    let id = ids::random().map_err(|e| Problem::internal(e.to_string()))?;
    let convert = move |found: &Prediction| {
        let (best, size) = (found.best(0), found.size());
        let score = found.iou_predictions[best];
        let rle = brush::encode(binary(found, best)?);
        let region = json!({
            "id": id[..10], "from_name": control.from_name, "to_name": control.to_name, "type": "brushlabels",
            "original_width": size.width, "original_height": size.height, "image_rotation": 0,
            "value": {"format": "rle", "rle": rle, "brushlabels": [label]}, "score": score, "readonly": false,
        });
        let result = json!({"result": [region], "score": score, "model_version": version});
        Ok(json!({"results": [result], "model_version": version}))
    };
    Ok(Json(work::predict(&app, &image, vec![prompt], PredictOptions::default(), convert).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brush_of_a_configuration() {
        let found = |config: &str| Control::find(config).map(|c| [c.from_name, c.to_name, c.data].join(" ")).ok();
        let image = r#"<View><Image name="i" value="$image"/>"#;
        let config =
            format!(r#"{image}<KeyPointLabels name="k" toName="i"/><BrushLabels name="b" toName="i"/></View>"#);
        assert_eq!(found(&config).as_deref(), Some("b i image"));
        for tag in [
            "<BrushLabels name='b'/>",
            "<BrushLabels name='b' toName='other'/>",
            "<PolygonLabels name='b' toName='i'/>",
        ] {
            assert_eq!(found(&format!("{image}{tag}")), None, "{tag}");
        }
        assert!(Control::find(&" ".repeat(MAX_JSON + 1)).is_err());
    }
}

//! The server of `image_demo`, a frontend that labels the segments of an image.
//!
//! | call | answer |
//! |---|---|
//! | `POST /segment-image`, a form with `image`, `model_size`, `max_masks`, `save` | all segments, by their predicted IoU |
//! | `POST /refine-segment`, with `image`, `bbox`, `segment_id`, `segments` | the segment in the box, and what is left |
//! | `POST /create-mask`, with `image`, `bbox` | three masks for the box, the best first |
//! | `POST /save-project`, with `data` | a file of COCO annotations is written |
//!
//! One model is loaded: `model_size` must be a known size, and the answer tells the model that ran. Files are written to the
//! folder `projects` of the data folder, under a name of the server. Errors are `{"error": "..."}`.

use crate::app::App;
use crate::body;
use crate::everything::{self, Everything};
use crate::images::{Image, MAX_IMAGE, binary};
use crate::masks::{FramePrompt, RleJson};
use crate::problem::Problem;
use crate::projects::milliseconds;
use crate::work;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use sam2::rle::Rle;
use sam2::{AutomaticMask, PredictOptions, Size};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// The most bytes of the segments of an image in JSON.
const MAX_SEGMENTS: usize = 8 << 20;
/// Sizes of models that the frontend offers.
const SIZES: [&str; 4] = ["tiny", "small", "base_plus", "large"];
/// The most bytes of the name of an image.
const MAX_NAME: usize = 255;

/// The routes.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/segment-image", post(segment))
        .route("/refine-segment", post(refine))
        .route("/create-mask", post(create))
        .route("/save-project", post(save))
        .layer(DefaultBodyLimit::max(MAX_IMAGE + MAX_SEGMENTS + body::MAX_JSON))
}

/// A problem as the frontend reads it: mistakes of the client are 400.
struct Failed(Problem);

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Failed {
        Failed(problem)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let status = match self.0.status() {
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNSUPPORTED_MEDIA_TYPE | StatusCode::UNPROCESSABLE_ENTITY => {
                StatusCode::BAD_REQUEST
            }
            status => status,
        };
        let json = json!({"error": self.0.detail()});
        self.0.answer(status, &json)
    }
}

type Answer = Result<Json<Value>, Failed>;
type Arguments = Result<Query<HashMap<String, String>>, QueryRejection>;

/// The parts of a form, and the query, which counts where the form has nothing.
struct Form {
    parts: HashMap<String, Vec<u8>>,
    query: HashMap<String, String>,
}

impl Form {
    async fn read(query: Arguments, request: Request) -> Result<Form, Problem> {
        let Query(query) = query.map_err(|e| Problem::request(e.body_text()))?;
        if body::media_type(request.headers()) != "multipart/form-data" {
            return Err(Problem::media_type("send multipart/form-data"));
        }
        let most = |name: &str| match name {
            "image" => MAX_IMAGE,
            "segments" | "data" => MAX_SEGMENTS,
            _ => body::MAX_JSON,
        };
        Ok(Form { parts: body::parts(request, most).await?, query })
    }

    /// A text that is not empty.
    fn text(&self, name: &str) -> Option<&str> {
        let part = self.parts.get(name).and_then(|bytes| std::str::from_utf8(bytes).ok());
        part.filter(|text| !text.is_empty())
            .or(self.query.get(name).map(String::as_str))
            .filter(|text| !text.is_empty())
    }

    fn json<T: for<'de> Deserialize<'de>>(&self, name: &str) -> Result<T, Problem> {
        let bytes = self.parts.get(name).ok_or_else(|| Problem::request(format!("missing '{name}' parameter")))?;
        serde_json::from_slice(bytes).map_err(|e| Problem::request(format!("{name}: {e}")))
    }

    /// Adds the image, after the size of the model is checked.
    async fn image(&mut self, app: &Arc<App>) -> Result<Arc<Image>, Problem> {
        if let Some(size) = self.text("model_size").filter(|size| !SIZES.contains(&&*size.to_ascii_lowercase())) {
            return Err(Problem::request(format!("unknown model_size '{size}'; it is one of {}", SIZES.join(", "))));
        }
        let bytes = self.parts.remove("image");
        work::add(app, bytes.ok_or_else(|| Problem::request("missing 'image' in multipart form"))?).await
    }

    /// The box: left, top, width and height.
    fn bounds(&self) -> Result<([f32; 4], FramePrompt), Problem> {
        let bbox: [f32; 4] = self.json("bbox")?;
        let [x, y, width, height] = bbox;
        Ok((bbox, FramePrompt { bounds: Some([x, y, x + width, y + height]), ..Default::default() }))
    }
}

/// The colour of a segment: hues in steps of the golden ratio.
fn color(index: usize) -> String {
    let hue = (index as f64 * 0.618033988749895) % 1.0 * 6.0;
    let (s, f) = (0.65, hue.fract());
    let (low, falling, rising) = (1.0 - s, 1.0 - s * f, 1.0 - s * (1.0 - f));
    let (r, g, b) = match hue as u32 {
        0 => (1.0, rising, low),
        1 => (falling, 1.0, low),
        2 => (low, 1.0, rising),
        3 => (low, falling, 1.0),
        4 => (rising, low, 1.0),
        _ => (1.0, low, falling),
    };
    let byte = |value: f64| (value * 255.0) as u8;
    format!("#{:02x}{:02x}{:02x}", byte(r), byte(g), byte(b))
}

fn segmentation(rle: &Rle, size: Size) -> Result<Value, Problem> {
    Ok(json!(RleJson::new(size, rle.to_coco()?)))
}

fn found_segment(mask: &AutomaticMask, size: Size) -> Result<Value, Problem> {
    Ok(json!({
        "bbox": mask.bbox, "area": mask.area as f64, "predicted_iou": mask.predicted_iou,
        "stability_score": mask.stability_score, "crop_box": mask.crop_box, "point_coords": [mask.point_coords],
        "segmentation": segmentation(&mask.segmentation, size)?,
    }))
}

async fn segment(State(app): State<Arc<App>>, query: Arguments, request: Request) -> Answer {
    let mut form = Form::read(query, request).await?;
    let number = |text: &str| text.parse::<usize>().map_err(|_| Problem::request("max_masks is no number"));
    let most = form.text("max_masks").map(number).transpose()?.unwrap_or(usize::MAX);
    let is_saved = form.text("save").is_some_and(|save| !["0", "false", "False"].contains(&save));
    let image = form.image(&app).await?;
    let (points_per_side, iou, stability) = (Some(32), Some(0.86), Some(0.92));
    let wanted =
        Everything { points_per_side, pred_iou_thresh: iou, stability_score_thresh: stability, ..Default::default() };
    let search = wanted.start_with(&app, image.clone(), found_segment).await?;
    let mut segments = everything::all(search).await?;
    let iou = |segment: &Value| segment["predicted_iou"].as_f64().unwrap_or_default();
    segments.sort_by(|a, b| iou(b).total_cmp(&iou(a)));
    segments.truncate(most);
    for (i, segment) in segments.iter_mut().enumerate() {
        (segment["id"], segment["color"]) = (json!(i), json!(color(i)));
    }
    let mut answer = json!({
        "image": {"width": image.size.width, "height": image.size.height}, "count": segments.len(),
        "model_size": app.model_name(), "segments": segments,
    });
    if is_saved {
        let text = answer.to_string();
        let save = move |app: &App| app.projects.save(&app.videos, text.as_bytes());
        answer["saved_to"] = json!(work::aside(&app, save).await?);
    }
    Ok(Json(answer))
}

/// A segment of a mask that the predictor made, which has no stability.
fn made_segment(id: Value, mask: &[u8], size: Size, iou: &Value, color: &Value) -> Result<Value, Problem> {
    let rle = Rle::encode(mask, size)?;
    Ok(json!({
        "id": id, "bbox": rle.bbox(), "area": rle.area(), "predicted_iou": iou, "stability_score": 0.0,
        "segmentation": segmentation(&rle, size)?, "color": color,
    }))
}

async fn refine(State(app): State<Arc<App>>, query: Arguments, request: Request) -> Answer {
    let mut form = Form::read(query, request).await?;
    let (bbox, prompt) = form.bounds()?;
    let id = form.text("segment_id").ok_or_else(|| Problem::request("missing 'segment_id' parameter"))?;
    let is_id = |segment: &Value| match &segment["id"] {
        Value::String(text) => text == id,
        Value::Number(number) => number.to_string() == id,
        _ => false,
    };
    let segments: Vec<Value> = form.json("segments")?;
    let found = segments.into_iter().find(is_id);
    let old = found.ok_or_else(|| Problem::not_found(format!("segment with id {id} not found")))?;
    let rle: RleJson = serde_json::from_value(old["segmentation"].clone())
        .map_err(|e| Problem::request(format!("the segmentation of the segment: {e}")))?;
    let image = form.image(&app).await?;
    let options = PredictOptions { multimask_output: false, ..Default::default() };
    let convert = move |found: &sam2::Prediction| {
        let (mask, size, time) = (binary(found, 0)?, found.size(), milliseconds());
        let color = old.get("color").cloned().unwrap_or(json!("#000000"));
        let id = json!(format!("refined_{time}"));
        let mut refined = made_segment(id, mask, size, &json!(found.iou_predictions[0]), &color)?;
        refined["crop_box"] = json!(bbox);
        refined["point_coords"] = json!([]);
        refined["refined_from"] = old["id"].clone();
        let mut rest = rle.decode(size)?;
        rest.iter_mut().zip(mask).for_each(|(rest, mask)| *rest &= 1 - mask);
        let mut remainder = Value::Null;
        if rest.contains(&1) {
            let or = |name: &str, other: Value| old.get(name).cloned().unwrap_or(other);
            let iou = or("predicted_iou", json!(0.0));
            remainder = made_segment(json!(format!("remainder_{time}")), &rest, size, &iou, &color)?;
            remainder["stability_score"] = or("stability_score", json!(0.0));
            remainder["crop_box"] = or("crop_box", json!([]));
            remainder["point_coords"] = or("point_coords", json!([]));
            remainder["remainder_of"] = old["id"].clone();
        }
        Ok(json!({"refined_segment": refined, "remainder_segment": remainder, "original_segment_id": old["id"]}))
    };
    Ok(Json(work::predict(&app, &image, vec![prompt], options, convert).await?))
}

async fn create(State(app): State<Arc<App>>, query: Arguments, request: Request) -> Answer {
    let mut form = Form::read(query, request).await?;
    let (bbox, prompt) = form.bounds()?;
    let image = form.image(&app).await?;
    let convert = move |found: &sam2::Prediction| {
        let mut order: Vec<usize> = (0..found.masks_per_prompt).collect();
        order.sort_by(|&a, &b| found.iou_predictions[b].total_cmp(&found.iou_predictions[a]));
        let segment = |i: usize| {
            let iou = json!(found.iou_predictions[i]);
            made_segment(Value::Null, binary(found, i)?, found.size(), &iou, &json!(color(i)))
        };
        let masks = order.into_iter().map(segment).collect::<Result<Vec<_>, Problem>>()?;
        Ok(json!({"masks": masks, "bbox": bbox}))
    };
    Ok(Json(work::predict(&app, &image, vec![prompt], PredictOptions::default(), convert).await?))
}

/// What the frontend knows of an image and its segments.
#[derive(Deserialize)]
struct Project {
    #[serde(default)]
    image: ProjectImage,
    #[serde(default)]
    segments: Vec<ProjectSegment>,
    #[serde(default)]
    labels: Vec<String>,
    image_filename: Option<String>,
}

#[derive(Default, Deserialize)]
struct ProjectImage {
    #[serde(default)]
    width: u32,
    #[serde(default)]
    height: u32,
}

#[derive(Deserialize)]
struct ProjectSegment {
    label: Option<String>,
    #[serde(default)]
    bbox: Vec<f64>,
    #[serde(default)]
    area: f64,
    #[serde(default)]
    segmentation: Value,
    #[serde(default)]
    predicted_iou: f64,
}

impl Project {
    /// The annotations as COCO has them. Segments without a known label are left out.
    fn coco(self) -> (Value, usize) {
        let annotation = |(i, (category, segment)): (usize, (usize, ProjectSegment))| {
            json!({
                "id": i + 1, "image_id": 1, "category_id": category + 1, "bbox": segment.bbox, "area": segment.area,
                "segmentation": segment.segmentation, "iscrowd": 0, "score": segment.predicted_iou,
            })
        };
        let known: HashMap<&str, usize> = self.labels.iter().enumerate().map(|(i, name)| (&**name, i)).collect();
        let category = |name: &Option<String>| known.get(name.as_deref()?).copied();
        let labelled = self.segments.into_iter().filter_map(|segment| Some((category(&segment.label)?, segment)));
        let annotations: Vec<Value> = labelled.enumerate().map(annotation).collect();
        let category = |(i, name): (usize, &String)| json!({"id": i + 1, "name": name, "supercategory": "object"});
        let categories: Vec<Value> = self.labels.iter().enumerate().map(category).collect();
        let name = self.image_filename.filter(|name| name.len() <= MAX_NAME).unwrap_or_else(|| "image".into());
        let (width, height) = (self.image.width, self.image.height);
        let image = json!({"id": 1, "file_name": name, "width": width, "height": height});
        let count = annotations.len();
        (json!({"images": [image], "annotations": annotations, "categories": categories}), count)
    }
}

async fn save(State(app): State<Arc<App>>, query: Arguments, request: Request) -> Answer {
    let form = Form::read(query, request).await?;
    let save = move |app: &App| {
        let project: Project = form.json("data")?;
        let categories = project.labels.len();
        let (coco, annotations) = project.coco();
        let name = app.projects.save(&app.videos, coco.to_string().as_bytes())?;
        Ok(json!({
            "status": "success", "saved_to": name, "annotations_count": annotations, "categories_count": categories,
        }))
    };
    Ok(Json(work::aside(&app, save).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_those_of_the_frontend() {
        // As Python's colorsys gives them.
        assert_eq!([0, 1, 2, 3, 100].map(color), ["#ff5959", "#5989ff", "#b9ff59", "#ff59ea", "#e159ff"]);
    }
}

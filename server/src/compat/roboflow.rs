//! The calls of Roboflow's inference server for SAM 2, as its SDK sends them.
//!
//! | call | answer |
//! |---|---|
//! | `POST /sam2/segment_image` | `{"predictions": [{"masks", "confidence", "format"}], "time"}`, the best mask of each prompt |
//! | `POST /sam2/embed_image` | `{"image_id", "time"}` |
//!
//! Images come in base64; addresses and pickled arrays are refused. `format` is `json` for polygons without holes, `rle`, or
//! `binary` for an `.npz` archive with the logits. Instead of an image, `image_id` names one that the server still has; its
//! ids are the server's. The loaded model answers whatever `sam2_version_id` says. `api_key` in the body is ignored: a key
//! of this server comes in a header. Errors are `{"message": "..."}`.

use crate::app::App;
use crate::compat::outlines;
use crate::images::{Image, binary};
use crate::masks::{FramePrompt, PointJson, RleJson};
use crate::problem::Problem;
use crate::work;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use sam2::rle::Rle;
use sam2::{Masks, PredictOptions, Prediction};
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::{Cursor, Write};
use std::sync::Arc;
use std::time::Instant;

/// The routes.
pub fn router() -> Router<Arc<App>> {
    Router::new().route("/sam2/segment_image", post(segment)).route("/sam2/embed_image", post(embed))
}

/// A problem as the SDK reads it.
struct Failed(Problem);

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Failed {
        Failed(problem)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let json = json!({"message": self.0.detail()});
        let status = self.0.status();
        self.0.answer(status, &json)
    }
}

#[derive(Deserialize)]
struct SentImage {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    value: Value,
}

#[derive(Deserialize)]
struct Point {
    x: f32,
    y: f32,
    positive: bool,
}

/// A box around its centre.
#[derive(Deserialize)]
struct Bounds {
    x: f32,
    y: f32,
    width: f32,
    height: f32,
}

#[derive(Deserialize)]
struct Prompt {
    points: Option<Vec<Point>>,
    #[serde(rename = "box")]
    bounds: Option<Bounds>,
}

impl Prompt {
    fn prompt(self) -> FramePrompt {
        let point = |Point { x, y, positive }| PointJson { x, y, label: i32::from(positive) };
        let corners = |b: Bounds| {
            let (w, h) = (b.width / 2.0, b.height / 2.0);
            [b.x - w, b.y - h, b.x + w, b.y + h]
        };
        let points = self.points.unwrap_or_default().into_iter().map(point).collect();
        FramePrompt { points, bounds: self.bounds.map(corners), mask: None }
    }
}

#[derive(Default, Deserialize)]
struct Prompts {
    prompts: Option<Vec<Prompt>>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Rle,
    Binary,
}

#[derive(Deserialize)]
struct Request {
    image: Option<SentImage>,
    image_id: Option<String>,
    #[serde(default)]
    prompts: Prompts,
    #[serde(default)]
    format: Format,
    multimask_output: Option<bool>,
    #[serde(default)]
    mask_input: Value,
}

impl Request {
    async fn image(&mut self, app: &Arc<App>) -> Result<Arc<Image>, Problem> {
        match (self.image.take(), &self.image_id) {
            (Some(SentImage { kind, value: Value::String(text) }), _) if kind == "base64" => {
                work::add_base64(app, text).await
            }
            (Some(SentImage { kind, .. }), _) => {
                let kind: String = kind.chars().take(MAX_KIND).collect();
                Err(Problem::input(format!("an image of the type `{kind}`; images are taken as text in base64 alone")))
            }
            (None, Some(id)) => app.images.get(id),
            (None, None) => Err(Problem::input("an image is needed")),
        }
    }
}

/// The most characters of a wrong type that an error repeats.
const MAX_KIND: usize = 32;

async fn segment(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Result<Response, Failed> {
    let begun = Instant::now();
    let mut request: Request = work::json(&app, &headers, body).await?;
    if !request.mask_input.is_null() {
        return Err(Failed(Problem::input("mask_input is not taken")));
    }
    let image = request.image(&app).await?;
    let prompts = request.prompts.prompts.unwrap_or_default().into_iter().map(Prompt::prompt).collect();
    let (format, multimask_output) = (request.format, request.multimask_output.unwrap_or(true));
    let return_logits = matches!(format, Format::Binary);
    let options = PredictOptions { multimask_output, return_logits, ..Default::default() };
    let convert = move |found: &Prediction| match format {
        Format::Binary => archive(found).map(|bytes| Body::from(bytes).into_response()),
        format => {
            let all = (0..found.prompts).map(|i| prediction(found, i, format)).collect::<Result<Vec<_>, _>>()?;
            Ok(Json(json!({"predictions": all, "time": begun.elapsed().as_secs_f64()})).into_response())
        }
    };
    let mut answer = work::predict(&app, &image, prompts, options, convert).await?;
    let octets = header::HeaderValue::from_static("application/octet-stream");
    answer.headers_mut().entry(header::CONTENT_TYPE).or_insert(octets);
    Ok(answer)
}

/// The best mask of a prompt.
fn prediction(found: &Prediction, prompt: usize, format: Format) -> Result<Value, Problem> {
    let best = found.best(prompt);
    let rle = Rle::encode(binary(found, best)?, found.size())?;
    let (masks, format) = match format {
        Format::Rle => (json!(RleJson::new(found.size(), rle.to_coco()?)), "rle"),
        _ => (json!(outlines::parts(&rle)?), "polygon"),
    };
    Ok(json!({"masks": masks, "confidence": found.iou_predictions[best], "format": format}))
}

/// The logits of the best masks, whole and in the model's resolution, as an `.npz` archive.
fn archive(found: &Prediction) -> Result<Vec<u8>, Problem> {
    let Masks::Logits(masks) = &found.masks else { return Err(Problem::internal("no logits")) };
    let pixels = found.low_res_masks.len() / found.iou_predictions.len().max(1);
    let side = pixels.isqrt();
    let best: Vec<usize> = (0..found.prompts).map(|prompt| found.best(prompt)).collect();
    let write = || -> std::io::Result<Vec<u8>> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        for (name, values, height, width) in
            [("masks.npy", masks, found.height, found.width), ("low_res_masks.npy", &found.low_res_masks, side, side)]
        {
            let shape = format!("({}, {height}, {width})", best.len());
            let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
            // The head ends with a line break at a multiple of 64 bytes.
            let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
            zip.start_file(name, options)?;
            zip.write_all(b"\x93NUMPY\x01\x00")?;
            zip.write_all(&(length as u16).to_le_bytes())?;
            zip.write_all(format!("{text:<0$}\n", length - 1).as_bytes())?;
            for &mask in &best {
                let values = &values[mask * height * width..][..height * width];
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                zip.write_all(&bytes)?;
            }
        }
        Ok(zip.finish()?.into_inner())
    };
    write().map_err(|e| Problem::internal(e.to_string()))
}

async fn embed(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Result<Json<Value>, Failed> {
    let begun = Instant::now();
    let mut request: Request = work::json(&app, &headers, body).await?;
    let image = request.image(&app).await?;
    work::encode(&app, &image).await?;
    Ok(Json(json!({"image_id": image.id, "time": begun.elapsed().as_secs_f64()})))
}

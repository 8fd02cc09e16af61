//! Shapes and errors as the client reads them.

use crate::compat::outlines;
use crate::problem::Problem;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sam2::rle::Rle;
use serde_json::{Value, json};

/// The id of the model. It is the same for all models, so that settings of the client outlast a change.
pub const MODEL: &str = "segment_anything_2";
/// The id under which the model tracks. With it, the client sends all images of a folder as the frames of a video.
pub const VIDEO_MODEL: &str = "segment_anything_2_video";
/// What the client calls objects that have no label yet.
pub const LABEL: &str = "AUTOLABEL_OBJECT";
/// The part of the length of an outline that its simplification may move it by.
pub const EPSILON: f64 = 0.001;
/// A part of a mask is a speck if its area is less than this part of the largest one.
pub const SPECK: f64 = 0.01;

/// A problem as the client reads it, with its word for the cause.
#[derive(Debug)]
pub struct Failed(pub &'static str, pub Problem);

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

/// The problem of another model.
#[must_use]
pub fn no_model() -> Failed {
    Failed("MODEL_NOT_FOUND", Problem::not_found(format!("the models are `{MODEL}` and `{VIDEO_MODEL}`")))
}

/// A part of an object as the client reads it.
#[must_use]
pub fn shape(points: &[outlines::Corner], score: f32) -> Value {
    json!({"label": LABEL, "shape_type": "polygon", "points": points, "score": score})
}

/// The parts of a mask as polygons whose last point is the first one again.
///
/// # Errors
///
/// Those of the engine.
pub fn polygons(rle: &Rle, epsilon: f64) -> Result<Vec<Vec<outlines::Corner>>, Problem> {
    let rings = outlines::parts(rle)?;
    let areas: Vec<i64> = rings.iter().map(|ring| outlines::area(ring)).collect();
    let is_speck = |area: i64| (area as f64) < SPECK * areas[0] as f64;
    let kept = rings.iter().zip(&areas).filter(|(_, area)| !is_speck(**area));
    let mut polygons: Vec<_> = kept.map(|(ring, _)| outlines::simplify(ring, epsilon)).collect();
    polygons.retain(|polygon| polygon.len() >= 3);
    polygons.iter_mut().for_each(|polygon| polygon.push(polygon[0]));
    Ok(polygons)
}

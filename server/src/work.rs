//! Images and their masks, from requests to lanes.

use crate::app::App;
use crate::body;
use crate::images::{Image, MAX_IMAGE};
use crate::lane::Lane;
use crate::masks::{FramePrompt, MAX_PROMPTS};
use crate::problem::Problem;
use crate::schedule::Class;
use axum::body::Body;
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use sam2::{PredictOptions, Prediction};
use serde::Deserialize;
use std::sync::Arc;

/// The most bytes of JSON with an image in base64.
pub const MAX_IMAGE_JSON: usize = MAX_IMAGE / 3 * 4 + body::MAX_JSON;

/// Runs work that the threads of the server must not be kept for, such as decoding. Little of it runs at once.
///
/// # Errors
///
/// Those of the work.
pub async fn aside<R: Send + 'static>(
    app: &Arc<App>,
    work: impl FnOnce(&App) -> Result<R, Problem> + Send + 'static,
) -> Result<R, Problem> {
    let turn = app.decoders.clone().acquire_owned().await.map_err(|_| Problem::draining("no new work is taken"))?;
    let here = app.clone();
    let done = tokio::task::spawn_blocking(move || {
        let done = work(&here);
        drop(turn);
        done
    });
    done.await.map_err(|_| Problem::internal("the work was ended by a defect of the server"))?
}

/// Adds an image.
///
/// # Errors
///
/// `input` if the bytes are no image.
pub async fn add(app: &Arc<App>, bytes: Vec<u8>) -> Result<Arc<Image>, Problem> {
    aside(app, move |app| app.images.add(bytes)).await
}

/// Adds an image in base64, which may be a `data:` URI.
///
/// # Errors
///
/// `input` if the text is no image, `size` if the image is too large.
pub async fn add_base64(app: &Arc<App>, text: String) -> Result<Arc<Image>, Problem> {
    aside(app, move |app| app.images.add(from_base64(&text)?)).await
}

/// Bytes of an image in base64, which may be a `data:` URI.
///
/// # Errors
///
/// `input` if the text is no base64, `size` if the image is too large.
pub fn from_base64(text: &str) -> Result<Vec<u8>, Problem> {
    let alphabet = base64::alphabet::STANDARD;
    let engine = GeneralPurpose::new(
        &alphabet,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let encoded = match text.strip_prefix("data:") {
        None => text,
        Some(rest) => {
            let (kind, encoded) = rest.split_once(',').unwrap_or_default();
            if !kind.ends_with(";base64") {
                return Err(Problem::input("a data: URI of an image is in base64"));
            }
            encoded
        }
    };
    let bytes = engine.decode(encoded.trim()).map_err(|e| Problem::input(format!("the image in base64: {e}")))?;
    match bytes.len() > MAX_IMAGE {
        true => Err(Problem::size(format!("an image may have {MAX_IMAGE} bytes"))),
        false => Ok(bytes),
    }
}

/// The JSON of a request that may contain an image in base64.
///
/// # Errors
///
/// `media-type`, `size` or `request`.
pub async fn json<T>(app: &Arc<App>, headers: &HeaderMap, body: Body) -> Result<T, Problem>
where
    T: for<'de> Deserialize<'de> + Send + 'static,
{
    let text = body::json_bytes(headers, body, MAX_IMAGE_JSON).await?;
    aside(app, move |_| body::parse(&text)).await
}

/// Encodes an image if it has no features. Returns the milliseconds, if it was encoded now.
///
/// # Errors
///
/// Those of the engine.
pub async fn encode(app: &Arc<App>, image: &Arc<Image>) -> Result<Option<f64>, Problem> {
    let (here, encoded) = (app.clone(), image.clone());
    let unit = move |lane: &mut Lane| here.images.encode(&mut lane.image, &encoded);
    app.lanes.run(Class::Interactive, image.key, unit).await?
}

/// Predicts masks for points and boxes, as a unit of work. `convert` makes the answer of the prediction, on the lane too.
///
/// # Errors
///
/// `input`, those of the engine and of `convert`.
pub async fn predict<R: Send + 'static>(
    app: &Arc<App>,
    image: &Arc<Image>,
    prompts: Vec<FramePrompt>,
    options: PredictOptions,
    convert: impl FnOnce(&Prediction) -> Result<R, Problem> + Send + 'static,
) -> Result<R, Problem> {
    if prompts.is_empty() || prompts.len() > MAX_PROMPTS {
        return Err(Problem::input(format!("{} prompts, 1 to {MAX_PROMPTS} are taken", prompts.len())));
    }
    prompts.iter().try_for_each(FramePrompt::check)?;
    let (here, key, image) = (app.clone(), image.key, image.clone());
    let unit = move |lane: &mut Lane| {
        let prompts: Vec<_> = prompts.iter().map(FramePrompt::prompt).collect();
        let found = here.images.visit(&mut lane.image, &image, |lane| Ok(lane.predict(&prompts, options)?))?;
        convert(&found)
    };
    app.lanes.run(Class::Interactive, key, unit).await?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_in_base64() {
        for text in ["AQID", " AQID\n", "data:image/png;base64,AQID", "AQI=", "AQI"] {
            let bytes = from_base64(text).unwrap();
            assert!(bytes.starts_with(&[1, 2]), "{text}");
        }
        for text in ["data:image/png,AQID", "data:", "data:image/png;base64", "http://a/b", "A"] {
            assert!(from_base64(text).is_err(), "{text}");
        }
        let large = "A".repeat(MAX_IMAGE / 3 * 4 + 4);
        assert_eq!(from_base64(&large).map_err(|e| e.status().as_u16()), Err(413));
    }
}

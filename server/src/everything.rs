//! Masks of all objects of an image.
//!
//! A search takes seconds and has a thread and a predictor of its own, so that no click waits for it. One search runs at a
//! time. It ends early when its client goes away.

use crate::app::App;
use crate::images::Image;
use crate::masks::{Format, mask_json};
use crate::problem::Problem;
use axum::response::sse::Event;
use sam2::{AutomaticMask, AutomaticMaskGeneratorOptions, GenerateControl, Model, Progress, Size, picture};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// What is asked for. The names and defaults are those of the reference's generator.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Everything {
    /// The points along each side of the image, 1 to 64.
    pub points_per_side: Option<usize>,
    /// A mask is dropped unless its predicted IoU is above this value.
    pub pred_iou_thresh: Option<f32>,
    /// A mask is dropped if its stability is below this value.
    pub stability_score_thresh: Option<f32>,
    /// The largest overlap of the boxes of two masks.
    pub box_nms_thresh: Option<f32>,
    /// The layers of crops, at most 2.
    pub crop_n_layers: Option<usize>,
    /// Holes and specks of at most this number of pixels are filled and removed.
    pub min_mask_region_area: Option<usize>,
    /// How masks are written.
    #[serde(default)]
    pub format: Format,
}

/// What a search tells, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// How far the search is.
    Progress {
        /// Points that were decoded.
        done: usize,
        /// All points.
        total: usize,
    },
    /// A mask in JSON.
    Mask(Value),
    /// The end, with the number of masks.
    Done(usize),
    /// The end of a search that failed.
    Failed(Problem),
}

impl Found {
    /// The server-sent event.
    pub fn event(&self) -> Event {
        let (name, data) = match self {
            Found::Progress { done, total } => ("progress", json!({"done": done, "total": total})),
            Found::Mask(mask) => ("mask", mask.clone()),
            Found::Done(count) => ("done", json!({"count": count})),
            Found::Failed(problem) => ("error", problem.json()),
        };
        Event::default().event(name).data(data.to_string())
    }
}

impl Everything {
    fn options(&self) -> Result<AutomaticMaskGeneratorOptions, Problem> {
        let mut options = AutomaticMaskGeneratorOptions::default();
        if let Some(points) = self.points_per_side {
            if !(1..=64).contains(&points) {
                return Err(Problem::input(format!("points_per_side is {points}, 1 to 64 are taken")));
            }
            options.points_per_side = Some(points);
        }
        if let Some(layers) = self.crop_n_layers {
            if layers > 2 {
                return Err(Problem::input(format!("crop_n_layers is {layers}, at most 2 are taken")));
            }
            options.crop_n_layers = layers;
        }
        let set = |to: &mut f32, from: Option<f32>| *to = from.unwrap_or(*to);
        set(&mut options.pred_iou_thresh, self.pred_iou_thresh);
        set(&mut options.stability_score_thresh, self.stability_score_thresh);
        set(&mut options.box_nms_thresh, self.box_nms_thresh);
        options.min_mask_region_area = self.min_mask_region_area.unwrap_or(0);
        Ok(options)
    }

    /// Starts a search. The receiver gets what it finds.
    ///
    /// # Errors
    ///
    /// `input`, or `limit` if searches of others take too long.
    pub async fn start(self, app: &Arc<App>, image: Arc<Image>) -> Result<Receiver<Found>, Problem> {
        let format = self.format;
        self.start_with(app, image, move |mask, size| json_of(mask, size, format)).await
    }

    /// Starts a search whose masks `convert` writes as JSON, instead of in the format.
    ///
    /// # Errors
    ///
    /// As [`Everything::start`].
    pub async fn start_with(
        self,
        app: &Arc<App>,
        image: Arc<Image>,
        convert: impl Fn(&AutomaticMask, Size) -> Result<Value, Problem> + Send + 'static,
    ) -> Result<Receiver<Found>, Problem> {
        let options = self.options()?;
        let turn = tokio::time::timeout(std::time::Duration::from_secs(60), app.searches.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| Problem::limit("other searches take long"))?;
        let turn = turn.map_err(|_| Problem::draining("no new work is taken"))?;
        let (send, receive) = channel(8);
        let model = app.model.clone();
        let search = move || {
            let found = search(&model, &image, options, &convert, &send);
            if let Err(problem) = found {
                let _ = send.blocking_send(Found::Failed(problem));
            }
            drop(turn);
        };
        let thread = std::thread::Builder::new().name("sam2-search".into()).spawn(search);
        thread.map_err(|e| Problem::full(e.to_string()))?;
        Ok(receive)
    }
}

fn json_of(mask: &AutomaticMask, size: Size, format: Format) -> Result<Value, Problem> {
    let mut value = mask_json(&mask.segmentation.decode()?, size, format)?;
    value["predicted_iou"] = json!(mask.predicted_iou);
    value["stability_score"] = json!(mask.stability_score);
    value["point"] = json!(mask.point_coords);
    Ok(value)
}

/// Waits for a search, and returns its masks in JSON.
///
/// # Errors
///
/// What the search failed with.
pub async fn all(mut found: Receiver<Found>) -> Result<Vec<Value>, Problem> {
    let mut masks = Vec::new();
    loop {
        match found.recv().await {
            Some(Found::Mask(mask)) => masks.push(mask),
            Some(Found::Failed(problem)) => return Err(problem),
            Some(Found::Done(_)) => return Ok(masks),
            Some(Found::Progress { .. }) => {}
            None => return Err(Problem::internal("the search was ended by a defect of the server")),
        }
    }
}

fn search(
    model: &Model,
    image: &Image,
    options: AutomaticMaskGeneratorOptions,
    convert: &impl Fn(&AutomaticMask, Size) -> Result<Value, Problem>,
    to: &Sender<Found>,
) -> Result<(), Problem> {
    let mut generator = model.automatic_mask_generator(options)?;
    let decoded = picture::decode("image", &image.bytes)?;
    let mut progress = |Progress { points, of, .. }: Progress| {
        // A client that reads slowly misses steps of the progress, and nothing else.
        let _ = to.try_send(Found::Progress { done: points, total: of });
        !to.is_closed()
    };
    let control = GenerateControl { progress: &mut progress, budget: None };
    let found = generator.generate_with(&decoded.frame()?, control)?;
    let count = found.masks.len();
    for mask in found.masks {
        if to.blocking_send(Found::Mask(convert(&mask, image.size)?)).is_err() {
            return Ok(());
        }
    }
    let _ = to.blocking_send(Found::Done(count));
    Ok(())
}

//! From points to masks, crop by crop.

use super::grid::{Crop, crops, point_grid};
use super::nms::nms;
use super::{AutomaticMask, AutomaticMaskGeneratorOptions, AutomaticMasks, Progress, Until};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::image_predictor::{ImagePredictor, ImagePredictorOptions, PredictOptions, PredictionBuffers};
use crate::model_handle::Model;
use crate::prompt::Prompt;
use crate::rle::Rle;
use crate::video::copy;
use crate::worker::Found;
use std::time::Instant;

/// A crop's edge and a box's are near each other within so many pixels.
const NEAR: i64 = 20;
/// The most points of a layer, and the most layers.
const MOST_POINTS: usize = 1 << 20;
const MOST_LAYERS: usize = 6;

/// Finds everything in a picture.
pub struct AutomaticMaskGenerator {
    predictor: ImagePredictor,
    options: AutomaticMaskGeneratorOptions,
    /// Of each layer.
    grids: Vec<Vec<[f64; 2]>>,
}

/// A mask in its crop.
struct Candidate {
    rle: Rle,
    /// Left, top, right, bottom in the picture.
    bounds: [f32; 4],
    point: [f32; 2],
    iou: f32,
    stability: f32,
    crop: Crop,
}

impl Model {
    /// Finds everything in pictures, with a queue and scratch memory of its own. Fails on options that cannot be meant.
    pub fn automatic_mask_generator(&self, options: AutomaticMaskGeneratorOptions) -> Result<AutomaticMaskGenerator> {
        let area = options.min_mask_region_area as f32;
        let mending = ImagePredictorOptions { max_hole_area: area, max_sprinkle_area: area, ..Default::default() };
        let grids = grids(&options)?;
        Ok(AutomaticMaskGenerator { predictor: self.image_predictor(mending)?, options, grids })
    }
}

/// The points of each layer.
fn grids(o: &AutomaticMaskGeneratorOptions) -> Result<Vec<Vec<[f64; 2]>>> {
    let wrong = |what: String| Err(Error::input(format!("automatic masks: {what}")));
    for (name, v) in [
        ("pred_iou_thresh", o.pred_iou_thresh),
        ("stability_score_thresh", o.stability_score_thresh),
        ("stability_score_offset", o.stability_score_offset),
        ("mask_threshold", o.mask_threshold),
        ("box_nms_thresh", o.box_nms_thresh),
        ("crop_nms_thresh", o.crop_nms_thresh),
        ("crop_overlap_ratio", o.crop_overlap_ratio as f32),
    ] {
        if !v.is_finite() {
            return wrong(format!("{name} is {v}"));
        }
    }
    if !(0.0..1.0).contains(&o.crop_overlap_ratio) {
        return wrong(format!("crop_overlap_ratio is {}, not in 0..1", o.crop_overlap_ratio));
    }
    if o.points_per_batch == 0 || o.crop_n_points_downscale_factor == 0 || o.crop_n_layers > MOST_LAYERS {
        let what = "points_per_batch and crop_n_points_downscale_factor are at least 1, crop_n_layers at most";
        return wrong(format!("{what} {MOST_LAYERS}"));
    }
    let grids = match &o.point_grids {
        Some(grids) => grids.clone(),
        None => {
            let side = |layer: u32| {
                let factor = o.crop_n_points_downscale_factor.checked_pow(layer);
                factor.map_or(0, |factor| o.points_per_side / factor)
            };
            let sides: Vec<usize> = (0..=o.crop_n_layers as u32).map(side).collect();
            if sides.iter().any(|&n| n == 0 || n * n > MOST_POINTS) {
                return wrong(format!("{sides:?} points per side of the layers; each has 1 to 1024"));
            }
            sides.into_iter().map(point_grid).collect()
        }
    };
    if grids.len() <= o.crop_n_layers {
        return wrong(format!("point_grids for {} layers, there are {}", grids.len(), o.crop_n_layers + 1));
    }
    let inside = |p: &[f64; 2]| p.iter().all(|v| (0.0..=1.0).contains(v));
    if grids.iter().any(|grid| grid.is_empty() || grid.len() > MOST_POINTS || !grid.iter().all(inside)) {
        return wrong(format!("point_grids have 1 to {MOST_POINTS} points in 0..1"));
    }
    Ok(grids)
}

impl AutomaticMaskGenerator {
    /// Everything in a picture.
    pub fn generate(&mut self, image: &Frame<'_>) -> Result<Vec<AutomaticMask>> {
        let found = self.generate_until(image, Until { progress: &mut |_| true, budget: None })?;
        Ok(found.masks)
    }

    /// As [`AutomaticMaskGenerator::generate`]; stops before the end when told to, with the best of what was found so far.
    pub fn generate_until(&mut self, image: &Frame<'_>, until: Until<'_>) -> Result<AutomaticMasks> {
        let (height, width, start) = (image.height(), image.width(), Instant::now());
        // Where pixels share their chroma, crops are of a copy in red, green and blue.
        let copied = match image.format().yuv() {
            Some(_) if self.options.crop_n_layers > 0 => copy(image)?,
            _ => None,
        };
        let image = &copied.as_ref().map_or(Ok(*image), |picture| picture.frame())?;
        let all = crops(height, width, self.options.crop_n_layers, self.options.crop_overlap_ratio);
        let of = all.iter().map(|crop| self.grids[crop.layer].len()).sum();
        let (mut progress, mut complete) = (Progress { points: 0, of, masks: 0 }, true);
        let mut found: Vec<Candidate> = Vec::new();
        for crop in &all {
            let cropped = image.cropped(crop.bounds)?;
            self.predictor.set_image(&cropped)?;
            let scale = [crop.width() as f64, crop.height() as f64];
            let points: Vec<[f32; 2]> =
                self.grids[crop.layer].iter().map(|p| [0, 1].map(|i| (p[i] * scale[i]) as f32)).collect();
            let mut here = Vec::new();
            for batch in points.chunks(self.options.points_per_batch) {
                self.look(batch, crop, (height, width), &mut here)?;
                (progress.points, progress.masks) = (progress.points + batch.len(), found.len() + here.len());
                let late = until.budget.is_some_and(|budget| start.elapsed() >= budget) && progress.points < of;
                if !(until.progress)(progress) || late {
                    complete = progress.points == of;
                    break;
                }
            }
            let (boxes, scores): (Vec<_>, Vec<_>) = here.iter().map(|c| (c.bounds, c.iou)).unzip();
            found.extend(chosen(here, &nms(&boxes, &scores, self.options.box_nms_thresh)));
            if !complete {
                break;
            }
        }
        if all.len() > 1 {
            let area = |c: &Candidate| (c.crop.width() * c.crop.height()) as f32;
            let (boxes, scores): (Vec<_>, Vec<_>) = found.iter().map(|c| (c.bounds, 1.0 / area(c))).unzip();
            let kept = nms(&boxes, &scores, self.options.crop_nms_thresh);
            found = chosen(found, &kept);
        }
        self.predictor.reset_predictor();
        Ok(AutomaticMasks { masks: found.into_iter().map(record).collect(), complete })
    }

    /// Looks at some points of a crop; what passes every threshold goes to `out`.
    fn look(
        &mut self,
        points: &[[f32; 2]],
        crop: &Crop,
        (height, width): (usize, usize),
        out: &mut Vec<Candidate>,
    ) -> Result<()> {
        let o = self.options.clone();
        let prompts: Vec<Prompt<'_>> = points.iter().map(|p| Prompt::new().point(p[0], p[1], 1)).collect();
        let mut places: Vec<[f32; 2]> = points.to_vec();
        let stability = |f: &Found| f.measures[1] as f32 / f.measures[2] as f32;
        let mut keep = |f: &Found| {
            // Not a number is not stable.
            (o.stability_score_thresh <= 0.0 || stability(f) >= o.stability_score_thresh)
                && !near_edge(f, crop, (height, width))
        };
        let [left, top, ..] = crop.bounds;
        let mut take = |places: &[[f32; 2]], f: &Found, bits: &[u8]| {
            let [x0, y0, x1, y1] = [3, 4, 5, 6].map(|i| f.measures[i]);
            let offset = [left as f32, top as f32];
            let p = places[f.prompt];
            out.push(Candidate {
                rle: Rle::from_bits(bits, (crop.height(), crop.width()), (left, top), (height, width)),
                bounds: [x0 + left as i32, y0 + top as i32, x1 + left as i32, y1 + top as i32].map(|v| v as f32),
                point: [p[0] + offset[0], p[1] + offset[1]],
                iou: f.iou,
                stability: stability(f),
                crop: *crop,
            });
            Ok(())
        };
        let thresholds = (o.mask_threshold, o.stability_score_offset);
        let least = (o.pred_iou_thresh > 0.0).then_some(o.pred_iou_thresh);
        if !o.use_m2m {
            let take = &mut |f: &Found, bits: &[u8]| take(&places, f, bits);
            return self.predictor.survey(
                &prompts,
                o.multimask_output,
                thresholds,
                least,
                o.points_per_batch,
                &mut keep,
                take,
            );
        }
        // Every mask once more, from its point and itself.
        let (n, side) = (if o.multimask_output { 3 } else { 1 }, self.predictor.mask_side());
        let count = prompts.len() * n;
        let mut low = crate::error::try_zeros::<f32>(count * side * side, "low-resolution masks")?;
        let options = PredictOptions { multimask_output: o.multimask_output, ..Default::default() };
        let buffers = PredictionBuffers {
            masks: None,
            iou_predictions: &mut vec![0.0; count],
            low_res_masks: Some(&mut low),
            object_score_logits: None,
        };
        self.predictor.predict_into(&prompts, options, buffers)?;
        places = (0..count).map(|i| points[i / n]).collect();
        let again = places.iter().zip(low.chunks(side * side));
        let prompts: Vec<Prompt<'_>> = again.map(|(p, m)| Prompt::new().point(p[0], p[1], 1).mask_input(m)).collect();
        let take = &mut |f: &Found, bits: &[u8]| take(&places, f, bits);
        self.predictor.survey(&prompts, false, thresholds, least, o.points_per_batch, &mut keep, take)
    }
}

/// Whether a mask ends where its crop does, but not the picture: there is more of it.
fn near_edge(found: &Found, crop: &Crop, (height, width): (usize, usize)) -> bool {
    let [left, top, right, bottom] = crop.bounds.map(|v| v as i64);
    let sides = [left, top, right, bottom].into_iter().zip([0, 0, width as i64, height as i64]);
    let bounds = [3, 4, 5, 6].map(|i| i64::from(found.measures[i]));
    let bounds = [bounds[0] + left, bounds[1] + top, bounds[2] + left, bounds[3] + top];
    let near = |a: i64, b: i64| (a - b).abs() <= NEAR;
    bounds.into_iter().zip(sides).any(|(at, (crop, picture))| near(at, crop) && !near(at, picture))
}

/// Some of many, in the order given.
fn chosen(all: Vec<Candidate>, which: &[usize]) -> Vec<Candidate> {
    let mut all: Vec<Option<Candidate>> = all.into_iter().map(Some).collect();
    which.iter().filter_map(|&i| all[i].take()).collect()
}

fn record(c: Candidate) -> AutomaticMask {
    let [x0, y0, x1, y1] = c.bounds;
    let [left, top, ..] = c.crop.bounds;
    AutomaticMask {
        area: c.rle.area(),
        segmentation: c.rle,
        bbox: [x0, y0, x1 - x0, y1 - y0],
        predicted_iou: c.iou,
        point_coords: c.point,
        stability_score: c.stability,
        crop_box: [left, top, c.crop.width(), c.crop.height()].map(|v| v as f32),
    }
}

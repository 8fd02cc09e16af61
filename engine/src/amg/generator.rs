//! The generator of automatic masks: from points to masks, crop by crop.

use super::grid::{Crop, crops, point_grid};
use super::masks::{AutomaticMask, AutomaticMasks, GenerateControl, Progress};
use super::nms::nms;
use super::options::{AutomaticMaskGeneratorOptions, MAX_GRID_POINTS};
use crate::error::{Error, Result};
use crate::image::prediction::{ImagePredictorOptions, PredictOptions, PredictionBuffers};
use crate::image::predictor::ImagePredictor;
use crate::image::worker::CandidateMask;
use crate::masks::rle::Rle;
use crate::media::frame::Frame;
use crate::media::size::Size;
use crate::memory::try_zeros;
use crate::session::prompt::Prompt;
use crate::video::copy;
use std::fmt;
use std::time::Instant;

/// An edge of a box is near an edge of a crop if the distance is at most this number of pixels.
const NEAR: u32 = 20;
/// The largest number of layers of crops.
const MOST_LAYERS: usize = 6;

/// Generates masks of all objects in an image.
pub struct AutomaticMaskGenerator {
    pub(super) predictor: ImagePredictor,
    options: AutomaticMaskGeneratorOptions,
    /// The grid of points of each layer.
    grids: Vec<Vec<[f64; 2]>>,
}

impl fmt::Debug for AutomaticMaskGenerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AutomaticMaskGenerator").field("options", &self.options).finish_non_exhaustive()
    }
}

/// A mask that was found in a crop.
struct Candidate {
    rle: Rle,
    /// Left, top, right and bottom in the image.
    bounds: [f32; 4],
    point: [f32; 2],
    iou: f32,
    stability: f32,
    crop: Crop,
}

/// Returns the points of each layer.
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
    let grids = match (o.points_per_side, &o.point_grids) {
        (None, Some(grids)) => grids.clone(),
        (Some(points_per_side), None) => {
            let side = |layer: u32| {
                let factor = o.crop_n_points_downscale_factor.checked_pow(layer);
                factor.map_or(0, |factor| points_per_side / factor)
            };
            let sides: Vec<usize> = (0..=o.crop_n_layers as u32).map(side).collect();
            if sides.iter().any(|&n| !(1..=1024).contains(&n)) {
                return wrong(format!("{sides:?} points per side of the layers; each has 1 to 1024"));
            }
            sides.into_iter().map(point_grid).collect()
        }
        _ => return wrong("exactly one of points_per_side and point_grids is given".into()),
    };
    let layers = o.crop_n_layers + 1;
    if grids.len() != layers {
        return wrong(format!("{} point_grids; the picture and its layers of crops take {layers}", grids.len()));
    }
    for (layer, grid) in grids.iter().enumerate() {
        if !(1..=MAX_GRID_POINTS).contains(&grid.len()) {
            return wrong(format!("{} points in point grid {layer}; it has 1 to {MAX_GRID_POINTS}", grid.len()));
        }
        if let Some(p) = grid.iter().find(|p| !p.iter().all(|v| (0.0..=1.0).contains(v))) {
            return wrong(format!("point grid {layer} has {p:?}, which is not in 0..1"));
        }
    }
    Ok(grids)
}

impl AutomaticMaskGenerator {
    /// Creates a generator. `predictor` creates its image predictor. Fails if an option is out of its range.
    pub(crate) fn new(
        options: AutomaticMaskGeneratorOptions,
        predictor: impl FnOnce(ImagePredictorOptions) -> Result<ImagePredictor>,
    ) -> Result<AutomaticMaskGenerator> {
        let area = options.min_mask_region_area as f32;
        let predictor_options =
            ImagePredictorOptions { max_hole_area: area, max_sprinkle_area: area, ..Default::default() };
        let grids = grids(&options)?;
        Ok(AutomaticMaskGenerator { predictor: predictor(predictor_options)?, options, grids })
    }

    /// Generates the masks of all objects in an image.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if a float pixel is not finite or is far from 0..=1. [`Error::OutOfMemory`] if memory is
    /// exhausted. [`Error::Device`] if the device fails.
    pub fn generate(&mut self, image: &Frame<'_>) -> Result<Vec<AutomaticMask>> {
        let found = self.generate_with(image, GenerateControl { progress: &mut |_| true, budget: None })?;
        Ok(found.masks)
    }

    /// Generates masks as [`AutomaticMaskGenerator::generate`] does. The search can stop early, as `control` says. The
    /// result then has the best masks so far.
    ///
    /// # Errors
    ///
    /// As [`AutomaticMaskGenerator::generate`].
    pub fn generate_with(&mut self, image: &Frame<'_>, control: GenerateControl<'_>) -> Result<AutomaticMasks> {
        let start = Instant::now();
        // Where pixels share their chroma, crops are of a copy in red, green and blue.
        let copied = match image.format().yuv() {
            Some(_) if self.options.crop_n_layers > 0 => copy(image)?,
            _ => None,
        };
        let image = &copied.as_ref().map_or(Ok(*image), |picture| picture.frame())?;
        self.predictor.set_image(image)?;
        self.search(image, control, start, &mut |_| ())
    }

    /// Generates the masks of an encoded image, for a call that began at `start`. `after` is called once the features
    /// of the image are no longer needed.
    pub(super) fn search(
        &mut self,
        image: &Frame<'_>,
        control: GenerateControl<'_>,
        start: Instant,
        after: &mut dyn FnMut(&mut ImagePredictor),
    ) -> Result<AutomaticMasks> {
        let size = image.size();
        let all = crops(size, self.options.crop_n_layers, self.options.crop_overlap_ratio);
        let of = all.iter().map(|crop| self.grids[crop.layer].len()).sum();
        let (mut progress, mut complete) = (Progress { points: 0, of, masks: 0 }, true);
        let mut found: Vec<Candidate> = Vec::new();
        for (i, crop) in all.iter().enumerate() {
            let scale = [crop.width() as f64, crop.height() as f64];
            let points: Vec<[f32; 2]> =
                self.grids[crop.layer].iter().map(|p| [0, 1].map(|i| (p[i] * scale[i]) as f32)).collect();
            let mut here = Vec::new();
            for batch in points.chunks(self.options.points_per_batch) {
                self.look(batch, crop, size, &mut here)?;
                (progress.points, progress.masks) = (progress.points + batch.len(), found.len() + here.len());
                let late = control.budget.is_some_and(|budget| start.elapsed() >= budget) && progress.points < of;
                if !(control.progress)(progress) || late {
                    complete = progress.points == of;
                    break;
                }
            }
            // What a device can do meanwhile comes before what the host does.
            match all.get(i + 1).filter(|_| complete) {
                Some(next) => self.predictor.set_image(&image.cropped(next.bounds)?)?,
                None => after(&mut self.predictor),
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
        Ok(AutomaticMasks { masks: found.into_iter().map(record).collect(), complete })
    }

    /// Decodes some points of a crop. Masks that pass every threshold are added to `out`.
    fn look(&mut self, points: &[[f32; 2]], crop: &Crop, size: Size, out: &mut Vec<Candidate>) -> Result<()> {
        let AutomaticMaskGenerator { predictor, options: o, .. } = self;
        let click = |p: &[f32; 2]| Prompt::new().point(p[0], p[1], 1);
        let mut prompts: Vec<Prompt<'_>> = points.iter().map(click).collect();
        // Masks of each prompt, and prompts of each point.
        let (mut multimask, mut per_point) = (o.multimask_output, 1);
        let low;
        if o.use_m2m {
            // Every mask once more, from its point and itself.
            low = low_res_masks(predictor, &prompts, multimask)?;
            per_point = if multimask { 3 } else { 1 };
            let masks = low.chunks(predictor.mask_side() * predictor.mask_side());
            prompts = masks.enumerate().map(|(i, m)| click(&points[i / per_point]).mask_input(m)).collect();
            multimask = false;
        }
        let mut keep = |f: &CandidateMask| {
            // Not a number is not stable.
            (o.stability_score_thresh <= 0.0 || f.measured.stability >= o.stability_score_thresh)
                && !near_edge(crop.in_picture(f.measured.extent.bounds), crop, size)
        };
        let [left, top, ..] = crop.bounds;
        let mut take = |f: &CandidateMask, bits: &[u8]| {
            let [x, y] = points[f.prompt / per_point];
            out.push(Candidate {
                rle: Rle::from_bits(bits, Size::new(crop.width(), crop.height()), (left, top), size)?,
                bounds: crop.in_picture(f.measured.extent.bounds).map(|v| v as f32),
                point: [x + left as f32, y + top as f32],
                iou: f.iou,
                stability: f.measured.stability,
                crop: *crop,
            });
            Ok(())
        };
        let thresholds = (o.mask_threshold, o.stability_score_offset);
        let least = (o.pred_iou_thresh > 0.0).then_some(o.pred_iou_thresh);
        predictor.filter_masks(&prompts, multimask, thresholds, least, o.points_per_batch, &mut keep, &mut take)
    }
}

/// Returns the low-resolution masks of prompts on the current image.
fn low_res_masks(predictor: &mut ImagePredictor, prompts: &[Prompt<'_>], multimask_output: bool) -> Result<Vec<f32>> {
    let count = prompts.len() * if multimask_output { 3 } else { 1 };
    let pixels = predictor.mask_side() * predictor.mask_side();
    let (mut low, mut iou) = (try_zeros::<f32>(count * pixels, "low-resolution masks")?, vec![0.0; count]);
    let options = PredictOptions { multimask_output, ..Default::default() };
    let buffers = PredictionBuffers {
        masks: None,
        iou_predictions: &mut iou,
        low_res_masks: Some(&mut low),
        object_score_logits: None,
    };
    predictor.predict_into(prompts, options, buffers)?;
    Ok(low)
}

/// Returns whether an edge of a mask is near an edge of its crop, and not near the edge of the image. Such a mask is
/// cut off by the crop. `bounds` are in the image.
fn near_edge(bounds: [i32; 4], crop: &Crop, size: Size) -> bool {
    let edges = crop.bounds.into_iter().zip([0, 0, size.width, size.height]);
    let near = |at: i32, edge: usize| at.abs_diff(edge as i32) <= NEAR;
    bounds.into_iter().zip(edges).any(|(at, (crop, picture))| near(at, crop) && !near(at, picture))
}

/// Returns the candidates with the indices `which`, in this order.
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

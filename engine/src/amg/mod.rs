//! Everything in a picture: `SAM2AutomaticMaskGenerator`.

mod batch;
mod generator;
mod grid;
mod nms;

use crate::rle::Rle;
use std::time::Duration;

pub use batch::AutomaticMaskBatch;
pub use generator::AutomaticMaskGenerator;

/// The most points of one grid.
pub const MAX_GRID_POINTS: usize = 1 << 20;

/// What to look for; names and defaults are the reference's.
#[derive(Clone, Debug, PartialEq)]
pub struct AutomaticMaskGeneratorOptions {
    /// Points along each side of the picture, 1 to 1024; none where there are `point_grids`.
    pub points_per_side: Option<usize>,
    /// Points that are decoded at once, at most: with the size of the model it bounds memory.
    pub points_per_batch: usize,
    /// Masks whose predicted IoU is not above it are dropped; 0: none are.
    pub pred_iou_thresh: f32,
    /// Masks whose stability is below it are dropped; 0: none are.
    pub stability_score_thresh: f32,
    /// Stability is pixels with logits above `mask_threshold` + this / pixels above `mask_threshold` - this.
    pub stability_score_offset: f32,
    /// Logits above it are on the object.
    pub mask_threshold: f32,
    /// Of two masks of a crop whose boxes overlap by more than this (intersection over union), the better stays.
    pub box_nms_thresh: f32,
    /// Layers of crops beside the whole picture; layer i has 4^i crops.
    pub crop_n_layers: usize,
    /// As `box_nms_thresh`, of masks of different crops, of which those of smaller crops are better.
    pub crop_nms_thresh: f32,
    /// How much of the shorter side crops of the first layer overlap by.
    pub crop_overlap_ratio: f64,
    /// Each layer has so many times fewer points per side than the one before.
    pub crop_n_points_downscale_factor: usize,
    /// Instead of `points_per_side`, the points of the picture and of each layer of crops: x and y in 0..=1 of a crop, 1 to
    /// [`MAX_GRID_POINTS`] in each list.
    pub point_grids: Option<Vec<Vec<[f64; 2]>>>,
    /// Holes and specks of up to so many pixels of the low-resolution mask are mended.
    pub min_mask_region_area: usize,
    /// Every mask is found a second time, from its point and itself.
    pub use_m2m: bool,
    /// Three masks for each point instead of one.
    pub multimask_output: bool,
}

impl Default for AutomaticMaskGeneratorOptions {
    fn default() -> Self {
        AutomaticMaskGeneratorOptions {
            points_per_side: Some(32),
            points_per_batch: 64,
            pred_iou_thresh: 0.8,
            stability_score_thresh: 0.95,
            stability_score_offset: 1.0,
            mask_threshold: 0.0,
            box_nms_thresh: 0.7,
            crop_n_layers: 0,
            crop_nms_thresh: 0.7,
            crop_overlap_ratio: 512.0 / 1500.0,
            crop_n_points_downscale_factor: 1,
            point_grids: None,
            min_mask_region_area: 0,
            use_m2m: false,
            multimask_output: true,
        }
    }
}

/// A mask that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct AutomaticMask {
    /// Of the picture's size. The reference's output modes are [`Rle::decode`] (`binary_mask`), [`Rle::counts`]
    /// (`uncompressed_rle`) and [`Rle::to_coco`] (`coco_rle`).
    pub segmentation: Rle,
    /// Pixels.
    pub area: u64,
    /// Left, top, width and height of the outermost pixels, from the first to the last: a mask of one pixel is 0 wide.
    pub bbox: [f32; 4],
    /// How well the model thinks it fits, about 0..=1.
    pub predicted_iou: f32,
    /// The point that found it, in pixels of the picture.
    pub point_coords: [f32; 2],
    /// How little it hangs by the threshold, 0..=1; not a number where nothing is near it.
    pub stability_score: f32,
    /// Left, top, width and height of the crop that it was found in.
    pub crop_box: [f32; 4],
}

/// How far a search is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Points that were looked at.
    pub points: usize,
    /// Points in all.
    pub of: usize,
    /// Masks that were found so far, before those of the same thing are dropped.
    pub masks: usize,
}

/// When to stop before everything was looked at.
pub struct Until<'a> {
    /// Is told after every batch of points, and says whether to go on.
    pub progress: &'a mut dyn FnMut(Progress) -> bool,
    /// How long the call may take, with encoding; one batch of points is looked at in any case. None: to the end.
    pub budget: Option<Duration>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AutomaticMasks {
    /// Best first.
    pub masks: Vec<AutomaticMask>,
    /// Everything was looked at.
    pub complete: bool,
}

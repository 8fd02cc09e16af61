//! The options of a generator of automatic masks.

/// The largest number of points of one grid.
pub const MAX_GRID_POINTS: usize = 1 << 20;

/// The options of a generator. Their names and defaults are those of the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct AutomaticMaskGeneratorOptions {
    /// The number of points along each side of the image, 1 to 1024. It is `None` if `point_grids` is given.
    pub points_per_side: Option<usize>,
    /// The largest number of points that are decoded at once. Together with the size of the model, it limits the
    /// memory.
    pub points_per_batch: usize,
    /// A mask is dropped unless its predicted IoU is above this value. With 0, no mask is dropped.
    pub pred_iou_thresh: f32,
    /// A mask is dropped if its stability is below this value. With 0, no mask is dropped.
    pub stability_score_thresh: f32,
    /// Stability is a quotient of two numbers of pixels. The dividend counts logits above `mask_threshold` plus this
    /// value. The divisor counts logits above `mask_threshold` minus this value.
    pub stability_score_offset: f32,
    /// A pixel whose logit is above this value is on the object.
    pub mask_threshold: f32,
    /// The largest overlap (intersection over union) of the boxes of two masks of a crop. If two masks overlap more,
    /// only the better mask is kept.
    pub box_nms_thresh: f32,
    /// The number of layers of crops in addition to the whole image. Layer i has 4^i crops.
    pub crop_n_layers: usize,
    /// The same as `box_nms_thresh` for masks of different crops. The mask of the smaller crop is the better one.
    pub crop_nms_thresh: f32,
    /// The overlap of the crops of the first layer, as a fraction of the shorter side of the image.
    pub crop_overlap_ratio: f64,
    /// The number of points per side of a layer is that of the previous layer, divided by this factor.
    pub crop_n_points_downscale_factor: usize,
    /// The points of the image and of each layer of crops, instead of `points_per_side`. x and y are in 0..=1 of a
    /// crop. Each list has 1 to [`MAX_GRID_POINTS`] points.
    pub point_grids: Option<Vec<Vec<[f64; 2]>>>,
    /// Holes are filled, and specks are removed, if they have at most this number of pixels of the low-resolution mask.
    pub min_mask_region_area: usize,
    /// Whether every mask is predicted a second time, from its point and the first mask.
    pub use_m2m: bool,
    /// Whether each point has three masks instead of one.
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

//! Automatic masks, and the progress of a search for them.

use crate::masks::rle::Rle;
use std::fmt;
use std::time::Duration;

/// A mask that a generator found.
#[derive(Clone, Debug, PartialEq)]
pub struct AutomaticMask {
    /// The mask in the size of the image. The output modes of the reference are [`Rle::decode`] (`binary_mask`),
    /// [`Rle::counts`] (`uncompressed_rle`) and [`Rle::to_coco`] (`coco_rle`).
    pub segmentation: Rle,
    /// The number of pixels of the mask.
    pub area: u64,
    /// Left, top, width and height of the outermost pixels, from the first to the last. A mask of one pixel has width
    /// 0.
    pub bbox: [f32; 4],
    /// The IoU that the model predicts, about 0..=1.
    pub predicted_iou: f32,
    /// The point of the mask, in pixels of the image.
    pub point_coords: [f32; 2],
    /// The stability score of the mask, 0..=1: the IoU of the mask at two thresholds. The score is not a number if no
    /// pixel is above the lower threshold.
    pub stability_score: f32,
    /// Left, top, width and height of the crop in which the mask was found.
    pub crop_box: [f32; 4],
}

/// The progress of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The number of points whose masks were predicted.
    pub points: usize,
    /// The number of all points of the search.
    pub of: usize,
    /// The number of masks that were found, before duplicates are dropped.
    pub masks: usize,
}

/// Conditions under which a search stops early.
pub struct GenerateControl<'a> {
    /// Gets the progress after every batch of points, and returns whether to continue.
    pub progress: &'a mut dyn FnMut(Progress) -> bool,
    /// The time that the call may take, including encoding. The search decodes at least one batch of points. `None`
    /// means no limit.
    pub budget: Option<Duration>,
}

impl fmt::Debug for GenerateControl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GenerateControl").field("budget", &self.budget).finish_non_exhaustive()
    }
}

/// The masks that a search found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AutomaticMasks {
    /// The masks, the best one first.
    pub masks: Vec<AutomaticMask>,
    /// Whether the search reached its end.
    pub complete: bool,
}

//! Prompts: points, boxes and masks.

use crate::error::{Error, Result};
use crate::media::resample::Triangle;
use crate::media::size::Size;
use crate::memory::try_zeros;

/// The largest number of points of one prompt.
pub const MAX_POINTS: usize = 1000;

/// A point of a prompt, usually a click.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The horizontal position in pixels of the image, or in 0..1 without `normalize_coords`. The point may be outside
    /// the image.
    pub x: f32,
    /// The vertical position, in the same unit as `x`.
    pub y: f32,
    /// 1: on the object. 0: not on the object. 2 and 3: the top left and bottom right corner of a box. -1: ignored.
    pub label: i32,
}

/// A prompt for one object: points, a box, a mask, or several of these together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prompt<'a> {
    /// The points, at most [`MAX_POINTS`].
    pub points: Vec<Point>,
    /// Whether a prompt without points and without a box has the padding token of the prompt encoder. The reference
    /// does so for `point_coords` of shape (0, 2). By default the prompt has no padding token, as for
    /// `point_coords=None`.
    pub pad_points: bool,
    /// The box: left, top, right and bottom in pixels of the image, or in 0..1 without `normalize_coords`.
    pub bounds: Option<[f32; 4]>,
    /// The logits of an earlier, similar mask, `(mask_side, mask_side)`, as in `low_res_masks` of a prediction.
    pub mask_input: Option<&'a [f32]>,
}

impl<'a> Prompt<'a> {
    /// Creates a prompt without points, box or mask.
    #[must_use]
    pub fn new() -> Self {
        Prompt::default()
    }

    /// Adds a point. Label 1 is on the object, and label 0 is not.
    #[must_use]
    pub fn point(mut self, x: f32, y: f32, label: i32) -> Self {
        self.points.push(Point { x, y, label });
        self
    }

    /// Sets the box: left, top, right and bottom.
    #[must_use]
    pub fn bounds(mut self, bounds: [f32; 4]) -> Self {
        self.bounds = Some(bounds);
        self
    }

    /// Sets the mask input: logits, `(mask_side, mask_side)`.
    #[must_use]
    pub fn mask_input(mut self, logits: &'a [f32]) -> Self {
        self.mask_input = Some(logits);
        self
    }

    /// Returns the number of points that the prompt encoder gets. A box has two points. If there are any points, a
    /// padding point follows.
    pub(crate) fn sparse_len(&self) -> usize {
        let n = self.points.len() + 2 * self.bounds.is_some() as usize;
        if n == 0 && !self.pad_points { 0 } else { n + 1 }
    }

    /// Fails if the prompt is out of its range. `extent` is the width and height of the image in the units of the
    /// coordinates.
    pub(crate) fn check(&self, extent: [f32; 2], mask_side: usize) -> Result<()> {
        if self.points.len() > MAX_POINTS {
            return Err(Error::input(format!("{} points in one prompt, at most {MAX_POINTS}", self.points.len())));
        }
        for p in &self.points {
            if !p.x.is_finite() || !p.y.is_finite() {
                return Err(Error::input(format!("point ({}, {}): coordinates must be finite numbers", p.x, p.y)));
            }
            if !(-1..=3).contains(&p.label) {
                let what = "1 is on the object, 0 is not (2 and 3 are corners of a box, -1 is ignored)";
                return Err(Error::input(format!("point ({}, {}): no label {}; {what}", p.x, p.y, p.label)));
            }
        }
        if let Some(b @ [x0, y0, x1, y1]) = self.bounds {
            let fail = |what: String| Err(Error::input(format!("box {b:?}: {what}")));
            if b.iter().any(|v| !v.is_finite()) {
                return fail("coordinates must be finite numbers".into());
            }
            if x1 < x0 || y1 < y0 {
                return fail("expected left, top, right, bottom".into());
            }
            if x1 < 0.0 || y1 < 0.0 || x0 > extent[0] || y0 > extent[1] {
                return fail(format!("wholly outside the image of {} by {}", extent[0], extent[1]));
            }
        }
        if let Some(mask) = self.mask_input {
            if mask.len() != mask_side * mask_side {
                let what = format!("{} values, the model takes {mask_side}x{mask_side}", mask.len());
                return Err(Error::input(format!("mask input: {what} logits, as low_res_masks has them")));
            }
            if mask.iter().any(|v| !v.is_finite()) {
                return Err(Error::input("mask input: logits must be finite numbers"));
            }
            if is_binary(mask) {
                let what = "a binary mask, not logits; give it as a mask, or as the output of mask_logits";
                return Err(Error::input(format!("mask input: {what}")));
            }
        }
        Ok(())
    }
}

/// Returns whether values are those of a binary mask that is not empty: 0 and 1, or 0 and 255.
fn is_binary(values: &[f32]) -> bool {
    let of = |on: f32| values.iter().all(|&v| v == 0.0 || v == on) && values.contains(&on);
    of(1.0) || of(255.0)
}

/// The largest number of bytes of a list of prompts as JSON.
const MAX_JSON: usize = 16 << 20;

/// A prompt in JSON.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    points: Option<Vec<[f32; 2]>>,
    labels: Option<Vec<i32>>,
    #[serde(rename = "box")]
    bounds: Option<[f32; 4]>,
}

/// Reads prompts from JSON: `[{"points": [[x, y], ...], "labels": [1, ...], "box": [x0, y0, x1, y1]}, ...]`. Each key
/// may be left out. Without labels, all labels are 1. An empty list of points corresponds to `point_coords` of shape
/// (0, 2) in the reference: see [`Prompt::pad_points`].
///
/// # Errors
///
/// [`Error::Input`] if the text is not such a list.
pub fn parse_prompts(json: &str) -> Result<Vec<Prompt<'static>>> {
    let wrong = |what: String| Err(Error::Input(format!("prompts: {what}")));
    if json.len() > MAX_JSON {
        return wrong(format!("{} bytes long, at most {MAX_JSON} are read", json.len()));
    }
    let list: Vec<Written> = match serde_json::from_str(json) {
        Ok(list) => list,
        Err(e) => return wrong(format!("expected a list of objects with points, labels and box: {e}")),
    };
    let mut prompts = Vec::new();
    for (i, Written { points, labels, bounds }) in list.into_iter().enumerate() {
        if points.is_none() && bounds.is_none() {
            return wrong(format!("number {i} says nothing: give points or a box"));
        }
        let pad_points = points.is_some();
        let points = points.unwrap_or_default();
        let labels = labels.unwrap_or_else(|| vec![1; points.len()]);
        if labels.len() != points.len() {
            return wrong(format!("number {i} has {} points and {} labels", points.len(), labels.len()));
        }
        let points = points.iter().zip(labels).map(|(&[x, y], label)| Point { x, y, label }).collect();
        prompts.push(Prompt { points, pad_points, bounds, mask_input: None });
    }
    if prompts.is_empty() { wrong("the list is empty".into()) } else { Ok(prompts) }
}

/// Converts a binary mask (height, width) to logits for a mask input: 10 on the object, -10 elsewhere. The logits are
/// resized to (side, side) with a filter that widens when shrinking.
///
/// # Errors
///
/// [`Error::Input`] if the mask is empty or of another size. [`Error::OutOfMemory`] if memory is exhausted.
pub fn mask_logits(mask: &[u8], size: Size, side: usize) -> Result<Vec<f32>> {
    if mask.is_empty() || size.pixels() != mask.len() {
        return Err(Error::input(format!("a mask of {} values for {size} pixels", mask.len())));
    }
    resize_mask(size, side, |i| if mask[i] != 0 { 10.0 } else { -10.0 })
}

/// Resizes the values (height, width) of a mask to (side, side) with a triangle filter that widens when shrinking.
pub(crate) fn resize_mask(size: Size, side: usize, value: impl Fn(usize) -> f32) -> Result<Vec<f32>> {
    let Size { width, height } = size;
    let mut out = try_zeros::<f32>(side * side, "a mask input")?;
    let mut row = try_zeros::<f32>(width, "a mask input")?;
    for y in 0..side {
        let taps = Triangle::new(y, height, side);
        row.fill(0.0);
        for j in 0..taps.count {
            for (x, sum) in row.iter_mut().enumerate() {
                *sum += taps.weight(j) * value((taps.first + j) * width + x);
            }
        }
        for x in 0..side {
            let taps = Triangle::new(x, width, side);
            out[y * side + x] = (0..taps.count).map(|j| taps.weight(j) * row[taps.first + j]).sum();
        }
    }
    Ok(out)
}

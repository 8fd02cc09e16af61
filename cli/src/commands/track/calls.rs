//! API calls, from the arguments or from a file.

use crate::error::{Failure, invalid};
use crate::files;
use sam2::rle::Rle;
use sam2::{Direction, FrameMasks, Point, PointOptions, Prompt, Size, VideoPredictor, labels};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// A call of the video predictor's API.
pub enum Call {
    AddNewPointsOrBox {
        frame_idx: usize,
        obj_id: i64,
        prompt: Prompt<'static>,
        clear_old_points: bool,
        normalize_coords: bool,
    },
    AddNewMask {
        frame_idx: usize,
        obj_id: i64,
        mask: Mask,
    },
    PropagateInVideo {
        start_frame_idx: Option<usize>,
        max_frame_num_to_track: Option<usize>,
        reverse: bool,
    },
    ClearAllPromptsInFrame {
        frame_idx: usize,
        obj_id: i64,
    },
    RemoveObject {
        obj_id: i64,
    },
    ResetState,
}

/// A mask: the path of an image, or RLE.
pub enum Mask {
    /// An image, which [`labels::read_mask`] reads.
    Picture(PathBuf),
    Rle(Rle),
}

impl Mask {
    /// Reads the mask. Returns its pixels, height and width.
    fn read(&self) -> Result<(Vec<u8>, usize, usize), Failure> {
        match self {
            Mask::Picture(file) => {
                let mask = labels::read_mask(file)?;
                Ok((mask.pixels, mask.height, mask.width))
            }
            Mask::Rle(rle) => Ok((rle.decode()?, rle.height, rle.width)),
        }
    }
}

impl Call {
    /// Whether the call propagates backwards from `frame`. If so, it returns `frame` first.
    pub fn starts_again_at(&self, frame: usize) -> bool {
        matches!(*self, Call::PropagateInVideo { start_frame_idx, reverse: true, .. } if start_frame_idx == Some(frame))
    }

    /// The mask file that the call reads.
    pub fn mask_file(&self) -> Option<PathBuf> {
        match self {
            Call::AddNewMask { mask: Mask::Picture(file), .. } => Some(labels::mask_file(file)),
            _ => None,
        }
    }

    /// Makes the call. `each` receives the masks of each frame, and whether they come from propagation.
    pub fn make(
        &self,
        p: &mut VideoPredictor,
        each: &mut dyn FnMut(FrameMasks, bool) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let masks = match *self {
            Call::AddNewPointsOrBox { frame_idx, obj_id, ref prompt, clear_old_points, normalize_coords } => {
                p.add_new_points_or_box(frame_idx, obj_id, prompt, PointOptions { clear_old_points, normalize_coords })?
            }
            Call::AddNewMask { frame_idx, obj_id, ref mask } => {
                let (mask, height, width) = mask.read()?;
                p.add_new_mask(frame_idx, obj_id, &mask, Size::new(width, height))?
            }
            Call::ClearAllPromptsInFrame { frame_idx, obj_id } => p.clear_all_prompts_in_frame(frame_idx, obj_id)?,
            Call::PropagateInVideo { start_frame_idx, max_frame_num_to_track, reverse } => {
                let direction = if reverse { Direction::Backward } else { Direction::Forward };
                let mut result = Ok(());
                p.propagate_in_video(start_frame_idx, max_frame_num_to_track, direction, |masks| {
                    result = each(masks, true);
                    result.is_ok()
                })?;
                return result;
            }
            Call::RemoveObject { obj_id } => {
                p.set_show_prompts(false); // the masks that it returns are not written
                p.remove_object(obj_id)?;
                p.set_show_prompts(true);
                return Ok(());
            }
            Call::ResetState => {
                p.reset_state();
                return Ok(());
            }
        };
        each(masks, false)
    }
}

/// A call in a JSON file, under the reference's names.
#[derive(Deserialize)]
#[serde(tag = "op", content = "args", rename_all = "snake_case", deny_unknown_fields)]
enum Written {
    AddNewPointsOrBox {
        frame_idx: usize,
        obj_id: i64,
        #[serde(default)]
        points: Option<Vec<[f32; 2]>>,
        #[serde(default)]
        labels: Option<Vec<i32>>,
        #[serde(default, rename = "box")]
        bounds: Option<[f32; 4]>,
        #[serde(default = "yes")]
        clear_old_points: bool,
        #[serde(default = "yes")]
        normalize_coords: bool,
    },
    AddNewMask {
        frame_idx: usize,
        obj_id: i64,
        mask: WrittenMask,
    },
    PropagateInVideo {
        #[serde(default)]
        start_frame_idx: Option<usize>,
        #[serde(default)]
        max_frame_num_to_track: Option<usize>,
        #[serde(default)]
        reverse: bool,
    },
    ClearAllPromptsInFrame {
        frame_idx: usize,
        obj_id: i64,
    },
    RemoveObject {
        obj_id: i64,
    },
    ResetState {},
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenMask {
    Picture(PathBuf),
    Rle { size: [usize; 2], counts: Counts },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Counts {
    Coco(String),
    Runs(Vec<u32>),
}

fn yes() -> bool {
    true
}

/// Reads the calls of a file: a list of `{"op": ..., "args": {...}}`. Other keys, such as the results of a call, are
/// ignored.
pub fn read(file: &Path) -> Result<Vec<Call>, Failure> {
    #[derive(Deserialize)]
    struct Line {
        op: serde_json::Value,
        #[serde(default)]
        args: serde_json::Map<String, serde_json::Value>,
    }
    let text = files::read_text(file, files::MAX_MASKS)?;
    let lines: Vec<Line> = serde_json::from_str(&text).map_err(|e| invalid(file, e))?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let call = |(i, line): (usize, Line)| {
        let wrong = |what: String| invalid(file, format!("call {i}: {what}"));
        let written = serde_json::json!({"op": line.op, "args": line.args});
        let written: Written = serde_json::from_value(written).map_err(|e| wrong(e.to_string()))?;
        written.call(folder).map_err(wrong)
    };
    lines.into_iter().enumerate().map(call).collect()
}

impl Written {
    /// Converts the call. Paths are relative to `folder`.
    fn call(self, folder: &Path) -> Result<Call, String> {
        Ok(match self {
            Written::AddNewPointsOrBox {
                frame_idx,
                obj_id,
                points,
                labels,
                bounds,
                clear_old_points,
                normalize_coords,
            } => {
                let pad_points = points.is_some();
                let (points, labels) = (points.unwrap_or_default(), labels.unwrap_or_default());
                if points.len() != labels.len() {
                    return Err(format!("{} points with {} labels", points.len(), labels.len()));
                }
                let points = points.iter().zip(labels).map(|(&[x, y], label)| Point { x, y, label }).collect();
                let prompt = Prompt { points, pad_points, bounds, ..Prompt::default() };
                Call::AddNewPointsOrBox { frame_idx, obj_id, prompt, clear_old_points, normalize_coords }
            }
            Written::AddNewMask { frame_idx, obj_id, mask } => {
                let mask = match mask {
                    WrittenMask::Picture(file) => Mask::Picture(folder.join(file)),
                    WrittenMask::Rle { size: [height, width], counts } => Mask::Rle(
                        match counts {
                            Counts::Coco(text) => Rle::from_coco(&text, Size::new(width, height)),
                            Counts::Runs(counts) => Rle::new(counts, Size::new(width, height)),
                        }
                        .map_err(|e| e.to_string())?,
                    ),
                };
                Call::AddNewMask { frame_idx, obj_id, mask }
            }
            Written::PropagateInVideo { start_frame_idx, max_frame_num_to_track, reverse } => {
                Call::PropagateInVideo { start_frame_idx, max_frame_num_to_track, reverse }
            }
            Written::ClearAllPromptsInFrame { frame_idx, obj_id } => Call::ClearAllPromptsInFrame { frame_idx, obj_id },
            Written::RemoveObject { obj_id } => Call::RemoveObject { obj_id },
            Written::ResetState {} => Call::ResetState,
        })
    }
}

//! Annotations in JSON: COCO, YouTube-VIS and SA-V.

use super::work::Work;
use crate::problem::Problem;
use crate::tracks::Tracked;
use serde_json::{Value, json};

/// SA-V annotates every fourth frame: 6 a second of 24.
const STRIDE: usize = 4;

impl Work<'_> {
    /// The frames that have masks.
    pub(super) fn frames(&self) -> impl Iterator<Item = (usize, &[Tracked])> {
        self.tracks.frames(0, usize::MAX)
    }

    fn rle(&self, counts: &str) -> Value {
        json!({"size": [self.size.height, self.size.width], "counts": counts})
    }

    /// The mask of an object on a frame, if it has one there.
    fn mask(&self, frame: usize, object: i64) -> Option<&Tracked> {
        self.tracks.on(frame).iter().find(|mask| mask.object == object)
    }

    fn name(&self) -> String {
        self.video.and_then(|video| video.name.clone()).unwrap_or_else(|| "video".into())
    }
}

/// Left, top, width and height, as COCO writes boxes.
fn bbox(mask: &Tracked) -> Value {
    let [left, top, right, bottom] = mask.bounds.unwrap_or_default();
    json!([left, top, right - left, bottom - top])
}

/// The name of a frame's file.
pub(super) fn file_name(frame: usize, extension: &str) -> String {
    format!("{frame:05}.{extension}")
}

/// One annotation for each mask that is not empty. The image ids are the numbers of the frames.
pub(super) fn coco(work: &Work<'_>) -> Result<Value, Problem> {
    let (mut images, mut annotations) = (Vec::new(), Vec::new());
    for (frame, masks) in work.frames() {
        let (width, height) = (work.size.width, work.size.height);
        let file_name = file_name(frame, "jpg");
        images.push(json!({"id": frame, "file_name": file_name, "width": width, "height": height}));
        for mask in masks.iter().filter(|mask| mask.area > 0) {
            annotations.push(json!({
                "id": annotations.len() + 1, "image_id": frame, "category_id": 1, "track_id": mask.object,
                "segmentation": work.rle(&mask.counts), "area": mask.area, "bbox": bbox(mask), "iscrowd": 0,
                "score": mask.score,
            }));
        }
    }
    let categories = json!([{"id": 1, "name": "object"}]);
    Ok(json!({"images": images, "annotations": annotations, "categories": categories}))
}

/// One annotation for each object, with an entry for each frame.
pub(super) fn ytvis(work: &Work<'_>) -> Result<Value, Problem> {
    let names: Vec<String> = (0..work.frames).map(|frame| file_name(frame, "jpg")).collect();
    let video = json!({
        "id": 1, "width": work.size.width, "height": work.size.height, "length": work.frames, "file_names": names,
    });
    let annotation = |&object: &i64| -> Value {
        let masks: Vec<Option<&Tracked>> =
            (0..work.frames).map(|frame| work.mask(frame, object).filter(|mask| mask.area > 0)).collect();
        json!({
            "id": object, "video_id": 1, "category_id": 1, "iscrowd": 0,
            "width": work.size.width, "height": work.size.height,
            "segmentations": masks.iter().map(|m| m.map(|m| work.rle(&m.counts))).collect::<Vec<_>>(),
            "bboxes": masks.iter().map(|m| m.map(bbox)).collect::<Vec<_>>(),
            "areas": masks.iter().map(|m| m.map(|m| m.area)).collect::<Vec<_>>(),
        })
    };
    let annotations: Vec<Value> = work.objects.iter().map(annotation).collect();
    let categories = json!([{"id": 1, "name": "object"}]);
    Ok(json!({"videos": [video], "annotations": annotations, "categories": categories}))
}

/// What SA-V says of a masklet beside its masks.
#[derive(Debug, PartialEq)]
struct Masklet {
    size_abs: f64,
    visibility_changes: usize,
    /// The index among the annotated frames.
    first_appeared_frame: usize,
}

impl Masklet {
    /// The description of a masklet with these areas, one for each annotated frame.
    fn of(areas: &[u64]) -> Masklet {
        let visible: Vec<f64> = areas.iter().filter(|&&area| area > 0).map(|&area| area as f64).collect();
        let first = areas.iter().position(|&area| area > 0).unwrap_or(0);
        let changes = areas[first..].windows(2).filter(|pair| (pair[0] > 0) != (pair[1] > 0)).count();
        Masklet {
            size_abs: visible.iter().sum::<f64>() / visible.len().max(1) as f64,
            visibility_changes: changes,
            first_appeared_frame: first,
        }
    }

    fn bucket(&self) -> &'static str {
        match self.size_abs {
            size if size < 32.0 * 32.0 => "small",
            size if size < 96.0 * 96.0 => "medium",
            _ => "large",
        }
    }
}

/// The masklets of the objects.
pub(super) fn sav(work: &Work<'_>) -> Result<Value, Problem> {
    let frames: Vec<usize> = (0..work.frames).step_by(STRIDE).collect();
    let empty = sam2::rle::Rle::encode(&vec![0; work.size.pixels()], work.size)?.to_coco()?;
    let masks = |&frame: &usize| -> Vec<Value> {
        let mask = |&object: &i64| work.rle(work.mask(frame, object).map_or(&empty, |mask| &mask.counts));
        work.objects.iter().map(mask).collect()
    };
    let area = |frame: usize, object: i64| work.mask(frame, object).map_or(0, |mask| mask.area);
    let masklets: Vec<Masklet> = (work.objects.iter())
        .map(|&object| Masklet::of(&frames.iter().map(|&frame| area(frame, object)).collect::<Vec<_>>()))
        .collect();
    let pixels = work.size.pixels();
    let each = |f: &dyn Fn(&Masklet) -> Value| masklets.iter().map(f).collect::<Vec<_>>();
    Ok(json!({
        "video_id": work.name(), "video_duration": work.frames as f64 / work.rate, "video_frame_count": work.frames,
        "video_height": work.size.height, "video_width": work.size.width, "video_resolution": pixels,
        "video_environment": "", "video_split": "",
        "masklet": frames.iter().map(masks).collect::<Vec<_>>(),
        "masklet_id": work.objects,
        "masklet_size_abs": each(&|m| json!(m.size_abs)),
        "masklet_size_rel": each(&|m| json!(m.size_abs / pixels as f64)),
        "masklet_size_bucket": each(&|m| json!(m.bucket())),
        "masklet_visibility_changes": each(&|m| json!(m.visibility_changes)),
        "masklet_first_appeared_frame": each(&|m| json!(m.first_appeared_frame)),
        "masklet_frame_count": each(&|_| json!(frames.len())),
        "masklet_edited_frame_count": each(&|_| json!(0)),
        "masklet_type": each(&|_| json!("manual")),
        "masklet_stability_score": each(&|_| json!([null])),
        "masklet_num": masklets.len(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_masklet() {
        let masklet = Masklet::of(&[0, 0, 2000, 1000, 0, 0, 3000, 2000]);
        assert_eq!(masklet, Masklet { size_abs: 2000.0, visibility_changes: 2, first_appeared_frame: 2 });
        assert_eq!(masklet.bucket(), "medium");
        assert_eq!(Masklet::of(&[0, 0]), Masklet { size_abs: 0.0, visibility_changes: 0, first_appeared_frame: 0 });
    }
}

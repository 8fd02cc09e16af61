//! Masks of all objects of a session.

use crate::problem::Problem;
use crate::tracks::Tracked;
use sam2::Size;
use sam2::rle::Rle;
use serde::Serialize;
use serde_json::{Value, json};

/// A mask in COCO's compressed run lengths.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mask {
    /// Height and width.
    pub size: [usize; 2],
    /// The run lengths.
    pub counts: String,
}

/// The mask of an object.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OfObject {
    /// The object.
    pub object_id: i64,
    /// Its mask.
    pub mask: Mask,
}

/// The masks of all objects on a frame. An object without an output on the frame has an empty mask, as in the reference.
///
/// # Errors
///
/// Those of the engine.
pub fn of_all(objects: &[i64], size: Size, tracked: &[Tracked]) -> Result<Vec<OfObject>, Problem> {
    let pixels = u32::try_from(size.pixels()).map_err(|_| Problem::internal("frames that are too large"))?;
    let empty = Rle::new(vec![pixels], size)?.to_coco()?;
    let mask = |&object_id: &i64| {
        let counts = tracked.iter().find(|mask| mask.object == object_id).map_or(&empty, |mask| &mask.counts);
        OfObject { object_id, mask: Mask { size: [size.height, size.width], counts: counts.clone() } }
    };
    Ok(objects.iter().map(mask).collect())
}

/// The masks of a frame as the type `RLEMaskListOnFrame`.
#[must_use]
pub fn on_frame(frame: usize, masks: Vec<OfObject>) -> Value {
    let mask = |OfObject { object_id, mask }: OfObject| json!({"objectId": object_id, "rleMask": {"size": mask.size, "counts": mask.counts, "order": "F"}});
    json!({"frameIndex": frame, "rleMaskList": masks.into_iter().map(mask).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_without_an_output_have_an_empty_mask() {
        let size = Size::new(3, 2);
        let tracked = Tracked { object: 4, counts: "ab".into(), bounds: None, area: 1, score: 1.0 };
        let all = of_all(&[9, 4], size, &[tracked]).unwrap();
        assert_eq!((all[0].object_id, &*all[1].mask.counts), (9, "ab"));
        let empty = Rle::from_coco(&all[0].mask.counts, size).unwrap();
        assert_eq!((empty.decode().unwrap(), all[0].mask.size), (vec![0; 6], [2, 3]));
        assert_eq!(all[0].mask.counts, Rle::encode(&[0; 6], size).unwrap().to_coco().unwrap());
        let json = on_frame(7, all);
        assert_eq!(json["rleMaskList"][1]["rleMask"], json!({"size": [2, 3], "counts": "ab", "order": "F"}));
    }
}

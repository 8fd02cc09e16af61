//! The masks of a session's objects, as run lengths by frame.

use crate::masks::{Format, RleJson, format_mask};
use crate::problem::Problem;
use sam2::rle::Rle;
use sam2::{FrameMasks, Size};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The mask of an object on a frame.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Tracked {
    /// The object.
    pub object: i64,
    /// COCO's compressed run lengths.
    pub counts: String,
    /// Left, top, right and bottom; none if the mask is empty.
    #[serde(rename = "box")]
    pub bounds: Option<[usize; 4]>,
    /// Pixels on the object.
    pub area: u64,
    /// Above 0 if the object is visible.
    pub score: f32,
}

impl Tracked {
    /// The masks of all objects with an output on a frame. `masks` has a byte for each pixel of each object.
    ///
    /// # Errors
    ///
    /// `full` if memory is exhausted.
    pub fn all(found: &FrameMasks, masks: &[u8], size: Size) -> Result<Vec<Tracked>, Problem> {
        let mut all = Vec::new();
        for (i, (&object, &score)) in found.obj_ids.iter().zip(&found.object_score_logits).enumerate() {
            if score.is_nan() {
                continue;
            }
            let rle = Rle::encode(&masks[i * size.pixels()..][..size.pixels()], size)?;
            let [left, top, width, height] = rle.bbox();
            let bounds = (rle.area() > 0).then_some([left, top, left + width, top + height]);
            all.push(Tracked { object, counts: rle.to_coco()?, bounds, area: rle.area(), score });
        }
        Ok(all)
    }

    /// The mask with a byte for each pixel, 1 on the object.
    ///
    /// # Errors
    ///
    /// Those of the engine.
    pub fn decode(&self, size: Size) -> Result<Vec<u8>, Problem> {
        Ok(self.rle(size)?.decode()?)
    }

    /// The run lengths.
    ///
    /// # Errors
    ///
    /// Those of the engine.
    pub fn rle(&self, size: Size) -> Result<Rle, Problem> {
        Ok(Rle::from_coco(&self.counts, size)?)
    }

    /// The mask in JSON.
    ///
    /// # Errors
    ///
    /// Those of the engine.
    pub fn json(&self, size: Size, format: Format) -> Result<Value, Problem> {
        let (name, mask) = match format {
            Format::Rle => ("rle", json!(RleJson::new(size, self.counts.clone()))),
            _ => format_mask(&self.rle(size)?, size, format)?,
        };
        let lost = self.score <= 0.0;
        let mut value = json!({
            "object": self.object, "box": self.bounds, "area": self.area, "score": self.score, "lost": lost,
        });
        value[name] = mask;
        Ok(value)
    }
}

/// The masks of a frame in JSON.
///
/// # Errors
///
/// Those of the engine.
pub fn frame_json(frame: usize, masks: &[Tracked], size: Size, format: Format) -> Result<Value, Problem> {
    let masks = masks.iter().map(|mask| mask.json(size, format)).collect::<Result<Vec<_>, _>>()?;
    Ok(json!({"frame": frame, "masks": masks}))
}

/// The masks of all frames.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Tracks(BTreeMap<usize, Vec<Tracked>>);

impl Tracks {
    /// Sets the masks of a frame.
    pub fn set(&mut self, frame: usize, masks: Vec<Tracked>) {
        match masks.is_empty() {
            true => _ = self.0.remove(&frame),
            false => _ = self.0.insert(frame, masks),
        }
    }

    /// Forgets the masks of an object.
    pub fn remove(&mut self, object: i64) {
        self.0.values_mut().for_each(|masks| masks.retain(|mask| mask.object != object));
        self.0.retain(|_, masks| !masks.is_empty());
    }

    /// Forgets all masks.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Forgets the masks of frames before this one.
    pub fn forget_before(&mut self, frame: usize) {
        self.0 = self.0.split_off(&frame);
    }

    /// The frames of a range that have masks, in order.
    pub fn frames(&self, from: usize, to: usize) -> impl Iterator<Item = (usize, &[Tracked])> {
        self.0.iter().filter(move |(frame, _)| (from..=to).contains(frame)).map(|(frame, masks)| (*frame, &masks[..]))
    }

    /// The masks of a frame.
    #[must_use]
    pub fn on(&self, frame: usize) -> &[Tracked] {
        self.0.get(&frame).map_or(&[], Vec::as_slice)
    }

    /// Ranges of frames that have masks.
    #[must_use]
    pub fn ranges(&self) -> Vec<[usize; 2]> {
        let mut ranges: Vec<[usize; 2]> = Vec::new();
        for &frame in self.0.keys() {
            match ranges.last_mut() {
                Some(range) if range[1] + 1 == frame => range[1] = frame,
                _ => ranges.push([frame, frame]),
            }
        }
        ranges
    }

    /// About the bytes of the masks.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.values().flatten().map(|mask| size_of::<Tracked>() + mask.counts.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_by_frame() {
        let size = Size::new(4, 2);
        let found =
            FrameMasks { obj_ids: vec![5, 7, 9], object_score_logits: vec![2.0, -3.0, f32::NAN], ..Default::default() };
        let masks = [[0, 1, 1, 0, 0, 0, 0, 0], [0; 8], [1; 8]].concat();
        let all = Tracked::all(&found, &masks, size).unwrap();
        assert_eq!(all.iter().map(|mask| (mask.object, mask.area)).collect::<Vec<_>>(), [(5, 2), (7, 0)]);
        assert_eq!((all[0].bounds, all[1].bounds), (Some([1, 0, 3, 1]), None));
        assert_eq!(all[0].decode(size).unwrap(), masks[..8]);
        let json = frame_json(3, &all, size, Format::Rle).unwrap();
        assert_eq!((&json["frame"], &json["masks"][1]["lost"]), (&json!(3), &json!(true)));
        let mut tracks = Tracks::default();
        [3, 4, 6].into_iter().for_each(|frame| tracks.set(frame, all.clone()));
        assert_eq!(tracks.ranges(), [[3, 4], [6, 6]]);
        tracks.remove(5);
        assert_eq!(tracks.on(4).len(), 1);
        tracks.remove(7);
        assert!(tracks.ranges().is_empty());
    }
}

//! Reads SA-V's JSON: masks of all objects on every fourth frame.

use super::mask::Mask;
use crate::error::{Failure, invalid};
use crate::files::{MAX_MASKS, read_text};
use sam2::Size;
use sam2::rle::Rle;
use std::path::Path;

/// The fields of the file that are used. The file has others.
#[derive(serde::Deserialize)]
pub struct Masklets {
    /// Masks by annotated frame, then by object.
    masklet: Vec<Vec<Segmentation>>,
    masklet_id: Vec<i64>,
}

/// A mask in COCO's RLE.
#[derive(serde::Deserialize)]
struct Segmentation {
    size: [usize; 2],
    counts: String,
}

impl Masklets {
    pub fn read(file: &Path) -> Result<Masklets, Failure> {
        let text = read_text(file, MAX_MASKS)?;
        let read: Masklets = serde_json::from_str(&text).map_err(|e| invalid(file, e))?;
        let objects = read.masklet_id.len();
        if let Some(at) = read.masklet.iter().position(|masks| masks.len() != objects) {
            let what = format!("{} masks, expected one for each of {objects} objects", read.masklet[at].len());
            return Err(invalid(file, format!("masklet {at}: {what}")));
        }
        let mut ids = read.masklet_id.clone();
        ids.sort();
        if ids.windows(2).any(|two| two[0] == two[1]) || ids.first().is_some_and(|&id| id < 0) {
            return Err(invalid(
                file,
                format!("masklet_id: {:?}, expected distinct numbers that are not negative", read.masklet_id),
            ));
        }
        Ok(read)
    }

    /// The number of annotated frames.
    pub fn len(&self) -> usize {
        self.masklet.len()
    }

    /// The masks of annotated frame `at` with their objects. `at` is less than `len`.
    pub fn masks(&self, at: usize) -> Result<Vec<(i64, Mask)>, Failure> {
        let decode = |(&id, s): (&i64, &Segmentation)| {
            let [height, width] = s.size;
            let pixels = Rle::from_coco(&s.counts, Size::new(width, height))?.decode()?;
            Ok((id, Mask { pixels, height, width }))
        };
        self.masklet_id.iter().zip(&self.masklet[at]).map(decode).collect()
    }
}

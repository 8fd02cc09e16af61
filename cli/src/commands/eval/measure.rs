//! J and F of objects, averaged over the frames of a video.

use super::boundary::f_measure;
use std::collections::BTreeMap;

/// The scores of an object, in percent.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    pub object: String,
    /// Region similarity: intersection over union.
    pub j: f64,
    /// Contour accuracy.
    pub f: f64,
}

/// Sums the scores of a video's frames. An object counts from the first frame with its ground truth or prediction.
#[derive(Default)]
pub struct Measure {
    objects: BTreeMap<u8, Sums>,
}

#[derive(Default)]
struct Sums {
    j: f64,
    f: f64,
    frames: usize,
    /// The ground truth contains the object.
    real: bool,
}

impl Measure {
    /// Adds a frame: label images (height, width) of the prediction and the ground truth.
    pub fn add(&mut self, found: &[u8], truth: &[u8], height: usize, width: usize) -> sam2::Result<()> {
        // By object: pixels of the prediction, of the ground truth, and of both.
        let mut areas = [[0u64; 3]; 256];
        for (&a, &b) in found.iter().zip(truth) {
            areas[a as usize][0] += 1;
            areas[b as usize][1] += 1;
            areas[a as usize][2] += (a == b) as u64;
        }
        for id in (1..=255u8).filter(|&id| areas[id as usize] != [0; 3]) {
            self.objects.entry(id).or_default().real |= areas[id as usize][1] > 0;
        }
        for (&id, sums) in &mut self.objects {
            let [found_area, true_area, both] = areas[id as usize];
            let any = found_area + true_area - both;
            sums.j += if any == 0 { 1.0 } else { both as f64 / any as f64 };
            sums.f += f_measure(found, truth, id, height, width)?;
            sums.frames += 1;
        }
        Ok(())
    }

    /// The mean scores of the objects in the ground truth.
    pub fn scores(&self) -> Vec<Score> {
        let real = self.objects.iter().filter(|(_, sums)| sums.real);
        let mean = |sum: f64, sums: &Sums| sum / sums.frames as f64 * 100.0;
        real.map(|(id, s)| Score { object: format!("{id:03}"), j: mean(s.j, s), f: mean(s.f, s) }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_count_from_when_they_are_or_are_found() {
        let mut measure = Measure::default();
        let mut add = |found: [u8; 4], truth: [u8; 4]| measure.add(&found, &truth, 2, 2).unwrap();
        add([1, 0, 0, 0], [1, 1, 0, 0]); // 1: half
        add([1, 2, 3, 0], [1, 0, 0, 0]); // 1: all; 2 and 3 are false positives
        add([0, 2, 0, 0], [0, 2, 0, 0]); // 1: correctly absent; 2: all
        let scores = measure.scores();
        let j: Vec<(&str, f64)> = scores.iter().map(|s| (&s.object[..], s.j)).collect();
        assert_eq!(j, [("001", 2.5 / 3.0 * 100.0), ("002", 50.0)], "3 is not in the ground truth");
    }
}

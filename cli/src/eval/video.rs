//! One video's masks, true and found.

use super::Args;
use super::measure::{Measure, Score};
use crate::files::{entries, wrong};
use crate::{Failure, note};
use sam2::labels::{self, Labels};
use std::path::{Path, PathBuf};

/// The figures of a video's objects.
pub fn score(args: &Args, video: &str) -> Result<Vec<Score>, Failure> {
    let (truth, found) = (args.gt_root.join(video), args.pred_root.join(video));
    let inside = entries(&truth)?;
    if inside.iter().all(|(name, _)| name.ends_with(".png")) {
        return Ok(measure(args, inside, &found, false)?.scores());
    }
    let mut scores = Vec::new();
    for (object, folder) in inside {
        let measure = measure(args, entries(&folder)?, &found.join(&object), true)?;
        match measure.scores().pop() {
            Some(score) => scores.push(Score { object, ..score }),
            None => note(&format!("note: {}: the object is on no frame, and is not scored", folder.display())),
        }
    }
    Ok(scores)
}

/// Measures the frames of a folder; `alone` where each file is of one object.
fn measure(args: &Args, frames: Vec<(String, PathBuf)>, found: &Path, alone: bool) -> Result<Measure, Failure> {
    let mut measure = Measure::default();
    let skip = !args.do_not_skip_first_and_last_frame as usize;
    let scored = frames.len().saturating_sub(2 * skip);
    for (name, file) in frames.into_iter().skip(skip).take(scored) {
        let other = found.join(name);
        let (truth, found) = (read(&file, alone)?, read(&other, alone)?);
        let size = (truth.height, truth.width);
        if size != (found.height, found.width) {
            let what = format!("{}x{} pixels, expected {}x{}", found.width, found.height, truth.width, truth.height);
            return Err(wrong(&other, what));
        }
        measure.add(&found.numbers, &truth.numbers, truth.height, truth.width)?;
    }
    Ok(measure)
}

/// A label picture; one of a single object has 1 on it.
fn read(file: &Path, alone: bool) -> Result<Labels, Failure> {
    let mut labels = labels::read(file)?;
    if alone {
        let mut seen = [false; 256];
        labels.numbers.iter().for_each(|&v| seen[v as usize] = true);
        if seen.iter().filter(|&&seen| seen).count() > 2 {
            return Err(wrong(file, "more than one object, where each file should be of one"));
        }
        labels.numbers.iter_mut().for_each(|v| *v = (*v != 0) as u8);
    }
    Ok(labels)
}

//! Scores the predicted masks of one video.

use super::args::{Args, Void};
use super::measure::{Measure, Score};
use crate::console::note;
use crate::error::{Failure, invalid};
use crate::files::entries;
use sam2::labels::{self, Labels};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The label of void pixels in DAVIS, and of the object in black-and-white masks.
const WHITE: u8 = 255;

/// The scores of a video's objects.
pub fn score(args: &Args, video: &str) -> Result<Vec<Score>, Failure> {
    let (truth, found) = (args.gt_root.join(video), args.pred_root.join(video));
    let frames = masks(&truth)?;
    match frames.is_empty() {
        true => score_apart(args, &truth, &found),
        false => score_labels(args, &frames, &truth, &found),
    }
}

/// The masks in a folder, in natural order.
fn masks(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let is_mask = |path: &PathBuf| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("png")) && !path.is_dir();
    Ok(sam2::natural_order(entries(folder)?.into_iter().map(|(_, path)| path).filter(is_mask).collect()))
}

/// Scores masks with all objects in one file.
fn score_labels(args: &Args, frames: &[PathBuf], truth: &Path, found: &Path) -> Result<Vec<Score>, Failure> {
    let void = match args.void {
        Void::Label(label) => label,
        Void::Auto => has_objects(frames)?.then_some(WHITE),
    };
    let measured = measure(args, frames, found, void, false)?;
    let at = truth.display();
    if measured.void && matches!(args.void, Void::Auto) {
        note(&format!(
            "note: {at}: pixels of label 255 are void and are not scored; --void none scores them as an object"
        ));
    }
    let [real, other] = [&measured.truth, &measured.found].map(|labels| labels.iter().copied().filter(|&v| v != 0));
    if real.clone().next().is_some() && other.clone().next().is_some() && measured.is_disjoint() {
        let what = format!("labels {}, but the objects are {}", list(other), list(real.clone()));
        note(&format!("note: {}: {what}: no object is found", found.display()));
    }
    if let Some(first) = frames.first() {
        let first_labels = labels_of(&labels::read(first)?);
        let new: Vec<u8> = real.filter(|label| !first_labels.contains(label)).collect();
        note_later_objects(first, new.iter());
    }
    Ok(measured.measure.scores())
}

/// Scores masks with one object per file, in a folder per object.
fn score_apart(args: &Args, truth: &Path, found: &Path) -> Result<Vec<Score>, Failure> {
    let void = match args.void {
        Void::Label(label) => label,
        Void::Auto => None,
    };
    let (mut scores, mut firsts) = (Vec::new(), Vec::new());
    for (object, folder) in entries(truth)?.into_iter().filter(|(_, path)| path.is_dir()) {
        let frames = masks(&folder)?;
        let Some(first) = frames.first() else { continue };
        let is_there = labels_of(&labels::read(first)?).len() > 1;
        firsts.push((first.file_name().unwrap_or_default().to_os_string(), is_there, object.clone()));
        match measure(args, &frames, &found.join(&object), void, true)?.measure.scores().pop() {
            Some(score) => scores.push(Score { object, ..score }),
            None => note(&format!("note: {}: the object is on no frame and is not scored", folder.display())),
        }
    }
    if let Some(first) = sam2::natural_order(firsts.iter().map(|(name, ..)| PathBuf::from(name)).collect()).first() {
        let scored = |object: &String| scores.iter().any(|score| score.object == *object);
        let new =
            firsts.iter().filter(|(name, is_there, object)| (first.as_os_str() != name || !is_there) && scored(object));
        note_later_objects(&truth.join(first), new.map(|(.., object)| object));
    }
    Ok(scores)
}

/// Prints a note about objects that are not on the first mask of a video.
fn note_later_objects(first: &Path, objects: impl Iterator<Item: std::fmt::Display> + Clone) {
    if objects.clone().next().is_some() {
        let what = format!("objects that appear later are scored from their first frame on: {}", list(objects));
        note(&format!("note: {}: {what}", first.display()));
    }
}

fn list(items: impl Iterator<Item: std::fmt::Display>) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

/// Whether a mask has labels other than 0 and 255.
fn has_objects(frames: &[PathBuf]) -> Result<bool, Failure> {
    for file in frames {
        if labels_of(&labels::read(file)?).range(1..WHITE).next().is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn labels_of(labels: &Labels) -> BTreeSet<u8> {
    let mut seen = [false; 256];
    labels.numbers.iter().for_each(|&v| seen[v as usize] = true);
    (0..=255).filter(|&v| seen[v as usize]).collect()
}

/// The measurements of a video's frames.
#[derive(Default)]
struct Measured {
    measure: Measure,
    /// The labels of the ground truth.
    truth: BTreeSet<u8>,
    /// The labels of the prediction.
    found: BTreeSet<u8>,
    /// There are void pixels.
    void: bool,
}

impl Measured {
    /// Whether no object of the ground truth is a label of the prediction.
    fn is_disjoint(&self) -> bool {
        self.truth.intersection(&self.found).all(|&label| label == 0)
    }
}

/// Measures frames. `alone`: each file has one object. Void pixels are cleared in the ground truth and in the
/// prediction, as in DAVIS's evaluation.
fn measure(args: &Args, frames: &[PathBuf], found: &Path, void: Option<u8>, alone: bool) -> Result<Measured, Failure> {
    let mut measured = Measured::default();
    let skip = !args.do_not_skip_first_and_last_frame as usize;
    let scored = frames.len().saturating_sub(2 * skip);
    if scored == 0 && !frames.is_empty() {
        let folder = frames[0].parent().unwrap_or(Path::new("")).display();
        let what = format!("not scored: no frame is left of {} without the first and the last", frames.len());
        note(&format!("note: {folder}: {what}; --do-not-skip-first-and-last-frame scores them"));
    }
    for file in frames.iter().skip(skip).take(scored) {
        let other = found.join(file.file_name().unwrap_or_default());
        let (mut truth, mut found) = (labels::read(file)?, labels::read(&other)?);
        let size = (truth.height, truth.width);
        if size != (found.height, found.width) {
            let what = format!("{}x{} pixels, expected {}x{}", found.width, found.height, truth.width, truth.height);
            return Err(invalid(&other, what));
        }
        for (truth, found) in truth.numbers.iter_mut().zip(&mut found.numbers).filter(|(t, _)| Some(**t) == void) {
            (*truth, *found, measured.void) = (0, 0, true);
        }
        if alone {
            binarize(&mut truth, file)?;
            binarize(&mut found, &other)?;
        }
        measured.truth.extend(labels_of(&truth));
        measured.found.extend(labels_of(&found));
        measured.measure.add(&found.numbers, &truth.numbers, truth.height, truth.width)?;
    }
    Ok(measured)
}

/// Sets the pixels of a single object to 1.
fn binarize(labels: &mut Labels, file: &Path) -> Result<(), Failure> {
    if labels_of(labels).len() > 2 {
        return Err(invalid(file, "more than one object in a file of a single object"));
    }
    labels.numbers.iter_mut().for_each(|v| *v = (*v != 0) as u8);
    Ok(())
}

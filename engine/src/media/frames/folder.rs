//! Frames from image files, with one file per frame.

use super::ahead::Decode;
use super::names::{Name, sort};
use crate::error::{Error, Result};
use crate::media::picture::{self, Picture, ReadOptions, SUFFIXES};
use crate::memory::try_push;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Names of files and folders that operating systems create.
const SYSTEM: [&str; 11] = [
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "@eadir",
    "@recycle",
    "#recycle",
    "#snapshot",
    "__macosx",
    "icon\r",
    "lost+found",
    "system volume information",
];

/// The largest number of kinds of names that a warning or an error lists.
const LISTED: usize = 4;

/// Image files, with one file per frame.
pub(super) struct Files {
    files: Vec<PathBuf>,
    options: ReadOptions,
    /// Warnings that were logged. Each is logged for one file only.
    noted: Mutex<HashSet<String>>,
}

impl Files {
    pub fn new(files: Vec<PathBuf>, options: ReadOptions) -> Files {
        Files { files, options, noted: Mutex::default() }
    }
}

impl Decode for Files {
    fn decode(&self, i: usize, _reverse: bool) -> Result<Arc<Picture>> {
        let file = &self.files[i];
        let name = file.display().to_string();
        let (picture, notes) = picture::decode_noted(&name, &picture::read_file(file)?, &self.options)?;
        for note in notes {
            if self.noted.lock().unwrap_or_else(PoisonError::into_inner).insert(note.clone()) {
                log::warn!("{name}: {note}");
            }
        }
        Ok(Arc::new(picture))
    }

    fn reopen(&self) -> Arc<dyn Decode> {
        Arc::new(Files::new(self.files.clone(), self.options))
    }
}

/// Returns whether a file or folder of this name is hidden, or was created by an operating system: `.DS_Store`,
/// `._00000.jpg`, `Thumbs.db`, `@eaDir`.
#[must_use]
pub fn is_hidden(name: &str) -> bool {
    name.starts_with(['.', '$']) || SYSTEM.contains(&name.to_lowercase().as_str())
}

/// Sorts files into natural order. If names differ only in their numbers, they are sorted by these numbers, which may
/// have different widths (`2.png` before `10.png`).
#[must_use]
pub fn natural_order(files: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut named: Vec<(Name, PathBuf)> = files.into_iter().map(|file| (Name::of(&file), file)).collect();
    sort(&mut named);
    named.into_iter().map(|(_, file)| file).collect()
}

/// Returns the frames of a folder in natural order. A warning gives the number of files that are left out.
pub(super) fn list(path: &Path) -> Result<Vec<PathBuf>> {
    let (mut kinds, mut others) = (SUFFIXES.map(|_| Vec::new()), Vec::new());
    for entry in std::fs::read_dir(path).map_err(|e| Error::io(path, e))? {
        let file = entry.map_err(|e| Error::io(path, e))?.path();
        if is_hidden(&file.file_name().unwrap_or_default().to_string_lossy()) || file.is_dir() {
            continue;
        }
        let extension = file.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let kind = SUFFIXES.iter().position(|kind| kind.contains(&extension.as_str()));
        let name = Name::of(&file);
        match kind.filter(|_| name.has_number()) {
            Some(kind) => try_push(&mut kinds[kind], (name, file), "names of frames")?,
            None => try_push(&mut others, (name, file), "names of files")?,
        }
    }
    let mut frames = Vec::new();
    for kind in kinds {
        let (chosen, rest) = if frames.is_empty() { series(path, kind)? } else { (Vec::new(), kind) };
        frames.extend(chosen);
        others.extend(rest);
    }
    let left_out = globs(&others);
    if frames.is_empty() {
        let there = if others.is_empty() { String::new() } else { format!("; it has {left_out}") };
        let what = "no frames named by numbers, such as 00000.jpg or frame_0001.png";
        return Err(Error::input(format!("{}: {what}{there}", path.display())));
    }
    if let Some((one, other)) = sort(&mut frames) {
        let [one, other] = [one, other].map(|i| frames[i].1.file_name().unwrap_or_default().display().to_string());
        return Err(Error::input(format!("{}: two files for one frame: {one} and {other}", path.display())));
    }
    if !others.is_empty() {
        let (folder, taken, left) = (path.display(), frames.len(), others.len());
        log::warn!("{folder}: {taken} files are frames, {left} others are left out: {left_out}");
    }
    Ok(frames.into_iter().map(|(_, file)| file).collect())
}

type Named = Vec<(Name, PathBuf)>;

/// Splits image files of one format into the frames and the other files. The frames are the files that are named by
/// only a number. If there are none, the frames are the largest series of names that differ only in their numbers.
fn series(path: &Path, files: Named) -> Result<(Named, Named)> {
    if files.iter().any(|(name, _)| name.is_number()) {
        return Ok(files.into_iter().partition(|(name, _)| name.is_number()));
    }
    let mut counts = BTreeMap::<&str, usize>::new();
    files.iter().for_each(|(name, _)| *counts.entry(name.pattern()).or_default() += 1);
    let most = counts.values().copied().max().unwrap_or(0);
    let largest: Vec<String> = counts.iter().filter(|(_, n)| **n == most).map(|(p, _)| p.to_string()).collect();
    if largest.len() > 1 {
        let (path, all) = (path.display(), globs(&files));
        let what = format!("which files are the frames? {all}: give each series a folder of its own");
        return Err(Error::input(format!("{path}: {what}")));
    }
    Ok(files.into_iter().partition(|(name, _)| largest.iter().any(|pattern| pattern == name.pattern())))
}

/// Returns the patterns of file names, with the number of files of each pattern: `key_*.jpg (4), *.png (12)`.
fn globs(files: &[(Name, PathBuf)]) -> String {
    let mut counts = BTreeMap::<String, usize>::new();
    for (name, file) in files {
        let extension = file.extension().map(|e| format!(".{}", e.display())).unwrap_or_default();
        *counts.entry(name.glob() + &extension).or_default() += 1;
    }
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let more = if counts.len() > LISTED { ", ..." } else { "" };
    let listed: Vec<String> = counts.iter().take(LISTED).map(|(glob, n)| format!("{glob} ({n})")).collect();
    listed.join(", ") + more
}

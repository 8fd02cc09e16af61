//! Frames that are a picture file each.

use super::ahead::Decode;
use crate::error::{Error, Result};
use crate::picture::{self, Picture, ReadOptions};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Files, a frame each.
pub(super) struct Files {
    files: Vec<PathBuf>,
    options: ReadOptions,
    /// Warnings that were logged, each for one file.
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
}

/// The JPEG and PNG files of a folder, in the order of the numbers they are named by.
pub(super) fn list(path: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|e| Error::io(path, e))? {
        let file = entry.map_err(|e| Error::io(path, e))?.path();
        let kind = file.extension().and_then(|e| e.to_str()).unwrap_or("").to_lowercase();
        let number = file.file_stem().and_then(|s| s.to_str()?.parse::<u64>().ok());
        if let (true, Some(number)) = (["jpg", "jpeg", "png"].contains(&kind.as_str()), number) {
            files.push((number, file));
        }
    }
    files.sort();
    if files.is_empty() {
        let what = format!("{}: no frames named 00000.jpg, 00001.jpg, ... (or .png)", path.display());
        return Err(Error::input(what));
    }
    Ok(files.into_iter().map(|(_, file)| file).collect())
}

//! Folders of a data set: what lies in them, in an order.

use crate::{Failure, io};
use sam2::Error;
use std::path::{Path, PathBuf};

/// A mistake in a file or folder.
pub fn wrong(path: &Path, what: impl std::fmt::Display) -> Failure {
    Error::Input(format!("{}: {what}", path.display())).into()
}

/// What lies in a folder, sorted by name.
pub fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, Failure> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| io(folder, e))? {
        let path = entry.map_err(|e| io(folder, e))?.path();
        let name = path.file_name().and_then(|n| n.to_str()).ok_or_else(|| wrong(&path, "a name that is no UTF-8"))?;
        all.push((name.to_string(), path));
    }
    all.sort();
    Ok(all)
}

/// The folders in a folder, sorted by name.
pub fn folders(folder: &Path) -> Result<Vec<(String, PathBuf)>, Failure> {
    let mut all = entries(folder)?;
    all.retain(|(_, path)| path.is_dir());
    Ok(all)
}

/// The frames of a video with their names, in the order of the numbers that they are named by.
pub fn frames(folder: &Path) -> Result<Vec<(String, PathBuf)>, Failure> {
    let mut all = Vec::new();
    for (name, path) in entries(folder)? {
        let Some((stem, kind)) = name.rsplit_once('.') else { continue };
        let is_picture = ["jpg", "jpeg", "png"].contains(&kind.to_lowercase().as_str());
        if let (true, Ok(number)) = (is_picture, stem.parse::<u64>()) {
            all.push((number, stem.to_string(), path));
        }
    }
    all.sort();
    if let Some(two) = all.windows(2).find(|two| two[0].1 == two[1].1) {
        return Err(wrong(folder, format!("two files for frame {}", two[0].1)));
    }
    if all.is_empty() {
        return Err(wrong(folder, "no frames named 00000.jpg, 00001.jpg, ... (or .png)"));
    }
    Ok(all.into_iter().map(|(_, stem, path)| (stem, path)).collect())
}

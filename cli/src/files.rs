//! Folders of a data set: what lies in them, in an order.

use crate::{Failure, io};
use sam2::{Error, Frames};
use std::path::{Path, PathBuf};

/// A mistake in a file or folder.
pub fn wrong(path: &Path, what: impl std::fmt::Display) -> Failure {
    Error::Input(format!("{}: {what}", path.display())).into()
}

/// The checkpoints and configurations in a folder.
pub fn of_model(folder: &Path) -> Vec<PathBuf> {
    let suffixes = ["safetensors", "pt", "pth", "bin", "ckpt", "json", "yaml", "yml"];
    let mut all = crate::output::files(folder, 1);
    all.retain(|path| path.extension().is_some_and(|e| suffixes.iter().any(|suffix| e.eq_ignore_ascii_case(suffix))));
    all
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
    let stem = |path: &Path| path.file_stem().and_then(|s| s.to_str()).unwrap_or_default().to_string();
    let all: Vec<(String, PathBuf)> = Frames::list(folder)?.into_iter().map(|path| (stem(&path), path)).collect();
    if let Some(two) = all.windows(2).find(|two| two[0].0 == two[1].0) {
        return Err(wrong(folder, format!("two files for frame {}", two[0].0)));
    }
    Ok(all)
}

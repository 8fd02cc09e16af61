//! The frames of a video.

use crate::error::{Error, Result};
use crate::picture::Picture;
use std::path::{Path, PathBuf};

/// The frames of a video, all of one size, numbered from 0.
#[derive(Clone)]
pub enum Frames {
    /// Decoded.
    Pictures(Vec<Picture>),
    /// Files, decoded when needed.
    Files(Vec<PathBuf>),
}

impl Frames {
    /// The JPEG and PNG files of a folder, in the order of the numbers they are named by.
    pub fn folder(path: impl AsRef<Path>) -> Result<Frames> {
        let path = path.as_ref();
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
            return Err(Error::input(format!(
                "{}: no frames named 00000.jpg, 00001.jpg, ... (or .png)",
                path.display()
            )));
        }
        Ok(Frames::Files(files.into_iter().map(|(_, file)| file).collect()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Frames::Pictures(all) => all.len(),
            Frames::Files(all) => all.len(),
        }
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Frame `i`, which there is.
    pub fn read(&self, i: usize) -> Result<std::sync::Arc<Picture>> {
        if i >= self.len() {
            return Err(Error::input(format!("no frame {i}: there are {}", self.len())));
        }
        self.with(i, |p| Ok(std::sync::Arc::new(p.clone())))
    }

    /// Calls `f` with frame `i`, which there must be.
    fn with<T>(&self, i: usize, f: impl FnOnce(&Picture) -> Result<T>) -> Result<T> {
        match self {
            Frames::Pictures(all) => f(&all[i]),
            Frames::Files(all) => f(&crate::picture::read(&all[i])?),
        }
    }
}

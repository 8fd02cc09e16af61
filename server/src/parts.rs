//! Files that are needed for the time of a request.

use crate::ids;
use crate::problem::Problem;
use crate::videos::disk;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// A file that is deleted with this value, unless it is kept.
#[derive(Debug)]
pub struct Part(Option<PathBuf>);

impl Part {
    /// A file of a folder, with a new name that ends so. The file is not there yet.
    ///
    /// # Errors
    ///
    /// `internal` if the system has no random numbers.
    pub fn new(folder: &Path, end: &str) -> Result<Part, Problem> {
        let id = ids::random().map_err(|e| Problem::internal(e.to_string()))?;
        Ok(Part(Some(folder.join(format!("{id}{end}")))))
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }

    /// Keeps the file.
    #[must_use]
    pub fn keep(mut self) -> PathBuf {
        self.0.take().unwrap_or_default()
    }

    /// Writes JSON to the file.
    ///
    /// # Errors
    ///
    /// `full` if the disk is full.
    pub fn write(&self, value: &Value) -> Result<(), Problem> {
        fs::write(self.path(), value.to_string()).map_err(|e| disk(&e))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

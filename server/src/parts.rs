//! Files and folders that are needed for the time of a request.

use crate::ids;
use crate::problem::{Problem, disk};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// A file or a folder that is deleted with this value, unless it was moved.
#[derive(Debug)]
pub struct Part(PathBuf);

impl Part {
    /// A file or a folder in a folder, with a new name that ends so. It is not there yet.
    ///
    /// # Errors
    ///
    /// `internal` if the system has no random numbers.
    pub fn new(folder: &Path, end: &str) -> Result<Part, Problem> {
        let id = ids::random().map_err(|e| Problem::internal(e.to_string()))?;
        Ok(Part(folder.join(format!("{id}{end}"))))
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
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
        let _ = if self.0.is_dir() { fs::remove_dir_all(&self.0) } else { fs::remove_file(&self.0) };
    }
}

//! Files that clients save, in a subfolder of the data folder. Their names are the server's.

use crate::lock::lock;
use crate::problem::{Problem, disk};
use crate::videos::{Videos, write_whole};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

/// The folder of files that clients save.
#[derive(Debug)]
pub struct Projects {
    folder: PathBuf,
    /// One file is written at a time, so that no two have one name.
    writing: Mutex<()>,
}

/// Milliseconds since 1970.
#[must_use]
pub fn milliseconds() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_millis())
}

impl Projects {
    /// The files of a data folder. What is there counts under the limit of the folder.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub fn open(data: &Path, videos: &Videos) -> io::Result<Projects> {
        let folder = data.join("projects");
        if folder.exists() {
            for entry in fs::read_dir(&folder)? {
                videos.count_other(entry?.metadata()?.len());
            }
        }
        Ok(Projects { folder, writing: Mutex::new(()) })
    }

    /// Writes a file of JSON, and returns its name.
    ///
    /// # Errors
    ///
    /// `full` if the data folder or the disk has no room.
    pub fn save(&self, videos: &Videos, text: &[u8]) -> Result<String, Problem> {
        let _writing = lock(&self.writing);
        videos.check_room(text.len() as u64)?;
        fs::create_dir_all(&self.folder).map_err(|e| disk(&e))?;
        let mut time = milliseconds();
        let name = loop {
            let name = format!("segmentation_{time}.json");
            if !self.folder.join(&name).exists() {
                break name;
            }
            time += 1;
        };
        write_whole(&self.folder.join(&name), text).map_err(|e| disk(&e))?;
        videos.count_other(text.len() as u64);
        Ok(name)
    }
}

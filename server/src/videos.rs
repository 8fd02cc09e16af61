//! Videos on disk.
//!
//! A video has a folder: the uploaded file, its frames as JPEG files, which a thread makes after the upload, and a
//! description, which is written when the video is known to be one. A folder without it was left by a crash.

use crate::ids;
use crate::jpeg;
use crate::lock::lock;
use crate::parts::Part;
use crate::problem::{Problem, disk};
use sam2::ffmpeg::ProcessLimits;
use sam2::{Frames, FramesOptions, Size};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// The most bytes of a video.
pub const MAX_VIDEO: u64 = 512 << 20;
/// The most frames of a video.
pub const MAX_FRAMES: usize = 10_000;
/// The longest side of a video in pixels.
pub const MAX_SIDE: usize = 4096;
/// What a process of `ffmpeg` may use, of which each upload has some.
pub const FFMPEG: ProcessLimits =
    ProcessLimits { cpu_time: Some(Duration::from_secs(3600)), memory: Some(4 << 30), file_size: Some(MAX_VIDEO) };
/// The most bytes of a name.
const MAX_NAME: usize = 255;

/// Opens the frames of a video file that a client sent. Decodes it once.
///
/// # Errors
///
/// `input` if it is no video, or one over the limits.
pub fn open_frames(file: &Path) -> Result<Frames, Problem> {
    let (max_frames, max_side) = (Some(MAX_FRAMES), Some(MAX_SIDE));
    let options = FramesOptions { max_frames, max_side, decoder_limits: FFMPEG, ..Default::default() };
    Frames::open_with(file, &options).map_err(without_path)
}

/// What is stored of a video beside its file.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Description {
    name: Option<String>,
    #[serde(default)]
    temporary: bool,
}

/// A video.
#[derive(Debug)]
pub struct Video {
    /// Its id.
    pub id: String,
    /// The client's name of the file.
    pub name: Option<String>,
    /// Whether the video belongs to a session. Such a video is a folder of images. It is not listed, and the next start
    /// of the server deletes it.
    pub temporary: bool,
    /// The frames. Sessions reopen them.
    pub frames: Frames,
    /// The size of the frames.
    pub size: Size,
    /// The file.
    pub file: PathBuf,
    /// The folder of the JPEG files.
    pictures: PathBuf,
    /// How many JPEG files are there; `u64::MAX` after a failure.
    made: watch::Sender<u64>,
    bytes: AtomicU64,
}

impl Video {
    /// Opens the video of a folder. Decodes it once.
    fn open(id: String, folder: &Path, about: Description) -> Result<Video, Problem> {
        let file = folder.join("video");
        let frames = open_frames(&file)?;
        let size = frames.read(0).map_err(without_path)?.size();
        let bytes = AtomicU64::new(bytes_of(&file));
        let made = watch::Sender::new(0);
        let Description { name, temporary } = about;
        Ok(Video { id, name, temporary, frames, size, file, pictures: folder.join("frames"), made, bytes })
    }

    /// The video in JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let Size { width, height } = self.size;
        let mut value = json!({
            "id": self.id, "width": width, "height": height, "frames": self.frames.len(),
            "fps": self.rate(),
        });
        if let Some(name) = &self.name {
            value["name"] = json!(name);
        }
        value
    }

    /// Frames per second; 24 if the file does not say.
    pub fn rate(&self) -> f64 {
        self.frames.rate().unwrap_or(24.0)
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn picture(&self, frame: usize) -> PathBuf {
        self.pictures.join(format!("{frame:06}.jpg"))
    }

    /// Makes the JPEG files that are missing. Ends when the video is deleted and no session has it.
    fn make_pictures(self: Arc<Video>) {
        let frames = self.frames.reopen();
        let make = |frame: usize| -> Result<(), Problem> {
            let path = self.picture(frame);
            if !path.exists() {
                let bytes = jpeg::encode(&*frames.read(frame).map_err(without_path)?)?;
                write_whole(&path, &bytes).map_err(|e| disk(&e))?;
            }
            let bytes = fs::metadata(&path).map_or(0, |data| data.len());
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
            Ok(())
        };
        if let Err(e) = fs::create_dir_all(&self.pictures) {
            log::error!("frames of a video: {e}");
        }
        for frame in 0..frames.len() {
            if Arc::strong_count(&self) == 1 {
                return;
            }
            if let Err(problem) = make(frame) {
                log::error!("frame {frame} of a video: {problem:?}");
                self.made.send_replace(u64::MAX);
                return;
            }
            self.made.send_replace(frame as u64 + 1);
        }
    }

    /// A frame as JPEG. Waits until it is made.
    ///
    /// # Errors
    ///
    /// `not-found` if there is no such frame.
    pub async fn jpeg(&self, frame: usize) -> Result<Vec<u8>, Problem> {
        if frame >= self.frames.len() {
            return Err(Problem::not_found(format!("no frame {frame}: the video has {}", self.frames.len())));
        }
        let mut made = self.made.subscribe();
        let ready = made.wait_for(|&made| made > frame as u64).await.map_or(u64::MAX, |made| *made);
        if ready == u64::MAX {
            return Err(Problem::internal("the frames of the video could not be made"));
        }
        tokio::fs::read(self.picture(frame)).await.map_err(|e| disk(&e))
    }
}

/// The bytes of a file, or of the files in a folder.
fn bytes_of(path: &Path) -> u64 {
    let own = fs::metadata(path).map_or(0, |data| data.len());
    let inner =
        fs::read_dir(path).map_or(0, |all| all.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum());
    own + inner
}

/// An error of a video without the path of its file.
#[must_use]
pub fn without_path(e: sam2::Error) -> Problem {
    match e {
        sam2::Error::Video { what, .. } => Problem::input(format!("the video: {what}")),
        e @ sam2::Error::Ffmpeg { .. } => Problem::input(format!("videos need ffmpeg on the server: {e}")),
        e => e.into(),
    }
}

/// Writes a file so that it is either absent or whole, also after a crash.
///
/// # Errors
///
/// The file cannot be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let part = path.with_extension("part");
    let file = fs::File::create(&part)?;
    io::Write::write_all(&mut &file, bytes)?;
    file.sync_all()?;
    fs::rename(&part, path)
}

/// The videos of the server.
#[derive(Debug)]
pub struct Videos {
    all: Mutex<HashMap<String, Arc<Video>>>,
    folder: PathBuf,
    /// Where uploads are written.
    pub parts: PathBuf,
    /// The most bytes on disk.
    most_bytes: u64,
    /// Bytes of other files of the data folder, which count too.
    others: AtomicU64,
}

impl Videos {
    /// The videos of a data folder.
    ///
    /// # Errors
    ///
    /// The folder cannot be read or made.
    pub fn open(data: &Path, most_bytes: u64) -> io::Result<Videos> {
        let (folder, parts) = (data.join("videos"), data.join("parts"));
        // What a crash left.
        if parts.exists() {
            fs::remove_dir_all(&parts)?;
        }
        fs::create_dir_all(&folder)?;
        fs::create_dir_all(&parts)?;
        let videos = Videos { all: Mutex::default(), folder, parts, most_bytes, others: AtomicU64::new(0) };
        for entry in fs::read_dir(&videos.folder)? {
            let entry = entry?;
            let Ok(id) = entry.file_name().into_string() else { continue };
            let Ok(description) = fs::read(entry.path().join("video.json")) else {
                fs::remove_dir_all(entry.path())?;
                continue;
            };
            let description: Description = serde_json::from_slice(&description).unwrap_or_default();
            if description.temporary {
                fs::remove_dir_all(entry.path())?;
                continue;
            }
            let opened = Video::open(id, &entry.path(), description);
            match opened {
                Ok(video) => drop(videos.keep(video)),
                Err(problem) => log::warn!("a stored video is left out: {problem:?}"),
            }
        }
        Ok(videos)
    }

    fn keep(&self, video: Video) -> Arc<Video> {
        let video = Arc::new(video);
        lock(&self.all).insert(video.id.clone(), video.clone());
        if video.temporary {
            video.made.send_replace(u64::MAX);
            return video;
        }
        let made = video.clone();
        let thread = std::thread::Builder::new().name("sam2-jpeg".into());
        if let Err(e) = thread.spawn(move || made.make_pictures()) {
            log::error!("frames of a video: {e}");
            video.made.send_replace(u64::MAX);
        }
        video
    }

    /// Bytes on disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        lock(&self.all).values().map(|video| video.bytes()).sum()
    }

    /// Counts bytes of another file of the data folder.
    pub fn count_other(&self, bytes: u64) {
        self.others.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Fails if `bytes` more bytes would exceed the limit of the data folder.
    ///
    /// # Errors
    ///
    /// `full`.
    pub fn check_room(&self, bytes: u64) -> Result<(), Problem> {
        let there = self.bytes().saturating_add(self.others.load(Ordering::Relaxed));
        match there.saturating_add(bytes) > self.most_bytes {
            true => Err(Problem::full("the data folder has reached its limit; delete videos")),
            false => Ok(()),
        }
    }

    /// Adds a video whose file is written, and decodes it once. The file is moved; it is gone after a failure too.
    ///
    /// # Errors
    ///
    /// `input` if it is no video.
    pub fn add(&self, part: Part, name: Option<String>) -> Result<Arc<Video>, Problem> {
        let name = name.map(|name| name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect::<String>());
        let name = name.filter(|name| !name.is_empty() && name.len() <= MAX_NAME);
        self.move_in(part, Description { name, temporary: false })
    }

    /// Adds a folder of images as a temporary video. See [`Video::temporary`].
    ///
    /// # Errors
    ///
    /// `input` if the folder has no images.
    pub fn add_temporary(&self, part: Part) -> Result<Arc<Video>, Problem> {
        self.move_in(part, Description { name: None, temporary: true })
    }

    fn move_in(&self, part: Part, about: Description) -> Result<Arc<Video>, Problem> {
        let id = ids::random().map_err(|e| Problem::internal(e.to_string()))?;
        let folder = self.folder.join(&id);
        let made = fs::create_dir(&folder).and_then(|()| fs::rename(part.path(), folder.join("video")));
        let opened =
            made.map_err(|e| disk(&e)).and_then(|()| Video::open(id, &folder, about.clone())).and_then(|video| {
                // A folder with a description is complete.
                let description = serde_json::to_vec(&about);
                let description = description.map_err(|e| Problem::internal(e.to_string()))?;
                write_whole(&folder.join("video.json"), &description).map_err(|e| disk(&e))?;
                Ok(video)
            });
        if opened.is_err() {
            let _ = fs::remove_dir_all(&folder);
        }
        Ok(self.keep(opened?))
    }

    /// A video by its id.
    ///
    /// # Errors
    ///
    /// `not-found`.
    pub fn get(&self, id: &str) -> Result<Arc<Video>, Problem> {
        lock(&self.all).get(id).cloned().ok_or_else(|| Problem::not_found("no such video"))
    }

    /// All videos but the temporary ones, by name.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Video>> {
        let mut all: Vec<_> = lock(&self.all).values().filter(|video| !video.temporary).cloned().collect();
        all.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        all
    }

    /// Deletes a video, which no session may use.
    ///
    /// # Errors
    ///
    /// `not-found`.
    pub fn remove(&self, id: &str) -> Result<(), Problem> {
        let video = lock(&self.all).remove(id).ok_or_else(|| Problem::not_found("no such video"))?;
        fs::remove_dir_all(self.folder.join(&video.id)).map_err(|e| disk(&e))
    }
}

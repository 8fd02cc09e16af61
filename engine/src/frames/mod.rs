//! The frames of a video.

mod ahead;
mod folder;
mod ppm;
mod survey;
mod video;

use crate::error::{Error, Result};
use crate::picture::{Picture, ReadOptions};
use ahead::Ahead;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use video::Video;

/// The frames of a video, all of one size, numbered from 0.
///
/// Frames that come from files are decoded when they are read. From the second frame read in a row on, a thread decodes
/// the next two in that direction, forwards or backwards, while the caller works on the current one; it ends with the
/// last clone. These few decoded frames are all that is kept, in the host's memory, never on a device; a video file read
/// backwards keeps a block of frames besides, 256 MiB at most.
///
/// Clones are cheap and share what is decoded; one frame is decoded at a time. Who reads a video in two places at once
/// had better open it twice.
#[derive(Clone)]
pub struct Frames(Arc<Source>);

enum Source {
    Pictures(Vec<Arc<Picture>>),
    Decoded { frames: Ahead, rate: Option<f64> },
}

impl Frames {
    /// Pictures in memory.
    pub fn pictures(pictures: Vec<Picture>) -> Frames {
        Frames(Arc::new(Source::Pictures(pictures.into_iter().map(Arc::new).collect())))
    }

    /// Picture files, a frame each.
    pub fn files(files: Vec<PathBuf>) -> Frames {
        Frames::files_with(files, &ReadOptions::default())
    }

    /// As [`Frames::files`], read with options. Of frames with the same warning, the first is logged.
    pub fn files_with(files: Vec<PathBuf>, options: &ReadOptions) -> Frames {
        let frames = Ahead::new(files.len(), Arc::new(folder::Files::new(files, options.clone())));
        Frames(Arc::new(Source::Decoded { frames, rate: None }))
    }

    /// The JPEG and PNG files of a folder, in the order of the numbers they are named by.
    pub fn folder(path: impl AsRef<Path>) -> Result<Frames> {
        Ok(Frames::files(Frames::list(path)?))
    }

    /// As [`Frames::folder`], read with options.
    pub fn folder_with(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Frames> {
        Ok(Frames::files_with(Frames::list(path)?, options))
    }

    /// The files that [`Frames::folder`] takes, in their order.
    pub fn list(path: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
        folder::list(path.as_ref())
    }

    /// The first video stream of a file, by the program `ffmpeg` (4.4 or later), which has to be installed; the
    /// environment variable `SAM2_FFMPEG` names it where it is not on the `PATH`.
    ///
    /// The file is decoded once from end to end, to count its frames: what cannot be decoded is an error here, and so is
    /// a stream whose frames change size. A rotation that the file asks for is done; pixels that are not square stay as
    /// they are.
    ///
    /// Reading forwards costs what decoding costs. Seeking by time does not find frames exactly, so reading back starts
    /// again at the first frame and discards those before the wanted one; reading backwards frame by frame does so once
    /// per block of frames.
    pub fn video(path: impl AsRef<Path>) -> Result<Frames> {
        let video = Video::open(path.as_ref())?;
        let rate = video.rate();
        Ok(Frames(Arc::new(Source::Decoded { frames: Ahead::new(video.len(), Arc::new(video)), rate })))
    }

    /// A folder as [`Frames::folder`], anything else as [`Frames::video`].
    pub fn open(path: impl AsRef<Path>) -> Result<Frames> {
        if path.as_ref().is_dir() { Frames::folder(path) } else { Frames::video(path) }
    }

    /// As [`Frames::open`]; the pictures of a folder are read with options. A video file turns its frames by itself.
    pub fn open_with(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Frames> {
        if path.as_ref().is_dir() { Frames::folder_with(path, options) } else { Frames::video(path) }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match &*self.0 {
            Source::Pictures(all) => all.len(),
            Source::Decoded { frames, .. } => frames.len(),
        }
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Frame `i`.
    pub fn read(&self, i: usize) -> Result<Arc<Picture>> {
        if i >= self.len() {
            return Err(Error::input(format!("no frame {i}: there are {}", self.len())));
        }
        match &*self.0 {
            Source::Pictures(all) => Ok(all[i].clone()),
            Source::Decoded { frames, .. } => frames.read(i),
        }
    }

    /// Frames a second, on average, where they come from a video file that says so.
    pub fn rate(&self) -> Option<f64> {
        match &*self.0 {
            Source::Pictures(_) => None,
            Source::Decoded { rate, .. } => *rate,
        }
    }

    /// Bytes of decoded frames that are kept now.
    pub fn bytes(&self) -> usize {
        match &*self.0 {
            Source::Pictures(all) => all.iter().map(|p| p.pixels.len()).sum(),
            Source::Decoded { frames, .. } => frames.bytes(),
        }
    }
}

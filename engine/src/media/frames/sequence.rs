//! The frames of a video from any source.

use super::ahead::Ahead;
use super::folder;
use super::options::FramesOptions;
use super::video::Video;
use crate::error::{Error, Result};
use crate::media::picture::Picture;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The frames of a video. All frames have the same size, and are numbered from 0.
///
/// Frames of files are decoded when they are read. After two reads in a row, a thread decodes the next two frames in
/// the same direction, forwards or backwards, while the caller works on the current frame. The thread ends with the
/// last clone. Only these few decoded frames are kept. They are in the memory of the host, never on a device. A video
/// file that is read backwards also keeps a block of frames, of at most 256 MiB.
///
/// A clone is cheap, and shares the decoded frames. One frame is decoded at a time. A program that reads a video at two
/// positions at once uses [`Frames::reopen`], so that neither position waits for the other.
#[derive(Clone)]
pub struct Frames {
    pub(super) source: Arc<Source>,
    pub(super) options: FramesOptions,
}

/// The source of frames.
pub(super) enum Source {
    Pictures(Vec<Arc<Picture>>),
    Files { frames: Ahead, names: Vec<String> },
    Video { frames: Ahead, rate: Option<f64> },
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Frames {
    /// Creates the frames of a source.
    pub(super) fn new(source: Source, options: FramesOptions) -> Frames {
        Frames { source: Arc::new(source), options }
    }

    /// Creates frames from images in memory. Each image is a frame.
    #[must_use]
    pub fn pictures(pictures: Vec<Picture>) -> Frames {
        let pictures = pictures.into_iter().map(Arc::new).collect();
        Frames::new(Source::Pictures(pictures), FramesOptions::default())
    }

    /// Creates frames from image files. Each file is a frame.
    #[must_use]
    pub fn files(files: Vec<PathBuf>) -> Frames {
        Frames::files_with(files, &FramesOptions::default())
    }

    /// Creates frames from image files as [`Frames::files`] does, with options.
    #[must_use]
    pub fn files_with(files: Vec<PathBuf>, options: &FramesOptions) -> Frames {
        let name = |file: &PathBuf| file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let names = files.iter().map(name).collect();
        let frames = Ahead::new(files.len(), Arc::new(folder::Files::new(files, options.read)));
        Frames::new(Source::Files { frames, names }, *options)
    }

    /// Opens the image files of a folder that are named by numbers, in natural order.
    ///
    /// - The frames are the JPEG files (`.jpg`, `.jpeg`) if there are any. Images of other formats next to them are
    ///   masks. Otherwise the frames are the PNG files, or else the files of another format that is read.
    /// - If any of these files are named by only a number (`00000.jpg`, `1690000000.5.jpg`), only these are frames.
    ///   Otherwise the frames are the largest series of names that differ only in their numbers: `frame_0001.jpg`,
    ///   `img (1).jpg`, `IMG_2024-01-02_10-00-01.jpg`. Two series of the same size are an error.
    /// - A number may have any length, and numbers may have gaps. The index of a frame is its position, counted from 0.
    ///   In a time stamp such as `0.15`, the digits after the point are a decimal fraction. Two files with the same
    ///   number (`7.jpg` and `07.jpg`) are an error.
    /// - A warning gives the number of files that are left out. It does not count hidden files and files that systems
    ///   make.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the folder cannot be read. [`Error::Input`] if its files do not name the frames of one video.
    pub fn folder(path: impl AsRef<Path>) -> Result<Frames> {
        Ok(Frames::files(Frames::list(path)?))
    }

    /// Returns the files that [`Frames::folder`] opens, in the order of the frames.
    ///
    /// # Errors
    ///
    /// As [`Frames::folder`].
    pub fn list(path: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
        folder::list(path.as_ref())
    }

    /// Opens the first video stream of a file. The program `ffmpeg` (4.4 or later) decodes the stream, and must be
    /// installed. If `ffmpeg` is not on the `PATH`, the environment variable `SAM2_FFMPEG` names it.
    ///
    /// The file is decoded once from end to end, to count its frames. A file that does not decode completely is an
    /// error here, the same error each time. A stream whose frames change size is an error too.
    /// [`FramesOptions::keep_damaged`] reads the frames that decode. A rotation of the file is applied. Pixels that are
    /// not square stay unchanged. An edit list of an MP4 or MOV file is applied as in players. Frames that the edit
    /// list cuts off are left out, while the reader of the reference (decord) returns them.
    ///
    /// Reading forwards takes the time of decoding. Seeking by time does not find frames exactly. So reading an earlier
    /// frame starts again at the first frame, and discards the frames before the requested one. Reading backwards frame
    /// by frame does so once per block of frames.
    ///
    /// # Errors
    ///
    /// [`Error::Ffmpeg`] if the program is absent or too old. [`Error::Io`] if the file cannot be read.
    /// [`Error::Video`] if it is damaged.
    pub fn video(path: impl AsRef<Path>) -> Result<Frames> {
        Frames::video_with(path.as_ref(), &FramesOptions::default())
    }

    fn video_with(path: &Path, options: &FramesOptions) -> Result<Frames> {
        let video = Video::open(path, options)?;
        let rate = video.rate();
        Ok(Frames::new(Source::Video { frames: Ahead::new(video.len(), Arc::new(video)), rate }, *options))
    }

    /// Opens a folder as [`Frames::folder`] does, and any other path as [`Frames::video`] does.
    ///
    /// # Errors
    ///
    /// The errors of [`Frames::folder`] and [`Frames::video`].
    pub fn open(path: impl AsRef<Path>) -> Result<Frames> {
        Frames::open_with(path, &FramesOptions::default())
    }

    /// Opens a path as [`Frames::open`] does, with options.
    ///
    /// # Errors
    ///
    /// As [`Frames::open`].
    pub fn open_with(path: impl AsRef<Path>, options: &FramesOptions) -> Result<Frames> {
        let path = path.as_ref();
        if path.is_dir() {
            Ok(Frames::files_with(Frames::list(path)?, options))
        } else {
            Frames::video_with(path, options)
        }
    }

    /// Returns the same frames with a decoder of their own. A video file is not counted again. Programs that read a
    /// video at two positions use this, so that neither position waits for the other.
    #[must_use]
    pub fn reopen(&self) -> Frames {
        let source = match &*self.source {
            Source::Pictures(all) => Source::Pictures(all.clone()),
            Source::Files { frames, names } => Source::Files { frames: frames.reopen(), names: names.clone() },
            Source::Video { frames, rate } => Source::Video { frames: frames.reopen(), rate: *rate },
        };
        Frames::new(source, self.options)
    }

    /// Decodes frame `i`, which must exist, in the caller's thread.
    pub(super) fn decode(&self, i: usize, reverse: bool) -> Result<Arc<Picture>> {
        match &*self.source {
            Source::Pictures(all) => Ok(all[i].clone()),
            Source::Files { frames, .. } | Source::Video { frames, .. } => frames.decode(i, reverse),
        }
    }

    /// Returns whether damaged frames are skipped.
    pub(crate) fn keeps_damaged(&self) -> bool {
        self.options.keep_damaged
    }

    /// Returns the number of frames.
    #[must_use]
    pub fn len(&self) -> usize {
        match &*self.source {
            Source::Pictures(all) => all.len(),
            Source::Files { frames, .. } | Source::Video { frames, .. } => frames.len(),
        }
    }

    /// Returns whether there are no frames.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns frame `i`.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if there is no frame `i`. [`Error::Io`], [`Error::Picture`], [`Error::Video`] or
    /// [`Error::Ffmpeg`] if the frame cannot be read. [`Error::OutOfMemory`] if memory is exhausted.
    pub fn read(&self, i: usize) -> Result<Arc<Picture>> {
        if i >= self.len() {
            return Err(Error::input(format!("no frame {i}: there are {}", self.len())));
        }
        match &*self.source {
            Source::Pictures(all) => Ok(all[i].clone()),
            Source::Files { frames, .. } | Source::Video { frames, .. } => frames.read(i),
        }
    }

    /// Returns frame `i` if it is decoded, without waiting for it.
    pub(crate) fn decoded(&self, i: usize) -> Option<Arc<Picture>> {
        match &*self.source {
            Source::Pictures(all) => all.get(i).cloned(),
            Source::Files { frames, .. } | Source::Video { frames, .. } => frames.decoded(i),
        }
    }

    /// Returns the average frame rate of a video file in frames per second, from the timestamps of the frames. `None`
    /// if the timestamps give no rate, or if the frames are not those of a video file.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        match &*self.source {
            Source::Video { rate, .. } => *rate,
            _ => None,
        }
    }

    /// Returns the name of the file of frame `i`, without folder and extension. The name is `None` if frames are not
    /// separate files.
    #[must_use]
    pub fn name(&self, i: usize) -> Option<&str> {
        match &*self.source {
            Source::Files { names, .. } => names.get(i).map(String::as_str),
            _ => None,
        }
    }

    /// Returns the bytes of all decoded frames that are kept.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &*self.source {
            Source::Pictures(all) => all.iter().map(|p| p.pixels.len()).sum(),
            Source::Files { frames, .. } | Source::Video { frames, .. } => frames.bytes(),
        }
    }
}

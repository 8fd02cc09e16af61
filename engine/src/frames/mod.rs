//! The frames of a video.

mod ahead;
mod every;
mod folder;
mod names;
mod ppm;
mod survey;
mod video;

use crate::error::{Error, Result};
use crate::ffmpeg::PATIENCE;
use crate::picture::{Picture, ReadOptions};
use ahead::Ahead;
pub use folder::{is_hidden, natural_order};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use video::Video;

/// How frames are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FramesOptions {
    /// Take what decodes of damaged recordings, instead of failing. Of a damaged video file, or one that was joined of
    /// several, the frames are those that `ffmpeg` decodes, and a note says how many these are. Of a folder, a frame that
    /// does not decode keeps its number, and [`VideoPredictor::propagate_in_video`] passes over it with a note.
    ///
    /// [`VideoPredictor::propagate_in_video`]: crate::VideoPredictor::propagate_in_video
    pub keep_damaged: bool,
    /// How pictures are read. Of files with the same warning, the first one is logged. Frames of video files are turned as
    /// the file asks, whatever this says.
    pub read: ReadOptions,
    /// How long `ffmpeg` may take for the next part of a video file. A decoder that writes nothing for longer is ended, and
    /// reading fails. None: 15 seconds.
    pub decoder_timeout: Option<Duration>,
}

impl FramesOptions {
    /// How long `ffmpeg` may take for the next part.
    fn patience(&self) -> Duration {
        self.decoder_timeout.unwrap_or(PATIENCE)
    }
}

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
pub struct Frames {
    source: Arc<Source>,
    options: FramesOptions,
}

enum Source {
    Pictures(Vec<Arc<Picture>>),
    Files { frames: Ahead, names: Vec<String> },
    Video { frames: Ahead, rate: Option<f64> },
}

impl Frames {
    fn new(source: Source, options: FramesOptions) -> Frames {
        Frames { source: Arc::new(source), options }
    }

    /// Pictures in memory.
    pub fn pictures(pictures: Vec<Picture>) -> Frames {
        let pictures = pictures.into_iter().map(Arc::new).collect();
        Frames::new(Source::Pictures(pictures), FramesOptions::default())
    }

    /// Picture files, a frame each.
    pub fn files(files: Vec<PathBuf>) -> Frames {
        Frames::files_with(files, &FramesOptions::default())
    }

    /// [`Frames::files`] with options.
    pub fn files_with(files: Vec<PathBuf>, options: &FramesOptions) -> Frames {
        let name = |file: &PathBuf| file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let names = files.iter().map(name).collect();
        let frames = Ahead::new(files.len(), Arc::new(folder::Files::new(files, options.read)));
        Frames::new(Source::Files { frames, names }, *options)
    }

    /// The picture files of a folder that are named by numbers, in natural order.
    ///
    /// - The frames are the JPEG files (`.jpg`, `.jpeg`) if there are any: pictures of other kinds beside them are masks. Else
    ///   they are the PNG files, else those of another kind that is read.
    /// - If any of these are named by a number alone (`00000.jpg`, `1690000000.5.jpg`), only those are frames. Otherwise the
    ///   frames are the largest series of names that differ in their numbers alone: `frame_0001.jpg`, `img (1).jpg`,
    ///   `IMG_2024-01-02_10-00-01.jpg`. Two series of one size are an error.
    /// - Numbers may have any length and may leave gaps; a frame's index is its position, counted from 0. In `0.15`, as time
    ///   stamps are written, the digits after the point are a decimal fraction. Two files for one number (`7.jpg` and
    ///   `07.jpg`) are an error.
    /// - A warning counts the files that are left out, except for hidden ones and those that systems make.
    pub fn folder(path: impl AsRef<Path>) -> Result<Frames> {
        Ok(Frames::files(Frames::list(path)?))
    }

    /// The files that [`Frames::folder`] takes, in their order.
    pub fn list(path: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
        folder::list(path.as_ref())
    }

    /// The first video stream of a file, by the program `ffmpeg` (4.4 or later), which has to be installed; the
    /// environment variable `SAM2_FFMPEG` names it where it is not on the `PATH`.
    ///
    /// The file is decoded once from end to end, to count its frames. A file of which not everything decodes is an error
    /// here, the same each time the file is opened, and so is a stream whose frames change size;
    /// [`FramesOptions::keep_damaged`] takes what decodes. A rotation that the file asks for is applied; pixels that are not
    /// square stay as they are. An edit list of an MP4 or MOV file is applied as players do it: frames that it cuts off are
    /// not there, while the reference's reader (decord) returns them.
    ///
    /// Reading forwards costs what decoding costs. Seeking by time does not find frames exactly, so reading back starts
    /// again at the first frame and discards those before the wanted one; reading backwards frame by frame does so once
    /// per block of frames.
    pub fn video(path: impl AsRef<Path>) -> Result<Frames> {
        Frames::video_with(path.as_ref(), &FramesOptions::default())
    }

    fn video_with(path: &Path, options: &FramesOptions) -> Result<Frames> {
        let video = Video::open(path, options.keep_damaged, options.patience())?;
        let rate = video.rate();
        Ok(Frames::new(Source::Video { frames: Ahead::new(video.len(), Arc::new(video)), rate }, *options))
    }

    /// A folder as [`Frames::folder`], anything else as [`Frames::video`].
    pub fn open(path: impl AsRef<Path>) -> Result<Frames> {
        Frames::open_with(path, &FramesOptions::default())
    }

    /// [`Frames::open`] with options.
    pub fn open_with(path: impl AsRef<Path>, options: &FramesOptions) -> Result<Frames> {
        let path = path.as_ref();
        if path.is_dir() {
            Ok(Frames::files_with(Frames::list(path)?, options))
        } else {
            Frames::video_with(path, options)
        }
    }

    /// Every `stride`th of these frames, the first of them frame `first`. Names and rate are those of the chosen frames.
    pub fn every(&self, stride: usize, first: usize) -> Result<Frames> {
        if stride == 0 || first >= self.len() {
            return Err(Error::input(format!("every {stride} frames from frame {first} of {}", self.len())));
        }
        let every = every::Every { frames: self.clone(), stride, first };
        let names = (first..self.len()).step_by(stride).filter_map(|i| self.name(i)).map(String::from).collect();
        let frames = Ahead::new((self.len() - first).div_ceil(stride), Arc::new(every));
        let source = match &*self.source {
            Source::Files { .. } => Source::Files { frames, names },
            _ => Source::Video { frames, rate: self.rate().map(|rate| rate / stride as f64) },
        };
        Ok(Frames::new(source, self.options))
    }

    /// Decodes frame `i`, which there is, in the caller's thread.
    fn decode(&self, i: usize, reverse: bool) -> Result<Arc<Picture>> {
        match &*self.source {
            Source::Pictures(all) => Ok(all[i].clone()),
            Source::Files { frames, .. } | Source::Video { frames, .. } => frames.decode(i, reverse),
        }
    }

    /// Whether damaged frames are passed over.
    pub(crate) fn keeps_damaged(&self) -> bool {
        self.options.keep_damaged
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match &*self.source {
            Source::Pictures(all) => all.len(),
            Source::Files { frames, .. } | Source::Video { frames, .. } => frames.len(),
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
        match &*self.source {
            Source::Pictures(all) => Ok(all[i].clone()),
            Source::Files { frames, .. } | Source::Video { frames, .. } => frames.read(i),
        }
    }

    /// Frames a second, on average, where they come from a video file that says so.
    pub fn rate(&self) -> Option<f64> {
        match &*self.source {
            Source::Video { rate, .. } => *rate,
            _ => None,
        }
    }

    /// The name of the file that frame `i` comes from, without folder and extension; none where frames have no files of
    /// their own.
    pub fn name(&self, i: usize) -> Option<&str> {
        match &*self.source {
            Source::Files { names, .. } => names.get(i).map(String::as_str),
            _ => None,
        }
    }

    /// Bytes of decoded frames that are kept now.
    pub fn bytes(&self) -> usize {
        match &*self.source {
            Source::Pictures(all) => all.iter().map(|p| p.pixels.len()).sum(),
            Source::Files { frames, .. } | Source::Video { frames, .. } => frames.bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoder_has_fifteen_seconds_by_default() {
        assert_eq!(FramesOptions::default().patience(), Duration::from_secs(15));
        let hurried = FramesOptions { decoder_timeout: Some(Duration::from_secs(3)), ..Default::default() };
        assert_eq!(hurried.patience(), Duration::from_secs(3));
    }
}

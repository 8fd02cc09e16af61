//! The sources of the frames of a video, and the retention of frames.

use crate::error::{Error, Result};
use crate::media::format::PixelFormat;
use crate::media::frame::Frame;
use crate::media::frames::Frames;
use crate::media::picture::Picture;
use crate::media::size::Size;
use crate::memory::try_zeros;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many earlier frames of a stream are kept. Only kept frames can be corrected. The number also determines how much
/// memory an object takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// All frames are kept, and any frame can have prompts. Memory grows with every frame.
    Everything,
    /// The last frame and this number of frames before the last frame are kept, with their masks. Of earlier frames
    /// only the state that tracking needs is kept. Memory does not grow beyond [`VideoPredictor::object_bytes`].
    ///
    /// [`VideoPredictor::object_bytes`]: crate::VideoPredictor::object_bytes
    Window(usize),
}

/// The source of the frames of a new predictor.
pub(crate) enum VideoSource {
    /// All frames are known.
    Frames(Frames),
    /// Frames are pushed one by one, and kept as the retention says.
    Stream(Retention),
}

/// The frames of a predictor.
#[derive(Clone)]
pub(super) enum Source {
    Given { frames: Frames, first_key: u64 },
    Pushed(Pushed),
}

/// The frames of a stream.
#[derive(Clone)]
pub(super) struct Pushed {
    pub retention: Retention,
    /// The size of the frames. `None` before the first frame.
    pub size: Option<Size>,
    /// The number of frames so far.
    pub len: usize,
    /// The frames that are kept, which are the last ones.
    pub kept: VecDeque<Kept>,
    /// A frame that is no longer kept. The next frame uses its memory.
    pub spare: Option<Arc<Picture>>,
    /// A row of pixels, for frames whose rows must be converted.
    pub row: Vec<f32>,
}

/// A frame that was pushed.
#[derive(Clone)]
pub(super) struct Kept {
    pub key: u64,
    /// `None` if the frame is in a GPU's memory.
    pub picture: Option<Arc<Picture>>,
}

/// Reserves `n` keys that no other frame of the process has, and returns the first one.
fn keys(n: usize) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(n as u64, Ordering::Relaxed)
}

impl Source {
    pub fn given(frames: Frames) -> Source {
        let first_key = keys(frames.len());
        Source::Given { frames, first_key }
    }

    pub fn pushed(retention: Retention) -> Source {
        Source::Pushed(Pushed { retention, size: None, len: 0, kept: VecDeque::new(), spare: None, row: Vec::new() })
    }

    /// Returns the number of frames.
    pub fn len(&self) -> usize {
        match self {
            Source::Given { frames, .. } => frames.len(),
            Source::Pushed(p) => p.len,
        }
    }

    /// Returns the first frame that is kept.
    pub fn first(&self) -> usize {
        match self {
            Source::Given { .. } => 0,
            Source::Pushed(p) => p.len - p.kept.len(),
        }
    }

    /// Returns the number of frames of the whole video, or `usize::MAX` for a stream.
    pub fn known_len(&self) -> usize {
        match self {
            Source::Given { frames, .. } => frames.len(),
            Source::Pushed(_) => usize::MAX,
        }
    }

    /// Returns whether frames that do not decode are skipped.
    pub fn keeps_damaged(&self) -> bool {
        matches!(self, Source::Given { frames, .. } if frames.keeps_damaged())
    }

    /// Fails if there is no such frame, or if the frame is no longer kept.
    pub fn check(&self, frame: usize) -> Result<()> {
        let len = self.len();
        if frame >= len {
            return Err(Error::input(format!("no frame {frame}: the video has {len}, counted from 0")));
        }
        match self {
            Source::Pushed(p) if frame < self.first() => Err(Error::input(format!(
                "frame {frame} is no longer kept: of {len} frames the last {} are",
                p.kept.len()
            ))),
            _ => Ok(()),
        }
    }

    /// Returns the key of a frame. Fails if there is no such frame.
    pub fn key(&self, frame: usize) -> Result<u64> {
        self.check(frame)?;
        Ok(match self {
            Source::Given { first_key, .. } => first_key + frame as u64,
            Source::Pushed(p) => p.kept[frame + p.kept.len() - p.len].key,
        })
    }

    /// Returns whether a frame has this key.
    pub fn has_key(&self, key: u64) -> bool {
        match self {
            Source::Given { frames, first_key } => (*first_key..first_key + frames.len() as u64).contains(&key),
            Source::Pushed(p) => p.kept.iter().any(|kept| kept.key == key),
        }
    }

    /// Returns the key of a given frame, and a function that returns its pixels if the frame is decoded.
    pub fn given_picture(&self, frame: usize) -> Option<(u64, impl Fn() -> Option<Arc<Picture>> + '_)> {
        match self {
            Source::Given { frames, first_key } if frame < frames.len() => {
                Some((first_key + frame as u64, move || frames.decoded(frame)))
            }
            _ => None,
        }
    }

    /// Returns the pixels of a frame.
    pub fn picture(&self, frame: usize) -> Result<Arc<Picture>> {
        self.check(frame)?;
        match self {
            Source::Given { frames, .. } => frames.read(frame),
            Source::Pushed(p) => p.kept[frame + p.kept.len() - p.len].picture.clone().ok_or_else(|| {
                Error::input(format!("frame {frame} was in a GPU's memory and is not kept: another came since"))
            }),
        }
    }
}

impl Pushed {
    /// Adds the next frame.
    pub fn push(&mut self, picture: Option<Arc<Picture>>) {
        self.kept.push_back(Kept { key: keys(1), picture });
        self.len += 1;
    }

    /// Removes the last frame.
    pub fn unpush(&mut self) {
        self.kept.pop_back();
        self.len -= 1;
    }

    /// Drops the frames that the retention does not keep.
    pub fn trim(&mut self) {
        if let Retention::Window(n) = self.retention {
            let extra = self.kept.len().saturating_sub(n.saturating_add(1));
            let dropped = self.kept.drain(..extra).rev().find_map(|kept| kept.picture);
            self.spare = dropped.or(self.spare.take());
        }
    }

    /// Copies a frame in the host's memory, interleaved and with rows from the top. Returns `None` for a frame in a
    /// GPU's memory.
    pub fn copy(&mut self, frame: &Frame<'_>) -> Result<Option<Arc<Picture>>> {
        if frame.is_device() {
            return Ok(None);
        }
        // A picture that a fork has too stays as it is.
        let spare = self.spare.take().filter(|spare| Arc::strong_count(spare) == 1);
        let new = || Arc::new(Picture { pixels: Vec::new(), width: 0, height: 0, format: PixelFormat::Rgb8 });
        let mut picture = spare.unwrap_or_else(new);
        if let Some(picture) = Arc::get_mut(&mut picture) {
            copy_into(frame, picture, &mut self.row)?;
        }
        Ok(Some(picture))
    }
}

/// Copies a frame in the host's memory, interleaved and with rows from the top. Returns `None` for a frame in a GPU's
/// memory.
pub(crate) fn copy(frame: &Frame<'_>) -> Result<Option<Arc<Picture>>> {
    if frame.is_device() {
        return Ok(None);
    }
    let mut picture = Picture { pixels: Vec::new(), width: 0, height: 0, format: PixelFormat::Rgb8 };
    copy_into(frame, &mut picture, &mut Vec::new())?;
    Ok(Some(Arc::new(picture)))
}

/// Makes `picture` a copy of a frame in the host's memory. `buffer` gets room for a row of pixels, for frames whose
/// rows must be converted.
fn copy_into(frame: &Frame<'_>, picture: &mut Picture, buffer: &mut Vec<f32>) -> Result<()> {
    let (width, height, format) = (frame.width(), frame.height(), frame.format().interleaved());
    let row = format.row_bytes(0, width);
    if picture.pixels.len() != row * height {
        picture.pixels = try_zeros::<u8>(row * height, "a frame")?;
    }
    if buffer.len() != width * 3 {
        *buffer = try_zeros::<f32>(width * 3, "a frame")?;
    }
    for (y, out) in picture.pixels.chunks_mut(row).enumerate() {
        out.copy_from_slice(frame.pixels(y, 0..width, buffer));
    }
    (picture.width, picture.height, picture.format) = (width, height, format);
    Ok(())
}

//! Where the frames of a video come from, and how long they are kept.

use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::frames::Frames;
use crate::memory::try_zeros;
use crate::picture::Picture;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How far back a stream can be corrected, and with it how much memory an object takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// Everything is kept: anything may be said of any frame. Memory grows with every frame.
    Everything,
    /// Beside the last frame so many before it are kept, pictures and masks; what tracking needs of earlier ones is kept
    /// too. Memory stays what [`VideoPredictor::object_bytes`] says.
    ///
    /// [`VideoPredictor::object_bytes`]: crate::VideoPredictor::object_bytes
    Window(usize),
}

/// The frames of a predictor.
#[derive(Clone)]
pub(super) enum Source {
    Given { frames: Frames, first_key: u64 },
    Pushed(Pushed),
}

/// Frames as they come.
#[derive(Clone)]
pub(super) struct Pushed {
    pub retention: Retention,
    /// Height and width, once there was a frame.
    pub size: Option<(usize, usize)>,
    /// Frames so far.
    pub len: usize,
    /// The last of them.
    pub kept: VecDeque<Kept>,
}

/// A frame that was pushed.
#[derive(Clone)]
pub(super) struct Kept {
    pub key: u64,
    /// None where it is in a GPU's memory.
    pub picture: Option<Arc<Picture>>,
}

/// Numbers that no other frame of the process has.
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
        Source::Pushed(Pushed { retention, size: None, len: 0, kept: VecDeque::new() })
    }

    /// How many frames there are.
    pub fn len(&self) -> usize {
        match self {
            Source::Given { frames, .. } => frames.len(),
            Source::Pushed(p) => p.len,
        }
    }

    /// The first that is kept.
    pub fn first(&self) -> usize {
        match self {
            Source::Given { .. } => 0,
            Source::Pushed(p) => p.len - p.kept.len(),
        }
    }

    /// How many there will be, as far as anybody knows.
    pub fn known_len(&self) -> usize {
        match self {
            Source::Given { frames, .. } => frames.len(),
            Source::Pushed(_) => usize::MAX,
        }
    }

    /// Whether frames that do not decode are passed over.
    pub fn keeps_damaged(&self) -> bool {
        matches!(self, Source::Given { frames, .. } if frames.keeps_damaged())
    }

    /// Fails when there is no such frame, or none any more.
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

    /// The number by which a frame is known, which there must be.
    pub fn key(&self, frame: usize) -> Result<u64> {
        self.check(frame)?;
        Ok(match self {
            Source::Given { first_key, .. } => first_key + frame as u64,
            Source::Pushed(p) => p.kept[frame + p.kept.len() - p.len].key,
        })
    }

    /// A frame's picture.
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
    /// The next frame.
    pub fn push(&mut self, picture: Option<Arc<Picture>>) {
        self.kept.push_back(Kept { key: keys(1), picture });
        self.len += 1;
    }

    /// Takes the last frame back.
    pub fn unpush(&mut self) {
        self.kept.pop_back();
        self.len -= 1;
    }

    /// Drops what the retention says.
    pub fn trim(&mut self) {
        if let Retention::Window(n) = self.retention {
            let extra = self.kept.len().saturating_sub(n.saturating_add(1));
            self.kept.drain(..extra);
        }
    }
}

/// A copy of a frame in the host's memory, interleaved and rows from the top; none of one that is elsewhere.
pub(crate) fn copy(frame: &Frame<'_>) -> Result<Option<Arc<Picture>>> {
    if frame.is_device() {
        return Ok(None);
    }
    let (width, height, format) = (frame.width(), frame.height(), frame.format().interleaved());
    let row = format.row_bytes(0, width);
    let mut pixels = try_zeros::<u8>(row * height, "a frame")?;
    let mut buffer = try_zeros::<f32>(width * 3, "a frame")?;
    for (y, out) in pixels.chunks_mut(row).enumerate() {
        out.copy_from_slice(frame.pixels(y, 0..width, &mut buffer));
    }
    Ok(Some(Arc::new(Picture { pixels, width, height, format })))
}

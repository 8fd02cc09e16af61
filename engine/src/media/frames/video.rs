//! Frames of a video file that `ffmpeg` decodes.

use super::ahead::Decode;
use super::options::FramesOptions;
use super::ppm;
use super::scan::{VideoInfo, input, scan};
use crate::cancellation;
use crate::error::{Error, Result};
use crate::media::ffmpeg::{Ffmpeg, Process, Running};
use crate::media::format::PixelFormat;
use crate::media::picture::Picture;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The largest number of bytes of the block of frames that is kept for reading backwards.
const BLOCK: usize = 256 << 20;

/// A video file.
pub(super) struct Video {
    path: PathBuf,
    ffmpeg: Ffmpeg,
    info: VideoInfo,
    /// The number of frames of a block.
    block: usize,
    reader: Mutex<Reader>,
    /// The running decoder. The outer option is `None` after the last reader was dropped.
    running: Mutex<Option<Option<Running>>>,
    bytes: AtomicUsize,
    /// The time that the decoder may take for its next output.
    limit: Duration,
}

/// Returns the message about a decoder that was ended because it stalled.
fn stalled(limit: Duration) -> String {
    format!("ffmpeg has decoded nothing for {} seconds, and was ended", limit.as_secs_f64())
}

/// The running decoder, and the block of frames that was decoded.
#[derive(Default)]
struct Reader {
    /// The decoder, and the number of the frame that it decodes next.
    process: Option<(Process, usize)>,
    /// Consecutive frames, and the number of the first one.
    block: VecDeque<Arc<Picture>>,
    first: usize,
}

impl Video {
    pub(super) fn open(path: &Path, options: &FramesOptions) -> Result<Video> {
        let data = std::fs::metadata(path).map_err(|e| Error::io(path, e))?;
        if !data.is_file() {
            return Err(Error::Video { path: path.display().to_string(), what: "not a file".into() });
        }
        let limit = options.patience();
        let ffmpeg = Ffmpeg::find()?.with_limit(limit).with_limits(options.decoder_limits);
        let info = scan(&ffmpeg, path, options).map_err(|e| match e {
            Error::Io { source, path } if source.kind() == std::io::ErrorKind::TimedOut => {
                Error::Video { path, what: stalled(limit) }
            }
            e => e,
        })?;
        Ok(Video::new(path.into(), ffmpeg, info, limit))
    }

    fn new(path: PathBuf, ffmpeg: Ffmpeg, info: VideoInfo, limit: Duration) -> Video {
        let block = (BLOCK / (info.size.0 * info.size.1 * 3)).max(2);
        let (reader, running, bytes) = (Mutex::default(), Mutex::new(Some(None)), AtomicUsize::new(0));
        Video { path, ffmpeg, info, block, reader, running, bytes, limit }
    }

    pub(super) fn len(&self) -> usize {
        self.info.count
    }

    pub(super) fn rate(&self) -> Option<f64> {
        self.info.rate
    }

    fn error(&self, what: String) -> Error {
        Error::Video { path: self.path.display().to_string(), what }
    }

    fn running(&self) -> MutexGuard<'_, Option<Option<Running>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a decoder at frame 0.
    fn start(&self) -> Result<Process> {
        let mut args = input(&self.path, self.info.whole);
        args.extend(["-map", "0:V:0"].into_iter().chain(self.ffmpeg.every_frame()).map(OsString::from));
        args.extend(["-pix_fmt", "rgb24", "-c:v", "ppm", "-f", "image2pipe", "pipe:1"].map(OsString::from));
        let mut running = self.running();
        let Some(place) = &mut *running else { return Err(self.error("closed".into())) };
        let process = self.ffmpeg.start(&args, Stdio::null())?;
        *place = Some(process.running());
        Ok(process)
    }

    /// Makes `i` the next frame of the decoder. The decoder continues from its position, or starts again at the first
    /// frame.
    fn go_to(&self, process: &mut Option<(Process, usize)>, i: usize) -> Result<()> {
        if process.as_ref().is_none_or(|(_, next)| *next > i) {
            *process = None;
            *process = Some((self.start()?, 0));
        }
        while process.as_ref().is_some_and(|(_, next)| *next < i) {
            self.next(process, false)?;
        }
        Ok(())
    }

    /// Decodes the next frame, and returns it if it is `wanted`. After an error there is no decoder.
    fn next(&self, process: &mut Option<(Process, usize)>, wanted: bool) -> Result<Option<Arc<Picture>>> {
        let Some((mut decoder, i)) = process.take() else {
            return Err(Error::Internal("no decoder".into()));
        };
        let size = self.info.size;
        let pixels = match ppm::header(&mut decoder.output) {
            Ok(Some(found)) if found != size => {
                let ((w, h), (width, height)) = (found, size);
                return Err(self.error(format!("frame {i} has {w}x{h} pixels, those before it {width}x{height}")));
            }
            Ok(Some(_)) if wanted => ppm::pixels(&mut decoder.output, size)?.map(Some),
            Ok(Some(_)) => ppm::skip(&mut decoder.output, size).map(|()| None),
            Ok(None) => Err(std::io::ErrorKind::UnexpectedEof.into()),
            Err(e) => Err(e),
        };
        if pixels.is_err() {
            cancellation::check()?;
        }
        if let Err(e) = &pixels
            && e.kind() == std::io::ErrorKind::TimedOut
        {
            return Err(self.error(format!("frame {i}: {}", stalled(self.limit))));
        }
        if let Err(e) = &pixels
            && e.kind() == std::io::ErrorKind::InvalidData
        {
            // Who writes something else may do so for ever: dropped, not waited for.
            return Err(self.error(format!("frame {i}: not what ffmpeg writes: {e}")));
        }
        let Ok(pixels) = pixels else {
            let count = self.info.count;
            let finished = decoder.finish();
            cancellation::check()?;
            return Err(self.error(match finished {
                Ok(_) => format!("frame {i}: the video ended after {i} of {count} frames"),
                Err(words) => format!("frame {i}: {words}"),
            }));
        };
        *process = Some((decoder, i + 1));
        let format = PixelFormat::Rgb8;
        Ok(pixels.map(|pixels| Arc::new(Picture { pixels, width: size.0, height: size.1, format })))
    }

    fn frame(&self, process: &mut Option<(Process, usize)>) -> Result<Arc<Picture>> {
        self.next(process, true)?.ok_or_else(|| Error::Internal("a frame without pixels".into()))
    }
}

impl Decode for Video {
    fn decode(&self, i: usize, reverse: bool) -> Result<Arc<Picture>> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = &mut *reader;
        let found = if let Some(found) = i.checked_sub(reader.first).and_then(|k| reader.block.get(k)) {
            // Those after it have been read.
            let found = found.clone();
            reader.block.truncate(if reverse { i - reader.first } else { reader.block.len() });
            Ok(found)
        } else {
            reader.block.clear();
            reader.first = if reverse { (i + 1).saturating_sub(self.block) } else { i };
            self.go_to(&mut reader.process, reader.first).and_then(|()| {
                for _ in reader.first..i {
                    reader.block.push_back(self.frame(&mut reader.process)?);
                }
                self.frame(&mut reader.process)
            })
        };
        let size = self.info.size;
        self.bytes.store(reader.block.len() * size.0 * size.1 * 3, Ordering::Relaxed);
        found
    }

    fn decode_in_child(&self, _: usize) -> Result<Arc<Picture>> {
        Err(self.error("it was opened before this process was forked; open it in the child".into()))
    }

    fn reopen(&self) -> Arc<dyn Decode> {
        Arc::new(Video::new(self.path.clone(), self.ffmpeg.clone(), self.info.clone(), self.limit))
    }

    fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn stop(&self) {
        if let Some(Some(decoder)) = self.running().take() {
            decoder.kill();
        }
    }
}

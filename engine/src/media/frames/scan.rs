//! Scans a video file by decoding the whole file.

use super::options::FramesOptions;
use crate::cancellation;
use crate::error::{Error, Result};
use crate::media::ffmpeg::Ffmpeg;
use crate::media::frame::MAX_SIDE;
use crate::media::picture::MAX_PIXELS;
use std::ffi::OsString;
use std::io::{BufRead, Read};
use std::path::Path;
use std::process::Stdio;

/// Common frame rates. They are preferred to rates that the timestamps cannot tell from them.
const COMMON: [f64; 9] = [24e3 / 1001.0, 24.0, 25.0, 30e3 / 1001.0, 30.0, 48.0, 50.0, 60e3 / 1001.0, 60.0];
/// The longest tick, in seconds, of a clock to which files round times. A longer tick is the time of a frame.
const CLOCK: f64 = 0.002;
/// The largest relative difference of a stream's own rate from a common rate that counts as equal. Some containers
/// store the time of a frame in nanoseconds.
const EXACT: f64 = 1e-6;

/// The largest number of bytes of a line, and the largest number of frames of a video: 46 hours at 60 frames per
/// second.
const LINE: u64 = 1024;
const FRAMES: usize = 10_000_000;

/// The kinds of files that are read. Lists of other files, numbered images and text are not among them: `ffmpeg` would
/// follow the lists, and draw the text.
const KINDS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,av1,obu,ivf,ogg,flv,\
                     asf,mxf,nut,rm,dv,mjpeg,gif,apng,yuv4mpegpipe,vc1,swf";

/// The number, size and rate of the frames of a video file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct VideoInfo {
    pub count: usize,
    /// The width and height in pixels.
    pub size: (usize, usize),
    /// The average number of frames per second.
    pub rate: Option<f64>,
    /// Whether the whole file was decoded.
    pub whole: bool,
}

/// Returns the arguments that make a file the input of `ffmpeg`. With `whole`, a frame that cannot be decoded ends the
/// program. Without `whole`, the decoder conceals the damage. The decoder then runs in one thread, because several
/// threads conceal the same damage differently in each run.
pub(super) fn input(path: &Path, whole: bool) -> Vec<OsString> {
    let damage: &[&str] = if whole { &["-xerror"] } else { &["-threads", "1"] };
    let kinds = ["-protocol_whitelist", "file", "-format_whitelist", KINDS, "-i"];
    let mut args: Vec<OsString> = damage.iter().chain(&kinds).map(OsString::from).collect();
    let mut file = OsString::from("file:");
    file.push(path);
    args.push(file);
    args
}

/// Decodes a file.
///
/// The messages of `ffmpeg` decide whether the file is damaged, and not only its exit status. The damage of a frame may
/// be detected only after the frame was passed on, so that the status differs from run to run.
pub(super) fn scan(ffmpeg: &Ffmpeg, path: &Path, options: &FramesOptions) -> Result<VideoInfo> {
    let wrong = |what: String| Error::Video { path: path.display().to_string(), what };
    let strict = decode(ffmpeg, path, true, options)?;
    let Some(damage) = strict.damage() else { return strict.lists.scan(true).map_err(wrong) };
    let kept = decode(ffmpeg, path, false, options)?;
    let damage = kept.damage().unwrap_or(damage);
    let Ok(info) = kept.lists.scan(false) else { return Err(wrong(damage.into())) };
    let what = format!("damaged, or joined of several recordings: {} frames decode; {damage}", info.count);
    if !options.keep_damaged {
        return Err(wrong(format!("{what}; keep_damaged (--keep-damaged) takes these frames")));
    }
    log::warn!("{}: {what}", path.display());
    Ok(info)
}

/// The result of decoding.
struct Decoded {
    lists: Lists,
    /// The messages of `ffmpeg` about damage.
    said: Option<String>,
}

impl Decoded {
    fn damage(&self) -> Option<&str> {
        self.said.as_deref().or(self.lists.changed.as_deref())
    }
}

/// Decodes a file and reads two lists that `ffmpeg` prints. Containers state neither the number of frames nor changes
/// of their size. So `ffmpeg` makes two outputs of what it decodes: the top row of each frame, and the left column,
/// with one byte per pixel. Each list has the lengths and times of one output.
fn decode(ffmpeg: &Ffmpeg, path: &Path, whole: bool, options: &FramesOptions) -> Result<Decoded> {
    let graph = "[0:V:0]format=gray,split[a][b];[a]crop=iw:1:0:0[rows];[b]crop=1:ih:0:0[columns]";
    let mut args = input(path, whole);
    let outputs = ["-filter_complex", graph, "-map", "[rows]", "-map", "[columns]", "-autoscale", "0"];
    args.extend(outputs.into_iter().chain(ffmpeg.every_frame()).map(OsString::from));
    args.extend(["-c:v", "rawvideo", "-f", "framecrc", "pipe:1"].map(OsString::from));
    let mut process = ffmpeg.start(&args, Stdio::null())?;
    let mut lists = Lists::new(options);
    let wrong = |what: String| Error::Video { path: path.display().to_string(), what };
    loop {
        let mut line = Vec::new();
        let read = (&mut process.output).take(LINE).read_until(b'\n', &mut line);
        cancellation::check()?;
        if read.map_err(|e| Error::io(path, e))? == 0 {
            break;
        }
        lists.take(String::from_utf8_lossy(&line).trim_end()).map_err(wrong)?;
    }
    let finished = process.finish();
    cancellation::check()?;
    let said = match finished {
        Ok(words) => words.lines().rfind(|line| tells_damage(line)).map(String::from),
        Err(line) => Some(line),
    };
    Ok(Decoded { lists, said: said.map(|line| plain(path, &line)) })
}

/// Returns whether a message of `ffmpeg` at its level `error` reports damage. Messages about sound and chapters do not:
/// `ffmpeg` reads both only to find the streams.
fn tells_damage(line: &str) -> bool {
    const OTHER: [&str; 11] = ["aac", "ac3", "eac3", "dca", "truehd", "mp2", "mp3", "opus", "vorbis", "pcm", "wma"];
    let by = line.strip_prefix('[').unwrap_or_default();
    !line.trim().is_empty() && !OTHER.iter().any(|name| by.starts_with(name)) && !line.contains("chapter")
}

/// Returns a line of `ffmpeg` without memory addresses and without the name of the file.
fn plain(path: &Path, line: &str) -> String {
    if line.contains("matches no streams") {
        return "no video stream: the file has only sound, or a cover picture".into();
    }
    let line = line.strip_prefix(&format!("file:{}: ", path.display())).unwrap_or(line);
    let by = line.strip_prefix('[').and_then(|line| line.split_once(" @ 0x"));
    let parts = by.and_then(|(name, rest)| Some((name, rest.split_once("] ")?.1)));
    parts.map_or(line.into(), |(name, what)| format!("{name}: {what}"))
}

/// The lists that were printed so far.
#[derive(Default)]
struct Lists {
    /// The widths and the heights.
    sides: [Side; 2],
    /// The message about the first frame of another size, if there is one. Frames from there on do not count.
    changed: Option<String>,
    /// The tick of the timestamps in seconds, as a fraction.
    tick: Option<(f64, f64)>,
    /// The smallest and the largest timestamp.
    times: Option<(i64, i64)>,
    /// The largest number of frames, and the largest side.
    most: (usize, usize),
}

#[derive(Default)]
struct Side {
    count: usize,
    pixels: usize,
    changed: bool,
}

impl Lists {
    fn new(options: &FramesOptions) -> Lists {
        let most =
            (options.max_frames.unwrap_or(FRAMES).min(FRAMES), options.max_side.unwrap_or(MAX_SIDE).min(MAX_SIDE));
        Lists { most, ..Default::default() }
    }

    /// Reads a line: `#tb 0: 1001/30000` or `0, dts, pts, duration, size, checksum`.
    fn take(&mut self, line: &str) -> Result<(), String> {
        if let Some(tick) = line.strip_prefix("#tb 0: ") {
            let fraction = tick.split_once('/').and_then(|(n, d)| Some((n.parse().ok()?, d.parse().ok()?)));
            self.tick = fraction.filter(|(n, d): &(f64, f64)| *n > 0.0 && *d > 0.0);
        }
        if line.starts_with('#') {
            return Ok(());
        }
        let mut fields = line.split(',').map(|f| f.trim().parse::<i64>().ok());
        let fields: [Option<i64>; 5] = std::array::from_fn(|_| fields.next().flatten());
        let [Some(list @ (0 | 1)), _, time, _, Some(pixels @ 1..)] = fields else {
            return Err(format!("ffmpeg told {:?} of its frames", line.chars().take(80).collect::<String>()));
        };
        if let (0, Some(time)) = (list, time) {
            let (first, last) = self.times.unwrap_or((time, time));
            self.times = Some((first.min(time), last.max(time)));
        }
        let (side, pixels) = (&mut self.sides[list as usize], pixels as usize);
        if side.count > 0 && side.pixels != pixels && !side.changed {
            let (frame, what) = (side.count, if list == 0 { "across" } else { "down" });
            let what = format!("frame {frame} has {pixels} pixels {what}, those before it {}", side.pixels);
            (side.changed, self.changed) = (true, Some(what));
        }
        let (frames, most) = self.most;
        if side.count == frames {
            return Err(format!("more than {frames} frames"));
        }
        if pixels > most {
            return Err(format!("frame {} has a side of {pixels} pixels; a side may have {most}", side.count));
        }
        if !side.changed {
            (side.count, side.pixels) = (side.count + 1, pixels);
        }
        Ok(())
    }

    /// Returns the result of the lists.
    fn scan(&self, whole: bool) -> Result<VideoInfo, String> {
        let [across, down] = &self.sides;
        if whole && across.count != down.count {
            return Err(format!("ffmpeg told {} widths and {} heights", across.count, down.count));
        }
        let (count, size) = (across.count.min(down.count), (across.pixels, down.pixels));
        if count == 0 {
            return Err("no frames".into());
        }
        if size.0 * size.1 > MAX_PIXELS {
            return Err(format!("{}x{} pixels; a picture may have {MAX_PIXELS}", size.0, size.1));
        }
        Ok(VideoInfo { count, size, rate: self.rate(count), whole })
    }

    /// Returns the frames per second. A tick is either that of the stream's own rate, or that of a clock to which times
    /// are rounded. In both cases the nearest common rate is returned if the times fit it.
    fn rate(&self, count: usize) -> Option<f64> {
        let ticks = self.times.map_or(0, |(first, last)| last.saturating_sub(first)) as f64;
        let (n, d) = self.tick.filter(|_| count > 1 && ticks > 0.0)?;
        let rate = (count - 1) as f64 * d / (ticks * n);
        let rounding = if n / d > CLOCK { EXACT } else { 1.0 / ticks };
        let far = |common: &f64| (common / rate - 1.0).abs();
        let nearest = COMMON.into_iter().min_by(|a, b| far(a).total_cmp(&far(b)));
        nearest.filter(|common| far(common) <= rounding).or(Some(rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(text: &str) -> Result<VideoInfo, String> {
        let mut lists = Lists::new(&FramesOptions::default());
        text.lines().try_for_each(|line| lists.take(line))?;
        lists.changed.clone().map_or_else(|| lists.scan(true), Err)
    }

    #[test]
    fn counts_sizes_and_rates() {
        let frames = |tick: &str, times: &[i64]| {
            let line = |t: &i64| format!("0, {t}, {t}, 1, 480, 0x0\n1, {t}, {t}, 1, 360, 0x0\n");
            format!("#tb 0: {tick}\n#tb 1: 1/7\n{}", times.iter().map(line).collect::<String>())
        };
        let info = lists(&frames("1001/30000", &[0, 1, 2])).unwrap();
        assert_eq!((info.count, info.size), (3, (480, 360)));
        assert_eq!(info.rate, Some(30e3 / 1001.0));
        assert_eq!(lists(&frames("1/1000", &[0, 42, 83, 125])).unwrap().rate, Some(24.0));
        assert_eq!(lists(&frames("1/1000", &[0, 100, 250, 300])).unwrap().rate, Some(10.0));
        // The stream's own rate is exact, however short the video.
        for rate in [22, 28, 31, 52, 55] {
            assert_eq!(lists(&frames(&format!("1/{rate}"), &[0, 1])).unwrap().rate, Some(rate as f64));
        }
        assert_eq!(lists(&frames("1/11264", &[0, 512, 1024])).unwrap().rate, Some(22.0));
        assert_eq!(lists(&frames("1/25", &[0, 1, 2, 4, 5])).unwrap().rate, Some(20.0));
        assert_eq!(lists(&frames("1/25", &[5])).unwrap().rate, None);
        assert_eq!(lists(&frames("1/0", &[5, 6])).unwrap().rate, None);
    }

    #[test]
    fn what_does_not_fit() {
        for (text, says) in [
            ("0, 0, 0, 1, 480, 0x0\n0, 1, 1, 1, 481, 0x0\n", "frame 1 has 481 pixels across"),
            ("1, 0, 0, 1, 480, 0x0\n1, 1, 1, 1, 481, 0x0\n", "frame 1 has 481 pixels down"),
            ("0, 0, 0, 1, 480, 0x0\n", "1 widths and 0 heights"),
            ("0, 0, 0, 1, 99999, 0x0\n1, 0, 0, 1, 2, 0x0\n", "a side of 99999 pixels"),
            ("0, 0, 0, 1, 30000, 0x0\n1, 0, 0, 1, 30000, 0x0\n", "30000x30000 pixels"),
            ("#tb 0: 1/25\n", "no frames"),
            ("2, 0, 0, 1, 480, 0x0\n", "ffmpeg told"),
            ("0, 0, 0, 1, -1\n", "ffmpeg told"),
            ("whatever\n", "ffmpeg told"),
        ] {
            let got = lists(text);
            assert!(matches!(&got, Err(what) if what.contains(says)), "{text:?}: {got:?}");
        }
        let mut few = Lists::new(&FramesOptions { max_frames: Some(2), max_side: Some(64), ..Default::default() });
        assert_eq!((0..2).map(|t| few.take(&format!("0, {t}, {t}, 1, 64, 0x0"))).collect::<Vec<_>>(), [Ok(()), Ok(())]);
        assert_eq!(few.take("0, 2, 2, 1, 64, 0x0"), Err("more than 2 frames".into()));
        assert!(few.take("1, 0, 0, 1, 65, 0x0").is_err());
    }
}

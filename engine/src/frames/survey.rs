//! What a video file holds, found by decoding it from end to end.

use super::video::input;
use crate::error::{Error, Result};
use crate::ffmpeg::Ffmpeg;
use crate::frame::MAX_SIDE;
use crate::picture::MAX_PIXELS;
use std::ffi::OsString;
use std::io::{BufRead, Read};
use std::path::Path;
use std::process::Stdio;

/// Rates that are meant where timestamps cannot tell another one from them.
const COMMON: [f64; 9] = [24e3 / 1001.0, 24.0, 25.0, 30e3 / 1001.0, 30.0, 48.0, 50.0, 60e3 / 1001.0, 60.0];
/// Seconds of the longest tick of a clock to which files round times; a longer one is the time of a frame.
const CLOCK: f64 = 0.002;
/// How far a stream's own rate may be from the rate that is meant: some containers keep the time of a frame in nanoseconds.
const EXACT: f64 = 1e-6;

/// The most bytes of a line, and the most frames of a video: 46 hours of 60 a second.
const LINE: u64 = 1024;
const FRAMES: usize = 10_000_000;

/// What there is.
#[derive(Debug, PartialEq)]
pub(super) struct Survey {
    pub count: usize,
    /// Pixels across and down.
    pub size: (usize, usize),
    /// Frames a second, on average.
    pub rate: Option<f64>,
    /// Whether everything was decoded.
    pub whole: bool,
}

/// Decodes a file.
///
/// Whether the file is damaged is decided by what `ffmpeg` says, not by its exit status alone: whether a frame is damaged
/// may be known only after the frame was passed on, so that the status differs from run to run.
pub(super) fn survey(ffmpeg: &Ffmpeg, path: &Path, keep_damaged: bool) -> Result<Survey> {
    let wrong = |what: String| Error::Video { path: path.display().to_string(), what };
    let strict = decode(ffmpeg, path, true)?;
    let Some(damage) = strict.damage() else { return strict.lists.survey(true).map_err(wrong) };
    let kept = decode(ffmpeg, path, false)?;
    let damage = kept.damage().unwrap_or(damage);
    let Ok(survey) = kept.lists.survey(false) else { return Err(wrong(damage.into())) };
    let what = format!("damaged, or joined of several recordings: {} frames decode; {damage}", survey.count);
    if !keep_damaged {
        return Err(wrong(format!("{what}; keep_damaged (--keep-damaged) takes these frames")));
    }
    log::warn!("{}: {what}", path.display());
    Ok(survey)
}

/// What decoding came to.
struct Decoded {
    lists: Lists,
    /// What `ffmpeg` said of damage.
    said: Option<String>,
}

impl Decoded {
    fn damage(&self) -> Option<&str> {
        self.said.as_deref().or(self.lists.changed.as_deref())
    }
}

/// Containers tell neither the number of frames nor that their size changes, so `ffmpeg` gives two lists of what it
/// decodes: the top row of each frame, and its left column, a byte per pixel. Of these, lengths and times are printed.
fn decode(ffmpeg: &Ffmpeg, path: &Path, whole: bool) -> Result<Decoded> {
    let graph = "[0:V:0]format=gray,split[a][b];[a]crop=iw:1:0:0[rows];[b]crop=1:ih:0:0[columns]";
    let mut args = input(path, whole);
    let options = ["-filter_complex", graph, "-map", "[rows]", "-map", "[columns]", "-autoscale", "0"];
    args.extend(options.into_iter().chain(ffmpeg.every_frame()).map(OsString::from));
    args.extend(["-c:v", "rawvideo", "-f", "framecrc", "pipe:1"].map(OsString::from));
    let mut process = ffmpeg.start(&args, Stdio::null())?;
    let mut lists = Lists::default();
    let wrong = |what: String| Error::Video { path: path.display().to_string(), what };
    loop {
        let mut line = Vec::new();
        let length = (&mut process.output).take(LINE).read_until(b'\n', &mut line).map_err(|e| Error::io(path, e))?;
        if length == 0 {
            break;
        }
        lists.take(String::from_utf8_lossy(&line).trim_end()).map_err(wrong)?;
    }
    let said = match process.finish() {
        Ok(words) => words.lines().rfind(|line| tells_damage(line)).map(String::from),
        Err(line) => Some(line),
    };
    Ok(Decoded { lists, said: said.map(|line| plain(path, &line)) })
}

/// What `ffmpeg` says at its level `error` is of damage, but for what is said of sound, which is looked at to find what the
/// streams are, and of chapters.
fn tells_damage(line: &str) -> bool {
    const OTHER: [&str; 11] = ["aac", "ac3", "eac3", "dca", "truehd", "mp2", "mp3", "opus", "vorbis", "pcm", "wma"];
    let by = line.strip_prefix('[').unwrap_or_default();
    !line.trim().is_empty() && !OTHER.iter().any(|name| by.starts_with(name)) && !line.contains("chapter")
}

/// A line of `ffmpeg` without addresses of its memory and without the file's name.
fn plain(path: &Path, line: &str) -> String {
    if line.contains("matches no streams") {
        return "no video stream: the file has only sound, or a cover picture".into();
    }
    let line = line.strip_prefix(&format!("file:{}: ", path.display())).unwrap_or(line);
    let by = line.strip_prefix('[').and_then(|line| line.split_once(" @ 0x"));
    let parts = by.and_then(|(name, rest)| Some((name, rest.split_once("] ")?.1)));
    parts.map_or(line.into(), |(name, what)| format!("{name}: {what}"))
}

/// What is printed, so far.
#[derive(Default)]
struct Lists {
    /// Widths and heights.
    sides: [Side; 2],
    /// The first frame of another size, if there is one: frames from there on do not count.
    changed: Option<String>,
    /// A tick of the timestamps in seconds, as a fraction.
    tick: Option<(f64, f64)>,
    /// Timestamps: the least and the greatest.
    times: Option<(i64, i64)>,
}

#[derive(Default)]
struct Side {
    count: usize,
    pixels: usize,
    changed: bool,
}

impl Lists {
    /// Takes a line: `#tb 0: 1001/30000` or `0, dts, pts, duration, size, checksum`.
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
        if side.count == FRAMES {
            return Err(format!("more than {FRAMES} frames"));
        }
        if !side.changed {
            (side.count, side.pixels) = (side.count + 1, pixels);
        }
        Ok(())
    }

    /// What it comes to.
    fn survey(&self, whole: bool) -> Result<Survey, String> {
        let [across, down] = &self.sides;
        if whole && across.count != down.count {
            return Err(format!("ffmpeg told {} widths and {} heights", across.count, down.count));
        }
        let (count, size) = (across.count.min(down.count), (across.pixels, down.pixels));
        if count == 0 {
            return Err("no frames".into());
        }
        if size.0 > MAX_SIDE || size.1 > MAX_SIDE || size.0 * size.1 > MAX_PIXELS {
            return Err(format!("{}x{} pixels; a side may have {MAX_SIDE}, a picture {MAX_PIXELS}", size.0, size.1));
        }
        Ok(Survey { count, size, rate: self.rate(count), whole })
    }

    /// Frames a second. A tick is that of the stream's own rate, or one of a clock to which times are rounded: then a common
    /// rate is meant if times fit it.
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

    fn lists(text: &str) -> Result<Survey, String> {
        let mut lists = Lists::default();
        text.lines().try_for_each(|line| lists.take(line))?;
        lists.changed.clone().map_or_else(|| lists.survey(true), Err)
    }

    #[test]
    fn counts_sizes_and_rates() {
        let frames = |tick: &str, times: &[i64]| {
            let line = |t: &i64| format!("0, {t}, {t}, 1, 480, 0x0\n1, {t}, {t}, 1, 360, 0x0\n");
            format!("#tb 0: {tick}\n#tb 1: 1/7\n{}", times.iter().map(line).collect::<String>())
        };
        let survey = lists(&frames("1001/30000", &[0, 1, 2])).unwrap();
        assert_eq!((survey.count, survey.size), (3, (480, 360)));
        assert_eq!(survey.rate, Some(30e3 / 1001.0));
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
            ("0, 0, 0, 1, 99999, 0x0\n1, 0, 0, 1, 2, 0x0\n", "99999x2 pixels"),
            ("#tb 0: 1/25\n", "no frames"),
            ("2, 0, 0, 1, 480, 0x0\n", "ffmpeg told"),
            ("0, 0, 0, 1, -1\n", "ffmpeg told"),
            ("whatever\n", "ffmpeg told"),
        ] {
            let got = lists(text);
            assert!(matches!(&got, Err(what) if what.contains(says)), "{text:?}: {got:?}");
        }
    }
}

//! What a video file holds, found by decoding it from end to end.

use super::video::input;
use crate::error::{Error, Result};
use crate::ffmpeg::Ffmpeg;
use crate::frame::MAX_SIDE;
use crate::picture::MAX_PIXELS;
use std::ffi::OsString;
use std::io::BufRead;
use std::path::Path;
use std::process::Stdio;

/// Rates that are meant where timestamps cannot tell another one from them.
const COMMON: [f64; 9] = [24e3 / 1001.0, 24.0, 25.0, 30e3 / 1001.0, 30.0, 48.0, 50.0, 60e3 / 1001.0, 60.0];
/// What `ffmpeg` says of a file that ends too early or contradicts itself, and then goes on as if that were its end.
const GOES_ON: [&str; 2] = ["ended prematurely", "exceeds containing master element"];

/// What there is.
#[derive(Debug, PartialEq)]
pub(super) struct Survey {
    pub count: usize,
    /// Pixels across and down.
    pub size: (usize, usize),
    /// Frames a second, on average.
    pub rate: Option<f64>,
}

/// Decodes a file.
///
/// Containers tell neither the number of frames nor that their size changes, so `ffmpeg` gives two lists of what it
/// decodes: the top row of each frame, and its left column, a byte per pixel. Of these, lengths and times are printed.
pub(super) fn survey(ffmpeg: &Ffmpeg, path: &Path) -> Result<Survey> {
    let graph = "[0:V:0]format=gray,split[a][b];[a]crop=iw:1:0:0[rows];[b]crop=1:ih:0:0[columns]";
    let mut args = input(path);
    let options = ["-filter_complex", graph, "-map", "[rows]", "-map", "[columns]", "-autoscale", "0"];
    args.extend(options.into_iter().chain(ffmpeg.every_frame()).map(OsString::from));
    args.extend(["-c:v", "rawvideo", "-f", "framecrc", "pipe:1"].map(OsString::from));
    let mut process = ffmpeg.start(&args, Stdio::null())?;
    let mut lists = Lists::default();
    let damaged = |what: String| Error::Video { path: path.display().to_string(), what };
    for line in (&mut process.output).lines() {
        lists.take(&line.map_err(|e| Error::io(path, e))?).map_err(damaged)?;
    }
    let whole = process.finish().and_then(|said| {
        let short = said.lines().find(|line| GOES_ON.iter().any(|says| line.contains(says)));
        short.map_or(Ok(()), |line| Err(line.into()))
    });
    whole.and_then(|()| lists.survey()).map_err(|words| {
        let file = format!("file:{}: ", path.display());
        let words = words.strip_prefix(&file).unwrap_or(&words);
        damaged(if lists.sides[0].count > 0 {
            format!("{words}, after {} frames", lists.sides[0].count)
        } else {
            words.into()
        })
    })
}

/// What is printed, so far.
#[derive(Default)]
struct Lists {
    /// Widths and heights.
    sides: [Side; 2],
    /// A tick of the timestamps, in seconds.
    tick: Option<f64>,
    /// Timestamps: the least and the greatest.
    times: Option<(i64, i64)>,
}

#[derive(Default)]
struct Side {
    count: usize,
    pixels: usize,
}

impl Lists {
    /// Takes a line: `#tb 0: 1001/30000` or `0, dts, pts, duration, size, checksum`.
    fn take(&mut self, line: &str) -> Result<(), String> {
        if let Some(tick) = line.strip_prefix("#tb 0: ") {
            let fraction = tick.split_once('/').and_then(|(n, d)| Some((n.parse().ok()?, d.parse().ok()?)));
            self.tick = fraction.map(|(n, d): (f64, f64)| n / d).filter(|t| t.is_finite() && *t > 0.0);
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
        if side.count > 0 && side.pixels != pixels {
            let (frame, what) = (side.count, if list == 0 { "across" } else { "down" });
            return Err(format!("frame {frame} has {pixels} pixels {what}, those before it {}", side.pixels));
        }
        *side = Side { count: side.count + 1, pixels };
        Ok(())
    }

    /// What it comes to.
    fn survey(&self) -> Result<Survey, String> {
        let [across, down] = &self.sides;
        if across.count != down.count {
            return Err(format!("ffmpeg told {} widths and {} heights", across.count, down.count));
        }
        let (count, size) = (across.count, (across.pixels, down.pixels));
        if count == 0 {
            return Err("no frames".into());
        }
        if size.0 > MAX_SIDE || size.1 > MAX_SIDE || size.0 * size.1 > MAX_PIXELS {
            return Err(format!("{}x{} pixels; a side may have {MAX_SIDE}, a picture {MAX_PIXELS}", size.0, size.1));
        }
        let ticks = self.times.map_or(0, |(first, last)| last.saturating_sub(first));
        let rate = self.tick.filter(|_| count > 1 && ticks > 0).map(|tick| {
            let rate = (count - 1) as f64 / (ticks as f64 * tick);
            let far = |common: &f64| (common / rate - 1.0).abs();
            let nearest = COMMON.into_iter().min_by(|a, b| far(a).total_cmp(&far(b)));
            nearest.filter(|common| far(common) <= 1.0 / ticks as f64).unwrap_or(rate)
        });
        Ok(Survey { count, size, rate })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(text: &str) -> Result<Survey, String> {
        let mut lists = Lists::default();
        text.lines().try_for_each(|line| lists.take(line))?;
        lists.survey()
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

//! Arguments of `sam2 bench`.

use crate::args::ModelArgs;
use crate::console::print;
use crate::error::{Failure, io};
use std::collections::HashMap;
use std::path::PathBuf;

/// The maximum number of clicks in a call: a grid of 64x64.
pub const MAX_CLICKS: usize = 4096;
/// The maximum number of runs of a stage, and of frames before them.
pub const MAX_RUNS: usize = 1 << 20;

/// Arguments of `sam2 bench`.
#[derive(clap::Args)]
pub struct Args {
    /// Image. Default: a generated image of 1280x720 pixels
    pub image: Option<PathBuf>,
    #[command(flatten)]
    pub model: ModelArgs,
    /// Number of runs before the measurement
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub warmup: usize,
    /// Number of measured runs
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub repeat: usize,
    /// Measure a call that decodes N clicks, for each N
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1,64")]
    pub clicks: Vec<usize>,
    /// Measure tracking of N objects, for each N. The video is the image, shifted from frame to frame
    #[arg(long, value_name = "N,...", value_delimiter = ',')]
    pub track: Vec<usize>,
    /// Measure automatic masks, as of `sam2 auto`
    #[arg(long)]
    pub auto: bool,
    /// Number of frames tracked before the measurement. From 7 on, the memory bank of an object is full
    #[arg(long, value_name = "N", default_value_t = 7)]
    pub track_warmup: usize,
    /// Measure clicks without full-size masks: low-resolution masks and scores only
    #[arg(long)]
    pub low_res: bool,
    /// Show the time of each kernel, from an extra run, and of each stage of tracking, from as many extra frames
    #[arg(long)]
    pub profile: bool,
    /// Take turns with other programs
    ///
    /// A line on stdin starts the next step: the warm-up of a stage, a run, a profile or the report. A line of JSON on
    /// stdout with the milliseconds ends it
    #[arg(long, requires = "json")]
    pub in_turn: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

impl Args {
    /// Waits for a line of stdin, with `--in-turn`.
    pub fn begin_turn(&self) -> Result<(), Failure> {
        if !self.in_turn {
            return Ok(());
        }
        match std::io::stdin().read_line(&mut String::new()) {
            Ok(0) => Err(Failure::Usage("--in-turn: standard input ended before the last turn".into())),
            Ok(_) => Ok(()),
            Err(e) => Err(io("standard input".as_ref(), e)),
        }
    }

    /// Prints the measured milliseconds, with `--in-turn`.
    pub fn end_turn(&self, seconds: &[(&str, f64)]) -> Result<(), Failure> {
        if !self.in_turn {
            return Ok(());
        }
        let ms: HashMap<&str, f64> = seconds.iter().map(|&(what, seconds)| (what, seconds * 1e3)).collect();
        print(&serde_json::json!(ms).to_string())
    }
}

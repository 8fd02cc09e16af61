//! Arguments of `sam2 eval`.

use std::path::PathBuf;

/// Arguments of `sam2 eval`.
#[derive(clap::Args)]
pub struct Args {
    /// Folder of ground-truth masks
    ///
    /// VIDEO/00000.png, where a pixel is the number of its object; or VIDEO/000/00000.png, a file per object
    #[arg(long, value_name = "DIR")]
    pub gt_root: PathBuf,
    /// Folder of predicted masks, in the layout of --gt-root. Frames that --gt-root lacks are skipped
    #[arg(long, value_name = "DIR")]
    pub pred_root: PathBuf,
    /// Fail if a video is in only one of the folders. Default: skip such videos
    #[arg(short, long)]
    pub strict: bool,
    /// Score the first and last annotated frames too. They are usually skipped, since the first mask is given
    #[arg(long)]
    pub do_not_skip_first_and_last_frame: bool,
    /// Label of --gt-root whose pixels are not scored, or none
    ///
    /// The default, auto, is label 255 if the video has other labels too, as in DAVIS. In a video with labels 0 and 255
    /// only, 255 is an object
    #[arg(long, value_name = "auto|none|LABEL", default_value = "auto", value_parser = Void::parse)]
    pub void: Void,
    /// Number of threads. 0: all that the machine has
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
    /// Print JSON, with all digits
    #[arg(long)]
    pub json: bool,
    /// Write the table as CSV, in the format of the reference's results.csv
    #[arg(short, long, value_name = "FILE.csv")]
    pub output: Option<PathBuf>,
}

/// The label of pixels that are not scored.
#[derive(Clone, Copy)]
pub enum Void {
    Auto,
    Label(Option<u8>),
}

impl Void {
    fn parse(text: &str) -> Result<Void, String> {
        match text {
            "auto" => Ok(Void::Auto),
            "none" => Ok(Void::Label(None)),
            _ => match text.parse() {
                Ok(label @ 1..) => Ok(Void::Label(Some(label))),
                _ => Err("expected auto, none or a label from 1 to 255".into()),
            },
        }
    }
}

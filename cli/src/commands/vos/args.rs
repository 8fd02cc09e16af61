//! Arguments of `sam2 vos`.

use crate::args::{ModelArgs, PictureArgs};
use std::path::PathBuf;

/// Arguments of `sam2 vos`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub picture: PictureArgs,
    /// Folder of videos. A video is a folder of frames: VIDEO/00000.jpg, ...
    ///
    /// The order of frames is the natural order of their names. A mask has the name of its frame
    #[arg(long, value_name = "DIR")]
    pub base_video_dir: PathBuf,
    /// Folder of input masks: VIDEO/00000.png. A pixel is the number of its object
    #[arg(long, value_name = "DIR")]
    pub input_mask_dir: PathBuf,
    /// Folder of output masks, in the layout of the input masks
    #[arg(long, value_name = "DIR")]
    pub output_mask_dir: PathBuf,
    /// File with one video name per line. Default: every folder in --base-video-dir
    #[arg(long, value_name = "FILE")]
    pub video_list_file: Option<PathBuf>,
    /// Threshold of the mask logits: a pixel above it is on the object
    #[arg(long, value_name = "LOGIT", default_value_t = 0.0, allow_negative_numbers = true)]
    pub score_thresh: f32,
    /// Use all input masks. Default: the first mask of each object
    #[arg(long)]
    pub use_all_masks: bool,
    /// Read and write a PNG per object, VIDEO/001/00000.png, as in SA-V. Objects may then overlap
    #[arg(long)]
    pub per_obj_png_file: bool,
    /// Track each object from the first frame with its mask (LVOS, YouTube-VOS)
    ///
    /// Objects with different first frames are tracked separately
    #[arg(long)]
    pub track_object_appearing_later_in_video: bool,
    /// Read the input masks from SA-V's VIDEO_manual.json or VIDEO_auto.json
    #[arg(long, value_name = "manual|auto", value_parser = ["manual", "auto"], requires = "per_obj_png_file")]
    pub masklets: Option<String>,
    /// Number of frames from one mask of SA-V's JSON to the next. SA-V has 24 frames and 6 masks per second
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    pub masklet_stride: u32,
    /// Select masks by stability and fill small holes. Published scores are without this
    #[arg(long, conflicts_with = "no_postprocessing")]
    pub apply_postprocessing: bool,
    /// Skip damaged frames. They get no mask
    #[arg(long)]
    pub keep_damaged: bool,
    /// Skip videos whose output masks all exist
    #[arg(long)]
    pub skip_existing: bool,
}

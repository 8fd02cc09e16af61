//! `sam2 vos`

mod annotations;
mod masklets;
mod plan;
mod results;
mod video;

use crate::args::{ModelArgs, PictureArgs};
use crate::{Failure, note, output, print};
use std::path::{Component, Path, PathBuf};

/// Arguments of `sam2 vos`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    picture: PictureArgs,
    /// Folder of videos, each a folder of frames in natural order: VIDEO/00000.jpg, ... Masks have the names of the frames
    #[arg(long, value_name = "DIR")]
    base_video_dir: PathBuf,
    /// Folder of masks to start from: VIDEO/00000.png, each pixel its object's number
    #[arg(long, value_name = "DIR")]
    input_mask_dir: PathBuf,
    /// Folder for the masks, in the layout of the input masks
    #[arg(long, value_name = "DIR")]
    output_mask_dir: PathBuf,
    /// File with the name of a video per line; by default every folder of --base-video-dir
    #[arg(long, value_name = "FILE")]
    video_list_file: Option<PathBuf>,
    /// A pixel is on an object where its logit is above this
    #[arg(long, value_name = "LOGIT", default_value_t = 0.0, allow_negative_numbers = true)]
    score_thresh: f32,
    /// Start from all the masks there are, not only from an object's first
    #[arg(long)]
    use_all_masks: bool,
    /// A PNG per object, VIDEO/001/00000.png, as SA-V has them; objects may then overlap
    #[arg(long)]
    per_obj_png_file: bool,
    /// Start each object on its first frame, and follow it alone (LVOS, YouTube-VOS)
    #[arg(long)]
    track_object_appearing_later_in_video: bool,
    /// Read the masks from SA-V's VIDEO_manual.json or VIDEO_auto.json instead of PNGs
    #[arg(long, value_name = "manual|auto", value_parser = ["manual", "auto"], requires = "per_obj_png_file")]
    masklets: Option<String>,
    /// Frames from one mask of SA-V's JSON to the next: 24 frames a second, 6 masks
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    masklet_stride: u32,
    /// Choose masks by stability and fill small holes; published figures are without
    #[arg(long, conflicts_with = "no_postprocessing")]
    apply_postprocessing: bool,
    /// Pass over frames that are damaged; they get no mask
    #[arg(long)]
    keep_damaged: bool,
    /// Leave out videos whose masks are all written
    #[arg(long)]
    skip_existing: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    if args.score_thresh.is_nan() {
        return Err(Failure::Usage("--score-thresh must be a number".into()));
    }
    let videos = videos(args)?;
    check_results(args, &videos)?;
    let mut options = args.model.options();
    options.postprocessing = args.apply_postprocessing;
    // Objects of one PNG cannot overlap. What the user sets comes after, and wins.
    options.overrides.insert(0, format!("model.non_overlap_masks={}", !args.per_obj_png_file));
    let model = args.model.load_with(&options)?;
    let mut failed: Vec<(&str, u8)> = Vec::new();
    for (i, video) in videos.iter().enumerate() {
        match video::run(args, &model, video, &format!("{}/{} {video}", i + 1, videos.len())) {
            Ok(done) => print(&format!("{video}: {done}"))?,
            Err(failure) => {
                let (code, message) = failure.describe();
                note(&format!("error: video {video}: {message}"));
                failed.push((video, code));
            }
        }
    }
    match failed.first() {
        None => Ok(()),
        Some(&(_, code)) => {
            let names: Vec<&str> = failed.iter().map(|(video, _)| *video).collect();
            let message = format!("{} of {} videos failed: {}", failed.len(), videos.len(), names.join(", "));
            Err(Failure::Part { code, message })
        }
    }
}

/// Refuses results that cannot be written, or that would replace what is read.
fn check_results(args: &Args, videos: &[String]) -> Result<(), Failure> {
    output::check_folder(&args.output_mask_dir)?;
    let folders = |root: &Path| -> Vec<PathBuf> { videos.iter().map(|video| root.join(video)).collect() };
    let mut results = vec![args.output_mask_dir.clone()];
    for folder in folders(&args.output_mask_dir) {
        results.extend(output::contents(&folder, 2));
        results.push(folder);
    }
    let masklets = output::files(&args.input_mask_dir, 1);
    let roots = [args.base_video_dir.clone(), args.input_mask_dir.clone()];
    let read = [folders(&args.base_video_dir), folders(&args.input_mask_dir)].concat();
    let within = read.iter().flat_map(|folder| output::files(folder, 2));
    let named = roots.into_iter().chain(args.video_list_file.clone()).chain(args.model.reads()).chain(masklets);
    output::check(&results, named.chain(within).chain(read.clone()))
}

/// The names of the videos.
fn videos(args: &Args) -> Result<Vec<String>, Failure> {
    let names: Vec<String> = match &args.video_list_file {
        Some(file) => {
            let text = crate::files::read_text(file, crate::files::MAX_TEXT)?;
            text.lines().map(|line| line.trim().to_string()).filter(|name| !name.is_empty()).collect()
        }
        None => crate::files::folders(&args.base_video_dir)?.into_iter().map(|(name, _)| name).collect(),
    };
    // A name is joined to the folder that is written to.
    let inside = |name: &str| Path::new(name).components().all(|c| matches!(c, Component::Normal(_)));
    match names.iter().find(|name| !inside(name)) {
        Some(name) => Err(sam2::Error::Input(format!("{name:?} is no name of a video")).into()),
        None if names.is_empty() => Err(sam2::Error::Input("no videos".into()).into()),
        None => Ok(names),
    }
}

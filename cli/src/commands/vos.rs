//! `sam2 vos`: tracks objects through the videos of a data set.

mod annotations;
mod args;
mod mask;
mod masklets;
mod plan;
mod results;
mod video;

use crate::console::{note, print};
use crate::error::Failure;
use crate::{files, output};
pub use args::Args;
use std::path::{Component, Path, PathBuf};

pub fn run(args: &Args) -> Result<(), Failure> {
    if args.score_thresh.is_nan() {
        return Err(Failure::Usage("--score-thresh must be a number".into()));
    }
    let videos = videos(args)?;
    check_results(args, &videos)?;
    let mut options = args.model.options();
    options.postprocessing = args.apply_postprocessing;
    // Objects in one PNG cannot overlap. The user's overrides come later and take precedence.
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

/// Fails if a result cannot be written or would replace an input.
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
            let text = files::read_text(file, files::MAX_TEXT)?;
            text.lines().map(|line| line.trim().to_string()).filter(|name| !name.is_empty()).collect()
        }
        None => files::folders(&args.base_video_dir)?.into_iter().map(|(name, _)| name).collect(),
    };
    // A name is joined to the output folder, so it must not leave that.
    let inside = |name: &str| Path::new(name).components().all(|c| matches!(c, Component::Normal(_)));
    match names.iter().find(|name| !inside(name)) {
        Some(name) => Err(sam2::Error::Input(format!("{name:?} is not a valid name of a video")).into()),
        None if names.is_empty() => Err(sam2::Error::Input("no videos".into()).into()),
        None => Ok(names),
    }
}

//! `sam2 track`: tracks objects through a video.

mod args;
mod calls;
mod plan;
mod results;

use crate::console::{note, print, progress_bar};
use crate::error::Failure;
use crate::output;
pub use args::Args;
use calls::Call;
use results::Results;
use sam2::{Frames, FramesOptions, VideoPredictorOptions};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Fails if a result cannot be written or would replace an input.
fn check_results(args: &Args, calls: &[Call], frames: &[PathBuf]) -> Result<(), Failure> {
    let mut results: Vec<PathBuf> = args.raw.iter().cloned().collect();
    args.raw.iter().try_for_each(|file| output::check_file(file, &["safetensors"]))?;
    if let Some(folder) = &args.output {
        output::check_folder(folder)?;
        results.push(folder.clone());
        results.extend(output::contents(folder, 2));
    }
    let masks = calls.iter().filter_map(Call::mask_file);
    let named = [args.video.clone()].into_iter().chain(args.script.clone()).chain(masks);
    output::check(&results, named.chain(frames.iter().cloned()).chain(args.model.reads()))
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let (calls, chosen) = plan::plan(args)?;
    let folder = args.video.is_dir();
    let files = if folder { Frames::list(&args.video)? } else { Vec::new() };
    check_results(args, &calls, &files)?;
    let options = FramesOptions {
        read: args.picture.options(),
        keep_damaged: args.keep_damaged,
        decoder_timeout: args.decoder_timeout.map(|seconds| Duration::from_secs(seconds.into())),
        ..Default::default()
    };
    let frames = match folder {
        true => Frames::files_with(files, &options),
        false => Frames::open_with(&args.video, &options)?,
    };
    let frames = if chosen.stride > 1 { frames.every(chosen.stride, chosen.first)? } else { frames };
    let model = args.model.load()?;
    let options = VideoPredictorOptions {
        legacy_corrections: args.legacy_corrections,
        offload_state_to_cpu: args.offload_state_to_cpu,
        // Without a script, all prompts come before propagation, so tracked frames are not needed again.
        forget_tracked_frames: args.script.is_none(),
    };
    let mut predictor = model.video_predictor(frames.clone(), options)?;
    let mut results = Results::new(args, frames, chosen, predictor.video_size())?;
    let bar = progress_bar(predictor.num_frames(), "{bar:30} {pos}/{len} frames, {msg}");
    let (start, mut done) = (Instant::now(), 0);
    for (i, call) in calls.iter().enumerate() {
        let before = done;
        call.make(&mut predictor, &mut |masks, tracked| {
            if args.script.is_none() && (!tracked || args.both && call.starts_again_at(masks.frame_idx)) {
                return Ok(()); // another call returns this frame too
            }
            if tracked {
                done += 1;
                bar.set_position(done);
                bar.set_message(format!("{:.1} per second", done as f64 / start.elapsed().as_secs_f64()));
            }
            results.store(i, &masks)
        })?;
        if let Call::PropagateInVideo { start_frame_idx, reverse, .. } = call
            && done == before
            && !args.both
        {
            let from = start_frame_idx.map(|frame| format!(" from frame {}", chosen.index(frame))).unwrap_or_default();
            let way = if *reverse { "backwards" } else { "forwards" };
            note(&format!("note: no frame was tracked {way}{from}: there are none"));
        }
    }
    bar.finish_and_clear();
    results.finish()?;
    match args.json {
        true => Ok(()),
        false => print(&format!("{} objects on {done} frames", predictor.obj_ids().len())),
    }
}

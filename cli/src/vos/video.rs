//! One video of a data set.

use super::Args;
use super::annotations::Annotations;

use super::plan::{Group, Plan};
use super::results::Results;
use crate::Failure;
use sam2::engine::memory::try_collect;
use sam2::{FrameMasks, Frames, FramesOptions, Model, VideoPredictor, VideoPredictorOptions, labels};
use std::collections::BTreeMap;

/// The logit of an object before its first frame.
const NO_OBJECT: f32 = -1024.0;

/// Finds and writes the masks of a video; returns what there is to say of it.
pub fn run(args: &Args, model: &Model, video: &str, title: &str) -> Result<String, Failure> {
    let (names, files): (Vec<_>, Vec<_>) = crate::files::frames(&args.base_video_dir.join(video))?.into_iter().unzip();
    let annotations = Annotations::find(args, video, &names)?;
    let plan = Plan::new(args, &annotations)?;
    let objects: Vec<i64> = plan.groups.iter().flat_map(Group::objects).collect();
    // Objects that may appear later have masks, empty ones, on the frames before.
    let written = if args.track_object_appearing_later_in_video { 0 } else { plan.groups[0].first };
    let mut results = Results {
        folder: args.output_mask_dir.join(video),
        names: &names,
        per_object: args.per_obj_png_file,
        palette: &plan.palette.unwrap_or_else(labels::palette),
        threshold: args.score_thresh,
        height: 0,
        width: 0,
        kept: BTreeMap::new(),
    };
    if args.skip_existing && results.is_complete(&objects, written) {
        return Ok("written before".into());
    }
    let options = FramesOptions { read: args.picture.options(), keep_damaged: args.keep_damaged, ..Default::default() };
    let frames = Frames::files_with(files, &options);
    // The masks of a group are all given before its objects are tracked.
    let options = VideoPredictorOptions { forget_tracked_frames: true, ..Default::default() };
    let mut predictor = model.video_predictor(frames, options)?;
    (results.height, results.width) = predictor.video_size();
    results.create(&objects)?;
    let steps: usize = plan.groups.iter().map(|group| names.len() - group.first).sum();
    let bar = indicatif::ProgressBar::new(steps as u64).with_message(title.to_string());
    bar.set_style(indicatif::ProgressStyle::with_template("{bar:30} {pos}/{len} frames, {msg}").unwrap_or(bar.style()));
    for (i, group) in plan.groups.iter().enumerate() {
        if i == 0 || args.per_obj_png_file {
            write_blank(&mut results, &group.objects(), written..group.first)?;
        }
        let next = plan.groups.get(i + 1).map_or(names.len(), |next| next.first);
        follow(&mut predictor, &annotations, group, |masks| {
            bar.inc(1);
            results.put(masks, masks.frame_idx >= next)
        })?;
    }
    bar.finish_and_clear();
    Ok(format!("{} objects on {} frames", objects.len(), names.len() - written))
}

/// Writes the frames on which no object was seen yet.
fn write_blank(results: &mut Results<'_>, objects: &[i64], frames: std::ops::Range<usize>) -> Result<(), Failure> {
    let n = objects.len() * results.height * results.width;
    let masks = try_collect(n, "masks", std::iter::repeat_n(NO_OBJECT, n))?;
    let mut blank = FrameMasks { obj_ids: objects.to_vec(), masks, ..Default::default() };
    for frame in frames {
        blank.frame_idx = frame;
        results.put(&blank, false)?;
    }
    Ok(())
}

/// Follows a group of objects from their first frame to the end of the video, alone.
fn follow(
    predictor: &mut VideoPredictor,
    annotations: &Annotations,
    group: &Group,
    mut each: impl FnMut(&FrameMasks) -> Result<(), Failure>,
) -> Result<(), Failure> {
    predictor.reset_state();
    predictor.show_prompts(false);
    for (&frame, objects) in &group.inputs {
        for (id, mask) in annotations.read(frame)?.masks {
            if objects.contains(&id) {
                predictor.add_new_mask(frame, id, &mask.pixels, mask.height, mask.width)?;
            }
        }
    }
    let mut result = Ok(());
    predictor.propagate_in_video(Some(group.first), None, false, |masks| {
        result = each(&masks);
        result.is_ok()
    })?;
    result
}

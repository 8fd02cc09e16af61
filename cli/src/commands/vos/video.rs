//! Tracks the objects of one video.

use super::annotations::Annotations;
use super::args::Args;
use super::plan::{Group, Plan};
use super::results::Results;
use crate::console::progress_bar;
use crate::error::Failure;
use crate::files;
use sam2::memory::try_collect;
use sam2::{Direction, FrameMasks, Frames, FramesOptions, Model, Size, VideoPredictor, VideoPredictorOptions, labels};
use std::collections::BTreeMap;

/// The logit of an object before its first frame.
const NO_OBJECT: f32 = -1024.0;

/// Tracks the objects of a video and writes their masks. Returns a summary.
pub fn run(args: &Args, model: &Model, video: &str, title: &str) -> Result<String, Failure> {
    let (names, files): (Vec<_>, Vec<_>) = files::frames(&args.base_video_dir.join(video))?.into_iter().unzip();
    let annotations = Annotations::find(args, video, &names)?;
    let plan = Plan::new(args, &annotations)?;
    let objects: Vec<i64> = plan.groups.iter().flat_map(Group::objects).collect();
    // Objects that may appear later have empty masks on the frames before their first.
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
        return Ok("already written".into());
    }
    let options = FramesOptions { read: args.picture.options(), keep_damaged: args.keep_damaged, ..Default::default() };
    let frames = Frames::files_with(files, &options);
    // All input masks of a group are added before it is tracked, so tracked frames are not needed again.
    let options = VideoPredictorOptions { forget_tracked_frames: true, ..Default::default() };
    let mut predictor = model.video_predictor(frames, options)?;
    Size { width: results.width, height: results.height } = predictor.video_size();
    results.create(&objects)?;
    let steps: usize = plan.groups.iter().map(|group| names.len() - group.first).sum();
    let bar = progress_bar(steps, "{bar:30} {pos}/{len} frames, {msg}").with_message(title.to_string());
    for (i, group) in plan.groups.iter().enumerate() {
        if i == 0 || args.per_obj_png_file {
            write_blank(&mut results, &group.objects(), written..group.first)?;
        }
        let next = plan.groups.get(i + 1).map_or(names.len(), |next| next.first);
        track_group(&mut predictor, &annotations, group, |masks| {
            bar.inc(1);
            results.put(masks, masks.frame_idx >= next)
        })?;
    }
    bar.finish_and_clear();
    Ok(format!("{} objects on {} frames", objects.len(), names.len() - written))
}

/// Writes empty masks of the objects on `frames`.
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

/// Tracks a group of objects from their first frame to the end of the video.
fn track_group(
    predictor: &mut VideoPredictor,
    annotations: &Annotations,
    group: &Group,
    mut each: impl FnMut(&FrameMasks) -> Result<(), Failure>,
) -> Result<(), Failure> {
    predictor.reset_state();
    predictor.set_show_prompts(false);
    for (&frame, objects) in &group.inputs {
        for (id, mask) in annotations.read(frame)?.masks {
            if objects.contains(&id) {
                predictor.add_new_mask(frame, id, &mask.pixels, Size::new(mask.width, mask.height))?;
            }
        }
    }
    let mut result = Ok(());
    predictor.propagate_in_video(Some(group.first), None, Direction::Forward, |masks| {
        result = each(&masks);
        result.is_ok()
    })?;
    result
}

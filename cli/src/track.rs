//! `sam2 track`

mod calls;
mod results;

use crate::args::{ModelArgs, numbers};
use crate::{Failure, output, print};
use calls::{Call, Mask};
use results::Results;
use sam2::{Frames, Point, Prompt, VideoPredictorOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Instant;

/// Arguments of `sam2 track`.
#[derive(clap::Args)]
pub struct Args {
    /// Video file, which needs the program `ffmpeg`, or folder of frames named by their numbers: 00000.jpg, ... (or .png)
    #[arg(value_name = "VIDEO|FOLDER")]
    video: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    /// Click on an object, known by a number, on a frame, counted from 0; label 1 (the default) is on it, 0 is not
    #[arg(long, value_name = "FRAME:OBJECT:X,Y[,LABEL]", value_parser = point)]
    point: Vec<At<Point>>,
    /// Box around an object on a frame
    #[arg(long = "box", value_name = "FRAME:OBJECT:X0,Y0,X1,Y1", value_parser = bounds)]
    boxes: Vec<At<[f32; 4]>>,
    /// Mask of an object on a frame: a picture that is not black on it
    #[arg(long, value_name = "FRAME:OBJECT:FILE", value_parser = mask)]
    mask: Vec<At<PathBuf>>,
    /// Make the calls of the API that a file lists: [{"op": "add_new_points_or_box", "args": {"frame_idx": 0, "obj_id": 1,
    /// "points": [[77, 400]], "labels": [1]}}, {"op": "propagate_in_video", "args": {}}, ...]. Others: add_new_mask (a mask is
    /// a picture's path or COCO RLE), clear_all_prompts_in_frame, remove_object, reset_state
    #[arg(long, value_name = "CALLS.json", conflicts_with_all = ["point", "boxes", "mask", "reverse", "start", "max_frames"])]
    script: Option<PathBuf>,
    /// Track towards the first frame
    #[arg(long)]
    reverse: bool,
    /// Frame to start from; by default the first that something was said of
    #[arg(long, value_name = "FRAME")]
    start: Option<usize>,
    /// At most so many frames after the first
    #[arg(long, value_name = "N")]
    max_frames: Option<usize>,
    /// Corrections of tracked frames outlast the next propagation over them
    #[arg(long)]
    legacy_corrections: bool,
    /// Keep memories in the host's memory, not in the GPU's
    #[arg(long)]
    offload_state_to_cpu: bool,
    /// Write a mask of all objects per frame, DIR/00000.png, each pixel the object's number (1 to 255), and what it looks
    /// like: DIR/overlay.mp4 of a video file, DIR/overlay/00000.png, ... of a folder
    #[arg(short, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Store each frame's logits and scores: NNNNN/obj_K/logits (height, width) and NNNNN/obj_K/score
    #[arg(long, value_name = "FILE.safetensors")]
    raw: Option<PathBuf>,
    /// Print a line of JSON per frame and object, with its mask as COCO RLE
    #[arg(long)]
    json: bool,
}

/// Something said of an object on a frame.
#[derive(Clone)]
struct At<T> {
    frame: usize,
    object: i64,
    what: T,
}

fn at<T>(text: &str, what: impl FnOnce(&str) -> Result<T, String>) -> Result<At<T>, String> {
    let mut parts = text.splitn(3, ':');
    let (frame, object, rest) = (parts.next(), parts.next(), parts.next());
    let number = |text: Option<&str>| text.and_then(|t| t.parse().ok());
    match (number(frame), object.and_then(|t| t.parse().ok()), rest) {
        (Some(frame), Some(object), Some(rest)) => Ok(At { frame, object, what: what(rest)? }),
        _ => Err(format!("{text:?}: expected FRAME:OBJECT:..., both whole numbers")),
    }
}

fn point(text: &str) -> Result<At<Point>, String> {
    at(text, crate::segment::point)
}

fn bounds(text: &str) -> Result<At<[f32; 4]>, String> {
    at(text, numbers::<4>)
}

fn mask(text: &str) -> Result<At<PathBuf>, String> {
    at(text, |file| Ok(file.into()))
}

/// The calls that the arguments come to.
fn calls(args: &Args) -> Result<Vec<Call>, Failure> {
    if let Some(file) = &args.script {
        return calls::read(file);
    }
    if args.point.is_empty() && args.boxes.is_empty() && args.mask.is_empty() {
        return Err(Failure::Usage("nothing to track: give --point, --box, --mask or --script".into()));
    }
    let mut prompts = BTreeMap::<(usize, i64), Prompt<'static>>::new();
    for p in &args.point {
        prompts.entry((p.frame, p.object)).or_default().points.push(p.what);
    }
    for b in &args.boxes {
        if prompts.entry((b.frame, b.object)).or_default().box_.replace(b.what).is_some() {
            return Err(Failure::Usage(format!("two boxes for object {} on frame {}", b.object, b.frame)));
        }
    }
    let mut masks = BTreeSet::new();
    if let Some(m) = args.mask.iter().find(|m| !masks.insert((m.frame, m.object))) {
        return Err(Failure::Usage(format!("two masks for object {} on frame {}", m.object, m.frame)));
    }
    if let Some(m) = args.mask.iter().find(|m| prompts.contains_key(&(m.frame, m.object))) {
        return Err(Failure::Usage(format!("a mask and more for object {} on frame {}", m.object, m.frame)));
    }
    let mut calls: Vec<Call> = prompts
        .into_iter()
        .map(|((frame_idx, obj_id), prompt)| Call::AddNewPointsOrBox {
            frame_idx,
            obj_id,
            prompt,
            clear_old_points: true,
            normalize_coords: true,
        })
        .collect();
    for m in &args.mask {
        calls.push(Call::AddNewMask { frame_idx: m.frame, obj_id: m.object, mask: Mask::Picture(m.what.clone()) });
    }
    calls.push(Call::PropagateInVideo {
        start_frame_idx: args.start,
        max_frame_num_to_track: args.max_frames,
        reverse: args.reverse,
    });
    Ok(calls)
}

/// Refuses results that cannot be written, or that would replace what is read.
fn check_results(args: &Args, calls: &[Call]) -> Result<(), Failure> {
    let mut results: Vec<PathBuf> = args.raw.iter().cloned().collect();
    args.raw.iter().try_for_each(|file| output::check_file(file, &["safetensors"]))?;
    if let Some(folder) = &args.output {
        output::check_folder(folder)?;
        results.push(folder.clone());
        results.extend(output::contents(folder, 2));
    }
    let masks = calls.iter().filter_map(Call::mask_file).map(PathBuf::from);
    let named = [args.video.clone()].into_iter().chain(args.script.clone()).chain(masks);
    let frames = if args.video.is_dir() { Frames::list(&args.video)? } else { Vec::new() };
    output::check(&results, named.chain(frames).chain(args.model.reads()))
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let calls = calls(args)?;
    check_results(args, &calls)?;
    let frames = Frames::open(&args.video)?;
    let model = args.model.load()?;
    let options = VideoPredictorOptions {
        legacy_corrections: args.legacy_corrections,
        offload_state_to_cpu: args.offload_state_to_cpu,
    };
    let mut predictor = model.video_predictor(frames.clone(), options)?;
    let mut results = Results::new(args, frames, predictor.video_size())?;
    let bar = indicatif::ProgressBar::new(predictor.num_frames() as u64);
    bar.set_style(indicatif::ProgressStyle::with_template("{bar:30} {pos}/{len} frames, {msg}").unwrap_or(bar.style()));
    let (start, mut done) = (Instant::now(), 0);
    for (i, call) in calls.iter().enumerate() {
        call.make(&mut predictor, &mut |masks, followed| {
            if followed {
                done += 1;
                bar.set_position(done);
                bar.set_message(format!("{:.1} a second", done as f64 / start.elapsed().as_secs_f64()));
            } else if args.script.is_none() {
                return Ok(()); // it comes again when it is followed
            }
            results.store(i, &masks)
        })?;
    }
    bar.finish_and_clear();
    results.finish()?;
    match args.json {
        true => Ok(()),
        false => print(&format!("{} objects on {done} frames", predictor.obj_ids().len())),
    }
}

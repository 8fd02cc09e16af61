//! `sam2 track`

mod calls;
mod results;

use crate::args::{ModelArgs, PictureArgs, numbers};
use crate::{Failure, note, output, print};
use calls::{Call, Mask};
use results::{Chosen, Results};
use sam2::{Frames, FramesOptions, Point, Prompt, VideoPredictorOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Arguments of `sam2 track`.
#[derive(clap::Args)]
pub struct Args {
    /// Video file, which needs the program `ffmpeg`, or folder of frames: JPEG files, or else PNG files, named by numbers
    /// (00000.jpg, frame_0001.jpg, 1690000000.5.jpg) and taken in natural order. FRAME is a position in this order, counted
    /// from 0
    #[arg(value_name = "VIDEO|FOLDER")]
    video: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    picture: PictureArgs,
    /// Click on an object, known by a number, on a frame, counted from 0; label 1 (the default) is on it, 0 is not
    #[arg(long, value_name = "FRAME:OBJECT:X,Y[,LABEL]", value_parser = point)]
    point: Vec<At<Point>>,
    /// Box around an object on a frame
    #[arg(long = "box", value_name = "FRAME:OBJECT:X0,Y0,X1,Y1", value_parser = bounds)]
    boxes: Vec<At<[f32; 4]>>,
    /// Mask of an object on a frame: a picture that is not black on it. Of a label picture, FILE#N takes label N
    #[arg(long, value_name = "FRAME:OBJECT:FILE", value_parser = mask)]
    mask: Vec<At<PathBuf>>,
    /// Make the calls of the API that a file lists, in their order: [{"op": "add_new_points_or_box", "args": {"frame_idx": 0, "obj_id": 1,
    /// "points": [[77, 400]], "labels": [1]}}, {"op": "propagate_in_video", "args": {}}, ...]. Others: add_new_mask (a mask is
    /// a picture's path or COCO RLE), clear_all_prompts_in_frame, remove_object, reset_state
    #[arg(long, value_name = "CALLS.json", conflicts_with_all = ["point", "boxes", "mask", "reverse", "both", "stride", "start", "max_frames"])]
    script: Option<PathBuf>,
    /// Track backwards, from the last frame with a prompt to the first frame of the video
    #[arg(long)]
    reverse: bool,
    /// Track forwards from the first frame with a prompt, then backwards from there
    #[arg(long, conflicts_with = "reverse")]
    both: bool,
    /// Frame to start from, in place of the first with a prompt, or the last with --reverse
    #[arg(long, value_name = "FRAME")]
    start: Option<usize>,
    /// Track at most N frames after the one to start from, in each direction
    #[arg(long, value_name = "N")]
    max_frames: Option<usize>,
    /// Track every Nth frame, counted from the first with a prompt; frames keep their numbers and names
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    stride: u32,
    /// Take what decodes of a damaged or joined video file, and pass over damaged pictures of a folder
    #[arg(long)]
    keep_damaged: bool,
    /// Keep corrections, which are prompts of a script on tracked frames, when propagation passes over them again.
    /// By default, as in the reference, propagation finds a corrected frame anew and the correction is lost: to use it,
    /// propagate from the next frame on (start_frame_idx)
    #[arg(long)]
    legacy_corrections: bool,
    /// Give up a video file when ffmpeg decodes nothing for so many seconds; by default 15
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    decoder_timeout: Option<u32>,
    /// Keep memories in the host's memory, not in the GPU's
    #[arg(long)]
    offload_state_to_cpu: bool,
    /// Write a mask of all objects per frame, DIR/NAME.png, each pixel the object's number (1 to 255), and what it looks
    /// like: DIR/overlay.mp4 of a video file, DIR/overlay/NAME.png of a folder. NAME is that of the frame's file or, in a
    /// video, the frame's number: 00000
    #[arg(short, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Store each frame's logits and scores: NAME/obj_K/logits (height, width) and NAME/obj_K/score, NAME as of -o
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

/// The calls that the arguments come to, and which frames they are of.
fn calls(args: &Args) -> Result<(Vec<Call>, Chosen), Failure> {
    if let Some(file) = &args.script {
        return Ok((calls::read(file)?, Chosen { stride: 1, first: 0 }));
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
    let prompted: BTreeSet<usize> =
        prompts.keys().map(|(frame, _)| *frame).chain(args.mask.iter().map(|m| m.frame)).collect();
    let (Some(&first), Some(&last)) = (prompted.first(), prompted.last()) else {
        return Err(Failure::Usage("nothing to track: give --point, --box, --mask or --script".into()));
    };
    let stride = args.stride as usize;
    let chosen = Chosen { stride, first: first % stride };
    let place = |frame: usize| match frame.checked_sub(chosen.first) {
        Some(after) if after % stride == 0 => Ok(after / stride),
        _ => {
            let [first, second] = [0, 1].map(|i| chosen.index(i));
            Err(Failure::Usage(format!("frame {frame}: --stride {stride} tracks frames {first}, {second}, ...")))
        }
    };
    let mut calls = Vec::new();
    for ((frame, obj_id), prompt) in prompts {
        let (clear_old_points, normalize_coords) = (true, true);
        let frame_idx = place(frame)?;
        calls.push(Call::AddNewPointsOrBox { frame_idx, obj_id, prompt, clear_old_points, normalize_coords });
    }
    for m in &args.mask {
        let mask = Mask::Picture(m.what.clone());
        calls.push(Call::AddNewMask { frame_idx: place(m.frame)?, obj_id: m.object, mask });
    }
    let start = place(args.start.unwrap_or(if args.reverse { last } else { first }))?;
    let directions: &[bool] = if args.both { &[false, true] } else { &[args.reverse] };
    calls.extend(directions.iter().map(|&reverse| Call::PropagateInVideo {
        start_frame_idx: Some(start),
        max_frame_num_to_track: args.max_frames,
        reverse,
    }));
    Ok((calls, chosen))
}

impl Args {
    /// Whether each frame comes once, the earlier first.
    fn in_time_order(&self) -> bool {
        self.script.is_none() && !self.reverse && !self.both
    }
}

/// Refuses results that cannot be written, or that would replace what is read.
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
    let (calls, chosen) = calls(args)?;
    let folder = args.video.is_dir();
    let files = if folder { Frames::list(&args.video)? } else { Vec::new() };
    check_results(args, &calls, &files)?;
    let options = FramesOptions {
        read: args.picture.options(),
        keep_damaged: args.keep_damaged,
        decoder_timeout: args.decoder_timeout.map(|seconds| Duration::from_secs(seconds.into())),
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
        // All prompts come before anything is tracked.
        forget_tracked_frames: args.script.is_none(),
    };
    let mut predictor = model.video_predictor(frames.clone(), options)?;
    let mut results = Results::new(args, frames, chosen, predictor.video_size())?;
    let bar = indicatif::ProgressBar::new(predictor.num_frames() as u64);
    bar.set_style(indicatif::ProgressStyle::with_template("{bar:30} {pos}/{len} frames, {msg}").unwrap_or(bar.style()));
    let (start, mut done) = (Instant::now(), 0);
    for (i, call) in calls.iter().enumerate() {
        let before = done;
        call.make(&mut predictor, &mut |masks, followed| {
            if args.script.is_none() && (!followed || args.both && call.starts_again_at(masks.frame_idx)) {
                return Ok(()); // the frame comes, or came, in another call
            }
            if followed {
                done += 1;
                bar.set_position(done);
                bar.set_message(format!("{:.1} a second", done as f64 / start.elapsed().as_secs_f64()));
            }
            results.store(i, &masks)
        })?;
        if let Call::PropagateInVideo { start_frame_idx, reverse, .. } = call
            && done == before
            && !args.both
        {
            let from = start_frame_idx.map(|frame| format!(" from frame {}", chosen.index(frame))).unwrap_or_default();
            let way = if *reverse { "backwards" } else { "forwards" };
            note(&format!("note: no frame was tracked {way}{from}: there is none"));
        }
    }
    bar.finish_and_clear();
    results.finish()?;
    match args.json {
        true => Ok(()),
        false => print(&format!("{} objects on {done} frames", predictor.obj_ids().len())),
    }
}

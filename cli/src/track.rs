//! `sam2 track`

use crate::args::{ModelArgs, numbers};
use crate::overlay::Overlay;
use crate::segment::{not_black, try_collect};
use crate::{Failure, io, print, write};
use sam2::picture;
use sam2::rle::Rle;
use sam2::{FrameMasks, Frames, Point, Prompt};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

/// Arguments of `sam2 track`.
#[derive(clap::Args)]
pub struct Args {
    /// Folder of frames named by their numbers: 00000.jpg, 00001.jpg, ... (or .png)
    folder: PathBuf,
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
    /// Track towards the first frame
    #[arg(long)]
    reverse: bool,
    /// Frame to start from; by default the first that something was said of
    #[arg(long, value_name = "FRAME")]
    start: Option<usize>,
    /// At most so many frames after the first
    #[arg(long, value_name = "N")]
    max_frames: Option<usize>,
    /// Write a mask of all objects per frame, DIR/00000.png, each pixel the object's number, and DIR/overlay/00000.png
    #[arg(short, value_name = "DIR")]
    output: Option<PathBuf>,
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

pub fn run(args: &Args) -> Result<(), Failure> {
    if args.point.is_empty() && args.boxes.is_empty() && args.mask.is_empty() {
        return Err(Failure::Usage("nothing to track: give --point, --box or --mask".into()));
    }
    let mut prompts: BTreeMap<(usize, i64), Prompt<'_>> = BTreeMap::new();
    for p in &args.point {
        prompts.entry((p.frame, p.object)).or_default().points.push(p.what);
    }
    for b in &args.boxes {
        if prompts.entry((b.frame, b.object)).or_default().box_.replace(b.what).is_some() {
            return Err(Failure::Usage(format!("two boxes for object {} on frame {}", b.object, b.frame)));
        }
    }
    if let Some(m) = args.mask.iter().find(|m| prompts.contains_key(&(m.frame, m.object))) {
        return Err(Failure::Usage(format!("a mask and more for object {} on frame {}", m.object, m.frame)));
    }
    let frames = Frames::folder(&args.folder)?;
    let shown = frames.clone();
    let model = args.model.load()?;
    let mut predictor = model.video_predictor(frames, Default::default())?;
    for ((frame, object), prompt) in &prompts {
        predictor.add_new_points_or_box(*frame, *object, prompt, true, true)?;
    }
    for m in &args.mask {
        let picture = picture::read(&m.what)?;
        predictor.add_new_mask(m.frame, m.object, &not_black(&picture), picture.height, picture.width)?;
    }
    if let Some(folder) = &args.output {
        let overlay = folder.join("overlay");
        std::fs::create_dir_all(&overlay).map_err(|e| io(&overlay, e))?;
    }
    let size = predictor.video_size();
    let bar = indicatif::ProgressBar::new(predictor.num_frames() as u64);
    bar.set_style(indicatif::ProgressStyle::with_template("{bar:30} {pos}/{len} frames, {msg}").unwrap_or(bar.style()));
    let (start, mut done, mut failure) = (Instant::now(), 0, None);
    predictor.propagate_in_video(args.start, args.max_frames, args.reverse, |masks| {
        done += 1;
        bar.set_position(done);
        bar.set_message(format!("{:.1} a second", done as f64 / start.elapsed().as_secs_f64()));
        failure = store(args, &shown, &masks, size).err();
        failure.is_none()
    })?;
    bar.finish_and_clear();
    match failure {
        Some(failure) => Err(failure),
        None if args.json => Ok(()),
        None => print(&format!("{} objects on {done} frames", predictor.obj_ids().len())),
    }
}

/// Writes and prints one frame.
fn store(args: &Args, frames: &Frames, masks: &FrameMasks, (h, w): (usize, usize)) -> Result<(), Failure> {
    let objects: Vec<Vec<u8>> = (masks.masks.chunks(h * w))
        .map(|m| try_collect(h * w, "a mask", m.iter().map(|&v| (v > 0.0) as u8)))
        .collect::<sam2::Result<_>>()?;
    if args.json {
        for ((mask, id), score) in objects.iter().zip(&masks.obj_ids).zip(&masks.scores) {
            let rle = Rle::encode(mask, h, w);
            let record = serde_json::json!({
                "frame": masks.frame_idx,
                "object": id,
                "segmentation": {"size": [h, w], "counts": rle.to_coco()},
                "bbox": rle.bbox(),
                "area": rle.area(),
                "object_score": score.is_finite().then_some(score),
            });
            print(&record.to_string())?;
        }
    }
    let Some(folder) = &args.output else { return Ok(()) };
    let name = format!("{:05}.png", masks.frame_idx);
    // Where several objects claim a pixel, the one with the highest logit has it.
    let owner = |i: usize| {
        let logit = |k: usize| masks.masks[k * h * w + i];
        let best = (1..objects.len()).fold(0, |best, k| if logit(k) > logit(best) { k } else { best });
        if logit(best) > 0.0 { masks.obj_ids[best].clamp(0, 255) as u8 } else { 0 }
    };
    let owners = try_collect(h * w, "a mask", (0..h * w).map(owner))?;
    write(&folder.join(&name), &picture::encode_indexed_png(&owners, w, h)?)?;
    let picture = frames.read(masks.frame_idx)?;
    let borrowed: Vec<&[u8]> = objects.iter().map(Vec::as_slice).collect();
    let overlay = Overlay { picture: &picture, masks: &borrowed, prompts: &[] };
    write(&folder.join("overlay").join(&name), &picture::encode_png(&overlay.draw()?)?)
}

//! `sam2 auto`: masks of all objects in an image or a folder of images.

use crate::args::{ModelArgs, PictureArgs};
use crate::console::{note, print, progress_bar};
use crate::contact_sheet::Sheet;
use crate::error::{Failure, invalid, io};
use crate::files;
use crate::output::{self, write};
use crate::overlay::{Overlay, colour};
use sam2::picture::{self, Picture};
use sam2::{
    AutomaticMask, AutomaticMaskGenerator, AutomaticMaskGeneratorOptions, Frames, FramesOptions, GenerateControl,
    labels,
};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Arguments of `sam2 auto`.
#[derive(clap::Args)]
pub struct Args {
    /// Image: PNG, JPEG, WebP, BMP, TIFF, GIF or PNM; or a folder of images
    image: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    picture: PictureArgs,
    /// Number of prompt points along each side of the image
    #[arg(long, value_name = "N", default_value_t = 32)]
    points_per_side: usize,
    /// JSON file of prompt points that replace the regular grid
    ///
    /// A list of points for the image, then a list for each layer of crops. A point is [x, y], each from 0 to 1
    #[arg(long, value_name = "FILE", conflicts_with = "points_per_side")]
    point_grids: Option<PathBuf>,
    /// Maximum number of points in a decoder batch
    #[arg(long, value_name = "N", default_value_t = 64)]
    points_per_batch: usize,
    /// Drop masks with a predicted IoU of X or less. 0 disables the filter
    #[arg(long, value_name = "X", default_value_t = 0.8, allow_hyphen_values = true)]
    pred_iou_thresh: f32,
    /// Drop masks with a stability score below X. 0 disables the filter
    #[arg(long, value_name = "X", default_value_t = 0.95, allow_hyphen_values = true)]
    stability_score_thresh: f32,
    /// Offset X of the stability score: the IoU of the masks at the threshold plus X and minus X
    #[arg(long, value_name = "X", default_value_t = 1.0, allow_hyphen_values = true)]
    stability_score_offset: f32,
    /// Threshold of the mask logits: a pixel above it is on the object
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_hyphen_values = true)]
    mask_threshold: f32,
    /// Of masks whose boxes have an IoU above X, keep the best
    #[arg(long, value_name = "X", default_value_t = 0.7, allow_hyphen_values = true)]
    box_nms_thresh: f32,
    /// Number of layers of crops in addition to the whole image, at most 6
    ///
    /// Crops of a small image that have no pixels are skipped
    #[arg(long, value_name = "N", default_value_t = 0)]
    crop_n_layers: usize,
    /// Like --box-nms-thresh, for masks of different crops
    #[arg(long, value_name = "X", default_value_t = 0.7, allow_hyphen_values = true)]
    crop_nms_thresh: f32,
    /// Overlap of crops, as a fraction of the image's shorter side
    #[arg(long, value_name = "X", default_value_t = 512.0 / 1500.0, allow_hyphen_values = true)]
    crop_overlap_ratio: f64,
    /// Divide the number of points per side by N from each layer of crops to the next
    #[arg(long, value_name = "N", default_value_t = 1)]
    crop_n_points_downscale_factor: usize,
    /// Fill holes and remove specks of at most A pixels of the low-resolution mask
    #[arg(long, value_name = "A", default_value_t = 0)]
    min_mask_region_area: usize,
    /// Refine every mask by a second prediction, from its point and the mask itself
    #[arg(long)]
    use_m2m: bool,
    /// Predict one mask per point instead of three
    #[arg(long)]
    no_multimask_output: bool,
    /// Write a label map to OUT and an overlay beside it; for a folder, write to folder OUT
    ///
    /// In the label map, 0 is the background and mask N has label N + 1. It has the colours of the overlay, or is
    /// 16-bit gray if there are more than 255 masks. The overlay is NAME.overlay.png.
    ///
    /// For a folder, OUT is a folder with NAME.json, NAME.labels.png and NAME.overlay.png of each image, and all
    /// overlays on contact_sheet.png. Images whose results exist are skipped
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
    /// Print a JSON list of records, with the masks in RLE
    #[arg(long)]
    json: bool,
    /// Format of the RLE in JSON
    #[arg(long, value_name = "MODE", value_enum, default_value = "coco_rle")]
    output_mode: OutputMode,
    /// Add the outlines of every mask to the JSON, as COCO polygons
    ///
    /// Filled by the even-odd rule, the polygons equal the mask
    #[arg(long)]
    polygons: bool,
}

/// The output modes of the reference that are text.
#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
enum OutputMode {
    CocoRle,
    UncompressedRle,
}

impl Args {
    fn options(&self) -> Result<AutomaticMaskGeneratorOptions, Failure> {
        let read = |file: &PathBuf| {
            let text = files::read(file, files::MAX_TEXT)?;
            let wrong = |e| invalid(file, format!("not a list of lists of [x, y]: {e}"));
            serde_json::from_slice::<Vec<Vec<[f64; 2]>>>(&text).map_err(wrong)
        };
        let point_grids = self.point_grids.as_ref().map(read).transpose()?;
        Ok(AutomaticMaskGeneratorOptions {
            points_per_side: point_grids.is_none().then_some(self.points_per_side),
            points_per_batch: self.points_per_batch,
            pred_iou_thresh: self.pred_iou_thresh,
            stability_score_thresh: self.stability_score_thresh,
            stability_score_offset: self.stability_score_offset,
            mask_threshold: self.mask_threshold,
            box_nms_thresh: self.box_nms_thresh,
            crop_n_layers: self.crop_n_layers,
            crop_nms_thresh: self.crop_nms_thresh,
            crop_overlap_ratio: self.crop_overlap_ratio,
            crop_n_points_downscale_factor: self.crop_n_points_downscale_factor,
            point_grids,
            min_mask_region_area: self.min_mask_region_area,
            use_m2m: self.use_m2m,
            multimask_output: !self.no_multimask_output,
        })
    }

    /// Records in the reference's format, with polygons if `--polygons` is given.
    fn records(&self, masks: &[AutomaticMask]) -> Result<String, Failure> {
        let record = |m: &AutomaticMask| {
            let (rle, size) = (&m.segmentation, [m.segmentation.height, m.segmentation.width]);
            let mut record = json!({
                "segmentation": match self.output_mode {
                    OutputMode::CocoRle => json!({"size": size, "counts": rle.to_coco()?}),
                    OutputMode::UncompressedRle => json!({"size": size, "counts": rle.counts}),
                },
                "area": m.area,
                "bbox": m.bbox,
                "predicted_iou": m.predicted_iou,
                "point_coords": [m.point_coords],
                "stability_score": m.stability_score,
                "crop_box": m.crop_box,
            });
            if self.polygons {
                let rings = rle.polygons()?;
                record["polygons"] = json!(rings.iter().map(|ring| ring.concat()).collect::<Vec<_>>());
            }
            Ok(record)
        };
        Ok(masks.iter().map(record).collect::<sam2::Result<serde_json::Value>>()?.to_string())
    }
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let folder = args.image.is_dir();
    if folder && (args.output.is_none() || args.json) {
        return Err(Failure::Usage("for a folder, give --output FOLDER, and not --json: the results are files".into()));
    }
    if !folder && !args.json && (args.polygons || args.output_mode != OutputMode::CocoRle) {
        return Err(Failure::Usage("--polygons and --output-mode change the JSON output: they need --json".into()));
    }
    check_results(args, folder)?;
    let options = args.options()?;
    let pictures = if folder { files::pictures(&args.image)? } else { Vec::new() };
    let mut generator = args.model.load()?.automatic_mask_generator(options)?;
    if let (true, Some(out)) = (folder, &args.output) {
        return of_folder(&mut generator, args, &pictures, out);
    }
    let picture = args.picture.read(&args.image)?;
    let frame = picture.frame()?;
    let masks = with_bar(|control| generator.generate_with(&frame, control))?.masks;
    if let Some(file) = &args.output {
        let (map, overlay) = drawn(&picture, &masks)?;
        write(file, &map)?;
        if let Some(file) = output::companion(file, "overlay.png") {
            write(&file, &picture::encode_png(&overlay)?)?;
        }
    }
    if args.json {
        return print(&args.records(&masks)?);
    }
    for (i, m) in masks.iter().enumerate() {
        let [x, y, w, h] = m.bbox;
        let scores = format!("predicted IoU {:.4}, stability {:.4}", m.predicted_iou, m.stability_score);
        print(&format!("mask {i}: {} pixels in {x},{y} {w}x{h}, {scores}", m.area))?;
    }
    Ok(())
}

/// Fails if a result cannot be written or would replace an input.
fn check_results(args: &Args, folder: bool) -> Result<(), Failure> {
    let Some(out) = &args.output else { return Ok(()) };
    let mut results = vec![out.clone()];
    let mut reads = args.model.reads();
    reads.extend(args.point_grids.clone());
    reads.push(args.image.clone());
    if folder {
        output::check_folder(out)?;
        results.extend(output::contents(out, 1));
        reads.extend(output::files(&args.image, 1));
    } else {
        output::check_file(out, &["png"])?;
        results.extend(output::companion(out, "overlay.png"));
    }
    output::check(&results, reads)
}

/// Runs a search with a progress bar.
fn with_bar<T>(search: impl FnOnce(GenerateControl<'_>) -> T) -> T {
    let bar = progress_bar(0, "{bar:40} {pos}/{len} points, {msg}");
    let mut progress = |p: sam2::Progress| {
        bar.set_length(p.of as u64);
        bar.set_position(p.points as u64);
        bar.set_message(format!("{} masks", p.masks));
        true
    };
    let found = search(GenerateControl { progress: &mut progress, budget: None });
    bar.finish_and_clear();
    found
}

/// The label map as PNG, and the overlay. Both have the same colours, and larger masks are below smaller ones.
fn drawn(picture: &Picture, masks: &[AutomaticMask]) -> Result<(Vec<u8>, Picture), Failure> {
    let size = picture.size();
    let mut order: Vec<usize> = (0..masks.len()).collect();
    order.sort_by_key(|&i| masks[i].area);
    let mut palette = vec![0; 3 * (masks.len() + 1)];
    for (place, &i) in order.iter().enumerate() {
        palette[3 * (i + 1)..][..3].copy_from_slice(&colour(place));
    }
    let all: Vec<_> = masks.iter().map(|m| &m.segmentation).collect();
    let map = labels::encode_map(&labels::label_map(&all, size)?, size, &palette)?;
    let masks: Vec<_> = order.iter().map(|&i| &masks[i].segmentation).collect();
    let overlay = Overlay { picture, masks: &masks, prompts: &[] }.draw()?;
    Ok((map, overlay))
}

/// Processes all images of a folder and writes a contact sheet. If an image fails, the error is printed and the others
/// go on.
fn of_folder(
    generator: &mut AutomaticMaskGenerator,
    args: &Args,
    all: &[(String, PathBuf)],
    out: &Path,
) -> Result<(), Failure> {
    std::fs::create_dir_all(out).map_err(|e| io(out, e))?;
    let file = |name: &str, kind: &str| out.join(format!("{name}.{kind}"));
    let is_done = |name: &str| ["json", "labels.png", "overlay.png"].iter().all(|kind| file(name, kind).exists());
    let is_done: Vec<bool> = all.iter().map(|(name, _)| is_done(name)).collect();
    let wanted = all.iter().zip(&is_done).filter(|(_, done)| !**done).map(|((_, path), _)| path.clone());
    let options = FramesOptions { read: args.picture.options(), ..Default::default() };
    let frames = Frames::files_with(wanted.collect(), &options);
    let mut batch = generator.generate_batch((0..frames.len()).map(|i| frames.read(i)));
    let mut sheet = Sheet::new(all.len());
    let (mut failed, mut first) = (0, None);
    for (i, (name, _)) in all.iter().enumerate() {
        if is_done[i] {
            let shown = picture::read(file(name, "overlay.png")).and_then(|overlay| sheet.put(i, &overlay));
            if let Err(e) = shown {
                note(&format!("note: {name} is not on the contact sheet: {e}"));
            }
            continue;
        }
        note(&format!("{}/{} {name}", i + 1, all.len()));
        let Some(found) = with_bar(|control| batch.next_with(control)) else { break };
        let done = found.map_err(Failure::from).and_then(|(picture, found)| {
            let (map, overlay) = drawn(&picture, &found.masks)?;
            sheet.put(i, &overlay)?;
            write(&file(name, "labels.png"), &map)?;
            write(&file(name, "overlay.png"), &picture::encode_png(&overlay)?)?;
            write(&file(name, "json"), args.records(&found.masks)?.as_bytes())
        });
        if let Err(failure) = done {
            let (code, message) = failure.describe();
            note(&format!("error: {name}: {message}"));
            (failed, first) = (failed + 1, first.or(Some(code)));
        }
    }
    write(&out.join("contact_sheet.png"), &picture::encode_png(&sheet.picture)?)?;
    match first {
        Some(code) => Err(Failure::Part { code, message: format!("{failed} of {} images failed", all.len()) }),
        None => Ok(()),
    }
}

//! `sam2 segment`: masks of prompts on one image.

mod masks;

use crate::args::{ModelArgs, PictureArgs, numbers, point};
use crate::console::{print, progress};
use crate::error::Failure;
use crate::files;
use crate::output::{self, write};
use crate::overlay::{self, Overlay};
use crate::tensors::{self, Header};
use masks::{Batches, Found};
use sam2::picture::{self, Picture};
use sam2::rle::Rle;
use sam2::{DType, Error, ImagePredictorOptions, Point, Prompt, labels};
use std::path::{Path, PathBuf};

/// Arguments of `sam2 segment`.
#[derive(clap::Args)]
pub struct Args {
    /// Image: PNG, JPEG, WebP, BMP, TIFF, GIF or PNM
    image: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    picture: PictureArgs,
    /// Click in pixels. Label 1 (default) is on the object, label 0 is not
    ///
    /// All clicks form one prompt
    #[arg(long, value_name = "X,Y[,LABEL]", value_parser = point, allow_hyphen_values = true)]
    point: Vec<Point>,
    /// Box in pixels
    ///
    /// A single box and all clicks form one prompt. Several boxes are prompts of several objects
    #[arg(long = "box", value_name = "X0,Y0,X1,Y1", value_parser = numbers::<4>, allow_hyphen_values = true)]
    boxes: Vec<[f32; 4]>,
    /// JSON file of prompts, one per object
    ///
    /// Example: [{"points": [[x, y]], "labels": [1], "box": [x0, y0, x1, y1]}]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["point", "boxes", "mask_input"])]
    prompts: Option<PathBuf>,
    /// Mask to refine
    ///
    /// The --raw file of an earlier call, or an image whose object pixels are not black. In a label image, FILE#N
    /// selects label N
    #[arg(long, value_name = "FILE")]
    mask_input: Option<PathBuf>,
    /// Predict three masks per prompt and select the best. Default if every prompt is a single click
    #[arg(long, overrides_with = "no_multimask")]
    multimask: bool,
    /// Predict one mask per prompt. Default unless every prompt is a single click
    #[arg(long)]
    no_multimask: bool,
    /// Fill holes of at most A pixels of the low-resolution mask
    #[arg(long, value_name = "A", default_value_t = 0.0, allow_hyphen_values = true)]
    max_hole_area: f32,
    /// Remove specks of at most A pixels of the low-resolution mask
    #[arg(long, value_name = "A", default_value_t = 0.0, allow_hyphen_values = true)]
    max_sprinkle_area: f32,
    /// Write the best mask to NAME.png, and an overlay to NAME.overlay.png
    #[arg(short, long, value_name = "NAME.png")]
    output: Option<PathBuf>,
    /// Write masks, low_res_masks, iou_predictions and object_score_logits as float32 tensors
    #[arg(long, value_name = "FILE.safetensors")]
    raw: Option<PathBuf>,
    /// Print all masks as JSON: COCO RLE, box, area and scores
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let usage = |message: &str| Err(Failure::Usage(message.into()));
    if args.point.is_empty() && args.boxes.is_empty() && args.mask_input.is_none() && args.prompts.is_none() {
        return usage("no prompt: give --point, --box, --mask-input or --prompts");
    }
    if args.boxes.len() > 1 && (!args.point.is_empty() || args.mask_input.is_some()) {
        return usage("clicks and a mask go with a single box; give several prompts as --prompts FILE");
    }
    check_results(args)?;
    let picture = args.picture.read(&args.image)?;
    let model = args.model.load()?;
    let mask_input = args.mask_input.as_deref().map(|file| mask_input(file, model.config().mask_side())).transpose()?;
    let prompts = prompts(args, mask_input.as_deref())?;
    let one_click = |p: &Prompt<'_>| p.points.len() == 1 && p.bounds.is_none() && p.mask_input.is_none();
    let multimask_output = args.multimask || !args.no_multimask && prompts.iter().all(one_click);

    let mut predictor = model.image_predictor(ImagePredictorOptions {
        max_hole_area: args.max_hole_area,
        max_sprinkle_area: args.max_sprinkle_area,
        ..Default::default()
    })?;
    let bar = progress("encoding the image");
    predictor.set_image(&picture.frame()?)?;
    let Picture { height, width, .. } = picture;
    let mut batches = Batches { predictor: &mut predictor, prompts: &prompts, multimask_output, height, width };
    let found = batches.find(args.raw.is_some())?;
    bar.finish_and_clear();

    if let Some(file) = &args.raw {
        write_raw(file, &mut batches, &found)?;
    }
    if let Some(file) = &args.output {
        let best: Vec<&Rle> = (0..prompts.len()).map(|p| &found.masks[found.best(p)]).collect();
        write(file, &overlay::mask_png(&best, width, height)?)?;
        if let Some(file) = output::companion(file, "overlay.png") {
            let overlay = Overlay { picture: &picture, masks: &best, prompts: &prompts };
            write(&file, &picture::encode_png(&overlay.draw()?)?)?;
        }
    }
    if args.json { print_json(&found) } else { print_lines(&found) }
}

/// Fails if a result cannot be written or would replace an input.
fn check_results(args: &Args) -> Result<(), Failure> {
    args.output.iter().try_for_each(|file| output::check_file(file, &["png"]))?;
    args.raw.iter().try_for_each(|file| output::check_file(file, &["safetensors"]))?;
    let overlay = args.output.as_ref().and_then(|file| output::companion(file, "overlay.png"));
    let results: Vec<PathBuf> = args.output.iter().cloned().chain(overlay).chain(args.raw.clone()).collect();
    if args.output == args.raw && args.raw.is_some() {
        return Err(Failure::Usage("--output and --raw name the same file".into()));
    }
    let named = [Some(args.image.clone()), args.prompts.clone(), args.mask_input.as_deref().map(labels::mask_file)];
    output::check(&results, named.into_iter().flatten().chain(args.model.reads()))
}

/// The prompts that the arguments give.
fn prompts<'a>(args: &Args, mask_input: Option<&'a [f32]>) -> Result<Vec<Prompt<'a>>, Failure> {
    if let Some(file) = &args.prompts {
        let text = files::read_text(file, files::MAX_TEXT)?;
        return Ok(sam2::parse_prompts(&text)?);
    }
    if args.boxes.len() > 1 {
        return Ok(args.boxes.iter().map(|&b| Prompt::new().bounds(b)).collect());
    }
    Ok(vec![Prompt { points: args.point.clone(), bounds: args.boxes.first().copied(), mask_input, ..Prompt::new() }])
}

/// The logits of `--mask-input`.
fn mask_input(file: &Path, side: usize) -> Result<Vec<f32>, Failure> {
    let wrong = |what: String| Failure::Engine(Error::Input(format!("{}: {what}", file.display())));
    if !tensors::is_safetensors(file) {
        let mask = labels::read_mask(file)?;
        return Ok(sam2::mask_logits(&mask.pixels, mask.size(), side)?);
    }
    let bytes = files::read(file, files::MAX_MASKS)?;
    let tensors =
        safetensors::SafeTensors::deserialize(&bytes).map_err(|e| wrong(format!("a damaged --raw file: {e}")))?;
    let floats = |name: &str| -> Result<Vec<f32>, Failure> {
        let t = tensors.tensor(name).map_err(|e| wrong(e.to_string()))?;
        if t.dtype() != safetensors::Dtype::F32 {
            return Err(wrong(format!("{name} is {:?}, expected F32", t.dtype())));
        }
        Ok(t.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    };
    let (masks, iou) = (floats("low_res_masks")?, floats("iou_predictions")?);
    if iou.is_empty() || masks.len() != iou.len() * side * side {
        let what = format!("low_res_masks has {} values, expected {} of {side}x{side}", masks.len(), iou.len());
        return Err(wrong(what));
    }
    let best = (1..iou.len()).fold(0, |best, i| if iou[i] > iou[best] { i } else { best });
    Ok(masks[best * side * side..][..side * side].to_vec())
}

/// Writes the tensors of `--raw`. The full-size logits are decoded once more, batch by batch.
fn write_raw(file: &Path, batches: &mut Batches<'_>, found: &Found) -> Result<(), Failure> {
    let (n, side) = (found.masks.len(), batches.predictor.mask_side());
    let (masks, low_res) = ([n, batches.height, batches.width], [n, side, side]);
    let f32 = |name, shape| Header { name, dtype: DType::F32, shape };
    let prompts = [batches.prompts.len()];
    let headers = [
        f32("masks", &masks[..]),
        f32("low_res_masks", &low_res),
        f32("iou_predictions", &low_res[..1]),
        f32("object_score_logits", &prompts),
    ];
    tensors::write(file, &headers, |i, out| match i {
        0 => batches.each_logits(|logits| tensors::write_values(out, logits)),
        1 => tensors::write_values(out, &found.low_res_masks),
        2 => tensors::write_values(out, &found.iou_predictions),
        _ => tensors::write_values(out, &found.object_score_logits),
    })
}

fn print_json(found: &Found) -> Result<(), Failure> {
    let records: Vec<serde_json::Value> = (found.masks.iter().enumerate())
        .map(|(i, rle)| {
            let object = i / found.masks_per_prompt;
            Ok(serde_json::json!({
                "object": object,
                "segmentation": {"size": [rle.height, rle.width], "counts": rle.to_coco()?},
                "bbox": rle.bbox(),
                "area": rle.area(),
                "predicted_iou": found.iou_predictions[i],
                "object_score": found.object_score_logits[object],
                "best": i == found.best(object),
            }))
        })
        .collect::<sam2::Result<_>>()?;
    print(&serde_json::Value::Array(records).to_string())
}

fn print_lines(found: &Found) -> Result<(), Failure> {
    for (object, score) in found.object_score_logits.iter().enumerate() {
        let best = found.best(object);
        let (rle, iou, n) = (&found.masks[best], found.iou_predictions[best], found.masks_per_prompt);
        let [x, y, w, h] = rle.bbox();
        let of = if n > 1 { format!(", the best of {n}") } else { String::new() };
        let area = rle.area();
        print(&format!(
            "object {object}: {area} pixels, {w}x{h} at ({x}, {y}), predicted IoU {iou:.3}, object score {score:.2}{of}"
        ))?;
    }
    Ok(())
}

//! `sam2 encode`: writes the features of an image.

use crate::args::{ModelArgs, PictureArgs};
use crate::console::{print, progress};
use crate::error::Failure;
use crate::{output, tensors};
use sam2::Feature;
use std::path::PathBuf;

/// Arguments of `sam2 encode`.
#[derive(clap::Args)]
pub struct Args {
    /// Image: PNG, JPEG, WebP, BMP, TIFF, GIF or PNM
    image: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    picture: PictureArgs,
    /// Output: image_embed, high_res_1 and high_res_0 as float32 tensors (channels, height, width)
    #[arg(long, value_name = "FILE.safetensors")]
    raw: PathBuf,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    output::check_file(&args.raw, &["safetensors"])?;
    output::check(&[args.raw.clone()], args.model.reads().into_iter().chain([args.image.clone()]))?;
    let picture = args.picture.read(&args.image)?;
    let mut predictor = args.model.load()?.image_predictor(Default::default())?;
    let bar = progress("encoding the image");
    predictor.set_image(&picture.frame()?)?;
    bar.finish_and_clear();
    let mut features = Vec::new();
    for (name, feature) in
        [("image_embed", Feature::ImageEmbedding), ("high_res_1", Feature::HighRes1), ("high_res_0", Feature::HighRes0)]
    {
        let map = predictor.features(feature, 0)?;
        print(&format!("{name}: {} channels, {}x{}", map.channels, map.height, map.width))?;
        features.push((name, map.shape(), map.values));
    }
    let views: Vec<(&str, &[usize], &[f32])> = features.iter().map(|(n, s, v)| (*n, &s[..], &v[..])).collect();
    tensors::write_f32(&args.raw, &views)
}

//! SAM 2 itself: one file per part, named as the reference names it. Nothing here knows a device.

pub mod image_encoder;
pub mod layers;
pub mod mask_decoder;
pub mod memory_attention;
pub mod memory_encoder;
pub mod position;
pub mod prompt_encoder;
pub mod tracking;

use crate::backend::Backend;
use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::error::Result;
use crate::null::Null;
use crate::precision::{Policy, Precision};
use crate::tensor::DType;
use image_encoder::ImageEncoder;
use layers::{Loader, Param, Source, check_shape};
use mask_decoder::MaskDecoder;
use prompt_encoder::PromptEncoder;
use std::cell::RefCell;
use std::collections::HashSet;
use tracking::Tracking;

/// Parts of a checkpoint that only tracking uses: all of them are there, or pictures are all the model is good for.
const TRACKING: &[&str] = &[
    "memory_attention.",
    "memory_encoder.",
    "obj_ptr_proj.",
    "obj_ptr_tpos_proj.",
    "mask_downsample.",
    "maskmem_tpos_enc",
    "no_mem_pos_enc",
    "no_obj_ptr",
    "no_obj_embed_spatial",
];

/// The weights of a model on a device; immutable and shared.
pub struct Network<B: Backend> {
    /// The sizes.
    pub config: Config,
    /// The widths of numbers.
    pub policy: Policy,
    /// Picture to features.
    pub image_encoder: ImageEncoder<B>,
    /// Prompts to embeddings.
    pub prompt_encoder: PromptEncoder<B>,
    /// Embeddings and features to masks.
    pub mask_decoder: MaskDecoder<B>,
    /// (d): added to the features of a picture without a past.
    pub no_mem_embed: Param<B>,
    /// What tracking adds, where the checkpoint has it.
    pub tracking: Option<Tracking<B>>,
}

impl<B: Backend> Network<B> {
    /// Loads a model after checking that the checkpoint holds every tensor in its shape, and no other.
    pub fn load(b: &B, checkpoint: &Checkpoint, config: &Config, precision: Precision) -> Result<Self> {
        check(checkpoint, config)?;
        let (source, policy) = (Source::Checkpoint(checkpoint), Policy::of(precision));
        Self::take(&Loader::new(b, &source, policy.activations), config, policy, tracks(checkpoint))
    }

    fn take(l: &Loader<'_, B>, config: &Config, policy: Policy, tracks: bool) -> Result<Self> {
        let d = config.d_model;
        Ok(Network {
            config: config.clone(),
            policy,
            image_encoder: ImageEncoder::load(l, config)?,
            prompt_encoder: PromptEncoder::load(l, config)?,
            mask_decoder: MaskDecoder::load(l, config)?,
            no_mem_embed: l.tensor("no_mem_embed", &[1, 1, d], &[d])?,
            tracking: tracks.then(|| Tracking::load(l, config)).transpose()?,
        })
    }
}

/// A checkpoint with anything that only tracking uses must have all of it.
fn tracks(checkpoint: &Checkpoint) -> bool {
    checkpoint.names().any(|name| name.starts_with(TRACKING[0]))
}

/// Name and shape of every tensor of the model; without `tracking`, of those that pictures need.
pub fn manifest(config: &Config, tracking: bool) -> Result<Vec<(String, Vec<usize>)>> {
    let source = Source::Manifest(RefCell::new(Vec::new()));
    Network::take(&Loader::new(&Null, &source, DType::F32), config, Policy::of(Precision::F32), tracking)?;
    let Source::Manifest(list) = source else { unreachable!("made above") };
    Ok(list.into_inner())
}

/// Fails unless the checkpoint holds every tensor that pictures need, in its shape, and none that is unknown.
pub fn check(checkpoint: &Checkpoint, config: &Config) -> Result<()> {
    let manifest = manifest(config, tracks(checkpoint))?;
    let known: HashSet<&str> = manifest.iter().map(|(name, _)| name.as_str()).collect();
    let missing: Vec<&str> =
        manifest.iter().map(|(name, _)| name.as_str()).filter(|name| checkpoint.get(name).is_none()).collect();
    let surplus: Vec<&str> = (checkpoint.names())
        .filter(|name| !known.contains(name) && !TRACKING.iter().any(|part| name.starts_with(part)))
        .collect();
    if let Some((name, what)) = missing.iter().find_map(|name| Some((name, checkpoint.unread(name)?))) {
        return Err(checkpoint.error(format!("tensor {name} is {what}; F64, F32, F16 and BF16 are read")));
    }
    for (what, names) in [("lacks", missing), ("has unknown", surplus)] {
        if let [first, rest @ ..] = &names[..] {
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            return Err(checkpoint.error(format!("{what} tensor {first}{more}; is this the model's configuration?")));
        }
    }
    for (name, shape) in &manifest {
        if let Some(data) = checkpoint.get(name) {
            check_shape(checkpoint, name, data, shape)?;
        }
    }
    Ok(())
}

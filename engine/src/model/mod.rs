//! The SAM 2 model, for any device. Each part has a file with the name that the part has in the reference.

pub mod config;
pub mod image_encoder;
pub mod layers;
pub mod mask_decoder;
pub mod memory_attention;
pub mod memory_encoder;
pub mod position;
pub mod progress;
pub mod prompt_encoder;
pub mod tracking;
pub mod variant;

use crate::backend::Backend;
use crate::backend::null::Null;
use crate::backend::precision::{Policy, Precision};
use crate::backend::tensor::DType;
use crate::checkpoint::Checkpoint;
use crate::error::Result;
use crate::model::config::Config;
use image_encoder::ImageEncoder;
use layers::{Loader, Param, Source, check_shape};
use mask_decoder::MaskDecoder;
use progress::{LoadProgress, Loading};
use prompt_encoder::PromptEncoder;
use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use tracking::Tracking;

/// The prefixes of the names of tensors that only tracking uses. A checkpoint with a tensor of the first prefix must
/// have all tensors for tracking. Without such a tensor the model only works on images.
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

/// The weights of a model on a device. They are immutable and shared.
pub struct Network<B: Backend> {
    /// A number that no other network of the process has.
    pub id: u64,
    /// The configuration.
    pub config: Config,
    /// The element types of tensors.
    pub policy: Policy,
    /// Computes features from an image.
    pub image_encoder: ImageEncoder<B>,
    /// Computes embeddings from prompts.
    pub prompt_encoder: PromptEncoder<B>,
    /// Computes masks from embeddings and features.
    pub mask_decoder: MaskDecoder<B>,
    /// (d): added to the features of an image without memories.
    pub no_mem_embed: Param<B>,
    /// The parts for tracking, if the checkpoint has them.
    pub tracking: Option<Tracking<B>>,
}

impl<B: Backend> Network<B> {
    /// Loads a model after a check of the checkpoint, as [`Checkpoint::validate`] does.
    pub fn load(
        b: &B,
        checkpoint: &Checkpoint,
        config: &Config,
        precision: Precision,
        progress: Option<&LoadProgress>,
    ) -> Result<Self> {
        check(checkpoint, config)?;
        let (source, policy) = (Source::Checkpoint(Loading::new(checkpoint, progress)), Policy::of(precision));
        Self::take(&Loader::new(b, &source, policy.activations), config, policy, tracks(checkpoint))
    }

    fn take(l: &Loader<'_, B>, config: &Config, policy: Policy, tracks: bool) -> Result<Self> {
        let d = config.d_model;
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Ok(Network {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
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

/// Returns whether a checkpoint has tensors of the memory attention. Such a checkpoint must have all tensors for
/// tracking.
fn tracks(checkpoint: &Checkpoint) -> bool {
    checkpoint.names().any(|name| name.starts_with(TRACKING[0]))
}

impl Config {
    /// Returns the name and the shape of every tensor of a model with this configuration.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory) if host memory is exhausted.
    pub fn tensor_shapes(&self) -> Result<Vec<(String, Vec<usize>)>> {
        manifest(self, true)
    }

    /// Returns the name and the shape of every tensor that masks of images need. Only tracking needs the other tensors.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory) if host memory is exhausted.
    pub fn image_tensor_shapes(&self) -> Result<Vec<(String, Vec<usize>)>> {
        manifest(self, false)
    }
}

impl Checkpoint {
    /// Checks that the checkpoint holds every tensor that masks of images need under this configuration, in its shape,
    /// and no unknown tensor. If the checkpoint holds tensors of the memory attention, it must hold all tensors for
    /// tracking.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`](crate::Error::Checkpoint) if a tensor is missing, unknown, or of another shape or type.
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory) if host memory is exhausted.
    pub fn validate(&self, config: &Config) -> Result<()> {
        check(self, config)
    }
}

/// Returns the name and the shape of every tensor of the model. Without `tracking`, only the tensors for images are
/// returned.
fn manifest(config: &Config, tracking: bool) -> Result<Vec<(String, Vec<usize>)>> {
    let source = Source::Manifest(RefCell::new(Vec::new()));
    Network::take(&Loader::new(&Null, &source, DType::F32), config, Policy::of(Precision::F32), tracking)?;
    let Source::Manifest(list) = source else { unreachable!("made above") };
    Ok(list.into_inner())
}

/// Checks a checkpoint as [`Checkpoint::validate`] does.
fn check(checkpoint: &Checkpoint, config: &Config) -> Result<()> {
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

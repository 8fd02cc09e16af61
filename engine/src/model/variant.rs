//! The published models, and how to recognize them.

use crate::checkpoint::Checkpoint;
use crate::error::Result;
use std::path::Path;

/// A published model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The name of the model's configuration in the reference.
    pub name: &'static str,
    /// The text of the configuration.
    pub yaml: &'static str,
    embed_dim: usize,
    blocks: usize,
    v21: bool,
}

macro_rules! variant {
    ($name:literal, $folder:literal, $embed_dim:literal, $blocks:literal, $v21:literal) => {
        Variant {
            name: $name,
            yaml: include_str!(concat!("../../configs/", $folder, "/", $name, ".yaml")),
            embed_dim: $embed_dim,
            blocks: $blocks,
            v21: $v21,
        }
    };
}

/// The eight official models, and the demo model of this project.
pub const VARIANTS: &[Variant] = &[
    variant!("sam2_hiera_t", "sam2", 96, 12, false),
    variant!("sam2_hiera_s", "sam2", 96, 16, false),
    variant!("sam2_hiera_b+", "sam2", 112, 24, false),
    variant!("sam2_hiera_l", "sam2", 144, 48, false),
    variant!("sam2.1_hiera_t", "sam2.1", 96, 12, true),
    variant!("sam2.1_hiera_s", "sam2.1", 96, 16, true),
    variant!("sam2.1_hiera_b+", "sam2.1", 112, 24, true),
    variant!("sam2.1_hiera_l", "sam2.1", 144, 48, true),
    variant!("sam2.1_hiera_demo", "sam2.1", 24, 7, true),
];

impl Variant {
    /// Returns whether this is the small model that ships with the project.
    #[must_use]
    pub fn is_demo(&self) -> bool {
        self.embed_dim == 24
    }

    /// Returns the model whose configuration has this name in the reference. The name may have folders and an
    /// extension.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Variant> {
        let name = name.trim().rsplit(['/', '\\']).next()?;
        let name = name.strip_suffix(".yaml").or(name.strip_suffix(".yml")).unwrap_or(name);
        VARIANTS.iter().find(|v| v.name == name)
    }

    /// Returns whether a file has the name under which this model is published, such as `sam2.1_hiera_tiny.pt`. An
    /// element type may follow the name.
    #[must_use]
    pub fn is_published_as(&self, file: &Path) -> bool {
        let sizes = [("_t", "_tiny"), ("_s", "_small"), ("_b+", "_base_plus"), ("_l", "_large")];
        let long = sizes.iter().find_map(|(short, long)| Some(format!("{}{long}", self.name.strip_suffix(short)?)));
        let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let is_type = |rest: &str| {
            let types = ["", "f32", "fp32", "f16", "fp16", "bf16"];
            types.contains(&rest.strip_prefix(['-', '_', '.']).unwrap_or(rest))
        };
        let is = |name: &str| stem.strip_prefix(name).is_some_and(is_type);
        long.is_some_and(|long| is(&long)) || is(self.name)
    }

    /// Returns the model whose sizes the tensors of `checkpoint` have.
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`](crate::Error::Checkpoint) if the tensors are those of no published model.
    pub fn of(checkpoint: &Checkpoint) -> Result<&'static Variant> {
        let trunk = "image_encoder.trunk";
        let Some(embed) = checkpoint.get(&format!("{trunk}.pos_embed_window")) else {
            return Err(checkpoint.error("no tensor image_encoder.trunk.pos_embed_window: not a SAM 2 model"));
        };
        let embed_dim = embed.shape.get(1).copied().unwrap_or(0);
        let blocks =
            (0..).take_while(|i| checkpoint.get(&format!("{trunk}.blocks.{i}.norm1.weight")).is_some()).count();
        // Only 2.1 projects the temporal encoding of pointers. A file of the image half alone reads the same as either.
        let v21 = checkpoint.get("obj_ptr_tpos_proj.weight").is_some()
            || checkpoint.get("obj_ptr_proj.layers.0.weight").is_none();
        let known = VARIANTS.iter().find(|v| (v.embed_dim, v.blocks, v.v21) == (embed_dim, blocks, v21));
        known.ok_or_else(|| {
            checkpoint.error(format!(
                "a trunk of {embed_dim} channels and {blocks} blocks is no published model; give its configuration"
            ))
        })
    }
}

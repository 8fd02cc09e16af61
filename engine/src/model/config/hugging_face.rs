//! Hugging Face's `config.json`, as settings of the reference's configuration.
//!
//! The file omits values that are defaults of transformers, and has no keys for values that all models share. So its
//! settings change a complete configuration. Keys that are not listed here do not affect the results of a model.

use super::reader::show;
use crate::error::{Error, Result};
use serde_yaml::Value;

/// Keys of the file, with the corresponding keys of the reference's configuration below `model`.
const KEYS: &[(&str, &[&str])] = &[
    ("vision_config.backbone_config.blocks_per_stage", &["image_encoder.trunk.stages"]),
    ("vision_config.backbone_config.window_size_per_stage", &["image_encoder.trunk.window_spec"]),
    ("vision_config.backbone_config.global_attention_blocks", &["image_encoder.trunk.global_att_blocks"]),
    (
        "vision_config.backbone_config.window_positional_embedding_background_size",
        &["image_encoder.trunk.window_pos_embed_bkg_spatial_size"],
    ),
    ("vision_config.backbone_config.query_stride", &["image_encoder.trunk.q_stride"]),
    ("vision_config.backbone_config.num_query_pool_stages", &["image_encoder.trunk.q_pool"]),
    ("vision_config.backbone_channel_list", &["image_encoder.neck.backbone_channel_list"]),
    (
        "vision_config.fpn_hidden_size",
        &[
            "image_encoder.neck.d_model",
            "memory_attention.d_model",
            "memory_attention.layer.d_model",
            "memory_attention.layer.self_attention.embedding_dim",
            "memory_attention.layer.cross_attention.embedding_dim",
            "memory_encoder.fuser.layer.dim",
        ],
    ),
    ("vision_config.fpn_kernel_size", &["image_encoder.neck.kernel_size"]),
    ("vision_config.fpn_stride", &["image_encoder.neck.stride"]),
    ("vision_config.fpn_padding", &["image_encoder.neck.padding"]),
    ("vision_config.fpn_top_down_levels", &["image_encoder.neck.fpn_top_down_levels"]),
    (
        "memory_attention_hidden_size",
        &[
            "memory_attention.d_model",
            "memory_attention.layer.d_model",
            "memory_attention.layer.self_attention.embedding_dim",
            "memory_attention.layer.cross_attention.embedding_dim",
        ],
    ),
    ("memory_attention_num_layers", &["memory_attention.num_layers"]),
    (
        "memory_attention_num_attention_heads",
        &["memory_attention.layer.self_attention.num_heads", "memory_attention.layer.cross_attention.num_heads"],
    ),
    (
        "memory_attention_downsample_rate",
        &[
            "memory_attention.layer.self_attention.downsample_rate",
            "memory_attention.layer.cross_attention.downsample_rate",
        ],
    ),
    ("memory_attention_feed_forward_hidden_size", &["memory_attention.layer.dim_feedforward"]),
    ("memory_attention_feed_forward_hidden_act", &["memory_attention.layer.activation"]),
    (
        "memory_attention_rope_theta",
        &["memory_attention.layer.self_attention.rope_theta", "memory_attention.layer.cross_attention.rope_theta"],
    ),
    (
        "rope_parameters.rope_theta",
        &["memory_attention.layer.self_attention.rope_theta", "memory_attention.layer.cross_attention.rope_theta"],
    ),
    ("memory_encoder_hidden_size", &["memory_encoder.in_dim"]),
    ("memory_encoder_output_channels", &["memory_encoder.out_dim"]),
    ("mask_downsampler_embed_dim", &["memory_encoder.mask_downsampler.embed_dim"]),
    ("mask_downsampler_kernel_size", &["memory_encoder.mask_downsampler.kernel_size"]),
    ("mask_downsampler_stride", &["memory_encoder.mask_downsampler.stride"]),
    ("mask_downsampler_padding", &["memory_encoder.mask_downsampler.padding"]),
    ("mask_downsampler_total_stride", &["memory_encoder.mask_downsampler.total_stride"]),
    ("memory_fuser_num_layers", &["memory_encoder.fuser.num_layers"]),
    ("memory_fuser_embed_dim", &["memory_encoder.fuser.layer.dim"]),
    ("memory_fuser_kernel_size", &["memory_encoder.fuser.layer.kernel_size"]),
    ("memory_fuser_padding", &["memory_encoder.fuser.layer.padding"]),
    ("num_maskmem", &["num_maskmem"]),
    ("sigmoid_scale_for_mem_enc", &["sigmoid_scale_for_mem_enc"]),
    ("sigmoid_bias_for_mem_enc", &["sigmoid_bias_for_mem_enc"]),
    ("enable_occlusion_spatial_embedding", &["no_obj_embed_spatial"]),
    ("multimask_output_in_sam", &["multimask_output_in_sam"]),
    ("multimask_min_pt_num", &["multimask_min_pt_num"]),
    ("multimask_max_pt_num", &["multimask_max_pt_num"]),
    ("multimask_output_for_tracking", &["multimask_output_for_tracking"]),
    ("max_object_pointers_in_encoder", &["max_obj_ptrs_in_encoder"]),
    ("max_cond_frame_num", &["max_cond_frames_in_attn"]),
    (
        "enable_temporal_pos_encoding_for_object_pointers",
        &["add_tpos_enc_to_obj_ptrs", "proj_tpos_enc_in_obj_ptrs", "use_signed_tpos_enc_to_obj_ptrs"],
    ),
];
/// Keys for the choice among masks. They are applied only with the reference's `apply_postprocessing`.
const CHOICE: &[(&str, &[&str])] = &[
    (
        "mask_decoder_config.dynamic_multimask_via_stability",
        &["sam_mask_decoder_extra_args.dynamic_multimask_via_stability"],
    ),
    (
        "mask_decoder_config.dynamic_multimask_stability_delta",
        &["sam_mask_decoder_extra_args.dynamic_multimask_stability_delta"],
    ),
    (
        "mask_decoder_config.dynamic_multimask_stability_thresh",
        &["sam_mask_decoder_extra_args.dynamic_multimask_stability_thresh"],
    ),
];
/// Keys for the side of the input. The value is a number, or height and width.
const SIDE: &[&str] = &[
    "image_size",
    "vision_config.image_size",
    "vision_config.backbone_config.image_size",
    "prompt_encoder_config.image_size",
];
const EMBED_DIM: &[&str] =
    &["vision_config.backbone_config.hidden_size", "vision_config.backbone_config.embed_dim_per_stage"];
const NUM_HEADS: &[&str] = &[
    "vision_config.backbone_config.num_attention_heads",
    "vision_config.backbone_config.num_attention_heads_per_stage",
];

/// Returns whether a configuration is one of Hugging Face's for SAM 2.
pub fn is(tree: &Value) -> bool {
    match tree.get("model_type") {
        Some(kind) => kind.as_str().is_some_and(|kind| kind.starts_with("sam2")),
        None => {
            tree.get("model").is_none() && ["vision_config", "image_size"].iter().any(|key| tree.get(key).is_some())
        }
    }
}

/// Returns the settings of a configuration, as keys of the reference and their values.
pub fn settings(tree: &Value, choice: bool) -> Result<Vec<(String, Value)>> {
    let mut out = Vec::new();
    let one = |keys| one_number(tree, keys);
    for (key, value) in [
        ("image_size", one(SIDE)?),
        ("image_encoder.trunk.embed_dim", one(EMBED_DIM)?),
        ("image_encoder.trunk.num_heads", one(NUM_HEADS)?),
    ] {
        out.extend(value.map(|value| (format!("model.{key}"), value)));
    }
    // Follows from the width of the trunk, where the file does not have it.
    out.push(("model.image_encoder.neck.backbone_channel_list".into(), Value::Null));
    for (from, to) in KEYS.iter().chain(if choice { CHOICE } else { &[] }) {
        if let Some(value) = at(tree, from) {
            out.extend(to.iter().map(|to| (format!("model.{to}"), value.clone())));
        }
    }
    Ok(out)
}

/// Returns the value of a key with dots between its levels.
fn at<'a>(tree: &'a Value, key: &str) -> Option<&'a Value> {
    key.split('.').try_fold(tree, |at, part| at.get(part)).filter(|value| !value.is_null())
}

/// Returns the number that several keys state: as a number, as the first number of stages, or as equal height and
/// width.
fn one_number(tree: &Value, keys: &[&str]) -> Result<Option<Value>> {
    let mut found: Option<(&str, &Value)> = None;
    for key in keys {
        let Some(stated) = at(tree, key) else { continue };
        let value = match stated.as_sequence() {
            Some(list) => list.first().unwrap_or(stated),
            None => stated,
        };
        let is_size = key.ends_with("image_size");
        if let Some(list) = stated.as_sequence()
            && is_size
            && (list.len() != 2 || list[0] != list[1])
        {
            return Err(Error::config(*key, "only equal height and width are implemented"));
        }
        match found {
            Some((first, other)) if other != value => {
                let what = format!("is {}, which contradicts {first}, {}", show(value), show(other));
                return Err(Error::config(*key, what));
            }
            _ => found = Some((key, value)),
        }
    }
    Ok(found.map(|(_, value)| value.clone()))
}

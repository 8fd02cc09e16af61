//! Conversion of Hugging Face's names of SAM 2 tensors to Meta's names.

use super::data::Entry;
use std::collections::BTreeMap;

/// Replacements of whole parts between dots. They are tried in order on every name. `*` stands for any one part.
const RULES: &[(&str, &str)] = &[
    ("vision_encoder.backbone", "image_encoder.trunk"),
    ("patch_embed.projection", "patch_embed.proj"),
    ("vision_encoder.neck.convs.*", "image_encoder.neck.convs.*.conv"),
    ("blocks.*.mlp.proj_in", "blocks.*.mlp.layers.0"),
    ("blocks.*.mlp.proj_out", "blocks.*.mlp.layers.1"),
    ("mask_decoder.transformer.layers.*.mlp.proj_in", "mask_decoder.transformer.layers.*.mlp.layers.0"),
    ("mask_decoder.transformer.layers.*.mlp.proj_out", "mask_decoder.transformer.layers.*.mlp.layers.1"),
    ("mask_decoder.upscale_conv1", "mask_decoder.output_upscaling.0"),
    ("mask_decoder.upscale_layer_norm", "mask_decoder.output_upscaling.1"),
    ("mask_decoder.upscale_conv2", "mask_decoder.output_upscaling.3"),
    // Three-layer heads: the inner layer is number 0 there and 1 here.
    ("iou_prediction_head.layers.0", "iou_prediction_head.layers.1"),
    ("iou_prediction_head.proj_in", "iou_prediction_head.layers.0"),
    ("iou_prediction_head.proj_out", "iou_prediction_head.layers.2"),
    ("pred_obj_score_head.layers.0", "pred_obj_score_head.layers.1"),
    ("pred_obj_score_head.proj_in", "pred_obj_score_head.layers.0"),
    ("pred_obj_score_head.proj_out", "pred_obj_score_head.layers.2"),
    ("output_hypernetworks_mlps.*.layers.0", "output_hypernetworks_mlps.*.layers.1"),
    ("output_hypernetworks_mlps.*.proj_in", "output_hypernetworks_mlps.*.layers.0"),
    ("output_hypernetworks_mlps.*.proj_out", "output_hypernetworks_mlps.*.layers.2"),
    ("object_pointer_proj.layers.0", "obj_ptr_proj.layers.1"),
    ("object_pointer_proj.proj_in", "obj_ptr_proj.layers.0"),
    ("object_pointer_proj.proj_out", "obj_ptr_proj.layers.2"),
    ("mask_decoder", "sam_mask_decoder"),
    ("prompt_encoder.mask_embed.conv1", "prompt_encoder.mask_downscaling.0"),
    ("prompt_encoder.mask_embed.layer_norm1", "prompt_encoder.mask_downscaling.1"),
    ("prompt_encoder.mask_embed.conv2", "prompt_encoder.mask_downscaling.3"),
    ("prompt_encoder.mask_embed.layer_norm2", "prompt_encoder.mask_downscaling.4"),
    ("prompt_encoder.mask_embed.conv3", "prompt_encoder.mask_downscaling.6"),
    (
        "prompt_encoder.shared_embedding.positional_embedding",
        "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
    ),
    ("shared_image_embedding.positional_embedding", "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"),
    ("prompt_encoder", "sam_prompt_encoder"),
    ("mask_downsampler.final_conv", "mask_downsampler.encoder.12"),
    ("mask_downsampler.layers.0.conv", "mask_downsampler.encoder.0"),
    ("mask_downsampler.layers.0.layer_norm", "mask_downsampler.encoder.1"),
    ("mask_downsampler.layers.1.conv", "mask_downsampler.encoder.3"),
    ("mask_downsampler.layers.1.layer_norm", "mask_downsampler.encoder.4"),
    ("mask_downsampler.layers.2.conv", "mask_downsampler.encoder.6"),
    ("mask_downsampler.layers.2.layer_norm", "mask_downsampler.encoder.7"),
    ("mask_downsampler.layers.3.conv", "mask_downsampler.encoder.9"),
    ("mask_downsampler.layers.3.layer_norm", "mask_downsampler.encoder.10"),
    ("memory_encoder.projection", "memory_encoder.out_proj"),
    ("memory_encoder.feature_projection", "memory_encoder.pix_feat_proj"),
    ("memory_encoder.memory_fuser", "memory_encoder.fuser"),
    ("depthwise_conv", "dwconv"),
    ("pointwise_conv1", "pwconv1"),
    ("pointwise_conv2", "pwconv2"),
    ("scale", "gamma"),
    ("layer_norm", "norm"),
    ("layer_norm1", "norm1"),
    ("layer_norm2", "norm2"),
    ("layer_norm3", "norm3"),
    ("layer_norm4", "norm4"),
    ("layer_norm_final_attn", "norm_final_attn"),
    ("o_proj", "out_proj"),
    ("temporal_positional_encoding_projection_layer", "obj_ptr_tpos_proj"),
    ("no_object_pointer", "no_obj_ptr"),
    ("occlusion_spatial_embedding_parameter", "no_obj_embed_spatial"),
    ("memory_temporal_positional_encoding", "maskmem_tpos_enc"),
    ("no_memory_embedding", "no_mem_embed"),
    ("no_memory_positional_encoding", "no_mem_pos_enc"),
];

/// The tensor of Hugging Face's files that corresponds to four tensors of Meta's files.
const POINT_EMBED: &str = "sam_prompt_encoder.point_embed.weight";

/// Converts the names of a file of either kind to Meta's names.
pub fn to_meta(tensors: BTreeMap<String, Entry>) -> Result<BTreeMap<String, Entry>, String> {
    if !tensors.keys().any(|name| name.starts_with("vision_encoder.")) {
        return Ok(tensors);
    }
    let mut out = BTreeMap::new();
    for (hf, entry) in tensors {
        let name = meta_name(&hf);
        if name == POINT_EMBED {
            let &[4, n] = &entry.shape[..] else {
                return Err(format!("tensor {hf}: expected 4 rows, got {:?}", entry.shape));
            };
            for i in 0..4 {
                let (start, row) = (entry.bytes.start, entry.bytes.len() / 4);
                let bytes = start + i * row..start + (i + 1) * row;
                let name = format!("sam_prompt_encoder.point_embeddings.{i}.weight");
                out.insert(name, Entry { shape: vec![1, n], bytes, ..entry });
            }
        } else if out.insert(name.clone(), entry).is_some() && !name.ends_with("gaussian_matrix") {
            // The matrix is there twice in newer files, once in older ones.
            return Err(format!("two tensors mean {name}, one of them {hf}"));
        }
    }
    Ok(out)
}

/// Converts one of Hugging Face's names to Meta's name. Meta's names stay unchanged.
pub fn meta_name(hf: &str) -> String {
    let mut name: Vec<String> = hf.split('.').map(String::from).collect();
    for (from, to) in RULES {
        let from: Vec<&str> = from.split('.').collect();
        let fits = |at: &[String]| from.iter().zip(at).all(|(f, part)| *f == "*" || f == part);
        let Some(at) = name.windows(from.len()).position(fits) else { continue };
        let mut stars = from.iter().zip(&name[at..]).filter(|(f, _)| **f == "*").map(|(_, part)| part.clone());
        let new: Vec<String> =
            to.split('.').map(|t| if t == "*" { stars.next().unwrap_or_default() } else { t.into() }).collect();
        drop(stars);
        name.splice(at..at + from.len(), new);
    }
    name.join(".")
}

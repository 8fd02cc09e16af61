//! Sizes and options of a model, from the reference's YAML, from the configuration of a trainer, or from Hugging Face's
//! `config.json`.
//!
//! The file has the structure of the reference, including Hydra's `_target_` keys. A fixed list has the keys that do
//! not matter for inference. Any other key or value that the engine does not implement is an error that names the key.
//! The other kinds of files are first converted to this structure.

mod hugging_face;
mod reader;
mod trainer;

use crate::backend::MAX_HEAD_WIDTH;
use crate::error::{Error, Result};
use crate::model::variant::Variant;
use reader::Node;

/// The largest side of the model's square input.
const MAX_IMAGE_SIZE: usize = 8192;
/// The configuration of the model whose values are Hugging Face's defaults.
const DEFAULTS: &str = include_str!("../../../configs/sam2.1/sam2.1_hiera_t.yaml");

/// The configuration of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The side of the square input in pixels, a multiple of 32.
    pub image_size: usize,
    /// The Hiera trunk.
    pub trunk: TrunkConfig,
    /// The width of the image features and of the mask decoder, `d`.
    pub d_model: usize,
    /// Whether predicted IoUs pass through a sigmoid.
    pub iou_prediction_use_sigmoid: bool,
    /// The choice among the masks of a prompt by stability: (distance of the thresholds from 0, smallest ratio of
    /// areas). `None` disables the choice.
    pub dynamic_multimask: Option<(f32, f32)>,
    /// The configuration of tracking.
    pub memory: MemoryConfig,
}

/// Sizes of the Hiera trunk (Ryali et al., arXiv:2306.00989).
#[derive(Clone, Debug, PartialEq)]
pub struct TrunkConfig {
    /// The channels of the first stage. Each further stage doubles them.
    pub embed_dim: usize,
    /// The heads of the first stage. Each further stage doubles them.
    pub num_heads: usize,
    /// The number of blocks of each stage.
    pub stages: [usize; 4],
    /// The indices of the blocks that attend to the whole map.
    pub global_att_blocks: Vec<usize>,
    /// The side of the windows of each stage.
    pub window_spec: [usize; 4],
    /// The height and width of the position embedding that is enlarged to the map.
    pub window_pos_embed_bkg_spatial_size: [usize; 2],
}

/// Sizes and options of memory attention, memory encoder and tracking, under the names of the reference.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)] // the reference documents them
pub struct MemoryConfig {
    pub num_layers: usize,
    pub dim_feedforward: usize,
    pub rope_theta: f32,
    /// The width of a memory.
    pub mem_dim: usize,
    pub fuser_layers: usize,
    pub num_maskmem: usize,
    pub sigmoid_scale_for_mem_enc: f32,
    pub sigmoid_bias_for_mem_enc: f32,
    pub binarize_mask_from_pts_for_mem_enc: bool,
    pub use_mask_input_as_output_without_sam: bool,
    pub max_cond_frames_in_attn: Option<usize>,
    pub directly_add_no_mem_embed: bool,
    pub multimask_output_in_sam: bool,
    pub multimask_min_pt_num: usize,
    pub multimask_max_pt_num: usize,
    pub multimask_output_for_tracking: bool,
    pub use_multimask_token_for_obj_ptr: bool,
    pub memory_temporal_stride_for_eval: usize,
    pub non_overlap_masks_for_mem_enc: bool,
    pub use_obj_ptrs_in_encoder: bool,
    pub max_obj_ptrs_in_encoder: usize,
    pub add_tpos_enc_to_obj_ptrs: bool,
    pub proj_tpos_enc_in_obj_ptrs: bool,
    pub use_signed_tpos_enc_to_obj_ptrs: bool,
    pub only_obj_ptrs_in_the_past_for_eval: bool,
    pub fixed_no_obj_ptr: bool,
    pub use_mlp_for_obj_ptr_proj: bool,
    pub no_obj_embed_spatial: bool,
    pub fill_hole_area: usize,
    pub non_overlap_masks: bool,
    pub clear_non_cond_mem_around_input: bool,
    pub add_all_frames_to_correct_as_cond: bool,
}

/// One block of the trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockConfig {
    /// The number of input channels.
    pub dim: usize,
    /// The number of output channels.
    pub dim_out: usize,
    /// The number of attention heads.
    pub heads: usize,
    /// The side of a window. 0 means the whole map.
    pub window: usize,
    /// Whether queries are pooled 2x2, so that the output has half the height and width.
    pub q_pool: bool,
    /// Whether the block is the last of its stage.
    pub ends_stage: bool,
}

impl TrunkConfig {
    /// Returns the channels of each stage.
    #[must_use]
    pub fn dims(&self) -> [usize; 4] {
        std::array::from_fn(|i| self.embed_dim << i)
    }

    /// Returns the blocks in order. The first block of a stage still has the windows of the previous stage.
    pub fn blocks(&self) -> impl Iterator<Item = BlockConfig> {
        let places = (0..4).flat_map(|stage| (0..self.stages[stage]).map(move |i| (stage, i)));
        places.enumerate().map(|(index, (stage, i))| {
            let q_pool = i == 0 && stage > 0;
            let from = if q_pool { stage - 1 } else { stage };
            let global = self.global_att_blocks.contains(&index);
            BlockConfig {
                dim: self.embed_dim << from,
                dim_out: self.embed_dim << stage,
                heads: self.num_heads << stage,
                window: if global { 0 } else { self.window_spec[from] },
                q_pool,
                ends_stage: i + 1 == self.stages[stage],
            }
        })
    }
}

impl Config {
    /// Reads a configuration: the reference's YAML, the configuration of its trainer (from `trainer.model`), or Hugging
    /// Face's `config.json`. `overrides` are `key=value` as in Hydra (`model.image_size=512`, with an optional leading
    /// `+` or `++`). They replace the values of the file. `postprocessing` is the reference's `apply_postprocessing`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the text is not a configuration, or has a key or a value that is not supported.
    pub fn parse(text: &str, overrides: &[String], postprocessing: bool) -> Result<Config> {
        Config::parse_over(None, text, overrides, postprocessing)
    }

    /// Reads a configuration as [`Config::parse`] does. Values that Hugging Face's `config.json` omits are taken from
    /// `base` instead of the tiny model. `base` is the YAML of the published model that the checkpoint matches, if
    /// there is one.
    ///
    /// # Errors
    ///
    /// As [`Config::parse`].
    pub fn parse_over(base: Option<&str>, text: &str, overrides: &[String], postprocessing: bool) -> Result<Config> {
        let mut tree = reader::parse(text)?;
        let mut settings = Vec::new();
        if hugging_face::is(&tree) {
            settings = hugging_face::settings(&tree, postprocessing)?;
            tree = reader::parse(base.unwrap_or(DEFAULTS))?;
        }
        let is_trainers = trainer::unwrap(&mut tree);
        if is_trainers {
            log::warn!("the configuration is a trainer's: its trainer.model is the model");
        }
        if postprocessing {
            for setting in [
                "model.sam_mask_decoder_extra_args.dynamic_multimask_via_stability=true",
                "model.sam_mask_decoder_extra_args.dynamic_multimask_stability_delta=0.05",
                "model.sam_mask_decoder_extra_args.dynamic_multimask_stability_thresh=0.98",
                "model.binarize_mask_from_pts_for_mem_enc=true",
                "model.fill_hole_area=8",
            ] {
                reader::set(&mut tree, setting)?;
            }
        }
        for (key, value) in settings {
            reader::put(&mut tree, &key, value)?;
        }
        for setting in overrides {
            let setting = if is_trainers { setting.replacen("trainer.model.", "model.", 1) } else { setting.clone() };
            reader::set(&mut tree, &setting)?;
        }
        trainer::resolve(&mut tree);
        let top = Node::root(&tree)?;
        let config = read_model(&top.child("model")?)?;
        if !is_trainers {
            top.finish(&["defaults", "hydra", "scratch"])?;
        }
        config.check()?;
        Ok(config)
    }

    /// Returns whether a text is a configuration of SAM 2, of any kind that [`Config::parse`] reads. A text that cannot
    /// be parsed counts as a configuration if it contains the name of the image encoder.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        let Ok(tree) = reader::parse(text) else { return text.contains("image_encoder") };
        let is_model = |model: &serde_yaml::Value| {
            let target = model.get("_target_").and_then(|target| target.as_str()).unwrap_or_default();
            model.get("image_encoder").is_some() || target.to_lowercase().contains("sam2")
        };
        let is_published = |name: &serde_yaml::Value| name.as_str().is_some_and(|name| Variant::named(name).is_some());
        let defaults = tree.get("defaults").and_then(|defaults| defaults.as_sequence());
        if defaults.is_some_and(|names| names.iter().any(is_published)) {
            return true;
        }
        let models = [tree.get("model"), tree.get("trainer").and_then(|trainer| trainer.get("model"))];
        hugging_face::is(&tree) || models.into_iter().flatten().any(is_model)
    }

    /// Returns the side of the finest feature map, a quarter of the side of the image.
    #[must_use]
    pub fn side(&self) -> usize {
        self.image_size / 4
    }

    /// Returns the side of the image embedding, a sixteenth of the side of the image.
    #[must_use]
    pub fn embed_side(&self) -> usize {
        self.image_size / 16
    }

    /// Returns the side of low-resolution masks.
    #[must_use]
    pub fn mask_side(&self) -> usize {
        self.image_size / 4
    }

    fn check(&self) -> Result<()> {
        let t = &self.trunk;
        let fail = |key: &str, what: String| Err(Error::config(format!("model.{key}"), what));
        if !self.image_size.is_multiple_of(32) || !(32..=MAX_IMAGE_SIZE).contains(&self.image_size) {
            return fail(
                "image_size",
                format!("must be a multiple of 32 in 32..={MAX_IMAGE_SIZE}, got {}", self.image_size),
            );
        }
        let trunk = |key: &str| format!("image_encoder.trunk.{key}");
        if !(1..=512).contains(&t.embed_dim) {
            return fail(&trunk("embed_dim"), format!("must be in 1..=512, got {}", t.embed_dim));
        }
        if t.num_heads == 0 || !t.embed_dim.is_multiple_of(t.num_heads) || t.embed_dim / t.num_heads > MAX_HEAD_WIDTH {
            let what = format!("{} must divide embed_dim {} into at most {MAX_HEAD_WIDTH}", t.num_heads, t.embed_dim);
            return fail(&trunk("num_heads"), what);
        }
        if t.stages.iter().any(|n| !(1..=256).contains(n)) {
            return fail(&trunk("stages"), format!("each must be in 1..=256, got {:?}", t.stages));
        }
        if t.global_att_blocks.iter().any(|&i| i >= t.stages.iter().sum()) {
            return fail(&trunk("global_att_blocks"), format!("no such block in {:?}", t.global_att_blocks));
        }
        // A pooled block's windows are halved, and the embedding of the first stage's window is tiled over the map.
        let [first, rest @ ..] = t.window_spec;
        if first == 0 || !self.side().is_multiple_of(first) || first > 64 || rest.iter().any(|w| !(1..=64).contains(w))
        {
            return fail(&trunk("window_spec"), format!("{:?} does not fit maps of {}", t.window_spec, self.side()));
        }
        if t.window_spec[..3].iter().any(|w| w % 2 != 0) {
            return fail(&trunk("window_spec"), format!("the first three must be even, got {:?}", t.window_spec));
        }
        if t.window_pos_embed_bkg_spatial_size.iter().any(|n| !(1..=256).contains(n)) {
            let key = trunk("window_pos_embed_bkg_spatial_size");
            return fail(&key, format!("must be in 1..=256, got {:?}", t.window_pos_embed_bkg_spatial_size));
        }
        if !self.d_model.is_multiple_of(32) || !(32..=MAX_HEAD_WIDTH).contains(&self.d_model) {
            let what = format!("must be a multiple of 32 in 32..={MAX_HEAD_WIDTH}, got {}", self.d_model);
            return fail("image_encoder.neck.d_model", what);
        }
        let m = &self.memory;
        for (key, value) in [
            ("memory_attention.num_layers", m.num_layers),
            ("memory_attention.layer.dim_feedforward", m.dim_feedforward),
            ("memory_encoder.out_dim", m.mem_dim),
            ("memory_encoder.fuser.num_layers", m.fuser_layers),
            ("num_maskmem", m.num_maskmem),
            ("memory_temporal_stride_for_eval", m.memory_temporal_stride_for_eval),
            ("max_obj_ptrs_in_encoder", m.max_obj_ptrs_in_encoder),
        ] {
            if !(1..=16_384).contains(&value) {
                return fail(key, format!("must be in 1..=16384, got {value}"));
            }
        }
        if !self.d_model.is_multiple_of(m.mem_dim) {
            return fail("memory_encoder.out_dim", format!("{} must divide d_model {}", m.mem_dim, self.d_model));
        }
        Ok(())
    }
}

fn read_model(n: &Node<'_>) -> Result<Config> {
    let encoder = n.child("image_encoder")?;
    let (trunk, d_model) = read_encoder(&encoder)?;
    let memory = read_memory(n, d_model)?;
    let extra = n.optional_child("sam_mask_decoder_extra_args")?;
    let mut dynamic_multimask = None;
    if let Some(extra) = &extra {
        let delta = extra.float_or("dynamic_multimask_stability_delta", 0.05)?;
        let thresh = extra.float_or("dynamic_multimask_stability_thresh", 0.98)?;
        dynamic_multimask = extra.bool_or("dynamic_multimask_via_stability", false)?.then_some((delta, thresh));
        extra.finish(&[])?;
    }
    n.only("backbone_stride", 16)?;
    n.required_true("use_high_res_features_in_sam")?;
    n.required_true("pred_obj_scores")?;
    n.required_true("pred_obj_scores_mlp")?;
    let config = Config {
        image_size: n.int_or("image_size", 512)?,
        trunk,
        d_model,
        iou_prediction_use_sigmoid: n.bool_or("iou_prediction_use_sigmoid", false)?,
        dynamic_multimask,
        memory,
    };
    n.finish(&["_target_", "compile_image_encoder"])?;
    Ok(config)
}

fn read_encoder(n: &Node<'_>) -> Result<(TrunkConfig, usize)> {
    n.required("scalp", 1)?;
    let t = n.child("trunk")?;
    let trunk = TrunkConfig {
        embed_dim: t.int_or("embed_dim", 96)?,
        num_heads: t.int_or("num_heads", 1)?,
        stages: t.ints_or("stages", [2, 3, 16, 3])?,
        global_att_blocks: t.list_or("global_att_blocks", &[12, 16, 20])?,
        window_spec: t.ints_or("window_spec", [8, 4, 14, 7])?,
        window_pos_embed_bkg_spatial_size: t.ints_or("window_pos_embed_bkg_spatial_size", [14, 14])?,
    };
    t.only("q_pool", 3)?;
    t.only_list("q_stride", &[2, 2])?;
    t.only("dim_mul", 2)?;
    t.only("head_mul", 2)?;
    t.only("return_interm_layers", true)?;
    t.finish(&["_target_", "drop_path_rate", "weights_path"])?;

    let neck = n.child("neck")?;
    let d_model = neck.int("d_model")?;
    let channels: Vec<usize> = trunk.dims().into_iter().rev().collect();
    neck.only_list("backbone_channel_list", &channels)?;
    // The reference's own defaults, all levels and bilinear, are of no published model.
    if neck.list_or("fpn_top_down_levels", &[0, 1, 2, 3])? != [2, 3] {
        return Err(neck.error("fpn_top_down_levels", "only [2, 3] is implemented"));
    }
    if neck.string_or("fpn_interp_model", "bilinear")? != "nearest" {
        return Err(neck.error("fpn_interp_model", "only nearest is implemented"));
    }
    for (key, value) in [("kernel_size", 1), ("stride", 1), ("padding", 0)] {
        neck.only(key, value)?;
    }
    if neck.string_or("fuse_type", "sum")? != "sum" {
        return Err(neck.error("fuse_type", "only sum is implemented"));
    }
    read_position(&neck)?;
    neck.finish(&["_target_"])?;
    n.finish(&["_target_"])?;
    Ok((trunk, d_model))
}

/// Reads a sine position encoding. Its width follows from its use.
fn read_position(n: &Node<'_>) -> Result<()> {
    let p = n.child("position_encoding")?;
    p.only("normalize", true)?;
    p.only("scale", ())?;
    p.only("temperature", 10_000)?;
    p.finish(&["_target_", "num_pos_feats", "warmup_cache", "image_size", "strides"])
}

/// The sizes of the memory attention.
struct AttentionSizes {
    num_layers: usize,
    dim_feedforward: usize,
    rope_theta: f32,
}

fn read_memory_attention(n: &Node<'_>, d_model: usize) -> Result<AttentionSizes> {
    let attention = n.child("memory_attention")?;
    let layer = attention.child("layer")?;
    let mut rope_theta = 10_000.0;
    for key in ["self_attention", "cross_attention"] {
        let a = layer.child(key)?;
        rope_theta = a.float_or("rope_theta", 10_000.0)?;
        a.only("embedding_dim", d_model)?;
        a.only("num_heads", 1)?;
        a.only("downsample_rate", 1)?;
        if key == "cross_attention" {
            a.required_true("rope_k_repeat")?;
        }
        // The rotation's table is made for the map at hand.
        a.finish(&["_target_", "dropout", "feat_sizes", "kv_in_dim"])?;
    }
    if layer.string_or("activation", "relu")? != "relu" {
        return Err(layer.error("activation", "only relu is implemented"));
    }
    layer.only("pos_enc_at_attn", false)?;
    layer.only("pos_enc_at_cross_attn_keys", true)?;
    layer.only("pos_enc_at_cross_attn_queries", false)?;
    layer.only("d_model", d_model)?;
    let dim_feedforward = layer.int("dim_feedforward")?;
    layer.finish(&["_target_", "dropout"])?;
    attention.only("pos_enc_at_input", true)?;
    attention.only("d_model", d_model)?;
    attention.only("batch_first", true)?;
    let num_layers = attention.int("num_layers")?;
    attention.finish(&["_target_"])?;
    Ok(AttentionSizes { num_layers, dim_feedforward, rope_theta })
}

/// Returns the channels of memories, and the layers of the fuser.
fn read_memory_encoder(n: &Node<'_>, d_model: usize) -> Result<(usize, usize)> {
    let encoder = n.child("memory_encoder")?;
    read_position(&encoder)?;
    let down = encoder.child("mask_downsampler")?;
    for (key, value) in
        [("kernel_size", 3), ("stride", 2), ("padding", 1), ("total_stride", 16), ("embed_dim", d_model)]
    {
        down.only(key, value)?;
    }
    down.finish(&["_target_"])?;
    let fuser = encoder.child("fuser")?;
    let block = fuser.child("layer")?;
    for (key, value) in [("kernel_size", 7), ("padding", 3), ("dim", d_model)] {
        block.only(key, value)?;
    }
    block.only("use_dwconv", true)?;
    block.finish(&["_target_", "layer_scale_init_value", "drop_path"])?;
    let fuser_layers = fuser.int("num_layers")?;
    fuser.finish(&["_target_"])?;
    encoder.only("in_dim", d_model)?;
    let mem_dim = encoder.int("out_dim")?;
    encoder.finish(&["_target_"])?;
    Ok((mem_dim, fuser_layers))
}

fn read_memory(n: &Node<'_>, d_model: usize) -> Result<MemoryConfig> {
    let AttentionSizes { num_layers, dim_feedforward, rope_theta } = read_memory_attention(n, d_model)?;
    let (mem_dim, fuser_layers) = read_memory_encoder(n, d_model)?;
    n.only("soft_no_obj_ptr", false)?;
    Ok(MemoryConfig {
        num_layers,
        dim_feedforward,
        rope_theta,
        mem_dim,
        fuser_layers,
        num_maskmem: n.int_or("num_maskmem", 7)?,
        sigmoid_scale_for_mem_enc: n.float_or("sigmoid_scale_for_mem_enc", 1.0)?,
        sigmoid_bias_for_mem_enc: n.float_or("sigmoid_bias_for_mem_enc", 0.0)?,
        binarize_mask_from_pts_for_mem_enc: n.bool_or("binarize_mask_from_pts_for_mem_enc", false)?,
        use_mask_input_as_output_without_sam: n.bool_or("use_mask_input_as_output_without_sam", false)?,
        max_cond_frames_in_attn: n.limit_or_none("max_cond_frames_in_attn")?,
        directly_add_no_mem_embed: n.bool_or("directly_add_no_mem_embed", false)?,
        multimask_output_in_sam: n.bool_or("multimask_output_in_sam", false)?,
        multimask_min_pt_num: n.int_or("multimask_min_pt_num", 1)?,
        multimask_max_pt_num: n.int_or("multimask_max_pt_num", 1)?,
        multimask_output_for_tracking: n.bool_or("multimask_output_for_tracking", false)?,
        use_multimask_token_for_obj_ptr: n.bool_or("use_multimask_token_for_obj_ptr", false)?,
        memory_temporal_stride_for_eval: n.int_or("memory_temporal_stride_for_eval", 1)?,
        non_overlap_masks_for_mem_enc: n.bool_or("non_overlap_masks_for_mem_enc", false)?,
        use_obj_ptrs_in_encoder: n.bool_or("use_obj_ptrs_in_encoder", false)?,
        max_obj_ptrs_in_encoder: n.int_or("max_obj_ptrs_in_encoder", 16)?,
        add_tpos_enc_to_obj_ptrs: n.bool_or("add_tpos_enc_to_obj_ptrs", true)?,
        proj_tpos_enc_in_obj_ptrs: n.bool_or("proj_tpos_enc_in_obj_ptrs", false)?,
        use_signed_tpos_enc_to_obj_ptrs: n.bool_or("use_signed_tpos_enc_to_obj_ptrs", false)?,
        only_obj_ptrs_in_the_past_for_eval: n.bool_or("only_obj_ptrs_in_the_past_for_eval", false)?,
        fixed_no_obj_ptr: n.bool_or("fixed_no_obj_ptr", false)?,
        use_mlp_for_obj_ptr_proj: n.bool_or("use_mlp_for_obj_ptr_proj", false)?,
        no_obj_embed_spatial: n.bool_or("no_obj_embed_spatial", false)?,
        fill_hole_area: n.int_or("fill_hole_area", 0)?,
        non_overlap_masks: n.bool_or("non_overlap_masks", false)?,
        clear_non_cond_mem_around_input: n.bool_or("clear_non_cond_mem_around_input", false)?,
        add_all_frames_to_correct_as_cond: n.bool_or("add_all_frames_to_correct_as_cond", false)?,
    })
}

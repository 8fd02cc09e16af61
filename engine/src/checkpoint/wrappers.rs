//! The effects of wrappers on checkpoints: prefixes of the names of tensors, and several models in one file.

use super::stored::Stored;
use std::collections::BTreeMap;

/// Parts of names that PyTorch's wrappers add at any position: `torch.compile`, `DistributedDataParallel` and
/// `DataParallel`, `FullyShardedDataParallel`, activation checkpointing.
const WRAPPERS: &[&str] = &["_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];
/// A tensor that every model has exactly once, under Meta's and Hugging Face's names.
const LANDMARKS: &[&str] = &["image_encoder.trunk.pos_embed_window", "vision_encoder.backbone.pos_embed_window"];

/// Returns a name without the parts that wrappers add.
fn bare(name: &str) -> String {
    name.split('.').filter(|part| !WRAPPERS.contains(part)).collect::<Vec<_>>().join(".")
}

/// Returns the prefix of a model's names if `name` is that of the tensor that every model has exactly once.
pub fn prefix(name: &str) -> Option<String> {
    if !name.ends_with("pos_embed_window") {
        return None;
    }
    let bare = bare(name);
    let prefix = LANDMARKS.iter().find_map(|landmark| bare.strip_suffix(landmark))?;
    (prefix.is_empty() || prefix.ends_with('.')).then(|| prefix.to_string())
}

/// Returns the index of the model that is used if a file has several, by the names of the models in the file. Trained
/// weights are preferred to their moving average and to the weights of a teacher. Otherwise the first model is used.
pub fn choose(file: &str, models: &[String]) -> usize {
    let derived = |name: &String| {
        let name = name.to_lowercase();
        ["ema", "average", "averaged", "swa", "teacher", "shadow", "momentum"]
            .iter()
            .any(|word| name.split(|c: char| !c.is_alphanumeric()).any(|part| part == *word))
    };
    let taken = models.iter().position(|name| name == "model");
    let taken = taken.or_else(|| models.iter().position(|name| !derived(name))).unwrap_or(0);
    if let [_, _, ..] = models {
        let all = models.join(", ");
        log::warn!("{file} holds {} models: {all}. {} is taken", models.len(), models[taken]);
    }
    taken
}

/// Returns the model's tensors under names without the parts that wrappers add.
pub fn strip(file: &str, tensors: BTreeMap<String, Stored>) -> Result<BTreeMap<String, Stored>, String> {
    let mut prefixes: Vec<String> = tensors.keys().filter_map(|name| prefix(name)).collect();
    prefixes.sort_by_key(String::len);
    prefixes.dedup();
    if prefixes.is_empty() {
        return Ok(tensors);
    }
    let called = |prefix: &String| if prefix.is_empty() { "the one without a prefix".into() } else { prefix.clone() };
    let taken = prefixes[choose(file, &prefixes.iter().map(called).collect::<Vec<_>>())].clone();
    let mut out = BTreeMap::new();
    for (name, stored) in tensors {
        let bare = bare(&name);
        let Some(own) = bare.strip_prefix(&taken) else { continue };
        let of_another = |p: &String| p.len() > taken.len() && bare.starts_with(p.as_str());
        if !prefixes.iter().any(of_another) && out.insert(own.to_string(), stored).is_some() {
            return Err(format!("two tensors mean {own}, one of them {name}"));
        }
    }
    Ok(out)
}

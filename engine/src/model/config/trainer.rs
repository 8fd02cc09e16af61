//! Configurations of the reference's trainer, where the model is `trainer.model`, and references between keys.

use serde_yaml::{Mapping, Value};

/// Keys of the training model (`SAM2Train`) that do not matter for inference.
const TRAINING: &[&str] = &[
    "prob_to_use_pt_input_for_train",
    "prob_to_use_pt_input_for_eval",
    "prob_to_use_box_input_for_train",
    "prob_to_use_box_input_for_eval",
    "prob_to_sample_from_gt_for_train",
    "num_frames_to_correct_for_train",
    "num_frames_to_correct_for_eval",
    "rand_frames_to_correct_for_train",
    "rand_frames_to_correct_for_eval",
    "num_init_cond_frames_for_train",
    "num_init_cond_frames_for_eval",
    "rand_init_cond_frames_for_train",
    "rand_init_cond_frames_for_eval",
    "add_all_frames_to_correct_as_cond",
    "num_correction_pt_per_frame",
    "pt_sampling_for_eval",
    "use_act_ckpt_iterative_pt_sampling",
    "forward_backbone_per_frame_for_eval",
    "freeze_image_encoder",
];
/// The longest chain of references.
const MAX_CHAIN: usize = 16;

/// Moves the model of a trainer's configuration to the key that the other configurations of the reference use. Returns
/// whether the configuration is a trainer's.
pub fn unwrap(tree: &mut Value) -> bool {
    let Some(model) = tree.get("trainer").and_then(|trainer| trainer.get("model")).and_then(Value::as_mapping) else {
        return false;
    };
    if tree.get("model").is_some() {
        return false;
    }
    let is_kept = |key: &Value| !key.as_str().is_some_and(|key| TRAINING.contains(&key));
    let model: Mapping =
        model.iter().filter(|(key, _)| is_kept(key)).map(|(key, value)| (key.clone(), value.clone())).collect();
    if let Some(map) = tree.as_mapping_mut() {
        map.insert(Value::from("model"), Value::Mapping(model));
    }
    true
}

/// Replaces references in `model`, such as `${scratch.resolution}`, by the values of the keys that they name. A
/// reference that cannot be resolved, such as arithmetic, stays unchanged.
pub fn resolve(tree: &mut Value) {
    let Some(mut model) = tree.get("model").cloned() else { return };
    replace(&mut model, tree);
    if let Some(map) = tree.as_mapping_mut() {
        map.insert(Value::from("model"), model);
    }
}

fn replace(value: &mut Value, tree: &Value) {
    match value {
        Value::Mapping(map) => map.values_mut().for_each(|v| replace(v, tree)),
        Value::Sequence(list) => list.iter_mut().for_each(|v| replace(v, tree)),
        _ => {
            if let Some(found) = target(value, tree) {
                *value = found.clone();
            }
        }
    }
}

/// Returns the value that a reference stands for. The value has no keys of its own.
fn target<'a>(value: &Value, tree: &'a Value) -> Option<&'a Value> {
    let path = |value: &Value| Some(value.as_str()?.trim().strip_prefix("${")?.strip_suffix('}')?.to_string());
    let mut at = path(value)?;
    for _ in 0..MAX_CHAIN {
        let key = at.strip_prefix("trainer.").filter(|key| key.starts_with("model.")).unwrap_or(&at);
        let found = key.split('.').try_fold(tree, |at, part| at.get(part))?;
        match path(found) {
            Some(next) => at = next,
            None => return is_plain(found).then_some(found),
        }
    }
    None
}

/// Returns whether a value is a scalar or a list of scalars. Only such values replace references, so that a replacement
/// does not multiply the size of the configuration.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::Sequence(list) => list.iter().all(|v| !v.is_sequence() && !v.is_mapping()),
        Value::Mapping(_) => false,
        _ => true,
    }
}

//! The tensors of a model behind prefixes and in dicts, alone or beside other models and other state.

use crate::common::*;
use crate::notes::warnings_of;
use crate::torch::{Value, View, dict, pt_file, strides};
use crate::{assert_same, mini, state_dict};
use sam2::Checkpoint;

#[test]
fn prefixes_of_wrappers_are_taken_off() {
    let mini = mini();
    for prefix in [
        "module.",
        "_orig_mod.",
        "_orig_mod.module.",
        "model.",
        "net.",
        "sam2.",
        "predictor.model.",
        "base_model.model.",
        "model.module._orig_mod.",
        "a.prefix.nobody.has.thought.of.",
    ] {
        let (tensors, storages) = state_dict(&mini, prefix);
        for root in [dict([("model", dict(tensors.clone()))]), dict(tensors)] {
            let (got, notes) = warnings_of(|| Checkpoint::from_bytes(prefix, pt_file(&root, &storages)).unwrap());
            assert_same(prefix, &got, &mini);
            assert!(notes.is_empty(), "{prefix}: {notes:?}");
        }
        let views = mini.names().map(|name| {
            let data = mini.get(name).unwrap();
            (format!("{prefix}{name}"), data.shape.to_vec(), data.bytes)
        });
        assert_same(prefix, &Checkpoint::from_bytes(prefix, safetensors_file(views)).unwrap(), &mini);
    }
    // A compiled part of the model, and parts that save memory.
    let (tensors, storages) = state_dict(&mini, "");
    let renamed = tensors.into_iter().map(|(name, value)| {
        let name = name
            .replace("image_encoder.", "image_encoder._orig_mod.")
            .replace("blocks.3.", "blocks.3._checkpoint_wrapped_module.");
        (name, value)
    });
    assert_same("parts", &Checkpoint::from_bytes("parts", pt_file(&dict(renamed), &storages)).unwrap(), &mini);
    // Hugging Face's names behind a prefix.
    let hf = std::fs::read(weights("mini21_hf.safetensors")).unwrap();
    let hf = safetensors::SafeTensors::deserialize(&hf).unwrap();
    let views = hf.iter().map(|(name, view)| (format!("module.{name}"), view.shape().to_vec(), view.data()));
    assert_same("hf", &Checkpoint::from_bytes("hf", safetensors_file(views)).unwrap(), &mini);
}

#[test]
fn a_model_is_found_in_whatever_dict_it_is() {
    let mini = mini();
    let (tensors, storages) = state_dict(&mini, "");
    let model = dict(tensors);
    for keys in [
        &["model"][..],
        &["state_dict"],
        &["model_state_dict"],
        &["ema"],
        &["ema_state_dict"],
        &["module"],
        &["net", "params"],
        &["callbacks", "EMA", "ema_state_dict"],
    ] {
        let nested = keys.iter().rev().fold(model.clone(), |value, key| dict([(*key, value)]));
        let Value::Dict(mut items) = nested else { panic!() };
        items.insert(0, ("epoch".into(), Value::Int(3)));
        items.push(("optimizer".into(), dict([("param_groups", Value::List(vec![dict([("lr", Value::Int(1))])]))])));
        let file = pt_file(&Value::Dict(items), &storages);
        let (got, notes) = warnings_of(|| Checkpoint::from_bytes("nested", file).unwrap());
        assert_same(&format!("{keys:?}"), &got, &mini);
        assert!(notes.is_empty(), "{notes:?}");
    }
    // In other kinds of dicts.
    let Value::Dict(tensors) = model else { panic!() };
    let root = Value::Mapping("addict.Dict", vec![("net".into(), Value::Mapping("collections.defaultdict", tensors))]);
    assert_same("dicts", &Checkpoint::from_bytes("dicts", pt_file(&root, &storages)).unwrap(), &mini);
}

#[test]
fn a_lightning_checkpoint_is_read() {
    let mini = mini();
    let (mut tensors, mut storages) = state_dict(&mini, "model.");
    // Other state of a module beside its model: a loss with a weight, a metric with a count.
    storages.extend([vec![0; 16], vec![0; 8]]);
    let view = |storage, class, shape: &[usize]| {
        Value::Tensor(View { storage, class, offset: 0, shape: shape.to_vec(), strides: strides(shape) })
    };
    tensors.push(("criterion.weight".into(), view(storages.len() - 2, "FloatStorage", &[4])));
    tensors.push(("metric.count".into(), view(storages.len() - 1, "LongStorage", &[])));
    let moments = dict([("exp_avg", view(0, "BFloat16Storage", &[1]))]);
    let root = dict([
        ("epoch", Value::Int(12)),
        ("pytorch-lightning_version", Value::Text("2.5.0")),
        ("callbacks", dict([("ModelCheckpoint{}", Value::Object("torch.Best", vec![("score".into(), Value::None)]))])),
        ("hyper_parameters", Value::Object("argparse.Namespace", vec![("lr".into(), Value::Int(1))])),
        ("optimizer_states", Value::List(vec![dict([("state", moments)])])),
        ("loops", dict([("fit_loop", dict([("state_dict", dict::<&str>([]))]))])),
        ("state_dict", dict(tensors)),
    ]);
    assert_same("lightning", &Checkpoint::from_bytes("test", pt_file(&root, &storages)).unwrap(), &mini);
}

#[test]
fn of_several_models_one_is_taken_and_the_choice_is_noted() {
    let mini = mini();
    let (model, mut storages) = state_dict(&mini, "");
    // The moving average has other values.
    let first = storages.len();
    let average = model.iter().cloned().map(|(name, value)| match value {
        Value::Tensor(view) => (name, Value::Tensor(View { storage: view.storage + first, ..view })),
        other => (name, other),
    });
    let average: Vec<(String, Value)> = average.collect();
    storages.extend(storages.clone().into_iter().map(|bytes| vec![0; bytes.len()]));
    let prefixed = |prefix: &str, tensors: &[(String, Value)]| -> Vec<(String, Value)> {
        tensors.iter().map(|(name, value)| (format!("{prefix}{name}"), value.clone())).collect()
    };
    for (root, taken) in [
        (dict([("ema", dict(average.clone())), ("model", dict(model.clone()))]), "model is taken"),
        (dict([("model_ema", dict(average.clone())), ("state_dict", dict(model.clone()))]), "state_dict is taken"),
        (dict([prefixed("teacher.", &average), prefixed("student.", &model)].concat()), "student. is taken"),
        (
            dict([prefixed("ema_model.module.", &average), prefixed("", &model)].concat()),
            "the one without a prefix is taken",
        ),
    ] {
        let (got, notes) = warnings_of(|| Checkpoint::from_bytes("two.pt", pt_file(&root, &storages)).unwrap());
        assert_same(taken, &got, &mini);
        let [note] = &notes[..] else { panic!("{notes:?}") };
        assert!(note.starts_with("two.pt holds 2 models: ") && note.ends_with(taken), "{note}");
    }
}

#[test]
fn a_wrapped_checkpoint_loads_and_predicts() {
    let mini = mini();
    let (tensors, storages) = state_dict(&mini, "module.");
    let wrapped =
        Checkpoint::from_bytes("wrapped", pt_file(&dict([("state_dict", dict(tensors))]), &storages)).unwrap();
    let embedding = |checkpoint: &Checkpoint| {
        let mut predictor = Mini::from("mini21", checkpoint).model.image_predictor(Default::default()).unwrap();
        let picture = sam2::picture::read(file("tests/data/inputs/coffee.png")).unwrap();
        predictor.set_image(&picture.frame().unwrap()).unwrap();
        predictor.get_image_embedding().unwrap().values
    };
    assert_eq!(embedding(&wrapped), embedding(&mini));
}

//! Checkpoints as trainers and hubs leave them: wrapped, nested, in other layouts and types, in several files.

mod common;
#[path = "common/notes.rs"]
mod notes;
#[path = "common/torch.rs"]
mod torch;

use common::*;
use notes::warnings_of;
use sam2::{Checkpoint, Error};
use std::path::{Path, PathBuf};
use torch::{Value, View, dict, pt_file, strides};

fn mini() -> Checkpoint {
    Checkpoint::open(file("tests/data/weights/mini21.safetensors")).unwrap()
}

/// The tensors of a checkpoint under names with a prefix, and their storages.
fn state_dict(checkpoint: &Checkpoint, prefix: &str) -> (Vec<(String, Value)>, Vec<Vec<u8>>) {
    let mut storages = Vec::new();
    let view = |name: &str| {
        let data = checkpoint.get(name).unwrap();
        storages.push(data.bytes.to_vec());
        let (shape, strides) = (data.shape.to_vec(), strides(data.shape));
        let view = View { storage: storages.len() - 1, class: "BFloat16Storage", offset: 0, shape, strides };
        (format!("{prefix}{name}"), Value::Tensor(view))
    };
    (checkpoint.names().map(view).collect(), storages)
}

fn assert_same(what: &str, got: &Checkpoint, want: &Checkpoint) {
    assert_eq!(got.names().collect::<Vec<_>>(), want.names().collect::<Vec<_>>(), "{what}");
    for name in want.names() {
        let (a, b) = (got.get(name).unwrap(), want.get(name).unwrap());
        assert!((a.dtype, a.shape, a.bytes) == (b.dtype, b.shape, b.bytes), "{what}: {name}");
    }
    assert_eq!(got.fingerprint(), want.fingerprint(), "{what}");
}

fn refusal(bytes: Vec<u8>) -> String {
    match Checkpoint::from_bytes("test", bytes) {
        Err(Error::Checkpoint { what, .. }) => what,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("accepted"),
    }
}

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
    // What a module has beside its model: a loss with a weight, a metric with a count.
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

/// A file with the tensor of mini21 of this name as another view, and the rest as they are.
fn with_view(name: &str, view: impl Fn(usize) -> View, storage: Vec<u8>) -> Vec<u8> {
    let (mut tensors, mut storages) = state_dict(&mini(), "");
    storages.push(storage);
    let place = tensors.iter().position(|(other, _)| other == name).unwrap();
    tensors[place].1 = Value::Tensor(view(storages.len() - 1));
    pt_file(&dict(tensors), &storages)
}

/// Elements of `bytes`, of two bytes each, in another order.
fn permuted(bytes: &[u8], order: impl Iterator<Item = usize>) -> Vec<u8> {
    order.flat_map(|i| bytes[2 * i..][..2].to_vec()).collect()
}

#[test]
fn views_in_any_layout_are_gathered() {
    let mini = mini();
    // A transposed matrix: columns lie one after another.
    let name = "image_encoder.trunk.blocks.3.mlp.layers.0.weight";
    let data = mini.get(name).unwrap();
    let [n, k] = *data.shape else { panic!() };
    let storage = permuted(data.bytes, (0..n * k).map(|i| i % n * k + i / n));
    let view = |storage| View { storage, class: "BFloat16Storage", offset: 0, shape: vec![n, k], strides: vec![1, n] };
    assert_same("transposed", &Checkpoint::from_bytes("t", with_view(name, view, storage)).unwrap(), &mini);

    // A convolution whose channels come last, as model.to(memory_format=torch.channels_last) leaves it.
    let name = "image_encoder.trunk.patch_embed.proj.weight";
    let data = mini.get(name).unwrap();
    let [o, c, h, w] = *data.shape else { panic!() };
    let place = |i: usize| {
        let (channel, x, y, out) = (i % c, i / c % w, i / c / w % h, i / c / w / h);
        ((out * c + channel) * h + y) * w + x
    };
    let storage = permuted(data.bytes, (0..o * c * h * w).map(place));
    let view = |storage| View {
        storage,
        class: "BFloat16Storage",
        offset: 0,
        shape: vec![o, c, h, w],
        strides: vec![h * w * c, 1, w * c, c],
    };
    assert_same("channels last", &Checkpoint::from_bytes("t", with_view(name, view, storage)).unwrap(), &mini);

    // Every third column of a wider storage, which begins further on.
    let name = "no_obj_ptr";
    let data = mini.get(name).unwrap();
    let n = data.shape[1];
    let mut storage = vec![7; 2 * (5 + 3 * n)];
    (0..n).for_each(|i| storage[2 * (5 + 3 * i)..][..2].copy_from_slice(&data.bytes[2 * i..][..2]));
    let view = |storage| View { storage, class: "BFloat16Storage", offset: 5, shape: vec![1, n], strides: vec![1, 3] };
    assert_same("columns", &Checkpoint::from_bytes("t", with_view(name, view, storage.clone())).unwrap(), &mini);

    // One value expanded.
    let view = |storage| View { storage, class: "BFloat16Storage", offset: 0, shape: vec![1, n], strides: vec![0, 0] };
    let got = Checkpoint::from_bytes("t", with_view(name, view, vec![0x80, 0x3f])).unwrap();
    assert_eq!(got.get(name).unwrap().to_f32().unwrap(), vec![1.0; n]);

    // Views that reach past their storage, and one that repeats a value too often.
    for (shape, strides, text) in [
        (vec![1, n], vec![1, 4], "reaches past its storage"),
        (vec![1, n + 1], vec![1, 3], "reaches past its storage"),
        (vec![1 << 30, 1 << 30], vec![1 << 30, 1 << 30], "reaches past its storage"),
        (vec![1 << 30, 1 << 30], vec![0, 0], "repeats its elements too often"),
        (vec![1 << 29], vec![0], "repeats its elements too often"),
    ] {
        let view = |storage| View {
            storage,
            class: "BFloat16Storage",
            offset: 5,
            shape: shape.clone(),
            strides: strides.clone(),
        };
        let got = refusal(with_view(name, view, storage.clone()));
        assert!(got.contains(name) && got.contains(text), "{got}");
    }
}

#[test]
fn tensors_may_share_a_storage() {
    let mini = mini();
    let (mut tensors, mut storages) = state_dict(&mini, "");
    let whole = storages.concat();
    for (_, tensor) in &mut tensors {
        let Value::Tensor(view) = tensor else { panic!() };
        view.offset = storages[..view.storage].iter().map(Vec::len).sum::<usize>() / 2;
        view.storage = 0;
    }
    storages = vec![whole];
    assert_same("shared", &Checkpoint::from_bytes("test", pt_file(&dict(tensors), &storages)).unwrap(), &mini);
}

/// The values of mini21 as bytes of another type.
fn widened(checkpoint: &Checkpoint, name: &str, double: bool) -> Vec<u8> {
    let values = checkpoint.get(name).unwrap().to_f32().unwrap();
    values
        .iter()
        .flat_map(|&v| if double { f64::from(v).to_le_bytes().to_vec() } else { v.to_le_bytes().to_vec() })
        .collect()
}

#[test]
fn float64_becomes_float32() {
    let mini = mini();
    let singles: Vec<Vec<u8>> = mini.names().map(|name| widened(&mini, name, false)).collect();
    let doubles: Vec<Vec<u8>> = mini.names().map(|name| widened(&mini, name, true)).collect();
    let shape = |name: &str| mini.get(name).unwrap().shape.to_vec();
    let views = mini.names().zip(&singles).map(|(name, bytes)| (name.to_string(), shape(name), &bytes[..]));
    let want = Checkpoint::from_bytes("f32", safetensors_file(views)).unwrap();

    let tensors = mini.names().enumerate().map(|(storage, name)| {
        let (shape, class) = (shape(name), "DoubleStorage");
        let strides = strides(&shape);
        (name, Value::Tensor(View { storage, class, offset: 0, shape, strides }))
    });
    assert_same("pt", &Checkpoint::from_bytes("f64", pt_file(&dict(tensors), &doubles)).unwrap(), &want);

    use safetensors::{Dtype, tensor::TensorView};
    let views = mini
        .names()
        .zip(&doubles)
        .map(|(name, bytes)| (name, TensorView::new(Dtype::F64, shape(name), bytes).unwrap()));
    let file = safetensors::serialize(views, None).unwrap();
    assert_same("safetensors", &Checkpoint::from_bytes("f64", file).unwrap(), &want);
}

#[test]
fn other_types_are_passed_over_unless_the_model_needs_them() {
    let mini = mini();
    let yaml = Some(yaml("mini21"));
    let load = |bytes| sam2::load_checkpoint(&Checkpoint::from_bytes("test", bytes).unwrap(), &yaml, &options());
    let (mut tensors, mut storages) = state_dict(&mini, "");
    storages.push(vec![0; 8]);
    let count = View { storage: storages.len() - 1, class: "LongStorage", offset: 0, shape: vec![], strides: vec![] };
    tensors.push(("n_averaged".into(), Value::Tensor(count.clone())));
    tensors.push(("epoch".into(), Value::Int(3)));
    assert!(load(pt_file(&dict(tensors), &storages)).is_ok());
    // As the running average of torch.optim.swa_utils has it.
    let (mut tensors, storages) = state_dict(&mini, "module.");
    tensors.insert(0, ("n_averaged".into(), Value::Tensor(View { storage: 0, ..count })));
    assert!(load(pt_file(&dict(tensors), &storages)).is_ok());
    // One that the model takes.
    let view = |storage| View { storage, class: "LongStorage", offset: 0, shape: vec![1, 1], strides: vec![1, 1] };
    match load(with_view("no_obj_ptr", view, vec![0; 8])).err() {
        Some(Error::Checkpoint { what, .. }) => {
            assert!(what.starts_with("tensor no_obj_ptr is torch.LongStorage"), "{what}")
        }
        other => panic!("{other:?}"),
    }
}

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("sam2-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.0.join(name), bytes).unwrap();
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Writes mini21 into three files with an index; the index's text.
fn write_shards(folder: &Folder, base: &str, extension: &str) -> String {
    let mini = mini();
    let names: Vec<&str> = mini.names().collect();
    let mut map = serde_json::Map::new();
    for (i, part) in names.chunks(names.len().div_ceil(3)).enumerate() {
        let shard = format!("{base}-{:05}-of-00003.{extension}", i + 1);
        let bytes = if extension == "bin" {
            let (tensors, storages) = state_dict(&mini, "");
            pt_file(&dict(tensors.into_iter().filter(|(name, _)| part.contains(&name.as_str()))), &storages)
        } else {
            safetensors_file(part.iter().map(|name| {
                let data = mini.get(name).unwrap();
                (name.to_string(), data.shape.to_vec(), data.bytes)
            }))
        };
        folder.write(&shard, bytes);
        map.extend(part.iter().map(|name| (name.to_string(), shard.clone().into())));
    }
    serde_json::json!({"metadata": {"total_size": 1}, "weight_map": map}).to_string()
}

#[test]
fn a_checkpoint_may_be_in_several_files() {
    let mini = mini();
    for (base, extension) in [("model", "safetensors"), ("pytorch_model", "bin")] {
        let folder = Folder::new(&format!("shards-{extension}"));
        let text = write_shards(&folder, base, extension);
        let index = folder.write(&format!("{base}.{extension}.index.json"), &text);
        let shard = folder.0.join(format!("{base}-00002-of-00003.{extension}"));
        for path in [&folder.0, &index, &shard] {
            assert_same("mapped", &Checkpoint::open(path).unwrap(), &mini);
            assert_same("read", &Checkpoint::read(path).unwrap(), &mini);
        }
        // A file that is missing.
        std::fs::rename(&shard, folder.0.join("elsewhere")).unwrap();
        match Checkpoint::open(&folder.0).err() {
            Some(Error::Io { path, source }) => {
                assert!(Path::new(&path).ends_with(shard.file_name().unwrap()), "{path}");
                assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
            }
            other => panic!("{other:?}"),
        }
        // One that is cut short.
        let whole = std::fs::read(folder.0.join("elsewhere")).unwrap();
        std::fs::write(&shard, &whole[..whole.len() / 2]).unwrap();
        match Checkpoint::open(&folder.0).err() {
            Some(Error::Checkpoint { path, what }) => {
                assert!(path.ends_with(shard.file_name().unwrap().to_str().unwrap()), "{path}");
                assert!(what.contains("cut short"), "{what}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_index_names_files_beside_it() {
    let folder = Folder::new("index");
    let text = write_shards(&folder, "model", "safetensors");
    let shard = "model-00003-of-00003.safetensors";
    let other = folder.write("other.safetensors", std::fs::read(folder.0.join(shard)).unwrap());
    let index = folder.0.join("model.safetensors.index.json");
    let absolute = other.display().to_string();
    for name in ["../model.safetensors", "/etc/passwd", "a/b", "..", ".", "", "C:\\x", "a\\b", &absolute] {
        std::fs::write(&index, text.replace(shard, &name.replace('\\', "\\\\"))).unwrap();
        match Checkpoint::open(&folder.0).err() {
            Some(Error::Checkpoint { what, .. }) => assert!(what.contains("not a file beside it"), "{name}: {what}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    for (text, what) in [
        (text.replace(shard, "other.safetensors"), ""),
        (text.replace("no_obj_ptr\"", "no_such_tensor\""), "does not hold no_such_tensor"),
        (r#"{"weight_map": {}}"#.into(), "names 0 files"),
        ("{}".into(), "not the index of a checkpoint"),
        ("<html>".into(), "not the index of a checkpoint"),
    ] {
        std::fs::write(&index, text).unwrap();
        match Checkpoint::open(&folder.0) {
            Ok(got) if what.is_empty() => assert_same("renamed", &got, &mini()),
            Err(Error::Checkpoint { what: got, .. }) if !what.is_empty() => assert!(got.contains(what), "{got}"),
            other => panic!("{what}: {:?}", other.err()),
        }
    }
    // The same tensor in two files.
    std::fs::write(&index, text.replace("\"weight_map\":{", "\"weight_map\":{\"x\":\"other.safetensors\",")).unwrap();
    match Checkpoint::open(&folder.0).err() {
        Some(Error::Checkpoint { what, .. }) => assert!(what.contains("as another file does"), "{what}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_folder_has_one_checkpoint_of_any_ending() {
    let folder = Folder::new("endings");
    let from = std::fs::read(weights("mini21.pt")).unwrap();
    for name in ["a.pt", "a.pth", "a.bin", "a.ckpt", "A.PT", "pytorch_model.bin"] {
        let path = folder.write(name, &from);
        folder.write(".hidden.pt", b"");
        assert_same(name, &Checkpoint::open(&folder.0).unwrap(), &mini());
        std::fs::remove_file(path).unwrap();
    }
    // By Hugging Face's name whatever lies beside it.
    folder.write("pytorch_model.bin", &from);
    folder.write("training_args.bin", b"?");
    assert_same("bin", &Checkpoint::open(&folder.0).unwrap(), &mini());
    std::fs::remove_file(folder.0.join("pytorch_model.bin")).unwrap();
    folder.write("epoch_2.ckpt", b"?");
    match Checkpoint::open(&folder.0).err() {
        Some(Error::Checkpoint { what, .. }) => assert!(what.contains("epoch_2.ckpt, training_args.bin"), "{what}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_checkpoint_is_called_by_its_name() {
    let read = |name: &str| std::fs::read(weights(name)).unwrap();
    let (st, pt) = (read("mini21.safetensors"), read("mini21.pt"));
    let zip_of = |names: &[&str]| {
        use std::io::Write;
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        for name in names {
            zip.start_file(*name, stored).unwrap();
            zip.write_all(b"\x80\x02}.").unwrap();
        }
        zip.finish().unwrap().into_inner()
    };
    let lfs =
        "version https://git-lfs.github.com/spec/v1\noid sha256:7402e0d864fa82708a20fbd15bc84245\nsize 155906050\n";
    let tar = [vec![b'a'; 257], b"ustar\x0000".to_vec(), vec![0; 700]].concat();
    for (bytes, texts) in [
        (vec![], &["an empty file"][..]),
        (st[..st.len() - 1].to_vec(), &["cut short", &format!("of {} bytes", st.len()), "again"]),
        (st[..5000].to_vec(), &["cut short", "again"]),
        (st[..500].to_vec(), &["cut short", "again"]),
        (pt[..pt.len() - 1000].to_vec(), &["cut short", "again"]),
        (pt[..pt.len() / 2].to_vec(), &["cut short", "again"]),
        (pt[..64].to_vec(), &["cut short", "again"]),
        (lfs.into(), &["a Git LFS pointer", "155906050 bytes", "git lfs pull"]),
        (b"<!DOCTYPE html>\n<html><head>".to_vec(), &["an HTML page"]),
        (b"\xef\xbb\xbf\n  <html lang=\"en\">".to_vec(), &["an HTML page"]),
        (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code>".to_vec(), &["an XML document"]),
        (br#"{"error": "Repository not found"}"#.to_vec(), &["JSON", "error"]),
        (br#"{"metadata": {}, "weight_map": {"a": "b"}}"#.to_vec(), &["index", "several files"]),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec(), &["a gzip archive", "Unpack"]),
        (b"\x28\xb5\x2f\xfd\0\0\0\0\0\0".to_vec(), &["a zstd archive"]),
        (tar, &["a tar archive"]),
        (zip_of(&["photos/a.jpg", "photos/b.jpg"]), &["a zip archive of other files", "photos/a.jpg"]),
        (zip_of(&["m/data.pkl", "m/constants.pkl", "m/code/__torch__.py"]), &["a TorchScript archive", "state_dict()"]),
        (b"\x08\x08\x12\x07pytorch\x1a\x052.1.0".to_vec(), &["ONNX"]),
        (b"GGUF\x03\0\0\0\0\0\0\0".to_vec(), &["GGUF"]),
        (b"\x89HDF\r\n\x1a\n\0\0\0\0".to_vec(), &["HDF5"]),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.".to_vec(), &["a legacy PyTorch file"]),
        (b"\x80\x04\x95\x10\0\0\0\0\0\0\0}.".to_vec(), &["a Python pickle", "state_dict()"]),
        (
            pt_file(&Value::Object("sam2.modeling.sam2_base.SAM2Base", vec![]), &[]),
            &["an object of the class sam2.modeling.sam2_base.SAM2Base", "state_dict()"],
        ),
    ] {
        let got = refusal(bytes);
        assert!(texts.iter().all(|text| got.contains(text)), "{texts:?}: {got}");
    }
    // The length of a header may have the first bytes of another format.
    for length in [0x8b1f, 0x0280] {
        let header = r#"{"no_mem_embed":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
        let bytes = [&(length as u64).to_le_bytes()[..], format!("{header:length$}").as_bytes(), &[0; 4]].concat();
        assert!(Checkpoint::from_bytes("test", bytes).is_ok(), "{length}");
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
        predictor.get_image_embedding().unwrap().0
    };
    assert_eq!(embedding(&wrapped), embedding(&mini));
}

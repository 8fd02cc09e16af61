//! Checkpoints in several files with an index, and alone in a folder.

use crate::common::*;
use crate::torch::{dict, pt_file};
use crate::{assert_same, mini, state_dict};
use sam2::{Checkpoint, Error};
use std::path::{Path, PathBuf};

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

/// Writes mini21 into three files with an index. Returns the text of the index.
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
        // A missing file.
        std::fs::rename(&shard, folder.0.join("elsewhere")).unwrap();
        match Checkpoint::open(&folder.0).err() {
            Some(Error::Io { path, source }) => {
                assert!(Path::new(&path).ends_with(shard.file_name().unwrap()), "{path}");
                assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
            }
            other => panic!("{other:?}"),
        }
        // A truncated file.
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
    // Hugging Face's name is used whatever is beside it.
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

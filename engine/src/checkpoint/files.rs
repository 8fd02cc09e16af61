//! The files of a checkpoint.

use super::failure::failure;
use crate::error::{Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::path::{Component, Path, PathBuf};

/// The largest number of bytes of an index that is read. The index of an official model would have 60,000 bytes.
const MAX_INDEX: u64 = 8 << 20;
/// The largest number of files of a checkpoint.
const MAX_FILES: usize = 1000;
/// The file names of a folder's checkpoint. The first file that exists is used.
const PREFERRED: &[&str] =
    &["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];
/// The extensions of the files of checkpoints.
const EXTENSIONS: &[&str] = &["safetensors", "pt", "pth", "bin", "ckpt"];

/// The files of a checkpoint.
pub struct Parts {
    /// The name for messages.
    pub name: String,
    pub files: Vec<PathBuf>,
    /// The file of each tensor, if there is an index.
    pub index: BTreeMap<String, String>,
}

/// Returns the files of the checkpoint at a path. The path is a file, an index or a folder.
pub fn of(path: &Path) -> Result<Parts> {
    let path = if path.is_dir() { in_folder(path)? } else { path.to_path_buf() };
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    if name.ends_with(".index.json") {
        return indexed(&path);
    }
    match index_of(name).map(|index| path.with_file_name(index)).filter(|index| index.is_file()) {
        Some(index) => indexed(&index),
        None => Ok(Parts { name: path.display().to_string(), files: vec![path], index: BTreeMap::new() }),
    }
}

/// Returns the path of the checkpoint in a folder.
fn in_folder(folder: &Path) -> Result<PathBuf> {
    if let Some(found) = PREFERRED.iter().map(|name| folder.join(name)).find(|path| path.is_file()) {
        return Ok(found);
    }
    let found = files_with(folder, EXTENSIONS)?;
    if let [one] = &found[..] {
        return Ok(one.clone());
    }
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut names: Vec<String> = found.iter().take(10).map(name).collect();
    if found.len() > names.len() {
        names.push(format!("{} more", found.len() - names.len()));
    }
    let what = match found.len() {
        0 => "no checkpoint is in the folder: neither model.safetensors nor another .safetensors, .pt, .pth, .bin or .ckpt"
            .into(),
        _ => format!("several checkpoints are in the folder: {}. Name one of them", names.join(", ")),
    };
    Err(failure(&folder.display().to_string(), what))
}

/// Returns the name of the index of a checkpoint in several files. `name` has the form `NAME-00001-of-00003.EXT`.
fn index_of(name: &str) -> Option<String> {
    let (stem, extension) = name.rsplit_once('.')?;
    let (stem, total) = stem.rsplit_once("-of-")?;
    let (stem, part) = stem.rsplit_once('-')?;
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (number(part) && number(total)).then(|| format!("{stem}.{extension}.index.json"))
}

/// Returns the files that an index names. They are in the folder of the index.
fn indexed(path: &Path) -> Result<Parts> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let (name, mut text) = (path.display().to_string(), Vec::new());
    let file = std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
    file.take(MAX_INDEX + 1).read_to_end(&mut text).map_err(|e| Error::io(path, e))?;
    if text.len() as u64 > MAX_INDEX {
        return Err(failure(&name, format!("an index of more than {MAX_INDEX} bytes")));
    }
    let index: Index =
        serde_json::from_slice(&text).map_err(|e| failure(&name, format!("not the index of a checkpoint: {e}")))?;
    let mut shards: Vec<&String> = index.weight_map.values().collect();
    shards.sort();
    shards.dedup();
    if shards.is_empty() || shards.len() > MAX_FILES {
        return Err(failure(&name, format!("the index names {} files; 1 to {MAX_FILES} are read", shards.len())));
    }
    let mut files = Vec::new();
    for shard in shards {
        let plain = matches!(Path::new(shard).components().collect::<Vec<_>>()[..], [Component::Normal(_)]);
        if !plain || shard.contains(['/', '\\', ':']) {
            return Err(failure(&name, format!("the index names {shard:?}, which is not a file beside it")));
        }
        let file = path.with_file_name(shard);
        if !file.exists() {
            let missing = std::io::Error::new(ErrorKind::NotFound, format!("missing, and {name} names it"));
            return Err(Error::io(file, missing));
        }
        files.push(file);
    }
    Ok(Parts { name, files, index: index.weight_map })
}

/// Returns whether the name of a file has one of these extensions, in upper or lower case.
#[must_use]
pub fn extension_is(path: &Path, extensions: &[&str]) -> bool {
    let extension = path.extension().unwrap_or_default();
    extensions.iter().any(|x| extension.eq_ignore_ascii_case(x))
}

/// Returns the files of a folder with one of these extensions, in sorted order, without hidden files.
///
/// # Errors
///
/// [`Error::Io`] if the folder cannot be read.
pub fn files_with(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let io = |e| Error::io(folder, e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let path = entry.path();
        if !hidden && extension_is(&path, extensions) && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

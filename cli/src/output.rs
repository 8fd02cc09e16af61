//! Results of a command: never in place of what the command reads, and whole or not at all.

mod unfinished;

use crate::{Failure, io};
use sam2::Error;
use std::collections::HashMap;
use std::fs::Metadata;
use std::io::Write;
use std::path::{Path, PathBuf};
pub use unfinished::{Unfinished, remove_on_signals};

/// Suffixes that name a format of files. Any other suffix is part of a name.
const FORMATS: [&str; 45] = [
    "avi",
    "avif",
    "bin",
    "bmp",
    "ckpt",
    "csv",
    "exr",
    "gif",
    "gz",
    "h5",
    "heic",
    "heif",
    "htm",
    "html",
    "jp2",
    "jpeg",
    "jpg",
    "json",
    "jsonl",
    "m4v",
    "mat",
    "mkv",
    "mov",
    "mp4",
    "npy",
    "npz",
    "onnx",
    "pbm",
    "pdf",
    "pgm",
    "pkl",
    "png",
    "pnm",
    "ppm",
    "pt",
    "pth",
    "safetensors",
    "svg",
    "tar",
    "tif",
    "tiff",
    "txt",
    "webm",
    "webp",
    "zip",
];

/// What makes a file or folder the same under all its names.
#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::metadata(path).ok().filter(is_stored)?;
    Some((found.dev(), found.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> Option<String> {
    std::fs::metadata(path).ok().filter(is_stored)?;
    Some(std::fs::canonicalize(path).ok()?.to_string_lossy().to_lowercase())
}

/// Whether writing replaces what is there: true of files and folders, not of devices, pipes and sockets.
fn is_stored(found: &Metadata) -> bool {
    found.is_file() || found.is_dir()
}

/// Refuses results that are a file or folder which the command reads, under whatever name. Paths need not exist.
pub fn check(results: &[PathBuf], reads: impl IntoIterator<Item = PathBuf>) -> Result<(), Failure> {
    let existing: HashMap<_, _> = results.iter().filter_map(|result| Some((identity(result)?, result))).collect();
    if existing.is_empty() {
        return Ok(());
    }
    for read in reads {
        if let Some(result) = identity(&read).and_then(|id| existing.get(&id)) {
            let what = format!("{}: is not overwritten: the command reads it as {}", result.display(), read.display());
            return Err(Error::Input(what).into());
        }
    }
    Ok(())
}

/// What a folder holds, and what the folders in it hold, `depth` levels down. A folder that does not exist holds nothing.
pub fn contents(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if depth > 1 && path.is_dir() {
            found.extend(contents(&path, depth - 1));
        }
        found.push(path);
    }
    found
}

/// The files among the [`contents`] of a folder.
pub fn files(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let mut all = contents(folder, depth);
    all.retain(|path| path.is_file());
    all
}

/// Checks the name of a file to write: that no suffix says another format than `formats`, and that a file can be there.
pub fn check_file(path: &Path, formats: &[&str]) -> Result<(), Failure> {
    if let Some(suffix) = other_format(path, formats) {
        let (path, formats) = (path.display(), formats.join(", ."));
        return Err(Failure::Usage(format!("{path}: .{suffix} is not written here; what is written is .{formats}")));
    }
    if path.is_dir() {
        return Err(io(path, std::io::ErrorKind::IsADirectory.into()));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match std::fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(io(folder, std::io::ErrorKind::NotADirectory.into())),
        Err(e) => Err(io(folder, e)),
    }
}

/// Checks the name of a folder to write: that no suffix makes it look like a file, and that no file is there.
pub fn check_folder(path: &Path) -> Result<(), Failure> {
    if let Some(suffix) = other_format(path, &[]).filter(|_| !path.is_dir()) {
        let path = path.display();
        return Err(Failure::Usage(format!("{path}: .{suffix} is not written here; what is written is a folder")));
    }
    match std::fs::metadata(path) {
        Ok(found) if !found.is_dir() => Err(io(path, std::io::ErrorKind::NotADirectory.into())),
        _ => Ok(()),
    }
}

/// The suffix of a path, where it names a format that is none of `formats`.
fn other_format(path: &Path, formats: &[&str]) -> Option<String> {
    let suffix = path.extension()?.to_str()?.to_lowercase();
    (FORMATS.contains(&&suffix[..]) && !formats.contains(&&suffix[..])).then_some(suffix)
}

/// The result that goes beside another under the same name. A device or a pipe has none.
pub fn companion(path: &Path, suffix: &str) -> Option<PathBuf> {
    let special = std::fs::metadata(path).is_ok_and(|found| !is_stored(&found));
    (!special).then(|| path.with_extension(suffix))
}

/// Writes a whole file.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut file = Unfinished::create(path).map_err(|e| io(path, e))?;
    file.write_all(bytes).and_then(|()| file.finish()).map_err(|e| io(path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_of_other_formats_are_refused() {
        for (path, formats, refused) in [
            ("m.jpg", &["png"][..], true),
            ("m.PNG", &["png"], false),
            ("m.TIF", &["png"], true),
            ("m.v2", &["png"], false),
            ("mask", &["png"], false),
            (".png", &["png"], false),
            ("a.safetensors", &["safetensors"], false),
            ("a.pt", &["safetensors"], true),
            ("out.mp4", &[], true),
            ("run.2024", &[], false),
        ] {
            assert_eq!(other_format(Path::new(path), formats).is_some(), refused, "{path}");
        }
    }
}

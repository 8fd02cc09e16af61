//! Writes the results of a command. A result never replaces an input of the command, and is written completely or not
//! at all.

mod unfinished;

use crate::error::{Failure, io};
use sam2::Error;
use std::collections::HashMap;
use std::fs::Metadata;
use std::io::Write;
use std::path::{Path, PathBuf};
pub use unfinished::{Unfinished, remove_on_signals};

/// Extensions that name a file format. Any other suffix is part of the name.
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

/// Identifies a file or folder under all its names.
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

/// Whether writing would replace contents: true for files and folders; false for devices, pipes and sockets.
fn is_stored(found: &Metadata) -> bool {
    found.is_file() || found.is_dir()
}

/// Fails if a result is also an input of the command, under any name. Paths need not exist.
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

/// The entries of a folder and of its subfolders, `depth` levels down. A missing folder has no entries.
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

/// Checks the path of a file to write. The extension must not name a format outside `formats`, and the folder must
/// exist.
pub fn check_file(path: &Path, formats: &[&str]) -> Result<(), Failure> {
    if let Some(suffix) = other_format(path, formats) {
        let (path, formats) = (path.display(), formats.join(", ."));
        return Err(Failure::Usage(format!("{path}: cannot write .{suffix} here; the output is .{formats}")));
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

/// Checks the path of a folder to write. It must not have the extension of a file format, and must not be a file.
pub fn check_folder(path: &Path) -> Result<(), Failure> {
    if let Some(suffix) = other_format(path, &[]).filter(|_| !path.is_dir()) {
        let path = path.display();
        return Err(Failure::Usage(format!("{path}: cannot write .{suffix} here; the output is a folder")));
    }
    match std::fs::metadata(path) {
        Ok(found) if !found.is_dir() => Err(io(path, std::io::ErrorKind::NotADirectory.into())),
        _ => Ok(()),
    }
}

/// The extension of a path, if it names a format outside `formats`.
fn other_format(path: &Path, formats: &[&str]) -> Option<String> {
    let suffix = path.extension()?.to_str()?.to_lowercase();
    (FORMATS.contains(&&suffix[..]) && !formats.contains(&&suffix[..])).then_some(suffix)
}

/// The path of a second result beside `path`, with another extension. `None` if `path` is a device or a pipe.
pub fn companion(path: &Path, suffix: &str) -> Option<PathBuf> {
    let special = std::fs::metadata(path).is_ok_and(|found| !is_stored(&found));
    (!special).then(|| path.with_extension(suffix))
}

/// Writes a file completely, or leaves the previous file unchanged.
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

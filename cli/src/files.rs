//! Reads files up to a size limit, and lists folders in a fixed order.

use crate::console::note;
use crate::error::{Failure, invalid, io};
use crate::output;
use sam2::Frames;
use sam2::picture::SUFFIXES;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The size limit of a file of prompts, calls or names, in bytes.
pub const MAX_TEXT: u64 = 16 << 20;
/// The size limit of a file with masks, in bytes.
pub const MAX_MASKS: u64 = 1 << 30;

/// The checkpoints and configurations in a folder.
pub fn of_model(folder: &Path) -> Vec<PathBuf> {
    let suffixes = ["safetensors", "pt", "pth", "bin", "ckpt", "json", "yaml", "yml"];
    let mut all = output::files(folder, 1);
    all.retain(|path| path.extension().is_some_and(|e| suffixes.iter().any(|suffix| e.eq_ignore_ascii_case(suffix))));
    all
}

/// Reads a file of at most `limit` bytes. It stops at the limit, so an endless device is an error too.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|e| io(path, e))?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|e| io(path, e))?;
    if bytes.len() as u64 > limit {
        return Err(invalid(path, format!("more than {limit} bytes")));
    }
    Ok(bytes)
}

/// Like [`read`], for UTF-8 text.
pub fn read_text(path: &Path, limit: u64) -> Result<String, Failure> {
    String::from_utf8(read(path, limit)?).map_err(|_| invalid(path, "not UTF-8 text"))
}

/// The entries of a folder, sorted by name, without hidden and system files.
pub fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, Failure> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| io(folder, e))? {
        let path = entry.map_err(|e| io(folder, e))?.path();
        let name = path.file_name().unwrap_or_default();
        if sam2::is_hidden(&name.to_string_lossy()) {
            continue;
        }
        let name = name.to_str().ok_or_else(|| invalid(&path, "a name that is not UTF-8"))?;
        all.push((name.to_string(), path));
    }
    all.sort();
    Ok(all)
}

/// The image files of a folder, by extension, sorted by name. A note counts the skipped files. No image is an error.
pub fn pictures(folder: &Path) -> Result<Vec<(String, PathBuf)>, Failure> {
    let kind = |name: &str| name.rsplit_once('.').map(|(_, kind)| kind.to_lowercase()).unwrap_or_default();
    let is_picture = |name: &str, path: &Path| SUFFIXES.concat().contains(&&kind(name)[..]) && path.is_file();
    let (all, others): (Vec<_>, Vec<_>) = entries(folder)?.into_iter().partition(|(name, path)| is_picture(name, path));
    let skipped = skipped(&others);
    if all.is_empty() {
        let found = if others.is_empty() { "it is empty".into() } else { format!("skipped: {skipped}") };
        return Err(invalid(folder, format!("no images; {found}")));
    }
    if !others.is_empty() {
        note(&format!("note: {}: {} images; skipped: {skipped}", folder.display(), all.len()));
    }
    Ok(all)
}

/// Extensions of image formats that phones write and this program does not read.
const UNREAD: [&str; 3] = [".heic", ".heif", ".avif"];

/// The number of files and folders, with the first names.
fn skipped(others: &[(String, PathBuf)]) -> String {
    let names: Vec<&str> = others.iter().take(5).map(|(name, _)| &name[..]).collect();
    let more = if others.len() > names.len() { ", ..." } else { "" };
    let (folders, files): (Vec<_>, Vec<_>) = others.iter().partition(|(_, path)| path.is_dir());
    let counts = [(files.len(), "file"), (folders.len(), "folder")].into_iter().filter(|(n, _)| *n > 0);
    let counts: Vec<String> = counts.map(|(n, what)| format!("{n} {what}{}", if n == 1 { "" } else { "s" })).collect();
    let unread = |(name, _): &&(String, PathBuf)| UNREAD.iter().any(|kind| name.to_lowercase().ends_with(kind));
    let hint = if others.iter().any(|other| unread(&other)) { "; convert HEIC and AVIF to PNG or JPEG" } else { "" };
    format!("{} ({}{more}){hint}", counts.join(" and "), names.join(", "))
}

/// The folders in a folder, sorted by name.
pub fn folders(folder: &Path) -> Result<Vec<(String, PathBuf)>, Failure> {
    let mut all = entries(folder)?;
    all.retain(|(_, path)| path.is_dir());
    Ok(all)
}

/// The frames of a video with their names, in natural order.
pub fn frames(folder: &Path) -> Result<Vec<(String, PathBuf)>, Failure> {
    let named = |path: PathBuf| {
        let name = path.file_stem().and_then(|s| s.to_str()).ok_or_else(|| invalid(&path, "a name that is not UTF-8"));
        Ok((name?.to_string(), path))
    };
    Frames::list(folder)?.into_iter().map(named).collect()
}

//! The same weights in other forms, stored as patches of `mini21.safetensors`: see `tests/reference/patches.py`.

use std::path::{Path, PathBuf};

/// A file of `tests/data/weights`, as PyTorch saved it or under Hugging Face's names. The test runs in `root`.
pub fn weights(root: &Path, name: &str) -> PathBuf {
    let folder = root.join("tests/data/weights");
    let Ok(patch) = std::fs::read(folder.join(format!("{name}.patch"))) else { return folder.join(name) };
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let whole = applied(&patch, &std::fs::read(folder.join("mini21.safetensors")).unwrap());
    if std::fs::read(&path).ok().as_deref() != Some(&whole) {
        // Complete or absent, since tests run in parallel.
        let part = path.with_extension(format!("{}.{:?}", std::process::id(), std::thread::current().id()));
        std::fs::write(&part, &whole).unwrap();
        std::fs::rename(&part, &path).unwrap();
    }
    path
}

fn applied(mut patch: &[u8], base: &[u8]) -> Vec<u8> {
    fn number(patch: &mut &[u8]) -> usize {
        let (number, rest) = patch.split_first_chunk().unwrap();
        *patch = rest;
        u32::from_le_bytes(*number) as usize
    }
    let mut out = Vec::new();
    while !patch.is_empty() {
        let literal = number(&mut patch);
        out.extend_from_slice(&patch[..literal]);
        patch = &patch[literal..];
        let (place, size) = (number(&mut patch), number(&mut patch));
        out.extend_from_slice(&base[place..place + size]);
    }
    out
}

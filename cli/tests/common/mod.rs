//! Helpers of the program's tests: they run it, and make folders for its files.
#![allow(dead_code)] // each test uses a part of it

#[path = "../../../tests/common/weights.rs"]
mod weights;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A file of `tests/data/weights`.
pub fn weights(name: &str) -> PathBuf {
    weights::weights(&root(), name)
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs the program in the root of the repository.
pub fn sam2(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sam2")).args(args).current_dir(root()).output().unwrap()
}

/// Runs the program, which must succeed. Returns its stdout.
pub fn stdout(args: &[&str]) -> String {
    let out = sam2(args);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// A temporary folder, which is removed when dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("sam2-cli-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the program, which must fail with this exit code and a message that contains `says`.
pub fn fails(code: i32, says: &str, args: &[&str]) -> Output {
    let out = sam2(args);
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(code) && stderr.contains(says), "{args:?}: {:?} {stderr}", out.status);
    out
}

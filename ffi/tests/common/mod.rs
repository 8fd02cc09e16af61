//! Programs in other languages, compiled and run against the library.
#![allow(dead_code)] // each test takes a part of it

use std::path::{Path, PathBuf};
use std::process::Command;

/// A compiler by its variable and its usual name, and what it is told.
pub type Compiler = (&'static str, &'static str, &'static [&'static str]);

pub const C: Compiler = ("CC", "cc", &["-std=c11", "-D_GNU_SOURCE"]);

/// Stops at the first access out of bounds, leak or undefined behaviour of the program's, and of the library's allocations.
pub const C_SANITIZED: Compiler =
    ("CC", "cc", &["-std=c11", "-D_GNU_SOURCE", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The folder with libsam2, built as this test was.
pub fn library() -> PathBuf {
    let mut args = vec!["build", "-p", "sam2-ffi", "--message-format=json"];
    if !cfg!(debug_assertions) {
        args.push("--release");
    }
    let out = Command::new(env!("CARGO")).args(&args).current_dir(root()).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let lines = String::from_utf8(out.stdout).unwrap();
    let artifacts = lines.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let files = artifacts.filter(|a| {
        a["reason"] == "compiler-artifact" && a["package_id"].as_str().is_some_and(|id| id.contains("ffi"))
    });
    let files: Vec<String> = files
        .flat_map(|a| a["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|f| f.as_str().map(String::from))
        .collect();
    let shared = files.iter().find(|f| f.ends_with(".so") || f.ends_with(".dylib"));
    let folder: PathBuf = Path::new(shared.unwrap_or_else(|| panic!("{files:?}"))).parent().unwrap().into();
    #[cfg(target_os = "linux")]
    let _ = std::os::unix::fs::symlink("libsam2.so", folder.join("libsam2.so.0"));
    folder
}

/// Compiles a program and runs it on arguments; what it printed.
pub fn run(compiler: Compiler, source: &str, args: &[&str]) -> String {
    let (variable, usual, flags) = compiler;
    let library = library();
    let kind = flags.concat().replace(|c: char| !c.is_ascii_alphanumeric(), "");
    let program = library.join(format!("test-{kind}-{}", source.replace(['/', '.'], "-")));
    let compiled = Command::new(std::env::var(variable).unwrap_or(usual.into()))
        .args(flags)
        .args(["-Wall", "-Wextra", "-Werror", "-O1", "-Iinclude", "-Ibindings/cpp/include", source])
        .args(["-o", program.to_str().unwrap(), "-lsam2", "-lm", "-lpthread"])
        .arg(format!("-L{}", library.display()))
        .arg(format!("-Wl,-rpath,{}", library.display()))
        .current_dir(root())
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let out = Command::new(&program).args(args).current_dir(root()).output().unwrap();
    assert!(out.status.success(), "{source}: {} {}", out.status, String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

//! Programs and plugins that contain the library in different ways: unloaded, twice in a process, beside another Rust
//! library, at the end of a process, with limits, and with unusual modes.

mod common;

use common::*;
use libtest_mimic::Arguments;
use std::path::{Path, PathBuf};
use std::process::Command;

const PICTURE: &str = "demo/pictures/astronaut.png";

fn source(name: &str) -> String {
    format!("ffi/tests/hosts/{name}")
}

fn cc() -> Command {
    let mut command = Command::new(std::env::var("CC").unwrap_or("cc".into()));
    command.args(["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", "-Iinclude"]).current_dir(root());
    command
}

/// The archive that programs contain.
fn archive() -> PathBuf {
    library().parent().unwrap().join("libsam2_ffi.a")
}

/// Builds the plugin, which needs the shared library.
fn plugin(folder: &Path) -> PathBuf {
    let (plugin, library) = (folder.join("plugin.so"), library().display());
    let mut command = cc();
    command.args(["-shared", "-fPIC", &source("plugin.c"), "-o"]).arg(&plugin);
    succeed(command.args([format!("-L{library}"), "-lsam2".into(), format!("-Wl,-rpath,{library}")]));
    plugin
}

/// Runs a program that loads the plugin.
fn with_plugin(name: &str, libraries: &[PathBuf]) {
    let folder = folder(name);
    let program = folder.join(name);
    let mut command = cc();
    command.arg(source(&format!("{name}.c"))).args(libraries).arg("-o").arg(&program);
    succeed(command.args(["-ldl", "-lm", "-lpthread"]));
    succeed(Command::new(&program).arg(plugin(&folder)).args(["demo", PICTURE]).current_dir(root()));
    std::fs::remove_dir_all(folder).unwrap();
}

/// A plugin is unloaded: its threads have ended, and memory does not grow.
fn loader() {
    with_plugin("loader", &[]);
}

/// A program that contains the library loads a plugin with the shared library.
fn two() {
    with_plugin("two", &[archive()]);
}

/// A program contains two Rust libraries.
fn rusts() {
    let folder = folder("rusts");
    let (other, program) = (folder.join("libother.a"), folder.join("rusts"));
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition=2024", "--crate-type=staticlib", "-O", &source("other.rs"), "-o"]).arg(&other);
    succeed(rustc.current_dir(root()));
    let mut command = cc();
    command.arg(source("rusts.c")).arg(archive()).arg(other).arg("-o").arg(&program);
    succeed(command.args(["-ldl", "-lm", "-lpthread"]));
    assert_eq!(succeed(Command::new(program).arg("demo").current_dir(root())), "285\n");
    std::fs::remove_dir_all(folder).unwrap();
}

/// A process ends while a job runs.
fn quit() {
    let program = compile(C, &source("quit.c"));
    for i in 0..40 {
        let mut command = Command::new(&program);
        command.args(["demo", PICTURE]).args((i % 2 == 1).then_some("destroy"));
        assert_eq!(succeed(command.current_dir(root())), "");
    }
}

/// Threads that have nothing to do use no CPU time.
fn idle() {
    run(C, &source("idle.c"), &["demo", PICTURE]);
}

/// With any limit of the address space a call fails with a status, or all calls succeed.
fn limit() {
    let program = compile(C, &source("limit.c"));
    let mut ends = Vec::new();
    for mib in (9..64).chain([96, 128, 192, 256, 1024]) {
        let mut command = Command::new(&program);
        let out = command.args(["demo", PICTURE]).arg(mib.to_string()).current_dir(root()).output().unwrap();
        // The dynamic linker ends a program for which it has no memory.
        let linker = out.status.code() == Some(127);
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success() || linker, "{mib} MiB: {} {said}", out.status);
        ends.push(said.split(':').next().unwrap().trim().to_string());
    }
    assert!(ends.last().unwrap() == "done" && ends.iter().any(|end| end != "done" && !end.is_empty()), "{ends:?}");
}

/// Floating-point modes of the calling thread do not change results.
fn floats() {
    run(C, &source("floats.c"), &["demo", PICTURE]);
}

/// A locale with a decimal comma changes nothing.
fn locale() {
    let folder = folder("locale");
    succeed(Command::new("localedef").args(["-i", "de_DE", "-f", "UTF-8"]).arg(folder.join("de_DE.UTF-8")));
    let program = compile(C, &source("locale.c"));
    let mut command = Command::new(program);
    succeed(command.args(["de_DE.UTF-8", "demo"]).env("LOCPATH", &folder).current_dir(root()));
    std::fs::remove_dir_all(folder).unwrap();
}

fn main() {
    let locales = there("localedef", "--version") && Path::new("/usr/share/i18n/locales/de_DE").exists();
    let tests = vec![
        on_linux("loader", true, loader),
        on_linux("two", true, two),
        on_linux("rusts", there("rustc", "--version"), rusts),
        on_linux("quit", true, quit),
        on_linux("idle", true, idle),
        on_linux("limit", true, limit),
        on_linux("floats", cfg!(target_arch = "x86_64"), floats),
        on_linux("locale", locales, locale).with_ignored_flag(!locales),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit();
}

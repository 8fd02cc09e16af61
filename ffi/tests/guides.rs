//! Runs the commands and programs of the guides for C, C++ and Go with an installed library.

mod common;
#[path = "../../tests/common/guides.rs"]
mod guides;

use common::{installed, on_linux, root, succeed, there, with_kernels};
use libtest_mimic::Arguments;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

static PLACE: OnceLock<PathBuf> = OnceLock::new();

/// A folder with the installed library in `sam2`, and with the files of the repository that the guides use.
fn place() -> &'static Path {
    PLACE.get_or_init(|| {
        let (folder, root) = (installed("guides"), root().canonicalize().unwrap());
        for name in ["demo", "bindings"] {
            symlink(root.join(name), folder.join(name)).unwrap();
        }
        std::fs::create_dir(folder.join("ffi")).unwrap();
        symlink(root.join("ffi/usage.c"), folder.join("ffi/usage.c")).unwrap();
        let install = folder.join("ffi/install");
        std::fs::write(&install, format!("#!/bin/sh\nexec '{}' \"$@\"\n", root.join("ffi/install").display())).unwrap();
        std::fs::set_permissions(install, std::fs::Permissions::from_mode(0o755)).unwrap();
        folder
    })
}

/// Runs the commands of a guide as one script, with the folder for `$HOME`.
fn run_commands(document: &str) -> String {
    let home = place().display().to_string();
    let script = guides::of(&root(), document, "sh").concat().replace("$HOME", &home);
    let mut shell = Command::new("sh");
    shell.args(["-eu", "-c", &script]).current_dir(place()).env("CGO_CFLAGS", common::cgo_flags());
    succeed(with_kernels(&mut shell))
}

/// Gets flags of pkg-config.
fn pkg_config(which: &str) -> String {
    let path = place().join("sam2/lib/pkgconfig");
    succeed(Command::new("pkg-config").args([which, "sam2"]).env("PKG_CONFIG_PATH", path)).trim().into()
}

/// Runs a program without arguments and returns its output.
fn run(program: &Path) -> String {
    let said = succeed(Command::new(program).current_dir(place()).env("LD_LIBRARY_PATH", place().join("sam2/lib")));
    assert!(!said.is_empty(), "{}", program.display());
    said
}

/// Compiles the programs of a language and runs them.
fn compile_and_run(language: &str, compiler: &str, standard: &str) -> Vec<String> {
    let programs = guides::of(&root(), "docs/c.md", language).into_iter().enumerate();
    let one = |(i, text): (usize, String)| {
        let source = place().join(format!("program{i}.{language}"));
        std::fs::write(&source, text).unwrap();
        let program = source.with_extension(format!("{language}-program"));
        let mut command = Command::new(compiler);
        command.args([standard, "-Wall", "-Wextra", "-Werror"]).arg(source).arg("-o").arg(&program);
        succeed(command.args(pkg_config("--cflags").split(' ')).args(pkg_config("--libs").split(' ')));
        run(&program)
    };
    programs.map(one).collect()
}

fn c() {
    let said = run_commands("docs/c.md");
    assert!(said.contains("predicted IoU") && said.contains("frame 23: "), "{said}");
    for said in compile_and_run("c", "cc", "-std=c11") {
        let pixels = said.lines().map(|line| line.split(' ').nth(2).unwrap().parse::<u64>().unwrap());
        assert!(said.lines().count() == 5 && pixels.into_iter().all(|pixels| pixels > 1000), "{said}");
    }
    for said in compile_and_run("cpp", "c++", "-std=c++17") {
        assert!(said.contains("predicted IoU") || said.contains("frame 5: "), "{said}");
    }
}

fn go() {
    let said = run_commands("docs/go.md");
    assert!(said.contains("predicted IoU") && said.contains("frame 23: "), "{said}");
    for (i, text) in guides::of(&root(), "docs/go.md", "go").into_iter().enumerate() {
        let folder = place().join(format!("go{i}"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("main.go"), text).unwrap();
        let module = format!(
            "module guide\n\ngo 1.21\n\nrequire sam2.invalid/sam2 v0.0.0\n\nreplace sam2.invalid/sam2 => {}\n",
            root().join("bindings/go").canonicalize().unwrap().display()
        );
        std::fs::write(folder.join("go.mod"), module).unwrap();
        let mut command = common::go(&place().join("sam2/lib/pkgconfig"));
        succeed(command.args(["build", "-o", "program", "."]).current_dir(&folder));
        run(&folder.join("program"));
    }
}

fn main() {
    let able = there("pkg-config", "--version");
    let tests =
        vec![on_linux("c", able && there("cmake", "--version"), c), on_linux("go", able && there("go", "version"), go)];
    // The commands for C install the library again, where the other programs are linked with it.
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    let all = libtest_mimic::run(&arguments, tests);
    if let Some(place) = PLACE.get() {
        let _ = std::fs::remove_dir_all(place);
    }
    all.exit();
}

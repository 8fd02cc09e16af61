//! Compiles programs in other languages against the library and runs them.
#![allow(dead_code)] // each test takes a part of it

pub mod header;

use libtest_mimic::Trial;
use sam2_cuda::emulator::{HAS_KERNELS, LIBRARIES};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A compiler: its environment variable, its usual name and its flags.
pub type Compiler = (&'static str, &'static str, &'static [&'static str]);

pub const C: Compiler = ("CC", "cc", &["-std=c11", "-D_GNU_SOURCE"]);

/// Stops at the first access out of bounds, leak or undefined behavior of the program, and of allocations of the
/// library.
pub const C_SANITIZED: Compiler =
    ("CC", "cc", &["-std=c11", "-D_GNU_SOURCE", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Passes the compiled CUDA kernels to a build, because compiling them again takes minutes.
pub fn with_kernels(command: &mut Command) -> &mut Command {
    if HAS_KERNELS {
        command.env("SAM2_KERNELS_FATBIN", Path::new(LIBRARIES).join("kernels.fatbin"));
    }
    command
}

/// Builds libsam2 in the profile of this test and returns its folder.
pub fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let mut args = vec!["build", "-p", "sam2-ffi", "--message-format=json"];
        if !cfg!(debug_assertions) {
            args.push("--release");
        }
        let out = with_kernels(Command::new(env!("CARGO")).args(&args).current_dir(root())).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let lines = String::from_utf8(out.stdout).unwrap();
        let artifacts = lines.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let files = artifacts.flat_map(|a| a["filenames"].as_array().cloned().unwrap_or_default());
        let files: Vec<String> = files.filter_map(|f| f.as_str().map(String::from)).collect();
        let made = files.iter().find(|f| f.ends_with("libsam2_ffi.a")).unwrap_or_else(|| panic!("{files:?}"));
        let folder = Path::new(made).parent().unwrap().join("c");
        std::fs::create_dir_all(&folder).unwrap();
        let (shared, usual) = if cfg!(target_os = "macos") {
            ("libsam2.1.dylib", "libsam2.dylib")
        } else {
            ("libsam2.so.1", "libsam2.so")
        };
        succeed(Command::new("ffi/link").arg(made).arg(folder.join(shared)).current_dir(root()));
        // The symbols of LLVM's coverage have addresses from 0 on, which only their section has. Where one of them reaches
        // into the code, Valgrind 3.19 ends with a failed assertion.
        if cfg!(coverage) {
            succeed(Command::new("objcopy").args(["-w", "--strip-symbol=__covrec_*"]).arg(folder.join(shared)));
        }
        #[cfg(unix)]
        let _ = std::os::unix::fs::symlink(shared, folder.join(usual));
        folder
    })
}

/// Runs a command that must succeed, and returns its output.
pub fn succeed(command: &mut Command) -> String {
    let out = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{command:?}: {} {said}{}", out.status, String::from_utf8_lossy(&out.stderr));
    said
}

/// Flags of cgo that no other process has, for `CGO_CFLAGS`. Go's cache does not notice that pkg-config gives another
/// folder, and would link with a library of another test.
pub fn cgo_flags() -> String {
    format!("-O2 -DPROCESS_{}", std::process::id())
}

/// Go, which finds the library by the pkg-config files of a folder.
pub fn go(pkg_config: &Path) -> Command {
    let mut command = Command::new("go");
    command.env("PKG_CONFIG_PATH", pkg_config).env("CGO_CFLAGS", cgo_flags());
    command
}

/// A test that is ignored unless `able`. In CI it always runs.
pub fn trial(name: &str, able: bool, test: fn()) -> Trial {
    let lacking = !able && std::env::var_os("CI").is_none();
    let run = move || {
        test();
        Ok(())
    };
    Trial::test(name, run).with_ignored_flag(lacking)
}

/// As [`trial`], for Linux only.
pub fn on_linux(name: &str, able: bool, test: fn()) -> Trial {
    let trial = trial(name, able, test);
    if cfg!(target_os = "linux") { trial } else { trial.with_ignored_flag(true) }
}

/// Whether a program exists. It prints its version for `argument`.
pub fn there(program: &str, argument: &str) -> bool {
    Command::new(program).arg(argument).output().is_ok()
}

/// Compiles a program against the library and returns its path.
pub fn compile(compiler: Compiler, source: &str) -> PathBuf {
    let (variable, usual, flags) = compiler;
    let library = library();
    let kind = flags.concat().replace(|c: char| !c.is_ascii_alphanumeric(), "");
    let program = library.join(format!("test-{kind}-{}", source.replace(['/', '.'], "-")));
    let command = &mut Command::new(std::env::var(variable).unwrap_or(usual.into()));
    command.args(flags).args(["-Wall", "-Wextra", "-Werror", "-O1", "-Iinclude", "-Ibindings/cpp/include", source]);
    command.arg("-o").arg(&program).arg(format!("-L{}", library.display())).args(["-lsam2", "-lm", "-lpthread"]);
    succeed(command.arg(format!("-Wl,-rpath,{}", library.display())).current_dir(root()));
    program
}

/// Compiles a program, runs it and returns its output.
pub fn run(compiler: Compiler, source: &str, args: &[&str]) -> String {
    succeed(Command::new(compile(compiler, source)).args(args).current_dir(root()))
}

/// Creates a temporary folder.
pub fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("sam2-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// Creates a temporary folder with the installed tree in `sam2`.
pub fn installed(name: &str) -> PathBuf {
    let folder = folder(name);
    let tarball = folder.join("sam2.tar.gz");
    succeed(with_kernels(Command::new("ffi/install").arg("--tarball").arg(&tarball).current_dir(root())));
    succeed(Command::new("tar").arg("-xzf").arg(&tarball).arg("-C").arg(&folder));
    folder
}

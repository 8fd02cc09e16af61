//! Tests of the stability of the binary interface: symbols, types, and a program that was compiled earlier.
//!
//! `SAM2_WRITE_ABI=1 cargo test --release -p sam2-ffi --test stable` records the current symbols and types. With
//! `SAM2_WRITE_PROGRAM=1` the program is compiled again.

mod common;

use common::header::{constants, functions, structs};
use common::{C, compile, library, on_linux, root, succeed, there};
use libtest_mimic::Arguments;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Path of a file in `ffi/abi`.
fn file(name: &str) -> PathBuf {
    root().join("ffi/abi").join(name)
}

fn writes() -> bool {
    std::env::var_os("SAM2_WRITE_ABI").is_some()
}

/// The library exports the functions of the header with the version of the interface, and everything that it exported
/// before.
fn symbols() {
    let mut nm = Command::new("nm");
    let nm = nm.args(["-D", "--defined-only", "--with-symbol-versions"]).arg(library().join("libsam2.so"));
    let nm = succeed(nm);
    let mut exported: Vec<&str> = nm.lines().filter_map(|l| l.split_once(" T ")).map(|(_, name)| name).collect();
    exported.sort_unstable();
    let mut declared: Vec<String> = functions().iter().map(|f| format!("{}@@SAM2_1", f.name)).collect();
    declared.sort();
    assert_eq!(exported, declared);
    let text: String = exported.iter().flat_map(|s| [s, "\n"]).collect();
    if writes() {
        std::fs::write(file("symbols"), &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(file("symbols")).unwrap());
}

/// Compiles a library whose debug information describes the header: functions, with structs as opaque types; fields,
/// each as an array of its type whose length is its offset plus one; and constants. `edit` changes the code before.
fn described(folder: &Path, edit: impl Fn(String) -> String) -> PathBuf {
    let mut opaque = common::header::code();
    let mut fields = String::from("#include <sam2.h>\n");
    for s in structs() {
        let (name, declaration) = (&s.name, &s.declaration);
        assert!(opaque.contains(declaration), "{declaration}");
        opaque = opaque.replace(declaration, &format!("typedef struct {name} {name};\n"));
        for field in &s.fields {
            writeln!(fields, "__typeof__((({name} *)0)->{field}) (*{name}_{field})[offsetof({name}, {field}) + 1];")
                .unwrap();
        }
    }
    for name in constants() {
        writeln!(fields, "enum of_{name} {{ is_{name} = {name} }} the_{name};").unwrap();
    }
    for function in functions() {
        writeln!(opaque, "{} {{ __builtin_trap(); }}", function.declaration).unwrap();
    }
    std::fs::write(folder.join("functions.c"), edit(opaque)).unwrap();
    std::fs::write(folder.join("fields.c"), edit(fields)).unwrap();
    let out = folder.join("described.so");
    let include = format!("-I{}", root().join("include").canonicalize().unwrap().display());
    let mut cc = Command::new(std::env::var("CC").unwrap_or("cc".into()));
    cc.args(["-std=gnu11", "-g", "-shared", "-fPIC", "functions.c", "fields.c", "-o", "described.so"]).arg(include);
    succeed(cc.current_dir(folder));
    out
}

/// Nothing is removed or changed. Functions, fields at the end of structs and constants may be added.
fn types() {
    let folder = std::env::temp_dir().join(format!("sam2-abi-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let described = described(&folder, |code| code);
    if writes() {
        let plain = ["comp-dir-path", "corpus-path", "show-locs", "elf-needed", "parameter-names"];
        let mut abidw = Command::new("abidw");
        abidw.args(plain.map(|what| format!("--no-{what}"))).arg("--drop-undefined-syms");
        succeed(abidw.arg("--out-file").arg(file("sam2.abi")).arg(&described));
    }
    succeed(&mut difference(&described));
    std::fs::remove_dir_all(folder).unwrap();
}

/// The command that compares a library with the recorded types. It fails if something is removed or changed.
fn difference(described: &Path) -> Command {
    let mut abidiff = Command::new("abidiff");
    abidiff.args(["--no-added-syms", "--harmless", "--suppressions"]).arg(file("breaks.suppr"));
    abidiff.arg(file("sam2.abi")).arg(described);
    abidiff
}

/// An added function passes. A removed function, another type of an argument, another order of fields, and another
/// value of a constant do not.
fn breaks() {
    let folder = std::env::temp_dir().join(format!("sam2-abi-breaks-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let passes = |from: &str, to: &str| {
        let found = std::cell::Cell::new(false);
        let edited = described(&folder, |code| {
            found.set(found.get() || code.contains(from));
            code.replace(from, to)
        });
        assert!(found.get(), "no {from}");
        difference(&edited).output().unwrap().status.success()
    };
    let version = "sam2_abi_version(void)";
    let body = format!("uint32_t {version} {{");
    assert!(passes(&body, &format!("int32_t sam2_more(void) {{ return 0; }}\n{body}")));
    assert!(!passes(version, "sam2_renamed(void)"));
    assert!(!passes(version, "sam2_abi_version(int32_t more)"));
    assert!(!passes("offsetof(sam2_image, height)", "offsetof(sam2_image, width)"));
    assert!(!passes("is_SAM2_ERROR_BUSY = SAM2_ERROR_BUSY", "is_SAM2_ERROR_BUSY = SAM2_ERROR_IO"));
    std::fs::remove_dir_all(folder).unwrap();
}

const ARGUMENTS: [&str; 3] = ["demo", "demo/pictures/astronaut.png", "demo/samples/video1/frames"];

/// A program that was compiled when the interface got its version prints the same as if it were compiled today.
fn program() {
    let old = file(&format!("program-{}", sam2_ffi::sam2_abi_version()));
    if std::env::var_os("SAM2_WRITE_PROGRAM").is_some() {
        let small = ["-std=c11", "-Os", "-s", "-no-pie", "-fno-asynchronous-unwind-tables", "-Iinclude"];
        let mut cc = Command::new(std::env::var("CC").unwrap_or("cc".into()));
        cc.args(small).arg("-Wl,--build-id=none,--hash-style=gnu,-z,norelro,-z,noseparate-code,--as-needed");
        cc.arg(file("program.c")).arg("-o").arg(&old).arg(format!("-L{}", library().display())).arg("-lsam2");
        succeed(cc.current_dir(root()));
    }
    let said = |program: &Path| {
        let mut program = Command::new(program);
        succeed(program.args(ARGUMENTS).current_dir(root()).env("LD_LIBRARY_PATH", library()))
    };
    assert_eq!(said(&old), said(&compile(C, "ffi/abi/program.c")));
}

fn main() {
    let mut tests = vec![
        on_linux("symbols", there("nm", "--version"), symbols),
        on_linux("types", there("abidiff", "--version"), types),
        on_linux("breaks", there("abidiff", "--version"), breaks),
    ];
    // The program is compiled for x86-64 only.
    let program = on_linux("program", true, program);
    tests.push(if cfg!(target_arch = "x86_64") { program } else { program.with_ignored_flag(true) });
    libtest_mimic::run(&Arguments::from_args(), tests).exit();
}

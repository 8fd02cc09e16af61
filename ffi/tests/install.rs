//! Finds an installed library by pkg-config and CMake.

mod common;

use common::{installed, on_linux, root, succeed, there};
use libtest_mimic::Arguments;
use std::path::Path;
use std::process::Command;

/// Runs the example of the header with a library folder.
fn works(program: &Path, library: &Path) {
    let mask = program.with_extension("png");
    let (picture, frames) = ("demo/pictures/astronaut.png", "demo/samples/video1/frames");
    let args = ["demo", picture, frames, "77", "400", mask.to_str().unwrap()];
    let said = succeed(Command::new(program).args(args).current_dir(root()).env("LD_LIBRARY_PATH", library));
    let iou = said.lines().next().and_then(|line| line.strip_prefix("predicted IoU ")?.parse::<f32>().ok());
    assert!(iou.is_some_and(|iou| iou > 0.5) && said.lines().count() == 25, "{said}");
    assert!(engine::picture::read(mask).unwrap().pixels.contains(&255));
}

fn pkg_config() {
    let folder = installed("pkg-config");
    let prefix = folder.join("sam2");
    let pkg = |args: &[&str]| {
        succeed(Command::new("pkg-config").args(args).env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")))
    };
    assert_eq!(pkg(&["--modversion", "sam2"]).trim(), env!("CARGO_PKG_VERSION"));
    let source = root().join("ffi/usage.c");
    for (module, library) in [("sam2", prefix.join("lib")), ("sam2-static", folder.clone())] {
        let program = folder.join(format!("usage-{module}"));
        let flags = pkg(&["--cflags", "--libs", module]);
        succeed(Command::new("cc").arg(&source).arg("-o").arg(&program).args(flags.split_whitespace()));
        works(&program, &library);
    }
    // Without the shared library, pkg-config --static names what the static one needs.
    std::fs::remove_file(prefix.join("lib/libsam2.so")).unwrap();
    let (program, flags) = (folder.join("whole"), pkg(&["--cflags", "--libs", "--static", "sam2"]));
    succeed(Command::new("cc").arg(&source).arg("-o").arg(&program).args(flags.split_whitespace()));
    works(&program, &folder);
    std::fs::remove_dir_all(folder).unwrap();
}

fn cmake() {
    let folder = installed("cmake");
    let lists = "cmake_minimum_required(VERSION 3.13)\nproject(user C CXX)\nfind_package(sam2 0.1 REQUIRED)\n\
                 add_executable(usage usage.c)\ntarget_link_libraries(usage sam2::sam2)\n\
                 add_executable(other everything.cpp)\ntarget_compile_features(other PRIVATE cxx_std_17)\n\
                 target_link_libraries(other sam2::sam2)\n\
                 add_executable(whole usage.c)\ntarget_link_libraries(whole sam2::static)\n";
    std::fs::write(folder.join("CMakeLists.txt"), lists).unwrap();
    std::fs::copy(root().join("ffi/usage.c"), folder.join("usage.c")).unwrap();
    for name in ["everything.cpp", "check.hpp"] {
        std::fs::copy(root().join("bindings/cpp/tests").join(name), folder.join(name)).unwrap();
    }
    let build = folder.join("build");
    let prefix = format!("-DCMAKE_PREFIX_PATH={}", folder.join("sam2").display());
    succeed(Command::new("cmake").arg("-S").arg(&folder).arg("-B").arg(&build).arg(prefix));
    succeed(Command::new("cmake").arg("--build").arg(&build));
    works(&build.join("usage"), &folder);
    // The program with the static library needs no other.
    std::fs::remove_dir_all(folder.join("sam2/lib")).unwrap();
    works(&build.join("whole"), &folder);
    assert_eq!(Command::new(build.join("usage")).status().unwrap().code(), Some(127), "it needs the shared library");
    std::fs::remove_dir_all(folder).unwrap();
}

/// Another folder for the libraries, and debug information in a file that debuggers find.
fn libdir_and_symbols() {
    let folder = common::folder("libdir");
    let archive = common::library().parent().unwrap().join("libsam2_ffi.a");
    let (libdir, symbols) = ("lib/some-linux", folder.join("symbols"));
    let mut install = Command::new("ffi/install");
    install.args(["--libdir", libdir, "--archive"]).arg(&archive).arg("--symbols").arg(&symbols);
    succeed(install.arg(folder.join("sam2")).current_dir(root()));
    let library = folder.join("sam2").join(libdir).join("libsam2.so.1").canonicalize().unwrap();
    let size = |path: &Path| std::fs::metadata(path).unwrap().len();
    let name = format!("{}.debug", library.file_name().unwrap().display());
    assert!(size(&symbols.join(name)) > 1 << 20 && size(&library) < size(&archive) / 4);
    assert!(size(&library.with_file_name("libsam2.a")) < size(&archive) / 2);
    let flags = succeed(
        Command::new("pkg-config")
            .args(["--cflags", "--libs", "sam2"])
            .env("PKG_CONFIG_PATH", library.with_file_name("pkgconfig")),
    );
    let (program, source) = (folder.join("usage"), root().join("ffi/usage.c"));
    succeed(Command::new("cc").arg(source).arg("-o").arg(&program).args(flags.split_whitespace()));
    works(&program, library.parent().unwrap());
    let lists = "cmake_minimum_required(VERSION 3.13)\nproject(user C)\nfind_package(sam2 0.1 REQUIRED)\n\
                 add_executable(usage usage.c)\ntarget_link_libraries(usage sam2::sam2)\n";
    std::fs::write(folder.join("CMakeLists.txt"), lists).unwrap();
    std::fs::copy(root().join("ffi/usage.c"), folder.join("usage.c")).unwrap();
    let config = format!("-Dsam2_DIR={}", library.with_file_name("cmake").join("sam2").display());
    let build = folder.join("build");
    succeed(Command::new("cmake").arg("-S").arg(&folder).arg("-B").arg(&build).arg(config));
    succeed(Command::new("cmake").arg("--build").arg(&build));
    works(&build.join("usage"), &folder);
    for wrong in [&["--libdir", "/lib", "/sam2"][..], &["--libdir"], &["sam2"], &["--color", "red", "/sam2"], &[]] {
        let out = Command::new("ffi/install").args(wrong).current_dir(root()).output().unwrap();
        assert_eq!((out.status.code(), out.stdout.len()), (Some(2), 0), "{wrong:?}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// The archive that Cargo reports for a target is installed, not the one of the host. A stand-in for Cargo reports the
/// path of an archive.
fn target() {
    let folder = common::folder("target");
    let triple = succeed(Command::new("rustc").arg("-vV"));
    let triple = triple.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_string();
    let archive = common::library().parent().unwrap().join("libsam2_ffi.a");
    let built = |name: &str| folder.join("build").join(name).join("release");
    let install = |target: &str, cc: Option<&str>| {
        let to = built(target);
        std::fs::create_dir_all(&to).unwrap();
        // An archive that differs from the host's. Bytes after its last member are ignored.
        let mut bytes = std::fs::read(&archive).unwrap();
        bytes.extend(b"\n");
        std::fs::write(to.join("libsam2_ffi.a"), bytes).unwrap();
        let said =
            format!("{{\"reason\":\"compiler-artifact\",\"filenames\":[\"{}\"]}}", to.join("libsam2_ffi.a").display());
        let cargo = format!("#!/bin/sh\n[ \"$CARGO_BUILD_TARGET\" = {target} ] && echo '{said}'\n");
        std::fs::write(folder.join("cargo"), cargo).unwrap();
        succeed(Command::new("chmod").arg("+x").arg(folder.join("cargo")));
        let mut paths = vec![folder.clone()];
        paths.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
        let mut install = Command::new("ffi/install");
        install.arg(folder.join("sam2")).current_dir(root()).env("CARGO_BUILD_TARGET", target).env_remove("CC");
        install.env("PATH", std::env::join_paths(paths).unwrap()).envs(cc.map(|cc| ("CC", cc)));
        install.output().unwrap()
    };
    let said = install(&triple, None);
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success() && text.ends_with(&format!("for {triple}\n")), "{said:?}");
    let installed = std::fs::read(folder.join("sam2/lib/libsam2.a")).unwrap();
    assert!(installed == std::fs::read(built(&triple).join("libsam2_ffi.a")).unwrap());
    let usage = folder.join("usage");
    let flags = ["-Iinclude", "ffi/usage.c", "-lsam2", "-o"];
    let mut cc = Command::new("cc");
    succeed(
        cc.args(&flags[..2])
            .arg(format!("-L{}", folder.join("sam2/lib").display()))
            .args(&flags[2..])
            .arg(&usage)
            .current_dir(root()),
    );
    works(&usage, &folder.join("sam2/lib"));
    // Another target requires CC.
    let refused = install("riscv64gc-unknown-linux-gnu", None);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("CC") && told.contains("riscv64gc"), "{told}");
    std::fs::remove_dir_all(folder).unwrap();
}

fn main() {
    let tests = vec![
        on_linux("pkg_config", there("pkg-config", "--version"), pkg_config),
        on_linux("cmake", there("cmake", "--version"), cmake),
        on_linux(
            "libdir_and_symbols",
            there("cmake", "--version") && there("objcopy", "--version"),
            libdir_and_symbols,
        ),
        on_linux("target", there("rustc", "--version"), target),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit();
}

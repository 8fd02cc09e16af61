//! An installed library is found by pkg-config and by CMake, from its tree alone.

mod common;

use common::{installed, on_linux, root, succeed, there};
use libtest_mimic::Arguments;
use std::path::Path;
use std::process::Command;

/// The program of the header, which finds its library where it was told.
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
        succeed(Command::new("pkg-config").args(args).arg("sam2").env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")))
    };
    assert_eq!(pkg(&["--modversion"]).trim(), env!("CARGO_PKG_VERSION"));
    let source = root().join("ffi/usage.c");
    // Shared, then static.
    for (name, flags) in
        [("shared", pkg(&["--cflags", "--libs"])), ("static", pkg(&["--cflags", "--libs", "--static"]))]
    {
        let program = folder.join(name);
        let flags = if name == "static" { flags.replace("-lsam2", "-l:libsam2.a") } else { flags };
        succeed(Command::new("cc").arg(&source).arg("-o").arg(&program).args(flags.split_whitespace()));
        works(&program, &if name == "static" { folder.clone() } else { prefix.join("lib") });
    }
    std::fs::remove_dir_all(folder).unwrap();
}

fn cmake() {
    let folder = installed("cmake");
    let lists = "cmake_minimum_required(VERSION 3.13)\nproject(user C CXX)\nfind_package(sam2 0.1 REQUIRED)\n\
                 add_executable(usage usage.c)\ntarget_link_libraries(usage sam2::sam2)\n\
                 add_executable(other everything.cpp)\ntarget_compile_features(other PRIVATE cxx_std_17)\n\
                 target_link_libraries(other sam2::sam2)\n";
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
    std::fs::remove_dir_all(folder).unwrap();
}

fn main() {
    let tests = vec![
        on_linux("pkg_config", there("pkg-config", "--version"), pkg_config),
        on_linux("cmake", there("cmake", "--version"), cmake),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit();
}

//! The headers compile without warnings in every standard of C and C++ that they support, each header by itself.

mod common;

use common::{root, succeed};
use std::path::PathBuf;
use std::process::Command;

const WARNINGS: [&str; 6] = ["-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Wshadow", "-Werror"];

/// Compiles a text as a program of its own.
fn compiles(compiler: (&str, &str), language: &str, flags: &[&str], text: &str) {
    let source = common::folder(&format!("standards-{language}")).join("source");
    std::fs::write(&source, text).unwrap();
    let (variable, usual) = compiler;
    let mut command = Command::new(std::env::var(variable).unwrap_or(usual.into()));
    command.args(WARNINGS).args(flags).args(["-fsyntax-only", "-x", language, "-Iinclude", "-Ibindings/cpp/include"]);
    succeed(command.arg(&source).current_dir(root()));
    std::fs::remove_dir_all(source.parent().unwrap()).unwrap();
}

/// The parts of the C++ header, as programs include them.
fn parts() -> Vec<String> {
    let folder: PathBuf = root().join("bindings/cpp/include");
    let files = std::fs::read_dir(folder.join("sam2")).unwrap();
    let mut all: Vec<String> = files.map(|f| format!("sam2/{}", f.unwrap().file_name().display())).collect();
    all.push("sam2.hpp".into());
    all
}

#[test]
fn c() {
    let text = "#include <sam2.h>\n\
        int f(void);\n\
        int f(void) {\n\
            sam2_image i = SAM2_IMAGE_INIT;\n\
            sam2_automatic_mask_generator_options o = SAM2_AUTOMATIC_MASK_GENERATOR_OPTIONS_INIT;\n\
            return (int)i.width + (int)o.points_per_side;\n\
        }\n";
    for standard in ["-std=c99", "-std=c11", "-std=c17", "-std=c2x"] {
        compiles(("CC", "cc"), "c", &[standard], text);
    }
}

#[test]
fn cpp() {
    let forms: [&[&str]; 3] = [&[], &["-DSAM2_CPP_EXCEPTIONS"], &["-fno-exceptions", "-fno-rtti"]];
    for form in forms {
        for standard in ["-std=c++17", "-std=c++20", "-std=c++2b"] {
            compiles(("CXX", "c++"), "c++", &[form, &[standard]].concat(), "#include <sam2.hpp>\n");
        }
    }
    for part in parts() {
        compiles(("CXX", "c++"), "c++", &["-std=c++17"], &format!("#include <{part}>\n"));
    }
}

/// `sam2.hpp` has all parts.
#[test]
fn the_header_has_its_parts() {
    let folder = root().join("bindings/cpp/include");
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let all: String = parts().iter().map(|part| text(part)).collect();
    for part in parts().iter().filter(|part| *part != "sam2.hpp") {
        assert!(all.contains(&format!("#include <{part}>")), "{part}");
    }
}

//! C programs against the library: the one that the header opens with, and one that does everything wrong.

mod common;

use common::*;
use std::path::Path;
use std::process::Command;

/// The program of the header makes the mask that Rust makes.
#[test]
fn the_program_of_the_header() {
    let png = std::env::temp_dir().join(format!("sam2-c-{}.png", std::process::id()));
    let picture = "demo/pictures/astronaut.png";
    let said = run(C, "ffi/usage.c", &["demo", picture, "77", "400", png.to_str().unwrap()]);
    let got = engine::picture::read(&png).unwrap();
    std::fs::remove_file(&png).unwrap();

    let model = engine::load(root().join("demo"), &Default::default()).unwrap();
    let mut predictor = model.image_predictor(Default::default()).unwrap();
    predictor.set_image(&engine::picture::read(root().join(picture)).unwrap().frame().unwrap()).unwrap();
    let options = engine::PredictOptions { multimask_output: false, ..Default::default() };
    let want = predictor.predict(&[engine::Prompt::new().point(77.0, 400.0, 1)], options).unwrap();
    assert_eq!(said.trim(), format!("{:.6}", want.iou_predictions[0]));
    let engine::Masks::Binary(mask) = want.masks else { panic!() };
    assert!(mask.contains(&1) && mask.iter().zip(&got.pixels).all(|(&m, &p)| (m == 1) == (p == 255)));
}

#[test]
fn everything_wrong_and_then_right() {
    for compiler in [C, C_SANITIZED] {
        let said = run(compiler, "ffi/tests/abi.c", &["demo", "demo/samples/video1/frames"]);
        let checks: usize = said.trim().trim_end_matches(" checks").parse().unwrap();
        assert!(checks > 300, "{said}");
    }
}

/// What the library exports is what the header declares, and all of it is called by the tests.
#[test]
#[cfg(target_os = "linux")]
fn the_symbols() {
    let header = std::fs::read_to_string(root().join("include/sam2.h")).unwrap();
    let code: String = header.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let code = &code[code.find("#ifndef SAM2_H").unwrap()..];
    let words = |text: &str| -> Vec<String> {
        let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let called = text.match_indices('(').map(|(at, _)| text[..at].rsplit(|c| !name(c)).next().unwrap().to_string());
        let mut all: Vec<String> = called.filter(|w| w.starts_with("sam2_")).collect();
        all.sort();
        all.dedup();
        all
    };
    let declared = words(code);
    let nm = Command::new("nm").args(["-D", "--defined-only"]).arg(library().join("libsam2.so")).output().unwrap();
    let nm = String::from_utf8(nm.stdout).unwrap();
    let mut exported: Vec<String> = nm.lines().filter_map(|l| l.split_whitespace().nth(2).map(String::from)).collect();
    exported.sort();
    assert_eq!(exported, declared);
    let tests = ["usage.c", "tests/abi.c"]
        .map(|f| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(f)).unwrap());
    let called = words(&tests.concat());
    let missing: Vec<&String> = declared.iter().filter(|name| !called.contains(name)).collect();
    assert!(missing.is_empty(), "not called: {missing:?}");
}

/// Predictors come and go, and one makes many masks, in memory that does not grow. `SAM2_CYCLES=1000` and
/// `SAM2_PREDICTIONS=10000` are the long form.
#[test]
#[cfg(target_os = "linux")]
fn memory_does_not_grow() {
    let number = |name: &str, short: &str| std::env::var(name).unwrap_or(short.into());
    let (cycles, predictions) = (number("SAM2_CYCLES", "60"), number("SAM2_PREDICTIONS", "600"));
    let said = run(C, "ffi/tests/endurance.c", &["demo", &cycles, &predictions]);
    let grown: i64 = said.trim().parse().unwrap();
    assert!(grown < 1 << 20, "{grown} bytes");
}

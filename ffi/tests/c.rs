//! C programs against the library: the one that the header opens with, and one that does everything wrong.

mod common;

use common::*;
use std::path::Path;

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

/// All that the header declares is called by the tests.
#[test]
fn every_function_is_called() {
    let tests = ["usage.c", "tests/abi.c"]
        .map(|f| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(f)).unwrap());
    let called = |f: &header::Function| tests.iter().any(|text| text.contains(&format!("{}(", f.name)));
    let missing: Vec<String> = header::functions().into_iter().filter(|f| !called(f)).map(|f| f.name).collect();
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

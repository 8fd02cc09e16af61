//! Runs the tests of the Go package with the race detector, and compares its results with Rust.

mod common;

use common::*;
use engine::{Masks, PredictOptions, Prompt};
use libtest_mimic::Arguments;

fn go_test() -> String {
    let library = library();
    let include = root().join("include").canonicalize().unwrap();
    let description = format!(
        "Name: sam2\nDescription: the library of the tests\nVersion: 0\nLibs: -L{0} -Wl,-rpath,{0} -lsam2\nCflags: -I{1}\n",
        library.display(),
        include.display()
    );
    std::fs::write(library.join("sam2.pc"), description).unwrap();
    let out = go(library)
        .args(["test", "-race", "-count=1", "-v", "./..."])
        .current_dir(root().join("bindings/go"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{said}{}", String::from_utf8_lossy(&out.stderr));
    said
}

fn hash(mut h: u64, bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.for_each(|b| h = (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    h
}

/// Hashes masks of 0 and 255, then the predicted IoUs.
fn bits(picture: &str, prompt: Prompt<'_>, multimask_output: bool) -> String {
    let model = engine::load(root().join("demo"), &Default::default()).unwrap();
    let mut p = model.image_predictor(Default::default()).unwrap();
    let picture = engine::picture::read(root().join("demo").join(picture)).unwrap();
    p.set_image(&picture.frame().unwrap()).unwrap();
    let found = p.predict(&[prompt], PredictOptions { multimask_output, ..Default::default() }).unwrap();
    let Masks::Binary(masks) = found.masks else { panic!() };
    let h = hash(0xcbf2_9ce4_8422_2325, masks.iter().map(|&v| v * 255));
    let h = hash(h, found.iou_predictions.iter().flat_map(|v| v.to_le_bytes()));
    format!("BITS {} {h:016x}", found.masks_per_prompt)
}

fn rusts_bits() {
    let said = go_test();
    let got: Vec<&str> = said.lines().filter(|l| l.starts_with("BITS")).collect();
    let (png, jpeg) = ("pictures/astronaut.png", "samples/video1/frames/00000.jpg");
    let want = [
        bits(png, Prompt::new().point(77.0, 400.0, 1), true),
        bits(png, Prompt::new().bounds([20.0, 160.0, 365.0, 511.0]), false),
        bits(jpeg, Prompt::new().point(208.0, 249.0, 1), false),
    ];
    assert_eq!(got, want);
}

fn main() {
    let tests = vec![trial("rusts_bits", there("go", "version") && there("pkg-config", "--version"), rusts_bits)];
    libtest_mimic::run(&Arguments::from_args(), tests).exit();
}

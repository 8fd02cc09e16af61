//! Runs the tests of the Python package, and compares its results with Rust.

mod common;
#[path = "../../tests/common/guides.rs"]
mod guides;

use common::*;
use engine::{Direction, Frames, Masks, PredictOptions, Prediction, Prompt};
use libtest_mimic::Arguments;
use std::path::PathBuf;
use std::process::Command;

/// Finds a Python with numpy: `SAM2_PYTHON`, the active virtual environment, or `python3`.
fn interpreter() -> Option<PathBuf> {
    let told = std::env::var_os("SAM2_PYTHON").map(PathBuf::from);
    let active = std::env::var_os("VIRTUAL_ENV").map(|path| PathBuf::from(path).join("bin/python3"));
    let has_numpy = |python: &PathBuf| {
        let out = Command::new(python).args(["-c", "import numpy"]).output();
        out.is_ok_and(|out| out.status.success())
    };
    [told, active, Some("python3".into())].into_iter().flatten().find(has_numpy)
}

/// Runs the tests of the package and returns their output. Prints the names of skipped tests.
fn python_tests() -> String {
    let library = library();
    let folder = root().join("bindings/python").canonicalize().unwrap();
    let name = if cfg!(target_os = "macos") { "libsam2.dylib" } else { "libsam2.so" };
    let out = Command::new(interpreter().expect("a Python with numpy"))
        .args(["-B", "-m", "unittest", "discover", "-v", "-s", "tests"])
        .current_dir(&folder)
        .env("PYTHONPATH", &folder)
        .env("SAM2_LIBRARY", library.join(name))
        .output()
        .unwrap();
    let (said, told) = (String::from_utf8_lossy(&out.stdout).into_owned(), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{said}{told}");
    told.lines().filter(|line| line.contains("skipped")).for_each(|line| println!("{line}"));
    said
}

/// Runs the blocks of the guide as one program.
fn the_program_of_the_guide() {
    let package = root().join("bindings/python").canonicalize().unwrap();
    let name = if cfg!(target_os = "macos") { "libsam2.dylib" } else { "libsam2.so" };
    let program = guides::of(&root(), "docs/python.md", "python").concat();
    let mut python = Command::new(interpreter().expect("a Python with numpy"));
    python.args(["-B", "-c", &program]).current_dir(root());
    let said = succeed(python.env("PYTHONPATH", package).env("SAM2_LIBRARY", library().join(name)));
    assert!(said.lines().count() > 24, "{said}");
}

/// A hash in the output of the tests.
struct Bits(u64);

impl Bits {
    fn new() -> Bits {
        Bits(0xcbf2_9ce4_8422_2325)
    }

    fn of<T>(self, values: &[T]) -> Bits {
        // SAFETY: numbers have no padding.
        let bytes = unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) };
        Bits(bytes.iter().fold(self.0, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)))
    }

    fn line(self, name: &str) -> String {
        format!("BITS {name} {:016x}", self.0)
    }
}

fn picture(name: &str, found: Prediction) -> String {
    let Masks::Binary(masks) = &found.masks else { panic!() };
    Bits::new().of(masks).of(&found.iou_predictions).of(&found.low_res_masks).line(name)
}

fn pictures() -> Vec<String> {
    let model = engine::load(root().join("demo"), &Default::default()).unwrap();
    let mut p = model.image_predictor(Default::default()).unwrap();
    let astronaut = engine::picture::read(root().join("demo/pictures/astronaut.png")).unwrap();
    p.set_image(&astronaut.frame().unwrap()).unwrap();
    let options = |multimask_output| PredictOptions { multimask_output, ..Default::default() };
    let click = Prompt::new().point(77.0, 400.0, 1);
    let found = p.predict(std::slice::from_ref(&click), options(true)).unwrap();
    let first = found.low_res_masks[..64 * 64].to_vec();
    let boxed = p.predict(&[Prompt::new().bounds([20.0, 160.0, 365.0, 511.0])], options(false)).unwrap();
    let again = p.predict(&[click.mask_input(&first)], options(true)).unwrap();
    vec![picture("click", found), picture("box", boxed), picture("again", again)]
}

/// Hashes the masks and scores of a propagation from frame `at`.
fn track(at: usize, count: Option<usize>, direction: Direction) -> (Bits, Bits) {
    let model = engine::load(root().join("demo"), &Default::default()).unwrap();
    let frames = Frames::open(root().join("demo/samples/video1/frames")).unwrap();
    let mut video = model.video_predictor(frames, Default::default()).unwrap();
    video.add_new_points_or_box(at, 1, &Prompt::new().point(208.0, 249.0, 1), Default::default()).unwrap();
    video
        .add_new_points_or_box(at, 7, &Prompt::new().bounds([346.0, 175.0, 428.0, 266.0]), Default::default())
        .unwrap();
    let mut bits = (Bits::new(), Bits::new());
    let each = |found: engine::FrameMasks| {
        bits = (Bits(bits.0.0).of(&found.masks), Bits(bits.1.0).of(&found.object_score_logits));
        true
    };
    video.propagate_in_video(None, count, direction, each).unwrap();
    bits
}

fn rusts_bits() {
    let said = python_tests();
    let mut got: Vec<&str> = said.lines().filter(|line| line.starts_with("BITS")).collect();
    let (backwards, scores) = track(3, None, Direction::Backward);
    let mut want = pictures();
    want.push(track(0, Some(3), Direction::Forward).0.line("forwards"));
    want.extend([backwards.line("backwards"), scores.line("scores")]);
    got.sort();
    want.sort();
    assert_eq!(got, want);
}

fn main() {
    let able = interpreter().is_some();
    let tests =
        vec![trial("rusts_bits", able, rusts_bits), trial("the_program_of_the_guide", able, the_program_of_the_guide)];
    libtest_mimic::run(&Arguments::from_args(), tests).exit();
}

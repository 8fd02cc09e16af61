//! C programs that use the library: the example of the header, and tests of every function.

mod common;

use common::*;
use std::path::Path;

/// The example of the header computes the same mask and tracks it in the same way as Rust.
#[test]
fn the_program_of_the_header() {
    let png = std::env::temp_dir().join(format!("sam2-c-{}.png", std::process::id()));
    let (picture, frames) = ("demo/samples/video1/frames/00000.jpg", "demo/samples/video1/frames");
    let said = run(C, "ffi/usage.c", &["demo", picture, frames, "208", "249", png.to_str().unwrap()]);
    let got = engine::picture::read(&png).unwrap();
    std::fs::remove_file(&png).unwrap();
    assert!(std::fs::read_to_string(root().join("ffi/usage.c")).unwrap().lines().count() < 55);

    let model = engine::load(root().join("demo"), &Default::default()).unwrap();
    let mut predictor = model.image_predictor(Default::default()).unwrap();
    predictor.set_image(&engine::picture::read(root().join(picture)).unwrap().frame().unwrap()).unwrap();
    let options = engine::PredictOptions { multimask_output: false, ..Default::default() };
    let click = engine::Prompt::new().point(208.0, 249.0, 1);
    let found = predictor.predict(&[click.clone()], options).unwrap();
    let engine::Masks::Binary(mask) = found.masks else { panic!() };
    assert!(mask.contains(&1) && mask.iter().zip(&got.pixels).all(|(&m, &p)| (m == 1) == (p == 255)));
    let mut want = format!("predicted IoU {:.6}\n", found.iou_predictions[0]);
    let frames = engine::Frames::open(root().join(frames)).unwrap();
    let mut video = model.video_predictor(frames, Default::default()).unwrap();
    video.add_new_points_or_box(0, 1, &click, Default::default()).unwrap();
    let each = |found: engine::FrameMasks| {
        want += &format!("frame {}: {} pixels\n", found.frame_idx, found.areas[0]);
        true
    };
    video.propagate_in_video(None, None, engine::Direction::Forward, each).unwrap();
    assert_eq!(said, want);
}

#[test]
fn everything_wrong_and_then_right() {
    for compiler in [C, C_SANITIZED] {
        let said = run(compiler, "ffi/tests/abi.c", &["demo", "demo/samples/video1/frames"]);
        let checks: usize = said.trim().trim_end_matches(" checks").parse().unwrap();
        assert!(checks > 500, "{said}");
    }
}

#[test]
fn everything_in_every_form() {
    let png = std::env::temp_dir().join(format!("sam2-forms-{}.png", std::process::id()));
    for compiler in [C, C_SANITIZED] {
        run(compiler, "ffi/tests/forms.c", &["demo", png.to_str().unwrap()]);
        run(compiler, "ffi/tests/streams.c", &["demo", "demo/samples/video1/frames"]);
    }
    std::fs::remove_file(&png).unwrap();
}

#[test]
fn everything_in_a_picture() {
    for compiler in [C, C_SANITIZED] {
        run(compiler, "ffi/tests/automatic.c", &["demo"]);
    }
}

/// A camera with NV12 pictures, whose objects come and go.
#[test]
fn a_camera() {
    for compiler in [C, C_SANITIZED] {
        run(compiler, "ffi/tests/camera.c", &["demo", "demo/samples/video1/frames"]);
    }
}

/// Rare arguments, and mistakes that programs make.
#[test]
fn unusual_calls() {
    for (name, compiler) in [("unusual", C), ("unusual-sanitized", C_SANITIZED)] {
        let folder = folder(name);
        run(compiler, "ffi/tests/unusual.c", &["demo", "demo/samples/video1/frames", folder.to_str().unwrap()]);
        std::fs::remove_dir_all(folder).unwrap();
    }
}

/// Calls and jobs that are cancelled, that have no time, or whose predictor is destroyed.
#[test]
fn calls_that_are_ended() {
    for compiler in [C, C_SANITIZED] {
        run(compiler, "ffi/tests/stopping.c", &[]);
    }
}

/// Signal handlers run on the threads of the host.
#[test]
#[cfg(target_os = "linux")]
fn signals_are_the_hosts() {
    run(C, "ffi/tests/signals.c", &[]);
}

/// Freed callbacks, predictors that are destroyed while they are in use, and `fork()`.
#[test]
fn careless_hosts() {
    run(C, "ffi/tests/hardening.c", &["demo", "demo/samples/video1/frames"]);
}

/// Paths that are not UTF-8, in every function that takes one.
#[test]
#[cfg(target_os = "linux")]
fn paths_are_any_bytes() {
    let folder = folder("paths");
    let absolute = |path: &str| root().join(path).canonicalize().unwrap().display().to_string();
    let (model, frames) = (absolute("demo"), absolute("demo/samples/video1/frames"));
    run(
        C,
        "ffi/tests/paths.c",
        &[&model, &frames, &absolute("configs/sam2.1/sam2.1_hiera_demo.yaml"), folder.to_str().unwrap()],
    );
    std::fs::remove_dir_all(folder).unwrap();
}

/// Calls need no more stack than the header states. Unoptimized code needs more.
#[test]
#[cfg(all(target_os = "linux", not(debug_assertions)))]
fn a_small_stack_is_enough() {
    let folder = folder("stack");
    let header = format!(
        r#"{{"a": {{"dtype": "F32", "shape": [1], "data_offsets": [0, 4], "more": {}{}}}}}"#,
        "[".repeat(120),
        "]".repeat(120)
    );
    let model = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat();
    let (deep_model, deep_configuration) = (folder.join("deep.safetensors"), folder.join("deep.yaml"));
    std::fs::write(&deep_model, model).unwrap();
    let levels: String = (0..250).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
    std::fs::write(&deep_configuration, levels).unwrap();
    let args = [
        "demo",
        "configs/sam2.1/sam2.1_hiera_demo.yaml",
        "demo/pictures/rocket.jpg",
        "tests/data/golden/pictures/deflate.tif",
        "demo/samples/video1/frames",
        deep_model.to_str().unwrap(),
        deep_configuration.to_str().unwrap(),
    ];
    run(C, "ffi/tests/stack.c", &args);
    std::fs::remove_dir_all(folder).unwrap();
}

/// Any allocation may fail. `SAM2_ALLOCATIONS=1` is the long form, which fails each of them.
#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn every_allocation_may_fail() {
    let step = std::env::var("SAM2_ALLOCATIONS").unwrap_or("5".into());
    let frames = folder("names");
    let frame = root().join("demo/samples/video1/frames/00000.jpg");
    (0..3000).for_each(|i| std::os::unix::fs::symlink(&frame, frames.join(format!("{i}.jpg"))).unwrap());
    let args =
        ["demo", "demo/pictures/rocket.jpg", "tests/data/golden/pictures/one.pbm", frames.to_str().unwrap(), &step];
    println!("{}", run(C, "ffi/tests/out_of_memory.c", &args));
    std::fs::remove_dir_all(frames).unwrap();
}

/// The tests call every function of the header.
#[test]
fn every_function_is_called() {
    let tests = ["usage.c", "tests/abi.c", "tests/forms.c", "tests/streams.c", "tests/automatic.c", "tests/stopping.c"]
        .map(|f| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(f)).unwrap());
    let called = |f: &header::Function| tests.iter().any(|text| text.contains(&format!("{}(", f.name)));
    let missing: Vec<String> = header::functions().into_iter().filter(|f| !called(f)).map(|f| f.name).collect();
    assert!(missing.is_empty(), "not called: {missing:?}");
}

/// Memory does not grow with the number of predictors and masks. `SAM2_CYCLES=1000` and `SAM2_PREDICTIONS=10000` are
/// the long form.
#[test]
#[cfg(target_os = "linux")]
fn memory_does_not_grow() {
    let number = |name: &str, short: &str| std::env::var(name).unwrap_or(short.into());
    let (cycles, predictions) = (number("SAM2_CYCLES", "60"), number("SAM2_PREDICTIONS", "600"));
    let said = run(C, "ffi/tests/endurance.c", &["demo", &cycles, &predictions]);
    let grown: i64 = said.trim().parse().unwrap();
    assert!(grown < 1 << 20, "{grown} bytes");
}

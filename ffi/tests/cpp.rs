//! Tests of the C++ headers in all forms: equal results to Rust, jobs, masks in memory of the caller, models, exceptions of
//! callbacks, access to failed results, and linking of different forms.

mod common;

use common::*;
use engine::{Direction, Frames, Masks, Prompt};
use std::process::Command;

const RESULTS: Compiler = ("CXX", "c++", &["-std=c++17", "-fno-exceptions", "-fno-rtti"]);
const RESULTS_UNWIND: Compiler = ("CXX", "c++", &["-std=c++17"]);
const EXCEPTIONS: Compiler = ("CXX", "c++", &["-std=c++17", "-DSAM2_CPP_EXCEPTIONS"]);

/// The forms with exceptions in the compiler, which stop at the first leak, access out of bounds or undefined behavior.
const SANITIZED: [Compiler; 2] = [
    ("CXX", "c++", &["-std=c++17", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]),
    (
        "CXX",
        "c++",
        &["-std=c++17", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-DSAM2_CPP_EXCEPTIONS"],
    ),
];

fn show<T>(what: &str, values: &[T]) -> String {
    // SAFETY: numbers have no padding.
    let bytes = unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) };
    let hash = |h: u64, &b: &u8| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3);
    format!("{what} {} {:016x}\n", values.len(), bytes.iter().fold(0xcbf2_9ce4_8422_2325, hash))
}

#[test]
fn both_forms_make_rusts_bits() {
    let (picture, frames) = ("demo/pictures/astronaut.png", "demo/samples/video1/frames");
    let model = engine::load(root().join("demo"), &Default::default()).unwrap();
    let mut predictor = model.image_predictor(Default::default()).unwrap();
    predictor.set_image(&engine::picture::read(root().join(picture)).unwrap().frame().unwrap()).unwrap();
    let prompts = [Prompt::new().point(77.0, 400.0, 1), Prompt::new().bounds([20.0, 160.0, 365.0, 511.0])];
    let found = predictor.predict(&prompts, Default::default()).unwrap();
    let Masks::Binary(masks) = found.masks else { panic!() };
    let mut want =
        show("masks", &masks) + &show("iou", &found.iou_predictions) + &show("low_res", &found.low_res_masks);
    let mut video = model.video_predictor(Frames::open(root().join(frames)).unwrap(), Default::default()).unwrap();
    video.add_new_points_or_box(0, 1, &Prompt::new().point(208.0, 249.0, 1), Default::default()).unwrap();
    let mut last = Vec::new();
    let each = |masks: engine::FrameMasks| {
        last = masks.masks;
        true
    };
    video.propagate_in_video(None, Some(3), Direction::Forward, each).unwrap();
    let video = show("video", &last);
    want += &format!("frames 4\n{video}{video}objects 1\nstatus 4 number 2\n");
    for compiler in [RESULTS, EXCEPTIONS] {
        assert_eq!(
            run(compiler, "bindings/cpp/tests/everything.cpp", &["demo", picture, frames]),
            want,
            "{compiler:?}"
        );
    }
}

/// Jobs have the results of the calls, and own them. Their objects are destroyed in any order.
#[test]
fn jobs() {
    for compiler in SANITIZED {
        run(
            compiler,
            "bindings/cpp/tests/jobs.cpp",
            &["demo", "demo/pictures/astronaut.png", "demo/samples/video1/frames"],
        );
    }
}

/// Masks in memory of the caller, in every format.
#[test]
fn masks_of_the_caller() {
    let png = std::env::temp_dir().join(format!("sam2-cpp-{}.png", std::process::id()));
    for compiler in SANITIZED {
        let frame = "demo/samples/video1/frames/00000.jpg";
        let arguments = ["demo", "demo/pictures/astronaut.png", frame, png.to_str().unwrap()];
        run(compiler, "bindings/cpp/tests/masks.cpp", &arguments);
    }
    std::fs::remove_file(png).unwrap();
}

/// Models from memory and from open files, features, log messages, and several threads.
#[test]
fn models() {
    for compiler in SANITIZED {
        run(compiler, "bindings/cpp/tests/models.cpp", &["demo", "demo/pictures/astronaut.png"]);
    }
}

/// Exceptions of callbacks are rethrown to the caller in both forms, and do not unwind the library.
#[test]
fn what_callbacks_throw() {
    let arguments = ["demo", "demo/samples/video1/frames/00000.jpg", "demo/samples/video1/frames"];
    for compiler in [RESULTS_UNWIND, EXCEPTIONS] {
        run(compiler, "bindings/cpp/tests/callbacks.cpp", &arguments);
    }
}

/// Accessing the value of a failed result reports the failure.
#[test]
fn results_say_that_they_failed() {
    for compiler in [RESULTS, RESULTS_UNWIND] {
        let program = compile(compiler, "bindings/cpp/tests/results.cpp");
        succeed(Command::new(&program).arg("demo").current_dir(root()));
        for which in ["star", "arrow", "value", "void", "error"] {
            let out = Command::new(&program).args(["demo", which]).current_dir(root()).output().unwrap();
            let (told, ended) = (String::from_utf8_lossy(&out.stderr), out.status.to_string());
            let says = if which == "error" { "the error of a sam2::result" } else { "/nowhere: No such file" };
            assert!(told.contains(says) && ended.contains("SIGABRT"), "{which}: {ended} {told}");
        }
    }
}

/// Links objects of different forms without inlining, in both orders.
#[test]
fn forms_are_linked_together() {
    let halves = ["forms_exceptions", "forms_results"].map(|name| format!("bindings/cpp/tests/{name}.cpp"));
    let program = folder("forms").join("program");
    for sources in [[&halves[0], &halves[1]], [&halves[1], &halves[0]]] {
        let mut command = Command::new(std::env::var("CXX").unwrap_or("c++".into()));
        command
            .args(["-std=c++17", "-O0", "-Iinclude", "-Ibindings/cpp/include"])
            .args(sources)
            .arg("-o")
            .arg(&program);
        command.arg(format!("-L{0}", library().display())).arg("-lsam2");
        succeed(command.arg(format!("-Wl,-rpath,{}", library().display())).current_dir(root()));
        assert_eq!(succeed(Command::new(&program).arg("demo").current_dir(root())), "256\n256\n4\n1\nthrown 4\n");
    }
    std::fs::remove_dir_all(program.parent().unwrap()).unwrap();
}

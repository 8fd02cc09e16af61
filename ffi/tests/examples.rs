//! Builds every example from an installed tree, and compares its results with Rust.

mod common;

use common::{installed, on_linux, root, succeed, there};
use engine::{Direction, FrameMasks, Frames, Prompt};
use libtest_mimic::Arguments;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const FRAMES: &str = "demo/samples/video1/frames";
static TREE: OnceLock<PathBuf> = OnceLock::new();

fn tree() -> &'static Path {
    TREE.get_or_init(|| installed("examples"))
}

fn example(name: &str) -> PathBuf {
    root().join("bindings/examples").canonicalize().unwrap().join(name)
}

/// Gets flags of pkg-config.
fn pkg_config(which: &str) -> Vec<String> {
    let path = tree().join("sam2/lib/pkgconfig");
    let said = succeed(Command::new("pkg-config").args([which, "sam2"]).env("PKG_CONFIG_PATH", path));
    said.split_whitespace().map(String::from).collect()
}

/// Compiles a program as the READMEs of the examples state, with more warnings.
fn compiled(compiler: &str, name: &str, args: &[&str]) -> PathBuf {
    let program = tree().join(name);
    let mut command = Command::new(compiler);
    command.args(["-O2", "-Wall", "-Wextra", "-Werror"]).args(args).arg("-o").arg(&program);
    succeed(command.args(pkg_config("--cflags")).args(pkg_config("--libs")).current_dir(example("")));
    program
}

/// Builds a folder of programs with CMake.
fn built(name: &str, test: &str) -> PathBuf {
    let build = tree().join(test);
    let prefix = format!("-DCMAKE_PREFIX_PATH={}", tree().join("sam2").display());
    succeed(Command::new("cmake").arg("-S").arg(example(name)).arg("-B").arg(&build).arg(prefix));
    succeed(Command::new("cmake").arg("--build").arg(&build));
    build
}

fn go(name: &str) -> PathBuf {
    let program = tree().join(name);
    let mut command = Command::new("go");
    command.arg("build").arg("-o").arg(&program).arg(".").current_dir(example(name));
    succeed(command.env("PKG_CONFIG_PATH", tree().join("sam2/lib/pkgconfig")));
    program
}

/// Prepares a program to run in the root folder with the installed library.
fn program(path: impl AsRef<Path>) -> Command {
    let mut command = Command::new(path.as_ref());
    command.current_dir(root()).env("LD_LIBRARY_PATH", tree().join("sam2/lib"));
    command
}

/// Tracks the object at (208, 249) of the first frame in Rust.
fn tracked(count: usize) -> Vec<FrameMasks> {
    let model = engine::load(root().join("demo"), &Default::default()).unwrap();
    let mut video = model.video_predictor(Frames::open(root().join(FRAMES)).unwrap(), Default::default()).unwrap();
    video.add_new_points_or_box(0, 1, &Prompt::new().point(208.0, 249.0, 1), Default::default()).unwrap();
    let mut all = Vec::new();
    let each = |found| {
        all.push(found);
        true
    };
    video.propagate_in_video(None, Some(count - 1), Direction::Forward, each).unwrap();
    all
}

/// Predicts the mask of a prompt in Rust, 255 on the object.
fn mask(picture: &str, prompt: impl Fn(usize, usize) -> Prompt<'static>) -> Vec<u8> {
    let model = engine::load(root().join("demo"), &Default::default()).unwrap();
    let mut p = model.image_predictor(Default::default()).unwrap();
    let picture = engine::picture::read(root().join(picture)).unwrap();
    p.set_image(&picture.frame().unwrap()).unwrap();
    let options = engine::PredictOptions { multimask_output: false, ..Default::default() };
    let found = p.predict(&[prompt(picture.width, picture.height)], options).unwrap();
    let engine::Masks::Binary(masks) = found.masks else { panic!() };
    masks.iter().map(|v| v * 255).collect()
}

fn pixels(path: impl AsRef<Path>) -> Vec<u8> {
    engine::picture::read(path.as_ref()).unwrap().pixels
}

/// The usage examples print the same as the example of the header, and write the same mask.
fn as_in_the_header(other: PathBuf) {
    let source = root().join("ffi/usage.c").canonicalize().unwrap();
    let c = compiled("cc", &format!("{}-in-c", other.file_name().unwrap().display()), &[source.to_str().unwrap()]);
    let said = [c, other].map(|path| {
        let (png, picture) = (path.with_extension("png"), "demo/pictures/astronaut.png");
        let said = succeed(program(&path).args(["demo", picture, FRAMES, "77", "400"]).arg(&png));
        (said, pixels(png))
    });
    assert!(said[0] == said[1], "{} {}", said[0].0, said[1].0);
    assert_eq!(said[0].0.lines().count(), 25);
}

fn usage_cpp() {
    as_in_the_header(compiled("c++", "usage-cpp", &["-std=c++17", "usage-cpp/usage.cpp"]));
}

fn usage_go() {
    as_in_the_header(go("usage-go"));
}

fn latency() {
    let latency = compiled("cc", "latency", &["latency-c/latency.c"]);
    let args = ["demo", FRAMES, "--frames", "20", "--objects", "3", "--device", "cpu", "--threads", "1"];
    let said: serde_json::Value = serde_json::from_str(&succeed(program(&latency).args(args))).unwrap();
    assert_eq!((&said["frames"], &said["objects"], &said["device"]), (&20.into(), &3.into(), &"CPU".into()));
    for what in ["frame", "set_image_and_click"] {
        let ms = ["p50_ms", "p95_ms", "p99_ms", "max_ms"].map(|p| said[what][p].as_f64().unwrap());
        assert!(ms[0] > 0.0 && ms.is_sorted() && ms[2] == ms[3], "{said}");
    }
    assert_eq!(said["steady_state"]["bytes_grown"], 0);
    assert_eq!(program(&latency).args(["demo", FRAMES, "--frames", "0"]).status().unwrap().code(), Some(2));
}

fn ros() {
    let node = compiled("c++", "node", &["-std=c++17", "-Iros2-node/stub", "ros2-node/stub/test.cpp"]);
    let said = succeed(program(node).arg("demo").env("FRAMES", FRAMES));
    let lines: Vec<&str> = said.lines().collect();
    let found = tracked(2);
    let want = |i: usize| {
        let ([left, top, right, bottom], area) = (found[i].boxes[0], found[i].areas[0]);
        let region = format!("region {left} {top} {}x{}", right - left + 1, bottom - top + 1);
        [format!("mask {i}.5 camera 480x360 mono8 {area}"), region]
    };
    assert_eq!(lines[..4], [want(0), want(1)].concat());
    let (colours, grays) = (&lines[4..4 + 5 * 3], &lines[4 + 5 * 3..4 + 12 * 3]);
    assert!(colours.chunks(3).all(|c| c[1..] == want(0)), "{said}");
    assert!(grays.chunks(3).all(|c| c[1..] == grays[1..3] && c[1..] != want(0)), "{said}");
    assert_eq!(lines[4 + 12 * 3..], ["wrong", "3000000005"]);
}

/// The installed node, with stand-ins for ROS, finds its library.
fn ros_installed() {
    let (build, prefix) = (tree().join("ros-build"), tree().join("ros"));
    let stub = example("ros2-node/stub/cmake");
    let paths = format!("-DCMAKE_PREFIX_PATH={};{}", tree().join("sam2").display(), stub.display());
    let to = format!("-DCMAKE_INSTALL_PREFIX={}", prefix.display());
    succeed(Command::new("cmake").arg("-S").arg(example("ros2-node")).arg("-B").arg(&build).args([paths, to]));
    succeed(Command::new("cmake").arg("--build").arg(&build).arg("--target").arg("install"));
    let mut node = Command::new(prefix.join("lib/sam2_ros/sam2_node"));
    assert_eq!(succeed(node.arg("demo").current_dir(root()).env_remove("LD_LIBRARY_PATH")), "spins\n");
}

/// The README of the node lists every type that it subscribes to, and not the click of RViz.
fn ros_topics() {
    let file = |name| std::fs::read_to_string(example("ros2-node").join(name)).unwrap();
    let (node, readme) = (file("node.cpp"), file("README.md"));
    assert!(node.contains("SensorDataQoS") && !node.contains("PointStamped"));
    assert!(
        readme.contains("| `click` | `geometry_msgs/Point` |")
            && readme.contains("click:=/camera/image_raw_mouse_left")
    );
}

fn camera() {
    let camera = built("camera-cpp", "camera").join("camera");
    let overlay = tree().join("overlay");
    let args = ["demo", FRAMES, "208", "249", "--frames", "4", "--overlay", overlay.to_str().unwrap()];
    let said = succeed(program(&camera).args(args));
    for ((i, line), found) in said.lines().enumerate().zip(tracked(4)) {
        let ([left, top, right, bottom], area, score) = (found.boxes[0], found.areas[0], found.object_score_logits[0]);
        let (number, rest) = line.split_once(' ').unwrap();
        let want = format!("{left} {top} {right} {bottom} {area} {score:.3}");
        assert_eq!((number, rest.split_once(' ').unwrap().1), (i.to_string().as_str(), want.as_str()));
        let ppm = std::fs::read(overlay.join(format!("{i:05}.ppm"))).unwrap();
        let header = b"P6\n480 360\n255\n";
        let frame = pixels(root().join(FRAMES).join(format!("{i:05}.jpg")));
        assert_eq!(&ppm[..header.len()], header);
        let tinted = ppm[header.len()..].chunks(3).zip(frame.chunks(3)).filter(|(a, b)| a != b).count() as u64;
        // A pixel that already has the color of the tint is unchanged.
        assert!(tinted <= area && tinted > area - 50, "{tinted} {area}");
    }
    assert_eq!(said.lines().count(), 4);
    assert_eq!(program(&camera).args(["demo", "/nowhere", "1", "1"]).status().unwrap().code(), Some(1));
    assert_eq!(program(&camera).args(["demo", FRAMES, "1"]).status().unwrap().code(), Some(2));
}

/// The same through ffmpeg, without loss except for rounded colors.
fn camera_ffmpeg() {
    let (camera, video) = (built("camera-cpp", "ffmpeg").join("camera"), tree().join("clip.mkv"));
    let frames = format!("{FRAMES}/%05d.jpg");
    let args = ["-v", "error", "-i", &frames, "-frames:v", "4", "-c:v", "ffv1", "-pix_fmt", "yuv444p"];
    succeed(Command::new("ffmpeg").args(args).arg(&video).current_dir(root()));
    let said = succeed(program(camera).arg("demo").arg(video).args(["208", "249", "--size", "480x360"]));
    for (line, found) in said.lines().zip(tracked(4)) {
        let area: f64 = line.split(' ').nth(6).unwrap().parse().unwrap();
        assert!((area / found.areas[0] as f64 - 1.0).abs() < 0.02, "{line} {}", found.areas[0]);
    }
    assert_eq!(said.lines().count(), 4);
}

fn engine_plugin() {
    let host = built("engine-plugin", "plugin").join("host");
    let said = succeed(program(&host).args(["demo", FRAMES, "6", "208", "249"]));
    for ((i, line), found) in said.lines().enumerate().zip(tracked(6)) {
        let ([left, top, right, bottom], area) = (found.boxes[0], found.areas[0]);
        let on = found.masks.iter().enumerate().filter(|(_, v)| **v > 0.0);
        let middle = on.map(|(at, _)| at as u64 / 480).sum::<u64>() / area;
        assert_eq!(line, format!("{i} 1 {left} {top} {right} {bottom} {area} {middle}"));
    }
    assert_eq!(said.lines().count(), 6);
    assert_eq!(program(&host).args(["/nowhere", FRAMES, "6", "208", "249"]).status().unwrap().code(), Some(1));
}

/// The header of the plugin compiles as C++ too, as in an Unreal module or a GDExtension.
fn engine_plugin_from_cpp() {
    let (build, host) = (built("engine-plugin", "plugin-cpp"), tree().join("host-cpp"));
    let source = tree().join("host.cpp");
    let text = "#include <tracker.h>\n#include <cstdio>\nint main(int, char **argv) {\n\
                tracker *t = tracker_open(argv[1], 64, 48, 1);\n\
                std::puts(t ? \"opened\" : tracker_error(nullptr));\nif (t) tracker_close(t);\n}\n";
    std::fs::write(&source, text).unwrap();
    let mut command = Command::new("c++");
    command.args(["-Wall", "-Wextra", "-Werror", "-I"]).arg(example("engine-plugin")).arg(&source).arg("-o").arg(&host);
    command.arg(format!("-L{}", build.display())).arg("-ltracker").arg(format!("-Wl,-rpath,{}", build.display()));
    succeed(command.arg(format!("-Wl,-rpath-link,{}", tree().join("sam2/lib").display())));
    assert_eq!(succeed(program(&host).arg("demo")), "opened\n");
    assert!(succeed(program(&host).arg("/nowhere")).contains("No such file"));
}

fn batch() {
    let (batch, out) = (go("batch-go"), tree().join("masks"));
    let pictures = tree().join("pictures");
    std::fs::create_dir(&pictures).unwrap();
    for name in ["astronaut.png", "chelsea.png"] {
        std::fs::copy(root().join("demo/pictures").join(name), pictures.join(name)).unwrap();
    }
    let mut command = program(&batch);
    command.arg("-workers").arg("3").arg("demo").arg(&pictures).arg(&out);
    assert_eq!(succeed(&mut command).lines().count(), 2);
    for name in ["astronaut.png", "chelsea.png"] {
        let centre = |w: usize, h: usize| Prompt::new().point(w as f32 / 2.0, h as f32 / 2.0, 1);
        let want = mask(&format!("demo/pictures/{name}"), centre);
        assert!(pixels(out.join(format!("{name}.png"))) == want, "{name}");
    }
    let prompts = tree().join("prompts.json");
    std::fs::write(&prompts, r#"{"astronaut.png": {"points": [[77, 400, 1]], "box": [20, 160, 365, 511]}}"#).unwrap();
    let mut command = program(&batch);
    command.arg("-prompts").arg(&prompts).arg("demo").arg(&pictures).arg(&out);
    assert_eq!(succeed(&mut command).lines().count(), 1);
    let meant = |_, _| Prompt::new().point(77.0, 400.0, 1).bounds([20.0, 160.0, 365.0, 511.0]);
    assert!(pixels(out.join("astronaut.png.png")) == mask("demo/pictures/astronaut.png", meant));
    // A file that is not an image is reported, and the others are processed.
    std::fs::write(pictures.join("broken.png"), "no").unwrap();
    let found = program(&batch).arg("demo").arg(&pictures).arg(&out).output().unwrap();
    let (said, told) = (String::from_utf8(found.stdout).unwrap(), String::from_utf8(found.stderr).unwrap());
    assert_eq!((found.status.code(), said.lines().count()), (Some(1), 2), "{told}");
    assert!(told.contains("broken.png: image: unknown format"), "{told}");
}

fn main() {
    let (cc, cmake) = (there("pkg-config", "--version"), there("cmake", "--version"));
    let (go, ffmpeg) = (cc && there("go", "version"), cmake && there("ffmpeg", "-version"));
    let tests = vec![
        on_linux("usage_cpp", cc, usage_cpp),
        on_linux("usage_go", go, usage_go),
        on_linux("latency", cc, latency),
        on_linux("ros", cc, ros),
        on_linux("ros_installed", cmake, ros_installed),
        on_linux("ros_topics", true, ros_topics),
        on_linux("camera", cmake, camera),
        on_linux("camera_ffmpeg", ffmpeg, camera_ffmpeg),
        on_linux("engine_plugin", cmake, engine_plugin),
        on_linux("engine_plugin_from_cpp", cmake, engine_plugin_from_cpp),
        on_linux("batch", go, batch),
    ];
    let all = libtest_mimic::run(&Arguments::from_args(), tests);
    if let Some(tree) = TREE.get() {
        let _ = std::fs::remove_dir_all(tree);
    }
    all.exit();
}

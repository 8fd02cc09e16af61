//! Builds every example from an installed tree, and compares its results with Rust.

mod common;

use common::{installed, on_linux, root, succeed, there};
use engine::{Direction, FrameMasks, Frames, Prompt};
use libtest_mimic::{Arguments, Trial};
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
    let mut command = common::go(&tree().join("sam2/lib/pkgconfig"));
    succeed(command.arg("build").arg("-o").arg(&program).arg(".").current_dir(example(name)));
    program
}

/// Prepares a program to run in the root folder with the installed library.
fn program(path: impl AsRef<Path>) -> Command {
    let mut command = Command::new(path.as_ref());
    command.current_dir(root()).env("LD_LIBRARY_PATH", tree().join("sam2/lib"));
    command
}

/// Tracks the object of a prompt on a frame in Rust, through this number of frames.
fn tracked_from(start: usize, prompt: Prompt<'_>, count: usize) -> Vec<FrameMasks> {
    let model = engine::load(root().join("demo"), &Default::default()).unwrap();
    let mut video = model.video_predictor(Frames::open(root().join(FRAMES)).unwrap(), Default::default()).unwrap();
    video.add_new_points_or_box(start, 1, &prompt, Default::default()).unwrap();
    let mut all = Vec::new();
    let each = |found| {
        all.push(found);
        true
    };
    video.propagate_in_video(Some(start), Some(count - 1), Direction::Forward, each).unwrap();
    all
}

/// Tracks the object at (208, 249) of the first frame in Rust.
fn tracked(count: usize) -> Vec<FrameMasks> {
    tracked_from(0, Prompt::new().point(208.0, 249.0, 1), count)
}

/// Draws objects that were tracked one by one: 1 + the index of the object with the highest logit at a pixel.
fn label_map(objects: &[&FrameMasks]) -> Vec<u8> {
    let best = |at: usize| {
        let mut best = (0.0, 0);
        for (value, o) in (1..).zip(objects) {
            if o.masks[at] > best.0 {
                best = (o.masks[at], value);
            }
        }
        best.1
    };
    (0..objects[0].masks.len()).map(best).collect()
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

/// Writes the first frames as RGBA, for programs that do not decode images. Returns their folder.
fn rgba(name: &str, count: usize, bottom_up: bool) -> PathBuf {
    let folder = tree().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    for i in 0..count {
        let rows: Vec<u8> = pixels(root().join(FRAMES).join(format!("{i:05}.jpg")))
            .chunks(3)
            .flat_map(|p| [p[0], p[1], p[2], 255])
            .collect();
        let mut rows: Vec<&[u8]> = rows.chunks(480 * 4).collect();
        if bottom_up {
            rows.reverse();
        }
        std::fs::write(folder.join(format!("{i:05}.rgba")), rows.concat()).unwrap();
    }
    folder
}

/// What the steps of the node print, tracked in Rust.
fn ros_steps() -> Vec<String> {
    let cow = tracked(4);
    let field = tracked_from(0, Prompt::new().bounds([0.0, 200.0, 90.0, 350.0]), 4);
    let calf = tracked_from(0, Prompt::new().point(150.0, 120.0, 1), 4);
    let click = tracked_from(3, Prompt::new().point(150.0, 120.0, 1), 1);
    let published = |frame: usize, objects: &[(&str, &FrameMasks)]| {
        let map = label_map(&objects.iter().map(|o| o.1).collect::<Vec<_>>());
        let counts = (1..=objects.len()).map(|v| format!(" {v}:{}", map.iter().filter(|&&m| m as usize == v).count()));
        let mut lines = vec![format!("labels {}.5 camera 480x360 mono8{}", frame + 1, counts.collect::<String>())];
        for (name, found) in objects {
            let [left, top, right, bottom] = found.boxes[0].map(f64::from);
            let (width, height) = (right - left + 1.0, bottom - top + 1.0);
            let (x, y) = (left + width / 2.0, top + height / 2.0);
            lines.push(format!("detection {name} {x:.1} {y:.1} {width:.1}x{height:.1} visible"));
        }
        lines
    };
    let says = |line: &str| vec![line.to_string()];
    let all = |i: usize| [("cow", &cow[i]), ("field", &field[i]), ("calf", &calf[i])];
    let two = [("cow", &cow[3]), ("field", &field[3])];
    let wrong = |why: &str| says(&format!("{why} cow=1 field=2"));
    [
        says("there is no image yet"),
        says("nothing"),
        says("ok cow=1"),
        published(0, &[("cow", &cow[0])]),
        published(1, &[("cow", &cow[1])]),
        says("ok cow=1 field=2 calf=3"),
        published(1, &all(1)),
        published(2, &all(2)),
        wrong("ok"),
        wrong("no object calf"),
        published(3, &two),
        wrong("no prompt"),
        wrong("no image with this stamp is kept"),
        wrong("no point_labels, or one for each point, are expected"),
        wrong("a box for each of bbox_object_ids is expected"),
        wrong("point (NaN, 1): coordinates must be finite numbers"),
        published(3, &[two[0], two[1], ("click_1", &click[0])]),
        says("ok"),
        says("nothing"),
    ]
    .concat()
}

/// The node with stand-ins for ROS.
fn ros() {
    let node = compiled("c++", "node", &["-std=c++17", "-Iros2-node/stub", "ros2-node/stub/test.cpp"]);
    let said = succeed(program(node).args(["demo", FRAMES]));
    let lines: Vec<&str> = said.lines().collect();
    let want = ros_steps();
    assert_eq!(lines[..want.len()], want);
    // One image in each encoding: five of colors, then seven of grays.
    let (first, encodings) = (&want[3], &lines[want.len() + 1..][..12 * 2]);
    for (i, found) in encodings.chunks(2).enumerate() {
        let same = if i < 5 { first.as_str() } else { encodings[5 * 2] };
        assert_eq!(found[0], same, "{i}");
        assert!(found[1].starts_with(&format!("detection click_{} ", i + 1)), "{found:?}");
    }
    assert_ne!(encodings[5 * 2], first);
    let rest = &lines[want.len() + 1 + 12 * 2..];
    let mono16 = first.replace("mono8", "mono16");
    let states = [
        "nothing",
        "published",
        "nothing",
        "states",
        "unconfigured: silent",
        "inactive: silent",
        "active: adds",
        &mono16,
        &want[4],
        "inactive: silent",
        "active: adds",
        "unconfigured: silent",
        "device unconfigured",
        "label_encoding unconfigured",
        "model unconfigured",
        "window unconfigured",
    ];
    assert_eq!(rest, states);
}

/// The installed component, with stand-ins for ROS, finds its library.
fn ros_installed() {
    let (build, prefix) = (tree().join("ros-build"), tree().join("ros"));
    let stub = example("ros2-node/stub/cmake");
    let paths = format!("-DCMAKE_PREFIX_PATH={};{}", tree().join("sam2").display(), stub.display());
    let to = format!("-DCMAKE_INSTALL_PREFIX={}", prefix.display());
    succeed(Command::new("cmake").arg("-S").arg(example("ros2-node/sam2_ros")).arg("-B").arg(&build).args([paths, to]));
    succeed(Command::new("cmake").arg("--build").arg(&build).arg("--target").arg("install"));
    let mut node = Command::new(prefix.join("lib/sam2_ros/sam2_node"));
    assert_eq!(succeed(node.arg("demo").current_dir(root()).env_remove("LD_LIBRARY_PATH")), "active\n");
}

/// Builds the packages with the ROS whose environment is set, and runs the node.
fn ros_colcon() {
    let workspace = tree().join("colcon");
    std::fs::create_dir(&workspace).unwrap();
    let mut colcon = Command::new("colcon");
    colcon.args(["build", "--merge-install", "--base-paths"]).arg(example("ros2-node")).arg("--cmake-args");
    colcon.arg(format!("-DCMAKE_PREFIX_PATH={}", tree().join("sam2").display())).arg("-DSAM2_ROS_DRIVE=ON");
    succeed(colcon.current_dir(&workspace));
    let script = "set -e; . \"$1/install/local_setup.bash\"; unset LD_PRELOAD
        \"$1/install/lib/sam2_ros/sam2_node\" --ros-args -p model:=demo -p window:=3 >&2 & node=$!
        trap 'kill $node' EXIT; \"$1/install/lib/sam2_ros/drive\" \"$2\"";
    let said = succeed(Command::new("bash").args(["-c", script, "-"]).arg(workspace).arg(FRAMES).current_dir(root()));
    assert_eq!(said.lines().collect::<Vec<_>>(), ros_steps());
}

/// The README of the node lists every topic, service and parameter, and not the click of RViz.
fn ros_topics() {
    let file = |name| std::fs::read_to_string(example("ros2-node").join(name)).unwrap();
    let (node, readme) = (file("sam2_ros/src/node.cpp"), file("README.md"));
    let between = |before: &str| -> Vec<String> {
        let parts = node.split(before).skip(1);
        parts.map(|rest| rest.split('"').nth(1).unwrap().to_string()).collect()
    };
    let names = [
        between("create_publisher<"),
        between("create_subscription<"),
        between("create_service<"),
        between("declare_parameter<"),
    ];
    assert_eq!(names.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2, 8]);
    for name in names.concat() {
        assert!(readme.contains(&format!("| `{name}` |")), "{name}");
    }
    assert!(node.contains("SensorDataQoS") && !node.contains("PointStamped"));
    assert!(readme.contains("click:=/camera/image_raw_mouse_left"));
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

/// What a host of the tracker prints: two objects, of which the second is removed after half of the frames.
fn engine_lines(count: usize) -> Vec<String> {
    let prompts = [[208.0, 249.0], [150.0, 120.0]];
    let objects = prompts.map(|[x, y]| tracked_from(0, Prompt::new().point(x, y, 1), count));
    let mut lines = Vec::new();
    for i in 0..count {
        let seen = if i < count / 2 { 2 } else { 1 };
        let found: Vec<&FrameMasks> = objects[..seen].iter().map(|o| &o[i]).collect();
        let map = label_map(&found);
        for (id, found) in (1..).zip(found) {
            let rows: Vec<usize> = (0..map.len()).filter(|&at| map[at] == id).map(|at| at / 480).collect();
            let (pixels, middle) = (rows.len(), rows.iter().sum::<usize>() / rows.len());
            let [left, top, right, bottom] = found.boxes[0];
            lines.push(format!("{i} {id} 1 {left} {top} {right} {bottom} {pixels} {middle}"));
        }
    }
    lines
}

const POINTS: [&str; 4] = ["208", "249", "150", "120"];

fn engine_plugin() {
    let host = built("engine-plugin", "plugin").join("host");
    let said = succeed(program(&host).args(["demo", FRAMES, "6"]).args(POINTS));
    assert_eq!(said.lines().collect::<Vec<_>>(), engine_lines(6));
    assert_eq!(program(&host).args(["/nowhere", FRAMES, "6"]).args(POINTS).status().unwrap().code(), Some(1));
}

/// The header of the plugin compiles as C++ too, as in an Unreal module.
fn engine_plugin_from_cpp() {
    let (build, host) = (built("engine-plugin", "plugin-cpp"), tree().join("host-cpp"));
    let source = tree().join("host.cpp");
    let text = "#include <tracker.h>\n#include <cstdio>\nint main(int, char **argv) {\nchar error[512];\n\
                tracker *t = tracker_open(argv[1], 64, 48, 1, TRACKER_BGRA, error, sizeof error);\n\
                std::puts(t ? \"opened\" : error);\nif (t) tracker_close(t);\n}\n";
    std::fs::write(&source, text).unwrap();
    let mut command = Command::new("c++");
    command.args(["-Wall", "-Wextra", "-Werror", "-I"]).arg(example("engine-plugin")).arg(&source).arg("-o").arg(&host);
    command.arg(format!("-L{}", build.display())).arg("-lsam2_tracker").arg(format!("-Wl,-rpath,{}", build.display()));
    succeed(command.arg(format!("-Wl,-rpath-link,{}", tree().join("sam2/lib").display())));
    assert_eq!(succeed(program(&host).arg("demo")), "opened\n");
    assert!(succeed(program(&host).arg("/nowhere")).contains("No such file"));
}

/// Compiles the Unity package with stand-ins for Unity, and runs its component.
fn unity() {
    let (build, run) = (built("engine-plugin", "plugin-unity"), tree().join("unity.exe"));
    let mut compiler = Command::new("mcs");
    compiler.args(["-unsafe", "-warnaserror"]).arg(format!("-out:{}", run.display()));
    for folder in ["unity/Runtime", "unity/Tests~"] {
        compiler.arg(format!("{}/*.cs", example(folder).display()));
    }
    succeed(&mut compiler);
    let mono = |model: &Path| {
        let mut command = Command::new("mono");
        command.arg(&run).arg(model).arg(rgba("bottom-up", 6, true)).args(["6", "480", "360"]).args(POINTS);
        let paths = format!("{}:{}", build.display(), tree().join("sam2/lib").display());
        succeed(command.current_dir(root()).env("LD_LIBRARY_PATH", paths).env("LC_ALL", "C"))
    };
    let (said, lines) = (mono(Path::new("demo")), engine_lines(6));
    assert_eq!(said.lines().collect::<Vec<_>>()[..lines.len()], lines);
    assert_eq!(said.lines().nth(lines.len()), Some("the id is out of range or the object has too many points"));
    // Paths are UTF-8 in any locale.
    assert_eq!(mono(Path::new("/nöwhere")), "exception: /nöwhere: No such file or directory (os error 2)\n");
}

/// Builds the extension with the header of Godot that the environment names, and calls it from a stand-in for Godot.
fn godot() {
    let (extension, host) = (built("godot", "godot").join("libsam2_godot.so"), tree().join("godot-host"));
    let header = PathBuf::from(std::env::var_os("GODOT_HEADER").unwrap());
    let mut command = Command::new("cc");
    command.args(["-std=gnu11", "-g", "-Wall", "-Wextra", "-Werror", "-isystem"]).arg(header.parent().unwrap());
    succeed(command.arg(example("godot/test/host.c")).arg("-o").arg(&host).arg("-ldl"));
    let mut command = program(&host);
    command.arg(extension).arg("demo").arg(rgba("top-down", 6, false)).args(["6", "480", "360"]).args(POINTS);
    let said = succeed(&mut command);
    // Calls that fail, then the objects.
    let mut want = vec![
        "class Sam2Tracker",
        "0",
        "/nowhere: No such file or directory (os error 2)",
        "open: error 4, argument 4, expected 4",
        "remove_object: error 2, argument 0, expected 2",
        "0",
        "0",
    ];
    let lines = engine_lines(6);
    want.extend(lines.iter().map(String::as_str));
    want.push("0 values live");
    assert_eq!(said.lines().collect::<Vec<_>>(), want);
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

/// A test of what the environment may lack in CI too.
fn if_there(name: &str, able: bool, test: fn()) -> Trial {
    on_linux(name, able, test).with_ignored_flag(!able || !cfg!(target_os = "linux"))
}

fn main() {
    let (cc, cmake) = (there("pkg-config", "--version"), there("cmake", "--version"));
    let (go, ffmpeg) = (cc && there("go", "version"), cmake && there("ffmpeg", "-version"));
    let mono = cmake && there("mcs", "--version") && there("mono", "--version");
    let ros2 = cmake && there("colcon", "--help") && std::env::var_os("AMENT_PREFIX_PATH").is_some();
    let tests = vec![
        on_linux("usage_cpp", cc, usage_cpp),
        on_linux("usage_go", go, usage_go),
        on_linux("latency", cc, latency),
        on_linux("ros", cc, ros),
        on_linux("ros_installed", cmake, ros_installed),
        on_linux("ros_topics", true, ros_topics),
        if_there("ros_colcon", ros2, ros_colcon),
        on_linux("camera", cmake, camera),
        on_linux("camera_ffmpeg", ffmpeg, camera_ffmpeg),
        on_linux("engine_plugin", cmake, engine_plugin),
        on_linux("engine_plugin_from_cpp", cmake, engine_plugin_from_cpp),
        on_linux("unity", mono, unity),
        if_there("godot", cmake && std::env::var_os("GODOT_HEADER").is_some(), godot),
        on_linux("batch", go, batch),
    ];
    let all = libtest_mimic::run(&Arguments::from_args(), tests);
    if let Some(tree) = TREE.get() {
        let _ = std::fs::remove_dir_all(tree);
    }
    all.exit();
}

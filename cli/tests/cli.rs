//! Tests of the commands as users run them.

mod common;
#[path = "../../tests/common/guides.rs"]
mod guides;

use common::*;
use serde_json::Value;
#[cfg(unix)]
use std::process::Command;
use std::process::Output;

const PHOTO: &str = "demo/pictures/astronaut.png";

fn segment<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["segment", PHOTO, "--model", "demo"], more].concat()
}

fn records(args: &[&str]) -> Vec<Value> {
    let text = stdout(&[args, &["--json"]].concat());
    serde_json::from_str::<Value>(&text).unwrap().as_array().unwrap().clone()
}

/// The mask of a JSON record, row by row.
fn decode(record: &Value) -> Vec<u8> {
    let segmentation = &record["segmentation"];
    let size = |i: usize| segmentation["size"][i].as_u64().unwrap() as usize;
    sam2::rle::Rle::from_coco(segmentation["counts"].as_str().unwrap(), sam2::Size::new(size(1), size(0)))
        .unwrap()
        .decode()
        .unwrap()
}

fn png(path: &str) -> sam2::picture::Picture {
    sam2::picture::read(path).unwrap()
}

fn tensor(path: &str, name: &str) -> (Vec<usize>, Vec<f32>) {
    let bytes = std::fs::read(path).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let t = tensors.tensor(name).unwrap();
    let values = t.data().chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    (t.shape().to_vec(), values)
}

/// Runs the `sh` blocks of a document in an empty folder with the demo. `cargo run --release --` runs the program.
#[cfg(unix)]
fn run_commands(document: &str) -> usize {
    let folder = Folder::new(&document.replace('/', "-"));
    std::os::unix::fs::symlink(root().canonicalize().unwrap().join("demo"), folder.0.join("demo")).unwrap();
    let mut ran = 0;
    for text in guides::of(&root(), document, "sh") {
        let has_ffmpeg = Command::new("ffmpeg").arg("-version").output().is_ok() || std::env::var_os("CI").is_some();
        if text.contains("ffmpeg ") && !has_ffmpeg {
            println!("{document}: not run without ffmpeg: {text}");
            continue;
        }
        // The output of each command ends with a separator.
        let cargo = "exec 3>&1; cargo() { [ \"$1 $2 $3\" = 'run --release --' ]; shift 3; \"$SAM2\" \"$@\"; printf '\\036' >&3; }";
        let script = format!("{cargo}\n{text}");
        let mut sh = Command::new("sh");
        sh.args(["-eu", "-c", &script]).current_dir(&folder.0).env("SAM2", env!("CARGO_BIN_EXE_sam2"));
        let out = sh.output().unwrap();
        assert!(out.status.success(), "{document}: {text}{}", String::from_utf8_lossy(&out.stderr));
        let said = String::from_utf8(out.stdout).unwrap();
        let commands = text.lines().filter_map(|line| line.strip_prefix("cargo run --release -- "));
        let outputs: Vec<&str> = said.split_terminator('\u{1e}').collect();
        assert_eq!(outputs.len(), commands.clone().count(), "{document}: {text}{said}");
        for (command, output) in commands.zip(outputs) {
            check_results(command, &folder, output);
            ran += 1;
        }
    }
    ran
}

/// Checks what a command of a document has written and printed.
#[cfg(unix)]
fn check_results(command: &str, folder: &Folder, said: &str) {
    let args: Vec<&str> = command.split_whitespace().collect();
    let output = args.iter().position(|arg| *arg == "-o").map(|i| folder.0.join(args[i + 1]));
    match (args[0], output) {
        ("track", Some(output)) if output.join("overlay").is_dir() => {
            assert_eq!(std::fs::read_dir(output.join("overlay")).unwrap().count(), 24, "{command}");
        }
        ("track", Some(output)) => assert!(output.join("overlay.mp4").is_file(), "{command}"),
        ("auto", Some(output)) if output.is_dir() => assert!(output.join("contact_sheet.png").is_file(), "{command}"),
        ("auto", Some(output)) => {
            let labels = sam2::labels::read(output).unwrap();
            let found: std::collections::BTreeSet<u8> = labels.numbers.into_iter().collect();
            assert!(found.len() > 8, "{command}: {found:?}");
        }
        (_, Some(output)) => {
            let mask = sam2::picture::read(&output).unwrap();
            let on = mask.pixels.iter().filter(|&&value| value > 0).count();
            assert!(on > 1000 && on < mask.pixels.len(), "{command}: {on} pixels");
            let overlay = sam2::picture::read(output.with_extension("overlay.png")).unwrap();
            assert_eq!((overlay.width, overlay.height), (mask.width, mask.height), "{command}");
        }
        ("eval", None) => {
            assert!(said.contains("Global score") && said.matches("video1").count() == 2, "{command}: {said}")
        }
        (_, None) => assert!(!said.is_empty() || args.contains(&"--raw"), "{command}"),
    }
}

#[test]
#[cfg(unix)]
fn the_commands_of_the_readme_and_of_the_guides_run_as_written() {
    let documents = guides::documents(&root());
    let commands = documents.iter().filter(|name| !guides::LIBRARY.contains(&name.as_str()));
    let ran: usize = commands.map(|name| run_commands(name)).sum();
    assert!(ran >= 28, "only {ran} commands");
}

/// Every block has a language that a test runs, except for these blocks of commands.
#[test]
fn blocks_that_no_test_runs_are_listed() {
    let not_run = [
        ("README.md", 2),
        ("docs/c.md", 1),
        ("docs/gpu.md", 1),
        ("docs/images.md", 1),
        ("docs/install.md", 8),
        ("docs/performance.md", 2),
        ("docs/python.md", 1),
        ("docs/serve.md", 2),
    ];
    let [library, package] =
        ["src/lib.rs", "Cargo.toml"].map(|file| std::fs::read_to_string(root().join(file)).unwrap());
    for document in guides::documents(&root()) {
        let blocks = guides::blocks(&root(), &document);
        let count = |language: &str| blocks.iter().filter(|block| block.language == language).count();
        let want = not_run.iter().find(|(name, _)| *name == document).map_or(0, |(_, count)| *count);
        assert_eq!(count("console"), want, "{document}: blocks that no test runs");
        let mut known = vec!["sh", "console", "text", "rust"];
        if guides::LIBRARY.contains(&document.as_str()) {
            known = vec!["sh", "console", "text", "c", "cpp", "go", "python"];
        }
        let unknown = blocks.iter().find(|block| !known.contains(&block.language.as_str()));
        assert!(unknown.is_none(), "{document}: {:?}", unknown.map(|block| (&block.language, &block.text)));
        if count("rust") > 0 {
            let included = library.contains(&format!("include_str!(\"../{document}\")"));
            assert!(
                included && package.contains(&format!("\"/{document}\"")),
                "{document}: programs that are no doctests"
            );
        }
    }
}

#[test]
fn a_click_gives_three_masks_and_the_best_is_written() {
    let folder = Folder::new("click");
    let (mask, raw) = (folder.file("m.png"), folder.file("m.safetensors"));
    let list = records(&segment(&["--point", "77,400", "-o", &mask, "--raw", &raw]));
    assert_eq!(list.len(), 3);
    let best: Vec<&Value> = list.iter().filter(|r| r["best"] == true).collect();
    assert_eq!(best.len(), 1);
    let iou = |r: &Value| r["predicted_iou"].as_f64().unwrap();
    assert!(list.iter().all(|r| iou(r) <= iou(best[0])));
    let on = decode(best[0]);
    assert_eq!(best[0]["area"].as_u64().unwrap(), on.iter().map(|&v| v as u64).sum::<u64>());
    let written = png(&mask);
    assert_eq!(written.pixels, on.iter().map(|v| v * 255).collect::<Vec<_>>());
    assert_eq!((written.width, written.height), (512, 512));
    let (shape, logits) = tensor(&raw, "masks");
    assert_eq!(shape, [3, 512, 512]);
    let at = list.iter().position(|r| r["best"] == true).unwrap() * 512 * 512;
    assert!(logits[at..at + 512 * 512].iter().zip(&on).all(|(l, &m)| (*l > 0.0) == (m == 1)));
    assert_eq!(tensor(&raw, "low_res_masks").0, [3, 64, 64]);
    assert_eq!(tensor(&raw, "iou_predictions").0, [3]);
    assert_eq!(tensor(&raw, "object_score_logits").0, [1]);
    // The overlay equals the photograph outside of mask and click.
    let (overlay, photo) = (png(&folder.file("m.overlay.png")), png(&root().join(PHOTO).display().to_string()));
    let changed =
        (0..512 * 512).filter(|&i| overlay.pixels[3 * i..3 * i + 3] != photo.pixels[3 * i..3 * i + 3]).count();
    let area = on.iter().filter(|&&v| v == 1).count();
    assert!((area..area + 200).contains(&changed), "{changed} pixels differ for a mask of {area}");
}

#[test]
fn coordinates_may_be_negative() {
    let dashed = records(&segment(&["--box", "-20,-30,150,160", "--point", "-5,40,0"]));
    assert_eq!(dashed, records(&segment(&["--box=-20,-30,150,160", "--point=-5,40,0"])));
    assert!(dashed[0]["area"].as_u64().unwrap() > 0);
}

/// An empty list of points is the reference's padding token. It differs from a prompt without points.
#[test]
fn an_empty_list_of_points_is_a_prompt() {
    let folder = Folder::new("empty");
    let file = folder.file("prompts.json");
    std::fs::write(&file, r#"[{"points": []}]"#).unwrap();
    let model = sam2::load(root().join("demo"), &Default::default()).unwrap();
    let mut predictor = model.image_predictor(Default::default()).unwrap();
    predictor.set_image(&png(root().join(PHOTO).to_str().unwrap()).frame().unwrap()).unwrap();
    let options = sam2::PredictOptions { multimask_output: false, ..Default::default() };
    let mut iou = |pad_points| {
        let prompt = sam2::Prompt { pad_points, ..Default::default() };
        predictor.predict(&[prompt], options).unwrap().iou_predictions[0]
    };
    let got = records(&segment(&["--prompts", &file]))[0]["predicted_iou"].as_f64().unwrap() as f32;
    assert_eq!(got, iou(true));
    assert_ne!(got, iou(false));
}

#[test]
fn multimask_follows_the_prompt_unless_said() {
    let count = |more: &[&str]| records(&segment(more)).len();
    assert_eq!(count(&["--point", "77,400"]), 3);
    assert_eq!(count(&["--point", "77,400", "--no-multimask"]), 1);
    assert_eq!(count(&["--point", "77,400", "--point", "60,60,0"]), 1);
    assert_eq!(count(&["--box", "20,160,365,511"]), 1);
    assert_eq!(count(&["--box", "20,160,365,511", "--multimask"]), 3);
    assert_eq!(count(&["--box", "20,160,365,511", "--point", "100,300"]), 1);
    assert_eq!(count(&["--box", "20,160,365,511", "--box", "0,0,100,100"]), 2);
}

#[test]
fn a_mask_is_refined_from_an_earlier_call_or_a_picture() {
    let folder = Folder::new("refine");
    let (mask, raw) = (folder.file("m.png"), folder.file("m.safetensors"));
    let first = records(&segment(&["--point", "77,400", "-o", &mask, "--raw", &raw]));
    let best = decode(first.iter().find(|r| r["best"] == true).unwrap());
    for input in [&raw, &mask] {
        let again = records(&segment(&["--mask-input", input, "--point", "77,400"]));
        assert_eq!(again.len(), 1, "{input}: a mask is no single click");
        let got = decode(&again[0]);
        let (both, any) =
            got.iter().zip(&best).fold((0, 0), |(b, a), (&x, &y)| (b + (x & y) as u32, a + (x | y) as u32));
        assert!(both as f32 / any as f32 > 0.5, "{input}: IoU {}", both as f32 / any as f32);
    }
    assert_eq!(records(&segment(&["--mask-input", &raw])).len(), 1);
}

#[test]
fn several_objects_in_one_call() {
    let folder = Folder::new("objects");
    let file = folder.file("prompts.json");
    let prompts = r#"[{"points": [[77, 400]]}, {"points": [[100, 300], [60, 100]], "labels": [1, 0], "box": [20, 160, 365, 511]}]"#;
    std::fs::write(&file, prompts).unwrap();
    let mask = folder.file("objects.png");
    let list = records(&segment(&["--prompts", &file, "-o", &mask]));
    assert_eq!(list.iter().map(|r| r["object"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1]);
    let one = records(&segment(&["--box", "20,160,365,511", "--point", "100,300", "--point", "60,100,0"]));
    assert_eq!(one[0]["segmentation"], list[1]["segmentation"], "together or alone");
    let colours: std::collections::BTreeSet<&[u8]> =
        png(&mask).pixels.chunks(3).map(|p| p.to_vec().leak() as &[u8]).collect();
    assert_eq!(colours.len(), 3, "two objects and the background: {colours:?}");
}

#[test]
fn instruction_sets_are_chosen() {
    let clicked = |set: &str| {
        let choice = ["--point", "64,64", "--device", "cpu", "--precision", "f32", "--json", "--isa", set];
        sam2(&segment(&choice))
    };
    let plain = clicked("portable");
    assert!(plain.status.success(), "{}", String::from_utf8_lossy(&plain.stderr));
    for isa in sam2::Isa::ALL {
        let out = clicked(isa.name());
        if let Some(feature) = isa.missing() {
            let says = format!("lacks the feature {feature}");
            assert_eq!(out.status.code(), Some(3), "{isa:?}");
            assert!(String::from_utf8_lossy(&out.stderr).contains(&says), "{isa:?}");
        } else {
            let area = |out: &Output| {
                let records: Value = serde_json::from_slice(&out.stdout).unwrap();
                records[0]["area"].as_f64().unwrap()
            };
            assert!((area(&out) / area(&plain) - 1.0).abs() < 1e-3, "{isa:?}");
        }
    }
}

#[test]
fn failures_say_what_and_end_with_their_code() {
    let folder = Folder::new("failures");
    let cut = folder.file("cut.png");
    let photo = std::fs::read(root().join(PHOTO)).unwrap();
    std::fs::write(&cut, &photo[..photo.len() / 2]).unwrap();
    let prompts = folder.file("prompts.json");
    std::fs::write(&prompts, "[{\"point\": 1}]").unwrap();
    let converted = folder.file("mini.safetensors");
    std::fs::copy(root().join("tests/data/weights/mini21.safetensors"), &converted).unwrap();
    let portable_in_bf16 = ["--point", "1,1", "--device", "cpu", "--isa", "portable", "--precision", "bf16"];
    let portable_in_bf16 = segment(&portable_in_bf16);
    let cases: [(i32, &str, Vec<&str>); 24] = [
        (2, "no prompt: give", segment(&[])),
        (2, "go with a single box", segment(&["--box", "1,1,9,9", "--box", "2,2,8,8", "--point", "3,3"])),
        (2, "expected 4 numbers", segment(&["--box", "1,2,3"])),
        (2, "not a number", segment(&["--point", "a,b"])),
        (2, "expected auto, cpu, cuda", segment(&["--point", "1,1", "--device", "tpu"])),
        (2, "--model", vec!["segment", PHOTO, "--point", "1,1"]),
        (2, "at least 1", vec!["bench", "--model", "demo", "--repeat", "0"]),
        (2, "must be 1 to", vec!["bench", "--model", "demo", "--clicks", "10000000000"]),
        (2, "--json", vec!["bench", "--model", "demo", "--in-turn"]),
        (2, "ended before the last turn", vec!["bench", "--model", "demo", "--json", "--in-turn"]),
        (4, "not overwritten", vec!["convert", &converted, &converted]),
        (4, "prompt 1: box", segment(&["--box", "1,1,9,9", "--box", "900,900,950,950"])),
        (3, "device: ", segment(&["--point", "1,1", "--device", "cuda:9999"])),
        (2, "portable", segment(&["--point", "1,1", "--isa", "mmx"])),
        (3, "kernels are for portable", portable_in_bf16),
        (3, "not f16", segment(&["--point", "1,1", "--precision", "f16"])),
        (4, "damaged PNG", vec!["segment", &cut, "--model", "demo", "--point", "1,1"]),
        (4, "No such file", vec!["segment", "none.png", "--model", "demo", "--point", "1,1"]),
        (4, "neither safetensors nor", vec!["segment", PHOTO, "--model", PHOTO, "--point", "1,1"]),
        (4, "must be finite", segment(&["--point", "nan,1"])),
        (4, "wholly outside", segment(&["--box", "900,900,950,950"])),
        (4, "multiple of 32", segment(&["--point", "1,1", "--image-size", "100"])),
        (4, "model.nonsense", segment(&["--point", "1,1", "--set", "model.nonsense=1"])),
        (4, "unknown field `point`", segment(&["--prompts", &prompts])),
    ];
    for (code, text, args) in cases {
        let out = sam2(&args);
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(text), "{args:?}: {stderr}");
        assert!(out.stdout.is_empty(), "{args:?}");
    }
}

/// Writing to a full device is an error. A replaced file keeps its permissions.
#[test]
#[cfg(target_os = "linux")]
fn results_that_cannot_be_written() {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    use std::process::Stdio;
    let full = || Stdio::from(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let run = |args: &[&str], stdout: Stdio, stderr: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sam2"));
        command.args(args).current_dir(root()).stdout(stdout).stderr(stderr).status().unwrap().code()
    };
    assert_eq!(run(&segment(&["--point", "1,1", "--json"]), full(), Stdio::null()), Some(4));
    assert_eq!(run(&["info", "demo"], Stdio::null(), full()), Some(0));
    assert_eq!(run(&segment(&["--point", "1,1", "--raw", "/dev/full"]), Stdio::null(), Stdio::null()), Some(4));
    assert!(std::fs::metadata("/dev/full").unwrap().file_type().is_char_device());
    let folder = Folder::new("write");
    let raw = folder.file("raw.safetensors");
    std::fs::write(&raw, "").unwrap();
    std::fs::set_permissions(&raw, std::fs::Permissions::from_mode(0o640)).unwrap();
    stdout(&segment(&["--point", "1,1", "--raw", &raw]));
    assert_eq!(std::fs::metadata(&raw).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(tensor(&raw, "iou_predictions").0, [3]);
}

#[test]
fn other_sizes_of_input_and_no_postprocessing() {
    let folder = Folder::new("sizes");
    let raw = folder.file("m.safetensors");
    stdout(&segment(&[
        "--point",
        "77,400",
        "--image-size",
        "384",
        "--no-postprocessing",
        "--threads",
        "1",
        "--raw",
        &raw,
    ]));
    assert_eq!(tensor(&raw, "low_res_masks").0, [3, 96, 96]);
}

#[test]
fn the_version_has_the_name_of_the_program() {
    assert_eq!(stdout(&["--version"]), concat!("sam2 ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn info_tells_what_a_model_is() {
    let text = stdout(&["info", "demo"]);
    for part in ["sam2.1_hiera_demo", "SAM 2.1", "3.40 M in 359 tensors, f16", "256x256"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let config = "tests/reference/configs/mini20.yaml";
    let text = stdout(&["info", "tests/data/weights/mini20.safetensors", "--config", config]);
    assert!(text.contains("bf16") && text.contains("SAM 2\n"), "{text}");
    assert!(stdout(&["info"]).contains("threads"));
}

#[test]
fn checkpoints_are_converted() {
    let folder = Folder::new("convert");
    let open = |path: &str| sam2::Checkpoint::open(root().join(path)).unwrap();
    let want = open("tests/data/weights/mini21.safetensors");
    for from in ["mini21.pt", "mini21_hf.safetensors"] {
        let out = folder.file("same.safetensors");
        stdout(&["convert", &weights(from).to_string_lossy(), &out]);
        let got = open(&out);
        assert!(got.names().eq(want.names()), "{from}");
        for name in want.names() {
            let (a, b) = (got.get(name).unwrap(), want.get(name).unwrap());
            assert!((a.dtype, a.shape, a.bytes) == (b.dtype, b.shape, b.bytes), "{from} {name}");
        }
    }
    for dtype in ["f32", "f16", "bf16"] {
        let out = folder.file(&format!("{dtype}.safetensors"));
        stdout(&["convert", "demo", &out, "--dtype", dtype]);
        let (got, demo) = (open(&out), open("demo"));
        for name in demo.names() {
            let (a, b) = (got.get(name).unwrap(), demo.get(name).unwrap());
            assert_eq!(format!("{:?}", a.dtype).to_lowercase(), dtype);
            let tolerance = if dtype == "bf16" { 1.0 / 256.0 } else { 0.0 };
            for (x, y) in a.to_f32().unwrap().iter().zip(b.to_f32().unwrap()) {
                assert!((x - y).abs() <= tolerance * y.abs(), "{dtype} {name}: {x} {y}");
            }
        }
    }
    // The model is the same, so masks are bit-identical.
    let click = |model: &str| stdout(&["segment", PHOTO, "--model", model, "--point", "77,400", "--json"]);
    assert_eq!(click("demo"), click(&folder.file("f32.safetensors")));
    // A value that exceeds the range of f16.
    let big = folder.file("big.safetensors");
    let header = r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &1e6f32.to_le_bytes()].concat();
    std::fs::write(&big, file).unwrap();
    let out = sam2(&["convert", &big, &folder.file("x.safetensors"), "--dtype", "f16"]);
    assert_eq!(out.status.code(), Some(4));
    assert!(!folder.0.join("x.safetensors").exists());
}

#[test]
fn features_are_stored() {
    let folder = Folder::new("encode");
    let raw = folder.file("features.safetensors");
    stdout(&["encode", PHOTO, "--model", "demo", "--raw", &raw]);
    assert_eq!(tensor(&raw, "image_embed").0, [128, 16, 16]);
    assert_eq!(tensor(&raw, "high_res_1").0, [32, 32, 32]);
    assert_eq!(tensor(&raw, "high_res_0").0, [16, 64, 64]);
    assert!(tensor(&raw, "image_embed").1.iter().all(|v| v.is_finite()));
}

#[test]
fn bench_reports_every_stage() {
    let args = ["bench", PHOTO, "--model", "demo", "--warmup", "0", "--repeat", "2", "--clicks", "1,5", "--profile"];
    let report: Value = serde_json::from_str(&stdout(&[&args[..], &["--json"]].concat())).unwrap();
    let stages = report["stages"].as_array().unwrap();
    assert_eq!(
        stages.iter().map(|s| s["stage"].as_str().unwrap()).collect::<Vec<_>>(),
        ["encode", "1 click", "5 clicks"]
    );
    for stage in stages {
        assert!(stage["p50_ms"].as_f64().unwrap() <= stage["p99_ms"].as_f64().unwrap());
        assert!(stage["gflop"].as_f64().unwrap() > 0.0 && stage["share_of_peak"].as_f64().unwrap() > 0.0);
        assert!(!stage["kernels_ms"].as_object().unwrap().is_empty());
    }
    assert!(report["peak_memory_bytes"].as_u64().unwrap() > 1 << 20);
    assert!(stdout(&args).contains("GFLOP/s"));
}

/// One output line per input line: warm-up, two runs and the profile of each stage, then two profiled frames, then the
/// report.
#[test]
fn bench_takes_turns() {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};
    let args = ["bench", PHOTO, "--model", "demo", "--warmup", "1", "--repeat", "2", "--clicks", "1", "--profile"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_sam2"))
        .args([&args[..], &["--track", "1", "--track-warmup", "1", "--json", "--in-turn"]].concat())
        .current_dir(root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    let mut turn = || {
        writeln!(stdin, "next").unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        serde_json::from_str::<Value>(&line).unwrap()
    };
    let timed = |answer: &Value| {
        let each = answer.as_object().unwrap();
        assert!(each.values().all(|ms| ms.as_f64().unwrap() > 0.0), "{answer}");
        each.keys().cloned().collect::<Vec<_>>()
    };
    let stages = ["image encoder", "mask decoder", "masks", "memory attention", "memory encoder"];
    for what in ["encode", "1 click", "track 1"] {
        assert_eq!(timed(&turn()), [""; 0]);
        assert_eq!((timed(&turn()), timed(&turn())), (vec![what.to_string()], vec![what.to_string()]));
        if what == "track 1" {
            assert_eq!(
                (timed(&turn()), timed(&turn())),
                (stages.map(String::from).into(), stages.map(String::from).into())
            );
        } else {
            assert_eq!(timed(&turn()), [""; 0]);
        }
    }
    let report = turn();
    let mut rows: Vec<&str> =
        report["stages"].as_array().unwrap()[3..].iter().map(|s| s["stage"].as_str().unwrap()).collect();
    rows.sort();
    assert_eq!(rows, stages.map(|name| format!("- {name}")));
    assert!(child.wait().unwrap().success());
}

//! Tests of checkpoints and configurations, and of messages about them.

mod common;

use common::*;
use serde_json::{Value, json};

const MINI: &str = "tests/data/weights/mini21.safetensors";
const DEMO: &str = "demo/sam2.1_hiera_demo.safetensors";

fn stderr(args: &[&str], code: i32) -> String {
    let out = sam2(args);
    let text = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(code), "{args:?}: {text}");
    text
}

#[test]
fn the_help_opens_with_what_the_program_is() {
    for flag in ["--help", "-h"] {
        let text = stdout(&[flag]);
        assert!(text.starts_with("Segment Anything Model 2: "), "{text}");
    }
}

#[test]
fn configurations_go_by_the_references_names() {
    for name in
        ["configs/sam2.1/sam2.1_hiera_demo.yaml", "sam2.1_hiera_demo", "/no/sam2/configs/sam2.1_hiera_demo.yaml"]
    {
        let text = stdout(&["info", "demo", "--config", name]);
        assert!(text.contains("sam2.1_hiera_demo") && text.contains("256x256"), "{text}");
    }
    let none = stderr(&["info", "demo", "--config", "configs/none.yaml"], 4);
    assert!(none.contains("configs/none.yaml: no such file") && none.contains("sam2_hiera_b+"), "{none}");
    let other = stderr(&["info", "demo", "--config", "sam2_hiera_b+.yaml"], 4);
    assert!(other.contains("sam2_hiera_b+") && other.contains(DEMO), "{other}");
}

#[test]
fn a_size_that_nothing_tells_is_noted() {
    let folder = Folder::new("size");
    let copy = folder.file("model.safetensors");
    std::fs::copy(root().join(DEMO), &copy).unwrap();
    let of_size =
        |text: &str| text.lines().filter(|line| line.starts_with("note: ") && line.contains("input size")).count();
    assert_eq!(of_size(&stderr(&["info", DEMO], 0)), 0);
    assert_eq!(of_size(&stderr(&["info", &copy], 0)), 1);
    let segment = ["segment", "demo/pictures/astronaut.png", "--model", &copy, "--point", "77,400", "--json"];
    assert_eq!(of_size(&stderr(&segment, 0)), 1);
    assert_eq!(of_size(&stderr(&[&segment[..], &["--image-size", "128"]].concat(), 0)), 0);
    // Hugging Face's configuration beside the checkpoint.
    std::fs::write(folder.file("config.json"), r#"{"model_type": "sam2_video", "image_size": 192}"#).unwrap();
    let text = stdout(&["info", &copy]);
    assert!(text.contains("192x192 pixels") && text.contains("config.json"), "{text}");
    assert_eq!(of_size(&stderr(&segment, 0)), 0);
    // A second configuration that contradicts the first.
    std::fs::copy(root().join("configs/sam2.1/sam2.1_hiera_demo.yaml"), folder.file("train.yaml")).unwrap();
    let text = stderr(&["info", &copy], 4);
    assert!(text.contains("train.yaml") && text.contains("config.json") && text.contains("256 and 192"), "{text}");
}

#[test]
fn checkpoints_in_several_files_are_shown_and_converted() {
    let folder = Folder::new("shards");
    let want = sam2::Checkpoint::open(root().join(MINI)).unwrap();
    let shard = "model-00001-of-00001.safetensors";
    std::fs::copy(root().join(MINI), folder.file(shard)).unwrap();
    let map: serde_json::Map<String, Value> = want.names().map(|name| (name.into(), json!(shard))).collect();
    std::fs::write(folder.file("model.safetensors.index.json"), json!({"weight_map": map}).to_string()).unwrap();
    std::fs::copy(root().join("tests/reference/configs/mini21.yaml"), folder.file("mini21.yaml")).unwrap();
    let (path, out) = (folder.0.display().to_string(), folder.file("out/whole.safetensors"));
    let text = stdout(&["info", &path]);
    assert!(text.contains("model.safetensors.index.json") && text.contains("mini21.yaml"), "{text}");
    std::fs::create_dir(folder.file("out")).unwrap();
    stdout(&["convert", &path, &out]);
    assert_eq!(sam2::Checkpoint::open(&out).unwrap().fingerprint(), want.fingerprint());
    std::fs::remove_file(folder.file(shard)).unwrap();
    assert!(stderr(&["info", &path], 4).contains(shard));
}

#[test]
fn what_is_no_checkpoint_is_called_by_its_name() {
    let folder = Folder::new("foreign");
    let weights = std::fs::read(weights("mini21.pt")).unwrap();
    let lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 155906050\n";
    for (name, bytes, text) in [
        ("pointer.pt", &lfs[..], "git lfs pull"),
        ("page.safetensors", b"<!doctype html><html>", "an HTML page"),
        ("cut.pt", &weights[..weights.len() / 2], "cut short"),
        ("empty.pt", b"", "an empty file"),
    ] {
        let path = folder.file(name);
        std::fs::write(&path, bytes).unwrap();
        for command in [&["info", &path][..], &["convert", &path, &folder.file("out.safetensors")]] {
            let said = stderr(command, 4);
            assert!(said.contains(text) && said.contains(name), "{said}");
        }
    }
}

#[test]
fn bench_measures_the_instruction_set_that_it_ran_on() {
    let args = ["bench", "--model", "demo", "--warmup", "0", "--repeat", "1", "--clicks", "1", "--image-size", "64"];
    let more = ["--precision", "f32", "--isa", "portable", "--threads", "1"];
    let args = [&args[..], &more].concat();
    let report: Value = serde_json::from_str(&stdout(&[&args[..], &["--json"]].concat())).unwrap();
    assert_eq!((&report["isa"], &report["threads"]), (&json!("portable"), &json!(1)));
    assert!(report["peak_gflop_per_s"].as_f64().unwrap() > 0.0);
    assert!(stdout(&args).contains("1 threads, portable, "));
}

#[test]
fn crops_of_tiny_pictures_and_numbers_that_mean_nothing() {
    let folder = Folder::new("crops");
    for (width, height) in [(1usize, 1usize), (10, 10), (300, 20)] {
        let path = folder.file(&format!("{width}x{height}.png"));
        let pixels = (0..width * height * 3).map(|i| (i * 7 % 251) as u8).collect();
        let picture = sam2::picture::Picture { pixels, width, height, format: sam2::PixelFormat::Rgb8 };
        std::fs::write(&path, sam2::picture::encode_png(&picture).unwrap()).unwrap();
        let auto = |more: &[&str]| {
            let args = ["auto", &path, "--model", "demo", "--image-size", "64", "--points-per-side", "1", "--json"];
            sam2(&[&args[..], more].concat())
        };
        let out = auto(&["--crop-n-layers", "3"]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        for (flag, value) in [
            ("--crop-overlap-ratio", "1"),
            ("--crop-overlap-ratio", "-1"),
            ("--crop-overlap-ratio", "nan"),
            ("--crop-n-layers", "64"),
            ("--crop-n-points-downscale-factor", "0"),
            ("--points-per-batch", "0"),
        ] {
            let out = auto(&[flag, value]);
            assert_eq!(out.status.code(), Some(4), "{flag} {value}: {}", String::from_utf8_lossy(&out.stderr));
        }
    }
    for (flag, value) in [("--repeat", "18446744073709551615"), ("--track-warmup", "18446744073709551615")] {
        stderr(&["bench", "--model", "demo", flag, value], 2);
    }
}

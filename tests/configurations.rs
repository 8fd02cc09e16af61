//! The configuration of a checkpoint: by name, beside it, Hugging Face's, a trainer's, or none.

mod common;
#[path = "common/notes.rs"]
mod notes;

use common::*;
use notes::warnings_of;
use sam2::{Checkpoint, Config, Error, LoadOptions, VARIANTS};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("sam2-configuration-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.0.join(name), text).unwrap();
        self.0.join(name)
    }

    fn copy(&self, from: &str, name: &str) -> PathBuf {
        std::fs::copy(file(from), self.0.join(name)).unwrap();
        self.0.join(name)
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.0.join(name)).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const DEMO: &str = "demo/sam2.1_hiera_demo.safetensors";
const MINI: &str = "tests/data/weights/mini21.safetensors";

fn config_of(path: &Path, options: &LoadOptions) -> sam2::Result<(Config, String)> {
    let found = options.find_config(path, &options.open_checkpoint(path)?)?;
    Ok((found.config, found.source))
}

fn found(path: &Path) -> (Config, String) {
    config_of(path, &options()).unwrap_or_else(|e| panic!("{e}"))
}

fn refusal(path: &Path) -> String {
    match config_of(path, &options()) {
        Err(e @ (Error::Checkpoint { .. } | Error::Config { .. })) => e.to_string(),
        other => panic!("{other:?}"),
    }
}

/// The configuration of mini21 with another input size.
fn mini_at(size: usize) -> String {
    let text = yaml("mini21");
    let old = text.lines().find(|line| line.trim_start().starts_with("image_size:")).unwrap();
    text.replace(old, &format!("  image_size: {size}"))
}

/// Hugging Face's configuration of mini21.
fn mini_json() -> Value {
    let size = [128, 128];
    json!({
        "model_type": "sam2_video",
        "architectures": ["Sam2VideoModel"],
        "image_size": 128,
        "memory_attention_feed_forward_hidden_size": 128,
        "memory_attention_hidden_size": 64,
        "memory_attention_num_layers": 2,
        "memory_encoder_hidden_size": 64,
        "memory_encoder_output_channels": 16,
        "mask_downsampler_embed_dim": 64,
        "memory_fuser_embed_dim": 64,
        "prompt_encoder_config": {"image_size": 128, "hidden_size": 64},
        "vision_config": {
            "backbone_config": {
                "hidden_size": 16,
                "embed_dim_per_stage": [16, 32, 64, 128],
                "blocks_per_stage": [1, 2, 4, 2],
                "global_attention_blocks": [4, 6],
                "image_size": size,
            },
            "backbone_channel_list": [128, 64, 32, 16],
            "fpn_hidden_size": 64,
        },
    })
}

#[test]
fn published_configurations_are_found_by_the_references_names() {
    for variant in VARIANTS {
        let (want, folder) =
            (Config::parse(variant.yaml, &[], true).unwrap(), variant.name.split("_hiera").next().unwrap());
        for name in [
            format!("configs/{folder}/{}.yaml", variant.name),
            format!("{folder}/{}.yaml", variant.name),
            format!("{}.yaml", variant.name),
            format!("{}.yml", variant.name),
            variant.name.to_string(),
            format!("configs/{folder}/{}", variant.name),
            format!("/opt/no/such/place/sam2/configs/{folder}/{}.yaml", variant.name),
            format!("//opt//sam2//configs//{folder}//{}.yaml", variant.name),
            format!("pkg://sam2/configs/{folder}/{}.yaml", variant.name),
            format!("C:\\sam2\\configs\\{folder}\\{}.yaml", variant.name),
        ] {
            let options = LoadOptions { config: Some((&name).into()), ..options() };
            // The checkpoint of another model, so the error is about the tensors.
            match sam2::Variant::named(&name) {
                Some(found) => assert_eq!(Config::parse(found.yaml, &[], true).unwrap(), want, "{name}"),
                None => panic!("{name}"),
            }
            match config_of(&file(DEMO), &options) {
                Ok((got, from)) =>
                // The test runs in the project's folder, where the first of the names is a file.
                {
                    assert!(got == want && from.contains(variant.name) && variant.is_demo(), "{name}")
                }
                Err(Error::Checkpoint { what, .. }) => {
                    assert!(what.contains(variant.name) && !variant.is_demo(), "{what}")
                }
                Err(other) => panic!("{name}: {other}"),
            }
        }
    }
    // A file of that name is preferred.
    let folder = Folder::new("named");
    let own = folder.write("sam2.1_hiera_t.yaml", mini_at(64));
    let options = LoadOptions { config: Some(own.clone()), ..options() };
    let (config, from) = config_of(&file(MINI), &options).unwrap();
    assert_eq!((config.image_size, from), (64, own.display().to_string()));
    // Neither a file nor a name.
    for name in ["sam2.1_hiera_x.yaml", "configs/sam2.1/none", "", "tests/none.yaml", "sam2.1_hiera_t.yaml.bak"] {
        match config_of(&file(DEMO), &LoadOptions { config: Some(name.into()), ..common::options() }) {
            Err(Error::Io { path, source }) => {
                assert_eq!((path.as_str(), source.kind()), (name, std::io::ErrorKind::NotFound));
                assert!(VARIANTS.iter().all(|variant| source.to_string().contains(variant.name)), "{source}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn a_yaml_beside_a_checkpoint_is_honoured() {
    let folder = Folder::new("beside");
    let checkpoint = folder.copy(MINI, "best.safetensors");
    assert!(refusal(&checkpoint).contains("no published model"));
    let yaml = folder.write("train.yaml", mini_at(96 * 2));
    for path in [&checkpoint, &folder.0] {
        let ((config, from), notes) = warnings_of(|| found(path));
        assert_eq!((config.image_size, from), (192, yaml.display().to_string()));
        assert!(notes.is_empty(), "{notes:?}");
    }
    // Files of other programs are ignored.
    folder.write("docker-compose.yaml", "services:\n  web:\n    image: nginx\n");
    folder.write("data.yml", "model: yolo\nnames: [cat, dog]\n");
    folder.write("other.yaml", "model:\n  name: resnet\n  image_size: 224\n");
    folder.write("broken.yaml", "a: [\n");
    folder.write("list.yaml", "- a\n- b\n");
    folder.write("binary.yaml", b"\xff\xfe\0\0");
    folder.write(".hidden.yaml", mini_at(64));
    folder.write("huge.yaml", vec![b'#'; 2 << 20]);
    std::fs::create_dir_all(folder.0.join("folder.yaml")).unwrap();
    assert_eq!(found(&checkpoint).0.image_size, 192);
    // Several are an error that lists them.
    let second = folder.write("second.yml", mini_at(192));
    for path in [&checkpoint, &folder.0] {
        let text = refusal(path);
        for part in [yaml.to_str().unwrap(), second.to_str().unwrap(), checkpoint.to_str().unwrap(), "--config"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("docker"), "{text}");
    }
    let given = LoadOptions { config: Some(second.clone()), ..options() };
    assert_eq!(config_of(&checkpoint, &given).unwrap().1, second.display().to_string());
    // The file with the checkpoint's own name is used.
    let own = folder.write("best.yaml", mini_at(64));
    let (config, from) = found(&checkpoint);
    assert_eq!((config.image_size, from), (64, own.display().to_string()));
    // A file that is used and broken is an error that names it.
    folder.write("best.yaml", mini_at(64).replace("embed_dim: 16", "embed_dim: [16"));
    assert!(refusal(&checkpoint).contains("best.yaml"));
    folder.write("best.yaml", mini_at(100));
    assert!(refusal(&checkpoint).contains("best.yaml") && refusal(&checkpoint).contains("image_size"));
    // A file that contradicts the tensors is an error that names both.
    folder.write("best.yaml", VARIANTS[0].yaml);
    let text = refusal(&checkpoint);
    assert!(text.contains("best.yaml") && text.contains("best.safetensors"), "{text}");
}

#[test]
fn hugging_faces_configuration_is_honoured() {
    let folder = Folder::new("hf");
    let checkpoint = folder.copy(&weights("mini21_hf.safetensors").to_string_lossy(), "model.safetensors");
    let write = |json: &Value| folder.write("config.json", json.to_string());
    let json = write(&mini_json());
    let want = Config::parse(&yaml("mini21"), &[], true).unwrap();
    for path in [&checkpoint, &folder.0] {
        let ((config, from), notes) = warnings_of(|| found(path));
        assert_eq!((&config, from), (&want, json.display().to_string()));
        assert!(notes.is_empty(), "{notes:?}");
    }
    // Named as a configuration, and given as text.
    let named = LoadOptions { config: Some(json.clone()), ..options() };
    assert_eq!(config_of(&file(MINI), &named).unwrap().0, want);
    assert_eq!(Config::parse(&mini_json().to_string(), &[], true).unwrap(), want);
    // Its contents.
    let mut at_64 = mini_json();
    at_64["image_size"] = json!(64);
    at_64["prompt_encoder_config"]["image_size"] = json!(64);
    at_64["vision_config"]["backbone_config"]["image_size"] = json!([64, 64]);
    at_64["multimask_output_for_tracking"] = json!(false);
    at_64["max_cond_frame_num"] = json!(4);
    at_64["max_object_pointers_in_encoder"] = json!(8);
    at_64["mask_decoder_config"] = json!({"dynamic_multimask_stability_thresh": 0.5});
    at_64["rope_parameters"] = json!({"rope_theta": 5000.0});
    write(&at_64);
    let config = found(&checkpoint).0;
    assert_eq!((config.image_size, config.dynamic_multimask), (64, Some((0.05, 0.5))));
    let m = &config.memory;
    assert_eq!((m.max_cond_frames_in_attn, m.max_obj_ptrs_in_encoder, m.rope_theta), (Some(4), 8, 5000.0));
    assert!(!m.multimask_output_for_tracking);
    let plain = LoadOptions { postprocessing: false, ..options() };
    assert_eq!(config_of(&checkpoint, &plain).unwrap().0.dynamic_multimask, None);
    let larger = LoadOptions { image_size: Some(256), ..options() };
    assert_eq!(config_of(&checkpoint, &larger).unwrap().0.image_size, 256);
    // It contradicts itself, the tensors, or the abilities of the engine.
    for (key, value, text) in [
        (
            "/image_size",
            json!(512),
            "vision_config.backbone_config.image_size: is 64, which contradicts image_size, 512",
        ),
        ("/vision_config/backbone_config/image_size", json!([64, 96]), "only equal height and width"),
        ("/vision_config/backbone_config/embed_dim_per_stage", json!([24, 48, 96, 192]), "contradicts"),
        ("/vision_config/backbone_config/blocks_per_stage", json!([1, 2, 7, 2]), "model.safetensors"),
        ("/memory_encoder_output_channels", json!(32), "model.safetensors"),
        ("/num_maskmem", json!(5), "model.safetensors"),
        ("/memory_attention_feed_forward_hidden_act", json!("gelu"), "only relu is implemented"),
        ("/enable_occlusion_spatial_embedding", json!("yes"), "expected true or false"),
    ] {
        let mut changed = at_64.clone();
        match changed.pointer_mut(key) {
            Some(old) => *old = value,
            None => changed[&key[1..]] = value,
        }
        write(&changed);
        let got = refusal(&checkpoint);
        assert!(got.contains(text) && got.contains("config.json"), "{key}: {got}");
    }
    // Another file beside it: one that agrees, and one that contradicts it.
    write(&at_64);
    folder.write("mini21.yaml", mini_at(128));
    let got = refusal(&checkpoint);
    assert!(got.contains("mini21.yaml") && got.contains("config.json"), "{got}");
    write(&mini_json());
    assert_eq!(found(&checkpoint).0, want);
    folder.write("mini21.yaml", mini_at(64));
    let got = refusal(&checkpoint);
    assert!(got.contains("mini21.yaml") && got.contains("config.json") && got.contains("64 and 128"), "{got}");
    folder.remove("mini21.yaml");
    // Another kind of model.
    write(&json!({"model_type": "sam3", "vision_config": {"image_size": 1008}}));
    assert!(refusal(&checkpoint).contains("no published model"));
}

#[test]
fn hugging_faces_configurations_of_published_models_are_those_of_the_reference() {
    let text = std::fs::read_to_string(file("tests/data/configs/hugging_face.json")).unwrap();
    let tiny: Value = serde_json::from_str(&text).unwrap();
    for variant in VARIANTS.iter().filter(|v| !v.is_demo()) {
        let want = Config::parse(variant.yaml, &[], true).unwrap();
        let (mut json, t) = (tiny.clone(), &want.trunk);
        let stages = |first: usize| [first, 2 * first, 4 * first, 8 * first];
        let backbone = &mut json["vision_config"]["backbone_config"];
        backbone["hidden_size"] = json!(t.embed_dim);
        backbone["num_attention_heads"] = json!(t.num_heads);
        backbone["embed_dim_per_stage"] = json!(stages(t.embed_dim));
        backbone["num_attention_heads_per_stage"] = json!(stages(t.num_heads));
        backbone["blocks_per_stage"] = json!(t.stages);
        backbone["global_attention_blocks"] = json!(t.global_att_blocks);
        backbone["window_size_per_stage"] = json!(t.window_spec);
        backbone["window_positional_embedding_background_size"] = json!(t.window_pos_embed_bkg_spatial_size);
        let mut channels = stages(t.embed_dim);
        channels.reverse();
        json["vision_config"]["backbone_channel_list"] = json!(channels);
        let is_new = variant.name.starts_with("sam2.1");
        json["enable_temporal_pos_encoding_for_object_pointers"] = json!(is_new);
        json["enable_occlusion_spatial_embedding"] = json!(is_new);
        assert_eq!(Config::parse(&json.to_string(), &[], true).unwrap(), want, "{}", variant.name);
        // Of the image part alone, where missing keys follow from the tensors.
        let half = json!({"model_type": "sam2", "vision_config": json["vision_config"]});
        assert_eq!(
            Config::parse_over(Some(variant.yaml), &half.to_string(), &[], true).unwrap(),
            want,
            "{}",
            variant.name
        );
    }
}

/// A configuration of the reference's trainer with another model.
fn trainers(yaml: &str, size: &str) -> String {
    let model: String = yaml
        .lines()
        .skip_while(|line| !line.starts_with("model:"))
        .map(|line| match line.trim_start() {
            l if l.starts_with("image_size:") => format!("    image_size: {size}\n"),
            _ => format!("  {line}\n"),
        })
        .collect();
    format!(
        "# @package _global_\nscratch:\n  resolution: 512\n  side: ${{scratch.resolution}}\n  num_epochs: 40\n  loop: ${{scratch.loop}}\n\
         dataset:\n  img_folder: null\ntrainer:\n  _target_: training.trainer.Trainer\n  \
         max_epochs: ${{times:${{scratch.num_epochs}},1}}\n{model}    prob_to_use_pt_input_for_train: 0.5\n    \
         num_frames_to_correct_for_train: 2\n    add_all_frames_to_correct_as_cond: true\n    \
         forward_backbone_per_frame_for_eval: true\n  data:\n    train: null\nlauncher:\n  num_nodes: 1\n"
    )
}

#[test]
fn a_trainers_configuration_says_so_and_gives_its_model() {
    for variant in VARIANTS {
        let text = trainers(variant.yaml, "${scratch.resolution}");
        let want = Config::parse(variant.yaml, &["model.image_size=512".into()], true).unwrap();
        let (got, notes) = warnings_of(|| Config::parse(&text, &[], true).unwrap());
        assert_eq!(got, want, "{}", variant.name);
        assert_eq!(notes, ["the configuration is a trainer's: its trainer.model is the model"]);
    }
    let text = |size: &str| trainers(VARIANTS[4].yaml, size);
    let parse = |size: &str, overrides: &[&str]| {
        let overrides: Vec<String> = overrides.iter().map(|s| s.to_string()).collect();
        Config::parse(&text(size), &overrides, true)
    };
    let size = |size: &str, overrides: &[&str]| parse(size, overrides).unwrap().image_size;
    // References, and overrides that are applied before references are resolved, as in Hydra.
    assert_eq!(size("${scratch.side}", &[]), 512);
    assert_eq!(size("${scratch.side}", &["scratch.resolution=256"]), 256);
    assert_eq!(size("${scratch.side}", &["++model.image_size=768"]), 768);
    assert_eq!(size("1024", &["trainer.model.image_size=640"]), 640);
    for wrong in ["${scratch.loop}", "${scratch.none}", "${times:${scratch.side},2}", "${scratch}", "${}"] {
        match parse(wrong, &[]) {
            Err(Error::Config { key, what }) => assert!(key == "model.image_size" && what.contains("${"), "{what}"),
            other => panic!("{wrong}: {other:?}"),
        }
    }
    // Beside a checkpoint.
    let folder = Folder::new("trainer");
    let checkpoint = folder.copy(MINI, "checkpoint.safetensors");
    folder.write("config_resolved.yaml", trainers(&yaml("mini21"), "192"));
    let ((config, from), notes) = warnings_of(|| found(&checkpoint));
    assert_eq!((config.image_size, notes.len()), (192, 1), "{notes:?}");
    assert!(from.ends_with("config_resolved.yaml"), "{from}");
}

#[test]
fn a_size_that_nothing_tells_is_noted() {
    let notes = |path: &Path, options: &LoadOptions| warnings_of(|| config_of(path, options).unwrap()).1;
    // The name of the published file is enough.
    assert!(notes(&file(DEMO), &options()).is_empty());
    assert!(notes(&file("demo"), &options()).is_empty());
    let folder = Folder::new("size");
    let checkpoint = folder.copy(DEMO, "checkpoint_40.safetensors");
    let [note] = &notes(&checkpoint, &options())[..] else { panic!("no note") };
    for part in ["checkpoint_40.safetensors", "256 pixels", "sam2.1_hiera_demo", "--image-size"] {
        assert!(note.contains(part), "{note}");
    }
    assert_eq!(notes(&folder.0, &options()).len(), 1);
    // With an explicit size there is no note.
    for options in [
        LoadOptions { image_size: Some(128), ..options() },
        LoadOptions { overrides: vec!["++model.image_size=128".into()], ..options() },
        LoadOptions { config: Some("sam2.1_hiera_demo".into()), ..options() },
    ] {
        assert!(notes(&checkpoint, &options).is_empty());
    }
    // A configuration beside it is enough too, and may set the size alone.
    folder.write("config.json", r#"{"model_type": "sam2_video", "image_size": 128}"#);
    assert!(notes(&checkpoint, &options()).is_empty());
    assert_eq!(found(&checkpoint).0.image_size, 128);
    for (name, file) in [
        ("sam2_hiera_t", "sam2_hiera_tiny.pt"),
        ("sam2_hiera_b+", "some/folder/sam2_hiera_base_plus.pt"),
        ("sam2.1_hiera_l", "sam2.1_hiera_large.safetensors"),
        ("sam2.1_hiera_s", "sam2.1_hiera_s.pt"),
        ("sam2.1_hiera_t", "sam2.1_hiera_tiny-fp16.safetensors"),
    ] {
        let is = |file: &str| VARIANTS.iter().find(|v| v.name == name).unwrap().is_published_as(Path::new(file));
        assert!(is(file) && !is("checkpoint.pt") && !is("sam2.1_hiera_large_finetuned.pt") && !is("sam2.1_hiera_x.pt"));
    }
}

#[test]
fn a_name_is_a_configuration_of_a_checkpoint_in_memory_too() {
    let checkpoint = Checkpoint::from_bytes("in memory", std::fs::read(file(DEMO)).unwrap()).unwrap();
    let load = |config: &str| {
        let options = LoadOptions { config: Some(config.into()), image_size: Some(64), threads: 1, ..options() };
        sam2::load_checkpoint(&checkpoint, None, &options)
    };
    assert_eq!(load("configs/sam2.1/sam2.1_hiera_demo.yaml").unwrap().config().image_size, 64);
    assert!(matches!(load("sam2_hiera_t").err(), Some(Error::Checkpoint { .. })));
    assert!(matches!(load("none").err(), Some(Error::Io { .. })));
}

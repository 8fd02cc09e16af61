//! Checkpoints in every form, configurations, and the recognition of models.

mod common;

use common::*;
use sam2::{
    Checkpoint, Config, Error, Frame, LoadOptions, PredictOptions, Prediction, Prompt, Size, VARIANTS, Variant,
};
use std::collections::BTreeMap;
use std::io::{Seek, SeekFrom};

fn predict(name: &str, options: LoadOptions) -> Prediction {
    let config = Some(file("tests/reference/configs/mini21.yaml"));
    let model = sam2::load(weights(name), &LoadOptions { config, ..options }).unwrap();
    let mut predictor = model.image_predictor(Default::default()).unwrap();
    let picture = sam2::picture::read(file("tests/data/inputs/coffee.png")).unwrap();
    predictor.set_image(&picture.frame().unwrap()).unwrap();
    let options = PredictOptions { return_logits: true, ..Default::default() };
    predictor.predict(&[Prompt::new().point(99.0, 65.5, 1)], options).unwrap()
}

#[test]
fn every_form_gives_the_same_bits() {
    let want = predict("mini21.safetensors", options());
    assert_eq!(predict("mini21.pt", options()), want);
    assert_eq!(predict("mini21_hf.safetensors", options()), want);
    let read = LoadOptions { mmap: false, ..options() };
    assert_eq!(predict("mini21.pt", read), want);
}

#[test]
fn forms_hold_the_same_tensors() {
    let open = |form: &str| Checkpoint::open(weights(&format!("mini21{form}"))).unwrap();
    let want = open(".safetensors");
    for form in [".pt", "_hf.safetensors"] {
        let got = open(form);
        assert_eq!(got.names().collect::<Vec<_>>(), want.names().collect::<Vec<_>>(), "{form}");
        for name in want.names() {
            let (a, b) = (got.get(name).unwrap(), want.get(name).unwrap());
            assert!((a.dtype, a.shape, a.bytes) == (b.dtype, b.shape, b.bytes), "{form} {name}");
        }
    }
}

#[test]
fn a_trainers_checkpoint_is_read_past_everything_but_the_model() {
    let got = Checkpoint::open(file("tests/data/weights/trainer.pt")).unwrap();
    let want = Checkpoint::open(file("tests/data/weights/trainer.safetensors")).unwrap();
    assert_eq!(got.names().collect::<Vec<_>>(), ["bias", "weight"]);
    for name in want.names() {
        assert_eq!(got.get(name).unwrap().shape, want.get(name).unwrap().shape);
        assert_eq!(got.get(name).unwrap().bytes, want.get(name).unwrap().bytes);
    }
}

#[test]
fn every_name_of_hugging_face_is_known() {
    for size in ["t", "s", "b+", "l"] {
        let tensors = official_tensors(size, true);
        // Each tensor is marked with its row in the table, so that an exchange is detected.
        let mut file: BTreeMap<String, Vec<f32>> = BTreeMap::new();
        for (i, (_, _, hf)) in tensors.iter().enumerate() {
            match hf.split_once(' ') {
                Some((name, row)) => {
                    file.entry(name.into()).or_insert_with(|| vec![0.0; 4])[row.parse::<usize>().unwrap()] = i as f32
                }
                None => drop(file.insert(hf.clone(), vec![i as f32])),
            }
        }
        let shape = |v: &Vec<f32>| if v.len() == 4 { vec![4, 1] } else { vec![1] };
        let views = file.iter().map(|(name, v)| (name.clone(), shape(v), bytemuck::cast_slice(v)));
        let checkpoint = Checkpoint::from_bytes("test", safetensors_file(views)).unwrap();
        let want: BTreeMap<&str, f32> =
            tensors.iter().enumerate().map(|(i, (name, _, _))| (name.as_str(), i as f32)).collect();
        let got: BTreeMap<&str, f32> =
            checkpoint.names().map(|name| (name, checkpoint.get(name).unwrap().to_f32().unwrap()[0])).collect();
        assert_eq!(got, want, "{size}");
    }
}

#[test]
fn a_model_takes_what_its_published_checkpoint_has() {
    for variant in VARIANTS.iter().filter(|v| !v.is_demo()) {
        let config = Config::parse(variant.yaml, &[], true).unwrap();
        let (v21, size) = (variant.name.starts_with("sam2.1"), variant.name.rsplit('_').next().unwrap());
        let published: BTreeMap<String, Vec<usize>> =
            official_tensors(size, v21).into_iter().map(|(name, shape, _)| (name, shape)).collect();
        let list = |tracking| -> BTreeMap<String, Vec<usize>> {
            let shapes = if tracking { config.tensor_shapes() } else { config.image_tensor_shapes() };
            shapes.unwrap().into_iter().collect()
        };
        assert_eq!(list(true), published, "{}", variant.name);
        assert!(list(false).iter().all(|(name, shape)| published.get(name) == Some(shape)), "{}", variant.name);
    }
}

#[test]
fn models_are_recognised_by_their_tensors() {
    for variant in VARIANTS.iter().filter(|v| !v.is_demo()) {
        let (v21, size) = (variant.name.starts_with("sam2.1"), variant.name.rsplit('_').next().unwrap());
        let tensors = official_tensors(size, v21);
        // Only shapes matter. So they are small except for the width, which is as published.
        let values = vec![0u8; 2 << 20];
        let few = tensors.iter().filter(|(name, shape, _)| {
            shape.iter().product::<usize>() < 1 << 18
                && (name.contains("norm1") || name.contains("obj_ptr") || name.contains("pos_embed_window"))
        });
        let views =
            few.map(|(name, shape, _)| (name.clone(), shape.clone(), &values[..2 * shape.iter().product::<usize>()]));
        let checkpoint = Checkpoint::from_bytes("test", safetensors_file(views)).unwrap();
        assert_eq!(Variant::of(&checkpoint).unwrap().name, variant.name);
    }
    let demo = Checkpoint::open(file("demo")).unwrap();
    assert_eq!(Variant::of(&demo).unwrap().name, "sam2.1_hiera_demo");
    let mini = Checkpoint::open(file("tests/data/weights/mini21.safetensors")).unwrap();
    let Err(Error::Checkpoint { what, .. }) = Variant::of(&mini) else { panic!("not a published model") };
    assert!(what.contains("16 channels and 9 blocks"), "{what}");
}

#[test]
fn configurations_and_overrides() {
    let yaml = VARIANTS.iter().find(|v| v.name == "sam2.1_hiera_l").unwrap().yaml;
    let config = Config::parse(yaml, &[], true).unwrap();
    let blocks: Vec<_> = config.trunk.blocks().collect();
    assert_eq!((config.image_size, config.d_model, blocks.len()), (1024, 256, 48));
    assert_eq!(config.dynamic_multimask, Some((0.05, 0.98)));
    // The first block of a stage pools its queries and still has the windows of the previous stage.
    let pools: Vec<(usize, usize)> =
        blocks.iter().enumerate().filter(|(_, b)| b.q_pool).map(|(i, b)| (i, b.window)).collect();
    assert_eq!(pools, [(2, 8), (8, 4), (44, 16)]);
    let global: Vec<usize> = blocks.iter().enumerate().filter(|(_, b)| b.window == 0).map(|(i, _)| i).collect();
    assert_eq!(global, [23, 33, 43]);
    assert_eq!((blocks[47].dim_out, blocks[47].heads, blocks[47].window), (1152, 16, 8));

    let with = |overrides: &[&str], post| {
        Config::parse(yaml, &overrides.iter().map(|s| s.to_string()).collect::<Vec<_>>(), post)
    };
    assert_eq!(with(&[], false).unwrap().dynamic_multimask, None);
    assert_eq!(with(&["model.image_size=512"], true).unwrap().image_size, 512);
    let own = ["++model.sam_mask_decoder_extra_args.dynamic_multimask_stability_thresh=0.5"];
    assert_eq!(with(&own, true).unwrap().dynamic_multimask, Some((0.05, 0.5)));
    assert_eq!(
        with(&["model.compile_image_encoder=true", "+model.memory_attention.layer.dropout=0.3"], true).unwrap(),
        config
    );
    // The reference's default for a missing key is not right for every model, so the key must be there.
    for (line, key) in [("      fpn_top_down_levels:", "fpn_top_down_levels"), ("    scalp:", "scalp")] {
        let without = |yaml: &str| yaml.lines().filter(|l| !l.starts_with(line)).collect::<Vec<_>>().join("\n");
        assert_ne!(without(yaml).len(), yaml.trim_end().len(), "{key} is in the file");
        match Config::parse(&without(yaml), &[], true) {
            Err(Error::Config { key: got, .. }) => assert!(got.ends_with(key), "{got}"),
            other => panic!("without {key}: {other:?}"),
        }
    }
    for (setting, key) in [
        ("model.image_size=500", "model.image_size"),
        ("model.image_size=big", "model.image_size"),
        ("model.image_size=1e300", "model.image_size"),
        ("model.new_option=1", "model.new_option"),
        ("model.image_encoder.scalp=2", "model.image_encoder.scalp"),
        ("model.image_encoder.trunk.q_stride=[1,1]", "model.image_encoder.trunk.q_stride"),
        ("model.image_encoder.trunk.stages=[1,2]", "model.image_encoder.trunk.stages"),
        ("model.image_encoder.trunk.num_heads=5", "model.image_encoder.trunk.num_heads"),
        ("model.image_encoder.trunk.global_att_blocks=[99]", "model.image_encoder.trunk.global_att_blocks"),
        ("model.image_encoder.neck.fpn_interp_model=bilinear", "model.image_encoder.neck.fpn_interp_model"),
        ("model.memory_attention.layer.activation=gelu", "model.memory_attention.layer.activation"),
        ("model.use_high_res_features_in_sam=false", "model.use_high_res_features_in_sam"),
        ("model.image_size", "model.image_size"),
        ("model..x=1", "model..x"),
        ("model.image_size.x=1", "model.image_size.x"),
    ] {
        match with(&[setting], true) {
            Err(Error::Config { key: got, .. }) => assert_eq!(got, key, "{setting}"),
            other => panic!("{setting}: {other:?}"),
        }
    }
}

#[test]
fn a_folder_is_opened_by_what_it_holds() {
    let folder = std::env::temp_dir().join(format!("sam2-folder-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    assert!(matches!(Checkpoint::open(&folder), Err(Error::Checkpoint { .. })), "empty");
    let from = weights("mini21.pt");
    std::fs::copy(&from, folder.join("any.pt")).unwrap();
    std::fs::copy(file("tests/reference/configs/mini21.yaml"), folder.join("mini21.yaml")).unwrap();
    let model = sam2::load(&folder, &options()).unwrap();
    assert_eq!(model.config().image_size, 128);
    std::fs::copy(&from, folder.join("second.pt")).unwrap();
    assert!(matches!(Checkpoint::open(&folder), Err(Error::Checkpoint { .. })), "two");
    std::fs::copy(weights("mini21_hf.safetensors"), folder.join("model.safetensors")).unwrap();
    assert!(Checkpoint::open(&folder).unwrap().name().ends_with("model.safetensors"));
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Several parts of one open file are read at once. Each part is complete, and the position of the file stays.
#[test]
fn parts_of_one_file_are_read_at_once() {
    let parts = ["mini20", "mini21"]
        .map(|name| std::fs::read(file(&format!("tests/data/weights/{name}.safetensors"))).unwrap());
    let path = std::env::temp_dir().join(format!("sam2-parts-{}", std::process::id()));
    std::fs::write(&path, parts.concat()).unwrap();
    let mut all = std::fs::File::open(&path).unwrap();
    all.seek(SeekFrom::Start(123)).unwrap();
    let middle = parts[0].len() as u64;
    std::thread::scope(|scope| {
        for (part, range) in parts.iter().zip([0..middle, middle..u64::MAX]) {
            let want = Checkpoint::from_bytes("a part", part.clone()).unwrap();
            // As over the C interface: a separate descriptor shares the position.
            let all = all.try_clone().unwrap();
            scope.spawn(move || {
                for _ in 0..200 {
                    let got = Checkpoint::from_file("a part", &all, range.clone(), false).unwrap();
                    assert!(want.names().eq(got.names()));
                    assert!(want.names().all(|name| want.get(name).unwrap().bytes == got.get(name).unwrap().bytes));
                }
            });
        }
    });
    assert_eq!(all.stream_position().unwrap(), 123);
    std::fs::remove_file(path).unwrap();
}

/// Official configurations with random weights, at a small input size: they load, run and give numbers. SAM 2 differs
/// from SAM 2.1 in what all its sizes share, so the smallest SAM 2 is enough.
#[test]
fn official_models_run() {
    for variant in VARIANTS.iter().filter(|v| !v.is_demo() && (v.name.contains("2.1") || v.name.ends_with("_t"))) {
        let model = random_model(variant, LoadOptions { image_size: Some(224), ..options() });
        let mut predictor = model.guarded_image_predictor(Default::default()).unwrap();
        let picture = sam2::picture::read(file("tests/data/inputs/coffee.png")).unwrap();
        predictor.set_image(&picture.frame().unwrap()).unwrap();
        let p = predictor.predict(&[Prompt::new().point(90.0, 60.0, 1)], Default::default()).unwrap();
        assert!(p.iou_predictions.iter().all(|v| (0.0..=1.0).contains(v)), "{}: {:?}", variant.name, p.iou_predictions);
        assert!(p.low_res_masks.iter().all(|v| v.is_finite()), "{}", variant.name);
        let spread = p.low_res_masks.iter().fold((f32::MAX, f32::MIN), |(a, b), &v| (a.min(v), b.max(v)));
        assert!(spread.1 - spread.0 > 1e-3, "{}: {spread:?}", variant.name);
    }
}

#[test]
fn the_embedding_of_no_memory_is_added_where_the_configuration_says_so() {
    let embedding = |overrides: &[&str]| {
        let yaml = std::fs::read_to_string(file("tests/reference/configs/mini21.yaml")).unwrap();
        let yaml = yaml.lines().filter(|l| !l.contains("directly_add_no_mem_embed")).collect::<Vec<_>>().join("\n");
        let checkpoint = Checkpoint::open(file("tests/data/weights/mini21.safetensors")).unwrap();
        let overrides = overrides.iter().map(|s| s.to_string()).collect();
        let model = sam2::load_checkpoint(&checkpoint, Some(&yaml), &LoadOptions { overrides, ..options() }).unwrap();
        let mut predictor = model.image_predictor(Default::default()).unwrap();
        predictor.set_image(&Frame::rgb8(&[90; 48], Size::new(4, 4)).unwrap()).unwrap();
        (predictor.get_image_embedding().unwrap(), checkpoint.get("no_mem_embed").unwrap().to_f32().unwrap())
    };
    // If it is missing, it is off, as in the reference.
    let (off, vector) = embedding(&[]);
    let map_pixels = off.height * off.width;
    assert_eq!(embedding(&["+model.directly_add_no_mem_embed=false"]).0, off);
    let (on, _) = embedding(&["+model.directly_add_no_mem_embed=true"]);
    for (i, (on, off)) in on.values.iter().zip(&off.values).enumerate() {
        assert_eq!(*on, off + vector[i / (map_pixels)]);
    }
}

#[test]
fn a_checkpoint_must_fit_its_configuration() {
    let mini21 = Checkpoint::open(file("tests/data/weights/mini21.safetensors")).unwrap();
    let yaml = std::fs::read_to_string(file("tests/reference/configs/mini21.yaml")).unwrap();
    let names: Vec<&str> = mini21.names().collect();
    let rebuilt = |change: &dyn Fn(&str) -> Option<(String, Vec<usize>)>| {
        let tensors = names.iter().filter_map(|name| {
            let data = mini21.get(name).unwrap();
            change(name).map(|(new, shape)| (new, shape, data.bytes))
        });
        Checkpoint::from_bytes("test", safetensors_file(tensors)).unwrap()
    };
    let same = |name: &str| Some((name.to_string(), mini21.get(name).unwrap().shape.to_vec()));
    let load = |checkpoint: &Checkpoint| sam2::load_checkpoint(checkpoint, Some(&yaml), &options());
    assert!(load(&rebuilt(&same)).is_ok());

    let victim = "image_encoder.trunk.blocks.3.mlp.layers.0.weight";
    let [n, k] = *mini21.get(victim).unwrap().shape else { panic!() };
    let cases: [(&str, Box<dyn Fn(&str) -> Option<(String, Vec<usize>)>>); 4] = [
        ("lacks tensor", Box::new(|name| if name == victim { None } else { same(name) })),
        (
            "unknown tensor image_encoder.trunk.blocks.3.extra",
            Box::new(|name| {
                match name {
                    "no_obj_ptr" => Some(("image_encoder.trunk.blocks.3.extra".into(), vec![1, 64])),
                    _ if name.starts_with("memory_") => None, // so that no tensor of tracking is needed
                    _ => same(name),
                }
            }),
        ),
        ("expected", Box::new(move |name| if name == victim { Some((name.into(), vec![k, n])) } else { same(name) })),
        ("expected", Box::new(move |name| if name == victim { Some((name.into(), vec![n * k])) } else { same(name) })),
    ];
    for (text, change) in &cases {
        match load(&rebuilt(change)) {
            Err(Error::Checkpoint { what, .. }) => assert!(what.contains(text), "{what}"),
            Err(other) => panic!("{text}: {other}"),
            Ok(_) => panic!("{text}: loaded"),
        }
    }
    // A text that is not a number.
    let mut bytes = mini21.get(victim).unwrap().bytes.to_vec();
    bytes[7] = 0xff;
    bytes[6] = 0xff; // mini21 is bf16: its fourth value
    let broken = names.iter().map(|name| {
        let data = mini21.get(name).unwrap();
        (name.to_string(), data.shape.to_vec(), if *name == victim { &bytes[..] } else { data.bytes })
    });
    let broken = Checkpoint::from_bytes("test", safetensors_file(broken)).unwrap();
    match load(&broken) {
        Err(Error::Checkpoint { what, .. }) => assert!(what.contains(victim) && what.contains("value 3"), "{what}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("NaN loaded"),
    }
    // The checkpoint of another model.
    let mini20 = Checkpoint::open(file("tests/data/weights/mini20.safetensors")).unwrap();
    assert!(matches!(load(&mini20), Err(Error::Checkpoint { .. })));
    // Tensors that only tracking uses may be missing: Hugging Face publishes files of the image part alone.
    let image_half =
        rebuilt(&|name| if name.starts_with("memory_") || name.starts_with("obj_ptr") { None } else { same(name) });
    assert!(load(&image_half).is_ok());
}

#[test]
fn pictures_of_any_format_and_stride() {
    let model = demo();
    let mut predictor = model.image_predictor(Default::default()).unwrap();
    let picture = sam2::picture::read(file("demo/samples/images/image1.png")).unwrap();
    predictor.set_image(&picture.frame().unwrap()).unwrap();
    let want = predictor.get_image_embedding().unwrap().values;
    let (w, h) = (picture.width, picture.height);
    let bgra: Vec<u8> = picture
        .pixels
        .chunks(w * 3)
        .flat_map(|row| {
            let mut bytes: Vec<u8> = row.chunks(3).flat_map(|p| [p[2], p[1], p[0], 77]).collect();
            bytes.extend([1, 2, 3, 4, 5]);
            bytes
        })
        .collect();
    predictor.set_image(&Frame::new(sam2::PixelFormat::Bgra8, &bgra, Size::new(w, h), w * 4 + 5).unwrap()).unwrap();
    assert_eq!(predictor.get_image_embedding().unwrap().values, want);
    let floats: Vec<f32> = picture.pixels.iter().map(|&v| v as f32 / 255.0).collect();
    predictor.set_image(&Frame::rgb_f32(&floats, Size::new(w, h)).unwrap()).unwrap();
    assert_close("float pixels", &predictor.get_image_embedding().unwrap().values, &want, 1e-5);
}

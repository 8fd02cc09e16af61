//! Damaged and hostile input gives a typed error that names the problem, quickly and without a large allocation.

mod common;
#[path = "common/allocator.rs"]
mod counting;
#[path = "common/fuzzing.rs"]
mod fuzzing;

use common::*;
use proptest::prelude::*;
use sam2::engine::cpu::{Cpu, simd::Isa};
use sam2::{
    Checkpoint, Config, Device, Error, Frame, ImagePredictorOptions, LoadOptions, MaskBuffer, PixelFormat, Precision,
    PredictOptions, PredictionBuffers, Prompt, ReserveOptions, Size, VARIANTS, picture,
};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

/// Runs `work`, which must take less than a second (five, on a busy machine) and `megabytes` of memory.
fn quickly<T>(what: &str, megabytes: isize, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let (result, peak) = counting::peak_of(work);
    let time = start.elapsed();
    assert!(time < Duration::from_secs(5), "{what}: {time:?}");
    assert!(peak < megabytes << 20, "{what}: {peak} bytes");
    result
}

fn refused_checkpoint(what: &str, bytes: Vec<u8>) -> String {
    let megabytes = 8 + 2 * (bytes.len() as isize >> 20);
    match quickly(what, megabytes, || Checkpoint::from_bytes("test", bytes)) {
        Err(Error::Checkpoint { what, .. }) => what,
        Err(other) => panic!("{what}: {other}"),
        Ok(_) => panic!("{what}: accepted"),
    }
}

#[test]
fn every_prefix_of_a_header_and_256_cuts_of_each_file() {
    for name in ["mini21.safetensors", "mini21.pt", "mini21_hf.safetensors"] {
        let whole = std::fs::read(weights(name)).unwrap();
        let cuts = (0..4096).chain((0..256).map(|i| whole.len() * i / 256)).chain([whole.len() - 1]);
        for cut in cuts {
            refused_checkpoint(&format!("{name} cut at {cut}"), whole[..cut].to_vec());
        }
    }
}

#[test]
fn files_that_are_no_checkpoint() {
    for (what, bytes, text) in [
        ("empty", vec![], "an empty file"),
        ("a byte", vec![1], "1 bytes are too few"),
        ("text", b"hello, this is not a checkpoint".to_vec(), "neither safetensors nor"),
        ("a PNG", std::fs::read(file("demo/pictures/coffee.png")).unwrap(), "neither safetensors nor"),
        ("zeros", vec![0; 1000], "neither safetensors nor"),
        ("a legacy .pt", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.".to_vec(), "legacy PyTorch file"),
        ("a zip", b"PK\x03\x04 not really".to_vec(), "cut short"),
        ("a broken zip", b"PK\x03\x04 PK\x05\x06 not really".to_vec(), "damaged zip"),
    ] {
        let got = refused_checkpoint(what, bytes);
        assert!(got.contains(text), "{what}: {got}");
    }
    assert!(matches!(Checkpoint::open("/nonexistent/x.pt"), Err(Error::Io { .. })));
    assert!(matches!(Checkpoint::read("/nonexistent/x.pt"), Err(Error::Io { .. })));
}

fn safetensors(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 1);
    bytes
}

#[test]
fn headers_that_lie() {
    let entry = |dtype: &str, shape: &str, from: u64, to: u64| {
        format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{from},{to}]}}}}"#)
    };
    for (what, header, data) in [
        ("too large a shape", entry("F32", "[3]", 0, 8), 8),
        ("too small a shape", entry("F32", "[1]", 0, 8), 8),
        ("an overflowing shape", entry("F32", "[4611686018427387904,4]", 0, 8), 8),
        ("another overflowing shape", entry("F32", "[18446744073709551615]", 0, 8), 8),
        ("offsets past the end", entry("F32", "[2]", 8, 16), 8),
        ("offsets in reverse", entry("F32", "[2]", 8, 0), 8),
        ("bytes left over", entry("F32", "[2]", 0, 8), 9),
        ("an integer tensor", entry("I64", "[1]", 0, 8), 8),
        ("a type that is none", entry("F7", "[1]", 0, 8), 8),
        ("a negative size", entry("F32", "[-2]", 0, 8), 8),
        ("no JSON", "{\"a\":".into(), 8),
        ("deep JSON", format!("{{\"a\":{}", "[".repeat(100_000)), 0),
    ] {
        refused_checkpoint(what, safetensors(&header, data));
    }
    // A header of millions of tensors is refused before it is parsed.
    let many = format!("{{{}", r#""x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"#.repeat(300_000));
    refused_checkpoint("many tensors", safetensors(&many, 0));
    // A header of odd length puts the tensors at odd addresses, which is allowed.
    let odd = safetensors(&format!("{} ", entry("F32", "[2]", 0, 8)), 8);
    assert!(odd.len() % 2 == 1);
    let checkpoint = Checkpoint::from_bytes("odd", odd).unwrap();
    assert_eq!(checkpoint.get("a").unwrap().to_f32().unwrap(), [f32::from_bits(0x0101_0101); 2]);
}

#[test]
fn pickles_that_attack() {
    let many = |op: &[u8], n: usize| [b"\x80\x02".to_vec(), op.repeat(n), b".".to_vec()].concat();
    // A storage whose key is a long text that is named a million times, and a class of the same kind.
    let long = [b"X\0\0\x40\0".to_vec(), vec![b'k'; 4 << 20]].concat();
    let storage = [b"(X\x07\0\0\0storagectorch\nFloatStorage\n", &long[..], b"X\x03\0\0\0cpuK\x01tq\0"].concat();
    let class = [b"c", &vec![b'k'; 4 << 20][..], b"\nC\nq\0"].concat();
    let again =
        |first: &[u8], op: &[u8]| [b"\x80\x02".to_vec(), first.to_vec(), op.repeat(200_000), b".".to_vec()].concat();
    let cases: [(&str, Vec<u8>); 14] = [
        ("a long storage", again(&storage, b"h\0Q0")),
        ("a long class", again(&class, b"h\0)R0")),
        ("code", b"cos\nsystem\nX\x04\0\0\0true\x85R.".to_vec()),
        ("code in the model", b"}X\x05\0\0\0model}X\x01\0\0\0wcos\nsystem\nX\x04\0\0\0true\x85Rss.".to_vec()),
        ("built by name", b"\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.".to_vec()),
        ("deep lists", [many(b"]", 900_000), b"a".repeat(899_999), b".".to_vec()].concat()),
        ("many values", many(b"N", 6_000_000)),
        ("a tower of copies", many(b"2", 6_000_000)),
        ("many marks", many(b"(", 6_000_000)),
        ("a long text", b"X\xff\xff\xff\xff".to_vec()),
        ("a longer text", b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()),
        ("nothing", b"".to_vec()),
        ("an unknown operation", b"\xffN.".to_vec()),
        ("takes what is not there", b"\x80\x02sss.".to_vec()),
    ];
    for (what, pickle) in cases {
        // Values cost memory, but never more than their limit allows.
        let bytes = fuzzing::pt_file(&pickle);
        match quickly(what, 200, || Checkpoint::from_bytes("test", bytes)) {
            Err(Error::Checkpoint { .. }) => {}
            Err(other) => panic!("{what}: {other}"),
            Ok(_) => panic!("{what}: accepted"),
        }
    }
}

/// Class names that are joined from long texts, of five bytes each time.
#[test]
fn class_names_take_no_more_memory_than_their_file() {
    let text = |letter: u8| [&b"X\xea\x01\0\0"[..], &[letter; 490]].concat();
    let names = b"h\0h\x01\x93".repeat(1_000_000);
    let pickle = [b"\x80\x04", &text(b'm')[..], b"q\0", &text(b'c'), b"q\x01", &names, b"."].concat();
    let said = refused_checkpoint("class names", fuzzing::pt_file(&pickle));
    assert!(said.contains("bytes of class names"), "{said}");
}

#[test]
fn configurations_that_attack() {
    let bomb = ["a: &a [x,x,x,x,x,x,x,x,x]".to_string()]
        .into_iter()
        .chain((b'b'..=b'i').map(|c| {
            let (c, before) = (c as char, (c - 1) as char);
            format!("{c}: &{c} [{}]", vec![format!("*{before}"); 9].join(","))
        }))
        .collect::<Vec<_>>()
        .join("\n");
    let deep_block: String = (0..700).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
    for (what, yaml) in [
        ("empty", String::new()),
        ("a list", "[1, 2]".into()),
        ("no model", "other: 1".into()),
        ("not YAML", "a: [1".into()),
        ("aliases", bomb),
        ("deep brackets", "[".repeat(200_000)),
        ("deep braces", "{a: ".repeat(20_000)),
        ("deep dashes", "- ".repeat(100_000)),
        ("deep blocks", deep_block),
        ("a large file", "# comment\n".repeat(200_000)),
        ("huge numbers", "model: {image_size: 1e400, num_maskmem: 99999999999999999999}".into()),
        ("a tag", "model: !!python/object/apply:os.system [\"true\"]".into()),
        ("keys that are no names", "model: {1: 2, [a]: b}".into()),
    ] {
        match quickly(what, 300, || Config::parse(&yaml, &[], true)) {
            Err(Error::Config { .. }) => {}
            other => panic!("{what}: {other:?}"),
        }
    }
    // A width that does not fit the neck, and depths beyond any model.
    let tiny = VARIANTS.iter().find(|v| v.name == "sam2.1_hiera_t").unwrap().yaml;
    for setting in ["model.image_encoder.trunk.embed_dim=512", "model.image_encoder.trunk.stages=[1,2,3,100000]"] {
        match quickly(setting, 300, || Config::parse(tiny, &[setting.into()], true)) {
            Err(Error::Config { .. }) => {}
            other => panic!("{setting}: {other:?}"),
        }
    }
}

#[test]
fn cut_and_exploding_pictures() {
    for name in ["demo/pictures/rocket.jpg", "demo/pictures/chelsea.png", "tests/data/inputs/coffee.png"] {
        let whole = std::fs::read(file(name)).unwrap();
        assert!(picture::decode(name, &whole).is_ok());
        for i in 0..256 {
            let cut = whole.len() * i / 256;
            match picture::decode(name, &whole[..cut]) {
                Err(Error::Picture { .. }) => {}
                other => panic!("{name} cut at {cut}: {:?}", other.map(|p| (p.width, p.height))),
            }
        }
        let short = picture::decode(name, &whole[..whole.len() - 1]);
        match name.ends_with(".jpg") {
            // Only the end marker is cut: all data are there.
            true => assert!(short.unwrap() == picture::decode(name, &whole).unwrap(), "{name} without its last byte"),
            false => assert!(short.is_err(), "{name} without its last byte"),
        }
    }
    let bomb = std::fs::read(file("tests/data/bombs/png")).unwrap();
    let result = quickly("a PNG of 60000x60000", 8, || picture::decode("bomb", &bomb));
    assert!(matches!(result, Err(Error::Picture { .. })), "{result:?}");
    for (name, megabytes) in [
        ("pnm", 8),
        ("pam", 8),
        ("bmp", 8),
        ("gif", 8),
        ("gif_frame", 8),
        ("tiff_strips", 8),
        // The largest size, in formats where few bytes may be a large image. Decoding takes its own memory and no more.
        ("tiff", 512),
        ("webp", 1024),
    ] {
        let bomb = std::fs::read(file(&format!("tests/data/bombs/{name}"))).unwrap();
        let result = quickly(name, megabytes, || picture::decode(name, &bomb));
        assert!(matches!(result, Err(Error::Picture { .. })), "{name}: {:?}", result.map(|p| (p.width, p.height)));
    }
    for (what, bytes) in [("empty", &b""[..]), ("text", b"hello"), ("a GIF", b"GIF89a"), ("a marker", b"\xff\xd8")] {
        assert!(matches!(picture::decode(what, bytes), Err(Error::Picture { .. })), "{what}");
    }
    assert!(matches!(picture::read("/nonexistent.png"), Err(Error::Io { .. })));
}

/// `5 + 2064 * n` bytes of the value 144 as zlib packs them with fixed codes: five values, then repetitions of 258.
fn packed(n: usize) -> Vec<u8> {
    let bytes = |bits: String| -> Vec<u8> {
        let byte = |bits: &[u8]| bits.iter().enumerate().fold(0, |byte, (i, &bit)| byte | (bit - b'0') << i);
        bits.as_bytes().chunks(8).map(byte).collect()
    };
    // The last block, of fixed codes; both this and eight repetitions are whole bytes.
    let head = bytes(format!("110{}", "110010000".repeat(5)));
    let repetitions = bytes("1100010100000".repeat(8)).repeat(n);
    let size = 5 + 2064 * n as u64;
    let (sum, sums) = (1 + 144 * size, size + 144 * (size * (size + 1) / 2));
    let check = (((sums % 65521) << 16) | (sum % 65521)) as u32;
    [b"\x78\x01", &head[..], &repetitions, b"\0", &check.to_be_bytes()].concat()
}

/// A colour profile, which is not applied, is not unpacked either.
#[test]
fn a_profile_of_half_a_gigabyte_is_passed_over() {
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        let checked = [&kind[..], data].concat();
        [&(data.len() as u32).to_be_bytes()[..], &checked, &crc32fast::hash(&checked).to_be_bytes()].concat()
    };
    let plain = picture::Picture { pixels: vec![7; 12], width: 2, height: 2, format: PixelFormat::Rgb8 };
    let png = picture::encode_png(&plain).unwrap();
    // Behind the header.
    let whole = [&png[..33], &chunk(b"iCCP", &[b"x\0\0", &packed(240_000)[..]].concat()), &png[33..]].concat();
    assert_eq!(quickly("a profile", 4, || picture::decode("profile", &whole)).unwrap(), plain);
}

#[test]
fn prompts_that_cannot_be_meant() {
    let mut predictor = demo().image_predictor(Default::default()).unwrap();
    let picture = picture::read(file("demo/samples/images/image1.png")).unwrap();
    let (w, h) = (picture.width as f32, picture.height as f32);
    let good = Prompt::new().point(10.0, 10.0, 1);
    assert!(matches!(predictor.predict(&[good.clone()], Default::default()), Err(Error::Input(_))), "no picture yet");
    predictor.set_image(&picture.frame().unwrap()).unwrap();
    let before = predictor.predict(&[good.clone()], Default::default()).unwrap();

    let side = predictor.mask_side();
    let (short, nan) = (vec![0.0; side * side - 1], vec![f32::NAN; side * side]);
    let binary =
        [1.0, 255.0].map(|on| (0..side * side).map(|i| if i % 3 == 0 { on } else { 0.0 }).collect::<Vec<f32>>());
    for (what, prompt) in [
        ("must be finite", Prompt::new().point(f32::NAN, 1.0, 1)),
        ("must be finite", Prompt::new().point(1.0, f32::NEG_INFINITY, 1)),
        ("no label 4", Prompt::new().point(1.0, 1.0, 4)),
        ("no label -2", Prompt::new().point(1.0, 1.0, -2)),
        ("wholly outside", Prompt::new().bounds([w + 1.0, 0.0, w + 9.0, 9.0])),
        ("wholly outside", Prompt::new().bounds([-9.0, -9.0, -1.0, h])),
        ("left, top, right, bottom", Prompt::new().bounds([50.0, 10.0, 20.0, 30.0])),
        ("must be finite", Prompt::new().bounds([0.0, 0.0, f32::INFINITY, 3.0])),
        ("4095 values, the model takes 64x64", Prompt::new().mask_input(&short)),
        ("must be finite", Prompt::new().mask_input(&nan)),
        ("a binary mask, not logits", Prompt::new().mask_input(&binary[0])),
        ("a binary mask, not logits", Prompt::new().mask_input(&binary[1])),
        ("1001 points", (0..1001).fold(Prompt::new(), |p, i| p.point(i as f32, 1.0, 1))),
    ] {
        match predictor.predict(&[good.clone(), prompt], Default::default()) {
            Err(Error::Input(text)) => assert!(text.contains(what), "{what}: {text}"),
            other => panic!("{what}: {:?}", other.map(|_| ())),
        }
    }
    // Unusual but valid input: a click outside, a box that reaches outside, a box of one pixel, a thousand clicks.
    for prompt in [
        Prompt::new().point(-50.0, 1e6, 1),
        Prompt::new().bounds([-50.0, -50.0, 2.0 * w, 2.0 * h]),
        Prompt::new().bounds([5.0, 5.0, 5.0, 5.0]),
        (0..1000).fold(Prompt::new(), |p, i| p.point(i as f32 * 0.3, 100.0, i % 2)),
        Prompt::new(),
    ] {
        let p = predictor.predict(&[prompt], Default::default()).unwrap();
        assert!(p.low_res_masks.iter().all(|v| v.is_finite()));
    }
    // Earlier state is not lost.
    assert_eq!(predictor.predict(&[good.clone()], Default::default()).unwrap(), before);
    assert!(predictor.predict(&[], Default::default()).unwrap().iou_predictions.is_empty(), "no prompts, no masks");

    // Buffers of the wrong size.
    let (mut iou, mut masks) = ([0.0; 3], vec![0u8; 7]);
    let out = PredictionBuffers {
        masks: Some(MaskBuffer::binary(&mut masks)),
        iou_predictions: &mut iou,
        low_res_masks: None,
        object_score_logits: None,
    };
    let result = predictor.predict_into(&[good], PredictOptions::default(), out);
    assert!(matches!(&result, Err(Error::Input(text)) if text.contains("buffer masks")), "{result:?}");
}

#[test]
fn pictures_and_options_that_cannot_be_meant() {
    let model = demo();
    let mut predictor = model.image_predictor(Default::default()).unwrap();
    assert!(matches!(predictor.set_image_batch(&[]), Err(Error::Input(_))));
    let mut pixels = vec![0.5f32; 8 * 8 * 3];
    pixels[100] = f32::NAN;
    match predictor.set_image(&Frame::rgb_f32(&pixels, Size::new(8, 8)).unwrap()) {
        Err(Error::Input(text)) => assert!(text.contains("pixel (1, 4)"), "{text}"),
        other => panic!("{other:?}"),
    }
    for (format, w, h, stride) in
        [(PixelFormat::Rgb8, 0, 4, 12), (PixelFormat::Rgb8, 4, 0, 12), (PixelFormat::Gray8, 9, 9, 8)]
    {
        assert!(matches!(Frame::new(format, &[0; 100], Size::new(w, h), stride), Err(Error::Input(_))));
    }
    // The smallest and the thinnest images.
    for (w, h) in [(1, 1), (1, 300), (sam2::MAX_SIDE, 1)] {
        let pixels = vec![200u8; w * h * 3];
        predictor.set_image(&Frame::rgb8(&pixels, Size::new(w, h)).unwrap()).unwrap();
        let p = predictor.predict(&[Prompt::new().point(0.0, 0.0, 1)], Default::default()).unwrap();
        assert!(p.low_res_masks.iter().all(|v| v.is_finite()), "{w}x{h}");
    }
    let nan = ImagePredictorOptions { mask_threshold: f32::NAN, ..Default::default() };
    assert!(matches!(model.image_predictor(nan), Err(Error::Input(_))));
    assert!(matches!(
        predictor.reserve(ReserveOptions { images: 1 << 40, points: 3, mask_input: true }),
        Err(Error::OutOfMemory { .. })
    ));
    for points in [usize::MAX, usize::MAX / 64] {
        assert!(matches!(
            predictor.reserve(ReserveOptions { images: 1, points, mask_input: true }),
            Err(Error::OutOfMemory { .. })
        ));
    }
    // The image is forgotten only if room for more was made.
    predictor.set_image(&Frame::rgb8(&[9; 12], Size::new(2, 2)).unwrap()).unwrap();
    predictor.reserve(ReserveOptions { images: 1, points: 7, mask_input: true }).unwrap();
    assert_eq!(predictor.image_sizes(), [Size::new(2, 2)]);
    predictor.reserve(ReserveOptions { images: 3, points: 7, mask_input: true }).unwrap();
    assert!(predictor.image_sizes().is_empty());

    let load = |options: LoadOptions| sam2::load(file("demo"), &options).map(|_| ());
    let cuda = load(LoadOptions { device: Device::Cuda(0), ..options() });
    assert!(matches!(cuda, Err(Error::Device(_))), "{cuda:?}");
    let f16 = load(LoadOptions { precision: Precision::F16, ..options() });
    assert!(matches!(f16, Err(Error::Device(_))), "{f16:?}");
    // bf16 on a CPU without instructions for it.
    let slow = Cpu::with_isa(1, Isa::Portable).unwrap();
    let bf16 = demo_with(slow, Precision::Bf16, &[]).map(|_| ());
    assert!(matches!(&bf16, Err(Error::Device(m)) if m.contains(&format!("the feature {}", Isa::BF16))), "{bf16:?}");
    assert!(matches!(load(LoadOptions { threads: 1 << 30, ..options() }), Err(Error::Input(_))));
    assert!(matches!(load(LoadOptions { image_size: Some(250), ..options() }), Err(Error::Config { .. })));
    let config = Some("/nonexistent.yaml".into());
    assert!(matches!(load(LoadOptions { config, ..options() }), Err(Error::Io { .. })));
}

/// Replaces, removes and doubles bytes of a valid file.
fn damage(mut bytes: Vec<u8>, changes: &[(u8, usize, u8)]) -> Vec<u8> {
    for &(kind, at, value) in changes {
        if bytes.is_empty() {
            break;
        }
        let at = at % bytes.len();
        match kind % 4 {
            0 => bytes[at] = value,
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, value),
            _ => bytes.truncate(at),
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn damaged_inputs_of_every_kind_are_survived(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<u8>(), any::<usize>(), any::<u8>()), 1..6),
    ) {
        for (name, target) in fuzzing::TARGETS {
            let mut seeds: Vec<_> =
                std::fs::read_dir(file(&format!("fuzz/corpus/{name}"))).unwrap().map(|e| e.unwrap().path()).collect();
            seeds.sort();
            target(&damage(std::fs::read(which.get(&seeds)).unwrap(), &changes));
        }
    }

    #[test]
    fn damaged_checkpoints_give_an_error_or_a_whole_model(
        form in 0usize..3,
        changes in prop::collection::vec((Just(0u8), 0usize..60_000, any::<u8>()), 1..4),
    ) {
        let name = ["mini21.safetensors", "mini21.pt", "mini21_hf.safetensors"][form];
        let bytes = std::fs::read(weights(name)).unwrap();
        if let Ok(checkpoint) = Checkpoint::from_bytes(name, damage(bytes, &changes)) {
            let yaml = std::fs::read_to_string(file("tests/reference/configs/mini21.yaml")).unwrap();
            let options = LoadOptions { threads: 1, ..options() };
            match sam2::load_checkpoint(&checkpoint, Some(&yaml), &options) {
                Ok(_) | Err(Error::Checkpoint { .. }) => {}
                Err(other) => prop_assert!(false, "{}", other),
            }
        }
    }
}

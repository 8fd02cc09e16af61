//! What the fuzz targets call; their corpora are replayed by the tests.

use sam2::rle::Rle;
use sam2::{Checkpoint, Config, Device, Frame, LoadOptions, Model, PixelFormat, Retention, picture};
use std::sync::LazyLock;

#[path = "tiny.rs"]
mod tiny;

/// The targets by name.
pub const TARGETS: [(&str, fn(&[u8])); 7] = [
    ("checkpoint", checkpoint),
    ("pickle", pickle),
    ("config", config),
    ("picture", decode),
    ("prompts", prompts),
    ("rle", rle),
    ("state", state),
];

/// A file of any kind, opened and read to the end.
pub fn checkpoint(data: &[u8]) {
    if let Ok(checkpoint) = Checkpoint::from_bytes("fuzz", data.to_vec()) {
        for name in checkpoint.names() {
            if let Some(tensor) = checkpoint.get(name) {
                let values = tensor.to_f32().expect("a tensor no larger than its file");
                assert_eq!(values.len(), tensor.shape.iter().product::<usize>());
            }
        }
        let _ = sam2::Variant::of(&checkpoint);
    }
}

/// The pickle of a `.pt` file, beside two storages of 64 bytes.
pub fn pickle(data: &[u8]) {
    checkpoint(&pt_file(data));
}

/// A `.pt` file around a pickle.
pub fn pt_file(pickle: &[u8]) -> Vec<u8> {
    use std::io::Write;
    use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in [("archive/data.pkl", pickle), ("archive/data/0", &[1; 64]), ("archive/data/1", &[2; 64])] {
        zip.start_file(name, stored).expect("in memory");
        zip.write_all(bytes).expect("in memory");
    }
    zip.finish().expect("in memory").into_inner()
}

/// A configuration; what follows a zero byte is an override.
pub fn config(data: &[u8]) {
    let mut parts = data.splitn(2, |&b| b == 0).map(String::from_utf8_lossy);
    let yaml = parts.next().unwrap_or_default();
    let overrides: Vec<String> = parts.map(|p| p.into_owned()).collect();
    if let Ok(config) = Config::parse(&yaml, &overrides, true) {
        assert!(config.trunk.blocks().count() >= 4);
    }
}

/// A picture file.
pub fn decode(data: &[u8]) {
    if let Ok(picture) = picture::decode("fuzz", data) {
        picture.frame().expect("a decoded picture is a frame");
    }
    if let Ok(labels) = sam2::labels::decode("fuzz", data) {
        assert_eq!(labels.numbers.len(), labels.width * labels.height);
    }
    let options = picture::ReadOptions { upright: true, bit_depth: Some(12) };
    if let Ok(picture) = picture::decode_with("fuzz", data, &options) {
        picture.frame().expect("a decoded picture is a frame");
    }
}

/// Prompts as JSON.
pub fn prompts(data: &[u8]) {
    if let Ok(prompts) = sam2::parse_prompts(&String::from_utf8_lossy(data)) {
        assert!(!prompts.is_empty());
    }
}

/// COCO's run-length string after a height and a width.
pub fn rle(data: &[u8]) {
    let [h, w, text @ ..] = data else { return };
    if let Ok(rle) = Rle::from_coco(&String::from_utf8_lossy(text), *h as usize, *w as usize) {
        if let Ok(mask) = rle.decode() {
            assert_eq!(Rle::encode(&mask, rle.height, rle.width).area(), rle.area());
        }
        let _ = rle.bbox();
    }
}

static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let manifest = sam2::manifest(&Config::parse(tiny::YAML, &[], true).expect("a configuration"), true);
    let checkpoint = tiny::checkpoint(&manifest.expect("a model"));
    let options = LoadOptions { device: Device::Cpu, threads: 1, image_size: Some(tiny::SIDE), ..Default::default() };
    let checkpoint = Checkpoint::from_bytes("tiny", checkpoint).expect("a checkpoint");
    sam2::load_checkpoint(&checkpoint, &Some(tiny::YAML.into()), &options).expect("a model")
});

/// A saved state of a stream but for its checksum: an error, or a predictor that works.
pub fn state(data: &[u8]) {
    let mut video = MODEL.video_stream(Retention::Everything, Default::default()).expect("a stream");
    if video.load_state(&[data, &crc32fast::hash(data).to_le_bytes()].concat()).is_err() {
        return;
    }
    let mut saved = Vec::new();
    video.save_state(&mut saved).expect("in memory");
    video.fork().load_state(&saved).expect("what was just saved");
    let (height, width) = video.video_size();
    if (1..=1 << 16).contains(&(height * width)) {
        let pixels = vec![99; height * width * 3];
        let frame = Frame::new(PixelFormat::Rgb8, &pixels, width, height, width * 3).expect("a frame");
        let _ = video.push_frame(&frame);
    }
}

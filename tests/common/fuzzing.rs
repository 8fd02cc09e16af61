//! The functions of the fuzz targets. The tests replay their corpora.

use sam2::rle::Rle;
use sam2::{
    Checkpoint, Config, Device, Direction, Frame, LoadOptions, Model, PixelFormat, PointOptions, PredictOptions,
    Prompt, Retention, Size, VideoPredictor, VideoPredictorOptions, labels, picture,
};
use std::sync::LazyLock;

#[path = "tiny.rs"]
mod tiny;

/// The targets by name.
pub const TARGETS: [(&str, fn(&[u8])); 9] = [
    ("checkpoint", checkpoint),
    ("pickle", pickle),
    ("config", config),
    ("model", model),
    ("picture", decode),
    ("prompts", prompts),
    ("rle", rle),
    ("outlines", outlines),
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

/// A configuration. The text after a zero byte is an override.
pub fn config(data: &[u8]) {
    let mut parts = data.splitn(2, |&b| b == 0).map(String::from_utf8_lossy);
    let yaml = parts.next().unwrap_or_default();
    let overrides: Vec<String> = parts.map(|p| p.into_owned()).collect();
    if let Ok(config) = Config::parse(&yaml, &overrides, true) {
        assert!(config.trunk.blocks().count() >= 4);
    }
}

/// An image file.
pub fn decode(data: &[u8]) {
    if let Ok(picture) = picture::decode("fuzz", data) {
        picture.frame().expect("a decoded picture is a frame");
    }
    if let Ok(labels) = labels::decode("fuzz", data) {
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
    if let Ok(rle) = Rle::from_coco(&String::from_utf8_lossy(text), Size::new(*w as usize, *h as usize)) {
        if let Ok(mask) = rle.decode() {
            assert_eq!(Rle::encode(&mask, Size::new(rle.width, rle.height)).expect("a small mask").area(), rle.area());
        }
        let _ = rle.bbox();
    }
}

/// Runs of a mask, or COCO's strings, after a height, a width and a byte that says how to read the rest. Checks
/// outlines, whose area is that of the mask, and label maps.
pub fn outlines(data: &[u8]) {
    let [height, width, how, rest @ ..] = data else { return };
    let side = |side: u8, bit: u8| usize::from(side) * if how & bit == bit { 67 } else { 1 };
    let (height, width) = (side(*height, 8), side(*width, 16));
    if height * width > 1 << 14 {
        return;
    }
    let masks: Vec<Rle> = if how & 4 == 4 {
        let texts = rest.split(|&b| b == 0).take(4).map(String::from_utf8_lossy);
        texts.filter_map(|text| Rle::from_coco(&text, Size::new(width, height)).ok()).collect()
    } else {
        // Runs that add up.
        let mut left = height * width;
        let mut counts: Vec<u32> = Vec::new();
        for run in rest.chunks(2) {
            let run = run.iter().fold(0, |n, &b| n * 97 + usize::from(b)).min(left);
            left -= run;
            counts.push(run as u32);
        }
        counts.push(left as u32);
        Rle::new(counts, Size::new(width, height)).into_iter().collect()
    };
    for rle in &masks {
        let (mask, rings) = (rle.decode().expect("a checked mask"), rle.polygons().expect("a checked mask"));
        // The shoelace formula. A hole has the opposite direction, so its area is subtracted.
        let cross =
            |[x0, y0]: [u32; 2], [x1, y1]: [u32; 2]| i64::from(x0) * i64::from(y1) - i64::from(x1) * i64::from(y0);
        let ring =
            |ring: &Vec<[u32; 2]>| (0..ring.len()).map(|i| cross(ring[i], ring[(i + 1) % ring.len()])).sum::<i64>();
        let twice: i64 = rings.iter().map(ring).sum();
        assert_eq!(twice.unsigned_abs(), 2 * mask.iter().map(|&v| u64::from(v)).sum::<u64>());
        let text = Rle::encode(&mask, Size::new(width, height)).and_then(|rle| rle.to_coco()).expect("a small mask");
        let again = Rle::from_coco(&text, Size::new(width, height)).expect("what was just written");
        assert_eq!(again.decode().expect("a checked mask"), mask);
    }
    let map = labels::label_map(&masks.iter().collect::<Vec<_>>(), Size::new(width, height));
    if let Ok(map) = map {
        assert_eq!(map.len(), height * width);
    }
}

/// A model of the smallest input, of this configuration.
fn load(config: &Config, options: LoadOptions) -> sam2::Result<Model> {
    let checkpoint = tiny::checkpoint(&config.tensor_shapes()?);
    let checkpoint = Checkpoint::from_bytes("tiny", checkpoint)?;
    sam2::load_checkpoint(&checkpoint, Some(tiny::YAML), &options)
}

fn on_one_thread() -> LoadOptions {
    LoadOptions { device: Device::Cpu, threads: 1, image_size: Some(tiny::SIDE), ..Default::default() }
}

static MODEL: LazyLock<Model> = LazyLock::new(|| {
    load(&Config::parse(tiny::YAML, &[], true).expect("a configuration"), on_one_thread()).expect("a model")
});

/// Lines of overrides. A configuration that is accepted gives a model that works, or is refused when it is loaded.
pub fn model(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let overrides: Vec<String> = text.lines().take(12).map(String::from).collect();
    let Ok(mut config) = Config::parse(tiny::YAML, &overrides, true) else { return };
    config.image_size = tiny::SIDE;
    // Sizes that fit a small machine's memory and time.
    let Ok(manifest) = config.tensor_shapes() else { return };
    let size = |shape: &Vec<usize>| shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    let values = manifest.iter().try_fold(0usize, |n, (_, shape)| n.checked_add(size(shape)?));
    if values.is_none_or(|n| n > 2_000_000) || manifest.iter().any(|(_, shape)| shape.is_empty() || shape.contains(&0))
    {
        return;
    }
    let Ok(model) = load(&config, LoadOptions { overrides, ..on_one_thread() }) else { return };
    let pixels = [77; 20 * 20 * 3];
    let frame = Frame::new(PixelFormat::Rgb8, &pixels, Size::new(20, 20), 60).expect("a frame");
    let point = Prompt::new().point(5.0, 5.0, 1);
    let mut image = model.image_predictor(Default::default()).expect("a predictor");
    if image.set_image(&frame).is_ok() {
        let prompts = [point.clone(), Prompt::new().bounds([1.0, 1.0, 9.0, 9.0])];
        let _ = image.predict(&prompts, PredictOptions::default());
    }
    let mut video = model.video_stream(Retention::Window(1), Default::default()).expect("a stream");
    for i in 0..3 {
        if video.push_frame(&frame).is_err() {
            return;
        }
        if i < 2 {
            let _ = video.add_new_points_or_box(i, i as i64, &point, Default::default());
        }
    }
}

/// A byte with the options of a predictor, and a saved state without its checksum. The result is an error, or a
/// predictor that takes every call, also after it was saved and loaded again.
pub fn state(data: &[u8]) {
    let [how, data @ ..] = data else { return };
    let retention = if how & 1 == 1 { Retention::Window((how >> 4).into()) } else { Retention::Everything };
    let options = VideoPredictorOptions {
        legacy_corrections: how & 2 == 2,
        offload_state_to_cpu: how & 4 == 4,
        ..Default::default()
    };
    let Ok(mut video) = MODEL.video_stream(retention, options) else { return };
    if video.load_state(&[data, &crc32fast::hash(data).to_le_bytes()].concat()).is_err() {
        return;
    }
    let mut saved = Vec::new();
    video.save_state(&mut saved).expect("in memory");
    video.fork().load_state(&saved).expect("what was just saved");
    let _ = (video.memory_bytes(), video.object_bytes());
    let Size { width, height } = video.video_size();
    if height * width > 1 << 14 {
        return;
    }
    every_call(&video, how & 8 == 8);
    if height * width > 0 {
        let pixels = vec![99; height * width * 3];
        let frame = Frame::new(PixelFormat::Rgb8, &pixels, Size::new(width, height), width * 3).expect("a frame");
        for _ in 0..3 {
            let _ = video.push_frame(&frame);
        }
        let _ = video.propagate_in_video(None, Some(3), Direction::Backward, |_| true);
    }
    saved.clear();
    video.save_state(&mut saved).expect("in memory");
    video.fork().load_state(&saved).expect("what was just saved");
}

/// Prompts, removals and propagation on the first and the last frames, each on a fork.
fn every_call(video: &VideoPredictor, flag: bool) {
    let objects: Vec<i64> = video.obj_ids().iter().copied().take(2).chain([i64::MIN]).collect();
    let frames = video.num_frames();
    for frame in (frames.saturating_sub(2)..frames).chain([0, frames]) {
        for &object in &objects {
            let mut video = video.fork();
            let options = PointOptions { clear_old_points: flag, normalize_coords: false };
            let _ = video.add_new_points_or_box(frame, object, &Prompt::new().point(1.0, 1.0, 1), options);
            let _ = video.clear_all_prompts_in_frame(frame, object);
            let _ = video.add_new_mask(frame, object, &[1, 0, 0, 1], Size::new(2, 2));
            let _ = video.propagate_in_video(
                Some(frame),
                Some(2),
                if flag { Direction::Backward } else { Direction::Forward },
                |_| true,
            );
            let _ = video.remove_object(object);
        }
    }
    for direction in [Direction::Forward, Direction::Backward] {
        let _ = video.fork().propagate_in_video(None, Some(2), direction, |_| true);
    }
}

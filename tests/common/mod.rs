//! Shared by several tests: goldens, comparison, models of the test data.
#![allow(dead_code)] // each test uses a part of it

pub mod masks;
pub mod parity;
pub mod samples;
mod weights;

use sam2::engine::backend::Backend;
use sam2::picture::Picture;
use sam2::{Checkpoint, Config, Device, ImagePredictor, LoadOptions, Model, Precision, Variant};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// A file of the repository. Tests run at its top, also in a place where they were not built.
pub fn file(path: &str) -> PathBuf {
    PathBuf::from(path)
}

/// A file of `tests/data/weights`.
pub fn weights(name: &str) -> PathBuf {
    weights::weights(&file("."), name)
}

/// The tensors of a golden file by name: shape and values, as f32 whatever their type is.
pub struct Golden(BTreeMap<String, (Vec<usize>, Vec<f32>)>);

impl Golden {
    pub fn open(path: &str) -> Golden {
        let bytes = std::fs::read(file(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let values = |t: &safetensors::tensor::TensorView<'_>| -> Vec<f32> {
            use safetensors::Dtype;
            let data = t.data();
            match t.dtype() {
                Dtype::F32 => data.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect(),
                Dtype::I32 => data.chunks(4).map(|b| i32::from_le_bytes(b.try_into().unwrap()) as f32).collect(),
                Dtype::I64 => data.chunks(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f32).collect(),
                Dtype::BF16 => {
                    data.chunks(2).map(|b| f32::from_bits(u32::from(b[1]) << 24 | u32::from(b[0]) << 16)).collect()
                }
                Dtype::U8 => data.iter().map(|&b| b as f32).collect(),
                other => panic!("{other:?}"),
            }
        };
        Golden(tensors.iter().map(|(name, t)| (name.to_string(), (t.shape().to_vec(), values(&t)))).collect())
    }

    pub fn get(&self, name: &str) -> Option<(&[usize], &[f32])> {
        self.0.get(name).map(|(shape, values)| (&shape[..], &values[..]))
    }

    pub fn values(&self, name: &str) -> &[f32] {
        self.get(name).unwrap_or_else(|| panic!("no tensor {name}")).1
    }

    pub fn shape(&self, name: &str) -> &[usize] {
        self.get(name).unwrap_or_else(|| panic!("no tensor {name}")).0
    }

    /// A map (.., c, h, w) as (h, w, c).
    pub fn channels_last(&self, name: &str) -> Vec<f32> {
        let (shape, values) = self.get(name).unwrap_or_else(|| panic!("no tensor {name}"));
        let (c, pixels) = (shape[shape.len() - 3], shape[shape.len() - 2] * shape[shape.len() - 1]);
        assert_eq!(values.len(), c * pixels, "{name} {shape:?}");
        (0..c * pixels).map(|i| values[i % c * pixels + i / c]).collect()
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        self.values(name).iter().map(|&v| v as u8).collect()
    }
}

/// The largest difference, relative to the largest magnitude of `want`.
pub fn distance(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len(), "number of values");
    let scale = want.iter().fold(0f32, |m, v| m.max(v.abs())).max(1e-30);
    let worst = got.iter().zip(want).fold(0f32, |m, (a, b)| {
        let d = (a - b).abs();
        if d.is_nan() { f32::INFINITY } else { m.max(d) }
    });
    worst / scale
}

/// Fails if [`distance`] is above `tolerance`.
pub fn assert_close(what: &str, got: &[f32], want: &[f32], tolerance: f32) {
    let d = distance(got, want);
    assert!(d <= tolerance, "{what}: off by {d:.2e} of the largest magnitude, {tolerance:.0e} allowed");
}

/// Intermediate results by name, the latest of each name.
pub type Probed = Arc<Mutex<BTreeMap<String, (Vec<usize>, Vec<f32>)>>>;

/// Collects the intermediate results of a predictor.
pub fn probe(predictor: &mut ImagePredictor) -> Probed {
    let probed = Probed::default();
    let sink = probed.clone();
    predictor.set_probe(Some(Box::new(move |name, shape, values| {
        sink.lock().unwrap().insert(name.into(), (shape.to_vec(), values.to_vec()));
    })));
    probed
}

/// The CPU in float32, the precision of the goldens.
pub fn options() -> LoadOptions {
    LoadOptions { device: Device::Cpu, precision: Precision::F32, ..LoadOptions::default() }
}

/// One of the two small models with random weights.
pub struct Mini {
    pub name: &'static str,
    pub model: Model,
}

impl Mini {
    pub fn load(name: &'static str) -> Mini {
        Mini::from(name, &Checkpoint::open(file(&format!("tests/data/weights/{name}.safetensors"))).unwrap())
    }

    /// The model with this name and other weights.
    pub fn from(name: &'static str, checkpoint: &Checkpoint) -> Mini {
        Mini { name, model: sam2::load_checkpoint(checkpoint, Some(&yaml(name)), &options()).unwrap() }
    }

    /// The model with this name in f32 on another device.
    pub fn on(name: &'static str, b: impl Backend) -> Mini {
        Mini::in_precision(name, b, Precision::F32)
    }

    pub fn in_precision(name: &'static str, b: impl Backend, precision: Precision) -> Mini {
        let checkpoint = Checkpoint::open(file(&format!("tests/data/weights/{name}.safetensors"))).unwrap();
        let config = Config::parse(&yaml(name), &[], true).unwrap();
        Mini { name, model: Model::load(b, &checkpoint, &config, precision, None).unwrap() }
    }
}

pub fn yaml(name: &str) -> String {
    std::fs::read_to_string(file(&format!("tests/reference/configs/{name}.yaml"))).unwrap()
}

/// The demo model for inputs of 64 pixels, which is a sixteenth of its work, also with other settings. Masks need not
/// be good.
pub fn small_demo(b: impl Backend, precision: Precision, settings: &[&str]) -> Model {
    let settings: Vec<String> =
        ["model.image_size=64"].iter().chain(settings).map(|setting| setting.to_string()).collect();
    demo_with(b, precision, &settings).unwrap()
}

/// The demo model on a backend.
pub fn demo_with(b: impl Backend, precision: Precision, overrides: &[String]) -> sam2::Result<Model> {
    let checkpoint = Checkpoint::open(file("demo/sam2.1_hiera_demo.safetensors"))?;
    let config = Config::parse(Variant::of(&checkpoint)?.yaml, overrides, true)?;
    Model::load(b, &checkpoint, &config, precision, None)
}

/// Every eighth pixel of the first frames of the sample, up to this width.
pub fn small_frames(width: usize) -> Vec<Picture> {
    let clip = sam2::Frames::folder(file("demo/samples/video1/frames")).unwrap();
    let small = |i: usize| {
        let (large, height) = (clip.read(i).unwrap(), 45);
        let pixel = |at: usize| &large.pixels[(at / width * 8 * large.width + at % width * 8) * 3..][..3];
        let pixels = (0..width * height).flat_map(pixel).copied().collect();
        Picture { pixels, width, height, format: large.format }
    };
    (0..4).map(small).collect()
}

/// The demo model.
pub fn demo() -> Model {
    sam2::load(file("demo/sam2.1_hiera_demo.safetensors"), &options()).unwrap()
}

/// A safetensors file of f32 or 16-bit tensors.
pub fn safetensors_file<'a>(tensors: impl IntoIterator<Item = (String, Vec<usize>, &'a [u8])>) -> Vec<u8> {
    use safetensors::{Dtype, tensor::TensorView};
    let views = tensors.into_iter().map(|(name, shape, bytes)| {
        let n: usize = shape.iter().product();
        let dtype = if bytes.len() == n * 4 { Dtype::F32 } else { Dtype::BF16 };
        (name, TensorView::new(dtype, shape, bytes).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

/// Name, shape and Hugging Face's name of every tensor of an official model, of SAM 2 if `v21` is false.
pub fn official_tensors(size: &str, v21: bool) -> Vec<(String, Vec<usize>, String)> {
    let text = std::fs::read_to_string(file(&format!("tests/data/names/sam2.1_hiera_{size}.tsv"))).unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let [name, shape, hf] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        (name.to_string(), shape.split(',').map(|n| n.parse().unwrap()).collect(), hf.to_string())
    });
    // Tensors that 2.1 added.
    let new = ["no_obj_embed_spatial", "obj_ptr_tpos_proj.weight", "obj_ptr_tpos_proj.bias"];
    rows.filter(|(name, _, _)| v21 || !new.contains(&name.as_str())).collect()
}

/// An official model with random weights.
pub fn random_model(variant: &Variant, options: LoadOptions) -> Model {
    let checkpoint = Checkpoint::from_bytes(variant.name, random_checkpoint(variant)).unwrap();
    sam2::load_checkpoint(&checkpoint, None, &options).unwrap()
}

/// A checkpoint of an official model, with random weights that keep numbers in a reasonable range.
pub fn random_checkpoint(variant: &Variant) -> Vec<u8> {
    let (v21, size) = (variant.name.starts_with("sam2.1"), variant.name.rsplit('_').next().unwrap());
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, shape, _) in official_tensors(size, v21) {
        let n: usize = shape.iter().product();
        let fan_in = (n / shape[0]).max(1) as f32;
        let gamma = shape.len() == 1 && name.ends_with("weight");
        let mut bytes = Vec::with_capacity(2 * n);
        for _ in 0..n {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let unit = (state >> 40) as f32 / (1 << 23) as f32 - 1.0;
            let value = if gamma { 1.0 + 0.2 * unit } else { unit * (3.0 / fan_in).sqrt().min(1.0) };
            bytes.extend(((value.to_bits() >> 16) as u16).to_le_bytes());
        }
        tensors.push((name, shape, bytes));
    }
    safetensors_file(tensors.iter().map(|(n, s, b)| (n.clone(), s.clone(), &b[..])))
}

//! What several tests need: goldens, comparison, models of the test data.
#![allow(dead_code)] // each test takes a part of it

use sam2::{Device, ImagePredictor, LoadOptions, Model};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// A file of the repository.
pub fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The tensors of a golden file by name: shape and values, whatever their type, as f32.
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

/// Fails when [`distance`] is above `tolerance`.
pub fn assert_close(what: &str, got: &[f32], want: &[f32], tolerance: f32) {
    let d = distance(got, want);
    assert!(d <= tolerance, "{what}: off by {d:.2e} of the largest magnitude, {tolerance:.0e} allowed");
}

/// Intermediate results by name, the latest of each.
pub type Probed = Arc<Mutex<BTreeMap<String, (Vec<usize>, Vec<f32>)>>>;

/// Collects what the predictor shows.
pub fn probe(predictor: &mut ImagePredictor) -> Probed {
    let probed = Probed::default();
    let sink = probed.clone();
    predictor.set_probe(Some(Box::new(move |name, shape, values| {
        sink.lock().unwrap().insert(name.into(), (shape.to_vec(), values.to_vec()));
    })));
    probed
}

pub fn options() -> LoadOptions {
    LoadOptions { device: Device::Cpu, ..LoadOptions::default() }
}

/// One of the two small models with random weights.
pub fn mini(name: &str) -> Model {
    let config = file(&format!("tests/reference/configs/{name}.yaml"));
    let options = LoadOptions { config: Some(config), ..options() };
    sam2::load(file(&format!("tests/data/weights/{name}.safetensors")), &options).unwrap()
}

/// The demo model.
pub fn demo() -> Model {
    sam2::load(file("demo/sam2.1_hiera_demo.safetensors"), &options()).unwrap()
}

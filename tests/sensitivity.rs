//! Every tensor of a checkpoint matters to the parity tests: noise in any of them fails a check, except where
//! mathematics shows that it cannot.

mod common;

use common::{Mini, file, parity, safetensors_file};
use sam2::Checkpoint;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The tensor adds the same number to every score of a softmax.
const WITHOUT_EFFECT: [&str; 7] = [
    "layers.0.self_attn.k_proj.bias",
    "layers.0.cross_attn_token_to_image.k_proj.bias",
    "layers.0.cross_attn_image_to_token.k_proj.bias",
    "layers.1.self_attn.k_proj.bias",
    "layers.1.cross_attn_token_to_image.k_proj.bias",
    "layers.1.cross_attn_image_to_token.k_proj.bias",
    "final_attn_token_to_image.k_proj.bias",
];

/// Noise of 0.3 times the tensor's own deviation, as in the measurement of the reference's sensitivity.
fn disturbed(values: &[f32]) -> Vec<f32> {
    let n = values.len() as f32;
    let mean = values.iter().sum::<f32>() / n;
    let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n).sqrt();
    let amount = 0.3 * if values.len() > 1 { deviation } else { values[0].abs() }.max(1e-2);
    let mut state = 0x853c_49e6_748f_ea9bu64;
    let mut noise = || {
        // The sum of four uniform numbers is nearly normal, with deviation 1.
        let uniform = |_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..4).map(uniform).sum::<f32>() * 0.75f32.sqrt()
    };
    values.iter().map(|v| v + amount * noise()).collect()
}

#[test]
fn noise_in_any_tensor_is_noticed() {
    std::panic::set_hook(Box::new(|_| {})); // failures are expected
    for name in ["mini21", "mini20"] {
        let whole = Checkpoint::open(file(&format!("tests/data/weights/{name}.safetensors"))).unwrap();
        let values = |n: &str| whole.get(n).unwrap().to_f32().unwrap();
        let all: Vec<(&str, Vec<f32>)> = whole.names().map(|n| (n, values(n))).collect();
        let yaml = std::fs::read_to_string(file(&format!("tests/reference/configs/{name}.yaml"))).unwrap();
        let config = sam2::Config::parse(&yaml, &[], true).unwrap();
        let mut unnoticed = Vec::new();
        let manifest = config.image_tensor_shapes().unwrap();
        for (victim, _) in &manifest {
            let changed = disturbed(&values(victim));
            let tensors = all.iter().map(|(n, v)| {
                let v = if n == victim { &changed } else { v };
                (n.to_string(), whole.get(n).unwrap().shape.to_vec(), bytemuck::cast_slice(v))
            });
            let mini = Mini::from(name, &Checkpoint::from_bytes(victim, safetensors_file(tensors)).unwrap());
            let green = |check: fn(&Mini)| catch_unwind(AssertUnwindSafe(|| check(&mini))).is_ok();
            if green(parity::encoder) && green(parity::prompts_of_every_kind) {
                unnoticed.push(victim.strip_prefix("sam_mask_decoder.transformer.").unwrap_or(victim).to_string());
            }
        }
        eprintln!("{name}: {} tensors, {} without effect", manifest.len(), unnoticed.len());
        let mut want = WITHOUT_EFFECT.map(String::from).to_vec();
        want.sort();
        unnoticed.sort();
        assert!(unnoticed == want, "{name}: {unnoticed:?}");
    }
}

//! A model of the smallest input, with reproducible random weights.
#![allow(dead_code)] // each test uses a part of it

/// Its configuration, without [`SIDE`].
pub const YAML: &str = include_str!("../reference/configs/mini21.yaml");
/// Side of its input.
pub const SIDE: usize = 32;

/// A safetensors file of the tensors that its manifest lists.
pub fn checkpoint(manifest: &[(String, Vec<usize>)]) -> Vec<u8> {
    let (mut header, mut data, mut state) = (String::from("{"), Vec::new(), 1u32);
    for (name, shape) in manifest {
        let (start, n) = (data.len(), shape.iter().product::<usize>());
        // Sums stay in a reasonable range.
        let scale = 1.0 / ((n / shape[0]).max(1) as f32).sqrt();
        for _ in 0..n {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            data.extend(((state >> 8) as f32 / (1 << 23) as f32 - 1.0).mul_add(scale, 0.01).to_le_bytes());
        }
        let comma = if start > 0 { "," } else { "" };
        let end = data.len();
        header += &format!(r#"{comma}"{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{start},{end}]}}"#);
    }
    header += "}";
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()
}

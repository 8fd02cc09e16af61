//! Replays the corpora of the fuzz targets `calls` and `dlpack`.

#[path = "common/calls.rs"]
mod calls;
#[path = "common/dlpack.rs"]
mod dlpack;
#[path = "common/tensor.rs"]
mod tensor;
#[path = "../../tests/common/tiny.rs"]
mod tiny;

use std::collections::HashSet;

/// Reads the inputs of a corpus.
fn inputs(target: &str) -> impl Iterator<Item = Vec<u8>> {
    let folder = format!("{}/../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
}

#[test]
fn every_sequence_is_survived() {
    let reached: HashSet<_> = inputs("calls").flat_map(|data| calls::calls(&data)).collect();
    assert!(reached.len() > 40, "functions that succeeded: {reached:?}");
}

#[test]
fn every_tensor_is_survived() {
    let all: Vec<_> = inputs("dlpack").collect();
    assert!(!all.is_empty());
    all.iter().for_each(|data| dlpack::dlpack(data));
}

//! Replays the corpus of the fuzz target `calls`.

#[path = "common/calls.rs"]
mod calls;
#[path = "../../tests/common/tiny.rs"]
mod tiny;

use std::collections::HashSet;

#[test]
fn every_sequence_is_survived() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/calls");
    let mut reached = HashSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let data = std::fs::read(entry.unwrap().path()).unwrap();
        reached.extend(calls::calls(&data));
    }
    assert!(reached.len() > 40, "functions that succeeded: {reached:?}");
}

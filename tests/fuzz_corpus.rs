//! Replays the corpora of the fuzz targets. No input may panic or take long.

mod common;
#[path = "common/fuzzing.rs"]
mod fuzzing;

use std::time::{Duration, Instant};

#[test]
fn every_input_is_survived_quickly() {
    for (name, target) in fuzzing::TARGETS {
        let folder = common::file(&format!("fuzz/corpus/{name}"));
        let mut inputs = 0;
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let data = std::fs::read(&path).unwrap();
            let start = Instant::now();
            target(&data);
            // The promise is a second, but a machine may be busy.
            assert!(start.elapsed() < Duration::from_secs(5), "{}: {:?}", path.display(), start.elapsed());
            inputs += 1;
        }
        assert!(inputs > 0, "no inputs for {name}");
    }
}

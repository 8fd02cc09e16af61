//! Replays the corpora of the server's fuzz targets. No input may panic or take long.

#[path = "common/fuzzing.rs"]
mod fuzzing;

use std::time::{Duration, Instant};

#[test]
fn every_input_is_survived_quickly() {
    for (name, target) in fuzzing::TARGETS {
        let mut inputs = 0;
        for entry in std::fs::read_dir(format!("../fuzz/corpus/{name}")).unwrap() {
            let path = entry.unwrap().path();
            let data = std::fs::read(&path).unwrap();
            let start = Instant::now();
            target(&data);
            assert!(start.elapsed() < Duration::from_secs(5), "{}: {:?}", path.display(), start.elapsed());
            inputs += 1;
        }
        assert!(inputs > 0, "no inputs for {name}");
    }
}

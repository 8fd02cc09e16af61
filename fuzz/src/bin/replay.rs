//! Runs every input of the committed corpora once: `.ci/sanitize` builds it with a sanitizer.

extern crate sam2 as engine;
#[path = "../../../ffi/tests/common/calls.rs"]
mod calls;
#[path = "../../../ffi/tests/common/dlpack.rs"]
mod dlpack;
#[path = "../../../tests/common/fuzzing.rs"]
mod fuzzing;
#[path = "../../../ffi/tests/common/tensor.rs"]
mod tensor;
#[path = "../../../tests/common/tiny.rs"]
mod tiny;

use std::time::Instant;

fn main() {
    let others: [(&str, fn(&[u8])); 2] = [("calls", |data| drop(calls::calls(data))), ("dlpack", dlpack::dlpack)];
    for (name, target) in fuzzing::TARGETS.into_iter().chain(others) {
        let (start, mut inputs) = (Instant::now(), 0);
        for entry in std::fs::read_dir(format!("corpus/{name}")).expect("run it in the folder fuzz") {
            target(&std::fs::read(entry.expect("a file").path()).expect("a file"));
            inputs += 1;
        }
        assert!(inputs > 0, "no inputs for {name}");
        println!("{name}: {inputs} inputs, {:.1} s", start.elapsed().as_secs_f64());
    }
}

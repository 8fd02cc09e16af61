//! Runs every input of the committed corpora once, or of the targets that are named. `.ci/sanitize` builds it with a
//! sanitizer.

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

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

fn replay(name: &str, target: fn(&[u8])) {
    let (start, mut inputs) = (Instant::now(), 0);
    for entry in std::fs::read_dir(format!("corpus/{name}")).expect("run it in the folder fuzz") {
        target(&std::fs::read(entry.expect("a file").path()).expect("a file"));
        inputs += 1;
    }
    assert!(inputs > 0, "no inputs for {name}");
    println!("{name}: {inputs} inputs, {:.1} s", start.elapsed().as_secs_f64());
}

fn main() {
    // `calls` takes the longest, and comes first.
    let mut targets: Vec<(&str, fn(&[u8]))> =
        vec![("calls", |data| drop(calls::calls(data))), ("dlpack", dlpack::dlpack)];
    targets.extend(fuzzing::TARGETS);
    let named: Vec<String> = std::env::args().skip(1).collect();
    if let Some(name) = named.iter().find(|&name| targets.iter().all(|(target, _)| target != name)) {
        eprintln!("replay: no target {name}");
        std::process::exit(2);
    }
    targets.retain(|(target, _)| named.is_empty() || named.iter().any(|name| name == target));
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(&(name, target)) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
            replay(name, target);
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no target panics"));
    });
}

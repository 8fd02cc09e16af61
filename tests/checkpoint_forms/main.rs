//! Checkpoints as trainers and hubs write them: wrapped, nested, in other layouts and types, in several files.

#[path = "../common/mod.rs"]
mod common;
mod files;
#[path = "../common/notes.rs"]
mod notes;
mod refused;
mod tensors;
#[path = "../common/torch.rs"]
mod torch;
mod wrappers;

use common::file;
use sam2::{Checkpoint, Error};
use torch::{Value, View, strides};

fn mini() -> Checkpoint {
    Checkpoint::open(file("tests/data/weights/mini21.safetensors")).unwrap()
}

/// The tensors of a checkpoint under names with a prefix, and their storages.
fn state_dict(checkpoint: &Checkpoint, prefix: &str) -> (Vec<(String, Value)>, Vec<Vec<u8>>) {
    let mut storages = Vec::new();
    let view = |name: &str| {
        let data = checkpoint.get(name).unwrap();
        storages.push(data.bytes.to_vec());
        let (shape, strides) = (data.shape.to_vec(), strides(data.shape));
        let view = View { storage: storages.len() - 1, class: "BFloat16Storage", offset: 0, shape, strides };
        (format!("{prefix}{name}"), Value::Tensor(view))
    };
    (checkpoint.names().map(view).collect(), storages)
}

fn assert_same(what: &str, got: &Checkpoint, want: &Checkpoint) {
    assert_eq!(got.names().collect::<Vec<_>>(), want.names().collect::<Vec<_>>(), "{what}");
    for name in want.names() {
        let (a, b) = (got.get(name).unwrap(), want.get(name).unwrap());
        assert!((a.dtype, a.shape, a.bytes) == (b.dtype, b.shape, b.bytes), "{what}: {name}");
    }
    assert_eq!(got.fingerprint(), want.fingerprint(), "{what}");
}

fn refusal(bytes: Vec<u8>) -> String {
    match Checkpoint::from_bytes("test", bytes) {
        Err(Error::Checkpoint { what, .. }) => what,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("accepted"),
    }
}

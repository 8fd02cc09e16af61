//! Tensors in other layouts and types.

use crate::common::*;
use crate::torch::{Value, View, dict, pt_file, strides};
use crate::{assert_same, mini, refusal, state_dict};
use sam2::{Checkpoint, Error};

/// A file in which the tensor of mini21 with this name is another view. The rest is unchanged.
fn with_view(name: &str, view: impl Fn(usize) -> View, storage: Vec<u8>) -> Vec<u8> {
    let (mut tensors, mut storages) = state_dict(&mini(), "");
    storages.push(storage);
    let place = tensors.iter().position(|(other, _)| other == name).unwrap();
    tensors[place].1 = Value::Tensor(view(storages.len() - 1));
    pt_file(&dict(tensors), &storages)
}

/// Elements of `bytes`, of two bytes each, in another order.
fn permuted(bytes: &[u8], order: impl Iterator<Item = usize>) -> Vec<u8> {
    order.flat_map(|i| bytes[2 * i..][..2].to_vec()).collect()
}

#[test]
fn views_in_any_layout_are_gathered() {
    let mini = mini();
    // A transposed matrix: columns lie one after another.
    let name = "image_encoder.trunk.blocks.3.mlp.layers.0.weight";
    let data = mini.get(name).unwrap();
    let [n, k] = *data.shape else { panic!() };
    let storage = permuted(data.bytes, (0..n * k).map(|i| i % n * k + i / n));
    let view = |storage| View { storage, class: "BFloat16Storage", offset: 0, shape: vec![n, k], strides: vec![1, n] };
    assert_same("transposed", &Checkpoint::from_bytes("t", with_view(name, view, storage)).unwrap(), &mini);

    // A convolution whose channels come last, as model.to(memory_format=torch.channels_last) leaves it.
    let name = "image_encoder.trunk.patch_embed.proj.weight";
    let data = mini.get(name).unwrap();
    let [o, c, h, w] = *data.shape else { panic!() };
    let place = |i: usize| {
        let (channel, x, y, out) = (i % c, i / c % w, i / c / w % h, i / c / w / h);
        ((out * c + channel) * h + y) * w + x
    };
    let storage = permuted(data.bytes, (0..o * c * h * w).map(place));
    let view = |storage| View {
        storage,
        class: "BFloat16Storage",
        offset: 0,
        shape: vec![o, c, h, w],
        strides: vec![h * w * c, 1, w * c, c],
    };
    assert_same("channels last", &Checkpoint::from_bytes("t", with_view(name, view, storage)).unwrap(), &mini);

    // Every third column of a wider storage that starts at an offset.
    let name = "no_obj_ptr";
    let data = mini.get(name).unwrap();
    let n = data.shape[1];
    let mut storage = vec![7; 2 * (5 + 3 * n)];
    (0..n).for_each(|i| storage[2 * (5 + 3 * i)..][..2].copy_from_slice(&data.bytes[2 * i..][..2]));
    let view = |storage| View { storage, class: "BFloat16Storage", offset: 5, shape: vec![1, n], strides: vec![1, 3] };
    assert_same("columns", &Checkpoint::from_bytes("t", with_view(name, view, storage.clone())).unwrap(), &mini);

    // One value expanded.
    let view = |storage| View { storage, class: "BFloat16Storage", offset: 0, shape: vec![1, n], strides: vec![0, 0] };
    let got = Checkpoint::from_bytes("t", with_view(name, view, vec![0x80, 0x3f])).unwrap();
    assert_eq!(got.get(name).unwrap().to_f32().unwrap(), vec![1.0; n]);

    // Views that reach beyond their storage, and one that repeats a value too often.
    for (shape, strides, text) in [
        (vec![1, n], vec![1, 4], "reaches past its storage"),
        (vec![1, n + 1], vec![1, 3], "reaches past its storage"),
        (vec![1 << 30, 1 << 30], vec![1 << 30, 1 << 30], "reaches past its storage"),
        (vec![1 << 30, 1 << 30], vec![0, 0], "repeats its elements too often"),
        (vec![1 << 29], vec![0], "repeats its elements too often"),
    ] {
        let view = |storage| View {
            storage,
            class: "BFloat16Storage",
            offset: 5,
            shape: shape.clone(),
            strides: strides.clone(),
        };
        let got = refusal(with_view(name, view, storage.clone()));
        assert!(got.contains(name) && got.contains(text), "{got}");
    }
}

#[test]
fn tensors_may_share_a_storage() {
    let mini = mini();
    let (mut tensors, mut storages) = state_dict(&mini, "");
    let whole = storages.concat();
    for (_, tensor) in &mut tensors {
        let Value::Tensor(view) = tensor else { panic!() };
        view.offset = storages[..view.storage].iter().map(Vec::len).sum::<usize>() / 2;
        view.storage = 0;
    }
    storages = vec![whole];
    assert_same("shared", &Checkpoint::from_bytes("test", pt_file(&dict(tensors), &storages)).unwrap(), &mini);
}

/// The values of mini21 as bytes of another type.
fn widened(checkpoint: &Checkpoint, name: &str, double: bool) -> Vec<u8> {
    let values = checkpoint.get(name).unwrap().to_f32().unwrap();
    values
        .iter()
        .flat_map(|&v| if double { f64::from(v).to_le_bytes().to_vec() } else { v.to_le_bytes().to_vec() })
        .collect()
}

#[test]
fn float64_becomes_float32() {
    let mini = mini();
    let singles: Vec<Vec<u8>> = mini.names().map(|name| widened(&mini, name, false)).collect();
    let doubles: Vec<Vec<u8>> = mini.names().map(|name| widened(&mini, name, true)).collect();
    let shape = |name: &str| mini.get(name).unwrap().shape.to_vec();
    let views = mini.names().zip(&singles).map(|(name, bytes)| (name.to_string(), shape(name), &bytes[..]));
    let want = Checkpoint::from_bytes("f32", safetensors_file(views)).unwrap();

    let tensors = mini.names().enumerate().map(|(storage, name)| {
        let (shape, class) = (shape(name), "DoubleStorage");
        let strides = strides(&shape);
        (name, Value::Tensor(View { storage, class, offset: 0, shape, strides }))
    });
    assert_same("pt", &Checkpoint::from_bytes("f64", pt_file(&dict(tensors), &doubles)).unwrap(), &want);

    use safetensors::{Dtype, tensor::TensorView};
    let views = mini
        .names()
        .zip(&doubles)
        .map(|(name, bytes)| (name, TensorView::new(Dtype::F64, shape(name), bytes).unwrap()));
    let file = safetensors::serialize(views, None).unwrap();
    assert_same("safetensors", &Checkpoint::from_bytes("f64", file).unwrap(), &want);
}

#[test]
fn other_types_are_passed_over_unless_the_model_needs_them() {
    let mini = mini();
    let yaml = yaml("mini21");
    let load = |bytes| sam2::load_checkpoint(&Checkpoint::from_bytes("test", bytes).unwrap(), Some(&yaml), &options());
    let (mut tensors, mut storages) = state_dict(&mini, "");
    storages.push(vec![0; 8]);
    let count = View { storage: storages.len() - 1, class: "LongStorage", offset: 0, shape: vec![], strides: vec![] };
    tensors.push(("n_averaged".into(), Value::Tensor(count.clone())));
    tensors.push(("epoch".into(), Value::Int(3)));
    assert!(load(pt_file(&dict(tensors), &storages)).is_ok());
    // The form of the running average of torch.optim.swa_utils.
    let (mut tensors, storages) = state_dict(&mini, "module.");
    tensors.insert(0, ("n_averaged".into(), Value::Tensor(View { storage: 0, ..count })));
    assert!(load(pt_file(&dict(tensors), &storages)).is_ok());
    // A tensor that the model uses.
    let view = |storage| View { storage, class: "LongStorage", offset: 0, shape: vec![1, 1], strides: vec![1, 1] };
    match load(with_view("no_obj_ptr", view, vec![0; 8])).err() {
        Some(Error::Checkpoint { what, .. }) => {
            assert!(what.starts_with("tensor no_obj_ptr is torch.LongStorage"), "{what}")
        }
        other => panic!("{other:?}"),
    }
}

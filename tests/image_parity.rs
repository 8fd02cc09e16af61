//! Image prediction against the reference, on two small models that have every part of the official models.

mod common;

use common::{Mini, parity};
use sam2_cuda::emulator::Emulator;
use sam2_cuda::{Cuda, Driver};

const MODELS: [&str; 2] = ["mini21", "mini20"];

fn on_each(check: fn(&Mini)) {
    MODELS.into_iter().for_each(|name| check(&Mini::load(name)));
}

#[test]
fn encoder() {
    on_each(parity::encoder);
}

#[test]
fn neck_levels_that_are_never_materialised() {
    on_each(parity::neck_levels_that_are_never_materialised);
}

#[test]
fn prompts_of_every_kind() {
    on_each(parity::prompts_of_every_kind);
}

#[test]
fn holes_and_sprinkles() {
    on_each(parity::holes_and_sprinkles);
}

#[test]
fn a_batch_of_pictures_decoded_together() {
    on_each(parity::a_batch_of_pictures_decoded_together);
}

/// The CUDA kernels against the reference, for every intermediate result.
#[test]
fn on_the_emulator() {
    let mini = Mini::on("mini21", Cuda::on(Emulator::new(1)));
    parity::encoder(&mini);
    parity::prompts_of_every_kind(&mini);
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn gpu_parity() {
    for name in MODELS {
        let mini = Mini::on(name, Cuda::on(Driver::new(0).unwrap()));
        parity::encoder(&mini);
        parity::prompts_of_every_kind(&mini);
        parity::holes_and_sprinkles(&mini);
        parity::a_batch_of_pictures_decoded_together(&mini);
    }
}

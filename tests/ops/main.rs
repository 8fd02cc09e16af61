//! Every operation of the backend against plain loops in f64, at odd sizes, on every instruction set of this CPU.
//!
//! The checks are generic over the backend: another one calls `check_all` with itself.

mod attention;
#[path = "../common/mod.rs"]
mod common;
mod decoder;
mod edges;
mod linear;
mod rig;

use sam2::engine::backend::Backend;
use sam2::engine::cpu::{Cpu, simd::Isa};

fn check_all<B: Backend>(b: &B) {
    linear::linear(b);
    linear::conv2d(b);
    linear::norms_and_pools(b);
    attention::window_attention(b);
    attention::token_attention(b);
    attention::image_attention(b);
    decoder::upscale_masks(b);
    decoder::prompts(b);
    decoder::selection(b);
    decoder::cleaning(b);
    edges::masks_out(b);
    edges::preprocess(b);
}

#[test]
fn on_every_instruction_set() {
    for isa in Isa::available() {
        eprintln!("{isa:?}");
        check_all(&Cpu::with_isa(3, isa).unwrap());
    }
}

//! Every operation of the backend against plain loops in f64, at odd sizes, on every instruction set of this CPU.
//!
//! The checks are generic over the backend. The CUDA backend runs them on the emulator, in every precision.

mod attention;
#[path = "../common/mod.rs"]
mod common;
mod formats;
mod image_attention;
mod linear;
mod mask_out;
mod masks;
mod memory_attention;
mod norm;
mod pixels;
mod pointwise;
mod prompts;
mod rig;
mod tracking;
mod upscale;

use rig::Numbers;
use sam2::engine::backend::Backend;
use sam2::engine::cpu::{Cpu, simd::Isa};
use sam2::engine::tensor::DType;
use sam2_cuda::{Cuda, Driver, device::Device, emulator::Emulator};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs every check, so that one failure does not hide others.
fn check_all<B: Backend>(b: &B, numbers: Numbers) {
    let checks: [(&str, &dyn Fn()); 24] = [
        ("linear::linear", &|| linear::linear(b, numbers)),
        ("linear::conv2d", &|| linear::conv2d(b, numbers)),
        ("linear::rotation", &|| linear::rotation(b, numbers)),
        ("norm::layer_norm", &|| norm::layer_norm(b, numbers)),
        ("pointwise::add_vector", &|| pointwise::add_vector(b, numbers)),
        ("pointwise::max_pool2x2", &|| pointwise::max_pool2x2(b, numbers)),
        ("pointwise::add_dense_prompts", &|| pointwise::add_dense_prompts(b, numbers)),
        ("attention::window_attention", &|| attention::window_attention(b, numbers)),
        ("attention::token_attention", &|| attention::token_attention(b, numbers)),
        ("image_attention::image_attention", &|| image_attention::image_attention(b, numbers)),
        ("memory_attention::memory_attention", &|| memory_attention::memory_attention(b, numbers)),
        ("upscale::upscale_masks", &|| upscale::upscale_masks(b, numbers)),
        ("prompts::embed_points", &|| prompts::embed_points(b, numbers)),
        ("masks::selection", &|| masks::selection(b)),
        ("masks::cleaning", &|| masks::cleaning(b)),
        ("masks::cleaning_of_patterns", &|| masks::cleaning_of_patterns(b)),
        ("mask_out::masks_out", &|| mask_out::masks_out(b)),
        ("mask_out::masks_with_strides", &|| mask_out::masks_with_strides(b)),
        ("pixels::preprocess", &|| pixels::preprocess(b, numbers)),
        ("pixels::bicubic", &|| pixels::bicubic(b, numbers)),
        ("formats::formats", &|| formats::formats(b, numbers, None)),
        ("tracking::memories", &|| tracking::memories(b, numbers)),
        ("tracking::keeping", &|| tracking::keeping(b)),
        ("tracking::memory_mask", &|| tracking::memory_mask(b, numbers)),
    ];
    let fails = |check: &dyn Fn()| catch_unwind(AssertUnwindSafe(check)).is_err();
    let failed: Vec<&str> = checks.iter().filter(|(_, check)| fails(check)).map(|&(name, _)| name).collect();
    assert!(failed.is_empty(), "failed: {}", failed.join(", "));
}

#[test]
fn on_every_instruction_set() {
    for isa in Isa::available() {
        for dtype in [DType::F32, DType::Bf16] {
            eprintln!("{isa:?} {dtype:?}");
            check_all(&Cpu::with_isa(3, isa).unwrap(), Numbers { dtype, device: false });
        }
    }
}

#[test]
fn cuda_f32() {
    check_all(&Cuda::on(Emulator::new(1)), Numbers { dtype: DType::F32, device: true });
}

#[test]
fn cuda_bf16() {
    check_all(&Cuda::on(Emulator::new(2)), Numbers { dtype: DType::Bf16, device: true });
}

#[test]
fn cuda_f16() {
    check_all(&Cuda::on(Emulator::new(3)), Numbers { dtype: DType::F16, device: true });
}

/// Blocks with less shared memory: as on an A100, and as on GPUs for games and workstations.
#[test]
fn cuda_with_less_shared_memory() {
    for (shared, dtype) in [(163 << 10, DType::Bf16), (99 << 10, DType::Bf16), (99 << 10, DType::F16)] {
        let (b, numbers) = (&Cuda::on(Emulator::with_shared_memory(6, shared)), Numbers { dtype, device: true });
        attention::window_attention(b, numbers);
        memory_attention::memory_attention(b, numbers);
    }
}

/// Products by the device's library, if it supports them.
#[test]
fn cuda_with_a_library() {
    for dtype in [DType::F32, DType::Bf16, DType::F16] {
        let (b, numbers) = (&Cuda::on(Emulator::with_library(4)), Numbers { dtype, device: true });
        linear::linear(b, numbers);
        linear::conv2d(b, numbers);
    }
}

/// Images in device memory, used on the caller's stream.
fn device_memory(device: impl Device) {
    let stream = device.fork().unwrap();
    let (b, numbers) = (Cuda::on(device), Numbers { dtype: DType::F32, device: true });
    formats::formats(&b, numbers, Some(stream.stream() as *mut std::ffi::c_void));
}

#[test]
fn cuda_device_memory() {
    device_memory(Emulator::new(5));
}

/// The same on a GPU.
fn gpu(dtype: DType) {
    check_all(&Cuda::on(Driver::new(0).unwrap()), Numbers { dtype, device: true });
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn gpu_f32() {
    gpu(DType::F32);
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn gpu_bf16() {
    gpu(DType::Bf16);
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn gpu_f16() {
    gpu(DType::F16);
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn gpu_device_memory() {
    device_memory(Driver::new(0).unwrap());
}

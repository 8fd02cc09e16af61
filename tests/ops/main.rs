//! Every operation of the backend against plain loops in f64, at odd sizes, on every instruction set of this CPU.
//!
//! The checks are generic over the backend; the CUDA backend runs them on the emulator, in every precision.

mod attention;
#[path = "../common/mod.rs"]
mod common;
mod decoder;
mod edges;
mod formats;
mod linear;
mod masks;
mod memory;
mod rig;
mod tracking;

use rig::Numbers;
use sam2::engine::backend::Backend;
use sam2::engine::cpu::{Cpu, simd::Isa};
use sam2::engine::tensor::DType;
use sam2_cuda::{Cuda, Driver, device::Device, emulator::Emulator};

fn check_all<B: Backend>(b: &B, numbers: Numbers) {
    linear::linear(b, numbers);
    linear::conv2d(b, numbers);
    linear::norms_and_pools(b, numbers);
    attention::window_attention(b, numbers);
    attention::token_attention(b, numbers);
    attention::image_attention(b, numbers);
    decoder::upscale_masks(b, numbers);
    decoder::prompts(b, numbers);
    decoder::selection(b);
    decoder::cleaning(b);
    masks::masks_out(b);
    edges::preprocess(b, numbers);
    formats::formats(b, numbers, None);
    memory::memory_attention(b, numbers);
    memory::rotation(b, numbers);
    memory::bicubic(b, numbers);
    tracking::memories(b, numbers);
    tracking::keeping(b);
    tracking::memory_mask(b, numbers);
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

/// Blocks of less shared memory: as on an A100, and as on cards for games and workstations.
#[test]
fn cuda_with_less_shared_memory() {
    for (shared, dtype) in [(163 << 10, DType::Bf16), (99 << 10, DType::Bf16), (99 << 10, DType::F16)] {
        let (b, numbers) = (&Cuda::on(Emulator::with_shared_memory(6, shared)), Numbers { dtype, device: true });
        attention::window_attention(b, numbers);
        memory::memory_attention(b, numbers);
    }
}

/// Products by the device's library, where it takes them.
#[test]
fn cuda_with_a_library() {
    for dtype in [DType::F32, DType::Bf16, DType::F16] {
        let (b, numbers) = (&Cuda::on(Emulator::with_library(4)), Numbers { dtype, device: true });
        linear::linear(b, numbers);
        linear::conv2d(b, numbers);
    }
}

/// Pictures in the device's memory, used on a stream of the caller's.
fn device_memory(device: impl Device) {
    let stream = device.fork().unwrap();
    let (b, numbers) = (Cuda::on(device), Numbers { dtype: DType::F32, device: true });
    formats::formats(&b, numbers, Some(stream.stream() as *mut std::ffi::c_void));
}

#[test]
fn cuda_device_memory() {
    device_memory(Emulator::new(5));
}

/// The same on hardware.
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

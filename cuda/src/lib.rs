//! The CUDA backend: hand-written kernels that implement the engine's operations.
//!
//! The kernels are in `kernels/`, with a file per family. Their launches are in `src/`, with a file per family too. A
//! [`device::Device`] runs the kernels: the driver of an NVIDIA GPU, or an emulator for tests that runs them on a CPU.

mod attention;
mod backend;
pub mod blas;
pub mod device;
mod driver;
#[cfg(feature = "emulator")]
pub mod emulator;
mod image_attention;
mod kernels;
mod linear;
mod mask_out;
mod masks;
mod memory_attention;
mod norm;
mod operands;
mod pictures;
mod pixels;
mod pointwise;
pub mod probe;
mod prompts;
mod queue;
mod splits;
mod staging;
mod tracking;
mod upscale;
mod view;

pub use driver::Driver;
pub use kernels::Kernel;
pub use linear::Weights;
pub use queue::{Cuda, Recording};

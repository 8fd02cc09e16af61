//! Vector code: one file per instruction set, and kernels that are written once for all sets over [`Simd`].
//!
//! A value of a [`Simd`] type proves that the CPU has the instructions, so its arithmetic is safe to call. Only loads and
//! stores are unsafe, because they take raw pointers. Every method is `inline(always)`. [`Simd::vectorize`] compiles the whole
//! body of a kernel with the features of the set, and so turns the kernel into vector code.

#[macro_use]
mod macros;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod isa;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
mod tile;
mod traits;
mod word;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
pub use isa::Isa;
#[cfg(target_arch = "aarch64")]
pub use neon::Neon;
pub use portable::Portable;
pub use traits::{Float, Kernel, Simd, Word};
pub use word::{Pair, Single};

//! The CPU backend. It computes in float32, as the reference for every kernel, and in bf16 if the CPU has bf16
//! products.
//!
//! Each operation divides its output into tasks, runs the tasks on the model's thread pool, and returns when all tasks
//! are done. A task only reads data that is complete, and only writes data that no other task writes. Its result does
//! not depend on the division into tasks. So results are the same for any number of threads.

/// Computes out[i] = f(x[i], y[i]) for `n` floats of any type. `out` may be `x` or `y`.
///
/// This is a macro, because a closure would be compiled without the features of the instruction set.
macro_rules! zip_rows {
    ($s:expr, $out:expr, $x:expr, $y:expr, $n:expr, |$a:ident, $b:ident| $f:expr) => {{
        use $crate::cpu::floats::{Read as _, Write as _};
        let (out, x, y, n) = ($out, $x, $y, $n);
        let whole = n / S::LANES * S::LANES;
        for i in (0..whole).step_by(S::LANES) {
            let ($a, $b) = (x.load($s, i), y.load($s, i));
            out.store($s, i, $f);
        }
        if whole < n {
            let rest = n - whole;
            let ($a, $b) = (x.load_part($s, whole, rest), y.load_part($s, whole, rest));
            out.store_part($s, whole, rest, $f);
        }
    }};
}

/// Computes out[i] = f(x[i]) for `n` floats of any type.
macro_rules! map_rows {
    ($s:expr, $out:expr, $x:expr, $n:expr, |$a:ident| $f:expr) => {{
        use $crate::cpu::floats::{Read as _, Write as _};
        let (out, x, n) = ($out, $x, $n);
        let whole = n / S::LANES * S::LANES;
        for i in (0..whole).step_by(S::LANES) {
            let $a = x.load($s, i);
            out.store($s, i, $f);
        }
        if whole < n {
            let rest = n - whole;
            let $a = x.load_part($s, whole, rest);
            out.store_part($s, whole, rest, $f);
        }
    }};
}

mod attention;
mod bicubic;
mod device;
mod flash;
mod floats;
mod image_attention;
mod linear;
mod mask_out;
mod masks;
mod math;
mod memory;
mod memory_attention;
mod norm;
mod pixels;
mod pointwise;
pub mod pool;
mod prompts;
mod ptr;
mod rope;
pub mod simd;
mod tracking;
mod upscale;

pub use device::Cpu;
pub use linear::Packed;
pub use memory::HostMemory;
pub use pool::bind_thread;

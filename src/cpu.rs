//! The CPU as a device.

use crate::options::LoadOptions;
use sam2_engine::cpu;
use sam2_engine::cpu::simd::Isa;
use sam2_engine::{Precision, Result};
use std::fmt;

/// The CPU as [`load`](crate::load) uses it: a pool of threads and an instruction set.
///
/// A program needs it only to describe or to measure the machine. [`load`](crate::load) makes its own.
pub struct Cpu(pub(crate) cpu::Cpu);

impl Cpu {
    /// Starts the threads that `options` ask for. Only `threads`, `cpus` and `isa` are used.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if this CPU lacks the instruction set, if a CPU to bind to does not exist, or if the system
    /// refuses the threads. [`Error::Input`] if there are more than 1024 threads.
    ///
    /// [`Error::Device`]: crate::Error::Device
    /// [`Error::Input`]: crate::Error::Input
    pub fn new(options: &LoadOptions) -> Result<Cpu> {
        Ok(Cpu(cpu::Cpu::on_cpus(options.threads, &options.cpus, options.isa)?))
    }

    /// The instruction set in use.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.0.isa()
    }

    /// The number of threads in use.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.0.threads()
    }

    /// The peak of the matrix kernel in floating-point operations per second, with all threads and with operands in the
    /// first-level cache. No operation in this precision is faster. The measurement takes about 0.1 s.
    #[must_use]
    pub fn peak_flops(&self, precision: Precision) -> f64 {
        self.0.peak_flops(precision)
    }
}

impl fmt::Debug for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cpu").field("threads", &self.threads()).field("isa", &self.isa()).finish()
    }
}

//! The stress test of threads of the C interface, for sanitizers. Its own package has the emulator, whose check of memory
//! no sanitizer is possible beside.

extern crate sam2 as engine;

#[path = "../../ffi/tests/stress.rs"]
mod stress;

#![no_main]
extern crate sam2 as engine;
#[path = "../../ffi/tests/common/dlpack.rs"]
mod dlpack;

libfuzzer_sys::fuzz_target!(|data: &[u8]| dlpack::dlpack(data));

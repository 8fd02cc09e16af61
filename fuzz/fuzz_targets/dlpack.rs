#![no_main]
extern crate sam2 as engine;
#[path = "../../ffi/tests/common/dlpack.rs"]
mod dlpack;
#[path = "../../ffi/tests/common/tensor.rs"]
mod tensor;

libfuzzer_sys::fuzz_target!(|data: &[u8]| dlpack::dlpack(data));

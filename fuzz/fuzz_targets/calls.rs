#![no_main]
extern crate sam2 as engine;
#[path = "../../ffi/tests/common/calls.rs"]
mod calls;
#[path = "../../tests/common/tiny.rs"]
mod tiny;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    calls::calls(data);
});

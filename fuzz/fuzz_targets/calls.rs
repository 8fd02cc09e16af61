#![no_main]
extern crate sam2 as engine;
#[path = "../../ffi/tests/common/calls.rs"]
mod calls;
#[path = "../../ffi/tests/common/tensor.rs"]
mod tensor;
#[path = "../../tests/common/tiny.rs"]
mod tiny;

libfuzzer_sys::fuzz_target!(
    init: {
        // Starting ffmpeg takes longer than a sequence. SAFETY: there is no other thread yet.
        unsafe { std::env::set_var("SAM2_FFMPEG", "/nowhere/ffmpeg") }
    },
    |data: &[u8]| {
        calls::calls(data);
    }
);

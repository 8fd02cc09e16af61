//! `DLManagedTensorVersioned` of dlpack.h.

use std::ffi::c_void;

#[repr(C)]
pub struct Tensor {
    pub version: [u32; 2],
    pub context: *mut c_void,
    pub deleter: Option<unsafe extern "C" fn(*mut Tensor)>,
    pub flags: u64,
    pub data: *mut c_void,
    /// Type and index of the device.
    pub device: [i32; 2],
    pub ndim: i32,
    pub code: u8,
    pub bits: u8,
    pub lanes: u16,
    pub shape: *mut i64,
    pub strides: *mut i64,
    pub byte_offset: u64,
}

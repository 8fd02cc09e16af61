//! Interprets bytes as a DLPack tensor of arbitrary numbers, for the fuzz target `dlpack`. An image or mask buffer of
//! the tensor must lie within its memory. No memory is read, so the address of the tensor is a number.

use crate::tensor::Tensor;
use sam2_ffi::*;
use std::ffi::c_void;

/// Where the tensor's memory would be.
const ADDRESS: usize = 1 << 40;

/// Numbers from the bytes, 0 after their end.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn bytes(&mut self, n: usize) -> u64 {
        (0..n).fold(0, |value, _| {
            let (byte, rest) = self.0.split_first().unwrap_or((&0, &[]));
            self.0 = rest;
            value << 8 | u64::from(*byte)
        })
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.bytes(1) as usize % of.len()]
    }

    /// Small as a rule.
    fn size(&mut self) -> i64 {
        match self.bytes(1) {
            n @ 0..200 => n as i64,
            200..220 => self.bytes(2) as i64,
            220..240 => self.bytes(4) as i64,
            240..250 => self.bytes(8) as i64,
            n => -(n as i64),
        }
    }
}

/// The bytes from the tensor's first to its last element; None where they are beyond any address.
fn extent(tensor: &Tensor, shape: &[i64], strides: Option<&[i64]>) -> Option<(i128, i128)> {
    let start = ADDRESS as i128 + i128::from(tensor.byte_offset);
    if shape.contains(&0) {
        return Some((start, start));
    }
    let mut last = 0i128;
    let mut dense = 1i128;
    for (i, &n) in shape.iter().enumerate().rev() {
        let stride = strides.map_or(dense, |s| s[i].into());
        last = last.checked_add((i128::from(n) - 1).checked_mul(stride)?)?;
        dense = dense.checked_mul(n.into())?;
    }
    Some((start, start + last.checked_add(1)?.checked_mul(i128::from(tensor.bits / 8))?))
}

/// Makes an image and a mask buffer of the tensor.
pub fn dlpack(data: &[u8]) {
    let mut numbers = Numbers(data);
    let mut shape: [i64; 4] = std::array::from_fn(|_| numbers.size());
    let mut strides: [i64; 4] = std::array::from_fn(|_| numbers.size());
    let strided = numbers.one(&[true, false]);
    let tensor = Tensor {
        version: [numbers.one(&[1, 1, 1, 0]), 0],
        context: std::ptr::null_mut(),
        deleter: None,
        flags: numbers.bytes(1) & 1,
        data: ADDRESS as *mut c_void,
        device: [numbers.one(&[1, 2, 3, 13]), 0],
        ndim: numbers.one(&[2, 3, 4, 1, 0]),
        code: numbers.one(&[1, 2, 4, 6, 0]),
        bits: numbers.one(&[8, 32, 16, 64, 1]),
        lanes: numbers.one(&[1, 1, 1, 2]),
        shape: shape.as_mut_ptr(),
        strides: if strided { strides.as_mut_ptr() } else { std::ptr::null_mut() },
        byte_offset: numbers.size() as u64,
    };
    let dims = tensor.ndim as usize;
    let extent = extent(&tensor, &shape[..dims], strided.then_some(&strides[..dims]));
    let within = |from: *const c_void, bytes: i128| {
        let from = from as usize as i128;
        let (start, end) = extent.expect("a tensor that no memory holds was taken");
        assert!(from >= start && from + bytes <= end, "{from:#x} + {bytes} of {start:#x}..{end:#x}");
    };
    // SAFETY: structs of the size they say; shape and strides are there, of as many dimensions.
    unsafe {
        let mut image = sam2_image { struct_size: size_of::<sam2_image>() as u32, ..std::mem::zeroed() };
        let status = sam2_image_from_dlpack((&raw const tensor).cast(), &mut image);
        assert_ne!(status, SAM2_ERROR_INTERNAL);
        let (width, height) = (i128::from(image.width), i128::from(image.height));
        // Sides that are not within what a picture may have are refused where the image is used.
        let sides = 1..=engine::MAX_SIDE as i128;
        if status == SAM2_OK && sides.contains(&width) && sides.contains(&height) {
            let (pixel, planes) = match image.format {
                SAM2_FORMAT_GRAY8 => (1, 1),
                SAM2_FORMAT_RGB8 => (3, 1),
                SAM2_FORMAT_RGBA8 => (4, 1),
                SAM2_FORMAT_RGB_F32 => (12, 1),
                SAM2_FORMAT_RGB_F16 | SAM2_FORMAT_RGB_BF16 => (6, 1),
                SAM2_FORMAT_RGB8_PLANAR => (1, 3),
                SAM2_FORMAT_RGB_F32_PLANAR => (4, 3),
                SAM2_FORMAT_RGB_F16_PLANAR | SAM2_FORMAT_RGB_BF16_PLANAR => (2, 3),
                other => panic!("format {other}"),
            };
            for (&plane, &stride) in image.planes.iter().zip(&image.strides).take(planes) {
                let row = if stride == 0 { width * pixel } else { i128::from(stride) };
                within(plane, row * (height - 1) + width * pixel);
            }
        }
        let mut masks = sam2_mask_buffer { struct_size: size_of::<sam2_mask_buffer>() as u32, ..std::mem::zeroed() };
        let status = sam2_mask_buffer_from_dlpack((&raw const tensor).cast(), &mut masks);
        assert_ne!(status, SAM2_ERROR_INTERNAL);
        if status == SAM2_OK {
            within(masks.data, i128::from(masks.size));
        }
    }
}

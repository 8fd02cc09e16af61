//! Tensors in the form that kernels take.

use bytemuck::NoUninit;
use sam2_engine::tensor::{DType, Tensor};

/// A tensor in the form that kernels take.
#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
pub(crate) struct View {
    pub addr: u64,
    pub stride: i32,
    pub dtype: i32,
}

impl View {
    pub const NONE: View = View { addr: 0, stride: 0, dtype: 0 };

    pub fn of(t: Tensor<'_>) -> View {
        View { addr: t.addr(), stride: t.stride() as i32, dtype: code(t.dtype()) }
    }

    /// Rows of `stride` elements at an address.
    pub fn at(addr: u64, stride: usize, dtype: DType) -> View {
        View { addr, stride: stride as i32, dtype: code(dtype) }
    }
}

/// The number of an element type in kernels.
pub(crate) fn code(dtype: DType) -> i32 {
    match dtype {
        DType::F32 => 0,
        DType::F16 => 1,
        DType::Bf16 => 2,
        DType::I32 => panic!("a view of integers"),
    }
}

/// The address of a tensor of f32 or i32 without gaps between its rows.
pub(crate) fn plain(t: Tensor<'_>, dtype: DType) -> u64 {
    assert!(t.dtype() == dtype && t.is_contiguous(), "expected {dtype:?} without gaps, got {t:?}");
    t.addr()
}

/// The number of blocks of `threads` that cover `items`, which kernels count in 32 bits.
pub(crate) fn blocks(items: usize, threads: usize) -> usize {
    assert!(items < 1 << 31, "{items} items of one launch");
    items.div_ceil(threads).max(1)
}

/// Bytes of a row of `width` 16-bit numbers in shared memory, as `PaddedTile` of the kernels: an odd number of chunks.
pub(crate) fn padded_row(width: usize) -> usize {
    ((width / 8) | 1) * 16
}

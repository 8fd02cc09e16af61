//! The operands of products on the device.

use crate::view::View;
use sam2_engine::tensor::DType;

/// Rows in the workspace that were normalised for a product.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct NormedRows {
    /// The address, the stride and the number of the rows before the norm.
    pub from: (u64, usize, usize),
    pub gamma: u64,
    pub columns: usize,
    pub dtype: DType,
    /// The address of the normalised rows.
    pub addr: u64,
}

/// The place of an operand in the form that products take.
#[derive(Clone, Copy)]
pub(crate) struct Prepared {
    pub addr: u64,
    /// Elements from row to row.
    pub stride: usize,
    /// Columns of a group.
    pub group: usize,
    /// The addend of the operand, if the kernel of the product adds it.
    pub add: View,
}

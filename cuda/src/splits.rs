//! Combines the results of attention to splits of the keys. The kernel is in `kernels/splits.cu`.

use crate::device::Device;
use crate::kernels::Kernel;
use crate::queue::Cuda;
use crate::view::{View, blocks};
use bytemuck::NoUninit;

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct MergeArgs {
    out: View,
    sums: u64,
    stats: u64,
    n: i32,
    c: i32,
    splits: i32,
    width: i32,
}

/// The results of the splits of `p` prompts or objects of `n` queries.
pub(crate) struct Splits {
    /// (p, splits, n, width) of f32.
    pub sums: u64,
    /// (p, splits, n, 2) of f32.
    pub stats: u64,
    p: usize,
    n: usize,
    splits: usize,
    width: usize,
}

impl Splits {
    /// The results of the first `p`.
    pub(crate) fn of(&self, p: usize) -> Splits {
        Splits { p, ..*self }
    }
}

impl<D: Device> Cuda<D> {
    /// Workspace for the results of splits. `None` after a failure.
    pub(crate) fn splits(&self, p: usize, splits: usize, n: usize, width: usize) -> Option<Splits> {
        let bytes = (p * splits * n * width * 4).next_multiple_of(256);
        let sums = self.workspace(bytes + p * splits * n * 8)?;
        Some(Splits { sums, stats: sums + bytes as u64, p, n, splits, width })
    }

    /// `out` (p, n, c): the combined results.
    pub(crate) fn merge(&self, out: View, c: usize, from: &Splits) {
        assert!(c <= from.width && from.width.is_multiple_of(4) && from.width <= 256, "splits of {c} columns");
        let args = MergeArgs {
            out,
            sums: from.sums,
            stats: from.stats,
            n: from.n as i32,
            c: c as i32,
            splits: from.splits as i32,
            width: from.width as i32,
        };
        self.launch(Kernel::merge_splits, [blocks(from.n, 8), from.p, 1], 0, &args);
    }
}

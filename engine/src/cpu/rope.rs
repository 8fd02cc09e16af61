//! Rotary position embedding.

use super::simd::{Kernel, Simd};
use super::{Cpu, F32};
use crate::tensor::Tensor;

struct Rotate {
    rows: (usize, usize),
    x: F32,
    stride: usize,
    c: usize,
    table: F32,
    m: usize,
    d: usize,
}

impl Kernel for Rotate {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, _: S) {
        for row in self.rows.0..self.rows.1 {
            let x = std::slice::from_raw_parts_mut(self.x.at_mut(row * self.stride), self.c);
            let table = std::slice::from_raw_parts(self.table.at(row % self.m * self.d), self.d);
            for head in x.chunks_exact_mut(self.d) {
                for (pair, turn) in head.chunks_exact_mut(2).zip(table.chunks_exact(2)) {
                    let (a, b, cos, sin) = (pair[0], pair[1], turn[0], turn[1]);
                    (pair[0], pair[1]) = (a * cos - b * sin, a * sin + b * cos);
                }
            }
        }
    }
}

impl Cpu {
    pub(super) fn rope2d(&self, x: Tensor<'_>, table: Tensor<'_>) {
        let (m, d) = (table.rows(), table.cols());
        assert!(
            x.cols().is_multiple_of(d) && d.is_multiple_of(2) && table.is_contiguous(),
            "rope2d: {x:?} by {table:?}"
        );
        self.count(&[x, x]);
        let (pointer, stride, c, table) = (F32::of(x), x.stride(), x.cols(), F32::of(table));
        self.parallel_rows(x.rows(), c, |rows, _| Rotate { rows, x: pointer, stride, c, table, m, d });
    }
}

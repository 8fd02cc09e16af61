//! Rotary position embedding.

use super::floats::Floats;
use super::simd::{Kernel, Simd};
use super::{Cpu, F32, I32};
use crate::tensor::Tensor;

/// Rows of one entry.
struct Rotate {
    rows: (usize, usize),
    x: Floats,
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
            let (x, table) = (self.x.add(row * self.stride), self.table.add(row % self.m * self.d));
            for head in (0..self.c).step_by(self.d) {
                for i in (0..self.d).step_by(2) {
                    let (a, b, cos, sin) = (x.get(head + i), x.get(head + i + 1), *table.at(i), *table.at(i + 1));
                    x.set(head + i, a * cos - b * sin);
                    x.set(head + i + 1, a * sin + b * cos);
                }
            }
        }
    }
}

impl Cpu {
    pub(super) fn rope2d(&self, x: Tensor<'_>, table: Tensor<'_>, lens: Option<Tensor<'_>>) {
        let (&[p, n, c], m, d) = (x.dims(), table.rows(), table.cols()) else { panic!("rope2d: {x:?}") };
        assert!(c.is_multiple_of(d) && d.is_multiple_of(2) && table.is_contiguous(), "rope2d: {x:?} by {table:?}");
        assert!(lens.is_none_or(|lens| lens.len() == p), "rope2d: {x:?}, lengths {lens:?}");
        self.count(&[x, x]);
        let (pointer, stride, table, lens) = (Floats::of(x), x.stride(), F32::of(table), lens.map(I32::of));
        const ROWS: usize = 64;
        let blocks = n.div_ceil(ROWS);
        self.parallel(p * blocks, |task, _| {
            let (entry, first) = (task / blocks, task % blocks * ROWS);
            // SAFETY: a length per entry, checked above.
            let len = lens.map_or(n, |lens| unsafe { *lens.at(entry) } as usize);
            let rows = (first.min(len), (first + ROWS).min(len));
            Rotate { rows, x: pointer.add(entry * n * stride), stride, c, table, m, d }
        });
    }
}

//! Rotary position embedding.

use super::device::Cpu;
use super::floats::{Floats, Read, Write};
use super::ptr::{F32, I32};
use super::simd::{Kernel, Simd};
use crate::backend::Rotation;
use crate::backend::tensor::Tensor;

/// 0 and 1, alternating.
const ODD: [f32; 16] = [0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0];

/// Rotates rows of one entry.
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
    unsafe fn run<S: Simd>(self, s: S) {
        // Lanes alternate between the first of a pair and the second.
        let odd = s.load(ODD.as_ptr());
        let half = s.splat(0.5);
        for row in self.rows.0..self.rows.1 {
            let (x, table) = (self.x.add(row * self.stride), self.table.add(row % self.m * self.d));
            for head in (0..self.c).step_by(self.d) {
                let x = x.add(head);
                for i in (0..self.d).step_by(S::LANES) {
                    let n = (self.d - i).min(S::LANES);
                    let (v, turn) = (x.load_part(s, i, n), table.load_part(s, i, n));
                    let turned = s.swap(turn);
                    let cos = s.select_lt(odd, half, turn, turned);
                    let sin = s.select_lt(odd, half, s.sub(s.splat(0.0), turned), turn);
                    x.store_part(s, i, n, s.fma(v, cos, s.mul(s.swap(v), sin)));
                }
            }
        }
    }
}

impl Cpu {
    pub(super) fn rotate(&self, x: Tensor<'_>, rotation: Rotation<'_>) {
        let Rotation { table, columns: c, lens } = rotation;
        let (&[p, n, _], m, d) = (x.dims(), table.rows(), table.cols()) else { panic!("rotation: {x:?}") };
        assert!(c.is_multiple_of(d) && d.is_multiple_of(2) && table.is_contiguous(), "rotation: {x:?} by {table:?}");
        assert!(c <= x.cols() && lens.is_none_or(|lens| lens.len() == p), "rotation: {x:?}, lengths {lens:?}");
        self.count(&[x.columns(0, c), x.columns(0, c)]);
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

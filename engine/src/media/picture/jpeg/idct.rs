//! Conversion of coefficients to samples by the inverse cosine transform of 8x8 blocks (Loeffler, Ligtenberg and
//! Moschytz, "Practical fast 1-D DCT algorithms with 11 multiplications", 1989). The transform uses integers with 13
//! fraction bits. It transforms columns before rows, with 2 more bits between the two, as libjpeg's accurate integer
//! method.

use super::upsample::vectorized;
use std::num::Wrapping;

/// An integer that wraps, because damaged files may overflow.
type Int = Wrapping<i32>;

type Block = [[Int; 8]; 8];

const fn fixed(x: f64) -> Int {
    Wrapping((x * 8192.0 + 0.5) as i32)
}

/// Transforms one dimension, lane by lane, and rounds `shift` bits off.
#[inline(always)]
fn pass(from: &Block, to: &mut Block, shift: usize) {
    for lane in 0..8 {
        let x: [Int; 8] = std::array::from_fn(|i| from[i][lane]);
        // The even half.
        let rotated = (x[2] + x[6]) * const { fixed(0.541196100) };
        let (low, high) =
            (rotated - x[6] * const { fixed(1.847759065) }, rotated + x[2] * const { fixed(0.765366865) });
        let (sum, difference) = ((x[0] + x[4]) << 13, (x[0] - x[4]) << 13);
        let even = [sum + high, difference + low, difference - low, sum - high];
        // The odd half.
        let rotated = (x[1] + x[3] + x[5] + x[7]) * const { fixed(1.175875602) };
        let outer = (x[1] + x[7]) * const { fixed(0.899976223) };
        let inner = (x[3] + x[5]) * const { fixed(2.562915447) };
        let threes = rotated - (x[3] + x[7]) * const { fixed(1.961570560) };
        let ones = rotated - (x[1] + x[5]) * const { fixed(0.390180644) };
        let odd = [
            x[1] * const { fixed(1.501321110) } - outer + ones,
            x[3] * const { fixed(3.072711026) } - inner + threes,
            x[5] * const { fixed(2.053119869) } - inner + ones,
            x[7] * const { fixed(0.298631336) } - outer + threes,
        ];
        let half = Wrapping(1 << (shift - 1));
        for i in 0..4 {
            to[i][lane] = (even[i] + odd[i] + half) >> shift;
            to[7 - i][lane] = (even[i] - odd[i] + half) >> shift;
        }
    }
}

/// Exchanges rows and columns.
#[inline(always)]
fn transpose(from: &Block, to: &mut Block) {
    for i in 0..8 {
        for j in 0..8 {
            to[i][j] = from[j][i];
        }
    }
}

vectorized! {
    /// Writes the samples of a block to eight rows of `plane` that are `stride` apart.
    pub fn transform(block: &[i16; 64], steps: &[u16; 64], plane: &mut [u8], stride: usize) {
        if block[1..].iter().all(|&c| c == 0) {
            let level = ((i32::from(block[0]) * i32::from(steps[0]) + 4) >> 3) + 128;
            plane.chunks_mut(stride).take(8).for_each(|row| row[..8].fill(level.clamp(0, 255) as u8));
            return;
        }
        let (mut a, mut b) = ([[Wrapping(0); 8]; 8], [[Wrapping(0); 8]; 8]);
        for (a, (&c, &step)) in a.as_flattened_mut().iter_mut().zip(block.iter().zip(steps)) {
            *a = Wrapping(i32::from(c) * i32::from(step));
        }
        pass(&a, &mut b, 11);
        transpose(&b, &mut a);
        pass(&a, &mut b, 18);
        transpose(&b, &mut a);
        for (row, values) in plane.chunks_mut(stride).zip(&a) {
            for (sample, value) in row[..8].iter_mut().zip(values) {
                *sample = (value.0 + 128).clamp(0, 255) as u8;
            }
        }
    }
}

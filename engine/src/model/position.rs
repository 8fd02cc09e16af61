//! Position encodings that are constants of a model, computed at load.

use crate::error::{Result, try_zeros};
use std::f32::consts::TAU;

/// The four source pixels of a bicubic filter (a = -0.75) under output pixel `i`, and their weights.
///
/// As PyTorch's `interpolate(mode="bicubic", align_corners=False)`.
fn cubic(i: usize, from: usize, to: usize) -> [(usize, f32); 4] {
    const A: f32 = -0.75;
    let x = (i as f32 + 0.5) * (from as f32 / to as f32) - 0.5;
    let (first, t) = (x.floor() as isize, x - x.floor());
    let near = |t: f32| ((A + 2.0) * t - (A + 3.0)) * t * t + 1.0;
    let far = |t: f32| ((A * t - 5.0 * A) * t + 8.0 * A) * t - 4.0 * A;
    let weights = [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)];
    std::array::from_fn(|j| ((first + j as isize - 1).clamp(0, from as isize - 1) as usize, weights[j]))
}

/// The trunk's position embedding (side, side, c): `background` (c, bh, bw) enlarged to the map, plus `window`
/// (c, w, w) tiled over it.
pub fn hiera_position(
    background: &[f32],
    [bh, bw]: [usize; 2],
    window: &[f32],
    w: usize,
    c: usize,
    side: usize,
) -> Result<Vec<f32>> {
    const WHAT: &str = "the position embedding";
    // Along x first: (bh, side, c).
    let mut wide = try_zeros::<f32>(bh * side * c, WHAT)?;
    for y in 0..bh {
        for x in 0..side {
            let out = &mut wide[(y * side + x) * c..][..c];
            for (from, weight) in cubic(x, bw, side) {
                for (ch, v) in out.iter_mut().enumerate() {
                    *v += weight * background[(ch * bh + y) * bw + from];
                }
            }
        }
    }
    let mut out = try_zeros::<f32>(side * side * c, WHAT)?;
    for y in 0..side {
        let row = &mut out[y * side * c..][..side * c];
        for (from, weight) in cubic(y, bh, side) {
            for (v, wide) in row.iter_mut().zip(&wide[from * side * c..][..side * c]) {
                *v += weight * wide;
            }
        }
        for x in 0..side {
            for ch in 0..c {
                row[x * c + ch] += window[(ch * w + y % w) * w + x % w];
            }
        }
    }
    Ok(out)
}

/// The random Fourier features of every cell of a map (side, side, 2n), from `gaussian` (2, n).
pub fn dense_position(gaussian: &[f32], side: usize) -> Result<Vec<f32>> {
    let n = gaussian.len() / 2;
    let mut out = try_zeros::<f32>(side * side * 2 * n, "the position encoding")?;
    let center = |i: usize| 2.0 * ((i as f32 + 0.5) / side as f32) - 1.0;
    for (i, cell) in out.chunks_mut(2 * n).enumerate() {
        let (x, y) = (center(i % side), center(i / side));
        for j in 0..n {
            let angle = TAU * (x * gaussian[j] + y * gaussian[n + j]);
            (cell[j], cell[n + j]) = angle.sin_cos();
        }
    }
    Ok(out)
}

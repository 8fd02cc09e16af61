//! Position encodings that are constants of a model. They are computed at load.

use crate::error::Result;
use crate::memory::try_zeros;
use std::f32::consts::TAU;

/// Returns the four source pixels of a bicubic filter (a = -0.75) for output pixel `i`, and their weights.
///
/// The filter is that of PyTorch's `interpolate(mode="bicubic", align_corners=False)`.
fn cubic(i: usize, from: usize, to: usize) -> [(usize, f32); 4] {
    const A: f32 = -0.75;
    let x = (i as f32 + 0.5) * (from as f32 / to as f32) - 0.5;
    let (first, t) = (x.floor() as isize, x - x.floor());
    let near = |t: f32| ((A + 2.0) * t - (A + 3.0)) * t * t + 1.0;
    let far = |t: f32| ((A * t - 5.0 * A) * t + 8.0 * A) * t - 4.0 * A;
    let weights = [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)];
    std::array::from_fn(|j| ((first + j as isize - 1).clamp(0, from as isize - 1) as usize, weights[j]))
}

/// Computes the trunk's position embedding (side, side, c): `background` (c, bh, bw) enlarged to the map, plus `window`
/// (c, w, w) tiled over the map.
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

/// Computes the sine encoding of every cell of a map (side, side, d): first of y, then of x. Each has pairs of sine and
/// cosine with decreasing frequency.
///
/// The encoding is that of the reference's `PositionEmbeddingSine` with `normalize`.
pub fn sine_position(d: usize, side: usize) -> Result<Vec<f32>> {
    let half = d / 2;
    let mut out = try_zeros::<f32>(side * side * d, "the position encoding")?;
    let place = |i: usize| (i + 1) as f32 / (side as f32 + 1e-6) * TAU;
    for (i, cell) in out.chunks_mut(d).enumerate() {
        for (k, v) in cell.iter_mut().enumerate() {
            let (at, j) = if k < half { (place(i / side), k) } else { (place(i % side), k - half) };
            let angle = at / 10_000f32.powf((j / 2 * 2) as f32 / half as f32);
            *v = if j % 2 == 0 { angle.sin() } else { angle.cos() };
        }
    }
    Ok(out)
}

/// Computes the cosine and sine of the rotation of every pair of channels (side * side, d). Half of the pairs rotate by
/// x, and half by y, with decreasing frequency (axial RoPE; Heo et al., arXiv:2403.13298).
pub fn rotation(d: usize, side: usize, theta: f32) -> Result<Vec<f32>> {
    let quarter = d / 4;
    let mut out = try_zeros::<f32>(side * side * d, "the rotation")?;
    for (i, cell) in out.chunks_mut(d).enumerate() {
        for (pair, turn) in cell.chunks_mut(2).enumerate() {
            let (at, k) = if pair < quarter { (i % side, pair) } else { (i / side, pair - quarter) };
            let angle = at as f32 * (1.0 / theta.powf((4 * k) as f32 / d as f32));
            (turn[1], turn[0]) = angle.sin_cos();
        }
    }
    Ok(out)
}

/// Computes the sines, and then the cosines, of a distance in time: (d).
///
/// The encoding is that of the reference's `get_1d_sine_pe`.
pub fn time_sines(distance: f32, out: &mut [f32]) {
    let half = out.len() / 2;
    for k in 0..half {
        let angle = distance / 10_000f32.powf((k / 2 * 2) as f32 / half as f32);
        (out[k], out[half + k]) = angle.sin_cos();
    }
}

/// Computes the random Fourier features of every cell of a map (side, side, 2n), from `gaussian` (2, n).
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

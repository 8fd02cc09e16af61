//! Products of cuBLASLt, whose code is not available: tiles of a few shapes in waves, at the library's measured rate.

use crate::machine;

/// A product: (m, k) by (k, n).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// Rows.
    pub m: u64,
    /// Columns of the result.
    pub n: u64,
    /// Columns of the first operand.
    pub k: u64,
    /// Bytes of an element of the operands: 2 or 4.
    pub bytes: u64,
    /// Bytes of an element of the result.
    pub out_bytes: u64,
    /// The result is added to the contents of the output.
    pub add: bool,
}

/// Tiles that the library may use, and the fraction of its rate that they reach. The shapes are some of those of
/// `cublasLtMatmulTile_t` in the cuBLAS documentation. 192x192, 256x128 and 320x128 are in published profiles of H100s
/// (`nvjet_tst_192x192_64x4_2x1_v_bz_coopB_TNN`). The fractions are interpolated by width. \[estimate\]
const TILES: [(u64, u64, f64); 13] = [
    (320, 128, 1.0),
    (192, 192, 1.0),
    (128, 256, 1.0),
    (256, 128, 1.0),
    (128, 192, 0.925),
    (192, 128, 0.925),
    (128, 160, 0.89),
    (160, 128, 0.89),
    (128, 128, 0.85),
    (128, 96, 0.725),
    (128, 64, 0.6),
    (64, 96, 0.55),
    (64, 64, 0.5),
];

impl Product {
    /// Floating-point operations.
    #[must_use]
    pub fn flops(&self) -> f64 {
        2.0 * self.m as f64 * self.n as f64 * self.k as f64
    }

    /// Seconds on the device, including the gap before the next launch of a graph.
    pub fn seconds(&self) -> f64 {
        let rate = if self.bytes == 2 { machine::LIBRARY_FLOPS } else { machine::LIBRARY_F32_FLOPS };
        let sms = machine::SMS as u64;
        let with_tile = |&(rows, columns, part): &(u64, u64, f64)| {
            let waves = (self.m.div_ceil(rows) * self.n.div_ceil(columns)).div_ceil(sms);
            (waves * sms * rows * columns) as f64 * 2.0 * self.k as f64 / (rate * part)
        };
        let work = TILES.iter().map(with_tile).fold(f64::MAX, f64::min);
        let out = self.m * self.n * self.out_bytes * if self.add { 2 } else { 1 };
        let traffic = (self.m + self.n) * self.k * self.bytes + out;
        work.max(traffic as f64 / machine::DEVICE_MEMORY) + machine::LIBRARY_START + machine::LAUNCH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_product_reaches_the_measured_rate_and_a_small_one_its_start() {
        let square = |n| Product { m: n, n, k: n, bytes: 2, out_bytes: 2, add: false };
        let rate = square(8192).flops() / square(8192).seconds();
        assert!((0.9..=1.0).contains(&(rate / machine::LIBRARY_FLOPS)), "{rate:e}");
        assert!((4.5e-6..5.3e-6).contains(&square(64).seconds()), "{:e}", square(64).seconds());
        let f32s = Product { bytes: 4, out_bytes: 4, ..square(4096) };
        assert!(f32s.seconds() > 10.0 * square(4096).seconds());
    }
}

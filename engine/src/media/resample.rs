//! Resize filters: the source samples of each output sample, and their weights.

/// The source samples of output sample `i` of a triangle filter that widens when shrinking.
///
/// The filter is that of PyTorch's `interpolate(mode="bilinear", antialias=True, align_corners=False)`.
#[derive(Debug)]
pub struct Triangle {
    /// The index of the first source sample.
    pub first: usize,
    /// The number of source samples.
    pub count: usize,
    center: f64,
    /// Half the width of the filter.
    support: f64,
    total: f64,
}

impl Triangle {
    /// Computes the filter of output sample `i` for resizing `from` samples to `to` samples.
    #[must_use]
    pub fn new(i: usize, from: usize, to: usize) -> Self {
        let (center, support) = Self::place(i, from, to);
        let (first, count) = Self::span(i, from, to);
        let mut taps = Triangle { first, count, center, support, total: 1.0 };
        taps.total = (0..count).map(|j| taps.height(j)).sum();
        taps
    }

    /// Returns the index of the first source sample, and the number of source samples.
    #[must_use]
    pub fn span(i: usize, from: usize, to: usize) -> (usize, usize) {
        let (center, support) = Self::place(i, from, to);
        let first = (center - support + 0.5).max(0.0) as usize;
        (first, ((center + support + 0.5) as usize).min(from) - first)
    }

    /// Returns an upper limit of the number of source samples of a filter.
    #[must_use]
    pub fn most(from: usize, to: usize) -> usize {
        2 * from.div_ceil(to).max(1) + 1
    }

    fn place(i: usize, from: usize, to: usize) -> (f64, f64) {
        let scale = from as f64 / to as f64;
        (scale * (i as f64 + 0.5), scale.max(1.0))
    }

    fn height(&self, j: usize) -> f64 {
        (1.0 - (((self.first + j) as f64 - self.center + 0.5) / self.support).abs()).max(0.0)
    }

    /// Returns the weight of source sample `first + j`. The sum of all weights is 1.
    #[must_use]
    pub fn weight(&self, j: usize) -> f32 {
        (self.height(j) / self.total) as f32
    }
}

/// Computes the filter of output sample `i` of a bicubic filter (a = -1/2) that widens when shrinking, in fixed point.
/// Returns the index of the first source sample, and the number of source samples. Writes their weights, in units of
/// 2^-22, to `weights`.
///
/// The weights are those of Pillow's `Image.resize` for 8-bit images, bit for bit. The bicubic filter is its default.
pub fn bicubic(i: usize, from: usize, to: usize, weights: &mut [i32]) -> (usize, usize) {
    let scale = from as f64 / to as f64;
    let widening = scale.max(1.0);
    let (support, center) = (2.0 * widening, (i as f64 + 0.5) * scale);
    let first = (center - support + 0.5).max(0.0) as usize;
    let last = ((center + support + 0.5) as usize).min(from);
    let height = |j: usize| {
        let x = (((j as f64 - center) + 0.5) * (1.0 / widening)).abs();
        const A: f64 = -0.5;
        match x {
            x if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            _ => 0.0,
        }
    };
    let total: f64 = (first..last).map(height).sum();
    let fixed = |v: f64| (v * f64::from(1 << BICUBIC_BITS) + 0.5f64.copysign(v)) as i32;
    weights.iter_mut().zip(first..last).for_each(|(w, j)| *w = fixed(height(j) / total));
    (first, last - first)
}

/// The number of fraction bits of the weights of [`bicubic`].
pub const BICUBIC_BITS: u32 = 22;

/// Returns an upper limit of the number of source samples of a bicubic filter.
#[must_use]
pub fn bicubic_taps(from: usize, to: usize) -> usize {
    4 * from.div_ceil(to).max(1) + 2
}

/// Returns the two source samples around output sample `i` of a plain bilinear filter, and the weight of the second
/// sample.
///
/// The filter is that of PyTorch's `interpolate(mode="bilinear", align_corners=False)`.
#[must_use]
pub fn bilinear(i: usize, from: usize, to: usize) -> (usize, usize, f32) {
    let x = ((i as f32 + 0.5) * (from as f32 / to as f32) - 0.5).max(0.0);
    let first = (x as usize).min(from - 1);
    (first, (first + 1).min(from - 1), x - first as f32)
}

//! Upsampling of a component to one sample per pixel, as in libjpeg-turbo. If there are half as many samples, a pixel
//! is a weighted mean of its own sample and the next sample, with weights 3 and 1. This applies across, down or both.
//! Otherwise samples are repeated.

use super::component::Component;

/// Compiles a function a second time with AVX2. The second version runs if the CPU has AVX2.
macro_rules! vectorized {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $kind:ty),*) $body:block) => {
        $(#[$doc])*
        $vis fn $name($($arg: $kind),*) {
            #[inline(always)]
            fn portable($($arg: $kind),*) $body

            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") {
                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $kind),*) {
                    portable($($arg),*)
                }
                // SAFETY: the CPU has AVX2.
                return unsafe { avx2($($arg),*) };
            }
            portable($($arg),*)
        }
    };
}
pub(super) use vectorized;

/// Makes rows of pixels from the samples of a component.
pub struct Upsampler<'a> {
    of: &'a Component,
    /// The number of pixels per sample, across and down.
    across: usize,
    down: usize,
    /// Sums of rows, with one more element at either end.
    sums: Vec<u16>,
}

impl<'a> Upsampler<'a> {
    /// Creates an upsampler for a component of a file whose finest component has `across` by `down` blocks in a unit.
    pub fn new(of: &'a Component, across: usize, down: usize) -> Self {
        Upsampler { of, across: across / of.across, down: down / of.down, sums: vec![0; of.width + 2] }
    }

    fn samples(&self, y: usize) -> &'a [u8] {
        &self.of.plane[8 * self.of.columns * y..][..self.of.width]
    }

    /// Writes row `y` of the image to `out`, which has room for the pixels of all samples.
    pub fn row(&mut self, y: usize, out: &mut [u8]) {
        let near = self.samples(y / self.down);
        let even = y.is_multiple_of(2);
        let far = || if even { (y / 2).saturating_sub(1) } else { (y / 2 + 1).min(self.of.height - 1) };
        let wide = self.of.width > 2;
        match (self.across, self.down) {
            (1, 1) => out[..near.len()].copy_from_slice(near),
            (1, 2) => blend_down(near, self.samples(far()), if even { 1 } else { 2 }, out),
            (2, 1) if wide => {
                widen(near, &mut self.sums);
                blend_across(&mut self.sums, [1, 2], 2, out);
            }
            (2, 2) if wide => {
                add_down(near, self.samples(far()), &mut self.sums);
                blend_across(&mut self.sums, [8, 7], 4, out);
            }
            (n, _) => out.chunks_exact_mut(n).zip(near).for_each(|(pixels, &sample)| pixels.fill(sample)),
        }
    }
}

vectorized! {
    fn blend_down(near: &[u8], far: &[u8], half: u16, out: &mut [u8]) {
        for ((out, &near), &far) in out.iter_mut().zip(near).zip(far) {
            *out = ((3 * u16::from(near) + u16::from(far) + half) >> 2) as u8;
        }
    }
}

vectorized! {
    fn widen(samples: &[u8], sums: &mut [u16]) {
        sums[1..].iter_mut().zip(samples).for_each(|(sum, &x)| *sum = u16::from(x));
    }
}

vectorized! {
    fn add_down(near: &[u8], far: &[u8], sums: &mut [u16]) {
        for ((sum, &near), &far) in sums[1..].iter_mut().zip(near).zip(far) {
            *sum = 3 * u16::from(near) + u16::from(far);
        }
    }
}

vectorized! {
    /// Computes two pixels of each sum. `half` has the rounding of the left and the right pixel, and `shift` is the
    /// number of bits that are dropped. In integers, half of `1 << shift` is rounded differently on the left and on the
    /// right.
    fn blend_across(sums: &mut [u16], half: [u16; 2], shift: u32, out: &mut [u8]) {
        let last = sums.len() - 1;
        (sums[0], sums[last]) = (sums[1], sums[last - 1]);
        for (pixels, s) in out.chunks_exact_mut(2).zip(sums.windows(3)) {
            pixels[0] = ((3 * s[1] + s[0] + half[0]) >> shift) as u8;
            pixels[1] = ((3 * s[1] + s[2] + half[1]) >> shift) as u8;
        }
    }
}

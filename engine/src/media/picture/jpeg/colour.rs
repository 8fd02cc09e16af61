//! Conversion of samples to RGB.

use super::component::Component;
use super::damage::Result;
use super::upsample::{Upsampler, vectorized};
use crate::media::picture::limits::zeros;

/// The meaning of the components of a file.
#[derive(Clone, Copy)]
pub enum Colours {
    Gray,
    YCbCr,
    Rgb,
    /// Inverted CMYK, as Adobe's programs write it and Pillow reads it.
    Cmyk,
    /// YCbCr of inverted CMY, and inverted K.
    Ycck,
}

/// Returns the RGB pixels of complete planes.
pub fn rgb(components: &[Component], colours: Colours, width: usize, height: usize) -> Result<Vec<u8>> {
    let most_across = components.iter().map(|c| c.across).max().unwrap_or(1);
    let most_down = components.iter().map(|c| c.down).max().unwrap_or(1);
    let mut upsamplers: Vec<_> = components.iter().map(|c| Upsampler::new(c, most_across, most_down)).collect();
    let mut rows = vec![vec![0; width + 4]; components.len()];
    let mut pixels = zeros(3 * width * height)?;
    for (y, out) in pixels.chunks_exact_mut(3 * width).enumerate() {
        for (upsampler, row) in upsamplers.iter_mut().zip(&mut rows) {
            upsampler.row(y, row);
        }
        match (colours, &rows[..]) {
            (Colours::YCbCr, [y, cb, cr]) => from_ycbcr(y, cb, cr, out),
            (Colours::Rgb, [r, g, b]) => interleave(r, g, b, out),
            (Colours::Cmyk, [r, g, b, k]) => {
                interleave(r, g, b, out);
                darken(out, k);
            }
            (Colours::Ycck, [y, cb, cr, k]) => {
                from_ycbcr(y, cb, cr, out);
                out.iter_mut().for_each(|x| *x = 255 - *x);
                darken(out, k);
            }
            (_, rows) => interleave(&rows[0], &rows[0], &rows[0], out),
        }
    }
    Ok(pixels)
}

fn interleave(r: &[u8], g: &[u8], b: &[u8], out: &mut [u8]) {
    for (((pixel, &r), &g), &b) in out.chunks_exact_mut(3).zip(r).zip(g).zip(b) {
        pixel.copy_from_slice(&[r, g, b]);
    }
}

vectorized! {
    /// Converts JFIF's colours, with 16 fraction bits.
    fn from_ycbcr(y: &[u8], cb: &[u8], cr: &[u8], out: &mut [u8]) {
        const HALF: i32 = 1 << 15;
        for (((pixel, &y), &cb), &cr) in out.chunks_exact_mut(3).zip(y).zip(cb).zip(cr) {
            let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
            pixel[0] = (y + ((91881 * cr + HALF) >> 16)).clamp(0, 255) as u8;
            pixel[1] = (y + ((HALF - 22554 * cb - 46802 * cr) >> 16)).clamp(0, 255) as u8;
            pixel[2] = (y + ((116130 * cb + HALF) >> 16)).clamp(0, 255) as u8;
        }
    }
}

/// Multiplies colours by inverted black, as Pillow's `convert("RGB")` of CMYK.
fn darken(pixels: &mut [u8], k: &[u8]) {
    for (pixel, &k) in pixels.chunks_exact_mut(3).zip(k) {
        for x in pixel {
            let n = u32::from(255 - *x) * u32::from(k) + 128;
            *x = k.saturating_sub((((n >> 8) + n) >> 8) as u8);
        }
    }
}

//! A contact sheet: thumbnails of many images in one image.

use crate::pixels::to_rgb;
use sam2::picture::Picture;
use sam2::{PixelFormat, Result};

/// The maximum side of the sheet in pixels.
const SIDE: usize = 4096;
/// The maximum side of a thumbnail in pixels.
const CELL: usize = 256;

/// Thumbnails in rows. Empty cells are black.
pub struct Sheet {
    pub picture: Picture,
    columns: usize,
    cell: usize,
}

impl Sheet {
    /// A black sheet with room for `count` thumbnails.
    pub fn new(count: usize) -> Sheet {
        let columns = (1..).find(|n| n * n >= count).unwrap_or(1);
        let cell = (SIDE / columns).clamp(1, CELL);
        let (width, height) = (columns * cell, count.div_ceil(columns).max(1) * cell);
        let picture = Picture { pixels: vec![0; width * height * 3], width, height, format: PixelFormat::Rgb8 };
        Sheet { picture, columns, cell }
    }

    /// Draws the thumbnail of an image into cell `i`, counted row by row.
    pub fn put(&mut self, i: usize, picture: &Picture) -> Result<()> {
        let from = to_rgb(picture)?;
        let scaled = |side: usize| (side * self.cell / from.width.max(from.height).max(self.cell)).max(1);
        let (width, height) = (scaled(from.width), scaled(from.height));
        let (left, top) = (i % self.columns * self.cell, i / self.columns * self.cell);
        let (left, top) = (left + (self.cell - width) / 2, top + (self.cell - height) / 2);
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let mut sum = [0; 3];
            let (rows, columns) = (part(y, height, from.height), part(x, width, from.width));
            let count = rows.len() * columns.len();
            for row in rows {
                for pixel in from.pixels[row * from.width * 3..][columns.start * 3..columns.end * 3].chunks(3) {
                    sum.iter_mut().zip(pixel).for_each(|(sum, &v)| *sum += v as usize);
                }
            }
            let to = ((top + y) * self.picture.width + left + x) * 3;
            self.picture.pixels[to..to + 3].copy_from_slice(&sum.map(|sum| (sum / count) as u8));
        }
        Ok(())
    }
}

/// The pixels of part `i`, if `length` pixels are divided into `n` parts.
fn part(i: usize, n: usize, length: usize) -> std::ops::Range<usize> {
    i * length / n..(i + 1) * length / n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_fit_however_many() {
        for (count, size) in [(0, (256, 256)), (2, (512, 256)), (300, (4086, 3859)), (20_000, (3976, 3948))] {
            let sheet = Sheet::new(count);
            let got = (sheet.picture.width, sheet.picture.height);
            assert!(
                got.0 <= SIDE && got.1 <= SIDE && sheet.columns * sheet.picture.height / sheet.cell >= count,
                "{got:?}"
            );
            assert_eq!(got, size, "{count}");
        }
    }

    #[test]
    fn a_thumbnail_is_the_mean_in_its_place() {
        let mut sheet = Sheet::new(4);
        // 1024x512. The left half is 100. The right half alternates between 100 and 200.
        let value = |x: usize| if x < 512 || x.is_multiple_of(2) { 100 } else { 200 };
        let pixels = (0..1024 * 512).map(|i| value(i % 1024)).collect();
        let wide = Picture { pixels, width: 1024, height: 512, format: PixelFormat::Gray8 };
        sheet.put(3, &wide).unwrap();
        let at = |x: usize, y: usize| sheet.picture.pixels[(y * 512 + x) * 3..][..3].to_vec();
        assert_eq!((at(256, 319), at(256, 320), at(383, 447)), (vec![0; 3], vec![100; 3], vec![100; 3]));
        assert_eq!((at(384, 320), at(511, 447), at(511, 448)), (vec![150; 3], vec![150; 3], vec![0; 3]));
        assert!((0..256).all(|y| (0..512).all(|x| at(x, y) == [0; 3])));
        // A small image is not enlarged.
        let dot = Picture { pixels: vec![9], width: 1, height: 1, format: PixelFormat::Gray8 };
        sheet.put(0, &dot).unwrap();
        assert_eq!(sheet.picture.pixels[..512 * 256 * 3].iter().filter(|&&v| v == 9).count(), 3);
    }
}

//! The orientation of an image.

use super::limits::{Refusal, zeros};
use image::metadata;

/// EXIF's orientation: how stored pixels must be rotated and mirrored to be upright.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Orientation(u8);

impl Orientation {
    pub const UPRIGHT: Orientation = Orientation(1);

    /// Creates an orientation from EXIF's number, 1 to 8. Other numbers are ignored, as in viewers.
    pub fn new(number: u32) -> Orientation {
        if (1..=8).contains(&number) { Orientation(number as u8) } else { Orientation::UPRIGHT }
    }

    /// Returns the orientation that an EXIF block states. The block may start with `Exif\0\0`.
    pub fn of_exif(block: &[u8]) -> Orientation {
        let tiff = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
        let found = metadata::Orientation::from_exif_chunk(tiff);
        found.map_or(Orientation::UPRIGHT, |found| Orientation(found.to_exif()))
    }

    /// Returns EXIF's number.
    pub fn number(self) -> u8 {
        self.0
    }

    /// Turns rows of pixels upright. Returns the rows with their width and height.
    pub fn turn(
        self,
        pixels: Vec<u8>,
        (width, height): (usize, usize),
        channels: usize,
    ) -> Result<(Vec<u8>, usize, usize), Refusal> {
        if self == Orientation::UPRIGHT {
            return Ok((pixels, width, height));
        }
        // Rows become columns; stored columns, then stored rows, are taken from the end.
        let sideways = self.0 >= 5;
        let (from_right, from_bottom) = (matches!(self.0, 2 | 3 | 7 | 8), matches!(self.0, 3 | 4 | 6 | 7));
        let (across, down) = if sideways { (height, width) } else { (width, height) };
        let mut turned = zeros(pixels.len())?;
        for (i, pixel) in turned.chunks_exact_mut(channels).enumerate() {
            let (x, y) = if sideways { (i / across, i % across) } else { (i % across, i / across) };
            let (x, y) = (if from_right { width - 1 - x } else { x }, if from_bottom { height - 1 - y } else { y });
            pixel.copy_from_slice(&pixels[(y * width + x) * channels..][..channels]);
        }
        Ok((turned, across, down))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expects the results of Pillow's `ImageOps.exif_transpose` for the rows `abc`, `def`.
    #[test]
    fn all_eight() {
        for (number, width, pixels) in [
            (1, 3, b"abcdef"),
            (2, 3, b"cbafed"),
            (3, 3, b"fedcba"),
            (4, 3, b"defabc"),
            (5, 2, b"adbecf"),
            (6, 2, b"daebfc"),
            (7, 2, b"fcebda"),
            (8, 2, b"cfbead"),
        ] {
            let Ok(turned) = Orientation::new(number).turn(b"abcdef".to_vec(), (3, 2), 1) else { panic!() };
            assert_eq!(turned, (pixels.to_vec(), width, 6 / width), "{number}");
        }
        let Ok((pairs, ..)) = Orientation::new(6).turn(b"aAbBcCdD".to_vec(), (2, 2), 2) else { panic!() };
        assert_eq!(pairs, b"cCaAdDbB");
    }

    #[test]
    fn numbers_of_exif_blocks() {
        let block = |order: &[u8], number: [u8; 2]| {
            let little = order == b"II";
            let short = |v: u16| if little { v.to_le_bytes() } else { v.to_be_bytes() };
            let long = |v: u32| if little { v.to_le_bytes() } else { v.to_be_bytes() };
            let mut block = [order, &short(42), &long(8), &short(1)].concat();
            block.extend([&short(0x112)[..], &short(3), &long(1), &number, &[0, 0], &long(0)].concat());
            block
        };
        for (bytes, number) in [
            (block(b"II", [6, 0]), 6),
            (block(b"MM", [0, 8]), 8),
            ([b"Exif\0\0".to_vec(), block(b"II", [3, 0])].concat(), 3),
            (block(b"II", [9, 0]), 1),
            (block(b"II", [0, 0]), 1),
            (block(b"II", [6, 0])[..12].to_vec(), 1),
            (b"Exif\0\0".to_vec(), 1),
            (vec![], 1),
        ] {
            assert_eq!(Orientation::of_exif(&bytes).number(), number, "{bytes:?}");
        }
        assert_eq!([0, 1, 8, 9].map(|n| Orientation::new(n).number()), [1, 1, 8, 1]);
    }
}

//! Label maps of masks, masks from image files, and label images. The values of a label image are the numbers of
//! objects. Data sets of video segmentation keep masks as label images.

use crate::error::{Error, Result};
use crate::masks::buffer::MaskFormat;
use crate::masks::rle::Rle;
use crate::media::picture::samples::{Samples, Values};
use crate::media::picture::{self, Refusal, png_of, zeros};
use crate::media::size::Size;
use crate::memory::try_zeros;
use std::path::Path;

mod mask;

pub use mask::{Mask, mask_file, read_mask};

/// A label image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    /// (height, width): the number of the object at each pixel, or 0 where there is no object.
    pub numbers: Vec<u8>,
    /// The width in pixels.
    pub width: usize,
    /// The height in pixels.
    pub height: usize,
    /// The colours of the file, as RGB by number, at most 256. `None` for a gray file.
    pub palette: Option<Vec<u8>>,
}

/// Reads a PNG or TIFF file with a palette or with one gray channel. The numbers are the indices of the palette, and
/// the colours are not used. In a 16-bit file too, the largest value is 255.
///
/// # Errors
///
/// [`Error::Io`] if the file cannot be read. [`Error::Picture`] if the file is damaged, too large, or not a label
/// image. [`Error::OutOfMemory`] if memory is exhausted.
pub fn read(path: impl AsRef<Path>) -> Result<Labels> {
    let path = path.as_ref();
    decode(&path.display().to_string(), &picture::read_file(path)?)
}

/// Reads a file in memory as [`read`] does. `name` is used in messages.
///
/// # Errors
///
/// [`Error::Picture`] if the file is damaged, too large, or not a label image. [`Error::OutOfMemory`] if memory is
/// exhausted.
pub fn decode(name: &str, bytes: &[u8]) -> Result<Labels> {
    picture::samples(bytes).and_then(numbers).map_err(|refusal| refusal.of(name))
}

fn numbers(stored: Samples) -> Result<Labels, Refusal> {
    let Samples { width, height, channels, values, palette, lossy, .. } = stored;
    if channels != 1 || lossy {
        let what = if lossy { "lossy values".into() } else { format!("{channels} channels") };
        return Err(format!("{what}; a mask of several objects is a PNG with a palette or one gray channel").into());
    }
    let numbers = match values {
        Values::Bytes { values, .. } => values,
        Values::Words { values, .. } => {
            if let Some(largest) = values.iter().max().filter(|&&v| v > 255) {
                return Err(format!("object {largest}; objects of a label picture have numbers up to 255").into());
            }
            let mut numbers = zeros::<u8>(values.len())?;
            numbers.iter_mut().zip(values).for_each(|(number, v)| *number = v as u8);
            numbers
        }
    };
    Ok(Labels { numbers, width, height, palette })
}

/// Encodes numbers (height, width) as a PNG with a palette of RGB colours by number. Missing colours are taken from
/// [`palette`].
///
/// # Errors
///
/// [`Error::Input`] if the number of values is not the number of pixels. [`Error::Picture`] if the PNG cannot be
/// written.
pub fn encode(numbers: &[u8], size: Size, palette: &[u8]) -> Result<Vec<u8>> {
    if size.pixels() != numbers.len() {
        return Err(Error::input(format!("{} numbers for {size} pixels", numbers.len())));
    }
    let mut colours = self::palette();
    colours.iter_mut().zip(palette).for_each(|(colour, &given)| *colour = given);
    png_of(numbers, size.width, size.height, (png::ColorType::Indexed, png::BitDepth::Eight), Some(colours))
}

/// Encodes numbers (height, width) as a PNG with the colours of [`palette`].
///
/// # Errors
///
/// As [`encode`].
pub fn encode_indexed_png(numbers: &[u8], size: Size) -> Result<Vec<u8>> {
    encode(numbers, size, &palette())
}

/// Makes one label map (height, width) of masks that may overlap. A pixel without a mask has value 0. Any other pixel
/// has 1 + the index of a mask. Where masks overlap, the mask with the smallest area is used, and among equal areas the
/// first mask.
///
/// # Errors
///
/// [`Error::Input`] if a mask is of another size, or if there are more than [`MaskFormat::MOST_LABELS`] masks.
/// [`Error::OutOfMemory`] if memory is exhausted.
pub fn label_map(masks: &[&Rle], size: Size) -> Result<Vec<u16>> {
    let Size { width, height } = size;
    let most = MaskFormat::MOST_LABELS;
    if masks.len() > most {
        return Err(Error::input(format!("{} masks for a map of labels, which tells {most} apart", masks.len())));
    }
    for (i, mask) in masks.iter().enumerate() {
        if mask.size() != size {
            let other = format!("{}x{}", mask.height, mask.width);
            return Err(Error::input(format!("mask {i} of {other} for a map of labels of {height}x{width}")));
        }
        mask.check()?;
    }
    let mut map = try_zeros::<u16>(size.pixels(), "a map of labels")?;
    let mut order: Vec<usize> = (0..masks.len()).collect();
    order.sort_by_key(|&i| masks[i].area());
    for &i in order.iter().rev() {
        for (x, rows) in masks[i].pieces() {
            rows.for_each(|y| map[y * width + x] = i as u16 + 1);
        }
    }
    Ok(map)
}

/// Encodes a label map (height, width) as a PNG. If no value is above 255, the file is that of [`encode`]. Otherwise
/// the file is 16-bit gray.
///
/// # Errors
///
/// As [`encode`]. [`Error::OutOfMemory`] if memory is exhausted.
pub fn encode_map(map: &[u16], size: Size, palette: &[u8]) -> Result<Vec<u8>> {
    if size.pixels() != map.len() {
        return Err(Error::input(format!("{} labels for {size} pixels", map.len())));
    }
    let mut bytes = try_zeros::<u8>(map.len() * 2, "a map of labels")?;
    if map.iter().all(|&label| label <= 255) {
        bytes.truncate(map.len());
        bytes.iter_mut().zip(map).for_each(|(byte, &label)| *byte = label as u8);
        return encode(&bytes, size, palette);
    }
    bytes.chunks_mut(2).zip(map).for_each(|(bytes, label)| bytes.copy_from_slice(&label.to_be_bytes()));
    png_of(&bytes, size.width, size.height, (png::ColorType::Grayscale, png::BitDepth::Sixteen), None)
}

/// Returns the colours of 256 numbers that data sets of video segmentation use, which are those of Pascal VOC.
#[must_use]
pub fn palette() -> Vec<u8> {
    // The bits of a number, three at a time, from the highest bit of each colour down.
    let colour = |i: u32, c: u32| (0..8).fold(0, |v, bit| v | (i >> (3 * bit + c) & 1) << (7 - bit)) as u8;
    (0..256).flat_map(|i| [0, 1, 2].map(|c| colour(i, c))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Returns a PNG of packed rows, such as another encoder may write.
    pub(super) fn packed(
        color: png::ColorType,
        depth: png::BitDepth,
        size: (u32, u32),
        rows: &[u8],
        palette: &[u8],
    ) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, size.0, size.1);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if !palette.is_empty() {
            encoder.set_palette(palette.to_vec());
        }
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(rows).unwrap();
        writer.finish().unwrap();
        out
    }

    #[test]
    fn numbers_of_few_bits_are_unpacked() {
        use png::{BitDepth::*, ColorType::*};
        let colours = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        let two = decode("two", &packed(Indexed, Two, (5, 2), &[0b00_01_10_11, 0b01_000000, 0, 0xff], &colours));
        let two = two.unwrap();
        assert_eq!((two.numbers, two.palette), (vec![0, 1, 2, 3, 1, 0, 0, 0, 0, 3], Some(colours.to_vec())));
        let one = decode("one", &packed(Grayscale, One, (3, 1), &[0b10100000], &[])).unwrap();
        assert_eq!((one.numbers, one.palette), (vec![1, 0, 1], None));
        let four = decode("four", &packed(Grayscale, Four, (3, 1), &[0x1f, 0x70], &[])).unwrap();
        assert_eq!(four.numbers, [1, 15, 7]);
        let eight = decode("eight", &packed(Grayscale, Eight, (2, 1), &[255, 3], &[])).unwrap();
        assert_eq!(eight.numbers, [255, 3]);
    }

    #[test]
    fn pictures_that_are_no_labels_are_refused() {
        use png::{BitDepth::*, ColorType::*};
        for (file, says) in [
            (
                packed(Rgb, Eight, (1, 1), &[1, 2, 3], &[]),
                "3 channels; a mask of several objects is a PNG with a palette",
            ),
            (packed(Grayscale, Sixteen, (1, 1), &[1, 2], &[]), "object 258; objects of a label picture"),
        ] {
            let refusal = decode("mask.png", &file).unwrap_err().to_string();
            assert!(refusal.contains("mask.png") && refusal.contains(says), "{refusal}");
        }
        let words = packed(Grayscale, Sixteen, (2, 1), &[0, 1, 0, 255], &[]);
        assert_eq!(decode("words", &words).unwrap().numbers, [1, 255]);
        assert!(decode("x", b"\xff\xd8\xff").is_err());
    }

    #[test]
    fn small_masks_lie_on_large_ones() {
        let mask = |rows: [&[u8]; 2]| Rle::encode(&rows.concat(), Size::new(3, 2)).unwrap();
        let (small, all) = (mask([b"\0\x01\0", b"\0\0\0"]), mask([&[1; 3], &[1; 3]]));
        let (left, right) = (mask([&[1, 1, 0], &[1, 0, 0]]), mask([&[0, 1, 0], &[0, 1, 1]]));
        assert_eq!(label_map(&[&small, &all], Size::new(3, 2)).unwrap(), [2, 1, 2, 2, 2, 2]);
        assert_eq!(label_map(&[&all, &small], Size::new(3, 2)).unwrap(), [1, 2, 1, 1, 1, 1]);
        // Of equals the first.
        assert_eq!(label_map(&[&left, &right], Size::new(3, 2)).unwrap(), [1, 1, 0, 1, 2, 2]);
        assert_eq!(label_map(&[&right, &left], Size::new(3, 2)).unwrap(), [2, 1, 0, 2, 1, 1]);
        assert_eq!(label_map(&[], Size::new(3, 2)).unwrap(), [0; 6]);
        let broken = Rle { counts: vec![1, 6], ..all.clone() };
        let many = vec![&small; MaskFormat::MOST_LABELS + 1];
        for (masks, height, width, what) in [
            (&[&small, &all][..], 3, 2, "mask"),
            (&[&all], usize::MAX, 2, "mask"),
            (&[&broken], 2, 3, "RLE"),
            (&many, 2, 3, "65535"),
        ] {
            let error = label_map(masks, Size::new(width, height)).unwrap_err();
            assert!(matches!(error, Error::Input(_)) && error.to_string().contains(what), "{error}");
        }
        assert!(matches!(label_map(&[], Size::new(2, usize::MAX)), Err(Error::OutOfMemory { .. })));
    }

    #[test]
    fn maps_of_many_labels_are_gray() {
        let few = encode_map(&[0, 255, 1, 2], Size::new(2, 2), &[1, 2, 3]).unwrap();
        let read = decode("few", &few).unwrap();
        assert_eq!((read.numbers, &read.palette.unwrap()[..6]), (vec![0, 255, 1, 2], &[1, 2, 3, 128, 0, 0][..]));
        let many = encode_map(&[0, 256, 1, 65535], Size::new(2, 2), &[]).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(many)).read_info().unwrap();
        let mut values = [0; 8];
        reader.next_frame(&mut values).unwrap();
        assert_eq!(reader.output_color_type(), (png::ColorType::Grayscale, png::BitDepth::Sixteen));
        assert_eq!(values, [0, 0, 1, 0, 0, 1, 255, 255]);
        assert!(encode_map(&[0; 5], Size::new(2, 2), &[]).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(w in 1usize..9, numbers in proptest::collection::vec(any::<u8>(), 1..40)) {
            let h = numbers.len().div_ceil(w);
            let mut numbers = numbers;
            numbers.resize(w * h, 7);
            let file = encode(&numbers, Size::new(w, h), &[9, 8, 7]).unwrap();
            let mut colours = palette();
            colours[..3].copy_from_slice(&[9, 8, 7]);
            prop_assert_eq!(decode("x", &file).unwrap(), Labels { numbers, width: w, height: h, palette: Some(colours) });
        }

        #[test]
        fn damage_is_survived(at in 8usize..200, value: u8) {
            let mut file = encode(&[1, 2, 3, 4, 5, 6], Size::new(3, 2), &[]).unwrap();
            let at = at % file.len();
            file[at] = value;
            let _ = decode("x", &file);
        }
    }
}

//! Masks as run lengths, in COCO's form (column by column, background first), and as COCO's strings.

use crate::error::{Error, Result};
use crate::media::picture::MAX_PIXELS;
use crate::media::size::Size;
use crate::memory::{try_collect, try_push, try_push_char, try_zeros};
use std::ops::Range;

/// The name of the memory in errors.
const RUNS: &str = "the runs of a mask";

/// A binary mask as run lengths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rle {
    /// The height of the mask.
    pub height: usize,
    /// The width of the mask.
    pub width: usize,
    /// The lengths of runs down the columns, alternately of background and foreground. The first length may be 0.
    pub counts: Vec<u32>,
}

impl Rle {
    /// Creates a mask (height, width) from runs of any origin. If the runs or the size are invalid, nothing is
    /// allocated.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if the runs do not add up to the size, or if the size is above 2^27 pixels, the limit of
    /// images.
    pub fn new(counts: Vec<u32>, size: Size) -> Result<Rle> {
        if size.pixels() > MAX_PIXELS {
            return Err(Error::Input(format!("RLE: a mask of {size} pixels; at most {MAX_PIXELS} are read")));
        }
        let rle = Rle { height: size.height, width: size.width, counts };
        rle.check()?;
        Ok(rle)
    }

    /// Returns the size of the mask.
    #[must_use]
    pub fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }

    /// Encodes a mask (height, width) of rows. Every value except 0 is foreground.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`] if memory is exhausted.
    ///
    /// # Panics
    ///
    /// If the number of values is not the number of pixels.
    pub fn encode(mask: &[u8], Size { width, height }: Size) -> Result<Rle> {
        assert!(mask.len() == height * width, "a mask of {} values for {height}x{width}", mask.len());
        let mut counts = Vec::new();
        let (mut value, mut run) = (false, 0);
        for x in 0..width {
            for y in 0..height {
                let v = mask[y * width + x] != 0;
                if v != value {
                    try_push(&mut counts, run, RUNS)?;
                    (value, run) = (v, 0);
                }
                run += 1;
            }
        }
        try_push(&mut counts, run, RUNS)?;
        Ok(Rle { height, width, counts })
    }

    /// Encodes a mask of bits, of size `part`, at (left, top) of a larger mask of size `full`. The rest of the larger
    /// mask is background. Rows are whole bytes, with the first pixel in the highest bit.
    ///
    /// A run ends where a pixel differs from the pixel above it. Only such places are visited.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`] if memory is exhausted.
    ///
    /// # Panics
    ///
    /// If the number of bytes is not that of the rows, or if the part is not within the full mask.
    pub fn from_bits(bits: &[u8], part: Size, (left, top): (usize, usize), full: Size) -> Result<Rle> {
        let Size { width, height } = part;
        let Size { width: full_width, height: full_height } = full;
        let row = width.div_ceil(8);
        assert!(bits.len() == row * height && left + width <= full_width && top + height <= full_height);
        let at = |y: usize, k: usize| bits[y * row + k];
        // Of each column the rows where it changes, from background above its first.
        let mut changes: Vec<Vec<u32>> = vec![Vec::new(); width];
        for y in 0..=height {
            for k in 0..row {
                let above = if y > 0 { at(y - 1, k) } else { 0 };
                let mut changed = above ^ if y < height { at(y, k) } else { 0 };
                while changed != 0 {
                    let bit = changed.leading_zeros() as usize;
                    changed ^= 0x80 >> bit;
                    if k * 8 + bit < width {
                        try_push(&mut changes[k * 8 + bit], y as u32, RUNS)?;
                    }
                }
            }
        }
        let mut places: Vec<u64> = Vec::new();
        for (x, column) in changes.iter().enumerate() {
            for &y in column {
                let place = ((left + x) * full_height + top) as u64 + u64::from(y);
                // A run that ends at the bottom goes on where the next column begins with one.
                if places.last() == Some(&place) {
                    places.pop();
                } else {
                    try_push(&mut places, place, RUNS)?;
                }
            }
        }
        let all = (full_height * full_width) as u64;
        if places.last() != Some(&all) {
            try_push(&mut places, all, RUNS)?;
        }
        let counts = places.iter().scan(0, |from, &place| Some((place - std::mem::replace(from, place)) as u32));
        Ok(Rle { height: full_height, width: full_width, counts: try_collect(places.len(), RUNS, counts)? })
    }

    /// Decodes the mask to rows, with 1 for foreground.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if the runs do not add up to the size of the mask. [`Error::OutOfMemory`] if memory is
    /// exhausted.
    pub fn decode(&self) -> Result<Vec<u8>> {
        self.check()?;
        let mut mask = try_zeros::<u8>(self.height * self.width, "a mask")?;
        for (x, rows) in self.pieces() {
            rows.for_each(|y| mask[y * self.width + x] = 1);
        }
        Ok(mask)
    }

    /// Fails if the runs do not add up to the size of the mask.
    pub(crate) fn check(&self) -> Result<()> {
        let total: u64 = self.counts.iter().map(|&n| n as u64).sum();
        if Some(total) != (self.height as u64).checked_mul(self.width as u64) {
            let what = format!("runs of {total} pixels for a mask of {}x{}", self.height, self.width);
            return Err(Error::Input(format!("RLE: {what}")));
        }
        Ok(())
    }

    /// Returns the foreground of a checked mask, column by column: x, and a range of consecutive rows.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        let (height, mut at) = (self.height, 0);
        self.counts.iter().enumerate().flat_map(move |(i, &n)| {
            let run = at..at + n as usize;
            at = run.end;
            let columns = if i % 2 == 1 && n > 0 { run.start / height..run.end.div_ceil(height) } else { 0..0 };
            columns
                .map(move |x| (x, run.start.max(x * height) - x * height..run.end.min((x + 1) * height) - x * height))
        })
    }

    /// Returns the number of foreground pixels.
    #[must_use]
    pub fn area(&self) -> u64 {
        self.counts.iter().skip(1).step_by(2).map(|&n| n as u64).sum()
    }

    /// Returns left, top, width and height of the foreground, or zeros if there is no foreground.
    #[must_use]
    pub fn bbox(&self) -> [usize; 4] {
        if self.height == 0 {
            return [0; 4];
        }
        let (mut x, mut y) = ((usize::MAX, 0), (usize::MAX, 0));
        let mut at = 0;
        for (i, &n) in self.counts.iter().enumerate() {
            let n = n as usize;
            if i % 2 == 1 && n > 0 {
                let ((x0, y0), (x1, y1)) =
                    ((at / self.height, at % self.height), ((at + n - 1) / self.height, (at + n - 1) % self.height));
                x = (x.0.min(x0), x.1.max(x1));
                // A run that goes on in the next column reaches the bottom and the top.
                let (top, bottom) = if x0 == x1 { (y0, y1) } else { (0, self.height - 1) };
                y = (y.0.min(top), y.1.max(bottom));
            }
            at += n;
        }
        if x.0 == usize::MAX { [0; 4] } else { [x.0, y.0, x.1 - x.0 + 1, y.1 - y.0 + 1] }
    }

    /// Returns the counts as COCO's string. Each count is stored as the difference to the count before the last, in
    /// base 32 with a sign.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`] if memory is exhausted.
    pub fn to_coco(&self) -> Result<String> {
        let mut out = String::new();
        for (i, &n) in self.counts.iter().enumerate() {
            let mut x = n as i64;
            if i > 2 {
                x -= self.counts[i - 2] as i64;
            }
            loop {
                let digit = (x & 31) as u8;
                x >>= 5;
                let done = x == if digit & 16 != 0 { -1 } else { 0 };
                try_push_char(&mut out, char::from(48 + digit + if done { 0 } else { 32 }), RUNS)?;
                if done {
                    break;
                }
            }
        }
        Ok(out)
    }

    /// Reads COCO's string.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if the text is not such a string. The other errors are those of [`Rle::new`].
    pub fn from_coco(text: &str, size: Size) -> Result<Rle> {
        let wrong = || Error::Input(format!("RLE: not a string of COCO's: {text:.40?}"));
        let mut counts: Vec<u32> = Vec::new();
        let mut bytes = text.bytes();
        while let Some(mut byte) = bytes.next() {
            let (mut x, mut shift) = (0i64, 0);
            loop {
                let digit = byte.checked_sub(48).filter(|d| *d < 64).ok_or_else(wrong)?;
                x |= ((digit & 31) as i64) << shift;
                shift += 5;
                if digit & 32 == 0 {
                    if digit & 16 != 0 {
                        x |= -1 << shift;
                    }
                    break;
                }
                if shift > 35 {
                    return Err(wrong());
                }
                byte = bytes.next().ok_or_else(wrong)?;
            }
            if counts.len() > 2 {
                x += counts[counts.len() - 2] as i64;
            }
            try_push(&mut counts, u32::try_from(x).map_err(|_| wrong())?, RUNS)?;
        }
        Rle::new(counts, size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn strings_are_those_of_pycocotools() {
        // What pycocotools.mask.frPyObjects makes of these counts.
        let cases: [(&[u32], usize, usize, &str); 4] = [
            (&[0, 4], 2, 2, "04"),
            (&[6, 1, 40, 4, 20, 100, 29], 10, 20, "61X13\\OP39"),
            (&[5, 2, 1, 2, 1, 2, 1], 7, 2, "5210000"),
            (&[1000, 2000, 3000, 4000], 100, 100, "Xo0`n1hm2`n1"),
        ];
        for (counts, height, width, text) in cases {
            let rle = Rle { height, width, counts: counts.to_vec() };
            assert_eq!(rle.to_coco().unwrap(), text, "{counts:?}");
            assert_eq!(Rle::from_coco(text, Size::new(width, height)).unwrap(), rle);
        }
    }

    proptest! {
        #[test]
        fn bits_are_encoded_where_they_lie(h in 1usize..9, w in 1usize..20, at in (0usize..4, 0usize..4), more in (0usize..3, 0usize..3), noise: u64) {
            let (left, top) = at;
            let (full_h, full_w) = (h + top + more.0, w + left + more.1);
            // Runs as well as specks.
            let on = |x: usize, y: usize| (noise >> ((x * 5 + y * (3 + (noise % 7) as usize)) % 61)) & 3 > 0;
            let mut bits = vec![0u8; h * w.div_ceil(8)];
            let mut full = vec![0u8; full_h * full_w];
            for (y, x) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))).filter(|&(y, x)| on(x, y)) {
                bits[y * w.div_ceil(8) + x / 8] |= 0x80 >> (x % 8);
                full[(y + top) * full_w + x + left] = 1;
            }
            let got = Rle::from_bits(&bits, Size::new(w, h), (left, top), Size::new(full_w, full_h)).unwrap();
            prop_assert_eq!(got, Rle::encode(&full, Size::new(full_w, full_h)).unwrap());
        }

        #[test]
        fn masks_survive(w in 1usize..20, h in 1usize..20, bits in proptest::collection::vec(any::<bool>(), 400)) {
            let mask: Vec<u8> = bits[..w * h].iter().map(|&b| b as u8).collect();
            let rle = Rle::encode(&mask, Size::new(w, h)).unwrap();
            prop_assert_eq!(&rle.decode().unwrap(), &mask);
            prop_assert_eq!(Rle::from_coco(&rle.to_coco().unwrap(), Size::new(w, h)).unwrap(), rle.clone());
            prop_assert_eq!(rle.area(), mask.iter().map(|&v| v as u64).sum::<u64>());
            let on = |f: &dyn Fn(usize) -> usize| (0..w * h).filter(|&i| mask[i] == 1).map(f).collect::<Vec<_>>();
            let (xs, ys) = (on(&|i| i % w), on(&|i| i / w));
            let want = match (xs.iter().min(), xs.iter().max(), ys.iter().min(), ys.iter().max()) {
                (Some(x0), Some(x1), Some(y0), Some(y1)) => [*x0, *y0, x1 - x0 + 1, y1 - y0 + 1],
                _ => [0; 4],
            };
            prop_assert_eq!(rle.bbox(), want);
        }

        #[test]
        fn any_string_is_read_or_refused(text in "\\PC{0,40}", h in 0usize..50, w in 0usize..50) {
            if let Ok(rle) = Rle::from_coco(&text, Size::new(w, h)) {
                let _ = rle.decode();
            }
        }
    }
}

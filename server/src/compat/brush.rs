//! Masks in Label Studio's run lengths.
//!
//! They are a string of bits, the most significant first: 32 bits of the number of values, 5 of the bits of a value - 1, four
//! times 4 of the bits of a length - 1, and then runs. A run is the bit 1, 2 bits that choose the bits of its length, its
//! length - 1, and its value. A run that starts with 0 has a value for each of its length instead. Values are bytes, four
//! for each pixel, row by row. At least one bit of zero follows, up to a whole byte.

/// Bits of a length, of which a run uses the fewest that suffice.
const LENGTHS: [u32; 4] = [3, 4, 8, 16];
/// The longest run.
const LONGEST: usize = 1 << 16;
/// Values of a pixel.
const CHANNELS: usize = 4;

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    /// Bits of the last byte that are taken.
    taken: u32,
}

impl Bits {
    fn push(&mut self, value: u32, bits: u32) {
        for bit in (0..bits).rev() {
            if self.taken.is_multiple_of(8) {
                self.bytes.push(0);
                self.taken = 0;
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= ((value >> bit & 1) as u8) << (7 - self.taken);
            }
            self.taken += 1;
        }
    }
}

/// Encodes a mask of rows, whose value is not 0 on the object.
#[must_use]
pub fn encode(mask: &[u8]) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.push((mask.len() * CHANNELS) as u32, 32);
    bits.push(8 - 1, 5);
    LENGTHS.iter().for_each(|length| bits.push(length - 1, 4));
    for run in mask.chunk_by(|a, b| (*a == 0) == (*b == 0)) {
        let value = if run[0] == 0 { 0 } else { 255 };
        let mut left = run.len() * CHANNELS;
        while left > 0 {
            let length = left.min(LONGEST);
            left -= length;
            let index = LENGTHS.iter().position(|bits| (length - 1) >> bits == 0).unwrap_or(LENGTHS.len() - 1);
            bits.push(1, 1);
            bits.push(index as u32, 2);
            bits.push((length - 1) as u32, LENGTHS[index]);
            bits.push(value, 8);
        }
    }
    // The bits of zero: a whole byte if the last one is full.
    bits.push(0, 1);
    bits.bytes
}

struct Source<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Source<'_> {
    fn take(&mut self, bits: u32) -> Option<usize> {
        (0..bits).try_fold(0, |value, _| {
            let byte = self.bytes.get(self.at / 8)?;
            let bit = byte >> (7 - self.at % 8) & 1;
            self.at += 1;
            Some(value << 1 | usize::from(bit))
        })
    }
}

/// Decodes a mask. None if the bits are damaged, or if the mask has another number of pixels.
#[must_use]
pub fn decode(bytes: &[u8], pixels: usize) -> Option<Vec<u8>> {
    let mut from = Source { bytes, at: 0 };
    let values = from.take(32)?;
    if Some(values) != pixels.checked_mul(CHANNELS) {
        return None;
    }
    let word = from.take(5)? as u32 + 1;
    let mut lengths = [0; 4];
    for length in &mut lengths {
        *length = from.take(4)? as u32 + 1;
    }
    let (mut at, mut mask) = (0, Vec::new());
    while at < values {
        let same = from.take(1)? == 1;
        let length = from.take(2)?;
        let end = at + from.take(lengths[length])? + 1;
        let mut value = from.take(word)?;
        if end > values {
            return None;
        }
        let first = at;
        while at < end {
            if !same && at > first {
                value = from.take(word)?;
            }
            if at % CHANNELS == CHANNELS - 1 {
                mask.push(value as u8);
            }
            at += 1;
        }
    }
    Some(mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encoded by Label Studio's own converter.
    const GOLDEN: [u8; 18] = [0, 0, 0, 96, 57, 27, 254, 31, 0, 183, 255, 108, 2, 223, 254, 27, 0, 0];

    #[test]
    fn the_encoding_is_label_studios() {
        let mask: Vec<u8> =
            (0..24).map(|i| u8::from((1..=2).contains(&(i / 6)) && (2..=4).contains(&(i % 6)))).collect();
        assert_eq!(encode(&mask), GOLDEN);
        let bytes: Vec<u8> = mask.iter().map(|v| v * 255).collect();
        assert_eq!(decode(&GOLDEN, 24), Some(bytes));
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        for (pixels, step) in [(1, 1), (7, 2), (16_384, 40_000), (16_385, 40_000), (40_000, 3), (100_000, 50_001)] {
            let mask: Vec<u8> = (0..pixels).map(|i| if i / step % 2 == 1 { 255 } else { 0 }).collect();
            assert_eq!(decode(&encode(&mask), pixels), Some(mask), "{pixels} {step}");
        }
    }

    #[test]
    fn damaged_bits_are_refused() {
        assert_eq!(decode(&GOLDEN, 25), None);
        assert_eq!(decode(&[], 0), None);
        (0..GOLDEN.len() - 1).for_each(|end| assert_eq!(decode(&GOLDEN[..end], 24), None, "{end}"));
        // A run of 16 bits that is longer than the mask.
        assert_eq!(decode(&[0, 0, 0, 4, 57, 27, 255, 255, 255, 255, 255, 255], 1), None);
        // Values one by one: 0 00 011 and four times 8 bits.
        let single =
            [0, 0, 0, 4, 57, 27, 0b1111_1000, 0b0110_0000, 0b0010_0000, 0b0100_0000, 0b0110_0000, 0b1000_0000, 0];
        assert_eq!(decode(&single, 1), Some(vec![4]));
    }
}

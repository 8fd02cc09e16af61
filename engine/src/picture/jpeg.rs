//! JPEG files, baseline and progressive, to the bit as libjpeg-turbo decodes them, which is how Pillow reads them:
//! its accurate integer transform, its smooth upsampling of chroma and its fixed-point colours.

mod bits;
mod colour;
mod huffman;
mod idct;
mod scan;
#[cfg(test)]
mod tests;
mod upsample;

use super::orientation::Orientation;
use super::samples::{Samples, Values};
use super::{Refusal, check_size, zeros};
use crate::memory::try_reserve_exact;
use bits::Bytes;
use colour::Colours;
use huffman::Huffman;

type Result<T> = std::result::Result<T, Refusal>;

/// A block's values in the order of a file lie here in a block row by row. A run may overshoot by 16.
#[rustfmt::skip]
const ZIGZAG: [u8; 80] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63,
];

/// One of the colours that a file keeps apart.
struct Component {
    id: u8,
    /// Blocks of it in a unit of the file.
    across: usize,
    down: usize,
    /// Its samples.
    width: usize,
    height: usize,
    /// Its blocks in whole units: a row of `plane` or of `coefficients`, and the rows.
    columns: usize,
    rows: usize,
    /// The number of its table of steps, and the table as it was at its first scan.
    table: usize,
    steps: Option<[u16; 64]>,
    /// Samples, `8 * columns` in a row.
    plane: Vec<u8>,
    /// Blocks of a progressive file.
    coefficients: Vec<[i16; 64]>,
    /// How many low bits of each coefficient are still to come, none where it was in no scan.
    missing: [Option<u8>; 64],
}

/// What a file has said so far.
struct Decoder<'a> {
    bytes: Bytes<'a>,
    steps: [Option<[u16; 64]>; 4],
    dc: [Option<Box<Huffman>>; 4],
    ac: [Option<Box<Huffman>>; 4],
    /// Units between restart markers; 0 for none.
    interval: usize,
    jfif: bool,
    /// How the colours are written, of Adobe's marker.
    adobe: Option<u8>,
    width: usize,
    height: usize,
    progressive: bool,
    /// Empty before the frame's header.
    components: Vec<Component>,
    /// Blocks of the scans so far.
    blocks: usize,
    /// Of the first EXIF block.
    orientation: Option<Orientation>,
}

fn damaged(what: &str) -> Refusal {
    Refusal::Damaged(format!("damaged JPEG: {what}"))
}

/// Decodes a whole file to RGB; grey becomes three equal values, CMYK what Pillow makes of it.
pub(super) fn decode(bytes: &[u8]) -> Result<Samples> {
    let mut decoder = Decoder {
        bytes: Bytes::new(bytes),
        steps: [None; 4],
        dc: [const { None }; 4],
        ac: [const { None }; 4],
        interval: 0,
        jfif: false,
        adobe: None,
        width: 0,
        height: 0,
        progressive: false,
        components: Vec::new(),
        blocks: 0,
        orientation: None,
    };
    decoder.read()?;
    let Decoder { width, height, ref components, .. } = decoder;
    Ok(Samples {
        width,
        height,
        channels: 3,
        values: Values::of_bytes(colour::rgb(components, decoder.colours(), width, height)?),
        palette: None,
        orientation: decoder.orientation.unwrap_or(Orientation::UPRIGHT),
        lossy: true,
    })
}

impl Decoder<'_> {
    /// Reads until every coefficient is there, or to the end marker; every plane is complete after.
    ///
    /// What follows a whole picture is not looked at: some cameras and phones put data of their own there, without an end
    /// marker before it.
    fn read(&mut self) -> Result<()> {
        if self.bytes.word()? != 0xffd8 {
            return Err(damaged("no start marker"));
        }
        while !self.is_whole() {
            let marker = self.bytes.marker()?;
            if marker == 0xd9 {
                break;
            }
            // Without a segment of their own.
            if matches!(marker, 0x01 | 0xd0..=0xd7) {
                continue;
            }
            let length = self.bytes.word()? as usize;
            let mut segment =
                Bytes::new(self.bytes.take(length.checked_sub(2).ok_or(damaged("a segment too short"))?)?);
            match marker {
                0xc0..=0xc2 => self.frame(&mut segment, marker == 0xc2)?,
                0xc4 => self.huffman_tables(&mut segment)?,
                0xc3 | 0xc5..=0xcf => return Err(format!("a JPEG of an unsupported kind (SOF{})", marker & 15).into()),
                0xd8 => return Err(damaged("two start markers")),
                0xda => self.scan(&mut segment)?,
                0xdb => self.step_tables(&mut segment)?,
                0xdd => self.interval = segment.word()? as usize,
                0xe1 if segment.rest().starts_with(b"Exif\0\0") && self.orientation.is_none() => {
                    self.orientation = Some(Orientation::of_exif(segment.rest()));
                }
                0xe0 => self.jfif |= segment.rest().len() >= 14 && segment.rest().starts_with(b"JFIF\0"),
                0xee => {
                    if let [b'A', b'd', b'o', b'b', b'e', _, _, _, _, _, _, transform, ..] = segment.rest() {
                        self.adobe = Some(*transform);
                    }
                }
                _ => {}
            }
        }
        if self.components.is_empty() || !self.components.iter().all(Component::is_complete) {
            return Err(damaged("it ends before all of the picture was there"));
        }
        self.components.iter_mut().for_each(Component::transform);
        Ok(())
    }

    /// Whether every bit of every coefficient was read.
    fn is_whole(&self) -> bool {
        !self.components.is_empty() && self.components.iter().all(|c| c.missing == [Some(0); 64])
    }

    /// Of the frame's header (SOF): sizes, and room for the samples.
    fn frame(&mut self, segment: &mut Bytes<'_>, progressive: bool) -> Result<()> {
        if !self.components.is_empty() {
            return Err(damaged("two frames"));
        }
        if segment.byte()? != 8 {
            return Err("a JPEG of other than 8 bits".into());
        }
        (self.height, self.width) = (segment.word()? as usize, segment.word()? as usize);
        check_size(self.width, self.height)?;
        self.progressive = progressive;
        let count = segment.byte()?;
        if ![1, 3, 4].contains(&count) {
            return Err(format!("a JPEG of {count} colours").into());
        }
        let mut header = Vec::new();
        for _ in 0..count {
            let (id, sampling, table) = (segment.byte()?, segment.byte()?, segment.byte()?);
            let (across, down) = (usize::from(sampling >> 4), usize::from(sampling & 15));
            if !(1..=4).contains(&across) || !(1..=4).contains(&down) || table > 3 {
                return Err(damaged("a colour's sampling or table"));
            }
            header.push((id, across, down, usize::from(table)));
        }
        let most_across = header.iter().map(|c| c.1).max().unwrap_or(1);
        let most_down = header.iter().map(|c| c.2).max().unwrap_or(1);
        let units = (self.width.div_ceil(8 * most_across), self.height.div_ceil(8 * most_down));
        let mut blocks = 0;
        for (id, across, down, table) in header {
            if most_across % across != 0 || most_down % down != 0 {
                return Err("a JPEG whose samplings are no multiples".into());
            }
            let width = (self.width * across).div_ceil(most_across);
            let height = (self.height * down).div_ceil(most_down);
            blocks += width.div_ceil(8) * height.div_ceil(8);
            self.components.push(Component {
                id,
                across,
                down,
                width,
                height,
                columns: units.0 * across,
                rows: units.1 * down,
                table,
                steps: None,
                plane: Vec::new(),
                coefficients: Vec::new(),
                missing: [None; 64],
            });
        }
        // Every block takes a bit at least, so a short file cannot make large planes.
        if blocks > 8 * self.bytes.rest().len() {
            return Err(damaged("too short for its size"));
        }
        for c in &mut self.components {
            c.plane = zeros(64 * c.columns * c.rows)?;
            if progressive {
                let n = c.columns * c.rows;
                try_reserve_exact(&mut c.coefficients, n).map_err(|_| Refusal::OutOfMemory(128 * n))?;
                c.coefficients.resize(n, [0; 64]);
            }
        }
        Ok(())
    }

    fn step_tables(&mut self, segment: &mut Bytes<'_>) -> Result<()> {
        while !segment.rest().is_empty() {
            let head = segment.byte()?;
            let mut table = [0; 64];
            for place in &ZIGZAG[..64] {
                table[usize::from(*place)] = if head >> 4 == 0 { segment.byte()?.into() } else { segment.word()? };
            }
            *self.steps.get_mut(usize::from(head & 15)).ok_or(damaged("a table's number"))? = Some(table);
        }
        Ok(())
    }

    fn huffman_tables(&mut self, segment: &mut Bytes<'_>) -> Result<()> {
        while !segment.rest().is_empty() {
            let head = segment.byte()?;
            let counts = segment.take(16)?;
            let symbols = segment.take(counts.iter().map(|&n| usize::from(n)).sum())?;
            let tables = if head >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            let table = tables.get_mut(usize::from(head & 15)).ok_or(damaged("a table's number"))?;
            *table = Some(Box::new(Huffman::new(counts, symbols)?));
        }
        Ok(())
    }

    /// As libjpeg guesses it.
    fn colours(&self) -> Colours {
        let ids: Vec<u8> = self.components.iter().map(|c| c.id).collect();
        match (&ids[..], self.adobe) {
            ([_], _) => Colours::Gray,
            ([_, _, _], _) if self.jfif => Colours::YCbCr,
            ([_, _, _], Some(0)) | (b"RGB", None) => Colours::Rgb,
            ([_, _, _], _) => Colours::YCbCr,
            (_, None | Some(0)) => Colours::Cmyk,
            _ => Colours::Ycck,
        }
    }
}

impl Component {
    /// Whether all is there. High frequencies that no scan has are zeros; where lower ones lack, libjpeg would smooth.
    fn is_complete(&self) -> bool {
        self.missing.iter().enumerate().all(|(k, missing)| missing.map_or(k >= 10, |bits| bits == 0))
    }

    /// The samples of a progressive file.
    fn transform(&mut self) {
        let steps = self.steps.unwrap_or([0; 64]);
        for (i, block) in self.coefficients.iter().enumerate() {
            let at = 8 * self.columns * 8 * (i / self.columns) + 8 * (i % self.columns);
            idct::transform(block, &steps, &mut self.plane[at..], 8 * self.columns);
        }
    }
}

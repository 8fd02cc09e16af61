//! The decoder of a file: its markers, its tables and its frame header.

use super::bits::Bytes;
use super::colour::{self, Colours};
use super::component::{Component, ZIGZAG};
use super::damage::{Result, damaged};
use super::huffman::Huffman;
use super::idct;
use crate::media::picture::limits::{Refusal, check_size, zeros};
use crate::media::picture::orientation::Orientation;
use crate::media::picture::samples::{Samples, Values};
use crate::memory::try_reserve_exact;

/// The state of decoding a file.
pub struct Decoder<'a> {
    pub bytes: Bytes<'a>,
    pub steps: [Option<[u16; 64]>; 4],
    pub dc: [Option<Box<Huffman>>; 4],
    pub ac: [Option<Box<Huffman>>; 4],
    /// The number of units between restart markers. 0 means that there are no restart markers.
    pub interval: usize,
    jfif: bool,
    /// The colour transform of Adobe's marker.
    adobe: Option<u8>,
    width: usize,
    height: usize,
    pub progressive: bool,
    /// The components. The list is empty before the frame's header is read.
    pub components: Vec<Component>,
    /// The number of blocks of all scans that were read.
    pub blocks: usize,
    /// The orientation of the first EXIF block.
    orientation: Option<Orientation>,
}

/// Decodes a whole file to RGB. Gray becomes three equal values. CMYK becomes the same RGB as in Pillow.
pub fn decode(bytes: &[u8]) -> Result<Samples> {
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
    /// Reads until every coefficient is there, or to the end marker. Then every plane is complete.
    ///
    /// The bytes that follow a whole image are not read. Some cameras and phones put data there without an end marker.
    fn read(&mut self) -> Result<()> {
        if self.bytes.word()? != 0xffd8 {
            return Err(damaged("no start marker"));
        }
        while !self.is_whole() {
            let marker = self.bytes.marker()?;
            if marker == 0xd9 {
                break;
            }
            // These markers have no segment.
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

    /// Returns whether every bit of every coefficient was read.
    fn is_whole(&self) -> bool {
        !self.components.is_empty() && self.components.iter().all(|c| c.missing == [Some(0); 64])
    }

    /// Reads the frame's header (SOF), and allocates the samples.
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
        // Every block takes at least a bit, so a short file cannot allocate large planes.
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

    /// Reads quantization tables (DQT).
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

    /// Reads Huffman tables (DHT).
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

    /// Returns the meaning of the components. libjpeg guesses it in the same way.
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
    /// Computes the samples of a progressive file from its coefficients.
    fn transform(&mut self) {
        let steps = self.steps.unwrap_or([0; 64]);
        for (i, block) in self.coefficients.iter().enumerate() {
            let at = 8 * self.columns * 8 * (i / self.columns) + 8 * (i % self.columns);
            idct::transform(block, &steps, &mut self.plane[at..], 8 * self.columns);
        }
    }
}

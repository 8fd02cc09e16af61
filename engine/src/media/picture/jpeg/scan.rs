//! Scans: the coefficients of one or more components, with all of their bits or some of them.

use super::bits::{Bits, Bytes};
use super::component::{Component, ZIGZAG};
use super::damage::{Result, damaged};
use super::decoder::Decoder;
use super::huffman::Huffman;
use super::idct;

/// The largest number of blocks of all scans together. A scan may visit the whole image and take only a few bytes. The
/// largest image has 6 million blocks. Encoders write about ten scans, most of them of one component.
const MAX_BLOCKS: usize = 1 << 26;

/// A component in a scan.
struct Part<'a> {
    component: &'a mut Component,
    steps: [u16; 64],
    coding: Coding<'a>,
}

/// The coding of the coefficients of a component.
struct Coding<'a> {
    dc: Option<&'a Huffman>,
    ac: Option<&'a Huffman>,
    /// The first coefficient of the previous block.
    before: i32,
}

/// The coefficients of a scan: `first..=last` without their `low` lowest bits, or one more bit of these coefficients.
struct Scan {
    first: usize,
    last: usize,
    refines: bool,
    low: u8,
    progressive: bool,
    /// The number of following blocks that have no further coefficients.
    empty: u32,
}

impl Decoder<'_> {
    /// Reads a scan, starting with its header.
    pub fn scan(&mut self, header: &mut Bytes<'_>) -> Result<()> {
        let count = header.byte()?;
        let mut named = Vec::new();
        for _ in 0..count {
            named.push((header.byte()?, header.byte()?));
        }
        let (first, last, bits) = (header.byte()?, header.byte()?, header.byte()?);
        let mut scan = Scan {
            first: first.into(),
            last: last.into(),
            refines: bits >> 4 != 0,
            low: bits & 15,
            progressive: self.progressive,
            empty: 0,
        };
        if !self.progressive {
            (scan.first, scan.last, scan.refines, scan.low) = (0, 63, false, 0);
        } else if scan.first > scan.last
            || scan.last > 63
            || (scan.first == 0) != (scan.last == 0)
            || (scan.first > 0 && count != 1)
            || scan.low > 13
            || (scan.refines && bits >> 4 != scan.low + 1)
        {
            return Err(damaged("a scan's header"));
        }
        let mut parts = Vec::new();
        for component in &mut self.components {
            let Some(&(_, tables)) = named.iter().find(|(id, _)| *id == component.id) else { continue };
            // What was read is not read again: every bit comes once.
            let due = scan.refines.then_some(scan.low + 1);
            for missing in &mut component.missing[scan.first..=scan.last] {
                if *missing != due {
                    return Err(damaged("a scan out of turn"));
                }
                *missing = Some(scan.low);
            }
            let latest = self.steps[component.table];
            let steps = *component.steps.get_or_insert(latest.ok_or_else(|| damaged("a table is missing"))?);
            let dc = self.dc.get(usize::from(tables >> 4)).and_then(|t| t.as_deref());
            let ac = self.ac.get(usize::from(tables & 15)).and_then(|t| t.as_deref());
            parts.push(Part { component, steps, coding: Coding { dc, ac, before: 0 } });
        }
        if parts.is_empty() || parts.len() != named.len() {
            return Err(damaged("a scan of colours that are none"));
        }
        parts.sort_by_key(|p| named.iter().position(|(id, _)| *id == p.component.id));
        self.blocks += parts.iter().map(|p| p.component.columns * p.component.rows).sum::<usize>();
        if self.blocks > MAX_BLOCKS {
            return Err(format!("a JPEG with more than {MAX_BLOCKS} blocks in its scans").into());
        }
        let mut bits = Bits::new(Bytes::new(self.bytes.rest()));
        scan.run(&mut parts, &mut bits, self.interval)?;
        self.bytes = bits.into_bytes();
        Ok(())
    }
}

impl Scan {
    fn run(&mut self, parts: &mut [Part<'_>], bits: &mut Bits<'_>, interval: usize) -> Result<()> {
        // A single colour comes block by block, without those that only fill a unit.
        let single = parts.len() == 1;
        let c = &parts[0].component;
        let (columns, rows) =
            if single { (c.width.div_ceil(8), c.height.div_ceil(8)) } else { (c.columns / c.across, c.rows / c.down) };
        let mut left = interval;
        let mut restarts = 0;
        for row in 0..rows {
            for column in 0..columns {
                if interval > 0 && left == 0 {
                    bits.restart(restarts)?;
                    (restarts, left, self.empty) = (restarts + 1, interval, 0);
                    parts.iter_mut().for_each(|p| p.coding.before = 0);
                }
                left = left.saturating_sub(1);
                for part in &mut *parts {
                    let (across, down) = if single { (1, 1) } else { (part.component.across, part.component.down) };
                    for y in row * down..(row + 1) * down {
                        for x in column * across..(column + 1) * across {
                            self.block(part, bits, x, y)?;
                        }
                    }
                }
                bits.check()?;
            }
        }
        Ok(())
    }

    /// Reads block (`x`, `y`) of a component.
    #[inline(always)]
    fn block(&mut self, part: &mut Part<'_>, bits: &mut Bits<'_>, x: usize, y: usize) -> Result<()> {
        let Part { component, steps, coding } = part;
        let columns = component.columns;
        if self.progressive {
            let block = &mut component.coefficients[columns * y + x];
            match (self.first, self.refines) {
                (0, false) => block[0] = (coding.first(bits)? << self.low) as i16,
                (0, true) => block[0] |= (bits.take(1) << self.low) as i16,
                (_, false) => self.others(coding, bits, block)?,
                (_, true) => self.refine(coding, bits, block)?,
            }
        } else {
            let mut block = [0; 64];
            block[0] = coding.first(bits)? as i16;
            self.others(coding, bits, &mut block)?;
            idct::transform(&block, steps, &mut component.plane[64 * columns * y + 8 * x..], 8 * columns);
        }
        Ok(())
    }

    /// Reads the coefficients after the first coefficient, or their higher bits.
    #[inline(always)]
    fn others(&mut self, coding: &Coding<'_>, bits: &mut Bits<'_>, block: &mut [i16; 64]) -> Result<()> {
        if self.empty > 0 {
            self.empty -= 1;
            return Ok(());
        }
        let table = coding.ac()?;
        let mut k = self.first.max(1);
        while k <= self.last {
            bits.refill();
            if let Some(v) = table.value(bits) {
                k += usize::from(v.run);
                block[usize::from(ZIGZAG[k])] = v.value << self.low;
                k += 1;
                continue;
            }
            let symbol = table.symbol(bits)?;
            let (run, size) = (symbol >> 4, symbol & 15);
            if size == 0 && run < 15 {
                if self.progressive {
                    self.empty = (1 << run) + bits.take(run.into()) as u32 - 1;
                }
                return Ok(());
            }
            k += usize::from(run);
            if size > 0 {
                block[usize::from(ZIGZAG[k])] = (bits.signed(size.into()) << self.low) as i16;
            }
            k += 1;
        }
        if k > self.last + 1 { Err(damaged("a block too long")) } else { Ok(()) }
    }

    /// Reads one more bit of the coefficients after the first coefficient.
    fn refine(&mut self, coding: &Coding<'_>, bits: &mut Bits<'_>, block: &mut [i16; 64]) -> Result<()> {
        let bit = 1 << self.low;
        let mut k = self.first;
        while self.empty == 0 && k <= self.last {
            bits.refill();
            let symbol = coding.ac()?.symbol(bits)?;
            let (mut run, mut value) = (symbol >> 4, 0);
            match symbol & 15 {
                0 if run < 15 => {
                    self.empty = (1 << run) + bits.take(run.into()) as u32;
                    break;
                }
                0 => {}
                1 => value = if bits.take(1) == 1 { bit } else { -bit },
                _ => return Err(damaged("a coefficient of too many bits")),
            }
            // Past `run` zeros; what is not zero on the way gets its bit.
            loop {
                let place = ZIGZAG[k..=self.last].first().ok_or_else(|| damaged("a block too long"))?;
                let c = &mut block[usize::from(*place)];
                k += 1;
                if *c != 0 {
                    refine(c, bit, bits);
                } else if run > 0 {
                    run -= 1;
                } else {
                    *c = value;
                    break;
                }
            }
        }
        if self.empty > 0 {
            self.empty -= 1;
            for place in &ZIGZAG[k..=self.last] {
                let c = &mut block[usize::from(*place)];
                if *c != 0 {
                    refine(c, bit, bits);
                }
            }
        }
        Ok(())
    }
}

fn refine(c: &mut i16, bit: i16, bits: &mut Bits<'_>) {
    if bits.take(1) == 1 {
        *c = c.wrapping_add(if *c > 0 { bit } else { -bit });
    }
}

impl Coding<'_> {
    fn ac(&self) -> Result<&Huffman> {
        self.ac.ok_or_else(|| damaged("a Huffman table is missing"))
    }

    /// Reads the first coefficient of a block.
    #[inline(always)]
    fn first(&mut self, bits: &mut Bits<'_>) -> Result<i32> {
        let table = self.dc.ok_or_else(|| damaged("a Huffman table is missing"))?;
        bits.refill();
        match table.symbol(bits)? {
            0 => {}
            size @ 1..=15 => self.before = self.before.wrapping_add(bits.signed(size.into())),
            _ => return Err(damaged("a coefficient of too many bits")),
        }
        Ok(self.before)
    }
}

//! The bytes of a file, and the bits of its scans.

use super::damage::{Result, damaged};

/// A reader of bytes.
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Bytes(bytes)
    }

    /// Returns the bytes that are not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or_else(|| damaged("it does not end"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    pub fn word(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    /// Skips everything before the next marker, and returns the marker.
    pub fn marker(&mut self) -> Result<u8> {
        let mut before = 0;
        loop {
            let byte = self.byte()?;
            if before == 0xff && byte != 0 && byte != 0xff {
                return Ok(byte);
            }
            before = byte;
        }
    }
}

/// A reader of the bits of a scan, up to the next marker. Zeros follow after the marker.
pub struct Bits<'a> {
    bytes: Bytes<'a>,
    /// The bits that are ready. The next bit is the highest one.
    held: u64,
    count: u32,
    /// The number of zero bits that were added after the end of the scan.
    made_up: u32,
}

impl<'a> Bits<'a> {
    pub fn new(bytes: Bytes<'a>) -> Self {
        Bits { bytes, held: 0, count: 0, made_up: 0 }
    }

    /// Returns a reader of the bytes after the scan, which contain the next marker.
    pub fn into_bytes(self) -> Bytes<'a> {
        self.bytes
    }

    /// Fails if more bits were taken than the scan has.
    #[inline(always)]
    pub fn check(&self) -> Result<()> {
        if self.made_up > self.count { Err(damaged("a scan ends early")) } else { Ok(()) }
    }

    /// Continues after restart marker `number`.
    pub fn restart(&mut self, number: usize) -> Result<()> {
        (self.held, self.count, self.made_up) = (0, 0, 0);
        match self.bytes.marker()? {
            marker if usize::from(marker) == 0xd0 + number % 8 => Ok(()),
            _ => Err(damaged("a restart marker is missing")),
        }
    }

    /// Makes at least 32 bits ready.
    #[inline(always)]
    pub fn refill(&mut self) {
        if self.count < 32 {
            match self.bytes.0.split_first_chunk() {
                Some((next, rest)) if next.iter().all(|&b| b != 0xff) => {
                    self.held |= u64::from(u32::from_be_bytes(*next)) << (32 - self.count);
                    self.count += 32;
                    self.bytes.0 = rest;
                }
                _ => self.refill_bytewise(),
            }
        }
    }

    #[cold]
    fn refill_bytewise(&mut self) {
        while self.count < 32 {
            let byte = match *self.bytes.0 {
                [0xff, 0, ref rest @ ..] => {
                    self.bytes.0 = rest;
                    0xff
                }
                [0xff, ..] | [] => {
                    self.made_up += 8;
                    0
                }
                [byte, ref rest @ ..] => {
                    self.bytes.0 = rest;
                    byte
                }
            };
            self.held |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// Returns the next 16 of the ready bits.
    #[inline(always)]
    pub fn peek(&self) -> usize {
        (self.held >> 48) as usize
    }

    /// Skips ready bits.
    #[inline(always)]
    pub fn skip(&mut self, n: u32) {
        self.held <<= n;
        self.count -= n;
    }

    /// Takes the next bits, at most 16.
    #[inline(always)]
    pub fn take(&mut self, n: u32) -> i32 {
        self.refill();
        self.take_ready(n)
    }

    #[inline(always)]
    fn take_ready(&mut self, n: u32) -> i32 {
        let value = (self.peek() >> (16 - n)) as i32;
        self.skip(n);
        value
    }

    /// Takes a number of `size` bits, 1 to 15, that are ready. The lower half of the numbers stands for negative ones.
    #[inline(always)]
    pub fn signed(&mut self, size: u32) -> i32 {
        signed(self.take_ready(size), size)
    }
}

/// Returns the number that `size` bits stand for.
pub fn signed(bits: i32, size: u32) -> i32 {
    if bits >> (size - 1) == 0 { bits - (1 << size) + 1 } else { bits }
}

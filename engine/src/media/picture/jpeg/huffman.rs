//! Huffman codes.

use super::bits::{Bits, signed};
use super::damage::{Result, damaged};

/// Codes of at most this number of bits are looked up in a table.
const LOOK: u32 = 10;

/// A table of codes.
pub struct Huffman {
    /// The length of a code and its symbol, indexed by the next bits. The length is 0 for longer codes.
    short: [(u8, u8); 1 << LOOK],
    /// A code and the value after it, indexed by the next bits, if the bits hold both: see [`Huffman::value`].
    whole: [Value; 1 << LOOK],
    /// For each length, the 16-bit number after the last code of that length.
    end: [usize; 17],
    /// For each length, the index of a code's symbol minus the code, modulo 2^16.
    offset: [usize; 17],
    symbols: [u8; 256],
}

/// A coefficient that is not zero.
#[derive(Clone, Copy)]
pub struct Value {
    pub value: i16,
    /// The number of zeros before the coefficient.
    pub run: u8,
    /// The number of bits of the code and the value.
    pub length: u8,
}

impl Huffman {
    /// Makes a table from the number of codes of each length, and the symbols in order.
    pub fn new(counts: &[u8], symbols: &[u8]) -> Result<Self> {
        if symbols.len() > 256 {
            return Err(damaged("a Huffman table"));
        }
        let nothing = Value { value: 0, run: 0, length: 0 };
        let mut table = Huffman {
            short: [(0, 0); 1 << LOOK],
            whole: [nothing; 1 << LOOK],
            end: [0; 17],
            offset: [0; 17],
            symbols: [0; 256],
        };
        table.symbols[..symbols.len()].copy_from_slice(symbols);
        let (mut code, mut at) = (0, 0);
        for (length, &count) in (1..=16).zip(counts) {
            code <<= 1;
            table.offset[length as usize] = (at + (1 << 16) - code) & 0xffff;
            for _ in 0..count {
                if code >= 1 << length {
                    return Err(damaged("a Huffman table"));
                }
                if length <= LOOK {
                    let from = code << (LOOK - length);
                    table.short[from..from + (1 << (LOOK - length))].fill((length as u8, symbols[at]));
                }
                (code, at) = (code + 1, at + 1);
            }
            table.end[length as usize] = code << (16 - length);
        }
        for (bits, whole) in table.whole.iter_mut().enumerate() {
            let (length, symbol) = table.short[bits];
            let (run, size) = (symbol >> 4, u32::from(symbol & 15));
            let total = u32::from(length) + size;
            if length > 0 && size > 0 && total <= LOOK {
                let value = (bits >> (LOOK - total)) & ((1 << size) - 1);
                *whole = Value { value: signed(value as i32, size) as i16, run, length: total as u8 };
            }
        }
        Ok(table)
    }

    /// Takes a run and the value after it, if both are short. The bits must be ready.
    #[inline(always)]
    pub fn value(&self, bits: &mut Bits<'_>) -> Option<Value> {
        let whole = self.whole[bits.peek() >> (16 - LOOK)];
        bits.skip(whole.length.into());
        (whole.length > 0).then_some(whole)
    }

    /// Takes the next symbol. The bits must be ready.
    #[inline(always)]
    pub fn symbol(&self, bits: &mut Bits<'_>) -> Result<u8> {
        let (length, symbol) = self.short[bits.peek() >> (16 - LOOK)];
        if length == 0 {
            return self.long_symbol(bits);
        }
        bits.skip(length.into());
        Ok(symbol)
    }

    #[inline(never)]
    fn long_symbol(&self, bits: &mut Bits<'_>) -> Result<u8> {
        let next = bits.peek();
        for length in LOOK + 1..=16 {
            if next < self.end[length as usize] {
                bits.skip(length);
                let i = ((next >> (16 - length)) + self.offset[length as usize]) & 0xffff;
                return self.symbols.get(i).copied().ok_or_else(|| damaged("a Huffman code"));
            }
        }
        Err(damaged("a Huffman code"))
    }
}

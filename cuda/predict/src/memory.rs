//! The cost of memory instructions: bank conflicts in shared memory, sectors and lines in global memory.

/// Addresses of the lanes of a memory instruction.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// A bit per lane with a known address.
    pub known: u32,
    /// Bytes.
    pub values: [u64; 32],
}

/// Cycles that the banks of shared memory are busy with an access of `width` bytes per lane.
///
/// There are 32 banks of 4 bytes. Lanes that access different words of one bank take turns. Wider accesses are made by
/// halves (8 bytes) or quarters (16 bytes) of a warp. Lanes with an unknown address are assumed to have no conflicts.
#[must_use]
pub fn shared_passes(addresses: &Addresses, mask: u32, width: u32) -> u32 {
    let lanes = (128 / width.max(4)).min(32) as usize;
    let mut passes = 0;
    for first in (0..32).step_by(lanes) {
        let part = if lanes == 32 { mask } else { mask >> first & ((1 << lanes) - 1) };
        if part == 0 {
            continue;
        }
        let here = (first..first + lanes).filter(|lane| mask & addresses.known & 1 << lane != 0);
        let words = || here.clone().flat_map(|lane| (0..width.div_ceil(4) as u64).map(move |i| (lane, i)));
        // Most accesses have no conflict: no bank has two different words.
        let mut seen = [u64::MAX; 32];
        let clash = words().any(|(lane, i)| {
            let word = addresses.values[lane] / 4 + i;
            let before = std::mem::replace(&mut seen[(word % 32) as usize], word);
            before != u64::MAX && before != word
        });
        if !clash {
            passes += 1;
            continue;
        }
        let mut words: Vec<u64> = words().map(|(lane, i)| addresses.values[lane] / 4 + i).collect();
        words.sort_unstable();
        words.dedup();
        let mut banks = [0u32; 32];
        words.iter().for_each(|w| banks[(w % 32) as usize] += 1);
        passes += banks.iter().copied().max().unwrap_or(1);
    }
    passes
}

/// Cycles that the banks are busy with `LDSM` of `matrices` matrices: lanes 8i to 8i+7 give the rows of matrix i.
#[must_use]
pub fn matrix_passes(addresses: &Addresses, matrices: u32) -> u32 {
    let mask = if matrices >= 4 { !0 } else { (1 << (8 * matrices)) - 1 };
    shared_passes(addresses, mask, 16)
}

/// The memory that an access to global memory touches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Numbers of the 32-byte sectors with a known address.
    pub sectors: Vec<u64>,
    /// Sectors of lanes with an unknown address, which are assumed to be adjacent.
    pub unknown_sectors: u32,
    /// Lines of 128 bytes.
    pub lines: u32,
}

/// The sectors and lines of an access of `width` bytes per lane.
#[must_use]
pub fn touched(addresses: &Addresses, mask: u32, width: u32) -> Touched {
    let mut sectors: Vec<u64> = Vec::with_capacity(32);
    let known = mask & addresses.known;
    for lane in (0..32).filter(|l| known >> l & 1 == 1) {
        let (from, to) = (addresses.values[lane], addresses.values[lane].saturating_add(width as u64 - 1));
        sectors.extend(from / 32..=to / 32);
    }
    sectors.sort_unstable();
    sectors.dedup();
    let mut lines = sectors.chunk_by(|a, b| a / 4 == b / 4).count() as u32;
    let unknown = (mask & !addresses.known).count_ones() * width;
    lines += unknown.div_ceil(128);
    Touched { sectors, unknown_sectors: unknown.div_ceil(32), lines }
}

/// The known words of a block's shared memory.
#[derive(Clone, Debug)]
pub struct Shared {
    words: Vec<u32>,
    known: Vec<u8>,
}

impl Shared {
    /// `bytes` of unknown contents.
    #[must_use]
    pub fn new(bytes: usize) -> Shared {
        Shared { words: vec![0; bytes.div_ceil(4)], known: vec![0; bytes.div_ceil(4)] }
    }

    /// The word at a multiple of 4, if all its bytes are known.
    #[must_use]
    pub fn load(&self, address: u64) -> Option<u32> {
        let at = usize::try_from(address / 4).ok()?;
        (*self.known.get(at)? == 15).then(|| self.words[at])
    }

    /// Stores the low `bytes` of a value, or makes them unknown.
    pub fn store(&mut self, address: u64, bytes: u32, value: Option<u32>) {
        for i in 0..bytes as u64 {
            let (at, byte) = (((address + i) / 4) as usize, ((address + i) % 4) as u32);
            if at >= self.words.len() {
                continue;
            }
            match value {
                Some(v) => {
                    self.known[at] |= 1 << byte;
                    self.words[at] = self.words[at] & !(255 << (8 * byte)) | (v >> (8 * i) & 255) << (8 * byte);
                }
                None => self.known[at] &= !(1 << byte),
            }
        }
    }

    /// Makes everything unknown, after a store to an unknown address.
    pub fn forget(&mut self) {
        self.known.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(f: impl Fn(u64) -> u64) -> Addresses {
        Addresses { known: !0, values: std::array::from_fn(|i| f(i as u64)) }
    }

    #[test]
    fn bank_conflicts() {
        assert_eq!(shared_passes(&at(|i| i * 4), !0, 4), 1);
        assert_eq!(shared_passes(&at(|_| 64), !0, 4), 1, "one word for all is a broadcast");
        assert_eq!(shared_passes(&at(|i| i * 8), !0, 4), 2);
        assert_eq!(shared_passes(&at(|i| i * 128), !0, 4), 32);
        assert_eq!(shared_passes(&at(|i| i * 128), 0xff, 4), 8);
        assert_eq!(shared_passes(&at(|i| i * 8), !0, 8), 2);
        assert_eq!(shared_passes(&at(|i| i * 16), !0, 16), 4);
        assert_eq!(shared_passes(&at(|i| i * 128), !0, 16), 32);
        // Padded rows of 144 bytes: 8 of them use no bank twice.
        assert_eq!(matrix_passes(&at(|i| i * 144), 4), 4);
        assert_eq!(matrix_passes(&at(|i| i * 144), 2), 2);
        assert_eq!(matrix_passes(&at(|i| i * 128), 4), 32);
    }

    #[test]
    fn sectors_and_lines() {
        let t = touched(&at(|i| 4096 + i * 4), !0, 4);
        assert_eq!((t.sectors.len(), t.lines), (4, 1));
        let t = touched(&at(|i| 4096 + i * 16), !0, 16);
        assert_eq!((t.sectors.len(), t.lines), (16, 4));
        let t = touched(&at(|i| 4096 + i * 512), !0, 2);
        assert_eq!((t.sectors.len(), t.lines), (32, 32));
        let t = touched(&Addresses { known: 0, values: [0; 32] }, !0, 4);
        assert_eq!((t.sectors.len(), t.unknown_sectors, t.lines), (0, 4, 1));
    }

    #[test]
    fn shared_words() {
        let mut s = Shared::new(16);
        assert_eq!(s.load(4), None);
        s.store(4, 4, Some(0x01020304));
        assert_eq!(s.load(4), Some(0x01020304));
        s.store(6, 2, Some(0x0a0b));
        assert_eq!(s.load(4), Some(0x0a0b0304));
        s.store(5, 1, None);
        assert_eq!(s.load(4), None);
        s.store(64, 4, Some(1));
        assert_eq!(s.load(64), None, "beyond the end");
    }
}

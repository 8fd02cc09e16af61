//! The part of the L1 cache that a block has.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

/// The sectors that a block loaded. When the block's part of the cache is full, all sectors are removed.
pub(crate) struct Cache {
    sectors: HashSet<u64, BuildHasherDefault<Spread>>,
    capacity: usize,
}

impl Cache {
    /// An empty cache that holds `capacity` sectors.
    pub(crate) fn new(capacity: usize) -> Cache {
        Cache { sectors: HashSet::default(), capacity }
    }

    /// Loads sectors. Returns the number of sectors that were in the cache before.
    pub(crate) fn load(&mut self, sectors: &[u64]) -> u64 {
        let mut hits = 0;
        for &s in sectors {
            if self.sectors.len() >= self.capacity {
                self.sectors.clear();
            }
            hits += !self.sectors.insert(s) as u64;
        }
        hits
    }
}

/// A hash of one number.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&b| self.write_u64(self.0 << 8 | b as u64));
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 32;
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

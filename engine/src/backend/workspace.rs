//! Caller-provided memory for predictors.

use crate::backend::Memory;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// The alignment of blocks in bytes.
const ALIGN: usize = 256;

/// Memory on the model's device that belongs to the caller. A predictor works in this memory instead of allocating.
#[derive(Clone, Debug)]
pub struct Workspace(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The address, a multiple of `ALIGN`.
    address: u64,
    bytes: usize,
    /// The blocks in use, in the order of their positions.
    taken: Mutex<Vec<Range<usize>>>,
}

/// A block of a workspace. The block becomes free when the value is dropped.
pub(crate) struct Lent {
    of: Arc<Shared>,
    range: Range<usize>,
}

impl Workspace {
    /// Describes `bytes` bytes at `address`. The memory is that of the host if the model runs on the CPU. Otherwise it
    /// is that of the model's GPU (a `CUdeviceptr`).
    ///
    /// # Safety
    /// The memory is valid, and is not used by others, until the predictor that it is given to and all forks of the
    /// predictor are dropped.
    #[must_use]
    pub unsafe fn new(address: u64, bytes: usize) -> Workspace {
        let start = address.next_multiple_of(ALIGN as u64);
        let bytes = bytes.saturating_sub((start - address) as usize);
        Workspace(Arc::new(Shared { address: start, bytes, taken: Mutex::default() }))
    }

    /// Returns the first free block of `bytes` bytes.
    pub(crate) fn take(&self, bytes: usize) -> Option<Lent> {
        let size = bytes.checked_next_multiple_of(ALIGN)?;
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = taken.iter().map(|r| r.start).chain([self.0.bytes]);
        let starts = [0].into_iter().chain(taken.iter().map(|r| r.end));
        let at = starts.zip(ends).position(|(start, end)| end.saturating_sub(start) >= size)?;
        let start = if at == 0 { 0 } else { taken[at - 1].end };
        let range = start..start + size;
        taken.insert(at, range.clone());
        Some(Lent { of: self.0.clone(), range })
    }
}

impl Memory for Lent {
    fn addr(&self) -> u64 {
        self.of.address + self.range.start as u64
    }

    fn bytes(&self) -> usize {
        self.range.len()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut taken = self.of.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|r| *r != self.range);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn blocks_lie_apart(offset in 0u64..600, size in 0usize..9000, calls in proptest::collection::vec((any::<bool>(), 1usize..2000), 1..40)) {
            // SAFETY: the memory is never dereferenced.
            let space = unsafe { Workspace::new(4096 + offset, size) };
            let mut held: Vec<Lent> = Vec::new();
            for (give, n) in calls {
                if give && !held.is_empty() {
                    held.swap_remove(n % held.len());
                } else if let Some(block) = space.take(n) {
                    let (start, end) = (block.addr(), block.addr() + block.bytes() as u64);
                    prop_assert!(block.bytes() >= n && start % 256 == 0);
                    prop_assert!(start >= 4096 + offset && end <= 4096 + offset + size as u64);
                    prop_assert!(held.iter().all(|h| end <= h.addr() || h.addr() + h.bytes() as u64 <= start));
                    held.push(block);
                } else {
                    // Only where no gap is left that would do.
                    let used: usize = held.iter().map(|h| h.bytes()).sum();
                    prop_assert!(!held.is_empty() || used + n + 512 > size.min(size.saturating_sub(offset as usize % 256)));
                }
            }
            drop(held);
            let all = size.saturating_sub((offset.next_multiple_of(256) - offset) as usize) / 256 * 256;
            prop_assert!(all == 0 || space.take(all).is_some(), "everything is free again");
        }
    }
}

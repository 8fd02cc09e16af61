//! The instructions that warps execute.

use std::collections::BTreeMap;
use std::rc::Rc;

/// An executed instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Its index in the function.
    pub at: u32,
    /// Cycles of the SM's load/store unit. 0 for other instructions.
    pub cycles: u16,
    /// The number of lanes that execute it. With 0, it issues and has no effect.
    pub lanes: u8,
    /// Whether the L1 cache has the data.
    pub cached: bool,
}

/// The trace of a warp.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Instructions in order.
    pub entries: Vec<Entry>,
    /// Loops whose iterations are all equal, in order and without nesting.
    pub runs: Vec<Run>,
}

/// Consecutive iterations of a loop that execute the same instructions at the same cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where the first iteration starts in the trace.
    pub start: usize,
    /// Entries per iteration.
    pub len: usize,
    /// Iterations.
    pub count: usize,
}

/// The trace of a block.
#[derive(Clone, Debug, Default)]
pub struct BlockTrace {
    /// One trace per warp. Warps with equal traces share one.
    pub warps: Vec<Rc<Trace>>,
    /// 32-byte sectors that move between the SM and the L2 cache.
    pub sectors: u64,
    pub(crate) keep_touched: bool,
    /// Sectors with a known address, each once: the number of the sector, and the instruction that touched it.
    pub touched: Vec<(u64, u32)>,
    /// Sectors with an unknown address.
    pub unknown_sectors: u64,
    /// Branches that depended on unknown numbers: the address and the count.
    pub guesses: BTreeMap<u32, u64>,
    /// Instructions the interpreter does not know, by opcode.
    pub unsupported: BTreeMap<String, u64>,
    /// Memory instructions with unknown addresses in shared memory.
    pub unknown_shared: u64,
    /// How many times lanes could not reconverge where the code says.
    pub forced: u64,
}

/// Keeps every sector once, with the first instruction that touched it.
pub(crate) fn tidy(touched: &mut Vec<(u64, u32)>) {
    touched.sort_unstable();
    touched.dedup_by_key(|(sector, _)| *sector);
}

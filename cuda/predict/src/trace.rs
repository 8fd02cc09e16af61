//! What warps execute.

use std::collections::BTreeMap;
use std::rc::Rc;

/// An executed instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Its index in the function.
    pub at: u32,
    /// Cycles of the SM's load/store unit; 0 for other instructions.
    pub cycles: u16,
    /// Lanes that execute it; with 0 it issues and does nothing.
    pub lanes: u8,
    /// The L1 cache answers it.
    pub cached: bool,
}

/// What a warp executes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Instructions in order.
    pub entries: Vec<Entry>,
    /// Loops whose iterations are all the same, in order, none within another.
    pub runs: Vec<Run>,
}

/// Consecutive iterations of a loop that execute the same instructions at the same cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where the first iteration starts in the trace.
    pub start: usize,
    /// Entries of an iteration.
    pub len: usize,
    /// Iterations.
    pub count: usize,
}

/// What the warps of a block execute.
#[derive(Clone, Debug, Default)]
pub struct BlockTrace {
    /// One trace a warp; warps that do the same share it.
    pub warps: Vec<Rc<Trace>>,
    /// 32-byte sectors that go between the SM and the L2 cache.
    pub sectors: u64,
    pub(crate) keep_touched: bool,
    /// Sectors of known address, each once: number of the sector, and the instruction that touched it.
    pub touched: Vec<(u64, u32)>,
    /// Sectors whose address is unknown.
    pub unknown_sectors: u64,
    /// Branches that depended on unknown numbers: address and how often.
    pub guesses: BTreeMap<u32, u64>,
    /// Instructions the interpreter does not know, by opcode.
    pub unsupported: BTreeMap<String, u64>,
    /// Memory instructions with unknown addresses in shared memory.
    pub unknown_shared: u64,
    /// Times that lanes could not meet again as the code says.
    pub forced: u64,
}

//! A partial interpreter: it finds the instructions that the warps of a block execute, and the cost of their memory
//! accesses.
//!
//! Branches and trip counts follow from the grid, the block and the parameters of the launch. If a branch depends on an
//! unknown number, the interpreter decides by a rule (see [`Interpreter::guess`]) and counts the guess.
//!
//! Lanes that diverge at a branch are executed one group after another, until they reconverge at `BSYNC`.

use crate::cache::Cache;
use crate::decode::{Op, Step};
use crate::lanes::{ALL, Flags, Lanes};
use crate::memory::Shared;
use crate::registers::{Place, Registers};
use crate::sass::{Function, Operand};
use crate::setting::{SHARED_BASE, Setting};
use crate::trace::{BlockTrace, Entry, Trace, tidy};
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

/// Lanes at the same instruction.
pub(crate) struct Group {
    pub(crate) at: usize,
    pub(crate) mask: u32,
    pub(crate) wait: Wait,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    Nothing,
    Barrier(u8),
    Lanes(u32),
}

pub(crate) struct Warp {
    pub(crate) registers: Registers,
    pub(crate) place: Place,
    pub(crate) groups: Vec<Group>,
    /// Lanes that reconverge at each barrier register.
    pub(crate) meetings: [u32; 16],
    pub(crate) entries: Vec<Entry>,
    /// Positions in the trace where a loop starts again, and its first instruction.
    pub(crate) heads: Vec<(usize, u32)>,
    pub(crate) taken: HashMap<u32, u64>,
    /// Local memory by address: spilled registers. All lanes use the same addresses.
    pub(crate) local: HashMap<u64, Lanes>,
}

/// Executes blocks of a launch.
#[derive(Debug)]
pub struct Interpreter<'a> {
    pub(crate) function: &'a Function,
    pub(crate) steps: Vec<Step>,
    pub(crate) setting: Setting,
    pub(crate) shared_bytes: usize,
    /// The capacity of the block's part of the L1 cache in sectors.
    pub(crate) cache: usize,
    /// How many times in a row the branch at an address is taken if its condition is unknown.
    pub(crate) hints: BTreeMap<u32, u64>,
    /// Whether the straight-line code after an instruction calls a subroutine before it branches or returns.
    pub(crate) calls: Vec<bool>,
}

/// The most instructions of a warp. A warp with more is assumed to be in an endless loop.
const MAX_ENTRIES: usize = 40_000_000;

impl<'a> Interpreter<'a> {
    /// An interpreter of a function. `shared` is the dynamic shared memory of the block in bytes. `cache` is the
    /// block's part of the L1 cache in bytes.
    pub fn new(
        function: &'a Function,
        setting: Setting,
        shared: u32,
        cache: u32,
        hints: BTreeMap<u32, u64>,
    ) -> Interpreter<'a> {
        let steps: Vec<Step> = function.code.iter().map(Step::new).collect();
        let mut calls = vec![false; steps.len() + 1];
        for (i, step) in steps.iter().enumerate().rev() {
            calls[i] = match step.op {
                Op::Call => true,
                Op::Bra | Op::Brx | Op::Ret | Op::Exit | Op::Bsync => false,
                _ => calls[i + 1],
            };
        }
        let mut setting = setting;
        setting.tables = function.tables.clone();
        let shared_bytes = shared as usize + (function.shared as usize).max(SHARED_BASE as usize);
        Interpreter { function, steps, setting, shared_bytes, cache: cache as usize / 32, hints, calls }
    }

    /// Executes a block. [`BlockTrace::touched`] stays empty unless it is requested.
    ///
    /// # Errors
    ///
    /// A message if a warp runs past the end of the function, or does not end after 40 million instructions.
    pub fn block(&self, block: [u32; 3], touched: bool) -> Result<BlockTrace, String> {
        let threads = self.setting.block.iter().product::<u32>();
        let mut shared = Shared::new(self.shared_bytes);
        let mut cache = Cache::new(self.cache);
        let mut out = BlockTrace { keep_touched: touched, ..BlockTrace::default() };
        let mut warps: Vec<Warp> = (0..threads.div_ceil(32))
            .map(|w| {
                let lanes = (threads - w * 32).min(32);
                let mut registers = Registers::new(self.function.registers as usize);
                // The stack pointer, whose value does not matter.
                registers.set(&Operand::Register(1, Default::default()), 0, &Lanes::ZERO, ALL, 0);
                Warp {
                    registers,
                    place: Place { block, first: w * 32 },
                    groups: vec![Group { at: 0, mask: (ALL as u64 >> (32 - lanes)) as u32, wait: Wait::Nothing }],
                    meetings: [0; 16],
                    entries: Vec::new(),
                    heads: Vec::new(),
                    taken: HashMap::new(),
                    local: HashMap::new(),
                }
            })
            .collect();
        // From barrier to barrier, one warp after another, so that each warp reads what the others stored.
        while warps.iter().any(|w| !w.groups.is_empty()) {
            for warp in warps.iter_mut().filter(|w| !w.groups.is_empty()) {
                self.run(warp, &mut shared, &mut cache, &mut out)?;
            }
        }
        let mut same: HashMap<u64, Rc<Trace>> = HashMap::new();
        for warp in warps {
            let mut hasher = DefaultHasher::new();
            warp.entries.hash(&mut hasher);
            let trace = match same.get(&hasher.finish()) {
                Some(trace) if trace.entries == warp.entries => trace.clone(),
                _ => {
                    let runs = crate::loops::runs(&warp.entries, &warp.heads);
                    let trace = Rc::new(Trace { entries: warp.entries, runs });
                    same.insert(hasher.finish(), trace.clone());
                    trace
                }
            };
            out.warps.push(trace);
        }
        tidy(&mut out.touched);
        Ok(out)
    }

    /// Executes a warp until its next barrier or its end.
    fn run(&self, warp: &mut Warp, shared: &mut Shared, cache: &mut Cache, out: &mut BlockTrace) -> Result<(), String> {
        while let Some(current) = self.pick(warp, out) {
            let (at, mask) = (warp.groups[current].at, warp.groups[current].mask);
            let step = self.steps.get(at).ok_or_else(|| format!("{}: runs past its end", self.function.name))?;
            let guard = step.guard.map_or(Flags::TRUE, |g| warp.registers.predicate(g));
            let exec = mask & guard.can_be_true();
            let doubt = mask & !guard.known;
            if warp.entries.len() >= MAX_ENTRIES {
                let address = self.function.code[at].address;
                return Err(format!(
                    "{}: no end after {MAX_ENTRIES} instructions, at {address:#x}",
                    self.function.name
                ));
            }
            let (cycles, cached) =
                if exec == 0 { (0, false) } else { self.access(warp, step, at, exec, doubt, shared, cache, out) };
            warp.entries.push(Entry { at: at as u32, cycles, lanes: exec.count_ones() as u8, cached });
            let pause = step.op == Op::Bar && exec != 0;
            self.advance(warp, current, step, exec, doubt, out);
            if pause {
                break;
            }
        }
        Ok(())
    }

    /// The next group to execute: the last one that can continue. If groups wait for each other, one is released by
    /// force.
    fn pick(&self, warp: &mut Warp, out: &mut BlockTrace) -> Option<usize> {
        if let Some(i) = warp.groups.iter().rposition(|g| g.wait == Wait::Nothing) {
            return Some(i);
        }
        let last = warp.groups.len().checked_sub(1)?;
        out.forced += 1;
        warp.groups[last].wait = Wait::Nothing;
        Some(last)
    }
}

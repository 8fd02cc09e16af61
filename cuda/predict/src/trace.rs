//! A partial interpreter: which instructions the warps of a block execute, and what their memory accesses cost.
//!
//! Branches and trip counts follow from the launch's grid, block and parameters. Where a branch depends on an unknown
//! number, the interpreter decides by a rule (see [`Interpreter::guess`]) and counts the guess.
//!
//! Lanes that part at a branch are executed one group after the other, until they meet again at `BSYNC`.

use crate::decode::{Op, Step};
use crate::lanes::{ALL, Lanes};
use crate::memory::{Addresses, Shared, matrix_passes, shared_passes, touched};
use crate::sass::{Base, Function, Operand};
use crate::warp::{Place, Registers, SHARED_BASE, Setting};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
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
    keep_touched: bool,
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

/// Lanes at one instruction.
struct Group {
    at: usize,
    mask: u32,
    wait: Wait,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    Nothing,
    Barrier(u8),
    Lanes(u32),
}

struct Warp {
    registers: Registers,
    place: Place,
    groups: Vec<Group>,
    /// Lanes that meet at each barrier register.
    meetings: [u32; 16],
    entries: Vec<Entry>,
    /// Positions in the trace where a loop started over, and its first instruction.
    heads: Vec<(usize, u32)>,
    taken: HashMap<u32, u64>,
    /// Local memory by address: spilled registers. All lanes use the same addresses.
    local: HashMap<u64, Lanes>,
}

/// Sectors that a block loaded. When its part of the cache is full, all are forgotten.
struct Cache {
    sectors: HashSet<u64, BuildHasherDefault<Spread>>,
    capacity: usize,
}

impl Cache {
    /// Loads sectors. Returns how many were there already.
    fn load(&mut self, sectors: &[u64]) -> u64 {
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

/// Executes blocks of a launch.
pub struct Interpreter<'a> {
    function: &'a Function,
    steps: Vec<Step>,
    setting: Setting,
    shared_bytes: usize,
    /// Sectors that the block's part of the L1 cache holds.
    cache: usize,
    /// Branches at these addresses are taken so often in a row where their condition is unknown.
    hints: BTreeMap<u32, u64>,
    /// Whether the straight code from an instruction on calls a subroutine before it branches or returns.
    calls: Vec<bool>,
}

/// The most instructions of a warp: more is taken for a loop that does not end.
const MAX_ENTRIES: usize = 40_000_000;

impl<'a> Interpreter<'a> {
    /// An interpreter of a function. `shared` is the block's dynamic shared memory in bytes.
    /// `cache` is its part of the L1 cache in bytes.
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

    /// Executes a block. [`BlockTrace::touched`] stays empty where not asked for.
    pub fn block(&self, block: [u32; 3], touched: bool) -> Result<BlockTrace, String> {
        let threads = self.setting.block.iter().product::<u32>();
        let mut shared = Shared::new(self.shared_bytes);
        let mut cache = Cache { sectors: HashSet::default(), capacity: self.cache };
        let mut out = BlockTrace { keep_touched: touched, ..BlockTrace::default() };
        let mut warps: Vec<Warp> = (0..threads.div_ceil(32))
            .map(|w| {
                let lanes = (threads - w * 32).min(32);
                let mut registers = Registers::new(self.function.registers as usize);
                // The stack pointer: its value does not matter.
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
        // From barrier to barrier, one warp after the other, so that each sees what the others stored.
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
            let guard = step.guard.map_or(crate::lanes::Flags::TRUE, |g| warp.registers.predicate(g));
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

    /// The group that goes on: the last that can. Groups that wait for each other are freed by force.
    fn pick(&self, warp: &mut Warp, out: &mut BlockTrace) -> Option<usize> {
        if let Some(i) = warp.groups.iter().rposition(|g| g.wait == Wait::Nothing) {
            return Some(i);
        }
        let last = warp.groups.len().checked_sub(1)?;
        out.forced += 1;
        warp.groups[last].wait = Wait::Nothing;
        Some(last)
    }

    /// What an instruction does other than move to the next. Returns the cycles that a memory instruction keeps the
    /// load/store unit busy, and whether the L1 cache answers it.
    fn access(
        &self,
        warp: &mut Warp,
        step: &Step,
        at: usize,
        exec: u32,
        doubt: u32,
        shared: &mut Shared,
        cache: &mut Cache,
        out: &mut BlockTrace,
    ) -> (u16, bool) {
        let addresses = || {
            let mut all = step.srcs.iter().filter(|s| matches!(s, Operand::Address { .. }));
            (all.next(), all.next())
        };
        let in_shared = |warp: &Warp, operand: Option<&Operand>, out: &mut BlockTrace| {
            let a = operand.map_or(Addresses { known: 0, values: [0; 32] }, |o| warp.registers.address(o, false));
            out.unknown_shared += (a.known & exec != exec) as u64;
            a
        };
        let mut cached = false;
        let mut global = |warp: &Warp, operand: Option<&Operand>| {
            let a = operand.map_or(Addresses { known: 0, values: [0; 32] }, |o| warp.registers.address(o, true));
            let t = touched(&a, exec, step.width);
            let hits = if step.op == Op::LoadGlobal { cache.load(&t.sectors) } else { 0 };
            cached = step.op == Op::LoadGlobal && t.unknown_sectors == 0 && hits == t.sectors.len() as u64;
            out.sectors += t.sectors.len() as u64 + t.unknown_sectors as u64 - hits;
            out.unknown_sectors += t.unknown_sectors as u64;
            if !out.keep_touched {
                return (a, t.lines.max(step.width * exec.count_ones() / 128).max(1));
            }
            out.touched.extend(t.sectors.iter().map(|&s| (s, at as u32)));
            if out.touched.len() > 1 << 22 && out.touched.len() == out.touched.capacity() {
                tidy(&mut out.touched);
            }
            (a, t.lines.max(step.width * exec.count_ones() / 128).max(1))
        };
        let words = step.width.div_ceil(4);
        let cycles = match step.op {
            Op::LoadShared => {
                let a = in_shared(warp, addresses().0, out);
                let load = |lane: usize, i: u32| match step.width {
                    4.. => shared.load(a.values[lane] + 4 * i as u64),
                    _ => None,
                };
                self.loaded(warp, step, exec, doubt, |lane, i| (a.known >> lane & 1 == 1).then(|| load(lane, i))?);
                shared_passes(&a, exec, step.width)
            }
            Op::LoadMatrix => {
                let a = in_shared(warp, addresses().0, out);
                warp.registers.forget(step, exec, doubt);
                matrix_passes(&a, step.width)
            }
            Op::StoreShared | Op::AtomicShared => {
                let a = in_shared(warp, addresses().0, out);
                if a.known & exec != exec {
                    shared.forget();
                } else {
                    let value = step.srcs.iter().find_map(|s| match s {
                        Operand::Register(index, _) if step.op == Op::StoreShared => Some(*index),
                        _ => None,
                    });
                    for lane in (0..32).filter(|l| exec >> l & 1 == 1) {
                        for i in 0..words {
                            let index = value.map(|v| if v == 255 { v } else { v + i as u8 });
                            let sure = doubt >> lane & 1 == 0;
                            let word = index.and_then(|r| warp.registers.lane(r).get(lane)).filter(|_| sure);
                            shared.store(a.values[lane] + 4 * i as u64, step.width.min(4), word);
                        }
                    }
                }
                warp.registers.forget(step, exec, doubt);
                shared_passes(&a, exec, step.width)
            }
            Op::CopyAsync => {
                let (to, from) = addresses();
                let (_, lines) = global(warp, from);
                let a = in_shared(warp, to, out);
                if a.known & exec != exec {
                    shared.forget();
                }
                for lane in (0..32).filter(|l| exec & a.known >> l & 1 == 1) {
                    shared.store(a.values[lane], step.width, None);
                }
                lines + shared_passes(&a, exec, step.width)
            }
            Op::LoadGlobal => {
                let (a, lines) = global(warp, addresses().0);
                self.loaded(warp, step, exec, doubt, |lane, i| {
                    let bytes = step.width.min(4) as usize;
                    let from = (a.known >> lane & 1 == 1).then(|| a.values[lane] + 4 * i as u64)?;
                    let mut word = [0; 4];
                    word[..bytes].copy_from_slice(self.setting.load(from, bytes)?);
                    Some(u32::from_le_bytes(word))
                });
                lines
            }
            Op::StoreGlobal | Op::AtomicGlobal => {
                let (_, lines) = global(warp, addresses().0);
                warp.registers.forget(step, exec, doubt);
                lines
            }
            Op::Local => {
                let a = warp.registers.address(addresses().0.unwrap_or(&Operand::Immediate(0)), false);
                let lane = exec.trailing_zeros() as usize;
                let at = (a.known & exec == exec).then(|| a.values[lane]);
                let stored = step.srcs.iter().find_map(|s| match s {
                    Operand::Register(index, _) => Some(*index),
                    _ => None,
                });
                match (stored, at) {
                    (Some(_), None) => warp.local.clear(),
                    (Some(index), Some(at)) => {
                        for i in 0..words {
                            let value = *warp.registers.lane(if index == 255 { 255 } else { index + i as u8 });
                            let slot = warp.local.entry(at + 4 * i as u64).or_insert(Lanes::UNKNOWN);
                            slot.merge(&value, exec, doubt);
                        }
                    }
                    (None, None) => warp.registers.forget(step, exec, doubt),
                    (None, Some(at)) => {
                        let Some(dst) = &step.dst else { return (words as u16, false) };
                        for i in 0..step.count {
                            let value = warp.local.get(&(at + 4 * i as u64)).copied().unwrap_or(Lanes::UNKNOWN);
                            warp.registers.set(dst, i, &value, exec, doubt);
                        }
                    }
                }
                words
            }
            Op::TryWait => {
                // What is waited for has arrived.
                warp.registers.forget(step, exec, doubt);
                step.outs.iter().for_each(|&p| warp.registers.set_predicate(p, crate::lanes::Flags::TRUE, exec, doubt));
                0
            }
            Op::Unsupported => {
                *out.unsupported.entry(self.function.code[at].opcode.clone()).or_default() += 1;
                warp.registers.forget(step, exec, doubt);
                0
            }
            Op::Shuffle => {
                warp.registers.compute(&self.setting, &warp.place.clone(), step, exec, doubt);
                1
            }
            _ => {
                let place = warp.place;
                warp.registers.compute(&self.setting, &place, step, exec, doubt);
                0
            }
        };
        (cycles.min(u16::MAX as u32) as u16, cached)
    }

    /// Puts loaded words into the destination of `step`.
    fn loaded(&self, warp: &mut Warp, step: &Step, exec: u32, doubt: u32, load: impl Fn(usize, u32) -> Option<u32>) {
        let Some(dst) = &step.dst else { return };
        for i in 0..step.count {
            let mut word = Lanes::UNKNOWN;
            for lane in (0..32).filter(|l| exec >> l & 1 == 1) {
                if let Some(value) = load(lane, i as u32) {
                    word.known |= 1 << lane;
                    word.values[lane] = value;
                }
            }
            warp.registers.set(dst, i, &word, exec, doubt);
        }
    }

    /// Decides a branch whose condition is unknown: returns whether it is taken.
    ///
    /// A hint decides first. Without one a branch is not taken, unless the code after it calls a subroutine and the
    /// code at its target does not: subroutines are the rare, slow ways of divisions and roots.
    pub fn guess(&self, at: usize, taken_before: u64) -> bool {
        let step = &self.steps[at];
        if let Some(&times) = self.hints.get(&self.function.code[at].address) {
            return taken_before < times;
        }
        let target = step.target.map_or(self.steps.len(), |t| t as usize / 16).min(self.steps.len());
        step.op == Op::Bra && target > at && self.calls[at + 1] && !self.calls[target]
    }

    /// Moves a group to where it goes on.
    fn advance(&self, warp: &mut Warp, current: usize, step: &Step, exec: u32, doubt: u32, out: &mut BlockTrace) {
        let (at, mask) = (warp.groups[current].at, warp.groups[current].mask);
        let group = &mut warp.groups[current];
        group.at = at + 1;
        match step.op {
            Op::Bra | Op::Call | Op::Brx | Op::Ret => {
                // `BRA UP0, target`, `BRA P0, target`: a condition beside the guard.
                let condition = step.ins.first().map_or(crate::lanes::Flags::TRUE, |&p| warp.registers.predicate(p));
                let condition =
                    if self.is_divergence_test(at) { crate::lanes::Flags { known: ALL, value: 0 } } else { condition };
                let doubt = doubt | exec & !condition.known;
                let mut go = exec & condition.can_be_true();
                if go & doubt != 0 {
                    let address = self.function.code[at].address;
                    *out.guesses.entry(address).or_default() += 1;
                    let before = warp.taken.entry(at as u32).or_default();
                    if self.guess(at, *before) {
                        *before += 1;
                    } else {
                        *before = 0;
                        go &= !doubt;
                    }
                }
                if go != 0 {
                    self.jump(warp, current, at, step, go, out);
                }
            }
            Op::Exit => {
                if exec & doubt != 0 {
                    *out.guesses.entry(self.function.code[at].address).or_default() += 1;
                }
                let gone = exec & !doubt;
                group.mask = mask & !gone;
                if group.mask == 0 {
                    warp.groups.remove(current);
                }
                warp.meetings.iter_mut().for_each(|m| *m &= !gone);
                self.meet(warp);
            }
            Op::Bssy => {
                if let Some(Operand::Barrier(b)) = step.srcs.first() {
                    warp.meetings[*b as usize & 15] = mask;
                }
            }
            Op::Break => {
                if let Some(Operand::Barrier(b)) = step.srcs.first() {
                    warp.meetings[*b as usize & 15] &= !exec;
                    self.meet(warp);
                }
            }
            Op::Bsync => {
                if let Some(Operand::Barrier(b)) = step.srcs.first() {
                    group.wait = Wait::Barrier(*b & 15);
                    self.meet(warp);
                }
            }
            Op::Warpsync => {
                // `.COLLECTIVE` and a mask in a register stand on paths of warps that have parted.
                let all = warp.groups.iter().fold(0, |m, g| m | g.mask);
                if all != mask && step.target.is_none() {
                    warp.groups[current].wait = Wait::Lanes(all);
                    self.meet(warp);
                }
            }
            _ => {}
        }
    }

    /// `BRA.DIV` is taken by warps that have parted; such a warp executes the same work in another order.
    fn is_divergence_test(&self, at: usize) -> bool {
        self.function.code[at].has("DIV")
    }

    /// Sends the lanes `go` of a group to the target of its branch.
    fn jump(&self, warp: &mut Warp, current: usize, at: usize, step: &Step, go: u32, out: &mut BlockTrace) {
        // The targets of the lanes: one for most branches.
        let targets: Vec<(usize, u32)> = match step.op {
            Op::Bra | Op::Call => vec![(step.target.unwrap_or(0) as usize / 16, go)],
            _ => {
                let relative = if step.op == Op::Brx { (at as i64 + 1) * 16 } else { 0 };
                let offset = step.srcs.iter().find_map(|s| match s {
                    Operand::Immediate(v) => Some(*v),
                    _ => None,
                });
                let base = step.srcs.first().and_then(|s| match s {
                    Operand::Register(index, _) => Some(Base::Lane { index: *index, wide: false, scale: 1 }),
                    Operand::Uniform(index, _) => Some(Base::Uniform { index: *index, wide: false }),
                    _ => None,
                });
                let from = warp.registers.address(&Operand::Address { bases: [base, None], offset: 0 }, false);
                let mut all: Vec<(usize, u32)> = Vec::new();
                for lane in (0..32).filter(|l| go >> l & 1 == 1) {
                    if from.known >> lane & 1 == 0 {
                        continue;
                    }
                    let target = relative + from.values[lane] as i64 + offset.unwrap_or(0);
                    let target = usize::try_from(target / 16).unwrap_or(usize::MAX);
                    match all.iter_mut().find(|(t, _)| *t == target) {
                        Some((_, mask)) => *mask |= 1 << lane,
                        None => all.push((target, 1 << lane)),
                    }
                }
                let known = all.iter().fold(0, |m, (_, mask)| m | mask);
                if known != go {
                    *out.guesses.entry(self.function.code[at].address).or_default() += 1;
                }
                all
            }
        };
        let mut rest = warp.groups[current].mask;
        for (target, mask) in targets {
            if target <= at {
                warp.heads.push((warp.entries.len(), target as u32));
            }
            rest &= !mask;
            if rest == 0 {
                warp.groups[current].at = target;
                warp.groups[current].mask = mask;
            } else {
                warp.groups.push(Group { at: target, mask, wait: Wait::Nothing });
            }
        }
        if rest != 0 {
            warp.groups[current].mask = rest;
        }
    }

    /// Joins the groups that have all arrived where they meet.
    fn meet(&self, warp: &mut Warp) {
        let mut i = 0;
        while i < warp.groups.len() {
            let (at, wait) = (warp.groups[i].at, warp.groups[i].wait);
            let wanted = match wait {
                Wait::Nothing => 0,
                Wait::Barrier(b) => warp.meetings[b as usize],
                Wait::Lanes(mask) => mask & warp.groups.iter().fold(0, |m, g| m | g.mask),
            };
            let arrived = warp.groups.iter().filter(|g| g.wait == wait && g.at == at).fold(0, |mask, g| mask | g.mask);
            if wait == Wait::Nothing || arrived & wanted != wanted {
                i += 1;
                continue;
            }
            warp.groups.retain(|g| g.wait != wait || g.at != at);
            warp.groups.push(Group { at, mask: arrived, wait: Wait::Nothing });
            i = 0;
        }
    }
}

/// Keeps every sector once, with the first instruction that touched it.
fn tidy(touched: &mut Vec<(u64, u32)>) {
    touched.sort_unstable();
    touched.dedup_by_key(|(sector, _)| *sector);
}

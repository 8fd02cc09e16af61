//! A model of one SM that executes the traces of its blocks.
//!
//! The SM has four parts. Warp `w` of a block belongs to part `w % 4`. A part issues at most one instruction per cycle.
//! A warp issues in order, and an instruction waits for three conditions. The stall count of the previous instruction
//! has passed, the scoreboards that it waits for are free, and its pipe is not busy. A part issues from the same warp
//! while that warp can issue, and then from the youngest warp that can (greedy, then youngest: Huerta et al.,
//! "Analyzing Modern NVIDIA GPU cores", arXiv:2503.20481). The parts share the load/store unit, which works in the
//! order of issue.
//!
//! The simulation steps from issue to issue and skips idle cycles. A loop whose iterations all execute the same
//! instructions is not simulated to its end: see [`crate::extrapolate`].

use crate::machine::{self, PIPES, Pipe, Use};
use crate::sass::{Function, Instruction, Operand};
use crate::trace::{Run, Trace};
use std::collections::VecDeque;
use std::rc::Rc;

/// The results of the simulation.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Cycles from the first issue to the end of the last warp.
    pub cycles: u64,
    /// Instructions issued.
    pub issued: u64,
    /// Tensor operations.
    pub flops: u64,
    /// Cycles that the pipes of all four parts were busy. The load/store unit counts once.
    pub busy: [u64; PIPES],
    /// Cycles of `cycles` that were extrapolated.
    pub skipped: u64,
    /// Cycles of an iteration of the loop that was extrapolated most. 0 if no loop was extrapolated.
    pub iteration: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Branch,
    Barrier,
    CopyAsync,
    CommitGroup,
    WaitGroup(u8),
    /// A product of a group of warps, and whether it ends a group of products.
    Product(bool),
    WaitProducts(u8),
}

#[derive(Debug)]
pub(crate) struct Info {
    pub(crate) usage: Use,
    kind: Kind,
    stall: u64,
    write: Option<u8>,
    read: Option<u8>,
    wait: u8,
}

pub(crate) struct Warp {
    pub(crate) trace: Rc<Trace>,
    block: usize,
    part: usize,
    pub(crate) position: usize,
    /// The earliest cycle of the next issue, as far as the warp itself decides.
    ready: u64,
    stall: u64,
    scoreboards: [u64; 6],
    /// The cycle in which the latest copy to shared memory has arrived.
    copies: u64,
    groups: Vec<u64>,
    /// The cycle in which each group of products is done.
    products: Vec<u64>,
    at_barrier: bool,
    /// The current or next run of the trace.
    pub(crate) run: usize,
}

/// One SM with its code.
#[derive(Debug)]
pub struct Sm {
    pub(crate) info: Vec<Info>,
}

impl Sm {
    /// An SM that executes this function.
    #[must_use]
    pub fn new(function: &Function) -> Sm {
        let count = |i: &Instruction| {
            let number = |o: &Operand| if let Operand::Immediate(n) = o { Some(*n as u8) } else { None };
            i.operands.iter().find_map(number).unwrap_or(0)
        };
        let info = |i: &Instruction| {
            let kind = match &*i.opcode {
                "BAR" if i.has("ARV") => Kind::Plain,
                "BAR" => Kind::Barrier,
                "LDGSTS" => Kind::CopyAsync,
                "LDGDEPBAR" => Kind::CommitGroup,
                "DEPBAR" => Kind::WaitGroup(count(i)),
                "HGMMA" | "QGMMA" | "IGMMA" => Kind::Product(i.text.contains("gsb0")),
                "WARPGROUP" if i.has("DEPBAR") => Kind::WaitProducts(count(i)),
                "BRA" | "BRX" | "BRXU" | "CALL" | "RET" => Kind::Branch,
                _ => Kind::Plain,
            };
            let c = i.control;
            Info {
                usage: machine::usage(i),
                kind,
                stall: c.stall.max(1) as u64,
                write: c.write.filter(|&b| b < 6),
                read: c.read.filter(|&b| b < 6),
                wait: c.wait,
            }
        };
        Sm { info: function.code.iter().map(info).collect() }
    }

    /// Tensor operations of some warps.
    #[must_use]
    pub fn tensor_flops(&self, warps: &[Rc<Trace>]) -> u64 {
        let of = |e: &crate::trace::Entry| self.info[e.at as usize].usage.flops as u64 * (e.lanes > 0) as u64;
        warps.iter().map(|w| w.entries.iter().map(of).sum::<u64>()).sum()
    }

    /// Executes blocks, each given as the traces of its warps. The first `resident` blocks start together. Each of the
    /// others starts when an earlier block has ended.
    #[must_use]
    pub fn execute(&self, blocks: &[&[Rc<Trace>]], resident: usize) -> Outcome {
        let mut state = State {
            info: &self.info,
            warps: Vec::new(),
            parts: Default::default(),
            waiting: blocks.iter().map(|_| Vec::new()).collect(),
            live: blocks.iter().map(|b| b.len()).collect(),
            queue: Default::default(),
            starts: Vec::new(),
            unit: 0,
            outcome: Outcome::default(),
            extrapolation: Extrapolation { starts: vec![(0, Vec::new()); blocks.len()], ..Extrapolation::default() },
        };
        for (block, traces) in blocks.iter().enumerate() {
            // Blocks of fewer than four warps are spread over the parts, block after block.
            let first = if traces.len().is_multiple_of(4) { 0 } else { state.warps.len() };
            for (i, trace) in traces.iter().enumerate() {
                let part = (first + i) % 4;
                if block < resident {
                    state.parts[part].warps.push(state.warps.len());
                }
                state.queue.extend((i == 0 && block >= resident).then_some(block));
                state.starts.extend((i == 0).then_some(state.warps.len()));
                state.warps.push(Warp {
                    trace: trace.clone(),
                    block,
                    part,
                    position: 0,
                    ready: 0,
                    stall: 0,
                    scoreboards: [0; 6],
                    copies: 0,
                    groups: Vec::new(),
                    products: Vec::new(),
                    at_barrier: false,
                    run: 0,
                });
            }
        }
        state.run();
        state.outcome
    }
}

#[derive(Default)]
pub(crate) struct Part {
    pub(crate) warps: Vec<usize>,
    /// The warp of the last issue.
    last: usize,
    /// No instruction issues before this cycle.
    next: u64,
    /// The cycle after the last issue.
    free: u64,
    pipes: [u64; PIPES],
}

/// What was skipped, and what is needed to skip more.
#[derive(Default)]
pub(crate) struct Extrapolation {
    /// For each block the run it is in, and when each of its iterations started.
    pub(crate) starts: Vec<(usize, Vec<u64>)>,
    pub(crate) skipped: u64,
    /// The most cycles skipped at once, and of that loop the cycles of an iteration of the slowest block.
    pub(crate) longest: u64,
    pub(crate) iteration: f64,
}

pub(crate) struct State<'a> {
    pub(crate) info: &'a [Info],
    pub(crate) warps: Vec<Warp>,
    parts: [Part; 4],
    /// The number of warps at the barrier of each block.
    waiting: Vec<Vec<usize>>,
    /// The number of warps of each block that have not ended.
    pub(crate) live: Vec<usize>,
    /// Blocks that have not started.
    pub(crate) queue: VecDeque<usize>,
    /// The first warp of each block.
    pub(crate) starts: Vec<usize>,
    /// The cycle in which the load/store unit has finished all its work.
    unit: u64,
    pub(crate) outcome: Outcome,
    pub(crate) extrapolation: Extrapolation,
}

const NEVER: u64 = u64::MAX;

impl State<'_> {
    fn run(&mut self) {
        loop {
            let part = (0..4).min_by_key(|&p| self.parts[p].next).expect("four parts");
            if self.parts[part].next == NEVER {
                break;
            }
            match self.choose(part) {
                None => self.parts[part].next = NEVER,
                Some((cycle, _)) if cycle > self.parts[part].next => self.parts[part].next = cycle,
                Some((cycle, warp)) => self.issue(part, cycle, warp),
            }
        }
        self.outcome.cycles += self.extrapolation.skipped;
        self.outcome.skipped = self.extrapolation.skipped;
        self.outcome.iteration = self.extrapolation.iteration;
    }

    /// The warp of the next issue of a part, and its cycle.
    fn choose(&self, part: usize) -> Option<(u64, usize)> {
        let p = &self.parts[part];
        let mut best: Option<(u64, usize)> = None;
        for &w in &p.warps {
            let warp = &self.warps[w];
            if warp.ready == NEVER {
                continue;
            }
            let info = &self.info[warp.trace.entries[warp.position].at as usize];
            let pipe = match info.usage.pipe {
                Pipe::None => 0,
                Pipe::LoadStore => self.unit.saturating_sub(machine::QUEUE),
                Pipe::Tensor if matches!(info.kind, Kind::Product(_)) => {
                    p.pipes[Pipe::Tensor as usize].saturating_sub(machine::QUEUE)
                }
                pipe => p.pipes[pipe as usize],
            };
            let cycle = warp.ready.max(pipe).max(p.free);
            let better = match best {
                None => true,
                Some((c, chosen)) => cycle < c || cycle == c && chosen != p.last,
            };
            if better {
                best = Some((cycle, w));
            }
        }
        best
    }

    fn issue(&mut self, part: usize, cycle: u64, w: usize) {
        let warp = &mut self.warps[w];
        let entry = warp.trace.entries[warp.position];
        let info = &self.info[entry.at as usize];
        let usage = info.usage;
        let latency = if entry.cached { machine::LOAD_CACHED } else { usage.latency } as u64;
        let mut done = cycle + latency;
        if entry.lanes > 0 {
            let mut busy = usage.busy as u64;
            match usage.pipe {
                Pipe::None => busy = 0,
                Pipe::LoadStore => {
                    busy = entry.cycles.max(1) as u64;
                    self.unit = self.unit.max(cycle) + busy;
                    done = self.unit + latency;
                }
                pipe => {
                    let free = &mut self.parts[part].pipes[pipe as usize];
                    // Products of a group queue up. Other instructions issue when the pipe is free.
                    match info.kind {
                        Kind::Product(ends) => {
                            *free = (*free).max(cycle) + busy;
                            warp.products.extend(ends.then_some(*free + latency));
                        }
                        _ => *free = cycle + busy,
                    }
                }
            }
            self.outcome.busy[usage.pipe as usize] += busy;
            self.outcome.flops += usage.flops as u64;
        } else {
            done = cycle + 1;
        }
        match info.kind {
            Kind::CopyAsync if entry.lanes > 0 => warp.copies = warp.copies.max(done),
            Kind::CommitGroup => {
                let copies = warp.copies;
                warp.groups.push(copies);
            }
            _ => {}
        }
        if let Some(b) = info.read {
            let board = &mut warp.scoreboards[b as usize];
            *board = (*board).max(cycle + machine::READ);
        }
        if let Some(b) = info.write {
            let board = &mut warp.scoreboards[b as usize];
            *board = (*board).max(done);
        }
        warp.stall = cycle + info.stall + if info.kind == Kind::Branch { machine::BRANCH } else { 0 };
        warp.position += 1;
        self.outcome.issued += 1;
        let p = &mut self.parts[part];
        (p.last, p.free, p.next) = (w, cycle + 1, cycle + 1);
        let block = warp.block;
        if warp.position == warp.trace.entries.len() {
            warp.ready = NEVER;
            self.outcome.cycles = self.outcome.cycles.max(cycle + 1);
            self.live[block] -= 1;
            self.parts[part].warps.retain(|&other| other != w);
            self.release(block, cycle);
            if self.live[block] == 0 {
                self.start_next(cycle);
            }
        } else if info.kind == Kind::Barrier && entry.lanes > 0 {
            warp.ready = NEVER;
            warp.at_barrier = true;
            self.waiting[block].push(w);
            self.release(block, cycle);
        } else {
            warp.plan(self.info);
        }
        if w == self.starts[block] {
            self.watch(block, cycle);
        }
    }

    /// Releases the warps of a block if all have reached the barrier.
    fn release(&mut self, block: usize, cycle: u64) {
        if self.waiting[block].is_empty() || self.waiting[block].len() < self.live[block] {
            return;
        }
        for w in std::mem::take(&mut self.waiting[block]) {
            let warp = &mut self.warps[w];
            warp.at_barrier = false;
            warp.stall = warp.stall.max(cycle + machine::BARRIER);
            warp.plan(self.info);
            let ready = warp.ready;
            let part = &mut self.parts[warp.part];
            part.next = part.next.min(ready);
        }
    }

    /// Starts a block that waits for room.
    fn start_next(&mut self, cycle: u64) {
        let Some(block) = self.queue.pop_front() else { return };
        for w in self.starts[block]..self.starts[block] + self.live[block] {
            let warp = &mut self.warps[w];
            warp.ready = cycle + machine::BLOCK_START;
            let part = &mut self.parts[warp.part];
            part.warps.push(w);
            part.next = part.next.min(warp.ready);
        }
    }
}

impl Warp {
    /// The current run of the warp.
    pub(crate) fn current_run(&self) -> Option<Run> {
        let inside = |r: &&Run| (r.start..r.start + r.len * r.count).contains(&self.position);
        self.trace.runs.iter().find(inside).copied()
    }

    /// The earliest cycle of the next issue: after the stall, and when the scoreboards are free.
    fn plan(&mut self, info: &[Info]) {
        let next = &info[self.trace.entries[self.position].at as usize];
        self.ready = self.stall;
        for b in (0..6).filter(|b| next.wait >> b & 1 == 1) {
            self.ready = self.ready.max(self.scoreboards[b]);
        }
        let (waiting, pending) = match next.kind {
            Kind::WaitGroup(pending) => (&mut self.groups, pending),
            Kind::WaitProducts(pending) => (&mut self.products, pending),
            _ => return,
        };
        let done = waiting.len().saturating_sub(pending as usize);
        if let Some(&last) = waiting[..done].last() {
            self.ready = self.ready.max(last);
        }
        waiting.drain(..done);
    }
}

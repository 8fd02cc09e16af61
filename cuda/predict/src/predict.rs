//! Predicts the time of a launch.
//!
//! A few blocks are interpreted: the first, the last and, unless blocks are long, three evenly spaced between them. One
//! SM is simulated with as many blocks as it holds. The time of the grid is the time of the SM with the most blocks:
//!
//! * Short blocks are simulated one after another, up to [`MAX_ISSUES`] instructions. A new block starts where one
//!   ends. The remaining blocks are added at the speed of the last half.
//! * Long blocks run in waves. A full wave takes the mean of the sampled blocks. A last wave may leave places free. It
//!   is simulated with its number of blocks per SM, and takes as long as the longest sample.
//!
//! A block that loads a sector again finds it in the L1 cache, while its part of the cache holds what it loaded.
//!
//! The time of the grid is at least the time of its traffic with the L2 cache and the time of its traffic with device
//! memory. For device memory every byte counts once, and the cache is assumed to be empty before the launch. The bytes
//! that differ between blocks are estimated from the first block and its neighbours along x, y and z. The estimate is
//! omitted for long blocks whose traffic could not be the limit if all of it went to device memory.

use crate::interpreter::Interpreter;
use crate::machine::{self, PIPES, Pipe};
use crate::sass::Function;
use crate::setting::Setting;
use crate::sm::{Outcome, Sm};
use crate::trace::BlockTrace;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// The number of instructions that are simulated for consecutive blocks.
pub const MAX_ISSUES: usize = 1_500_000;

/// If blocks have more instructions than this, only the first and the last block are sampled.
const LONG: usize = 1_000_000;

/// A launch of a kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Launch {
    /// The kernel's name.
    pub kernel: String,
    /// Blocks along x, y, z.
    pub grid: [u32; 3],
    /// Threads of a block along x, y, z.
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub shared: u32,
    /// The parameters.
    pub args: Vec<u8>,
    /// Device memory that decides control flow: addresses and bytes.
    pub memory: Vec<(u64, Vec<u8>)>,
    /// For branches by address: how many times in a row each is taken if its condition is unknown.
    pub hints: BTreeMap<u32, u64>,
}

/// The predicted time of a launch.
#[derive(Clone, Debug, Default)]
pub struct Prediction {
    /// Cycles, without the gap before the next launch.
    pub cycles: f64,
    /// Blocks per SM.
    pub resident: u32,
    /// Blocks divided by the places for them.
    pub waves: f64,
    /// Fraction of the dense peak of the tensor cores.
    pub tensor_share: f64,
    /// The limit of the time.
    pub limit: String,
    /// Bytes between the SMs and the L2 cache.
    pub l2_bytes: f64,
    /// Distinct bytes, the most that go from and to device memory.
    pub unique_bytes: f64,
    /// Instructions of all warps.
    pub instructions: f64,
    /// The number of sampled blocks, and how many of them execute different instructions.
    pub samples: [usize; 2],
    /// Cycles of an iteration of the longest loop, with the simulated number of blocks per SM. 0 without a long loop.
    pub iteration: f64,
    /// Branches in the sampled blocks that depended on unknown numbers: the address and the count.
    pub guesses: BTreeMap<u32, u64>,
    /// Instructions in the sampled blocks that the interpreter does not know.
    pub unsupported: BTreeMap<String, u64>,
    /// Fraction of the sectors with an unknown address.
    pub unknown_sectors: f64,
    /// Accesses to shared memory with unknown addresses in the sampled blocks.
    pub unknown_shared: u64,
    /// How many times lanes were joined by force.
    pub forced: u64,
}

impl Prediction {
    /// Seconds on the device, including the gap before the next launch of a graph.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.cycles / machine::CLOCK * machine::SLOWDOWN + machine::LAUNCH
    }
}

/// Blocks of a function that one SM holds.
#[must_use]
pub fn resident(function: &Function, threads: u32, dynamic_shared: u32) -> u32 {
    let warps = threads.div_ceil(32).max(1);
    // A warp gets registers in units of 256, and each of the four parts of an SM has a quarter of the registers.
    let of_warp = (function.registers.max(1) * 32).next_multiple_of(256);
    let by_registers = machine::REGISTERS / 4 / of_warp * 4 / warps;
    let fixed = function.shared.max(machine::SHARED_RESERVED);
    let by_shared = machine::SHARED / (fixed + dynamic_shared).next_multiple_of(128);
    by_registers.min(by_shared).min(machine::WARPS / warps).min(machine::BLOCKS)
}

/// Coordinates of a block by its number, x fastest.
fn coordinates(grid: [u32; 3], number: u64) -> [u32; 3] {
    let [x, y] = [grid[0] as u64, grid[1] as u64];
    [(number % x) as u32, (number / x % y) as u32, (number / x / y) as u32]
}

/// Predicts launches, on all processors.
pub fn predict_all(functions: &HashMap<String, Function>, launches: &[Launch]) -> Vec<Result<Prediction, String>> {
    let next = AtomicUsize::new(0);
    let one = |launch: &Launch| {
        let function = functions.get(&launch.kernel).ok_or(format!("{}: no such kernel", launch.kernel))?;
        predict(function, launch)
    };
    let results: Vec<Mutex<Option<Result<Prediction, String>>>> = launches.iter().map(|_| Mutex::new(None)).collect();
    let worker = || {
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(launch) = launches.get(i) else { break };
            *results[i].lock().unwrap_or_else(PoisonError::into_inner) = Some(one(launch));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(worker))));
    let taken = results.into_iter().map(|r| r.into_inner().ok().flatten().unwrap_or(Err("a thread failed".into())));
    taken.collect()
}

/// Sampled blocks of a launch.
struct Samples {
    blocks: Vec<BlockTrace>,
    /// For each sample, the first sample that executes the same instructions.
    class: Vec<usize>,
}

impl Samples {
    /// Interprets the first block, the last block, and three blocks between them unless blocks are long.
    fn take(interpreter: &Interpreter<'_>, grid: [u32; 3], total: u64) -> Result<Samples, String> {
        let mut blocks: Vec<BlockTrace> = vec![interpreter.block([0; 3], true)?];
        let parts = if length(&blocks[0]) > LONG { 1 } else { 4 };
        let mut numbers: Vec<u64> = (0..=parts).map(|i| i * (total - 1) / parts).collect();
        numbers.dedup();
        for &n in &numbers[1..] {
            blocks.push(interpreter.block(coordinates(grid, n), false)?);
        }
        let first = |s: &BlockTrace| blocks.iter().position(|o| o.warps == s.warps).expect("a sample equals itself");
        let class = blocks.iter().map(first).collect();
        Ok(Samples { blocks, class })
    }

    /// The number of samples that execute different instructions.
    fn classes(&self) -> usize {
        self.class.iter().enumerate().filter(|&(i, &class)| class == i).count()
    }

    /// The mean of the samples.
    fn mean(&self, f: impl Fn(&BlockTrace) -> f64) -> f64 {
        self.blocks.iter().map(f).sum::<f64>() / self.blocks.len() as f64
    }

    /// The cycles of a grid of `total` blocks, and what one SM does. An SM has `places` for blocks.
    fn simulate(&self, sm: &Sm, total: u64, places: usize) -> (f64, Outcome) {
        let most = total.div_ceil(machine::SMS as u64) as usize;
        let longest = self.blocks.iter().map(length).max().unwrap_or(0).max(1);
        if most > places && longest * places * 2 <= MAX_ISSUES {
            self.in_a_row(sm, most, most.min((MAX_ISSUES / longest).min(16 * places)), places)
        } else {
            self.in_waves(sm, total, places)
        }
    }

    /// Simulates the first `simulated` of `most` short blocks of an SM, each of which starts where another one ends.
    fn in_a_row(&self, sm: &Sm, most: usize, simulated: usize, places: usize) -> (f64, Outcome) {
        let run = |count: usize| {
            let blocks: Vec<_> = (0..count).map(|k| &*self.blocks[k * self.blocks.len() / count].warps).collect();
            sm.execute(&blocks, places)
        };
        let outcome = run(simulated);
        let half = simulated.div_ceil(2);
        let rest = (most - simulated) as f64;
        let rate = if rest > 0.0 {
            (outcome.cycles as f64 - run(half).cycles as f64) / (simulated - half) as f64
        } else {
            0.0
        };
        (outcome.cycles as f64 + rest * rate, outcome)
    }

    /// Simulates waves of long blocks.
    fn in_waves(&self, sm: &Sm, total: u64, places: usize) -> (f64, Outcome) {
        let mut costs: BTreeMap<(usize, usize), Outcome> = BTreeMap::new();
        let mut cost = |count: usize, i: usize| {
            let run = || sm.execute(&vec![&*self.blocks[self.class[i]].warps; count], count);
            costs.entry((count, self.class[i])).or_insert_with(run).clone()
        };
        let full = total / (machine::SMS as u64 * places as u64);
        let rest = total % (machine::SMS as u64 * places as u64);
        let (mut cycles, mut outcome) = (0.0, Outcome::default());
        if full > 0 {
            let all: Vec<Outcome> = (0..self.blocks.len()).map(|i| cost(places, i)).collect();
            cycles += full as f64 * all.iter().map(|o| o.cycles as f64).sum::<f64>() / all.len() as f64;
            outcome = all.into_iter().max_by_key(|o| o.cycles).expect("at least one sample");
        }
        if rest > 0 {
            let count = rest.div_ceil(machine::SMS as u64) as usize;
            let last = (0..self.blocks.len()).map(|i| cost(count, i)).max_by_key(|o| o.cycles);
            let last = last.expect("at least one sample");
            cycles += last.cycles as f64;
            outcome = if full > 0 { outcome } else { last };
        }
        (cycles, outcome)
    }
}

/// The instructions of a block.
fn length(block: &BlockTrace) -> usize {
    block.warps.iter().map(|w| w.entries.len()).sum()
}

/// Predicts a launch.
///
/// # Errors
///
/// A message if the launch has no blocks, if a block has no threads or more than 1024, or if a block does not fit an
/// SM. The other errors are those of [`Interpreter::block`].
pub fn predict(function: &Function, launch: &Launch) -> Result<Prediction, String> {
    let total = launch.grid.iter().map(|&n| n as u64).product::<u64>();
    let threads = launch.block.iter().product::<u32>();
    if total == 0 || threads == 0 || threads > 1024 {
        return Err(format!("{}: {total} blocks of {threads} threads", launch.kernel));
    }
    let places = resident(function, threads, launch.shared);
    if places == 0 {
        return Err(format!("{}: a block does not fit an SM", launch.kernel));
    }
    let mut setting = Setting::new(launch.grid, launch.block, &launch.args);
    setting.memory = launch.memory.clone();
    let shared = (function.shared.max(machine::SHARED_RESERVED) + launch.shared) * places;
    let cache = machine::L1.saturating_sub(shared) / places;
    let interpreter = Interpreter::new(function, setting, launch.shared, cache, launch.hints.clone());
    let samples = Samples::take(&interpreter, launch.grid, total)?;
    let sm = Sm::new(function);
    let (cycles, outcome) = samples.simulate(&sm, total, places as usize);
    let (first, sectors) = (&samples.blocks[0], samples.mean(|s| s.sectors as f64));
    let flops = total as f64 * samples.mean(|s| sm.tensor_flops(&s.warps) as f64);
    let l2_bytes = total as f64 * sectors * 32.0;
    let unknown_sectors = samples.mean(|s| s.unknown_sectors as f64);
    let all_from_memory = l2_bytes / machine::DEVICE_MEMORY * machine::CLOCK;
    let unique_bytes = if length(first) > LONG && all_from_memory < cycles {
        l2_bytes
    } else {
        unique_sectors(&interpreter, launch, first)? * 32.0 + total as f64 * unknown_sectors * 32.0
    };
    let (floor, limit) = limit(total, cycles, &outcome, unique_bytes, l2_bytes);
    let cycles = cycles.max(floor);
    let mut p = Prediction {
        cycles,
        resident: places,
        waves: total as f64 / (machine::SMS as f64 * places as f64),
        tensor_share: flops / (machine::SMS as f64 * machine::TENSOR_FLOPS * cycles),
        limit,
        l2_bytes,
        unique_bytes,
        instructions: total as f64 * samples.mean(|s| length(s) as f64),
        samples: [samples.blocks.len(), samples.classes()],
        iteration: outcome.iteration,
        unknown_sectors: unknown_sectors / sectors.max(1.0),
        ..Prediction::default()
    };
    for s in &samples.blocks {
        s.guesses.iter().for_each(|(&at, n)| *p.guesses.entry(at).or_default() += n);
        s.unsupported.iter().for_each(|(o, n)| *p.unsupported.entry(o.clone()).or_default() += n);
        p.unknown_shared += s.unknown_shared;
        p.forced += s.forced;
    }
    Ok(p)
}

/// The cycles that the traffic of a grid takes at least, and the name of what limits the grid, which takes `cycles` on
/// the SMs.
fn limit(total: u64, cycles: f64, outcome: &Outcome, unique_bytes: f64, l2_bytes: f64) -> (f64, String) {
    let floor = [
        ("device memory", unique_bytes / machine::DEVICE_MEMORY * machine::CLOCK),
        ("L2", l2_bytes.max(unique_bytes) / machine::L2 * machine::CLOCK),
    ];
    let slowest = if floor[1].1 > floor[0].1 { floor[1] } else { floor[0] };
    let mut limit = limit_of(outcome);
    if total < machine::SMS as u64 {
        limit = format!("{total} blocks, {limit}");
    }
    if slowest.1 > cycles {
        limit = slowest.0.to_string();
    }
    (slowest.1, limit)
}

/// Different sectors that the grid touches.
///
/// Some sectors of an instruction in the first block are not touched by the block's neighbour along an axis. This
/// fraction is assumed to be new in each block along that axis.
fn unique_sectors(interpreter: &Interpreter<'_>, launch: &Launch, first: &BlockTrace) -> Result<f64, String> {
    let mut by_instruction: BTreeMap<u32, (f64, [f64; 3])> = BTreeMap::new();
    first.touched.iter().for_each(|&(_, at)| by_instruction.entry(at).or_default().0 += 1.0);
    for axis in 0..3 {
        if launch.grid[axis] < 2 {
            continue;
        }
        let mut block = [0; 3];
        block[axis] = 1;
        let neighbour = interpreter.block(block, true)?;
        for &(sector, at) in &first.touched {
            if neighbour.touched.binary_search_by_key(&sector, |t| t.0).is_ok() {
                by_instruction.entry(at).or_default().1[axis] += 1.0;
            }
        }
    }
    let grow = |(count, common): &(f64, [f64; 3])| {
        (0..3).fold(*count, |n, axis| n * (1.0 + (launch.grid[axis] as f64 - 1.0) * (1.0 - common[axis] / count)))
    };
    Ok(by_instruction.values().map(grow).sum())
}

/// The limit of one SM: the unit that is busy for at least six tenths of the time, or else latency.
fn limit_of(outcome: &Outcome) -> String {
    let cycles = outcome.cycles.max(1) as f64;
    let mut shares: Vec<(&str, f64)> = vec![("issue", outcome.issued as f64 / 4.0 / cycles)];
    let names = [
        (Pipe::Tensor, "tensor"),
        (Pipe::Special, "MUFU"),
        (Pipe::Float, "float"),
        (Pipe::Multiply, "IMAD"),
        (Pipe::Integer, "integer"),
        (Pipe::Double, "double"),
        (Pipe::LoadStore, "shared memory"),
    ];
    for (pipe, name) in names {
        let units = if pipe == Pipe::LoadStore { 1.0 } else { 4.0 };
        shares.push((name, outcome.busy[pipe as usize % PIPES] as f64 / units / cycles));
    }
    let top = shares.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).expect("not empty");
    if top.1 >= 0.6 {
        format!("{} {:.0}%", top.0, top.1 * 100.0)
    } else {
        format!("latency ({} {:.0}%)", top.0, top.1 * 100.0)
    }
}

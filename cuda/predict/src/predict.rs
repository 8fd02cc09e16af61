//! From a launch to the time it takes.
//!
//! A handful of blocks are interpreted: the first, the last and, unless blocks are long, three between, evenly apart. One
//! SM is simulated with as many blocks as it holds. The time of the grid is that of the SM with the most blocks:
//!
//! * Short blocks are simulated one after another, a new one where one ends, up to [`MAX_ISSUES`] instructions; what is
//!   left is added at the speed of the last half.
//! * Long blocks run in waves. A full wave takes the mean of the sampled blocks; a last wave that fills only some of
//!   the places is simulated with that many blocks an SM, and takes as long as the longest sample.
//!
//! A block that loads a sector again finds it in the L1 cache, as long as its part of the cache holds what it loaded.
//!
//! The grid takes no less than its traffic with the L2 cache, and its traffic with device memory, where every byte
//! counts once and nothing is taken to be in the cache before the launch. The bytes that differ between blocks are
//! estimated from the first block and its neighbours along x, y and z. That is not done for long blocks whose traffic could
//! not be the limit if all of it went to device memory.

use crate::interpreter::Interpreter;
use crate::machine::{self, PIPES, Pipe};
use crate::sass::Function;
use crate::setting::Setting;
use crate::sm::{Outcome, Sm};
use crate::trace::BlockTrace;
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Instructions that are simulated of blocks that follow each other.
pub const MAX_ISSUES: usize = 1_500_000;

/// Of blocks of more instructions, only the first and the last are sampled.
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
    /// Device memory that control flow depends on: addresses and bytes.
    pub memory: Vec<(u64, Vec<u8>)>,
    /// Branches by address: how often in a row each is taken where its condition is unknown.
    pub hints: BTreeMap<u32, u64>,
}

/// What a launch is predicted to take.
#[derive(Clone, Debug, Default)]
pub struct Prediction {
    /// Cycles, without the gap before the next launch.
    pub cycles: f64,
    /// Blocks that an SM holds.
    pub resident: u32,
    /// Blocks by the places there are for them.
    pub waves: f64,
    /// Part of the dense peak of the tensor cores.
    pub tensor_share: f64,
    /// What limits the time.
    pub limit: String,
    /// Bytes between the SMs and the L2 cache.
    pub l2_bytes: f64,
    /// Different bytes, at most from and to device memory.
    pub unique_bytes: f64,
    /// Instructions of all warps.
    pub instructions: f64,
    /// Sampled blocks, and how many of them execute different instructions.
    pub samples: [usize; 2],
    /// Cycles of an iteration of the longest loop, with as many blocks an SM as were simulated; 0 without a long loop.
    pub iteration: f64,
    /// Branches that depended on unknown numbers, in the sampled blocks: address and how often.
    pub guesses: BTreeMap<u32, u64>,
    /// Instructions the interpreter does not know, in the sampled blocks.
    pub unsupported: BTreeMap<String, u64>,
    /// Part of the sectors whose address is unknown.
    pub unknown_sectors: f64,
    /// Accesses to shared memory with unknown addresses, in the sampled blocks.
    pub unknown_shared: u64,
    /// Times that lanes were joined by force.
    pub forced: u64,
}

impl Prediction {
    /// Seconds on the device, the gap before the next launch of a graph included.
    pub fn seconds(&self) -> f64 {
        self.cycles / machine::CLOCK + machine::LAUNCH
    }
}

/// Blocks of a function that one SM holds.
pub fn resident(function: &Function, threads: u32, dynamic_shared: u32) -> u32 {
    let warps = threads.div_ceil(32).max(1);
    // Registers are given to a warp in units of 256, and each of the four parts of an SM has a quarter of them.
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

/// Predicts launches on all processors.
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
            *results[i].lock().expect("no thread panics with the lock") = Some(one(launch));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(worker))));
    let taken = results.into_iter().map(|r| r.into_inner().ok().flatten().unwrap_or(Err("a thread failed".into())));
    taken.collect()
}

/// Predicts a launch.
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
    let length = |s: &BlockTrace| s.warps.iter().map(|w| w.entries.len()).sum::<usize>();
    let mut samples: Vec<BlockTrace> = vec![interpreter.block([0; 3], true)?];
    let parts = if length(&samples[0]) > LONG { 1 } else { 4 };
    let mut numbers: Vec<u64> = (0..=parts).map(|i| i * (total - 1) / parts).collect();
    numbers.dedup();
    for &n in &numbers[1..] {
        samples.push(interpreter.block(coordinates(launch.grid, n), false)?);
    }
    // For each sample, the first that executes the same.
    let class: Vec<usize> = samples
        .iter()
        .map(|s| samples.iter().position(|o| o.warps == s.warps).expect("a sample equals itself"))
        .collect();
    let classes = (0..samples.len()).filter(|&i| class[i] == i).count();
    let sm = Sm::new(function);
    let most = total.div_ceil(machine::SMS as u64) as usize;
    let longest = samples.iter().map(length).max().unwrap_or(0).max(1);
    let places = places as usize;
    let (cycles, outcome) = if most > places && longest * places * 2 <= MAX_ISSUES {
        let simulated = most.min((MAX_ISSUES / longest).min(16 * places));
        let run = |count: usize| {
            let blocks: Vec<_> = (0..count).map(|k| &*samples[k * samples.len() / count].warps).collect();
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
    } else {
        let mut costs: BTreeMap<(usize, usize), Outcome> = BTreeMap::new();
        let mut cost = |count: usize, i: usize| {
            let run = || sm.execute(&vec![&*samples[class[i]].warps; count], count);
            costs.entry((count, class[i])).or_insert_with(run).clone()
        };
        let full = total / (machine::SMS as u64 * places as u64);
        let rest = total % (machine::SMS as u64 * places as u64);
        let (mut cycles, mut outcome) = (0.0, Outcome::default());
        if full > 0 {
            let all: Vec<Outcome> = (0..samples.len()).map(|i| cost(places, i)).collect();
            cycles += full as f64 * all.iter().map(|o| o.cycles as f64).sum::<f64>() / all.len() as f64;
            outcome = all.into_iter().max_by_key(|o| o.cycles).expect("at least one sample");
        }
        if rest > 0 {
            let count = rest.div_ceil(machine::SMS as u64) as usize;
            let last = (0..samples.len()).map(|i| cost(count, i)).max_by_key(|o| o.cycles);
            let last = last.expect("at least one sample");
            cycles += last.cycles as f64;
            outcome = if full > 0 { outcome } else { last };
        }
        (cycles, outcome)
    };
    let mean = |f: &dyn Fn(&BlockTrace) -> f64| samples.iter().map(f).sum::<f64>() / samples.len() as f64;
    let flops_of = |s: &BlockTrace| sm.tensor_flops(&s.warps);
    let flops = total as f64 * mean(&|s| flops_of(s) as f64);
    let l2_bytes = total as f64 * mean(&|s| s.sectors as f64) * 32.0;
    let unknown = mean(&|s| s.unknown_sectors as f64) / mean(&|s| s.sectors as f64).max(1.0);
    let all_from_memory = l2_bytes / machine::DEVICE_MEMORY * machine::CLOCK;
    let unique_bytes = if length(&samples[0]) > LONG && all_from_memory < cycles {
        l2_bytes
    } else {
        unique_sectors(&interpreter, launch, &samples[0])? * 32.0
            + total as f64 * mean(&|s| s.unknown_sectors as f64) * 32.0
    };
    let floor = [
        ("device memory", unique_bytes / machine::DEVICE_MEMORY * machine::CLOCK),
        ("L2", l2_bytes.max(unique_bytes) / machine::L2 * machine::CLOCK),
    ];
    let slowest = if floor[1].1 > floor[0].1 { floor[1] } else { floor[0] };
    let mut limit = limit_of(&outcome);
    if total < machine::SMS as u64 {
        limit = format!("{total} blocks, {limit}");
    }
    if slowest.1 > cycles {
        limit = slowest.0.to_string();
    }
    let cycles = cycles.max(slowest.1);
    let mut p = Prediction {
        cycles,
        resident: places as u32,
        waves: total as f64 / (machine::SMS as f64 * places as f64),
        tensor_share: flops / (machine::SMS as f64 * machine::TENSOR_FLOPS * cycles),
        limit,
        l2_bytes,
        unique_bytes,
        instructions: total as f64 * mean(&|s| length(s) as f64),
        samples: [samples.len(), classes],
        iteration: outcome.iteration,
        unknown_sectors: unknown,
        ..Prediction::default()
    };
    for s in &samples {
        s.guesses.iter().for_each(|(&at, n)| *p.guesses.entry(at).or_default() += n);
        s.unsupported.iter().for_each(|(o, n)| *p.unsupported.entry(o.clone()).or_default() += n);
        p.unknown_shared += s.unknown_shared;
        p.forced += s.forced;
    }
    Ok(p)
}

/// Different sectors that the grid touches.
///
/// Of every instruction's sectors in the first block, some are not touched by the block's neighbour along an axis. This part
/// is taken to be new in each block along that axis.
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

/// What limits one SM: what is busy at least six tenths of the time, or else latency.
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

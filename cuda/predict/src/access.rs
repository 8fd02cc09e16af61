//! Memory instructions: the values that are known, and the time that the load/store unit needs.

use crate::decode::{Op, Step};
use crate::interpreter::{Interpreter, Warp};
use crate::lanes::{Flags, Lanes};
use crate::memory::{Addresses, Shared, matrix_passes, shared_passes, touched};
use crate::sass::Operand;
use crate::trace::BlockTrace;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

/// Sectors that a block loaded. When its part of the cache is full, all are forgotten.
pub(crate) struct Cache {
    sectors: HashSet<u64, BuildHasherDefault<Spread>>,
    capacity: usize,
}

impl Cache {
    /// An empty cache that holds `capacity` sectors.
    pub(crate) fn new(capacity: usize) -> Cache {
        Cache { sectors: HashSet::default(), capacity }
    }

    /// Loads sectors. Returns how many were there already.
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

impl Interpreter<'_> {
    /// What an instruction does other than move to the next. Returns the cycles that a memory instruction keeps the
    /// load/store unit busy, and whether the L1 cache answers it.
    pub(crate) fn access(
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
                step.outs.iter().for_each(|&p| warp.registers.set_predicate(p, Flags::TRUE, exec, doubt));
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
}

/// Keeps every sector once, with the first instruction that touched it.
pub(crate) fn tidy(touched: &mut Vec<(u64, u32)>) {
    touched.sort_unstable();
    touched.dedup_by_key(|(sector, _)| *sector);
}

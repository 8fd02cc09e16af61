//! Memory instructions: the known values, and the time of the load/store unit.

use crate::cache::Cache;
use crate::decode::{Op, Step};
use crate::interpreter::{Interpreter, Warp};
use crate::lanes::{Flags, Lanes};
use crate::memory::{Addresses, Shared, matrix_passes, shared_passes, touched};
use crate::registers::Registers;
use crate::sass::Operand;
use crate::trace::{BlockTrace, tidy};

/// The addresses of an operand that is not there.
const UNKNOWN: Addresses = Addresses { known: 0, values: [0; 32] };

/// The memory instruction that a warp executes.
struct Access<'a> {
    interpreter: &'a Interpreter<'a>,
    warp: &'a mut Warp,
    step: &'a Step,
    /// The lanes that execute the instruction, and those of them that may not execute it.
    exec: u32,
    doubt: u32,
    shared: &'a mut Shared,
    cache: &'a mut Cache,
    out: &'a mut BlockTrace,
    /// The index of the instruction.
    at: usize,
    /// Whether the L1 cache answers it.
    cached: bool,
}

impl Interpreter<'_> {
    /// Executes an instruction, except for the move to the next one. Returns the cycles that a memory instruction keeps the
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
        let mut access = Access { interpreter: self, warp, step, exec, doubt, shared, cache, out, at, cached: false };
        let cycles = match step.op {
            Op::LoadShared => access.load_shared(),
            Op::LoadMatrix => access.load_matrix(),
            Op::StoreShared | Op::AtomicShared => access.store_shared(),
            Op::CopyAsync => access.copy_async(),
            Op::LoadGlobal => access.load_global(),
            Op::StoreGlobal | Op::AtomicGlobal => access.store_global(),
            Op::Local => access.local(),
            Op::TryWait => access.try_wait(),
            Op::Unsupported => access.unsupported(),
            Op::Shuffle => access.compute(1),
            _ => access.compute(0),
        };
        (cycles.min(u16::MAX as u32) as u16, access.cached)
    }
}

impl Access<'_> {
    /// The first two operands that are addresses.
    fn addresses(&self) -> [Option<&Operand>; 2] {
        let mut all = self.step.srcs.iter().filter(|s| matches!(s, Operand::Address { .. }));
        [all.next(), all.next()]
    }

    /// The addresses of an operand in shared memory.
    fn in_shared(&mut self, operand: usize) -> Addresses {
        let operand = self.addresses()[operand];
        let a = operand.map_or(UNKNOWN, |o| self.warp.registers.address(o, false));
        self.out.unknown_shared += (a.known & self.exec != self.exec) as u64;
        a
    }

    /// The addresses of an operand in global memory, and the lines of 128 bytes that the access touches.
    fn in_global(&mut self, operand: usize) -> (Addresses, u32) {
        let (step, exec, at) = (self.step, self.exec, self.at);
        let operand = self.addresses()[operand];
        let a = operand.map_or(UNKNOWN, |o| self.warp.registers.address(o, true));
        let t = touched(&a, exec, step.width);
        let out = &mut *self.out;
        let hits = if step.op == Op::LoadGlobal { self.cache.load(&t.sectors) } else { 0 };
        self.cached = step.op == Op::LoadGlobal && t.unknown_sectors == 0 && hits == t.sectors.len() as u64;
        out.sectors += t.sectors.len() as u64 + t.unknown_sectors as u64 - hits;
        out.unknown_sectors += t.unknown_sectors as u64;
        if out.keep_touched {
            out.touched.extend(t.sectors.iter().map(|&s| (s, at as u32)));
            if out.touched.len() > 1 << 22 && out.touched.len() == out.touched.capacity() {
                tidy(&mut out.touched);
            }
        }
        (a, t.lines.max(step.width * exec.count_ones() / 128).max(1))
    }

    /// The words of a lane.
    fn words(&self) -> u32 {
        self.step.width.div_ceil(4)
    }

    /// The register that is stored.
    fn stored(&self) -> Option<u8> {
        self.step.srcs.iter().find_map(|s| match s {
            Operand::Register(index, _) => Some(*index),
            _ => None,
        })
    }

    /// Makes the results unknown.
    fn forget(&mut self) {
        self.warp.registers.forget(self.step, self.exec, self.doubt);
    }

    fn load_shared(&mut self) -> u32 {
        let (a, step) = (self.in_shared(0), self.step);
        loaded(&mut self.warp.registers, step, self.exec, self.doubt, |lane, i| match step.width {
            4.. if a.known >> lane & 1 == 1 => self.shared.load(a.values[lane] + 4 * i as u64),
            _ => None,
        });
        shared_passes(&a, self.exec, step.width)
    }

    fn load_matrix(&mut self) -> u32 {
        let a = self.in_shared(0);
        self.forget();
        matrix_passes(&a, self.step.width)
    }

    fn store_shared(&mut self) -> u32 {
        let (step, exec, a) = (self.step, self.exec, self.in_shared(0));
        if a.known & exec != exec {
            self.shared.forget();
        } else {
            let value = self.stored().filter(|_| step.op == Op::StoreShared);
            for lane in (0..32).filter(|l| exec >> l & 1 == 1) {
                for i in 0..self.words() {
                    let index = value.map(|v| if v == 255 { v } else { v + i as u8 });
                    let sure = self.doubt >> lane & 1 == 0;
                    let word = index.and_then(|r| self.warp.registers.lane(r).get(lane)).filter(|_| sure);
                    self.shared.store(a.values[lane] + 4 * i as u64, step.width.min(4), word);
                }
            }
        }
        self.forget();
        shared_passes(&a, exec, step.width)
    }

    fn copy_async(&mut self) -> u32 {
        let (exec, width) = (self.exec, self.step.width);
        let (_, lines) = self.in_global(1);
        let a = self.in_shared(0);
        if a.known & exec != exec {
            self.shared.forget();
        }
        for lane in (0..32).filter(|l| exec & a.known >> l & 1 == 1) {
            self.shared.store(a.values[lane], width, None);
        }
        lines + shared_passes(&a, exec, width)
    }

    fn load_global(&mut self) -> u32 {
        let (a, lines) = self.in_global(0);
        let (setting, bytes) = (&self.interpreter.setting, self.step.width.min(4) as usize);
        loaded(&mut self.warp.registers, self.step, self.exec, self.doubt, |lane, i| {
            let from = (a.known >> lane & 1 == 1).then(|| a.values[lane] + 4 * i as u64)?;
            let mut word = [0; 4];
            word[..bytes].copy_from_slice(setting.load(from, bytes)?);
            Some(u32::from_le_bytes(word))
        });
        lines
    }

    fn store_global(&mut self) -> u32 {
        let (_, lines) = self.in_global(0);
        self.forget();
        lines
    }

    /// Loads or stores spilled registers.
    fn local(&mut self) -> u32 {
        let (step, exec, doubt, words) = (self.step, self.exec, self.doubt, self.words());
        let a = self.warp.registers.address(self.addresses()[0].unwrap_or(&Operand::Immediate(0)), false);
        let lane = exec.trailing_zeros() as usize;
        let at = (a.known & exec == exec).then(|| a.values[lane]);
        let (stored, warp) = (self.stored(), &mut *self.warp);
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
                for (dst, i) in step.dst.iter().flat_map(|dst| (0..step.count).map(move |i| (dst, i))) {
                    let value = warp.local.get(&(at + 4 * i as u64)).copied().unwrap_or(Lanes::UNKNOWN);
                    warp.registers.set(dst, i, &value, exec, doubt);
                }
            }
        }
        words
    }

    /// Waits for a barrier in shared memory. The data that the instruction waits for has arrived.
    fn try_wait(&mut self) -> u32 {
        self.forget();
        let (exec, doubt) = (self.exec, self.doubt);
        self.step.outs.iter().for_each(|&p| self.warp.registers.set_predicate(p, Flags::TRUE, exec, doubt));
        0
    }

    /// Counts an instruction that the interpreter does not know.
    fn unsupported(&mut self) -> u32 {
        let opcode = self.interpreter.function.code[self.at].opcode.clone();
        *self.out.unsupported.entry(opcode).or_default() += 1;
        self.forget();
        0
    }

    /// Computes an instruction that takes `cycles` of the load/store unit.
    fn compute(&mut self, cycles: u32) -> u32 {
        let place = self.warp.place;
        self.warp.registers.compute(&self.interpreter.setting, &place, self.step, self.exec, self.doubt);
        cycles
    }
}

/// Puts loaded words into the destination of `step`.
fn loaded(registers: &mut Registers, step: &Step, exec: u32, doubt: u32, load: impl Fn(usize, u32) -> Option<u32>) {
    let Some(dst) = &step.dst else { return };
    for i in 0..step.count {
        let mut word = Lanes::UNKNOWN;
        for lane in (0..32).filter(|l| exec >> l & 1 == 1) {
            if let Some(value) = load(lane, i as u32) {
                word.known |= 1 << lane;
                word.values[lane] = value;
            }
        }
        registers.set(dst, i, &word, exec, doubt);
    }
}

//! The registers of a warp: operands and results.

use crate::decode::Step;
use crate::lanes::{ALL, Flags, Lanes};
use crate::memory::Addresses;
use crate::sass::{Base, Change, Operand, Predicate};
use crate::setting::{SHARED_WINDOW, Setting};
use std::borrow::Cow;

/// The registers of a warp.
#[derive(Clone, Debug)]
pub struct Registers {
    lanes: Vec<Lanes>,
    uniform: [Option<u32>; 64],
    pub(crate) flags: [Flags; 8],
    uniform_flags: [Flags; 8],
}

/// The state of a warp that the interpreter knows.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The block.
    pub block: [u32; 3],
    /// The warp's first thread in the block.
    pub first: u32,
}

impl Registers {
    /// Registers at the start of a kernel, all unknown.
    #[must_use]
    pub fn new(count: usize) -> Registers {
        Registers {
            lanes: vec![Lanes::UNKNOWN; count.clamp(1, 256)],
            uniform: [None; 64],
            flags: [Flags::UNKNOWN; 8],
            uniform_flags: [Flags::UNKNOWN; 8],
        }
    }

    /// A register of the lanes.
    #[must_use]
    pub fn lane(&self, index: u8) -> &Lanes {
        static ZERO: Lanes = Lanes::ZERO;
        static UNKNOWN: Lanes = Lanes::UNKNOWN;
        if index == 255 { &ZERO } else { self.lanes.get(index as usize).unwrap_or(&UNKNOWN) }
    }

    fn uniform(&self, index: u8) -> Option<u32> {
        if index >= 63 { Some(0) } else { self.uniform[index as usize] }
    }

    /// A predicate.
    #[must_use]
    pub fn predicate(&self, p: Predicate) -> Flags {
        let all = if p.uniform { &self.uniform_flags } else { &self.flags };
        (if p.index == 7 { Flags::TRUE } else { all[p.index as usize] }).not_if(p.negate)
    }

    /// Sets a predicate.
    pub fn set_predicate(&mut self, p: Predicate, value: Flags, exec: u32, doubt: u32) {
        if p.index < 7 {
            let all = if p.uniform { &mut self.uniform_flags } else { &mut self.flags };
            all[p.index as usize].merge(value, exec, doubt);
            if p.uniform {
                // One value for all lanes.
                let f = all[p.index as usize];
                let lane = exec.trailing_zeros().min(31);
                let spread = |bits: u32| if bits >> lane & 1 == 1 { ALL } else { 0 };
                all[p.index as usize] = Flags { known: spread(f.known), value: spread(f.value) };
            }
        }
    }

    /// Sets the register `offset` after the one that an operand names.
    pub fn set(&mut self, dst: &Operand, offset: u8, value: &Lanes, exec: u32, doubt: u32) {
        match *dst {
            Operand::Register(255, _) => {}
            Operand::Register(index, _) => {
                let at = index as usize + offset as usize;
                if at >= self.lanes.len() {
                    self.lanes.resize(at + 1, Lanes::UNKNOWN);
                }
                self.lanes[at].merge(value, exec, doubt);
            }
            Operand::Uniform(index, _) if index < 63 => {
                let lane = exec.trailing_zeros().min(31);
                let value = value.get(lane as usize).filter(|_| doubt >> lane & 1 == 0);
                if let Some(r) = self.uniform.get_mut(index as usize + offset as usize) {
                    *r = value;
                }
            }
            _ => {}
        }
    }

    /// A 32-bit source. `offset` 1: the upper half of a 64-bit source.
    pub(crate) fn source<'r>(&'r self, s: &Setting, operand: &Operand, offset: u8) -> Cow<'r, Lanes> {
        if let Operand::Register(index, c) = operand
            && *c == Change::default()
        {
            return Cow::Borrowed(self.lane(if *index == 255 { 255 } else { index.saturating_add(offset) }));
        }
        Cow::Owned(self.computed_source(s, operand, offset))
    }

    fn computed_source(&self, s: &Setting, operand: &Operand, offset: u8) -> Lanes {
        let change = |c: &Change, x: Lanes| {
            let x = if c.absolute { x.map(|v| (v as i32).unsigned_abs()) } else { x };
            let x = if c.invert { x.map(|v| !v) } else { x };
            if c.negate { x.map(u32::wrapping_neg) } else { x }
        };
        match operand {
            Operand::Register(255, c) => change(c, Lanes::ZERO),
            Operand::Register(index, c) => change(c, *self.lane(index.saturating_add(offset))),
            Operand::Uniform(63, c) => change(c, Lanes::ZERO),
            Operand::Uniform(index, c) => change(c, Lanes::maybe(self.uniform(index + offset))),
            Operand::Immediate(v) => Lanes::splat((v >> (32 * offset as u32)) as u32),
            Operand::Constant { bank, base, offset: at, change: c } => {
                let at = at + 4 * offset as i64;
                let value = match base {
                    None => Lanes::maybe(s.constant(*bank, at)),
                    Some(Base::Uniform { index, .. }) => {
                        Lanes::maybe(self.uniform(*index).and_then(|v| s.constant(*bank, at + v as i64)))
                    }
                    Some(Base::Lane { index, .. }) => {
                        let mut r = *self.lane(*index);
                        for lane in 0..32 {
                            let value = r.get(lane).and_then(|v| s.constant(*bank, at + v as i32 as i64));
                            r.known &= !((value.is_none() as u32) << lane);
                            r.values[lane] = value.unwrap_or(0);
                        }
                        r
                    }
                };
                change(c, value)
            }
            _ => Lanes::UNKNOWN,
        }
    }

    /// A 64-bit source, low and high: a register without a sign change.
    pub(crate) fn source_wide<'r>(&'r self, s: &Setting, operand: &Operand) -> [Cow<'r, Lanes>; 2] {
        [self.source(s, operand, 0), self.source(s, operand, 1)]
    }

    /// An address: for each lane, the sum of its bases and the offset.
    #[must_use]
    pub fn address(&self, operand: &Operand, global: bool) -> Addresses {
        let Operand::Address { bases, offset } = operand else {
            return Addresses { known: 0, values: [0; 32] };
        };
        let mut known = ALL;
        let mut values = [*offset as u64; 32];
        for base in bases.iter().flatten() {
            let (low, high, scale) = match *base {
                Base::Lane { index, wide, scale } => {
                    let high = if wide && index != 255 { *self.lane(index + 1) } else { Lanes::ZERO };
                    (*self.lane(index), high, scale)
                }
                Base::Uniform { index, wide } => {
                    let wide = (wide || global) && index != 63;
                    let high = if wide { Lanes::maybe(self.uniform(index + 1)) } else { Lanes::ZERO };
                    (Lanes::maybe(self.uniform(index)), high, 1)
                }
            };
            known &= low.known & high.known;
            for i in 0..32 {
                let value = low.values[i] as u64 | (high.values[i] as u64) << 32;
                values[i] = values[i].wrapping_add(value.wrapping_mul(scale as u64));
            }
        }
        if !global {
            values.iter_mut().for_each(|v| *v &= 0xff_ffff);
        }
        Addresses { known, values }
    }

    pub(crate) fn special(&self, s: &Setting, place: &Place, name: &str) -> Lanes {
        let [bx, by, _] = s.block.map(|n| n.max(1));
        let thread = |f: &dyn Fn(u32) -> u32| {
            let mut r = Lanes::ZERO;
            (0..32).for_each(|i| r.values[i] = f(place.first + i as u32));
            r
        };
        match name {
            "SR_TID.X" => thread(&|t| t % bx),
            "SR_TID.Y" => thread(&|t| t / bx % by),
            "SR_TID.Z" => thread(&|t| t / bx / by),
            "SR_LANEID" => thread(&|t| t % 32),
            "SR_CTAID.X" => Lanes::splat(place.block[0]),
            "SR_CTAID.Y" => Lanes::splat(place.block[1]),
            "SR_CTAID.Z" => Lanes::splat(place.block[2]),
            "SR_NTID.X" => Lanes::splat(s.block[0]),
            "SR_NCTAID.X" => Lanes::splat(s.grid[0]),
            "SR_CgaCtaId" => Lanes::ZERO,
            "SR_SWINHI" => Lanes::splat(SHARED_WINDOW),
            "SRZ" => Lanes::ZERO,
            _ => Lanes::UNKNOWN,
        }
    }

    /// Makes the results of an instruction unknown.
    pub fn forget(&mut self, step: &Step, exec: u32, doubt: u32) {
        if let Some(dst) = &step.dst {
            (0..step.count).for_each(|i| self.set(dst, i, &Lanes::UNKNOWN, exec, doubt));
        }
        step.outs.iter().for_each(|&p| self.set_predicate(p, Flags::UNKNOWN, exec, doubt));
    }
}

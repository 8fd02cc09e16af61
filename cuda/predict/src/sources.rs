//! The sources and the results of an instruction.

use crate::decode::Step;
use crate::lanes::{Flags, Lanes};
use crate::registers::Registers;
use crate::sass::Operand;
use crate::setting::Setting;
use std::borrow::Cow;

/// The sources of an instruction.
pub(crate) struct Sources<'r> {
    pub(crate) registers: &'r Registers,
    pub(crate) setting: &'r Setting,
    pub(crate) step: &'r Step,
}

impl<'r> Sources<'r> {
    /// An operand. It is zero where the instruction has no such operand.
    pub(crate) fn operand(&self, i: usize) -> &'r Operand {
        static ZERO: Operand = Operand::Immediate(0);
        self.step.srcs.get(i).unwrap_or(&ZERO)
    }

    /// A source of 32 bits.
    pub(crate) fn get(&self, i: usize) -> Cow<'r, Lanes> {
        self.registers.source(self.setting, self.operand(i), 0)
    }

    /// A source of 64 bits, low and high.
    pub(crate) fn wide(&self, i: usize) -> [Cow<'r, Lanes>; 2] {
        self.registers.source_wide(self.setting, self.operand(i))
    }

    /// A source that is a predicate.
    pub(crate) fn input(&self, i: usize) -> Flags {
        self.step.ins.get(i).map_or(Flags::UNKNOWN, |&p| self.registers.predicate(p))
    }

    /// The sum of the carries. It is zero for an instruction without a carry.
    pub(crate) fn carry(&self) -> Lanes {
        let mut total = Lanes::ZERO;
        for &p in self.step.ins.iter().filter(|_| self.step.carry) {
            let f = self.registers.predicate(p);
            total.known &= f.known;
            (0..32).for_each(|i| total.values[i] += f.value >> i & 1);
        }
        total
    }
}

/// The results of an instruction.
#[derive(Default)]
pub(crate) struct Results {
    /// The value of the first destination register. It is `None` where the instruction writes no register.
    pub(crate) low: Option<Lanes>,
    /// The value of the second destination register.
    pub(crate) high: Option<Lanes>,
    /// The values of the destination predicates. A predicate without a value becomes unknown.
    pub(crate) flags: Vec<Flags>,
}

impl Results {
    /// Only predicates.
    pub(crate) fn flags(flags: Vec<Flags>) -> Results {
        Results { flags, ..Results::default() }
    }
}

impl From<Lanes> for Results {
    fn from(low: Lanes) -> Results {
        Results { low: Some(low), ..Results::default() }
    }
}

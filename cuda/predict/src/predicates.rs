//! The instructions that compute predicates.

use crate::decode::{Combine, Compare};
use crate::lanes::{ALL, Flags, Lanes};
use crate::registers::Registers;
use crate::sass::{Operand, Predicate};
use crate::sources::{Results, Sources};

fn compare<T: PartialOrd>(how: Compare, a: T, b: T) -> bool {
    match how {
        Compare::Never => false,
        Compare::Lt => a < b,
        Compare::Eq => a == b,
        Compare::Le => a <= b,
        Compare::Gt => a > b,
        Compare::Ne => a != b,
        Compare::Ge => a >= b,
        Compare::Always => true,
    }
}

pub(crate) fn combine(how: Combine, a: Flags, b: Flags) -> Flags {
    Flags::lut(
        a,
        b,
        Flags::TRUE,
        match how {
            Combine::And => 0b1000_0000,
            Combine::Or => 0b1010_1000,
            Combine::Xor => 0b0010_1000,
        },
    )
}

impl Sources<'_> {
    /// `ISETP`: compares two integers.
    pub(crate) fn compare(&self) -> Results {
        let how = self.step.compare;
        let (a, b) = (self.get(0), self.get(1));
        let test = |how: Compare| match self.step.unsigned {
            true => Lanes::test(&a, &b, |a, b| compare(how, a, b)),
            false => Lanes::test(&a, &b, |a, b| compare(how, a as i32, b as i32)),
        };
        let mut f = test(how);
        if self.step.carry {
            // The upper halves decide. Where they are equal, the comparison of the lower halves decides.
            let (below, equal) = (self.input(1), test(Compare::Eq));
            let strict = match how {
                Compare::Ge => Compare::Gt,
                Compare::Le => Compare::Lt,
                Compare::Eq => Compare::Never,
                other => other,
            };
            let tie = combine(Combine::And, equal, below);
            f = combine(Combine::Or, test(strict), tie);
        }
        let other = self.input(0);
        let flags = (0..self.step.outs.len()).map(|i| combine(self.step.combine, f.not_if(i == 1), other));
        Results::flags(flags.collect())
    }

    /// `PLOP3`: functions of three predicates.
    pub(crate) fn logic_of_predicates(&self) -> Results {
        let table = |i: usize| if let Some(Operand::Immediate(t)) = self.step.srcs.get(i) { *t as u32 } else { 0 };
        let [a, b, c] = [0, 1, 2].map(|i| self.input(i));
        Results::flags((0..self.step.outs.len()).map(|i| Flags::lut(a, b, c, table(i))).collect())
    }

    /// `P2R`: the predicates as bits of a register.
    pub(crate) fn predicates_to_register(&self) -> Results {
        let count = self.step.srcs.len();
        let (mask, keep) = (self.get(count.saturating_sub(1)), self.get(count.saturating_sub(2)));
        let mut r = Lanes::map3(&keep, &mask, &Lanes::ZERO, |k, m, _| k & !m);
        for (i, f) in self.registers.flags.iter().enumerate().take(7) {
            for lane in 0..32 {
                if mask.values[lane] >> i & 1 == 1 {
                    r.values[lane] |= (f.value >> lane & 1) << i;
                    r.known &= !((!f.known >> lane & 1) << lane);
                }
            }
        }
        r.into()
    }

    /// `VOTE`: the lanes of `exec` whose predicate is true.
    pub(crate) fn vote(&self, exec: u32) -> Results {
        let f = self.input(0);
        Lanes::maybe((f.known & exec == exec).then_some(f.value & exec)).into()
    }

    /// `ELECT`: the first lane of `exec`.
    pub(crate) fn elect(&self, exec: u32) -> Results {
        let first = Flags { known: ALL, value: exec & exec.wrapping_neg() };
        Results { flags: self.every(first), ..Lanes::splat(exec.trailing_zeros()).into() }
    }

    /// `FCHK`: whether a quotient needs special care. It is taken to need none.
    pub(crate) fn check_quotient(&self) -> Results {
        Results::flags(self.every(Flags { known: ALL, value: 0 }))
    }

    /// The same value for every destination predicate.
    fn every(&self, value: Flags) -> Vec<Flags> {
        vec![value; self.step.outs.len()]
    }
}

impl Registers {
    /// `R2P`: sets the predicates that `mask` chooses to bits of `value`.
    pub(crate) fn register_to_predicates(&mut self, value: &Lanes, mask: &Lanes, exec: u32, doubt: u32) {
        for i in 0..7 {
            let bit = Lanes::test(value, mask, |v, _| v >> i & 1 == 1);
            let chosen = Lanes::test(mask, mask, |m, _| m >> i & 1 == 1).value;
            let p = Predicate { index: i, negate: false, uniform: false };
            self.set_predicate(p, bit, exec & chosen, doubt);
        }
    }
}

//! The instructions that compute with integers and predicates.
//!
//! Numbers from floating-point arithmetic or from memory are unknown, and so are the results that depend on them.

use crate::decode::{Op, Step};
use crate::lanes::{Flags, Lanes};
use crate::registers::{Place, Registers};
use crate::sass::Operand;
use crate::setting::Setting;
use crate::sources::{Results, Sources};

impl Registers {
    /// Computes an instruction of integers or predicates for the lanes of `exec`. Of these, lanes of `doubt` may not
    /// execute it. The results of every other instruction become unknown.
    pub fn compute(&mut self, s: &Setting, place: &Place, step: &Step, exec: u32, doubt: u32) {
        let sources = Sources { registers: self, setting: s, step };
        if step.op == Op::R2p {
            let (value, mask) = (sources.get(1).into_owned(), sources.get(2).into_owned());
            return self.register_to_predicates(&value, &mask, exec, doubt);
        }
        let Some(Results { low, high, flags }) = results(&sources, place, exec) else {
            return self.forget(step, exec, doubt);
        };
        if let (Some(dst), Some(low)) = (&step.dst, low) {
            self.set(dst, 0, &low, exec, doubt);
            if let Some(high) = high {
                self.set(dst, 1, &high, exec, doubt);
            }
        }
        for (i, &p) in step.outs.iter().enumerate() {
            self.set_predicate(p, flags.get(i).copied().unwrap_or(Flags::UNKNOWN), exec, doubt);
        }
    }
}

/// The results of an instruction. They are `None` where all of them are unknown.
fn results(s: &Sources<'_>, place: &Place, exec: u32) -> Option<Results> {
    let step = s.step;
    Some(match step.op {
        Op::Imad => s.multiply_add(),
        Op::Iadd3 => s.add(),
        Op::Lea => s.shift_add(),
        Op::Lop3 => return s.logic(),
        Op::Shf => s.shift(),
        Op::Sel => s.select(),
        Op::Prmt => s.permute(),
        Op::Minmax => s.minimum(),
        Op::Minmax3 => s.minimum_of_three(),
        Op::AddMinmax => s.add_minimum(),
        Op::IntToFloat if step.count == 1 => s.integer_to_float(),
        Op::FloatToInt => s.float_to_integer(),
        Op::LoadConstant => s.load_constant(),
        Op::Shuffle => s.shuffle(exec),
        Op::Isetp => s.compare(),
        Op::Plop3 => s.logic_of_predicates(),
        Op::P2r => s.predicates_to_register(),
        Op::Vote => s.vote(exec),
        Op::Elect => s.elect(exec),
        Op::Fchk => s.check_quotient(),
        Op::Zero if matches!(step.srcs.first(), Some(Operand::Special(n)) if n == "SRZ") => {
            Results { high: (step.count > 1).then_some(Lanes::ZERO), ..Lanes::ZERO.into() }
        }
        _ => value(s, place, exec)?.into(),
    })
}

/// The result of an instruction with one source. It is `None` where it is unknown.
fn value(s: &Sources<'_>, place: &Place, exec: u32) -> Option<Lanes> {
    let step = s.step;
    Some(match step.op {
        Op::Mov => s.get(0).into_owned(),
        Op::Iabs => s.get(0).map(|v| (v as i32).unsigned_abs()),
        Op::Popc => s.get(0).map(u32::count_ones),
        Op::Flo if step.unsigned => s.get(0).map(|v| if v == 0 { !0 } else { v.ilog2() }),
        Op::Brev => s.get(0).map(u32::reverse_bits),
        // 0 * 0 + constant: the assembler moves a constant in this way on another pipe.
        Op::HalfConstant if matches!(s.operand(0), Operand::Register(255, _)) => Lanes::splat((step.low >> 32) as u32),
        Op::Mufu if step.reciprocal => s.get(0).map(|v| (1.0 / f32::from_bits(v)).to_bits()),
        Op::Special => match step.srcs.first() {
            Some(Operand::Special(name)) => s.registers.special(s.setting, place, name),
            _ => Lanes::UNKNOWN,
        },
        Op::ToUniform => Lanes::maybe(s.get(0).get((exec.trailing_zeros()).min(31) as usize)),
        _ => return None,
    })
}

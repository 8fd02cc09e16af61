//! The instructions that compute with integers and predicates.
//!
//! Numbers that come from floating-point arithmetic or from memory are unknown, and so is what is computed from them.

use crate::decode::{Combine, Compare, Op, Shuffle, Step};
use crate::lanes::{ALL, Flags, Lanes};
use crate::registers::{Place, Registers};
use crate::sass::{Operand, Predicate};
use crate::setting::Setting;

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

fn combine(how: Combine, a: Flags, b: Flags) -> Flags {
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

/// `PRMT`: bytes of two registers, picked by the digits of `selector`. Digit bit 3 asks for the sign of the byte.
fn permute(a: u32, selector: u32, c: u32) -> u32 {
    let bytes = (a as u64 | (c as u64) << 32).to_le_bytes();
    u32::from_le_bytes(std::array::from_fn(|i| {
        let digit = selector >> (4 * i);
        let byte = bytes[(digit & 7) as usize];
        if digit & 8 != 0 { ((byte as i8) >> 7) as u8 } else { byte }
    }))
}

/// The f32 next above what an integer rounds to, where the integer is not an f32 (`.RP`).
fn to_float_up(x: f64) -> u32 {
    let f = x as f32;
    if (f as f64) < x { f.to_bits() + 1 } else { f.to_bits() }
}

impl Registers {
    /// Computes an instruction of integers or predicates for the lanes of `exec`; of these, lanes of `doubt` may not
    /// execute it. All other instructions make their results unknown.
    pub fn compute(&mut self, s: &Setting, place: &Place, step: &Step, exec: u32, doubt: u32) {
        let zero = Operand::Immediate(0);
        let operand = |i: usize| step.srcs.get(i).unwrap_or(&zero);
        let src = |i: usize| self.source(s, operand(i), 0);
        let input = |i: usize| step.ins.get(i).map_or(Flags::UNKNOWN, |&p| self.predicate(p));
        let carries = step.carry.then(|| {
            let mut total = Lanes::ZERO;
            for &p in &step.ins {
                let f = self.predicate(p);
                total.known &= f.known;
                (0..32).for_each(|i| total.values[i] += f.value >> i & 1);
            }
            total
        });
        let carry = carries.unwrap_or(Lanes::ZERO);
        let unsigned = step.unsigned;
        let minimum = |a: u32, b: u32, least: bool| match (unsigned, least) {
            (true, true) => a.min(b),
            (true, false) => a.max(b),
            (false, true) => (a as i32).min(b as i32) as u32,
            (false, false) => (a as i32).max(b as i32) as u32,
        };
        // Minima where the predicate is true, maxima where it is false.
        let min_max = |a: &Lanes, b: &Lanes, f: Flags| {
            let mut r = Lanes::UNKNOWN;
            for i in 0..32 {
                r.values[i] = minimum(a.values[i], b.values[i], f.value >> i & 1 == 1);
            }
            r.known = a.known & b.known & f.known;
            r
        };
        let mut high = None;
        let mut overflow: Vec<Flags> = Vec::new();
        let low = match step.op {
            Op::Mov => src(0).into_owned(),
            Op::Imad if step.wide || step.high => {
                let (a, b, c) = (src(0), src(1), self.source_wide(s, operand(2)));
                let add = [Lanes { known: carry.known, values: carry.values }, Lanes::ZERO];
                let product = |a: u64, b: u64| match unsigned {
                    true => (a as u32 as u64).wrapping_mul(b as u32 as u64),
                    false => (a as u32 as i32 as i64).wrapping_mul(b as u32 as i32 as i64) as u64,
                };
                // The carry out of 64 bits.
                let p = Lanes::map3_wide([&a, &Lanes::ZERO], [&b, &Lanes::ZERO], [&add[0], &add[1]], |a, b, _| {
                    product(a, b)
                });
                let total = Lanes::map3_wide([&p[0], &p[1]], [&c[0], &c[1]], [&add[0], &add[1]], |p, c, x| {
                    p.wrapping_add(c).wrapping_add(x)
                });
                let out = Lanes::map3_wide([&p[0], &p[1]], [&c[0], &c[1]], [&add[0], &add[1]], |p, c, x| {
                    ((p as u128 + c as u128 + x as u128) >> 64) as u64
                });
                overflow.push(Lanes::test(&out[0], &Lanes::ZERO, |a, _| a != 0));
                if step.wide {
                    high = Some(total[1]);
                    total[0]
                } else {
                    total[1]
                }
            }
            Op::Imad => {
                let (a, b) = (src(0), src(1));
                let product = Lanes::map3(&a, &b, &carry, |a, b, x| a.wrapping_mul(b).wrapping_add(x));
                Lanes::map3(&product, &src(2), &Lanes::ZERO, |p, c, _| p.wrapping_add(c))
            }
            Op::Iadd3 => {
                // A negated source is its complement plus one: the carry is that of the whole sum.
                let mut extra = 0;
                let mut plain = |i: usize| match operand(i) {
                    o @ (Operand::Register(_, c) | Operand::Uniform(_, c) | Operand::Constant { change: c, .. })
                        if c.negate && !c.absolute =>
                    {
                        extra += 1;
                        self.source(s, o, 0).map(|v| !v.wrapping_neg())
                    }
                    o => self.source(s, o, 0).into_owned(),
                };
                let (a, b, c) = (plain(0), plain(1), plain(2));
                let z = Lanes::ZERO;
                let ab = Lanes::map3_wide([&a, &z], [&b, &z], [&c, &z], |a, b, c| a + b + c + extra);
                let total = Lanes::map3_wide([&ab[0], &ab[1]], [&carry, &z], [&z, &z], |a, x, _| a + x);
                overflow.push(Lanes::test(&total[1], &z, |a, _| a > 0));
                overflow.push(Lanes::test(&total[1], &z, |a, _| a > 1));
                total[0]
            }
            Op::Lea => {
                let (a, b) = (src(0), src(1));
                let with_high = step.high && !step.extend;
                let shift = src(if with_high { 3 } else { 2 });
                let top = match (step.high, step.extend) {
                    (true, false) => src(2).into_owned(),
                    (true, true) => a.map(|v| (v as i32 >> 31) as u32),
                    _ => Lanes::ZERO,
                };
                let is_high = step.high;
                let shifted = Lanes::map3_wide([&a, &top], [&shift, &Lanes::ZERO], [&b, &Lanes::ZERO], |a, n, b| {
                    let n = n as u32 & 31;
                    (if is_high { (a << n) >> 32 } else { a << n & 0xffff_ffff }) + b
                });
                let z = Lanes::ZERO;
                let total = Lanes::map3_wide([&shifted[0], &shifted[1]], [&carry, &z], [&z, &z], |a, x, _| a + x);
                overflow.push(Lanes::test(&total[1], &z, |a, _| a > 0));
                total[0]
            }
            Op::Lop3 => {
                let Operand::Immediate(table) = *operand(3) else { return self.forget(step, exec, doubt) };
                let r = Lanes::map3(&src(0), &src(1), &src(2), |a, b, c| {
                    let mut r = 0;
                    for i in 0..8 {
                        if table >> i & 1 == 1 {
                            let pick = |x: u32, one: bool| if one { x } else { !x };
                            r |= pick(a, i & 4 != 0) & pick(b, i & 2 != 0) & pick(c, i & 1 != 0);
                        }
                    }
                    r
                });
                let some = Lanes::test(&r, &Lanes::ZERO, |r, _| r != 0);
                overflow.push(if step.ins.is_empty() { some } else { combine(Combine::Or, some, input(0)) });
                r
            }
            Op::Shf => {
                let (a, n, c) = (src(0), src(1), src(2));
                let (left, is_high, wrap, wide) = (step.left, step.high, step.wrap, step.wide);
                let r = Lanes::map3_wide([&a, &c], [&n, &Lanes::ZERO], [&Lanes::ZERO, &Lanes::ZERO], |x, n, _| {
                    let n = if wrap { n & if wide { 63 } else { 31 } } else { n.min(if wide { 64 } else { 32 }) };
                    let n = n as u32;
                    match (left, unsigned) {
                        (true, _) => x.checked_shl(n).unwrap_or(0),
                        (false, true) => x.checked_shr(n).unwrap_or(0),
                        (false, false) => (x as i64 >> n.min(63)) as u64,
                    }
                });
                r[is_high as usize]
            }
            Op::Sel => {
                let (a, mut r, f) = (src(0), src(1).into_owned(), input(0));
                let b = r.known;
                for i in 0..32 {
                    if f.value >> i & 1 == 1 {
                        r.values[i] = a.values[i];
                    }
                }
                r.known = f.known & (f.value & a.known | !f.value & b);
                r
            }
            Op::Prmt => Lanes::map3(&src(0), &src(1), &src(2), permute),
            Op::Iabs => src(0).map(|v| (v as i32).unsigned_abs()),
            Op::Minmax => min_max(&src(0), &src(1), input(0)),
            Op::Minmax3 => min_max(&min_max(&src(0), &src(1), input(0)), &src(2), input(0)),
            Op::AddMinmax => {
                let sum = Lanes::map3(&src(0), &src(1), &Lanes::ZERO, |a, b, _| a.wrapping_add(b));
                min_max(&sum, &src(2), input(0))
            }
            Op::Popc => src(0).map(u32::count_ones),
            Op::Flo if unsigned => src(0).map(|v| if v == 0 { !0 } else { v.ilog2() }),
            Op::Brev => src(0).map(u32::reverse_bits),
            // 0 * 0 + constant: how the assembler moves a constant on another pipe.
            Op::HalfConstant if matches!(operand(0), Operand::Register(255, _)) => {
                Lanes::splat((step.low >> 32) as u32)
            }
            Op::IntToFloat if step.count == 1 => {
                // Only as integer division uses it: unsigned, or of numbers that are not negative; rounded up.
                let a = self.source_wide(s, operand(0));
                let top = if step.wide { &a[1] } else { &Lanes::ZERO };
                let [r, _] = Lanes::map3_wide([&a[0], top], [&Lanes::ZERO; 2], [&Lanes::ZERO; 2], |a, _, _| {
                    to_float_up(a as f64) as u64
                });
                r
            }
            Op::Mufu if step.reciprocal => src(0).map(|v| (1.0 / f32::from_bits(v)).to_bits()),
            Op::FloatToInt => {
                let a = src(0);
                let is_wide = step.wide;
                let r = Lanes::map3_wide([&a, &Lanes::ZERO], [&Lanes::ZERO; 2], [&Lanes::ZERO; 2], |a, _, _| {
                    let f = f32::from_bits(a as u32);
                    match (unsigned, is_wide) {
                        (true, true) => f as u64,
                        (true, false) => f as u32 as u64,
                        (false, true) => f as i64 as u64,
                        (false, false) => f as i32 as u32 as u64,
                    }
                });
                high = (step.count > 1).then_some(r[1]);
                r[0]
            }
            Op::Isetp => {
                let how = step.compare;
                let (a, b) = (src(0), src(1));
                let test = |how: Compare| match unsigned {
                    true => Lanes::test(&a, &b, |a, b| compare(how, a, b)),
                    false => Lanes::test(&a, &b, |a, b| compare(how, a as i32, b as i32)),
                };
                let mut f = test(how);
                if step.carry {
                    // The upper halves decide, or, where they are equal, the comparison of the lower halves.
                    let (below, equal) = (input(1), test(Compare::Eq));
                    let strict = match how {
                        Compare::Ge => Compare::Gt,
                        Compare::Le => Compare::Lt,
                        Compare::Eq => Compare::Never,
                        other => other,
                    };
                    let tie = combine(Combine::And, equal, below);
                    f = combine(Combine::Or, test(strict), tie);
                }
                let other = input(0);
                for (i, &p) in step.outs.iter().enumerate() {
                    self.set_predicate(p, combine(step.combine, f.not_if(i == 1), other), exec, doubt);
                }
                return;
            }
            Op::Plop3 => {
                let table = |i: usize| if let Some(Operand::Immediate(t)) = step.srcs.get(i) { *t as u32 } else { 0 };
                let [a, b, c] = [0, 1, 2].map(input);
                for (i, &p) in step.outs.iter().enumerate() {
                    self.set_predicate(p, Flags::lut(a, b, c, table(i)), exec, doubt);
                }
                return;
            }
            Op::P2r => {
                let mask = src(step.srcs.len().saturating_sub(1));
                let keep = src(step.srcs.len().saturating_sub(2));
                let mut r = Lanes::map3(&keep, &mask, &Lanes::ZERO, |k, m, _| k & !m);
                for (i, f) in self.flags.iter().enumerate().take(7) {
                    for lane in 0..32 {
                        if mask.values[lane] >> i & 1 == 1 {
                            r.values[lane] |= (f.value >> lane & 1) << i;
                            r.known &= !((!f.known >> lane & 1) << lane);
                        }
                    }
                }
                r
            }
            Op::R2p => {
                let (value, mask) = (src(1).into_owned(), src(2).into_owned());
                for i in 0..7 {
                    let bit = Lanes::test(&value, &mask, |v, _| v >> i & 1 == 1);
                    let chosen = Lanes::test(&mask, &mask, |m, _| m >> i & 1 == 1).value;
                    let p = Predicate { index: i, negate: false, uniform: false };
                    self.set_predicate(p, bit, exec & chosen, doubt);
                }
                return;
            }
            Op::Fchk => {
                // A quotient that needs no special care.
                let f = Flags { known: ALL, value: 0 };
                step.outs.iter().for_each(|&p| self.set_predicate(p, f, exec, doubt));
                return;
            }
            Op::Special => match step.srcs.first() {
                Some(Operand::Special(name)) => self.special(s, place, name),
                _ => Lanes::UNKNOWN,
            },
            Op::Zero if matches!(step.srcs.first(), Some(Operand::Special(n)) if n == "SRZ") => {
                high = (step.count > 1).then_some(Lanes::ZERO);
                Lanes::ZERO
            }
            Op::LoadConstant => {
                if step.width < 4 {
                    let bits = 8 * step.width;
                    src(0).map(|v| v & ((1 << bits) - 1))
                } else {
                    high = (step.count > 1).then(|| self.source(s, operand(0), 1).into_owned());
                    src(0).into_owned()
                }
            }
            Op::ToUniform => Lanes::maybe(src(0).get((exec.trailing_zeros()).min(31) as usize)),
            Op::Vote => {
                let f = input(0);
                let sure = f.known & exec == exec;
                step.outs.iter().for_each(|&p| self.set_predicate(p, Flags::UNKNOWN, exec, doubt));
                Lanes::maybe(sure.then_some(f.value & exec))
            }
            Op::Elect => {
                let first = exec & exec.wrapping_neg();
                let f = Flags { known: ALL, value: first };
                step.outs.iter().for_each(|&p| self.set_predicate(p, f, exec, doubt));
                Lanes::splat(exec.trailing_zeros())
            }
            Op::Shuffle => self.shuffle(s, step, exec),
            _ => return self.forget(step, exec, doubt),
        };
        if let Some(dst) = &step.dst {
            self.set(dst, 0, &low, exec, doubt);
            if let Some(high) = high {
                self.set(dst, 1, &high, exec, doubt);
            }
        }
        for (i, &p) in step.outs.iter().enumerate() {
            if !matches!(step.op, Op::Vote | Op::Elect) {
                self.set_predicate(p, overflow.get(i).copied().unwrap_or(Flags::UNKNOWN), exec, doubt);
            }
        }
    }

    fn shuffle(&self, s: &Setting, step: &Step, exec: u32) -> Lanes {
        let zero = Operand::Immediate(0);
        let src = |i: usize| self.source(s, step.srcs.get(i).unwrap_or(&zero), 0);
        let (value, other) = (src(0), src(1));
        let mut r = Lanes::UNKNOWN;
        for lane in 0..32 {
            let from = match step.shuffle {
                Shuffle::Xor => (lane ^ other.values[lane] as usize) & 31,
                Shuffle::Lane => other.values[lane] as usize & 31,
                Shuffle::Other => return r,
            };
            if other.known >> lane & 1 == 1 && exec >> from & 1 == 1 {
                r.values[lane] = value.values[from];
                r.known |= (value.known >> from & 1) << lane;
            }
        }
        r
    }
}

//! The instructions that compute integers.

use crate::decode::{Combine, Shuffle};
use crate::lanes::{Flags, Lanes};
use crate::predicates::combine;
use crate::sass::Operand;
use crate::sources::{Results, Sources};

/// `PRMT`: bytes of two registers, picked by the digits of `selector`. Digit bit 3 asks for the sign of the byte.
fn permute(a: u32, selector: u32, c: u32) -> u32 {
    let bytes = (a as u64 | (c as u64) << 32).to_le_bytes();
    u32::from_le_bytes(std::array::from_fn(|i| {
        let digit = selector >> (4 * i);
        let byte = bytes[(digit & 7) as usize];
        if digit & 8 != 0 { ((byte as i8) >> 7) as u8 } else { byte }
    }))
}

/// The f32 of an integer, rounded up (`.RP`).
fn to_float_up(x: f64) -> u32 {
    let f = x as f32;
    if (f as f64) < x { f.to_bits() + 1 } else { f.to_bits() }
}

impl Sources<'_> {
    /// `IMAD`: a product and a sum.
    pub(crate) fn multiply_add(&self) -> Results {
        if self.step.wide || self.step.high {
            return self.multiply_add_wide();
        }
        let (a, b, carry) = (self.get(0), self.get(1), self.carry());
        let product = Lanes::map3(&a, &b, &carry, |a, b, x| a.wrapping_mul(b).wrapping_add(x));
        Lanes::map3(&product, &self.get(2), &Lanes::ZERO, |p, c, _| p.wrapping_add(c)).into()
    }

    /// `IMAD.WIDE` and `IMAD.HI`: a product of 64 bits and a sum.
    fn multiply_add_wide(&self) -> Results {
        let (a, b, c) = (self.get(0), self.get(1), self.wide(2));
        let add = [self.carry(), Lanes::ZERO];
        let product = |a: u64, b: u64| match self.step.unsigned {
            true => (a as u32 as u64).wrapping_mul(b as u32 as u64),
            false => (a as u32 as i32 as i64).wrapping_mul(b as u32 as i32 as i64) as u64,
        };
        let p = Lanes::map3_wide([&a, &Lanes::ZERO], [&b, &Lanes::ZERO], [&add[0], &add[1]], |a, b, _| product(a, b));
        let total = Lanes::map3_wide([&p[0], &p[1]], [&c[0], &c[1]], [&add[0], &add[1]], |p, c, x| {
            p.wrapping_add(c).wrapping_add(x)
        });
        // The carry out of 64 bits.
        let out = Lanes::map3_wide([&p[0], &p[1]], [&c[0], &c[1]], [&add[0], &add[1]], |p, c, x| {
            ((p as u128 + c as u128 + x as u128) >> 64) as u64
        });
        let flags = vec![Lanes::test(&out[0], &Lanes::ZERO, |a, _| a != 0)];
        match self.step.wide {
            true => Results { low: Some(total[0]), high: Some(total[1]), flags },
            false => Results { flags, ..total[1].into() },
        }
    }

    /// `IADD3`: the sum of three integers.
    pub(crate) fn add(&self) -> Results {
        // A negated source is its complement plus one. The carry is that of the whole sum.
        let mut extra = 0;
        let mut plain = |i: usize| match self.operand(i) {
            o @ (Operand::Register(_, c) | Operand::Uniform(_, c) | Operand::Constant { change: c, .. })
                if c.negate && !c.absolute =>
            {
                extra += 1;
                self.registers.source(self.setting, o, 0).map(|v| !v.wrapping_neg())
            }
            o => self.registers.source(self.setting, o, 0).into_owned(),
        };
        let (a, b, c) = (plain(0), plain(1), plain(2));
        let (z, carry) = (Lanes::ZERO, self.carry());
        let ab = Lanes::map3_wide([&a, &z], [&b, &z], [&c, &z], |a, b, c| a + b + c + extra);
        let total = Lanes::map3_wide([&ab[0], &ab[1]], [&carry, &z], [&z, &z], |a, x, _| a + x);
        let flags = vec![Lanes::test(&total[1], &z, |a, _| a > 0), Lanes::test(&total[1], &z, |a, _| a > 1)];
        Results { flags, ..total[0].into() }
    }

    /// `LEA`: the sum of a shifted integer and another one.
    pub(crate) fn shift_add(&self) -> Results {
        let (a, b) = (self.get(0), self.get(1));
        let (is_high, extend) = (self.step.high, self.step.extend);
        let shift = self.get(if is_high && !extend { 3 } else { 2 });
        let top = match (is_high, extend) {
            (true, false) => self.get(2).into_owned(),
            (true, true) => a.map(|v| (v as i32 >> 31) as u32),
            _ => Lanes::ZERO,
        };
        let shifted = Lanes::map3_wide([&a, &top], [&shift, &Lanes::ZERO], [&b, &Lanes::ZERO], |a, n, b| {
            let n = n as u32 & 31;
            (if is_high { (a << n) >> 32 } else { a << n & 0xffff_ffff }) + b
        });
        let (z, carry) = (Lanes::ZERO, self.carry());
        let total = Lanes::map3_wide([&shifted[0], &shifted[1]], [&carry, &z], [&z, &z], |a, x, _| a + x);
        Results { flags: vec![Lanes::test(&total[1], &z, |a, _| a > 0)], ..total[0].into() }
    }

    /// `LOP3`: a function of the bits of three integers. It is `None` where the table of the function is unknown.
    pub(crate) fn logic(&self) -> Option<Results> {
        let Operand::Immediate(table) = *self.operand(3) else { return None };
        let r = Lanes::map3(&self.get(0), &self.get(1), &self.get(2), |a, b, c| {
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
        let flag = if self.step.ins.is_empty() { some } else { combine(Combine::Or, some, self.input(0)) };
        Some(Results { flags: vec![flag], ..r.into() })
    }

    /// `SHF`: shifts an integer of 64 bits.
    pub(crate) fn shift(&self) -> Results {
        let (a, n, c) = (self.get(0), self.get(1), self.get(2));
        let (left, unsigned, wrap, wide) = (self.step.left, self.step.unsigned, self.step.wrap, self.step.wide);
        let r = Lanes::map3_wide([&a, &c], [&n, &Lanes::ZERO], [&Lanes::ZERO, &Lanes::ZERO], |x, n, _| {
            let n = if wrap { n & if wide { 63 } else { 31 } } else { n.min(if wide { 64 } else { 32 }) };
            let n = n as u32;
            match (left, unsigned) {
                (true, _) => x.checked_shl(n).unwrap_or(0),
                (false, true) => x.checked_shr(n).unwrap_or(0),
                (false, false) => (x as i64 >> n.min(63)) as u64,
            }
        });
        r[self.step.high as usize].into()
    }

    /// `SEL`: one of two integers.
    pub(crate) fn select(&self) -> Results {
        let (a, mut r, f) = (self.get(0), self.get(1).into_owned(), self.input(0));
        let b = r.known;
        for i in 0..32 {
            if f.value >> i & 1 == 1 {
                r.values[i] = a.values[i];
            }
        }
        r.known = f.known & (f.value & a.known | !f.value & b);
        r.into()
    }

    /// `PRMT`: bytes of two integers.
    pub(crate) fn permute(&self) -> Results {
        Lanes::map3(&self.get(0), &self.get(1), &self.get(2), permute).into()
    }

    /// `VIMNMX`: the minimum of two integers where the predicate is true, and the maximum where it is false.
    pub(crate) fn minimum(&self) -> Results {
        self.minimum_of(&self.get(0), &self.get(1)).into()
    }

    /// `VIMNMX3`: the minimum or the maximum of three integers.
    pub(crate) fn minimum_of_three(&self) -> Results {
        self.minimum_of(&self.minimum_of(&self.get(0), &self.get(1)), &self.get(2)).into()
    }

    /// `VIADDMNMX`: the minimum or the maximum of a sum and an integer.
    pub(crate) fn add_minimum(&self) -> Results {
        let sum = Lanes::map3(&self.get(0), &self.get(1), &Lanes::ZERO, |a, b, _| a.wrapping_add(b));
        self.minimum_of(&sum, &self.get(2)).into()
    }

    fn minimum_of(&self, a: &Lanes, b: &Lanes) -> Lanes {
        let f: Flags = self.input(0);
        let minimum = |a: u32, b: u32, least: bool| match (self.step.unsigned, least) {
            (true, true) => a.min(b),
            (true, false) => a.max(b),
            (false, true) => (a as i32).min(b as i32) as u32,
            (false, false) => (a as i32).max(b as i32) as u32,
        };
        let mut r = Lanes::UNKNOWN;
        for i in 0..32 {
            r.values[i] = minimum(a.values[i], b.values[i], f.value >> i & 1 == 1);
        }
        r.known = a.known & b.known & f.known;
        r
    }

    /// `I2F`, as integer division uses it: the integer is unsigned or not negative, and is rounded up.
    pub(crate) fn integer_to_float(&self) -> Results {
        let a = self.wide(0);
        let top = if self.step.wide { &a[1] } else { &Lanes::ZERO };
        let [r, _] = Lanes::map3_wide([&a[0], top], [&Lanes::ZERO; 2], [&Lanes::ZERO; 2], |a, _, _| {
            to_float_up(a as f64) as u64
        });
        r.into()
    }

    /// `F2I`: the integer of an f32.
    pub(crate) fn float_to_integer(&self) -> Results {
        let a = self.get(0);
        let (unsigned, is_wide) = (self.step.unsigned, self.step.wide);
        let r = Lanes::map3_wide([&a, &Lanes::ZERO], [&Lanes::ZERO; 2], [&Lanes::ZERO; 2], |a, _, _| {
            let f = f32::from_bits(a as u32);
            match (unsigned, is_wide) {
                (true, true) => f as u64,
                (true, false) => f as u32 as u64,
                (false, true) => f as i64 as u64,
                (false, false) => f as i32 as u32 as u64,
            }
        });
        Results { high: (self.step.count > 1).then_some(r[1]), ..r[0].into() }
    }

    /// `LDC`: a constant.
    pub(crate) fn load_constant(&self) -> Results {
        let (value, bits) = (self.get(0), 8 * self.step.width);
        if self.step.width < 4 {
            return value.map(|v| v & ((1 << bits) - 1)).into();
        }
        let high = (self.step.count > 1).then(|| self.registers.source(self.setting, self.operand(0), 1).into_owned());
        Results { high, ..value.into_owned().into() }
    }

    /// `SHFL`: the value of another lane.
    pub(crate) fn shuffle(&self, exec: u32) -> Results {
        let (value, other) = (self.get(0), self.get(1));
        let mut r = Lanes::UNKNOWN;
        for lane in 0..32 {
            let from = match self.step.shuffle {
                Shuffle::Xor => (lane ^ other.values[lane] as usize) & 31,
                Shuffle::Lane => other.values[lane] as usize & 31,
                Shuffle::Other => return r.into(),
            };
            if other.known >> lane & 1 == 1 && exec >> from & 1 == 1 {
                r.values[lane] = value.values[from];
                r.known |= (value.known >> from & 1) << lane;
            }
        }
        r.into()
    }
}

//! Values of the 32 lanes of a warp, each known or unknown.

/// All lanes.
pub const ALL: u32 = !0;

/// A 32-bit register of every lane.
#[derive(Clone, Copy, Debug)]
pub struct Lanes {
    /// A bit per lane with a known value.
    pub known: u32,
    /// The values, which are meaningless where unknown.
    pub values: [u32; 32],
}

impl Lanes {
    /// Unknown in every lane.
    pub const UNKNOWN: Lanes = Lanes { known: 0, values: [0; 32] };
    /// Zero in every lane.
    pub const ZERO: Lanes = Lanes { known: ALL, values: [0; 32] };

    /// The same known value in every lane.
    #[must_use]
    pub fn splat(value: u32) -> Lanes {
        Lanes { known: ALL, values: [value; 32] }
    }

    /// The value that is the same in every lane, if there is one.
    pub fn maybe(value: Option<u32>) -> Lanes {
        value.map_or(Lanes::UNKNOWN, Lanes::splat)
    }

    /// The value of a lane.
    #[must_use]
    pub fn get(&self, lane: usize) -> Option<u32> {
        (self.known >> lane & 1 == 1).then_some(self.values[lane])
    }

    /// Applies `f` to every lane.
    pub fn map(&self, f: impl Fn(u32) -> u32) -> Lanes {
        Lanes { known: self.known, values: self.values.map(f) }
    }

    /// Applies `f` to every lane of three registers.
    pub fn map3(a: &Lanes, b: &Lanes, c: &Lanes, f: impl Fn(u32, u32, u32) -> u32) -> Lanes {
        let mut values = [0; 32];
        for i in 0..32 {
            values[i] = f(a.values[i], b.values[i], c.values[i]);
        }
        Lanes { known: a.known & b.known & c.known, values }
    }

    /// Applies `f` to every lane of three 64-bit registers, each given as two of 32 bits. Returns low and high.
    pub fn map3_wide(a: [&Lanes; 2], b: [&Lanes; 2], c: [&Lanes; 2], f: impl Fn(u64, u64, u64) -> u64) -> [Lanes; 2] {
        let at = |x: [&Lanes; 2], i: usize| x[0].values[i] as u64 | (x[1].values[i] as u64) << 32;
        let known = [a, b, c].iter().fold(ALL, |k, x| k & x[0].known & x[1].known);
        let (mut low, mut high) = ([0; 32], [0; 32]);
        for i in 0..32 {
            let r = f(at(a, i), at(b, i), at(c, i));
            (low[i], high[i]) = (r as u32, (r >> 32) as u32);
        }
        [Lanes { known, values: low }, Lanes { known, values: high }]
    }

    /// Applies `f` to every lane of two registers, and returns a predicate.
    pub fn test(a: &Lanes, b: &Lanes, f: impl Fn(u32, u32) -> bool) -> Flags {
        let mut value = 0;
        for i in 0..32 {
            value |= (f(a.values[i], b.values[i]) as u32) << i;
        }
        Flags { known: a.known & b.known, value }
    }

    /// Takes the lanes of `exec` from `new`. Lanes of `doubt` may or may not be written, so they become unknown.
    pub fn merge(&mut self, new: &Lanes, exec: u32, doubt: u32) {
        self.known = self.known & !exec | new.known & exec & !doubt;
        if new.known & exec == 0 {
            // Values of unknown lanes do not matter.
        } else if exec == ALL {
            self.values = new.values;
        } else {
            for i in 0..32 {
                if exec >> i & 1 == 1 {
                    self.values[i] = new.values[i];
                }
            }
        }
    }
}

/// A predicate of every lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags {
    /// A bit per lane with a known value.
    pub known: u32,
    /// The values, which are meaningless where unknown.
    pub value: u32,
}

impl Flags {
    /// Unknown in every lane.
    pub const UNKNOWN: Flags = Flags { known: 0, value: 0 };
    /// True in every lane.
    pub const TRUE: Flags = Flags { known: ALL, value: ALL };

    /// Lanes where the predicate may be true.
    #[must_use]
    pub fn can_be_true(self) -> u32 {
        !self.known | self.value
    }

    /// Lanes where the predicate may be false.
    #[must_use]
    pub fn can_be_false(self) -> u32 {
        !self.known | !self.value
    }

    /// The predicate that is true only where it must be true.
    #[must_use]
    pub fn of(can_be_true: u32, can_be_false: u32) -> Flags {
        Flags { known: can_be_true ^ can_be_false, value: can_be_true & !can_be_false }
    }

    /// The opposite if `negate` is true.
    #[must_use]
    pub fn not_if(self, negate: bool) -> Flags {
        if negate { Flags { known: self.known, value: !self.value } } else { self }
    }

    /// A function of three predicates by its truth table: bit 4a + 2b + c is the result.
    #[must_use]
    pub fn lut(a: Flags, b: Flags, c: Flags, table: u32) -> Flags {
        let (mut yes, mut no) = (0, 0);
        let can = |f: Flags, value: u32| if value == 1 { f.can_be_true() } else { f.can_be_false() };
        for i in 0..8 {
            let possible = can(a, i >> 2 & 1) & can(b, i >> 1 & 1) & can(c, i & 1);
            *(if table >> i & 1 == 1 { &mut yes } else { &mut no }) |= possible;
        }
        Flags::of(yes, no)
    }

    /// Takes the lanes of `exec` from `new`. Lanes of `doubt` become unknown.
    pub fn merge(&mut self, new: Flags, exec: u32, doubt: u32) {
        self.known = self.known & !exec | new.known & exec & !doubt;
        self.value = self.value & !exec | new.value & exec;
    }
}

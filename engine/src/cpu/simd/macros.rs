//! Macros that the files of the instruction sets share.

/// The methods of arithmetic on whole vectors. Each line has a method and its instruction.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! lanes {
    ($($name:ident($($arg:ident),*) = $instruction:ident($($operand:ident),*);)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: Self::F),*) -> Self::F {
            // SAFETY: `self` proves that the CPU has the instruction.
            unsafe { $instruction($($operand),*) }
        }
    )*};
}

/// The first feature of a list that the CPU lacks.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! missing {
    ($detected:ident: $($feature:tt),*) => {
        None::<&'static str>$(.or((!std::arch::$detected!($feature)).then_some($feature)))*
    };
}

/// The matrix tiles of a set: the rows of the full tile, the rows of the small tile, and the vectors across both.
macro_rules! tile_sizes {
    ($rows:literal, $small:literal; $vecs:literal) => {
        const TILE_ROWS: usize = $rows;
        const SMALL_ROWS: usize = $small;
        const TILE_VECS: usize = $vecs;

        #[inline(always)]
        unsafe fn tile<W: Word>(
            self,
            (m, n): (usize, usize),
            k: usize,
            a: *const f32,
            rs: usize,
            cs: usize,
            b: *const f32,
            ldb: usize,
            out: *mut f32,
            ldo: usize,
        ) {
            match (m, n <= Self::LANES) {
                ($rows, false) => tile::<Self, W, $rows, $vecs>(self, k, a, rs, cs, b, ldb, out, ldo),
                ($rows, true) => tile::<Self, W, $rows, 1>(self, k, a, rs, cs, b, ldb, out, ldo),
                (_, false) => tile::<Self, W, $small, $vecs>(self, k, a, rs, cs, b, ldb, out, ldo),
                (_, true) => tile::<Self, W, $small, 1>(self, k, a, rs, cs, b, ldb, out, ldo),
            }
        }
    };
}

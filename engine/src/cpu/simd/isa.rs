//! The instruction sets, and the choice among them at run time.

#[cfg(target_arch = "x86_64")]
use super::avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use super::avx512::Avx512;
#[cfg(target_arch = "aarch64")]
use super::neon::Neon;
use super::portable::Portable;
use super::traits::{Kernel, Simd};

/// An instruction set that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// 128-bit vectors written as arrays, for any CPU.
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX-512 that multiplies bf16.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// NEON that multiplies bf16.
    #[cfg(target_arch = "aarch64")]
    NeonBf16,
}

impl Isa {
    /// The name that the system has for the feature of CPUs that multiply bf16.
    pub const BF16: &str = if cfg!(target_arch = "aarch64") { "bf16" } else { "avx512_bf16" };

    /// Every set of this architecture that has kernels, the best set first.
    pub const ALL: &[Isa] = &[
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bf16,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2,
        #[cfg(target_arch = "aarch64")]
        Isa::NeonBf16,
        #[cfg(target_arch = "aarch64")]
        Isa::Neon,
        Isa::Portable,
    ];

    /// Every set that this CPU can run, the best set first.
    #[must_use]
    pub fn available() -> Vec<Isa> {
        Isa::ALL.iter().copied().filter(|isa| isa.missing().is_none()).collect()
    }

    /// A feature that the set needs and this CPU lacks.
    #[must_use]
    pub fn missing(self) -> Option<&'static str> {
        match self {
            Isa::Portable => None,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Avx2::missing(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Avx512::<false>::missing(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 => Avx512::<true>::missing(),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => Neon::<false>::missing(),
            #[cfg(target_arch = "aarch64")]
            Isa::NeonBf16 => Neon::<true>::missing(),
        }
    }

    /// The name of the set for users.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 => "avx512_bf16",
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => "neon",
            #[cfg(target_arch = "aarch64")]
            Isa::NeonBf16 => "neon_bf16",
        }
    }

    /// Whether the CPU itself multiplies bf16. Elsewhere, products of bf16 are possible, but slower than those of f32.
    #[must_use]
    pub fn multiplies_bf16(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 => true,
            #[cfg(target_arch = "aarch64")]
            Isa::NeonBf16 => true,
            _ => false,
        }
    }

    /// The width of a packed panel of a weight matrix.
    #[must_use]
    pub fn panel(self) -> usize {
        self.tile().1
    }

    /// Rows and columns of a full matrix tile.
    #[must_use]
    pub fn tile(self) -> (usize, usize) {
        fn of<S: Simd>() -> (usize, usize) {
            (S::TILE_ROWS, S::PANEL)
        }
        match self {
            Isa::Portable => of::<Portable>(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => of::<Avx2>(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Avx512Bf16 => of::<Avx512<true>>(),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon | Isa::NeonBf16 => of::<Neon<true>>(),
        }
    }

    /// Runs a kernel on this instruction set.
    ///
    /// # Safety
    /// As [`Kernel::run`]; `self` comes from [`Isa::available`].
    pub unsafe fn run<K: Kernel>(self, kernel: K) {
        match self {
            Isa::Portable => Portable.vectorize(kernel),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Avx2::assume().vectorize(kernel),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Avx512::<false>::assume().vectorize(kernel),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 => Avx512::<true>::assume().vectorize(kernel),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => Neon::<false>::assume().vectorize(kernel),
            #[cfg(target_arch = "aarch64")]
            Isa::NeonBf16 => Neon::<true>::assume().vectorize(kernel),
        }
    }
}

impl std::str::FromStr for Isa {
    type Err = String;

    fn from_str(name: &str) -> Result<Isa, String> {
        let expected = || format!("expected {}", Isa::ALL.iter().map(|isa| isa.name()).collect::<Vec<_>>().join(", "));
        Isa::ALL.iter().copied().find(|isa| isa.name() == name).ok_or_else(expected)
    }
}

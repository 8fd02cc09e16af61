//! Floating-point state of calls: round to nearest, no flush to zero, no traps. It replaces the state of the caller, so
//! that results are the same bits on every thread.

#[cfg(not(miri))]
use std::arch::asm;

/// Sets the standard state, and restores the state of the caller when dropped.
pub(crate) struct Standard(u64);

impl Standard {
    pub fn set() -> Standard {
        let callers = get();
        if callers != STANDARD {
            put(STANDARD);
        }
        Standard(callers)
    }
}

impl Drop for Standard {
    fn drop(&mut self) {
        if self.0 != STANDARD {
            put(self.0);
        }
    }
}

/// MXCSR with all exceptions masked, without the six low bits, which are sticky flags.
#[cfg(target_arch = "x86_64")]
const STANDARD: u64 = 0x1f80;
#[cfg(not(target_arch = "x86_64"))]
const STANDARD: u64 = 0;

#[cfg(all(target_arch = "x86_64", not(miri)))]
fn get() -> u64 {
    let mut state = 0u32;
    // SAFETY: the instruction stores the register.
    unsafe { asm!("stmxcsr [{}]", in(reg) &mut state, options(nostack, preserves_flags)) };
    u64::from(state & !0x3f)
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
fn put(state: u64) {
    let state = state as u32;
    // SAFETY: the state is the standard one, or one that the register had.
    unsafe { asm!("ldmxcsr [{}]", in(reg) &state, options(nostack, preserves_flags)) };
}

#[cfg(all(target_arch = "aarch64", not(miri)))]
fn get() -> u64 {
    let state: u64;
    // SAFETY: the instruction reads the register.
    unsafe { asm!("mrs {}, fpcr", out(reg) state, options(nomem, nostack, preserves_flags)) };
    state
}

#[cfg(all(target_arch = "aarch64", not(miri)))]
fn put(state: u64) {
    // SAFETY: the state is the standard one, or one that the register had.
    unsafe { asm!("msr fpcr, {}", in(reg) state, options(nomem, nostack, preserves_flags)) };
}

/// Miri has no floating-point register.
#[cfg(miri)]
fn get() -> u64 {
    STANDARD
}

#[cfg(miri)]
fn put(_: u64) {}

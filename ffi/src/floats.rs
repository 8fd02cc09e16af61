//! The floating-point state that calls compute in, whatever their caller's: round to nearest, nothing flushed to zero, no
//! traps. Results are the same bits on every thread.

#[cfg(not(miri))]
use std::arch::asm;

/// The standard state; dropped, it gives the caller theirs back.
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

/// Of MXCSR: all exceptions masked. Its low six bits are flags of what has happened, which are left out.
#[cfg(target_arch = "x86_64")]
const STANDARD: u64 = 0x1f80;
#[cfg(not(target_arch = "x86_64"))]
const STANDARD: u64 = 0;

#[cfg(all(target_arch = "x86_64", not(miri)))]
fn get() -> u64 {
    let mut state = 0u32;
    // SAFETY: stores the register.
    unsafe { asm!("stmxcsr [{}]", in(reg) &mut state, options(nostack, preserves_flags)) };
    u64::from(state & !0x3f)
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
fn put(state: u64) {
    let state = state as u32;
    // SAFETY: a state that is standard, or that the register had.
    unsafe { asm!("ldmxcsr [{}]", in(reg) &state, options(nostack, preserves_flags)) };
}

#[cfg(all(target_arch = "aarch64", not(miri)))]
fn get() -> u64 {
    let state: u64;
    // SAFETY: reads the register.
    unsafe { asm!("mrs {}, fpcr", out(reg) state, options(nomem, nostack, preserves_flags)) };
    state
}

#[cfg(all(target_arch = "aarch64", not(miri)))]
fn put(state: u64) {
    // SAFETY: a state that is standard, or that the register had.
    unsafe { asm!("msr fpcr, {}", in(reg) state, options(nomem, nostack, preserves_flags)) };
}

/// Miri has no such register.
#[cfg(miri)]
fn get() -> u64 {
    STANDARD
}

#[cfg(miri)]
fn put(_: u64) {}

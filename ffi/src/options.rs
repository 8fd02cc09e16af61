//! Structs that begin with their size and grow in later versions.

use crate::error::{Failure, Result};

/// A struct whose first field is its size in the version of the caller.
///
/// # Safety
/// The struct is plain data that is valid with any bits, and begins with a `u32` size.
pub(crate) unsafe trait Sized32: Copy {
    /// Defaults of the fields that the caller does not know.
    const INIT: Self;
    const NAME: &'static str;
}

/// Reads a struct of the caller. Missing fields have their defaults, and so have all fields if `options` is NULL.
///
/// # Safety
/// `options` is NULL or points to as many bytes as its `struct_size` says.
pub(crate) unsafe fn read<T: Sized32>(options: *const T) -> Result<T> {
    let mut all = T::INIT;
    if options.is_null() {
        return Ok(all);
    }
    // SAFETY: contract of callers: at least the size is readable.
    let size = unsafe { options.cast::<u32>().read_unaligned() } as usize;
    if !(8..=4096).contains(&size) {
        return Err(Failure::argument(format!(
            "{}.struct_size is {size}; begin with {}_INIT",
            T::NAME,
            T::NAME.to_uppercase()
        )));
    }
    let known = size.min(size_of::<T>());
    // SAFETY: contract of callers; plain data.
    unsafe { std::ptr::copy_nonoverlapping(options.cast::<u8>(), (&raw mut all).cast::<u8>(), known) };
    Ok(all)
}

/// Writes a struct of the caller, as far as its size reaches.
///
/// # Safety
/// `out` is NULL or points to as many writable bytes as its `struct_size` says.
pub(crate) unsafe fn fill<T: Sized32>(out: *mut T, fill: impl FnOnce(&mut T)) -> Result<()> {
    if out.is_null() {
        return Err(Failure::argument(format!("{} is null", T::NAME)));
    }
    // SAFETY: contract of callers.
    unsafe {
        let mut all = read(out)?;
        fill(&mut all);
        let known = (out.cast::<u32>().read_unaligned() as usize).min(size_of::<T>());
        std::ptr::copy_nonoverlapping((&raw const all).cast::<u8>(), out.cast::<u8>(), known);
    }
    Ok(())
}

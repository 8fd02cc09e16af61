//! Structs of options, which grow from version to version.

use crate::status::{Failure, Result};

/// A struct whose first field is its size as the caller knows it.
///
/// # Safety
/// Plain data, all of whose bits may be anything, beginning with a `u32` size.
pub(crate) unsafe trait Sized32: Copy {
    /// What the fields have that the caller does not know.
    const INIT: Self;
    const NAME: &'static str;
}

/// The caller's options, with the rest as they are by default; all of them where `options` is null.
///
/// # Safety
/// `options` is null or points at as many bytes as its `struct_size` says.
pub(crate) unsafe fn read<T: Sized32>(options: *const T) -> Result<T> {
    let mut all = T::INIT;
    if options.is_null() {
        return Ok(all);
    }
    // SAFETY: at least its size is there.
    let size = unsafe { options.cast::<u32>().read_unaligned() } as usize;
    if !(8..=4096).contains(&size) {
        return Err(Failure::argument(format!(
            "{}.struct_size is {size}; begin with {}_INIT",
            T::NAME,
            T::NAME.to_uppercase()
        )));
    }
    let known = size.min(size_of::<T>());
    // SAFETY: the caller's promise; plain data.
    unsafe { std::ptr::copy_nonoverlapping(options.cast::<u8>(), (&raw mut all).cast::<u8>(), known) };
    Ok(all)
}

/// Writes into the caller's struct, as much of it as they know.
///
/// # Safety
/// `out` is null or points at as many writable bytes as its `struct_size` says.
pub(crate) unsafe fn fill<T: Sized32>(out: *mut T, fill: impl FnOnce(&mut T)) -> Result<()> {
    if out.is_null() {
        return Err(Failure::argument(format!("{} is null", T::NAME)));
    }
    // SAFETY: the caller's promise, of both.
    unsafe {
        let mut all = read(out)?;
        fill(&mut all);
        let known = (out.cast::<u32>().read_unaligned() as usize).min(size_of::<T>());
        std::ptr::copy_nonoverlapping((&raw const all).cast::<u8>(), out.cast::<u8>(), known);
    }
    Ok(())
}

//! What callers pass: texts, and places for results.

use crate::status::{Failure, Result};
use std::ffi::{CStr, c_char};

/// A text of the caller's.
///
/// # Safety
/// Null or a C string.
pub(crate) unsafe fn text<'a>(name: &str, text: *const c_char) -> Result<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map(Some).map_err(|_| Failure::argument(format!("{name} is not UTF-8")))
}

/// A place for a result.
///
/// # Safety
/// Null or writable.
pub(crate) unsafe fn put<T>(name: &str, out: *mut T, value: impl FnOnce() -> Result<T>) -> Result<()> {
    if out.is_null() {
        return Err(Failure::argument(format!("{name} is null")));
    }
    let value = value()?;
    // SAFETY: the caller's promise.
    unsafe { out.write(value) };
    Ok(())
}

/// Copies a text, cut to its place with its end.
pub(crate) fn copy_text(to: &mut [c_char], text: &str) {
    let room = to.len() - 1;
    for (to, from) in to[..room].iter_mut().zip(text.bytes()) {
        *to = from as c_char;
    }
}

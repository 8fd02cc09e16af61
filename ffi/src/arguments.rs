//! What callers pass: texts, and places for results.

use crate::status::{Failure, Result};
use std::ffi::{CStr, c_char};
use std::path::Path;

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

/// A path. It may be any bytes on Unix, and is UTF-8 elsewhere. Fails where it is null.
///
/// # Safety
/// Null or a C string.
pub(crate) unsafe fn as_path<'a>(name: &str, path: *const c_char) -> Result<&'a Path> {
    if path.is_null() {
        return Err(Failure::argument(format!("{name} is null")));
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        // SAFETY: the caller's promise.
        Ok(Path::new(std::ffi::OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes())))
    }
    #[cfg(not(unix))]
    {
        // SAFETY: the caller's promise.
        Ok(Path::new(unsafe { text(name, path) }?.unwrap_or_default()))
    }
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

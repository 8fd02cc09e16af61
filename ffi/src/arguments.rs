//! Conversion of arguments: strings, paths and pointers for results.

use crate::error::{Failure, Result};
use std::ffi::{CStr, c_char};
use std::path::Path;

/// Converts a string of the caller.
///
/// # Safety
/// The string is NULL or ends with a NUL.
pub(crate) unsafe fn text<'a>(name: &str, text: *const c_char) -> Result<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: contract of callers.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map(Some).map_err(|_| Failure::argument(format!("{name} is not UTF-8")))
}

/// Converts a path of the caller: any bytes on Unix, UTF-8 elsewhere. Fails if it is NULL.
///
/// # Safety
/// The string is NULL or ends with a NUL.
pub(crate) unsafe fn as_path<'a>(name: &str, path: *const c_char) -> Result<&'a Path> {
    if path.is_null() {
        return Err(Failure::argument(format!("{name} is null")));
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        // SAFETY: contract of callers.
        Ok(Path::new(std::ffi::OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes())))
    }
    #[cfg(not(unix))]
    {
        // SAFETY: contract of callers.
        Ok(Path::new(unsafe { text(name, path) }?.unwrap_or_default()))
    }
}

/// Converts bytes of the caller. Fails if there are none.
///
/// # Safety
/// `data` is NULL or points to `size` bytes.
pub(crate) unsafe fn bytes<'a>(data: *const u8, size: usize) -> Result<&'a [u8]> {
    if data.is_null() || size == 0 || size > isize::MAX as usize {
        return Err(Failure::argument("no data"));
    }
    // SAFETY: contract of callers.
    Ok(unsafe { std::slice::from_raw_parts(data, size) })
}

/// Converts the index of a frame. The predictor reports an index that does not exist.
pub(crate) fn index(frame_idx: u64) -> usize {
    usize::try_from(frame_idx).unwrap_or(usize::MAX)
}

/// Writes a result to a pointer of the caller.
///
/// # Safety
/// `out` is NULL or writable.
pub(crate) unsafe fn put<T>(name: &str, out: *mut T, value: impl FnOnce() -> Result<T>) -> Result<()> {
    if out.is_null() {
        return Err(Failure::argument(format!("{name} is null")));
    }
    let value = value()?;
    // SAFETY: contract of callers.
    unsafe { out.write(value) };
    Ok(())
}

/// Copies a string, truncated to fit with its NUL.
pub(crate) fn copy_text(to: &mut [c_char], text: &str) {
    let room = to.len() - 1;
    for (to, from) in to[..room].iter_mut().zip(text.bytes()) {
        *to = from as c_char;
    }
}

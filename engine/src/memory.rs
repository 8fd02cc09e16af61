//! Allocations that may fail.
//!
//! Code that handles the failure of an allocation makes the request within [`fallible`]. An allocator can thus tell
//! such a request from a request of Rust's collections, which abort the process when they get no memory. When memory is
//! low, the allocator of the C interface refuses fallible requests and serves the other requests from a reserve.

use crate::error::{Error, Result};
use std::cell::Cell;
use std::collections::TryReserveError;

thread_local! {
    static FALLIBLE: Cell<bool> = const { Cell::new(false) };
}

/// Returns whether this thread handles the failure of its current request. The function is meant for allocators and
/// does not allocate.
#[must_use]
pub fn is_fallible() -> bool {
    FALLIBLE.get()
}

/// Runs `request`, and marks its allocations as those whose failure is handled.
pub fn fallible<T>(request: impl FnOnce() -> T) -> T {
    let before = FALLIBLE.replace(true);
    let result = request();
    FALLIBLE.set(before);
    result
}

/// Makes room for exactly `n` more values. After an error the vector is unchanged.
///
/// # Errors
///
/// [`TryReserveError`] if memory is exhausted.
pub fn try_reserve_exact<T>(v: &mut Vec<T>, n: usize) -> std::result::Result<(), TryReserveError> {
    fallible(|| v.try_reserve_exact(n))
}

/// Appends a value. After an error the vector is unchanged.
///
/// # Errors
///
/// [`Error::OutOfMemory`] if memory is exhausted.
pub fn try_push<T>(v: &mut Vec<T>, value: T, what: &'static str) -> Result<()> {
    if v.len() == v.capacity() {
        fallible(|| v.try_reserve(1)).map_err(|_| Error::OutOfMemory { what, bytes: 2 * v.len() * size_of::<T>() })?;
    }
    v.push(value);
    Ok(())
}

/// Appends a character. After an error the text is unchanged.
pub(crate) fn try_push_char(text: &mut String, c: char, what: &'static str) -> Result<()> {
    let bytes = c.len_utf8();
    if text.capacity() - text.len() < bytes {
        fallible(|| text.try_reserve(bytes)).map_err(|_| Error::OutOfMemory { what, bytes: 2 * text.len() })?;
    }
    text.push(c);
    Ok(())
}

/// Collects the first `n` values of an iterator into a vector.
///
/// # Errors
///
/// [`Error::OutOfMemory`] if memory is exhausted.
pub fn try_collect<T>(n: usize, what: &'static str, values: impl Iterator<Item = T>) -> Result<Vec<T>> {
    let mut v = try_with_capacity(n, what)?;
    v.extend(values.take(n));
    Ok(v)
}

/// Returns an empty vector with room for `n` values.
///
/// # Errors
///
/// [`Error::OutOfMemory`] if memory is exhausted.
pub fn try_with_capacity<T>(n: usize, what: &'static str) -> Result<Vec<T>> {
    let mut v = Vec::new();
    try_reserve_exact(&mut v, n).map_err(|_| Error::OutOfMemory { what, bytes: n.saturating_mul(size_of::<T>()) })?;
    Ok(v)
}

/// Returns a vector of `n` zeros.
///
/// # Errors
///
/// [`Error::OutOfMemory`] if memory is exhausted.
pub fn try_zeros<T: bytemuck::Zeroable + Clone>(n: usize, what: &'static str) -> Result<Vec<T>> {
    let mut v = try_with_capacity(n, what)?;
    v.resize(n, T::zeroed());
    Ok(v)
}

/// Returns a vector of the values `f(0)..f(n - 1)`.
pub(crate) fn try_from_fn(n: usize, what: &'static str, f: impl Fn(usize) -> f32) -> Result<Vec<f32>> {
    let mut v = try_zeros::<f32>(n, what)?;
    v.iter_mut().enumerate().for_each(|(i, x)| *x = f(i));
    Ok(v)
}

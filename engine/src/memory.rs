//! Allocations that may fail.
//!
//! A request for memory whose failure is handled is made within [`fallible`], so that an allocator can tell it from a request
//! of Rust's collections, which abort the process when they get no memory. The allocator of the C interface refuses the
//! former when memory is low, and serves the latter from a reserve.

use crate::error::{Error, Result};
use std::cell::Cell;
use std::collections::TryReserveError;

thread_local! {
    static FALLIBLE: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread handles the failure of the request that it makes now. For an allocator: it does not allocate.
pub fn is_fallible() -> bool {
    FALLIBLE.get()
}

/// Requests memory, and handles that there is none.
pub fn fallible<T>(request: impl FnOnce() -> T) -> T {
    let before = FALLIBLE.replace(true);
    let result = request();
    FALLIBLE.set(before);
    result
}

/// Makes room for `n` more values and no more; the vector is as it was where there is no memory.
pub fn try_reserve_exact<T>(v: &mut Vec<T>, n: usize) -> std::result::Result<(), TryReserveError> {
    fallible(|| v.try_reserve_exact(n))
}

/// Appends a value; the vector is as it was where there is no memory.
pub fn try_push<T>(v: &mut Vec<T>, value: T, what: &'static str) -> Result<()> {
    if v.len() == v.capacity() {
        fallible(|| v.try_reserve(1)).map_err(|_| Error::OutOfMemory { what, bytes: 2 * v.len() * size_of::<T>() })?;
    }
    v.push(value);
    Ok(())
}

/// A vector of the first `n` values of an iterator.
pub fn try_collect<T>(n: usize, what: &'static str, values: impl Iterator<Item = T>) -> Result<Vec<T>> {
    let mut v = try_with_capacity(n, what)?;
    v.extend(values.take(n));
    Ok(v)
}

/// An empty vector with room for `n` values.
pub fn try_with_capacity<T>(n: usize, what: &'static str) -> Result<Vec<T>> {
    let mut v = Vec::new();
    try_reserve_exact(&mut v, n).map_err(|_| Error::OutOfMemory { what, bytes: n.saturating_mul(size_of::<T>()) })?;
    Ok(v)
}

/// A vector of `n` zeros.
pub fn try_zeros<T: bytemuck::Zeroable + Clone>(n: usize, what: &'static str) -> Result<Vec<T>> {
    let mut v = try_with_capacity(n, what)?;
    v.resize(n, T::zeroed());
    Ok(v)
}

/// A vector of `f(0)..f(n - 1)`.
pub(crate) fn try_from_fn(n: usize, what: &'static str, f: impl Fn(usize) -> f32) -> Result<Vec<f32>> {
    let mut v = try_zeros::<f32>(n, what)?;
    v.iter_mut().enumerate().for_each(|(i, x)| *x = f(i));
    Ok(v)
}

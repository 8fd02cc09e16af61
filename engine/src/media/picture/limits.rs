//! The limits of image files, and the reasons for refusing a file.

use crate::error::{Error, Result};
use crate::media::frame::MAX_SIDE;
use crate::memory::try_zeros;

/// The largest number of pixels of a file: 512 MiB as RGB. A file with more pixels is treated as an attack.
pub(crate) const MAX_PIXELS: usize = 1 << 27;

/// The reason for refusing an image.
pub(crate) enum Refusal {
    Damaged(String),
    OutOfMemory(usize),
}

impl Refusal {
    /// Returns the error for an image that messages call `name`.
    pub(crate) fn of(self, name: &str) -> Error {
        match self {
            Refusal::Damaged(what) => Error::Picture { name: name.into(), what },
            Refusal::OutOfMemory(bytes) => Error::OutOfMemory { what: "a picture", bytes },
        }
    }
}

impl From<String> for Refusal {
    fn from(what: String) -> Self {
        Refusal::Damaged(what)
    }
}

impl From<&str> for Refusal {
    fn from(what: &str) -> Self {
        Refusal::Damaged(what.into())
    }
}

/// Refuses an image without pixels, and an image that is larger than the limits.
pub(crate) fn check_size(width: usize, height: usize) -> Result<(), Refusal> {
    if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE || width * height > MAX_PIXELS {
        return Err(format!("{width}x{height} pixels; a side may have {MAX_SIDE}, a picture {MAX_PIXELS}").into());
    }
    Ok(())
}

/// Allocates `n` zeros for an image.
pub(crate) fn zeros<T: bytemuck::Zeroable + Clone>(n: usize) -> Result<Vec<T>, Refusal> {
    try_zeros(n, "a picture").map_err(|_| Refusal::OutOfMemory(n.saturating_mul(size_of::<T>())))
}

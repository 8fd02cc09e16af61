//! Reading image files.

use super::decoded::{Picture, ReadOptions};
use super::kinds::{decoder, samples};
use super::samples::Notes;
use crate::error::{Error, Result};
use crate::memory::try_reserve_exact;
use std::io::Read;
use std::path::Path;

/// The largest number of bytes of a file.
const MAX_BYTES: u64 = 1 << 30;
/// The number of bytes that identify the format of a file.
const HEAD: u64 = 64;

/// Reads a PNG, JPEG, WebP, BMP, TIFF, GIF or PNM file. The format is detected from the content of the file. Of an
/// animation, the first frame is read. A damaged or shortened file is an error.
///
/// The pixels are those of Pillow's `convert("RGB")`: palettes are looked up, alpha is dropped, and colour profiles are
/// not applied. Of 16 bits the upper 8 are kept. Pixels stay as they are stored. An EXIF orientation other than 1 is
/// logged as a warning, and so is a 16-bit file that has only small values. [`read_with`] has options for both.
///
/// # Errors
///
/// [`Error::Io`] if the file cannot be read. [`Error::Picture`] if it is damaged, too large, or of an unknown kind.
/// [`Error::OutOfMemory`] if memory is exhausted.
pub fn read(path: impl AsRef<Path>) -> Result<Picture> {
    read_with(path, &ReadOptions::default())
}

/// Reads a file as [`read`] does, with options.
///
/// # Errors
///
/// As [`read`]. [`Error::Input`] if an option is out of its range.
pub fn read_with(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Picture> {
    let path = path.as_ref();
    options.check()?;
    decode_with(&path.display().to_string(), &read_file(path)?, options)
}

/// Decodes a file in memory as [`read`] does. Messages call the file `name`.
///
/// # Errors
///
/// [`Error::Picture`] if the file is damaged, too large, or of an unknown kind. [`Error::OutOfMemory`] if memory is
/// exhausted.
pub fn decode(name: &str, bytes: &[u8]) -> Result<Picture> {
    decode_with(name, bytes, &ReadOptions::default())
}

/// Decodes a file in memory as [`decode`] does, with options.
///
/// # Errors
///
/// As [`decode`]. [`Error::Input`] if an option is out of its range.
pub fn decode_with(name: &str, bytes: &[u8], options: &ReadOptions) -> Result<Picture> {
    let (picture, notes) = decode_noted(name, bytes, options)?;
    notes.iter().for_each(|note| log::warn!("{name}: {note}"));
    Ok(picture)
}

/// Decodes a file as [`decode_with`] does, and returns the warnings instead of logging them.
pub(crate) fn decode_noted(name: &str, bytes: &[u8], options: &ReadOptions) -> Result<(Picture, Notes)> {
    options.check()?;
    samples(bytes).and_then(|samples| samples.picture(options)).map_err(|refusal| refusal.of(name))
}

/// Reads the bytes of a file. If the file is not an image, only the first bytes are read.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>> {
    let failed = |e| Error::io(path, e);
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    (&mut file).take(HEAD).read_to_end(&mut bytes).map_err(failed)?;
    if decoder(&bytes).is_some() {
        let size = file.metadata().map_err(failed)?.len().min(MAX_BYTES) as usize;
        try_reserve_exact(&mut bytes, size).map_err(|_| Error::OutOfMemory { what: "a file", bytes: size })?;
        let read = file.take(MAX_BYTES - HEAD).read_to_end(&mut bytes).map_err(failed)?;
        if read as u64 == MAX_BYTES - HEAD {
            let what = format!("the file is larger than {MAX_BYTES} bytes");
            return Err(Error::Picture { name: path.display().to_string(), what });
        }
    }
    Ok(bytes)
}

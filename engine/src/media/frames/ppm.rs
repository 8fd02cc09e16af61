//! Images as `ffmpeg` writes them, one after another: a line `P6`, width and height, `255`, and bytes as RGB.

use crate::error::{Error, Result};
use crate::memory::try_zeros;
use std::io::{self, BufRead, Read};

/// The largest number of bytes of a header.
const HEADER: u64 = 64;

/// Reads the width and height of the next image. Returns `None` at the end.
pub(super) fn header(from: &mut impl BufRead) -> io::Result<Option<(usize, usize)>> {
    let (mut text, mut from) = (Vec::new(), from.take(HEADER));
    for _ in 0..3 {
        if from.read_until(b'\n', &mut text)? == 0 {
            return match text.len() as u64 {
                0 => Ok(None),
                HEADER => Err(io::ErrorKind::InvalidData.into()),
                _ => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        }
    }
    let text = String::from_utf8_lossy(&text);
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    match (&fields[..], text.ends_with('\n')) {
        (["P6", width, height, "255"], true) => match (width.parse(), height.parse()) {
            (Ok(width), Ok(height)) => Ok(Some((width, height))),
            _ => Err(io::ErrorKind::InvalidData.into()),
        },
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Reads the pixels after a header. The inner result is an error if the pixels end early.
pub(super) fn pixels(from: &mut impl Read, (width, height): (usize, usize)) -> Result<io::Result<Vec<u8>>> {
    let bytes = width.checked_mul(height).and_then(|n| n.checked_mul(3));
    let bytes = bytes.ok_or(Error::OutOfMemory { what: "a frame", bytes: usize::MAX })?;
    let mut pixels = try_zeros::<u8>(bytes, "a frame")?;
    Ok(from.read_exact(&mut pixels).map(|()| pixels))
}

/// Skips the pixels after a header.
pub(super) fn skip(from: &mut impl Read, (width, height): (usize, usize)) -> io::Result<()> {
    let bytes = width as u64 * height as u64 * 3;
    match io::copy(&mut from.take(bytes), &mut io::sink())? {
        n if n == bytes => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_in_a_row() {
        let mut stream = &b"P6\n2 1\n255\nabcdefP6\n1 1\n255\n\n\n\nP6\n1 2\n255\nxyz"[..];
        assert_eq!(header(&mut stream).unwrap(), Some((2, 1)));
        assert_eq!(pixels(&mut stream, (2, 1)).unwrap().unwrap(), b"abcdef");
        assert_eq!(header(&mut stream).unwrap(), Some((1, 1)));
        skip(&mut stream, (1, 1)).unwrap();
        assert_eq!(header(&mut stream).unwrap(), Some((1, 2)));
        assert!(pixels(&mut { stream }, (1, 2)).unwrap().is_err() && skip(&mut stream, (1, 2)).is_err());
        assert_eq!(header(&mut stream).unwrap(), None);
    }

    #[test]
    fn no_header() {
        for text in ["P6\n2 1\n255", "P6\n2\n", "P5\n2 1\n255\n", "P6\n2 -1\n255\n", "P6\n2 1\n65535\n", "text"] {
            assert!(header(&mut text.as_bytes()).is_err(), "{text:?}");
        }
        let long = format!("P6\n{:070} 1\n255\n", 1);
        assert!(header(&mut long.as_bytes()).is_err());
    }
}

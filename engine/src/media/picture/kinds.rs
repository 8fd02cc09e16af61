//! The formats of image files, which are told apart by the first bytes of a file.

use super::limits::Refusal;
use super::samples::Samples;
use super::{bitmaps, jpeg, png, tiff};
use crate::error::Result;

/// The formats that are read, for messages.
const KINDS: &str = "PNG, JPEG, WebP, BMP, TIFF, GIF nor PNM";

/// The extensions of the formats that are read, in lower case. A folder may have images of several formats. Its frames
/// are then the images of the format that comes first here.
pub const SUFFIXES: [&[&str]; 7] = [
    &["jpg", "jpeg", "jpe", "jfif"],
    &["png", "apng"],
    &["webp"],
    &["bmp"],
    &["tif", "tiff"],
    &["ppm", "pgm", "pbm", "pnm", "pam"],
    &["gif"],
];

/// Decodes the samples of a file.
pub(crate) fn samples(bytes: &[u8]) -> Result<Samples, Refusal> {
    decoder(bytes).ok_or_else(|| unreadable(bytes))?(bytes)
}

/// A function that decodes the files of one format.
type Decoder = fn(&[u8]) -> Result<Samples, Refusal>;

/// Returns the decoder of a file that begins with these bytes.
pub(super) fn decoder(bytes: &[u8]) -> Option<Decoder> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some(png::decode),
        [0xff, 0xd8, ..] => Some(jpeg::decode),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(bitmaps::webp),
        [b'G', b'I', b'F', b'8', ..] => Some(bitmaps::gif),
        [b'B', b'M', ..] => Some(bitmaps::bmp),
        [b'P', b'1'..=b'7', b'\t' | b'\n' | b'\r' | b' ' | b'#', ..] => Some(bitmaps::pnm),
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some(tiff::decode),
        _ => None,
    }
}

/// Returns the message about a file of another format.
fn unreadable(bytes: &[u8]) -> String {
    let kind = match bytes {
        [] => return "the file is empty".into(),
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => match brand.get(..4) {
            Some(b"avif" | b"avis") => "an AVIF",
            Some(b"heic" | b"heix" | b"hevc" | b"heim" | b"heis" | b"mif1" | b"msf1") => "a HEIC",
            _ => "a video or another file of the MP4 family",
        },
        [0xff, 0x0a, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => "a JPEG XL",
        [0, 0, 0, 12, b'j', b'P', ..] | [0xff, 0x4f, 0xff, 0x51, ..] => "a JPEG 2000",
        [b'8', b'B', b'P', b'S', ..] => "a Photoshop",
        _ => return format!("neither {KINDS}"),
    };
    format!("{kind} file, which is not read; convert it to PNG or JPEG, as ImageMagick does: magick FILE out.png")
}

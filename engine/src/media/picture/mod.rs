//! Image files: reads PNG, JPEG, WebP, BMP, TIFF, GIF and PNM, and writes PNG.

mod bitmaps;
mod decoded;
mod jpeg;
mod kinds;
mod limits;
pub(crate) mod orientation;
mod png;
mod reader;
pub(crate) mod samples;
#[cfg(test)]
mod tests;
mod tiff;
mod writer;

pub use decoded::{Picture, ReadOptions};
pub use kinds::SUFFIXES;
pub(crate) use kinds::samples;
pub(crate) use limits::{MAX_PIXELS, Refusal, zeros};
pub use reader::{decode, decode_with, read, read_with};
pub(crate) use reader::{decode_noted, read_file};
pub use writer::encode_png;
pub(crate) use writer::png_of;

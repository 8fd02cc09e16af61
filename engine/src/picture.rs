//! Picture files: PNG, JPEG, WebP, BMP, TIFF, GIF and PNM in, PNG out.

mod bitmaps;
mod jpeg;
pub(crate) mod orientation;
mod png;
pub(crate) mod samples;
mod tiff;

use crate::error::{Error, Result};
use crate::format::PixelFormat;
use crate::frame::{Frame, MAX_SIDE};
use crate::memory::{try_reserve_exact, try_zeros};
use samples::{Notes, Samples};
use std::io::Read;
use std::path::Path;

/// The most pixels of a file, 512 MiB as RGB: beyond it, a file is taken for an attack.
pub(crate) const MAX_PIXELS: usize = 1 << 27;

/// The most bytes of a file, and those that tell its kind.
const MAX_BYTES: u64 = 1 << 30;
const HEAD: u64 = 64;

/// What is read, for messages.
const KINDS: &str = "PNG, JPEG, WebP, BMP, TIFF, GIF nor PNM";

/// The extensions of the formats that are read, in lower case. Where a folder has pictures of several formats, its frames are
/// those of the first.
pub const SUFFIXES: [&[&str]; 7] = [
    &["jpg", "jpeg", "jpe", "jfif"],
    &["png", "apng"],
    &["webp"],
    &["bmp"],
    &["tif", "tiff"],
    &["ppm", "pgm", "pbm", "pnm", "pam"],
    &["gif"],
];

/// A decoded picture: 8-bit rows without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The pixels.
    pub pixels: Vec<u8>,
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// `Rgb8` or `Gray8`.
    pub format: PixelFormat,
}

impl Picture {
    /// The picture as an argument.
    pub fn frame(&self) -> Result<Frame<'_>> {
        let stride = self.format.row_bytes(0, self.width);
        Frame::new(self.format, &self.pixels, self.width, self.height, stride)
    }
}

/// How a picture file is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Turn the picture as its EXIF orientation says, as viewers do; points, boxes and masks are then on the upright
    /// picture. Otherwise pixels stay as they are stored.
    pub upright: bool,
    /// The bits of the values in a 16-bit file, 8 to 16, as 12 of many cameras: the upper 8 of them are kept, so that
    /// the value `(1 << bit_depth) - 1` becomes 255. A larger value is an error. Files of 8 bits are read as always, and
    /// so are PNM files, which state their largest value. None: 16.
    pub bit_depth: Option<u8>,
}

impl ReadOptions {
    fn check(&self) -> Result<()> {
        match self.bit_depth {
            Some(bits) if !(8..=16).contains(&bits) => Err(Error::Input(format!("bit depth {bits}: expected 8 to 16"))),
            _ => Ok(()),
        }
    }
}

/// Reads a PNG, JPEG, WebP, BMP, TIFF, GIF or PNM file, known by its content; of an animation, the first frame. A damaged
/// or shortened file is an error.
///
/// Pixels are those of Pillow's `convert("RGB")`: palettes are looked up, alpha is dropped, colour profiles are not
/// applied. Of 16 bits the upper 8 are kept. Pixels stay as they are stored; an EXIF orientation other than 1 is logged as
/// a warning, and so is a 16-bit file that holds small values only. [`read_with`] has options for both.
pub fn read(path: impl AsRef<Path>) -> Result<Picture> {
    read_with(path, &ReadOptions::default())
}

/// As [`read`], with options.
pub fn read_with(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Picture> {
    let path = path.as_ref();
    options.check()?;
    decode_with(&path.display().to_string(), &read_file(path)?, options)
}

/// As [`read`], of a file in memory; `name` is for messages.
pub fn decode(name: &str, bytes: &[u8]) -> Result<Picture> {
    decode_with(name, bytes, &ReadOptions::default())
}

/// As [`decode`], with options.
pub fn decode_with(name: &str, bytes: &[u8], options: &ReadOptions) -> Result<Picture> {
    let (picture, notes) = decode_noted(name, bytes, options)?;
    notes.iter().for_each(|note| log::warn!("{name}: {note}"));
    Ok(picture)
}

/// As [`decode_with`], with its warnings instead of logging them.
pub(crate) fn decode_noted(name: &str, bytes: &[u8], options: &ReadOptions) -> Result<(Picture, Notes)> {
    options.check()?;
    samples(bytes).and_then(|samples| samples.picture(options)).map_err(|refusal| refusal.of(name))
}

/// The bytes of a file. Of a file that is no picture only the first are read.
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

/// What a file stores.
pub(crate) fn samples(bytes: &[u8]) -> Result<Samples, Refusal> {
    decoder(bytes).ok_or_else(|| unreadable(bytes))?(bytes)
}

type Decoder = fn(&[u8]) -> Result<Samples, Refusal>;

/// What decodes a file that begins so.
fn decoder(bytes: &[u8]) -> Option<Decoder> {
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

/// What to say of a file of another kind.
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

/// Why a picture is not read.
pub(crate) enum Refusal {
    Damaged(String),
    OutOfMemory(usize),
}

impl Refusal {
    /// The error, of a picture known as `name`.
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

pub(crate) fn check_size(width: usize, height: usize) -> Result<(), Refusal> {
    if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE || width * height > MAX_PIXELS {
        return Err(format!("{width}x{height} pixels; a side may have {MAX_SIDE}, a picture {MAX_PIXELS}").into());
    }
    Ok(())
}

pub(crate) fn zeros<T: bytemuck::Zeroable + Clone>(n: usize) -> Result<Vec<T>, Refusal> {
    try_zeros(n, "a picture").map_err(|_| Refusal::OutOfMemory(n.saturating_mul(size_of::<T>())))
}

/// Encodes 8-bit rows without gaps, gray or RGB, as PNG.
pub fn encode_png(picture: &Picture) -> Result<Vec<u8>> {
    let color = match picture.format {
        PixelFormat::Gray8 => ::png::ColorType::Grayscale,
        PixelFormat::Rgb8 => ::png::ColorType::Rgb,
        other => return Err(Error::input(format!("a PNG of {other:?}"))),
    };
    png_of(&picture.pixels, picture.width, picture.height, (color, ::png::BitDepth::Eight), None)
}

/// Encodes numbers (height, width) as a PNG with the colours that the data sets of video segmentation use for them.
pub fn encode_indexed_png(numbers: &[u8], width: usize, height: usize) -> Result<Vec<u8>> {
    crate::labels::encode(numbers, width, height, &crate::labels::palette())
}

pub(crate) fn png_of(
    pixels: &[u8],
    width: usize,
    height: usize,
    (color, depth): (::png::ColorType, ::png::BitDepth),
    palette: Option<Vec<u8>>,
) -> Result<Vec<u8>> {
    let failed = |e: ::png::EncodingError| Error::Picture { name: "PNG".into(), what: e.to_string() };
    let mut out = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut out, width as u32, height as u32);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if let Some(palette) = palette {
        encoder.set_palette(palette);
    }
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(pixels).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(out)
}

#[cfg(test)]
mod tests;

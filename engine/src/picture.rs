//! Picture files: PNG and JPEG in, PNG out.

mod jpeg;

use crate::error::{Error, Result};
use crate::format::PixelFormat;
use crate::frame::{Frame, MAX_SIDE};
use std::path::Path;

/// The most pixels of a file, 512 MiB as RGB: beyond it, a file is taken for an attack.
pub(crate) const MAX_PIXELS: usize = 1 << 27;

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

/// Reads a PNG or JPEG file, known by its content. A damaged or shortened file is an error.
pub fn read(path: impl AsRef<Path>) -> Result<Picture> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    decode(&path.display().to_string(), &bytes)
}

/// As [`read`], of a file in memory; `name` is for messages.
pub fn decode(name: &str, bytes: &[u8]) -> Result<Picture> {
    let picture = if bytes.starts_with(b"\x89PNG") {
        decode_png(bytes)
    } else if bytes.starts_with(b"\xff\xd8") {
        jpeg::decode(bytes)
    } else {
        Err("neither PNG nor JPEG".into())
    };
    picture.map_err(|refusal| refusal.of(name))
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

pub(crate) fn buffer(n: usize) -> Result<Vec<u8>, Refusal> {
    let mut v = Vec::new();
    v.try_reserve_exact(n).map_err(|_| Refusal::OutOfMemory(n))?;
    v.resize(n, 0);
    Ok(v)
}

fn decode_png(bytes: &[u8]) -> Result<Picture, Refusal> {
    let limits = png::Limits { bytes: 4 * MAX_PIXELS };
    let mut decoder = png::Decoder::new_with_limits(std::io::Cursor::new(bytes), limits);
    // To 8 bits, palettes looked up; transparency stays, to be dropped below as Pillow's convert("RGB") drops it.
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    decoder.set_ignore_text_chunk(true);
    let damaged = |e: png::DecodingError| format!("damaged PNG: {e}");
    let mut reader = decoder.read_info().map_err(damaged)?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    check_size(width, height)?;
    let mut pixels = buffer(reader.output_buffer_size().ok_or("a PNG too large")?)?;
    let info = reader.next_frame(&mut pixels).map_err(damaged)?;
    reader.finish().map_err(damaged)?;
    pixels.truncate(info.buffer_size());
    let (keep, of, format) = match info.color_type {
        png::ColorType::Grayscale => (1, 1, PixelFormat::Gray8),
        png::ColorType::GrayscaleAlpha => (1, 2, PixelFormat::Gray8),
        png::ColorType::Rgb => (3, 3, PixelFormat::Rgb8),
        png::ColorType::Rgba => (3, 4, PixelFormat::Rgb8),
        png::ColorType::Indexed => return Err("a PNG whose palette is missing".into()),
    };
    if keep != of {
        for i in 0..width * height {
            pixels.copy_within(i * of..i * of + keep, i * keep);
        }
        pixels.truncate(width * height * keep);
    }
    Ok(Picture { pixels, width, height, format })
}

/// Encodes 8-bit rows without gaps, gray or RGB, as PNG.
pub fn encode_png(picture: &Picture) -> Result<Vec<u8>> {
    let color = match picture.format {
        PixelFormat::Gray8 => png::ColorType::Grayscale,
        PixelFormat::Rgb8 => png::ColorType::Rgb,
        other => return Err(Error::input(format!("a PNG of {other:?}"))),
    };
    png_of(&picture.pixels, picture.width, picture.height, (color, png::BitDepth::Eight), None)
}

/// Encodes numbers (height, width) as a PNG with the colours that the data sets of video segmentation use for them.
pub fn encode_indexed_png(numbers: &[u8], width: usize, height: usize) -> Result<Vec<u8>> {
    crate::labels::encode(numbers, width, height, &crate::labels::palette())
}

pub(crate) fn png_of(
    pixels: &[u8],
    width: usize,
    height: usize,
    (color, depth): (png::ColorType, png::BitDepth),
    palette: Option<Vec<u8>>,
) -> Result<Vec<u8>> {
    let failed = |e: png::EncodingError| Error::Picture { name: "PNG".into(), what: e.to_string() };
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width as u32, height as u32);
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

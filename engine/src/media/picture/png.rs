//! PNG files.

use super::limits::{MAX_PIXELS, Refusal, check_size, zeros};
use super::orientation::Orientation;
use super::samples::{Samples, Values};
use png::{BitDepth, ColorType, Transformations};

/// Reads the first image of a file as it is stored. The transparency of a palette or of a colour is not read.
///
/// An `sBIT` chunk has no effect. It states how many bits of the values are exact, while the values use all bits of the
/// file.
pub(super) fn decode(bytes: &[u8]) -> Result<Samples, Refusal> {
    let limits = png::Limits { bytes: 4 * MAX_PIXELS };
    let mut decoder = png::Decoder::new_with_limits(std::io::Cursor::new(bytes), limits);
    decoder.set_transformations(Transformations::IDENTITY);
    decoder.set_ignore_text_chunk(true);
    // A profile is not applied, and may be half a gigabyte when it is unpacked.
    decoder.set_ignore_iccp_chunk(true);
    let damaged = |e: png::DecodingError| format!("damaged PNG: {e}");
    let mut reader = decoder.read_info().map_err(damaged)?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    check_size(width, height)?;
    let (color, depth) = reader.output_color_type();
    let palette = reader.info().palette.as_ref().map(|palette| palette.to_vec());
    if color == ColorType::Indexed && palette.is_none() {
        return Err("a PNG whose palette is missing".into());
    }
    let size = reader.output_buffer_size().ok_or("a PNG too large")?;
    let values = if depth == BitDepth::Sixteen {
        let mut values = zeros(size / 2)?;
        reader.next_frame(bytemuck::cast_slice_mut(&mut values)).map_err(damaged)?;
        values.iter_mut().for_each(|v| *v = u16::from_be(*v));
        Values::Words { values, scaled: false }
    } else {
        let mut packed = zeros(size)?;
        let stride = reader.next_frame(&mut packed).map_err(damaged)?.line_size;
        let bits = depth as u8;
        let values = if bits == 8 { packed } else { unpack(&packed, stride, (width, height), bits)? };
        Values::Bytes { values, bits }
    };
    // The end of the file, and EXIF blocks behind the pixels.
    reader.finish().map_err(damaged)?;
    let exif = reader.info().exif_metadata.as_deref();
    Ok(Samples {
        width,
        height,
        channels: color.samples(),
        values,
        palette: palette.filter(|_| color == ColorType::Indexed),
        orientation: exif.map_or(Orientation::UPRIGHT, Orientation::of_exif),
        lossy: false,
    })
}

/// Unpacks values of fewer than 8 bits to one byte each. The first pixel of a byte is in the highest bits.
pub(super) fn unpack(
    packed: &[u8],
    stride: usize,
    (width, height): (usize, usize),
    bits: u8,
) -> Result<Vec<u8>, Refusal> {
    let bits = usize::from(bits);
    let mut values = zeros(width * height)?;
    for (row, packed) in values.chunks_mut(width).zip(packed.chunks(stride)) {
        for (x, value) in row.iter_mut().enumerate() {
            let byte = u32::from(packed[x * bits / 8]);
            *value = (byte << (x * bits % 8) & 0xff) as u8 >> (8 - bits);
        }
    }
    Ok(values)
}

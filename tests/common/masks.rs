//! Masks in every format, computed from logits by plain loops.

use sam2::{FrameMasks, MaskBuffer, MaskFormat, MaskMemory, Size};

pub const FORMATS: [MaskFormat; 4] = [MaskFormat::Binary, MaskFormat::Bits, MaskFormat::Logits, MaskFormat::Labels];

/// Logits (masks, height, width) as `format`. Pixels above `threshold` are on the object.
pub fn formed(
    logits: &[f32],
    Size { width, height }: Size,
    threshold: f32,
    format: MaskFormat,
    flipped: bool,
) -> Vec<u8> {
    let pixels = height * width;
    let masks = logits.len() / pixels;
    let line = |y: usize| if flipped { height - 1 - y } else { y };
    let mut out = Vec::new();
    if format == MaskFormat::Labels {
        for i in (0..height).flat_map(|y| (0..width).map(move |x| line(y) * width + x)) {
            let (mut label, mut highest) = (0u16, threshold);
            for k in 0..masks {
                if logits[k * pixels + i] > highest {
                    (label, highest) = (k as u16 + 1, logits[k * pixels + i]);
                }
            }
            out.extend(label.to_ne_bytes());
        }
        return out;
    }
    for mask in logits.chunks(pixels) {
        for row in (0..height).map(|y| &mask[line(y) * width..][..width]) {
            match format {
                MaskFormat::Logits => row.iter().for_each(|v| out.extend(v.to_ne_bytes())),
                MaskFormat::Binary => out.extend(row.iter().map(|v| (*v > threshold) as u8)),
                _ => {
                    let mut bits = vec![0u8; width.div_ceil(8)];
                    (0..width).filter(|&x| row[x] > threshold).for_each(|x| bits[x / 8] |= 0x80 >> (x % 8));
                    out.extend(bits);
                }
            }
        }
    }
    out
}

/// Pixels on both masks per pixel on either; 1 where both are empty.
pub fn iou(pixels: impl Iterator<Item = (bool, bool)>) -> f64 {
    let (both, any) = pixels.fold((0, 0), |(both, any), (a, b)| (both + u32::from(a && b), any + u32::from(a || b)));
    if any == 0 { 1.0 } else { f64::from(both) / f64::from(any) }
}

/// The number of pixels of a mask above a threshold, and left, top, right and bottom of these pixels.
pub fn measured(mask: &[f32], width: usize, threshold: f32) -> (u64, [i32; 4]) {
    let on: Vec<usize> = (0..mask.len()).filter(|&i| mask[i] > threshold).collect();
    let x = || on.iter().map(|i| (i % width) as i32);
    let (Some(&first), Some(&last)) = (on.first(), on.last()) else { return (0, [0; 4]) };
    (on.len() as u64, [x().min().unwrap(), (first / width) as i32, x().max().unwrap(), (last / width) as i32])
}

/// Checks that the areas and boxes of a frame are those of `masks`.
pub fn assert_measured(what: &str, got: &FrameMasks, masks: &[f32], Size { width, height }: Size) {
    assert_eq!(masks.len(), got.obj_ids.len() * height * width, "{what}");
    let want: Vec<_> = masks.chunks(height * width).map(|mask| measured(mask, width, 0.0)).collect();
    let got: Vec<_> = got.areas.iter().copied().zip(got.boxes.iter().copied()).collect();
    assert_eq!(got, want, "{what}");
}

/// What [`Room`] is filled with.
pub const NINE: u8 = 9;

/// A label map whose values are those of `ids`, made of a label map by place.
pub fn with_ids(labels: &[u8], ids: &[i64], format: MaskFormat) -> Vec<u8> {
    let mut out = Vec::new();
    for label in labels.chunks(2).map(|b| u16::from_ne_bytes([b[0], b[1]])) {
        let id = if label == 0 { 0 } else { ids[label as usize - 1] };
        match format {
            MaskFormat::Ids8 => out.push(u8::try_from(id).unwrap()),
            _ => out.extend(u16::try_from(id).unwrap().to_ne_bytes()),
        }
    }
    out
}

/// Masks with space between rows and between planes, which is filled with nines.
pub fn spread(packed: &[u8], row_bytes: usize, height: usize, [row, plane]: [usize; 2]) -> Vec<u8> {
    let mut out = Vec::new();
    for (i, from) in packed.chunks(row_bytes).enumerate() {
        let at = i / height * plane + i % height * row;
        out.resize(at, NINE);
        out.extend(from);
    }
    out
}

/// Memory on the host for masks of any format, aligned for all and filled with nines.
pub struct Room {
    words: Vec<u32>,
    bytes: usize,
}

impl Room {
    pub fn new(format: MaskFormat, masks: usize, size: Size) -> Room {
        Room::of(format.bytes(masks, size))
    }

    /// Memory of this many bytes.
    pub fn of(bytes: usize) -> Room {
        Room { words: vec![0x0909_0909; bytes.div_ceil(4)], bytes }
    }

    /// Another length.
    pub fn cut(&mut self, bytes: usize) {
        assert!(bytes <= self.words.len() * 4);
        self.bytes = bytes;
    }

    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.bytes]
    }

    pub fn buffer(&mut self, format: MaskFormat, flipped: bool) -> MaskBuffer<'_> {
        let bytes = &mut bytemuck::cast_slice_mut(&mut self.words)[..self.bytes];
        let buffer = match format {
            MaskFormat::Binary => MaskBuffer::binary(bytes),
            MaskFormat::Bits => MaskBuffer::bits(bytes),
            MaskFormat::Logits => MaskBuffer::logits(bytemuck::cast_slice_mut(bytes)),
            MaskFormat::Labels => MaskBuffer::labels(bytemuck::cast_slice_mut(bytes)),
            MaskFormat::Ids8 | MaskFormat::Ids16 => MaskBuffer::new(format, MaskMemory::Host(bytes)).unwrap(),
        };
        if flipped { buffer.flipped() } else { buffer }
    }
}

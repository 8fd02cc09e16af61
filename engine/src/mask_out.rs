//! Masks on their way out: what they are written as, and where to.

use crate::error::{Error, Result};
use crate::frame::DeviceSlice;

/// What masks are written as, one after another, rows from the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MaskFormat {
    /// (masks, height, width) u8: 1 on the object, else 0.
    Binary,
    /// (masks, height, width / 8, rounded up) u8: a bit a pixel, the first in the highest, 0 beyond the width, as
    /// `numpy.packbits` lays them.
    Bits,
    /// (masks, height, width) f32: logits.
    Logits,
    /// (height, width) u16, one map of all masks: 0 where there is none, else 1 + the place of the mask with the highest
    /// logit, the first of equals.
    Labels,
}

impl MaskFormat {
    /// The most masks that a map of labels can tell apart.
    pub const MOST_LABELS: usize = u16::MAX as usize;

    /// Bytes of a row.
    pub fn row_bytes(self, width: usize) -> usize {
        match self {
            MaskFormat::Binary => width,
            MaskFormat::Bits => width.div_ceil(8),
            MaskFormat::Logits => width.saturating_mul(4),
            MaskFormat::Labels => width.saturating_mul(2),
        }
    }

    /// Bytes of so many masks.
    pub fn bytes(self, masks: usize, height: usize, width: usize) -> usize {
        let masks = if self == MaskFormat::Labels { 1 } else { masks };
        self.row_bytes(width).saturating_mul(height).saturating_mul(masks)
    }

    /// What its values start at a multiple of.
    fn alignment(self) -> usize {
        match self {
            MaskFormat::Binary | MaskFormat::Bits => 1,
            MaskFormat::Logits => 4,
            MaskFormat::Labels => 2,
        }
    }
}

/// Memory of the caller's for masks.
pub enum MaskMemory<'a> {
    /// In the host's memory.
    Host(&'a mut [u8]),
    /// In that of the GPU that the model runs on.
    Device(DeviceSlice),
}

/// A buffer of the caller's for masks.
pub struct MaskBuffer<'a> {
    format: MaskFormat,
    memory: MaskMemory<'a>,
    flipped: bool,
}

impl<'a> MaskBuffer<'a> {
    /// Bytes as a format has them. Fails where they are not aligned to the size of a value.
    pub fn new(format: MaskFormat, memory: MaskMemory<'a>) -> Result<Self> {
        let address = match &memory {
            MaskMemory::Host(data) => data.as_ptr() as u64,
            MaskMemory::Device(d) => d.address,
        };
        if !address.is_multiple_of(format.alignment() as u64) {
            return Err(Error::input(format!("buffer masks: not aligned to {} bytes", format.alignment())));
        }
        Ok(MaskBuffer { format, memory, flipped: false })
    }

    /// For [`MaskFormat::Binary`].
    pub fn binary(data: &'a mut [u8]) -> Self {
        MaskBuffer { format: MaskFormat::Binary, memory: MaskMemory::Host(data), flipped: false }
    }

    /// For [`MaskFormat::Bits`].
    pub fn bits(data: &'a mut [u8]) -> Self {
        MaskBuffer { format: MaskFormat::Bits, memory: MaskMemory::Host(data), flipped: false }
    }

    /// For [`MaskFormat::Logits`].
    pub fn logits(data: &'a mut [f32]) -> Self {
        let memory = MaskMemory::Host(bytemuck::cast_slice_mut(data));
        MaskBuffer { format: MaskFormat::Logits, memory, flipped: false }
    }

    /// For [`MaskFormat::Labels`].
    pub fn labels(data: &'a mut [u16]) -> Self {
        let memory = MaskMemory::Host(bytemuck::cast_slice_mut(data));
        MaskBuffer { format: MaskFormat::Labels, memory, flipped: false }
    }

    /// In the memory of the GPU that the model runs on, aligned to the size of a value.
    pub fn device(format: MaskFormat, data: DeviceSlice) -> MaskBuffer<'static> {
        MaskBuffer { format, memory: MaskMemory::Device(data), flipped: false }
    }

    /// The same upside down: the picture's top row comes last, as in the textures of OpenGL and Unity.
    pub fn flipped(self) -> Self {
        MaskBuffer { flipped: !self.flipped, ..self }
    }

    /// What masks are written as.
    pub fn format(&self) -> MaskFormat {
        self.format
    }

    /// Whether the picture's top row comes last.
    pub fn is_flipped(&self) -> bool {
        self.flipped
    }

    /// The contents; None in a GPU's memory.
    pub fn contents(&self) -> Option<&[u8]> {
        match &self.memory {
            MaskMemory::Host(data) => Some(data),
            MaskMemory::Device(_) => None,
        }
    }

    /// The memory.
    pub fn into_memory(self) -> MaskMemory<'a> {
        self.memory
    }

    /// The buffer of the first so many masks, and that of the others.
    pub(crate) fn split(self, masks: usize, height: usize, width: usize) -> Result<(MaskBuffer<'a>, MaskBuffer<'a>)> {
        let (first, all) = (self.format.bytes(masks, height, width), self.len());
        if first > all {
            return Err(Error::input(format!("buffer masks: {first} bytes and more needed, got {all}")));
        }
        let (a, b) = match self.memory {
            MaskMemory::Host(data) => {
                let (a, b) = data.split_at_mut(first);
                (MaskMemory::Host(a), MaskMemory::Host(b))
            }
            MaskMemory::Device(d) => {
                let rest = DeviceSlice { address: d.address + first as u64, bytes: all - first, ..d };
                (MaskMemory::Device(DeviceSlice { bytes: first, ..d }), MaskMemory::Device(rest))
            }
        };
        Ok((MaskBuffer { memory: a, ..self }, MaskBuffer { memory: b, ..self }))
    }

    /// The same buffer, lent for a while.
    pub(crate) fn lend(&mut self) -> MaskBuffer<'_> {
        self.part(0, self.len())
    }

    /// In a GPU's memory.
    pub(crate) fn is_device(&self) -> bool {
        matches!(self.memory, MaskMemory::Device(_))
    }

    fn len(&self) -> usize {
        match &self.memory {
            MaskMemory::Host(data) => data.len(),
            MaskMemory::Device(slice) => slice.bytes,
        }
    }

    /// `count` bytes from byte `first`.
    fn part(&mut self, first: usize, count: usize) -> MaskBuffer<'_> {
        let memory = match &mut self.memory {
            MaskMemory::Host(data) => MaskMemory::Host(&mut data[first..][..count]),
            MaskMemory::Device(d) => {
                MaskMemory::Device(DeviceSlice { address: d.address + first as u64, bytes: count, stream: d.stream })
            }
        };
        MaskBuffer { format: self.format, memory, flipped: self.flipped }
    }

    /// Fails where it is not one for so many masks of this size.
    pub(crate) fn check(&self, masks: usize, height: usize, width: usize) -> Result<()> {
        let (format, need) = (self.format, self.format.bytes(masks, height, width));
        if format == MaskFormat::Labels && masks > MaskFormat::MOST_LABELS {
            let most = MaskFormat::MOST_LABELS;
            return Err(Error::input(format!("buffer masks: {masks} masks, labels tell {most} apart")));
        }
        if let MaskMemory::Device(d) = &self.memory
            && !d.address.is_multiple_of(format.alignment() as u64)
        {
            return Err(Error::input(format!("buffer masks: not aligned to {} bytes", format.alignment())));
        }
        if self.len() != need {
            let what = format!("{masks} masks of {width}x{height} pixels as {format:?}");
            return Err(Error::input(format!("buffer masks: {need} bytes needed for {what}, got {}", self.len())));
        }
        Ok(())
    }
}

/// Where masks go, all of one size.
pub struct MaskOut<'a> {
    /// The caller's buffer, of the right size.
    pub buffer: MaskBuffer<'a>,
    /// What is above it is on the object; logits are clamped to plus or minus it.
    pub limit: f32,
    /// Height of a mask.
    pub height: usize,
    /// Width of a mask.
    pub width: usize,
}

impl<'a> MaskOut<'a> {
    /// Masks of what is above `threshold`, or logits as they are.
    pub fn new(buffer: MaskBuffer<'a>, threshold: f32, height: usize, width: usize) -> Self {
        let limit = if buffer.format == MaskFormat::Logits { f32::INFINITY } else { threshold };
        MaskOut { buffer, limit, height, width }
    }

    /// The same, lent for a while.
    pub(crate) fn lend(&mut self) -> MaskOut<'_> {
        MaskOut { buffer: self.buffer.lend(), ..*self }
    }

    /// `count` masks from mask `first`; not of labels.
    pub(crate) fn part(&mut self, first: usize, count: usize) -> MaskOut<'_> {
        let of = |masks| self.buffer.format.bytes(masks, self.height, self.width);
        let (first, count) = (of(first), of(count));
        MaskOut { buffer: self.buffer.part(first, count), limit: self.limit, height: self.height, width: self.width }
    }

    /// Asserts that it is for so many masks, or for a map of their labels, and takes it apart.
    pub fn of(self, operation: &str, masks: usize, labels: bool) -> (MaskFormat, MaskMemory<'a>, bool) {
        let MaskOut { buffer, height, width, .. } = self;
        let (format, bytes) = (buffer.format, buffer.len());
        assert!(
            bytes == format.bytes(masks, height, width) && labels == (format == MaskFormat::Labels),
            "{operation}: {masks} masks of {height}x{width} as {format:?} into {bytes} bytes"
        );
        if let MaskMemory::Host(data) = &buffer.memory {
            assert!((data.as_ptr() as usize).is_multiple_of(format.alignment()), "{operation}: {format:?} not aligned");
        }
        (format, buffer.memory, buffer.flipped)
    }
}

/// How much of a picture a mask covers, and where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Pixels.
    pub area: u64,
    /// Left, top, right and bottom of the outermost pixels; zeros where there are none.
    pub bounds: [i32; 4],
}

/// What [`Backend::measure_masks`] says of a mask.
///
/// [`Backend::measure_masks`]: crate::backend::Backend::measure_masks
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measured {
    pub extent: Extent,
    /// Pixels above threshold + offset / pixels above threshold - offset; not a number where there are none of either.
    pub stability: f32,
}

impl Measured {
    /// Of a row (7) of `measure_masks`.
    pub fn of(row: &[i32]) -> Measured {
        Measured { extent: Extent::of(row), stability: row[1] as f32 / row[2] as f32 }
    }
}

impl Extent {
    /// Of a row (7) of `measure_masks`.
    pub fn of(row: &[i32]) -> Extent {
        Extent { area: row[0] as u64, bounds: [row[3], row[4], row[5], row[6]] }
    }

    /// Of each of `masks` in a map of labels with rows of `width`.
    pub fn of_labels(map: &[u16], width: usize, masks: usize) -> Vec<Extent> {
        let mut extents = vec![Extent::default(); masks];
        for (i, &label) in map.iter().enumerate().filter(|(_, label)| **label > 0) {
            let (e, x, y) = (&mut extents[label as usize - 1], (i % width) as i32, (i / width) as i32);
            let [left, top, right, _] = if e.area == 0 { [x, y, x, y] } else { e.bounds };
            *e = Extent { area: e.area + 1, bounds: [left.min(x), top, right.max(x), y] };
        }
        extents
    }
}

//! Output masks: formats and caller-provided buffers.

use crate::error::{Error, Result};
use crate::media::plane::DeviceSlice;
use crate::media::size::Size;
use std::fmt;

/// The format of masks in a buffer. Masks follow one another, with rows from the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MaskFormat {
    /// (masks, height, width) u8: 1 on the object, 0 elsewhere.
    Binary,
    /// (masks, height, width / 8, rounded up) u8: one bit per pixel, in the order of `numpy.packbits`. The first pixel
    /// is the highest bit, and bits beyond the width are 0.
    Bits,
    /// (masks, height, width) f32: logits.
    Logits,
    /// (height, width) u16: one label map of all masks. A pixel without a mask has value 0. Any other pixel has 1 + the
    /// index of the mask with the highest logit, or of the first such mask.
    Labels,
}

impl MaskFormat {
    /// The largest number of masks in a label map.
    pub const MOST_LABELS: usize = u16::MAX as usize;

    /// Returns the bytes of a row.
    #[must_use]
    pub fn row_bytes(self, width: usize) -> usize {
        match self {
            MaskFormat::Binary => width,
            MaskFormat::Bits => width.div_ceil(8),
            MaskFormat::Logits => width.saturating_mul(4),
            MaskFormat::Labels => width.saturating_mul(2),
        }
    }

    /// Returns the bytes of `masks` masks of this size. A label map has the same size for any number of masks.
    #[must_use]
    pub fn bytes(self, masks: usize, size: Size) -> usize {
        let masks = if self == MaskFormat::Labels { 1 } else { masks };
        self.row_bytes(size.width).saturating_mul(size.height).saturating_mul(masks)
    }

    /// Returns the alignment of the values in bytes.
    fn alignment(self) -> usize {
        match self {
            MaskFormat::Binary | MaskFormat::Bits => 1,
            MaskFormat::Logits => 4,
            MaskFormat::Labels => 2,
        }
    }
}

/// Caller-provided memory for masks.
pub enum MaskMemory<'a> {
    /// Memory of the host.
    Host(&'a mut [u8]),
    /// Memory of the GPU that the model runs on.
    Device(DeviceSlice),
}

impl fmt::Debug for MaskMemory<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MaskMemory::Host(data) => write!(f, "Host({} bytes)", data.len()),
            MaskMemory::Device(slice) => f.debug_tuple("Device").field(slice).finish(),
        }
    }
}

/// A caller-provided buffer for masks.
#[derive(Debug)]
pub struct MaskBuffer<'a> {
    format: MaskFormat,
    memory: MaskMemory<'a>,
    flipped: bool,
}

impl<'a> MaskBuffer<'a> {
    /// Creates a buffer for masks in this format.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if the memory is not aligned to the size of a value.
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

    /// Creates a buffer for [`MaskFormat::Binary`].
    #[must_use]
    pub fn binary(data: &'a mut [u8]) -> Self {
        MaskBuffer { format: MaskFormat::Binary, memory: MaskMemory::Host(data), flipped: false }
    }

    /// Creates a buffer for [`MaskFormat::Bits`].
    #[must_use]
    pub fn bits(data: &'a mut [u8]) -> Self {
        MaskBuffer { format: MaskFormat::Bits, memory: MaskMemory::Host(data), flipped: false }
    }

    /// Creates a buffer for [`MaskFormat::Logits`].
    #[must_use]
    pub fn logits(data: &'a mut [f32]) -> Self {
        let memory = MaskMemory::Host(bytemuck::cast_slice_mut(data));
        MaskBuffer { format: MaskFormat::Logits, memory, flipped: false }
    }

    /// Creates a buffer for [`MaskFormat::Labels`].
    #[must_use]
    pub fn labels(data: &'a mut [u16]) -> Self {
        let memory = MaskMemory::Host(bytemuck::cast_slice_mut(data));
        MaskBuffer { format: MaskFormat::Labels, memory, flipped: false }
    }

    /// Creates a buffer in the memory of the GPU that the model runs on. The memory is aligned to the size of a value.
    #[must_use]
    pub fn device(format: MaskFormat, data: DeviceSlice) -> MaskBuffer<'static> {
        MaskBuffer { format, memory: MaskMemory::Device(data), flipped: false }
    }

    /// Returns the same buffer with the rows from the bottom: the top row of the image is last, as in textures of
    /// OpenGL and Unity.
    #[must_use]
    pub fn flipped(self) -> Self {
        MaskBuffer { flipped: !self.flipped, ..self }
    }

    /// Returns the format of the masks.
    #[must_use]
    pub fn format(&self) -> MaskFormat {
        self.format
    }

    /// Returns whether the top row of the image is last.
    #[must_use]
    pub fn is_flipped(&self) -> bool {
        self.flipped
    }

    /// Returns the contents, or `None` if the buffer is in a GPU's memory.
    #[must_use]
    pub fn contents(&self) -> Option<&[u8]> {
        match &self.memory {
            MaskMemory::Host(data) => Some(data),
            MaskMemory::Device(_) => None,
        }
    }

    /// Returns the memory of the buffer.
    #[must_use]
    pub fn into_memory(self) -> MaskMemory<'a> {
        self.memory
    }

    /// Splits the buffer into the part of the first `masks` masks and the part of the other masks.
    pub(crate) fn split(self, masks: usize, size: Size) -> Result<(MaskBuffer<'a>, MaskBuffer<'a>)> {
        let (first, all) = (self.format.bytes(masks, size), self.len());
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

    /// Borrows the buffer.
    pub(crate) fn lend(&mut self) -> MaskBuffer<'_> {
        self.part(0, self.len())
    }

    /// Returns whether the buffer is in a GPU's memory.
    pub(crate) fn is_device(&self) -> bool {
        matches!(self.memory, MaskMemory::Device(_))
    }

    fn len(&self) -> usize {
        match &self.memory {
            MaskMemory::Host(data) => data.len(),
            MaskMemory::Device(slice) => slice.bytes,
        }
    }

    /// Returns the part of `count` bytes from byte `first`.
    fn part(&mut self, first: usize, count: usize) -> MaskBuffer<'_> {
        let memory = match &mut self.memory {
            MaskMemory::Host(data) => MaskMemory::Host(&mut data[first..][..count]),
            MaskMemory::Device(d) => {
                MaskMemory::Device(DeviceSlice { address: d.address + first as u64, bytes: count, stream: d.stream })
            }
        };
        MaskBuffer { format: self.format, memory, flipped: self.flipped }
    }

    /// Fails if the buffer is not for `masks` masks of this size.
    pub(crate) fn check(&self, masks: usize, size: Size) -> Result<()> {
        let (format, need) = (self.format, self.format.bytes(masks, size));
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
            let what = format!("{masks} masks of {size} pixels as {format:?}");
            return Err(Error::input(format!("buffer masks: {need} bytes needed for {what}, got {}", self.len())));
        }
        Ok(())
    }
}

/// The destination of masks, which all have the same size.
#[derive(Debug)]
pub struct MaskOut<'a> {
    /// The caller's buffer, of the right size.
    pub buffer: MaskBuffer<'a>,
    /// For binary masks and labels, a pixel is on the object if its logit is above this value. Logits are clamped to
    /// plus or minus this value.
    pub limit: f32,
    /// The height of a mask.
    pub height: usize,
    /// The width of a mask.
    pub width: usize,
}

impl<'a> MaskOut<'a> {
    /// Creates a destination for masks with this threshold, or for unclamped logits.
    #[must_use]
    pub fn new(buffer: MaskBuffer<'a>, threshold: f32, size: Size) -> Self {
        let limit = if buffer.format == MaskFormat::Logits { f32::INFINITY } else { threshold };
        MaskOut { buffer, limit, height: size.height, width: size.width }
    }

    /// Borrows the destination.
    pub(crate) fn lend(&mut self) -> MaskOut<'_> {
        MaskOut { buffer: self.buffer.lend(), ..*self }
    }

    /// Returns the part of `count` masks from mask `first`. A label map has no parts.
    pub(crate) fn part(&mut self, first: usize, count: usize) -> MaskOut<'_> {
        let of = |masks| self.buffer.format.bytes(masks, Size::new(self.width, self.height));
        let (first, count) = (of(first), of(count));
        MaskOut { buffer: self.buffer.part(first, count), limit: self.limit, height: self.height, width: self.width }
    }

    /// Asserts that the buffer is for `masks` masks, or for a label map of these masks. Returns the format, the memory,
    /// and whether the buffer is flipped.
    ///
    /// # Panics
    ///
    /// If the buffer does not have the size of the masks, if its format is that of labels and `labels` is false or the
    /// reverse, or if its host memory is not aligned for the format.
    #[must_use]
    pub fn of(self, operation: &str, masks: usize, labels: bool) -> (MaskFormat, MaskMemory<'a>, bool) {
        let MaskOut { buffer, height, width, .. } = self;
        let (format, bytes) = (buffer.format, buffer.len());
        assert!(
            bytes == format.bytes(masks, Size::new(width, height)) && labels == (format == MaskFormat::Labels),
            "{operation}: {masks} masks of {height}x{width} as {format:?} into {bytes} bytes"
        );
        if let MaskMemory::Host(data) = &buffer.memory {
            assert!((data.as_ptr() as usize).is_multiple_of(format.alignment()), "{operation}: {format:?} not aligned");
        }
        (format, buffer.memory, buffer.flipped)
    }
}

/// The area and the bounds of a mask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The number of pixels.
    pub area: u64,
    /// Left, top, right and bottom of the outermost pixels, or zeros if there are no pixels.
    pub bounds: [i32; 4],
}

/// The measures of a mask that [`Backend::measure_masks`] returns.
///
/// [`Backend::measure_masks`]: crate::backend::Backend::measure_masks
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measured {
    pub extent: Extent,
    /// The number of pixels above threshold + offset, divided by the number of pixels above threshold - offset. The
    /// value is not a number if both are 0.
    pub stability: f32,
}

impl Measured {
    /// Reads a row (7) of `measure_masks`.
    pub fn of(row: &[i32]) -> Measured {
        Measured { extent: Extent::of(row), stability: row[1] as f32 / row[2] as f32 }
    }
}

impl Extent {
    /// Reads a row (7) of `measure_masks`.
    pub fn of(row: &[i32]) -> Extent {
        Extent { area: row[0] as u64, bounds: [row[3], row[4], row[5], row[6]] }
    }

    /// Returns the extent of each of `masks` masks in a label map with rows of `width`.
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

//! Output masks: formats and caller-provided buffers.

use crate::error::{Error, Result};
use crate::media::plane::DeviceSlice;
use crate::media::size::Size;
use std::fmt;

/// The format of masks in a buffer. Masks follow one another, with rows from the top. The label maps are one map of all
/// masks: a pixel has the value of the mask with the highest logit, or of the first such mask, and 0 without a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MaskFormat {
    /// (masks, height, width) u8: 1 on the object, 0 elsewhere.
    Binary,
    /// (masks, height, width / 8, rounded up) u8: one bit per pixel, in the order of `numpy.packbits`. The first pixel
    /// is the highest bit, and bits beyond the width are 0.
    Bits,
    /// (masks, height, width) f32: logits.
    Logits,
    /// (height, width) u16: a label map. The value of a mask is 1 + its index.
    Labels,
    /// (height, width) u8: a label map of objects in a video. The value of a mask is the id of the object, which is 1 to
    /// 255.
    Ids8,
    /// (height, width) u16: a label map of objects in a video. The value of a mask is the id of the object, which is 1
    /// to 65535.
    Ids16,
}

impl MaskFormat {
    /// The largest number of masks in a label map.
    pub const MOST_LABELS: usize = u16::MAX as usize;

    /// Returns the bytes of a row.
    #[must_use]
    pub fn row_bytes(self, width: usize) -> usize {
        match self {
            MaskFormat::Binary | MaskFormat::Ids8 => width,
            MaskFormat::Bits => width.div_ceil(8),
            MaskFormat::Logits => width.saturating_mul(4),
            MaskFormat::Labels | MaskFormat::Ids16 => width.saturating_mul(2),
        }
    }

    /// Returns whether the format is one map of all masks.
    #[must_use]
    pub fn is_label_map(self) -> bool {
        matches!(self, MaskFormat::Labels | MaskFormat::Ids8 | MaskFormat::Ids16)
    }

    /// Returns the largest object id of a label map of ids; `None` for other formats.
    #[must_use]
    pub fn largest_id(self) -> Option<i64> {
        match self {
            MaskFormat::Ids8 => Some(u8::MAX.into()),
            MaskFormat::Ids16 => Some(u16::MAX.into()),
            _ => None,
        }
    }

    /// Returns the bytes of `masks` masks of this size without space between rows and masks. A label map has the same
    /// size for any number of masks.
    #[must_use]
    pub fn bytes(self, masks: usize, size: Size) -> usize {
        let masks = if self.is_label_map() { 1 } else { masks };
        self.row_bytes(size.width).saturating_mul(size.height).saturating_mul(masks)
    }

    /// Returns the alignment of the values in bytes.
    fn alignment(self) -> usize {
        match self {
            MaskFormat::Binary | MaskFormat::Bits | MaskFormat::Ids8 => 1,
            MaskFormat::Logits => 4,
            MaskFormat::Labels | MaskFormat::Ids16 => 2,
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

/// A caller-provided buffer for masks. It may be larger than the masks.
#[derive(Debug)]
pub struct MaskBuffer<'a> {
    format: MaskFormat,
    memory: MaskMemory<'a>,
    flipped: bool,
    /// Bytes from a row to the next, and from a mask to the next. 0 means that there is no space between them.
    strides: [usize; 2],
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
        Ok(MaskBuffer { format, memory, flipped: false, strides: [0; 2] })
    }

    /// Creates a buffer for [`MaskFormat::Binary`].
    #[must_use]
    pub fn binary(data: &'a mut [u8]) -> Self {
        MaskBuffer { format: MaskFormat::Binary, memory: MaskMemory::Host(data), flipped: false, strides: [0; 2] }
    }

    /// Creates a buffer for [`MaskFormat::Bits`].
    #[must_use]
    pub fn bits(data: &'a mut [u8]) -> Self {
        MaskBuffer { format: MaskFormat::Bits, memory: MaskMemory::Host(data), flipped: false, strides: [0; 2] }
    }

    /// Creates a buffer for [`MaskFormat::Logits`].
    #[must_use]
    pub fn logits(data: &'a mut [f32]) -> Self {
        let memory = MaskMemory::Host(bytemuck::cast_slice_mut(data));
        MaskBuffer { format: MaskFormat::Logits, memory, flipped: false, strides: [0; 2] }
    }

    /// Creates a buffer for [`MaskFormat::Labels`].
    #[must_use]
    pub fn labels(data: &'a mut [u16]) -> Self {
        let memory = MaskMemory::Host(bytemuck::cast_slice_mut(data));
        MaskBuffer { format: MaskFormat::Labels, memory, flipped: false, strides: [0; 2] }
    }

    /// Creates a buffer in the memory of the GPU that the model runs on. The memory is aligned to the size of a value.
    #[must_use]
    pub fn device(format: MaskFormat, data: DeviceSlice) -> MaskBuffer<'static> {
        MaskBuffer { format, memory: MaskMemory::Device(data), flipped: false, strides: [0; 2] }
    }

    /// Returns the same buffer with the rows from the bottom: the top row of the image is last, as in textures of
    /// OpenGL and Unity.
    #[must_use]
    pub fn flipped(self) -> Self {
        MaskBuffer { flipped: !self.flipped, ..self }
    }

    /// Returns the same buffer with space between rows and between masks: `row` bytes from a row to the next, and `plane`
    /// bytes from a mask to the next. The bytes between rows are not written. With 0 there is no space.
    #[must_use]
    pub fn with_strides(self, row: usize, plane: usize) -> Self {
        MaskBuffer { strides: [row, plane], ..self }
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

    /// Returns the bytes from a row to the next.
    fn row_stride(&self, width: usize) -> usize {
        if self.strides[0] == 0 { self.format.row_bytes(width) } else { self.strides[0] }
    }

    /// Returns the bytes from a mask to the next.
    fn plane_stride(&self, size: Size) -> usize {
        if self.strides[1] == 0 { self.row_stride(size.width).saturating_mul(size.height) } else { self.strides[1] }
    }

    /// Returns the bytes from the first to the last one of `masks` masks.
    fn needed(&self, masks: usize, size: Size) -> usize {
        let planes = if self.format.is_label_map() { 1 } else { masks };
        if planes == 0 || size.pixels() == 0 {
            return 0;
        }
        let last = (planes - 1).saturating_mul(self.plane_stride(size));
        let mask = (size.height - 1).saturating_mul(self.row_stride(size.width));
        last.saturating_add(mask).saturating_add(self.format.row_bytes(size.width))
    }

    /// Splits the buffer into the part of the first `masks` masks and the part of the other masks.
    pub(crate) fn split(self, masks: usize, size: Size) -> Result<(MaskBuffer<'a>, MaskBuffer<'a>)> {
        let (needed, all) = (self.needed(masks, size), self.len());
        if needed > all {
            return Err(Error::input(format!("buffer masks: {needed} bytes and more needed, got {all}")));
        }
        // After the last mask there may be no space.
        let first = self.plane_stride(size).saturating_mul(masks).min(all);
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
        MaskBuffer { format: self.format, memory, flipped: self.flipped, strides: self.strides }
    }

    /// Fails if the buffer has no room for `masks` masks of this size.
    pub(crate) fn check(&self, masks: usize, size: Size) -> Result<()> {
        self.check_layout(masks, size)?;
        let need = self.needed(masks, size);
        if self.len() < need {
            let what = format!("{masks} masks of {size} pixels as {:?}", self.format);
            return Err(Error::input(format!("buffer masks: {need} bytes needed for {what}, got {}", self.len())));
        }
        Ok(())
    }

    /// Fails if the buffer has no room for one of `masks` masks of this size.
    pub(crate) fn check_first(&self, masks: usize, size: Size) -> Result<()> {
        self.check_layout(masks, size)?;
        self.check(masks.min(1), size)
    }

    /// Returns how many of `masks` masks of this size the buffer has room for.
    pub(crate) fn room(&self, masks: usize, size: Size) -> usize {
        if self.format.is_label_map() || self.needed(masks, size) <= self.len() {
            return masks;
        }
        let rest = self.len().saturating_sub(self.needed(1, size));
        (rest / self.plane_stride(size).max(1) + 1).min(masks)
    }

    /// Fails if rows or masks would overlap, if values would not be aligned, or if a label map cannot tell the masks
    /// apart.
    fn check_layout(&self, masks: usize, size: Size) -> Result<()> {
        let (format, [row, plane]) = (self.format, self.strides);
        if format == MaskFormat::Labels && masks > MaskFormat::MOST_LABELS {
            let most = MaskFormat::MOST_LABELS;
            return Err(Error::input(format!("buffer masks: {masks} masks, labels tell {most} apart")));
        }
        let address = match &self.memory {
            MaskMemory::Host(_) => 0,
            MaskMemory::Device(d) => d.address,
        };
        let alignment = format.alignment();
        if !address.is_multiple_of(alignment as u64) || [row, plane].iter().any(|n| !n.is_multiple_of(alignment)) {
            return Err(Error::input(format!("buffer masks: not aligned to {alignment} bytes")));
        }
        let (row_bytes, mask_bytes) = (format.row_bytes(size.width), self.needed(1, size));
        if row != 0 && row < row_bytes {
            let what = format!("a row has {row_bytes} bytes, the stride is only {row}");
            return Err(Error::input(format!("buffer masks: {what}")));
        }
        if plane != 0 && plane < mask_bytes {
            let what = format!("a mask has {mask_bytes} bytes, the stride is only {plane}");
            return Err(Error::input(format!("buffer masks: {what}")));
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
        let size = Size::new(self.width, self.height);
        let (first, count) = (first * self.buffer.plane_stride(size), self.buffer.needed(count, size));
        // Without masks there may be no memory at the first one.
        let first = if count == 0 { 0 } else { first };
        MaskOut { buffer: self.buffer.part(first, count), limit: self.limit, height: self.height, width: self.width }
    }

    /// Asserts that the buffer is for `masks` masks, or for a label map of these masks. Returns the memory and its
    /// layout.
    ///
    /// # Panics
    ///
    /// If the buffer has no room for the masks, if its format is that of a label map and `labels` is false or the
    /// reverse, or if its host memory is not aligned for the format.
    #[must_use]
    pub fn target(self, operation: &str, masks: usize, labels: bool) -> MaskTarget<'a> {
        let MaskOut { buffer, height, width, .. } = self;
        let (format, bytes, size) = (buffer.format, buffer.len(), Size::new(width, height));
        assert!(
            bytes >= buffer.needed(masks, size) && labels == format.is_label_map(),
            "{operation}: {masks} masks of {height}x{width} as {format:?} into {bytes} bytes"
        );
        if let MaskMemory::Host(data) = &buffer.memory {
            assert!((data.as_ptr() as usize).is_multiple_of(format.alignment()), "{operation}: {format:?} not aligned");
        }
        let (row_stride, plane_stride) = (buffer.row_stride(width), buffer.plane_stride(size));
        let planes = if labels { 1 } else { masks };
        let (memory, flipped) = (buffer.memory, buffer.flipped);
        MaskTarget {
            format,
            memory,
            flipped,
            planes,
            height,
            row_bytes: format.row_bytes(width),
            row_stride,
            plane_stride,
        }
    }
}

/// The memory of masks, and where each row is.
#[derive(Debug)]
pub struct MaskTarget<'a> {
    /// The format.
    pub format: MaskFormat,
    /// The memory. It may be larger than the masks.
    pub memory: MaskMemory<'a>,
    /// Whether the top row of the image is last.
    pub flipped: bool,
    /// The number of masks, or 1 for a label map.
    pub planes: usize,
    /// The number of rows of a mask.
    pub height: usize,
    /// The bytes of a row.
    pub row_bytes: usize,
    /// The bytes from a row to the next.
    pub row_stride: usize,
    /// The bytes from a mask to the next.
    pub plane_stride: usize,
}

impl MaskTarget<'_> {
    /// Returns the bytes of all rows.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.planes * self.height * self.row_bytes
    }

    /// Returns whether there is no space between rows and masks.
    #[must_use]
    pub fn is_packed(&self) -> bool {
        let packed = self.height * self.row_bytes;
        self.row_stride == self.row_bytes && (self.plane_stride == packed || self.planes < 2)
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

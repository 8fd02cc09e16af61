//! Planes of pixels, in host memory or in the memory of a GPU.

use std::fmt;

/// Memory of a GPU that belongs to the caller, and the stream on which the caller uses the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceSlice {
    pub(crate) address: u64,
    pub(crate) bytes: usize,
    pub(crate) stream: u64,
}

impl DeviceSlice {
    /// Describes `bytes` bytes at `address` (a `CUdeviceptr`) of the GPU that the model runs on. The caller writes and
    /// reads the memory on `stream` (a `CUstream` or `cudaStream_t`, null for the default stream). The engine runs
    /// after the work that is already enqueued on the stream. Work that is enqueued later runs after the engine.
    ///
    /// # Safety
    /// The memory and the stream must be valid, and of the primary context of the model's GPU, until the call that they
    /// are given to has returned. The memory and the stream of an image must be valid until masks have been returned or
    /// until [`ImagePredictor::synchronize`].
    ///
    /// [`ImagePredictor::synchronize`]: crate::ImagePredictor::synchronize
    #[must_use]
    pub unsafe fn new(address: u64, bytes: usize, stream: *mut std::ffi::c_void) -> DeviceSlice {
        DeviceSlice { address, bytes, stream: stream as u64 }
    }

    /// Returns the address of the memory.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Returns the number of bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the stream on which the caller uses the memory.
    #[must_use]
    pub fn stream(&self) -> u64 {
        self.stream
    }
}

/// The memory of the pixels of a [`Plane`].
#[derive(Clone, Copy)]
pub enum Pixels<'a> {
    /// Memory of the host.
    Host(&'a [u8]),
    /// Memory of a GPU.
    Device(DeviceSlice),
}

impl fmt::Debug for Pixels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pixels::Host(pixels) => write!(f, "Host({} bytes)", pixels.len()),
            Pixels::Device(slice) => f.debug_tuple("Device").field(slice).finish(),
        }
    }
}

/// A plane of a [`Frame`](crate::Frame): rows with all values of the image, or with the values that the format stores separately.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    /// The memory of the rows.
    pub pixels: Pixels<'a>,
    /// The bytes from the start of a row to the start of the next row.
    pub stride: usize,
}

impl<'a> Plane<'a> {
    /// Creates a plane of rows in the host's memory that start `stride` bytes apart.
    #[must_use]
    pub fn new(pixels: &'a [u8], stride: usize) -> Plane<'a> {
        Plane { pixels: Pixels::Host(pixels), stride }
    }

    /// Creates a plane of f32 values as [`Plane::new`] does. `stride` is in bytes here too.
    #[must_use]
    pub fn f32(pixels: &'a [f32], stride: usize) -> Plane<'a> {
        Plane::new(bytemuck::cast_slice(pixels), stride)
    }
}

impl Plane<'static> {
    /// Creates a plane as [`Plane::new`] does, in the memory of the GPU that the model runs on.
    #[must_use]
    pub fn device(pixels: DeviceSlice, stride: usize) -> Plane<'static> {
        Plane { pixels: Pixels::Device(pixels), stride }
    }
}

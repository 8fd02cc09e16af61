//! The interface between the backend and the device that runs its kernels: the CUDA driver or the emulator.

use crate::kernels::Kernel;
use bytemuck::NoUninit;
use sam2_engine::Result;
use sam2_engine::backend::{DeviceMemory, Memory};
use sam2_engine::tensor::DType;

/// The maximum size of a kernel's arguments in bytes.
pub const MAX_ARGS: usize = 256;
/// The most shared memory that a block can use on any GPU. Data centre GPUs of Hopper and Blackwell have it.
pub const MAX_SHARED: usize = 227 << 10;
/// The most shared memory that a block can use on every GPU that the kernels support.
pub const LEAST_SHARED: usize = 99 << 10;

/// A launch of a kernel.
#[derive(Clone, Copy, Debug)]
pub struct Launch {
    /// The kernel.
    pub kernel: Kernel,
    /// Blocks along x, y, z.
    pub grid: [u32; 3],
    /// Bytes of dynamic shared memory of a block.
    pub shared: usize,
    /// The kernel's one argument, a plain struct, padded with zeros.
    pub args: [u64; MAX_ARGS / 8],
    /// The size of the argument.
    pub size: usize,
}

impl Launch {
    /// `args` has the layout of the struct that the kernel takes.
    ///
    /// # Panics
    ///
    /// If `shared` is above [`MAX_SHARED`].
    pub fn new<A: NoUninit>(kernel: Kernel, grid: [usize; 3], shared: usize, args: &A) -> Launch {
        const { assert!(size_of::<A>() <= MAX_ARGS && align_of::<A>() <= 8) };
        assert!(shared <= MAX_SHARED, "{kernel:?}: {shared} bytes of shared memory");
        let mut bytes = [0; MAX_ARGS / 8];
        bytemuck::cast_slice_mut(&mut bytes)[..size_of::<A>()].copy_from_slice(bytemuck::bytes_of(args));
        Launch { kernel, grid: grid.map(|n| n as u32), shared, args: bytes, size: size_of::<A>() }
    }
}

/// What the device's library does to a sum before it stores the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LibraryActivation {
    /// Nothing.
    None,
    /// Negative sums become 0.
    Relu,
    /// GELU in its approximation by tanh (Hendrycks and Gimpel, arXiv:1606.08415), which differs by at most 4.8e-4.
    TanhGelu,
}

/// A product for the device's library: out (m, n) = act(a (m, k) w (n, k)^T + bias) + addend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gemm {
    /// (m, k), rows `lda` elements apart.
    pub a: u64,
    /// (n, k), rows `ldw` elements apart.
    pub w: u64,
    /// (n), in the type of `out`. 0: no bias.
    pub bias: u64,
    /// (m, n), rows `ldo` elements apart.
    pub out: u64,
    /// Rows.
    pub m: usize,
    /// Output columns.
    pub n: usize,
    /// Input columns.
    pub k: usize,
    /// Elements from row to row of `a`.
    pub lda: usize,
    /// Elements from row to row of `w`.
    pub ldw: usize,
    /// Elements from row to row of `out`.
    pub ldo: usize,
    /// Type of `a` and `w`.
    pub dtype: DType,
    /// Type of `out` and `bias`.
    pub out_dtype: DType,
    /// The activation of sums. It excludes `add`.
    pub activation: LibraryActivation,
    /// The product is added to the contents of `out`.
    pub add: bool,
}

/// Host memory for copies that run while the host continues.
pub trait Pinned {
    /// The first byte.
    fn ptr(&self) -> *mut u8;
    /// The size.
    fn bytes(&self) -> usize;
}

/// A queue of work on a device. Work runs in order, at some time before `sync` returns.
///
/// The error of earlier work may be returned by any later call.
pub trait Device: Sized + Send + 'static {
    /// Memory of the device.
    type Memory: Memory;
    /// Host memory for copies.
    type Pinned: Pinned + Send;
    /// Recorded work.
    type Recording: Send;
    /// A point in the queue.
    type Event: Send;

    /// The device's name.
    fn name(&self) -> String;
    /// Its index in the driver's order.
    fn index(&self) -> usize;
    /// Its memory.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](sam2_engine::Error::Device) if the device fails.
    fn memory(&self) -> Result<DeviceMemory>;
    /// Bytes of shared memory that a block can use: from [`LEAST_SHARED`] to [`MAX_SHARED`].
    fn shared(&self) -> usize;
    /// Another queue on the same device.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](sam2_engine::Error::Device) if the device fails.
    fn fork(&self) -> Result<Self>;
    /// Memory whose contents are undefined.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`](sam2_engine::Error::OutOfMemory) if memory is exhausted.
    /// [`Error::Device`](sam2_engine::Error::Device) if the device fails.
    fn alloc(&self, bytes: usize, what: &'static str) -> Result<Self::Memory>;
    /// Host memory for copies.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`](sam2_engine::Error::OutOfMemory) if memory is exhausted.
    /// [`Error::Device`](sam2_engine::Error::Device) if the device fails.
    fn pinned(&self, bytes: usize) -> Result<Self::Pinned>;
    /// Enqueues a kernel.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](sam2_engine::Error::Device) if the kernel does not load, or if the device fails.
    fn launch(&self, launch: &Launch) -> Result<()>;
    /// Enqueues a product. Returns false if the device has no library, or the library has no algorithm for the product.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`](sam2_engine::Error::OutOfMemory) if there is no memory for the scratch of the library.
    /// [`Error::Device`](sam2_engine::Error::Device) if the library or the device fails.
    fn gemm(&self, gemm: &Gemm) -> Result<bool>;
    /// Enqueues a copy of pinned bytes to the device.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](sam2_engine::Error::Device) if the device fails.
    fn copy_in(&self, to: u64, from: *const u8, bytes: usize) -> Result<()>;
    /// Enqueues a copy to pinned bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](sam2_engine::Error::Device) if the device fails.
    fn copy_out(&self, to: *mut u8, from: u64, bytes: usize) -> Result<()>;
    /// Starts recording: work is recorded and does not run. Every kernel must have run before.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](sam2_engine::Error::Device) if the device fails.
    fn begin(&self) -> Result<()>;
    /// Ends recording.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`](sam2_engine::Error::OutOfMemory) if memory is exhausted.
    /// [`Error::Device`](sam2_engine::Error::Device) if the device fails.
    fn end(&self) -> Result<Self::Recording>;
    /// Enqueues recorded work.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](sam2_engine::Error::Device) if the device fails.
    fn replay(&self, recording: &Self::Recording) -> Result<()>;
    /// The handle of this queue, as callers name their queues.
    fn stream(&self) -> u64;
    /// Later work on this queue waits for the work that is now on the caller's queue `stream`.
    ///
    /// # Errors
    ///
    /// [`Error::Input`](sam2_engine::Error::Input) if `stream` belongs to another context, or is being captured.
    /// [`Error::Device`](sam2_engine::Error::Device) if the device fails.
    fn follow(&self, stream: u64) -> Result<()>;
    /// Later work on the caller's queue `stream` waits for the work that is now on this queue.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](sam2_engine::Error::Device) if the device fails.
    fn lead(&self, stream: u64) -> Result<()>;
    /// Marks the current point in the queue.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](sam2_engine::Error::Device) if the device fails.
    fn mark(&self) -> Result<Self::Event>;
    /// Seconds between two points that have been reached.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](sam2_engine::Error::Device) if the device fails.
    fn seconds(&self, from: &Self::Event, to: &Self::Event) -> Result<f64>;
    /// Waits for all enqueued work.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](sam2_engine::Error::Device) if the device fails.
    fn sync(&self) -> Result<()>;
}

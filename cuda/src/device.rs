//! The seam between the backend and what runs its kernels: CUDA's driver, or the emulator.

use crate::kernels::Kernel;
use bytemuck::NoUninit;
use sam2_engine::Result;
use sam2_engine::backend::Memory;
use sam2_engine::tensor::DType;

/// The most bytes of a kernel's arguments.
pub const MAX_ARGS: usize = 256;
/// The most shared memory that a block may ask for on any card: Hopper's and Blackwell's data centre cards.
pub const MAX_SHARED: usize = 227 << 10;
/// The most shared memory that a block may ask for on every card there are kernels for.
pub const LEAST_SHARED: usize = 99 << 10;

/// A kernel about to run.
#[derive(Clone, Copy)]
pub struct Launch {
    /// Which.
    pub kernel: Kernel,
    /// Blocks along x, y, z.
    pub grid: [u32; 3],
    /// Bytes of dynamic shared memory of a block.
    pub shared: usize,
    /// The kernel's one argument, a plain struct, then zeros.
    pub args: [u64; MAX_ARGS / 8],
    /// Its size.
    pub size: usize,
}

impl Launch {
    /// `args` is the struct that the kernel takes, field by field.
    pub fn new<A: NoUninit>(kernel: Kernel, grid: [usize; 3], shared: usize, args: &A) -> Launch {
        const { assert!(size_of::<A>() <= MAX_ARGS && align_of::<A>() <= 8) };
        assert!(shared <= MAX_SHARED, "{kernel:?}: {shared} bytes of shared memory");
        let mut bytes = [0; MAX_ARGS / 8];
        bytemuck::cast_slice_mut(&mut bytes)[..size_of::<A>()].copy_from_slice(bytemuck::bytes_of(args));
        Launch { kernel, grid: grid.map(|n| n as u32), shared, args: bytes, size: size_of::<A>() }
    }
}

/// What the device's own library does to a sum before it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LibraryActivation {
    /// Nothing.
    None,
    /// Negative sums become 0.
    Relu,
    /// GELU in its form with tanh (Hendrycks and Gimpel, arXiv:1606.08415): at most 4.8e-4 from the exact one.
    TanhGelu,
}

/// A product for the device's own library: out (m, n) = act(a (m, k) w (n, k)^T + bias) + addend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gemm {
    /// (m, k), rows `lda` elements apart.
    pub a: u64,
    /// (n, k), rows `ldw` elements apart.
    pub w: u64,
    /// (n), in the type of `out`; 0: none.
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
    /// What is done to sums; not with `add`.
    pub activation: LibraryActivation,
    /// `out` is added to what it holds.
    pub add: bool,
}

/// Host memory that the device can copy from and to while the host goes on.
pub trait Pinned {
    /// Its first byte.
    fn ptr(&self) -> *mut u8;
    /// Its size.
    fn bytes(&self) -> usize;
}

/// A queue of work on a device. Work runs in order, some time before `sync` returns.
pub trait Device: Sized + Send + 'static {
    /// Memory of the device.
    type Memory: Memory;
    /// Host memory for copies.
    type Pinned: Pinned + Send;
    /// Recorded work.
    type Recording: Send;
    /// A moment in the queue.
    type Event: Send;

    /// The device's name.
    fn name(&self) -> String;
    /// Its place in the driver's order.
    fn index(&self) -> usize;
    /// Bytes of its memory that nobody uses, and all of them.
    fn memory(&self) -> Result<[u64; 2]>;
    /// Bytes of shared memory that a block may ask for: from [`LEAST_SHARED`] to [`MAX_SHARED`].
    fn shared(&self) -> usize;
    /// Another queue on the same device.
    fn fork(&self) -> Result<Self>;
    /// Memory whose contents are undefined.
    fn alloc(&self, bytes: usize, what: &'static str) -> Result<Self::Memory>;
    /// Host memory for copies.
    fn pinned(&self, bytes: usize) -> Result<Self::Pinned>;
    /// Enqueues a kernel.
    fn launch(&self, launch: &Launch) -> Result<()>;
    /// Enqueues a product; false where the device has no library for it, or that has no way to make it.
    fn gemm(&self, gemm: &Gemm) -> Result<bool>;
    /// Enqueues a copy of pinned bytes to the device.
    fn copy_in(&self, to: u64, from: *const u8, bytes: usize) -> Result<()>;
    /// Enqueues a copy to pinned bytes.
    fn copy_out(&self, to: *mut u8, from: u64, bytes: usize) -> Result<()>;
    /// Starts to write down what is enqueued instead of running it. Every kernel has run before.
    fn begin(&self) -> Result<()>;
    /// Ends that.
    fn end(&self) -> Result<Self::Recording>;
    /// Enqueues recorded work.
    fn replay(&self, recording: &Self::Recording) -> Result<()>;
    /// This queue as callers name theirs.
    fn stream(&self) -> u64;
    /// What follows on this queue comes after what is now on the caller's queue `stream`.
    fn follow(&self, stream: u64) -> Result<()>;
    /// What follows on the caller's queue `stream` comes after what is now on this queue.
    fn lead(&self, stream: u64) -> Result<()>;
    /// Marks this moment in the queue.
    fn mark(&self) -> Result<Self::Event>;
    /// Seconds between two moments that have passed.
    fn seconds(&self, from: &Self::Event, to: &Self::Event) -> Result<f64>;
    /// Waits for everything enqueued.
    fn sync(&self) -> Result<()>;
}

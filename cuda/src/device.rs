//! The seam between the backend and what runs its kernels: CUDA's driver, or the emulator.

use crate::kernels::Kernel;
use sam2_engine::Result;
use sam2_engine::backend::Memory;
use std::mem::MaybeUninit;

/// The most bytes of a kernel's arguments.
pub const MAX_ARGS: usize = 256;

/// A kernel about to run.
#[derive(Clone, Copy)]
pub struct Launch {
    /// Which.
    pub kernel: Kernel,
    /// Blocks along x, y, z.
    pub grid: [u32; 3],
    /// Bytes of dynamic shared memory of a block.
    pub shared: usize,
    /// The kernel's one argument, a plain struct.
    pub args: [MaybeUninit<u64>; MAX_ARGS / 8],
    /// Its size.
    pub size: usize,
}

impl Launch {
    /// `args` is the struct that the kernel takes, field by field.
    pub fn new<A: Copy>(kernel: Kernel, grid: [usize; 3], shared: usize, args: &A) -> Launch {
        const { assert!(size_of::<A>() <= MAX_ARGS && align_of::<A>() <= 8) };
        let mut bytes = [MaybeUninit::uninit(); MAX_ARGS / 8];
        // SAFETY: it fits, and bytes may be copied, padding included, into what need not be initialised.
        unsafe {
            std::ptr::copy_nonoverlapping(
                std::ptr::from_ref(args).cast::<u8>(),
                bytes.as_mut_ptr().cast(),
                size_of::<A>(),
            );
        }
        Launch { kernel, grid: grid.map(|n| n as u32), shared, args: bytes, size: size_of::<A>() }
    }
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

    /// Another queue on the same device.
    fn fork(&self) -> Result<Self>;
    /// Memory whose contents are undefined.
    fn alloc(&self, bytes: usize, what: &'static str) -> Result<Self::Memory>;
    /// Host memory for copies.
    fn pinned(&self, bytes: usize) -> Result<Self::Pinned>;
    /// Enqueues a kernel.
    fn launch(&self, launch: &Launch) -> Result<()>;
    /// Enqueues a copy of pinned bytes to the device.
    fn copy_in(&self, to: u64, from: *const u8, bytes: usize) -> Result<()>;
    /// Enqueues a copy to pinned bytes.
    fn copy_out(&self, to: *mut u8, from: u64, bytes: usize) -> Result<()>;
    /// Starts to write down what is enqueued instead of running it.
    fn begin(&self) -> Result<()>;
    /// Ends that.
    fn end(&self) -> Result<Self::Recording>;
    /// Enqueues recorded work.
    fn replay(&self, recording: &Self::Recording) -> Result<()>;
    /// Waits for everything enqueued.
    fn sync(&self) -> Result<()>;
}

//! An emulated device on the CPU, for tests on machines without a GPU.
//!
//! The kernels are the same files, compiled for the host. Every CUDA thread is a fiber (`emulator/launch.cpp`),
//! and every access is checked (`emulator/memory.cpp`). Work waits in a queue and runs at some time before `sync`
//! returns. So a host that reads or writes too early is detected. All random choices follow from a seed.

use crate::device::{Device, Gemm, Launch, LibraryActivation, MAX_ARGS, MAX_SHARED, Pinned};
use crate::kernels::Kernel;
use crate::linear::narrow;
use sam2_engine::backend::{DeviceMemory, Memory};
use sam2_engine::memory::try_collect;
use sam2_engine::tensor::DType;
use sam2_engine::{Error, Result};
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::time::Instant;

/// The folder of `libsam2_emulator.a` and `libsam2_emulated_kernels.a`, from which a stand-in for the driver is built.
pub const LIBRARIES: &str = env!("SAM2_EMULATOR_LIBRARIES");
/// The folder of the emulator's source.
pub const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/emulator");
/// Whether kernels for NVIDIA GPUs were compiled too.
pub const HAS_KERNELS: bool = cfg!(sam2_kernels);

/// The folder of nvcc and the tools beside it, and the version of nvcc. Empty if the build did not run nvcc.
pub const NVCC: (&str, &str) = (env!("SAM2_NVCC_FOLDER"), env!("SAM2_NVCC"));
/// The machine code for an H200, if this build made it.
pub const CUBIN: &str = concat!(env!("SAM2_EMULATOR_LIBRARIES"), "/kernels.90a.cubin");

unsafe extern "C" {
    fn sam2_emulator_kernel(name: *const c_char, args: *mut c_int, threads: *mut c_int) -> c_int;
    fn sam2_emulator_alloc(bytes: usize) -> *mut c_void;
    fn sam2_emulator_free(p: *mut c_void);
    fn sam2_emulator_copy(device: usize, host: *mut c_void, bytes: usize, kind: c_int) -> bool;
    fn sam2_emulator_launch(
        kernel: c_int,
        grid: *const u32,
        threads: u32,
        shared: usize,
        args: *const c_void,
        seed: u64,
        error: *mut c_char,
        error_size: usize,
    ) -> bool;
}

/// Memory of the emulated device.
#[derive(Debug)]
pub struct EmulatedMemory {
    addr: u64,
    bytes: usize,
}

impl Memory for EmulatedMemory {
    fn addr(&self) -> u64 {
        self.addr
    }
    fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for EmulatedMemory {
    fn drop(&mut self) {
        // SAFETY: the memory was allocated by the emulator and is freed once.
        unsafe { sam2_emulator_free(self.addr as *mut c_void) }
    }
}

/// Host memory for copies.
pub struct HostBytes(Box<[Cell<u8>]>);

impl fmt::Debug for HostBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostBytes").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

impl Pinned for HostBytes {
    fn ptr(&self) -> *mut u8 {
        self.0.as_ptr().cast_mut().cast()
    }
    fn bytes(&self) -> usize {
        self.0.len()
    }
}

/// Queued work. Addresses are numbers, which are looked up when the work runs.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::large_enum_variant)] // nearly all values are launches
enum Work {
    Launch(Launch),
    Gemm(Gemm),
    In { to: u64, from: usize, bytes: usize },
    Out { to: usize, from: u64, bytes: usize },
}

/// A queue of the emulated device.
#[derive(Debug)]
pub struct Emulator {
    queue: RefCell<Vec<Work>>,
    recording: RefCell<Option<Vec<Work>>>,
    random: Cell<u64>,
    /// Whether the device computes products itself, as a device with a matrix library does.
    library: bool,
    /// Bytes of shared memory that a block can use.
    shared: usize,
    /// Allocations until one fails. Negative: none fails.
    until_failure: Arc<AtomicIsize>,
    /// Kernels until one fails. Negative: none fails.
    until_fault: Arc<AtomicIsize>,
}

/// Counts down. Returns true if the count was 0.
fn strikes(count: &AtomicIsize) -> bool {
    let left = count.load(Ordering::Relaxed);
    if left != 0 {
        count.store(left - 1, Ordering::Relaxed);
    }
    left == 0
}

impl Emulator {
    /// A device whose random choices all follow from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Emulator {
            queue: RefCell::new(Vec::new()),
            recording: RefCell::new(None),
            random: Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            library: false,
            shared: MAX_SHARED,
            until_failure: Arc::new(AtomicIsize::new(-1)),
            until_fault: Arc::new(AtomicIsize::new(-1)),
        }
    }

    /// The same, with a library for products.
    #[must_use]
    pub fn with_library(seed: u64) -> Self {
        Emulator { library: true, ..Emulator::new(seed) }
    }

    /// The same, with at most this much shared memory per block.
    #[must_use]
    pub fn with_shared_memory(seed: u64, bytes: usize) -> Self {
        Emulator { shared: bytes, ..Emulator::new(seed) }
    }

    /// The queue that a caller passed.
    unsafe fn of_stream<'a>(stream: u64) -> &'a Emulator {
        // SAFETY: the caller passes a value of `stream` of a queue that still lives.
        unsafe { &*(stream as *const Emulator) }
    }

    /// Counts the allocations of this queue and its forks down. The allocation at 0 fails, and so do later ones until
    /// the count is set again.
    pub fn failing(&self) -> Arc<AtomicIsize> {
        self.until_failure.clone()
    }

    /// Counts kernels down in the same way.
    pub fn faulting(&self) -> Arc<AtomicIsize> {
        self.until_fault.clone()
    }

    fn next(&self) -> u64 {
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.set(x);
        x
    }

    fn enqueue(&self, work: Work) -> Result<()> {
        if let Some(list) = &mut *self.recording.borrow_mut() {
            list.push(work);
            return Ok(());
        }
        self.queue.borrow_mut().push(work);
        // The device may be fast or slow.
        if self.next().is_multiple_of(8) { self.drain() } else { Ok(()) }
    }

    fn drain(&self) -> Result<()> {
        let queue = std::mem::take(&mut *self.queue.borrow_mut());
        queue.iter().try_for_each(|work| self.run(work))
    }

    fn run(&self, work: &Work) -> Result<()> {
        let copy = |device: u64, host: usize, bytes: usize, kind: c_int, what: &str| {
            // SAFETY: the host side is pinned memory of that size, and the device side is looked up.
            if unsafe { sam2_emulator_copy(device as usize, host as *mut c_void, bytes, kind) } {
                return Ok(());
            }
            Err(Error::Device(format!("copy of {bytes} bytes {what} the device: not its memory, or never written")))
        };
        match work {
            Work::In { to, from, bytes } => copy(*to, *from, *bytes, 0, "to"),
            Work::Out { to, from, bytes } => copy(*from, *to, *bytes, 1, "from"),
            Work::Launch(launch) if strikes(&self.until_fault) => {
                Err(Error::Device(format!("kernel {}: an injected fault", launch.kernel.name())))
            }
            Work::Launch(launch) => self.emulate(launch.kernel.name(), launch),
            Work::Gemm(gemm) => multiply(gemm),
        }
    }

    fn emulate(&self, name: &str, launch: &Launch) -> Result<()> {
        self.run_named(name, launch.grid, launch.kernel.threads(), launch.shared, &launch.args, launch.size)
    }

    /// Runs a kernel by name.
    fn run_named(
        &self,
        name: &str,
        grid: [u32; 3],
        threads: u32,
        shared: usize,
        args: &[u64; MAX_ARGS / 8],
        size: usize,
    ) -> Result<()> {
        let (kernel, takes, registered) = find(name).ok_or_else(|| Error::Device(format!("no kernel {name}")))?;
        if (takes, registered) != (size, threads as usize) {
            let what = format!("{name} takes {takes} bytes and {registered} threads, got {size} and {threads}");
            return Err(Error::Internal(what));
        }
        let mut error = [0 as c_char; 512];
        // SAFETY: the arguments have the size that the kernel takes. Addresses in them are looked up at every access.
        let done = unsafe {
            sam2_emulator_launch(
                kernel,
                grid.as_ptr(),
                threads,
                shared,
                args.as_ptr().cast(),
                self.next(),
                error.as_mut_ptr(),
                error.len(),
            )
        };
        // SAFETY: the message ends within the buffer.
        let message = || unsafe { CStr::from_ptr(error.as_ptr()) }.to_string_lossy().into_owned();
        if done { Ok(()) } else { Err(Error::Device(message())) }
    }

    /// Runs one of the kernels with a mistake (`emulator/faults.cu`). `out` and `in` have 64 floats (`in` has 128 for
    /// products).
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the emulator detects the mistake, or if there is no such kernel. [`Error::Internal`] if
    /// the kernel takes other arguments or another number of threads.
    pub fn fault(&self, name: &str, out: u64, input: u64, n: i32) -> Result<()> {
        #[derive(Clone, Copy, bytemuck::NoUninit)]
        #[repr(C)]
        struct FaultArgs {
            out: u64,
            input: u64,
            n: i32,
            pad: i32,
        }
        // A tile of 16x16 numbers takes 512 bytes.
        let shared = if name.contains("product") || name.contains("lane") { 512 } else { 256 };
        let l = Launch::new(Kernel::add, [1; 3], shared, &FaultArgs { out, input, n, pad: 0 });
        self.run_named(name, [1; 3], 64, shared, &l.args, l.size)
    }
}

/// The index, the size of the arguments, and the threads per block.
fn find(name: &str) -> Option<(c_int, usize, usize)> {
    let name = CString::new(name).ok()?;
    let (mut args, mut threads) = (0, 0);
    // SAFETY: a string and two places to write to.
    let i = unsafe { sam2_emulator_kernel(name.as_ptr(), &mut args, &mut threads) };
    (i >= 0).then_some((i, args as usize, threads as usize))
}

impl Device for Emulator {
    type Memory = EmulatedMemory;
    type Pinned = HostBytes;
    type Recording = RecordedWork;
    type Event = Instant;

    fn name(&self) -> String {
        "emulator".into()
    }

    fn index(&self) -> usize {
        0
    }

    fn memory(&self) -> Result<DeviceMemory> {
        Ok(DeviceMemory { free: 1 << 33, total: 1 << 33 })
    }

    fn shared(&self) -> usize {
        self.shared
    }

    fn fork(&self) -> Result<Self> {
        let (until_failure, until_fault) = (self.until_failure.clone(), self.until_fault.clone());
        Ok(Emulator {
            until_failure,
            until_fault,
            library: self.library,
            shared: self.shared,
            ..Emulator::new(self.next())
        })
    }

    fn alloc(&self, bytes: usize, what: &'static str) -> Result<EmulatedMemory> {
        let failed = Err(Error::OutOfMemory { what, bytes });
        if strikes(&self.until_failure) {
            return failed;
        }
        // SAFETY: any size may be requested, and null is checked.
        let p = unsafe { sam2_emulator_alloc(bytes) };
        if p.is_null() { failed } else { Ok(EmulatedMemory { addr: p as u64, bytes }) }
    }

    fn pinned(&self, bytes: usize) -> Result<HostBytes> {
        const WHAT: &str = "pinned memory";
        if strikes(&self.until_failure) {
            return Err(Error::OutOfMemory { what: WHAT, bytes });
        }
        Ok(HostBytes(try_collect(bytes, WHAT, std::iter::repeat(Cell::new(0xcb)))?.into()))
    }

    fn launch(&self, launch: &Launch) -> Result<()> {
        assert!(launch.shared <= self.shared, "{:?}: {} bytes of shared memory", launch.kernel, launch.shared);
        self.enqueue(Work::Launch(*launch))
    }

    fn gemm(&self, gemm: &Gemm) -> Result<bool> {
        if self.library {
            self.enqueue(Work::Gemm(*gemm))?;
        }
        Ok(self.library)
    }

    fn copy_in(&self, to: u64, from: *const u8, bytes: usize) -> Result<()> {
        self.enqueue(Work::In { to, from: from as usize, bytes })
    }

    fn copy_out(&self, to: *mut u8, from: u64, bytes: usize) -> Result<()> {
        self.enqueue(Work::Out { to: to as usize, from, bytes })
    }

    fn begin(&self) -> Result<()> {
        *self.recording.borrow_mut() = Some(Vec::new());
        Ok(())
    }

    fn end(&self) -> Result<RecordedWork> {
        self.recording.borrow_mut().take().map(RecordedWork).ok_or_else(|| Error::Internal("nothing recorded".into()))
    }

    fn replay(&self, recording: &RecordedWork) -> Result<()> {
        recording.0.iter().try_for_each(|work| self.enqueue(*work))
    }

    fn stream(&self) -> u64 {
        std::ptr::from_ref(self) as u64
    }

    fn follow(&self, stream: u64) -> Result<()> {
        // SAFETY: the caller guarantees it. All work ordered before this runs first. Running more would be legal too.
        unsafe { Emulator::of_stream(stream) }.drain()
    }

    fn lead(&self, _stream: u64) -> Result<()> {
        self.drain()
    }

    fn mark(&self) -> Result<Instant> {
        self.drain().map(|()| Instant::now())
    }

    fn seconds(&self, from: &Instant, to: &Instant) -> Result<f64> {
        Ok(to.duration_since(*from).as_secs_f64())
    }

    fn sync(&self) -> Result<()> {
        self.drain()
    }
}

/// Reads, or with `write` writes, elements of device memory as f32.
fn elements(addr: u64, dtype: DType, values: &mut [f32], write: bool) -> Result<()> {
    let mut bytes = Vec::with_capacity(values.len() * 4);
    narrow(&mut bytes, values, dtype);
    // SAFETY: the host slice has its stated length, and the device side is looked up.
    if !unsafe { sam2_emulator_copy(addr as usize, bytes.as_mut_ptr().cast(), bytes.len(), !write as c_int) } {
        return Err(Error::Device(format!("product: {} bytes at {addr:#x}: no memory, or never written", bytes.len())));
    }
    let mut out = Vec::with_capacity(values.len());
    dtype.widen(&bytes, &mut out);
    values.copy_from_slice(&out);
    Ok(())
}

/// Computes a product as a matrix library would, in plain loops.
fn multiply(g: &Gemm) -> Result<()> {
    let aligned = [g.a, g.w, g.out].iter().all(|addr| addr.is_multiple_of(16));
    if !aligned || (g.add && g.activation != LibraryActivation::None) || ![DType::F32, g.dtype].contains(&g.out_dtype) {
        return Err(Error::Internal(format!("no library takes {g:?}")));
    }
    let row = |addr: u64, dtype: DType, i: usize, stride: usize, n: usize| {
        let mut values = vec![0.0; n];
        elements(addr + (i * stride * dtype.bytes()) as u64, dtype, &mut values, false).map(|()| values)
    };
    let w: Vec<f32> = (0..g.n).map(|j| row(g.w, g.dtype, j, g.ldw, g.k)).collect::<Result<Vec<_>>>()?.concat();
    let bias = if g.bias == 0 { vec![0.0; g.n] } else { row(g.bias, g.out_dtype, 0, 0, g.n)? };
    for i in 0..g.m {
        let a = row(g.a, g.dtype, i, g.lda, g.k)?;
        let mut out = if g.add { row(g.out, g.out_dtype, i, g.ldo, g.n)? } else { vec![0.0; g.n] };
        for (j, out) in out.iter_mut().enumerate() {
            let sum: f32 = a.iter().zip(&w[j * g.k..]).map(|(a, w)| a * w).sum();
            *out += sum + bias[j];
            *out = match g.activation {
                LibraryActivation::None => *out,
                LibraryActivation::Relu => out.max(0.0),
                LibraryActivation::TanhGelu => tanh_gelu(*out),
            };
        }
        elements(g.out + (i * g.ldo * g.out_dtype.bytes()) as u64, g.out_dtype, &mut out, true)?;
    }
    Ok(())
}

fn tanh_gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + ((2.0 / std::f32::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh())
}

/// Recorded work.
#[derive(Debug)]
pub struct RecordedWork(Vec<Work>);

// SAFETY: the fields are addresses and numbers.
unsafe impl Send for RecordedWork {}
// SAFETY: as above, and a queue is used by one thread at a time.
unsafe impl Send for Emulator {}

/// The threads per block of the kernel with that name, if it exists.
#[must_use]
pub fn threads_of(name: &str) -> Option<u32> {
    find(name).map(|(_, _, threads)| threads as u32)
}

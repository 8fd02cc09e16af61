//! A queue on an NVIDIA GPU, through its driver.
//!
//! The queue uses the GPU's primary context, as the CUDA runtime and PyTorch do, so pointers of the caller are valid.
//! Every call makes this context current and restores the previous one.

use crate::blas::Blas;
use crate::device::{Device, Gemm, Launch, Pinned};
use crate::kernels::Kernel;
use crate::probe::{Card, Unavailable, check, describe, fatbin, usable};
use cudarc::driver::sys::{self, CUresult};
use sam2_engine::backend::{DeviceMemory, Memory};
use sam2_engine::{Error, Result};
use std::cell::OnceCell;
use std::ffi::{CString, c_void};
use std::fmt;
use std::ptr::null_mut;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

/// A GPU with its kernels loaded. Everything that runs on the GPU shares it.
pub(crate) struct Context {
    card: Card,
    device: sys::CUdevice,
    context: sys::CUcontext,
    module: sys::CUmodule,
    /// Kernels are loaded when they are first needed, since most models use only a few of each family.
    functions: Vec<OnceLock<Function>>,
    /// The library is started for the first product, since its files are large.
    blas: OnceLock<Option<Blas>>,
}

#[derive(Clone, Copy)]
struct Function(sys::CUfunction);

// SAFETY: handles of the driver may be used by any thread.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}
// SAFETY: as above.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

/// Keeps the context current on this thread while it lives.
pub(crate) struct Current;

impl Drop for Current {
    fn drop(&mut self) {
        let mut context = null_mut();
        // SAFETY: the creator of this value pushed the context.
        unsafe { sys::cuCtxPopCurrent_v2(&mut context) };
    }
}

fn failed(what: &str, e: CUresult) -> Error {
    Error::Device(format!("{what}: {}", describe(e)))
}

/// Calls a function of the driver, which must be loaded. An error names the function.
macro_rules! call {
    ($function:ident($($arg:expr),*)) => {
        check(unsafe { sys::$function($($arg),*) }).map_err(|e| failed(stringify!($function), e))
    };
}

impl Context {
    /// The context of GPU `index`. All callers share one.
    fn of(index: usize) -> Result<Arc<Context>> {
        static ALL: Mutex<Vec<(usize, Weak<Context>)>> = Mutex::new(Vec::new());
        let card = usable(index)?;
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(_, weak)| weak.strong_count() > 0);
        if let Some(context) = all.iter().find(|(i, _)| *i == index).and_then(|(_, weak)| weak.upgrade()) {
            return Ok(context);
        }
        let context = Arc::new(Context::new(card)?);
        all.push((index, Arc::downgrade(&context)));
        Ok(context)
    }

    fn new(card: Card) -> Result<Context> {
        let mut device = 0;
        call!(cuDeviceGet(&mut device, card.index as i32))?;
        let mut context = null_mut();
        match check(unsafe { sys::cuDevicePrimaryCtxRetain(&mut context, device) }) {
            Err(CUresult::CUDA_ERROR_OUT_OF_MEMORY) => {
                return Err(Error::OutOfMemory { what: "a CUDA context", bytes: 0 });
            }
            other => other.map_err(|e| failed("cuDevicePrimaryCtxRetain", e))?,
        }
        let functions = Kernel::ALL.iter().map(|_| OnceLock::new()).collect();
        let mut made = Context { card, device, context, module: null_mut(), functions, blas: OnceLock::new() };
        let current = made.enter()?;
        let kernels = fatbin();
        if let (Card { name, capability: (major, minor), .. }, Some(names)) = (&made.card, made.card.compiles()) {
            log::warn!(
                "{name} has compute capability {major}.{minor}, and this build has machine code for {names}: the driver \
                 compiles the kernels now. SAM2_CUDA_ARCHS says what a build is for"
            );
        }
        match check(unsafe { sys::cuModuleLoadData(&mut made.module, kernels.as_ptr().cast()) }) {
            Err(
                CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU
                | CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION
                | CUresult::CUDA_ERROR_INVALID_PTX,
            ) => {
                let Card { name, capability, .. } = made.card.clone();
                return Err(Unavailable::UnsupportedCard { name, capability }.into());
            }
            Err(CUresult::CUDA_ERROR_OUT_OF_MEMORY) => {
                return Err(Error::OutOfMemory { what: "kernels", bytes: kernels.len() });
            }
            other => other.map_err(|e| failed("cuModuleLoadData", e))?,
        }
        drop(current);
        Ok(made)
    }

    /// Makes the context current until the returned value is dropped.
    pub(crate) fn enter(&self) -> Result<Current> {
        call!(cuCtxPushCurrent_v2(self.context)).map(|()| Current)
    }

    /// A kernel, loaded, with the most dynamic shared memory that a launch uses.
    fn function(&self, kernel: Kernel) -> Result<sys::CUfunction> {
        let place = &self.functions[kernel as usize];
        if let Some(function) = place.get() {
            return Ok(function.0);
        }
        use sys::CUfunction_attribute::{
            CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES,
        };
        let name = CString::new(kernel.name()).unwrap_or_default();
        let (mut function, mut shared) = (null_mut(), 0);
        call!(cuModuleGetFunction(&mut function, self.module, name.as_ptr()))?;
        call!(cuFuncGetAttribute(&mut shared, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, function))?;
        let most = self.card.shared as i32 - shared;
        call!(cuFuncSetAttribute(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, most))?;
        call!(cuFuncLoad(function))?;
        Ok(place.get_or_init(|| Function(function)).0)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if let Ok(_current) = self.enter() {
            self.blas.take();
            // SAFETY: the module is unused, since every user of it holds this context.
            unsafe { sys::cuModuleUnload(self.module) };
        }
        // SAFETY: retained once in `new`.
        unsafe { sys::cuDevicePrimaryCtxRelease_v2(self.device) };
    }
}

/// Memory of a GPU.
pub struct GpuMemory {
    context: Arc<Context>,
    addr: u64,
    bytes: usize,
}

impl fmt::Debug for GpuMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GpuMemory").field("addr", &self.addr).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Memory for GpuMemory {
    fn addr(&self) -> u64 {
        self.addr
    }
    fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for GpuMemory {
    fn drop(&mut self) {
        if let Ok(_current) = self.context.enter() {
            // SAFETY: the memory was allocated by this driver and is freed once. The driver waits for work that may use
            // it.
            unsafe { sys::cuMemFree_v2(self.addr) };
        }
    }
}

/// Host memory that the GPU copies from and to.
pub struct PinnedMemory {
    context: Arc<Context>,
    ptr: *mut c_void,
    bytes: usize,
}

impl fmt::Debug for PinnedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedMemory").field("ptr", &self.ptr).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

// SAFETY: plain memory.
unsafe impl Send for PinnedMemory {}

impl Pinned for PinnedMemory {
    fn ptr(&self) -> *mut u8 {
        self.ptr.cast()
    }
    fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for PinnedMemory {
    fn drop(&mut self) {
        if let Ok(_current) = self.context.enter() {
            // SAFETY: the memory was allocated by this driver and is freed once.
            unsafe { sys::cuMemFreeHost(self.ptr) };
        }
    }
}

/// A recorded graph.
pub struct Graph {
    context: Arc<Context>,
    exec: sys::CUgraphExec,
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Graph").field("exec", &self.exec).finish_non_exhaustive()
    }
}

// SAFETY: used by one thread at a time.
unsafe impl Send for Graph {}

impl Drop for Graph {
    fn drop(&mut self) {
        if let Ok(_current) = self.context.enter() {
            // SAFETY: the graph was created once. A graph that is running is freed when it ends.
            unsafe { sys::cuGraphExecDestroy(self.exec) };
        }
    }
}

/// A point in a stream.
pub struct Event {
    context: Arc<Context>,
    event: sys::CUevent,
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("event", &self.event).finish_non_exhaustive()
    }
}

// SAFETY: handles of the driver may be used by any thread.
unsafe impl Send for Event {}

impl Event {
    /// With `timed` the time of the event can be read. Without it, waiting for the event costs less.
    fn new(context: &Arc<Context>, timed: bool) -> Result<Event> {
        let flags =
            if timed { sys::CUevent_flags::CU_EVENT_DEFAULT } else { sys::CUevent_flags::CU_EVENT_DISABLE_TIMING };
        let mut event = null_mut();
        call!(cuEventCreate(&mut event, flags as u32))?;
        Ok(Event { context: context.clone(), event })
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if let Ok(_current) = self.context.enter() {
            // SAFETY: the event was created once. An event that is waited for is freed later.
            unsafe { sys::cuEventDestroy_v2(self.event) };
        }
    }
}

/// A stream of a GPU.
pub struct Driver {
    context: Arc<Context>,
    stream: sys::CUstream,
    /// Scratch memory for the matrix library.
    scratch: OnceCell<GpuMemory>,
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("index", &self.context.card.index)
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

// SAFETY: used by one thread at a time.
unsafe impl Send for Driver {}

impl Driver {
    /// A stream on GPU `index`, in the driver's order.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the GPU cannot be used, for a reason of [`Unavailable`], or if the driver fails.
    /// [`Error::OutOfMemory`] if there is no memory for the context or for the kernels.
    pub fn new(index: usize) -> Result<Driver> {
        Driver::on(Context::of(index)?)
    }

    fn on(context: Arc<Context>) -> Result<Driver> {
        let mut stream = null_mut();
        {
            let _current = context.enter()?;
            call!(cuStreamCreate(&mut stream, sys::CUstream_flags::CU_STREAM_NON_BLOCKING as u32))?;
        }
        Ok(Driver { context, stream, scratch: OnceCell::new() })
    }

    /// Fails if the caller's stream belongs to a context other than the primary one, whose events it does not take.
    /// Fails while the stream is being recorded, since the engine's own recordings and waits cannot be part of that
    /// recording.
    fn usable(&self, stream: sys::CUstream) -> Result<()> {
        let mut of = null_mut();
        // Streams 0, 1 and 2 are the driver's names for the default streams of the current context.
        if stream as usize > 2 {
            call!(cuStreamGetCtx(stream, &mut of))?;
            if of != self.context.context {
                let what = "the stream given is of another CUDA context; give one of the card's primary context";
                return Err(Error::Input(what.into()));
            }
        }
        let mut status = sys::CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE;
        call!(cuStreamIsCapturing(stream, &mut status))?;
        if status == sys::CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE {
            return Ok(());
        }
        Err(Error::Input("the stream given is being captured; call outside of the capture".into()))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Ok(_current) = self.context.enter() {
            // SAFETY: the stream was created once. Work on it may use memory that is about to be freed.
            unsafe {
                sys::cuStreamSynchronize(self.stream);
                sys::cuStreamDestroy_v2(self.stream);
            }
        }
    }
}

impl Device for Driver {
    type Memory = GpuMemory;
    type Pinned = PinnedMemory;
    type Recording = Graph;
    type Event = Event;

    fn name(&self) -> String {
        self.context.card.name.clone()
    }

    fn index(&self) -> usize {
        self.context.card.index
    }

    fn memory(&self) -> Result<DeviceMemory> {
        let _current = self.context.enter()?;
        let (mut free, mut total) = (0, 0);
        call!(cuMemGetInfo_v2(&mut free, &mut total))?;
        Ok(DeviceMemory { free: free as u64, total: total as u64 })
    }

    fn shared(&self) -> usize {
        self.context.card.shared
    }

    fn fork(&self) -> Result<Driver> {
        Driver::on(self.context.clone())
    }

    fn alloc(&self, bytes: usize, what: &'static str) -> Result<GpuMemory> {
        let _current = self.context.enter()?;
        let mut addr = 0;
        match check(unsafe { sys::cuMemAlloc_v2(&mut addr, bytes.max(1)) }) {
            Ok(()) => Ok(GpuMemory { context: self.context.clone(), addr, bytes }),
            Err(CUresult::CUDA_ERROR_OUT_OF_MEMORY) => Err(Error::OutOfMemory { what, bytes }),
            Err(e) => Err(failed("cuMemAlloc", e)),
        }
    }

    fn pinned(&self, bytes: usize) -> Result<PinnedMemory> {
        let _current = self.context.enter()?;
        let mut ptr = null_mut();
        // No flags, since reading results from write-combined memory would be slow.
        match check(unsafe { sys::cuMemHostAlloc(&mut ptr, bytes.max(1), 0) }) {
            Ok(()) => Ok(PinnedMemory { context: self.context.clone(), ptr, bytes }),
            Err(CUresult::CUDA_ERROR_OUT_OF_MEMORY) => Err(Error::OutOfMemory { what: "pinned memory", bytes }),
            Err(e) => Err(failed("cuMemHostAlloc", e)),
        }
    }

    fn launch(&self, launch: &Launch) -> Result<()> {
        let _current = self.context.enter()?;
        let function = self.context.function(launch.kernel)?;
        let [x, y, z] = launch.grid;
        let mut params = [launch.args.as_ptr().cast_mut().cast::<c_void>()];
        let (threads, shared) = (launch.kernel.threads(), launch.shared as u32);
        let (params, no_extra) = (params.as_mut_ptr(), null_mut());
        call!(cuLaunchKernel(function, x, y, z, threads, 1, 1, shared, self.stream, params, no_extra))
            .map_err(|e| Error::Device(format!("kernel {}: {e}", launch.kernel.name())))
    }

    fn gemm(&self, gemm: &Gemm) -> Result<bool> {
        let _current = self.context.enter()?;
        let Some(blas) = self.context.blas.get_or_init(Blas::new) else { return Ok(false) };
        if self.scratch.get().is_none() {
            let _ = self.scratch.set(self.alloc(Blas::SCRATCH, "scratch of the matrix library")?);
        }
        let scratch = self.scratch.get().map_or(0, |s| s.addr());
        blas.multiply(gemm, scratch, self.stream)
    }

    fn copy_in(&self, to: u64, from: *const u8, bytes: usize) -> Result<()> {
        let _current = self.context.enter()?;
        call!(cuMemcpyHtoDAsync_v2(to, from.cast(), bytes, self.stream))
    }

    fn copy_out(&self, to: *mut u8, from: u64, bytes: usize) -> Result<()> {
        let _current = self.context.enter()?;
        call!(cuMemcpyDtoHAsync_v2(to.cast(), from, bytes, self.stream))
    }

    fn begin(&self) -> Result<()> {
        let _current = self.context.enter()?;
        // Other threads of the process may continue with any calls.
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        call!(cuStreamBeginCapture_v2(self.stream, mode))
    }

    fn end(&self) -> Result<Graph> {
        let _current = self.context.enter()?;
        let (mut graph, mut exec) = (null_mut(), null_mut());
        call!(cuStreamEndCapture(self.stream, &mut graph))?;
        let made = check(unsafe { sys::cuGraphInstantiateWithFlags(&mut exec, graph, 0) });
        // SAFETY: the executable graph is a copy.
        unsafe { sys::cuGraphDestroy(graph) };
        match made {
            Ok(()) => Ok(Graph { context: self.context.clone(), exec }),
            Err(CUresult::CUDA_ERROR_OUT_OF_MEMORY) => Err(Error::OutOfMemory { what: "a CUDA graph", bytes: 0 }),
            Err(e) => Err(failed("cuGraphInstantiate", e)),
        }
    }

    fn replay(&self, graph: &Graph) -> Result<()> {
        let _current = self.context.enter()?;
        call!(cuGraphLaunch(graph.exec, self.stream))
    }

    fn stream(&self) -> u64 {
        self.stream as u64
    }

    fn follow(&self, stream: u64) -> Result<()> {
        let _current = self.context.enter()?;
        let stream = stream as sys::CUstream;
        self.usable(stream)?;
        let event = Event::new(&self.context, false)?;
        call!(cuEventRecord(event.event, stream))?;
        call!(cuStreamWaitEvent(self.stream, event.event, 0))
    }

    fn lead(&self, stream: u64) -> Result<()> {
        let _current = self.context.enter()?;
        let event = Event::new(&self.context, false)?;
        call!(cuEventRecord(event.event, self.stream))?;
        call!(cuStreamWaitEvent(stream as sys::CUstream, event.event, 0))
    }

    fn mark(&self) -> Result<Event> {
        let _current = self.context.enter()?;
        let event = Event::new(&self.context, true)?;
        call!(cuEventRecord(event.event, self.stream))?;
        Ok(event)
    }

    fn seconds(&self, from: &Event, to: &Event) -> Result<f64> {
        let _current = self.context.enter()?;
        let mut milliseconds = 0.0;
        call!(cuEventElapsedTime_v2(&mut milliseconds, from.event, to.event))?;
        Ok(f64::from(milliseconds) / 1e3)
    }

    fn sync(&self) -> Result<()> {
        let _current = self.context.enter()?;
        call!(cuStreamSynchronize(self.stream))
    }
}

//! A queue on a device: launches, memory that operations share, failures and counters.

use crate::device::{Device, Gemm, Launch};
use crate::kernels::Kernel;
use crate::operands::NormedRows;
use crate::pictures::{Filters, Pictures};
use crate::staging::Staging;
use bytemuck::NoUninit;
use sam2_engine::backend::{Counters, Memory, ProbeFn};
use sam2_engine::tensor::Tensor;
use sam2_engine::{Error, Result};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The nanoseconds by which the device is delayed before kernels are timed. The host takes less time to enqueue a stage.
const HOLD_BACK: i64 = 20_000_000;

/// The error of a queue after a fault.
pub(crate) fn poisoned() -> Error {
    Error::Device("failed in an earlier call; this predictor is of no more use".into())
}

/// Recorded work, and its counters.
pub struct Recording<D: Device> {
    pub(crate) work: D::Recording,
    pub(crate) counters: Counters,
}

impl<D: Device> fmt::Debug for Recording<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").field("counters", &self.counters).finish_non_exhaustive()
    }
}

/// A queue on a device.
pub struct Cuda<D: Device> {
    pub(crate) device: D,
    /// Memory of an operation, which the next operation may use again.
    pub(crate) workspace: RefCell<Option<D::Memory>>,
    /// The normalised rows in the workspace, until an operation uses the workspace.
    pub(crate) normed: Cell<Option<NormedRows>>,
    /// Workspaces that became too small. Recorded work still has their addresses.
    pub(crate) outgrown: RefCell<Vec<D::Memory>>,
    /// The largest workspace of an operation, while operations are only measured.
    pub(crate) measuring: Cell<Option<usize>>,
    /// The queue that copies the next image while this queue works. It is dropped before the memory that it copies.
    pub(crate) ahead: RefCell<Option<D>>,
    /// Images on the way in.
    pub(crate) pictures: RefCell<Pictures<D>>,
    /// Memory for the lines of an image on the way in, and for masks on the way out.
    pub(crate) io_buffer: RefCell<Option<D::Memory>>,
    /// The weights of the bicubic filter for the size of the last image.
    pub(crate) filters: RefCell<Option<Filters<D::Memory>>>,
    pub(crate) staging: RefCell<Staging<D>>,
    pub(crate) failure: RefCell<Option<Error>>,
    /// Whether a fault happened. After a fault, no result of this queue is valid.
    pub(crate) poisoned: Cell<bool>,
    pub(crate) counters: Cell<Counters>,
    pub(crate) probe: RefCell<Option<ProbeFn>>,
    /// The name, the start and the end of each launch, while kernels are timed.
    pub(crate) profile: RefCell<Option<Vec<(&'static str, D::Event, D::Event)>>>,
    /// Whether the device has nothing to do while kernels are timed. The time of the next kernel would be that of the host.
    pub(crate) idle: Cell<bool>,
    /// A hash of all launches. Two runs of a stage must have the same hash.
    pub(crate) launch_hash: Cell<u64>,
}

impl<D: Device> fmt::Debug for Cuda<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Cuda");
        out.field("device", &self.device.name()).field("poisoned", &self.poisoned.get());
        out.field("counters", &self.counters.get()).finish_non_exhaustive()
    }
}

impl<D: Device> Cuda<D> {
    /// A backend on a device.
    pub fn on(device: D) -> Self {
        Cuda {
            device,
            workspace: RefCell::new(None),
            normed: Cell::new(None),
            outgrown: RefCell::new(Vec::new()),
            measuring: Cell::new(None),
            ahead: RefCell::new(None),
            pictures: RefCell::new(Pictures::default()),
            io_buffer: RefCell::new(None),
            filters: RefCell::new(None),
            staging: RefCell::new(Staging::new()),
            failure: RefCell::new(None),
            poisoned: Cell::new(false),
            counters: Cell::new(Counters::default()),
            probe: RefCell::new(None),
            profile: RefCell::new(None),
            idle: Cell::new(false),
            launch_hash: Cell::new(0),
        }
    }

    /// Keeps the first error for the next call that waits.
    pub(crate) fn keep(&self, result: Result<()>) {
        if let Err(e) = result {
            self.failure.borrow_mut().get_or_insert(e);
        }
    }

    /// Whether an error or a fault happened.
    pub(crate) fn failed(&self) -> bool {
        self.poisoned.get() || self.failure.borrow().is_some()
    }

    /// Enqueues a kernel with its arguments.
    pub(crate) fn launch<A: NoUninit>(&self, kernel: Kernel, grid: [usize; 3], shared: usize, args: &A) {
        self.count(|c| c.launches += 1);
        if self.measuring.get().is_none() && !self.failed() {
            let launch = Launch::new(kernel, grid, shared, args);
            self.trace(&(kernel as usize, launch.grid, shared, launch.args));
            self.keep(self.timed(kernel.name(), || self.device.launch(&launch)).map(|_| ()));
        }
    }

    /// Enqueues a product of the device's library. Returns false if the library has no such product.
    pub(crate) fn gemm(&self, gemm: &Gemm) -> bool {
        if self.measuring.get().is_some() || self.failed() {
            return false;
        }
        match self.timed("cublasLtMatmul", || self.device.gemm(gemm)) {
            Ok(true) => {
                self.count(|c| c.launches += 1);
                self.trace(gemm);
                true
            }
            Ok(false) => false,
            Err(e) => {
                self.keep(Err(e));
                true
            }
        }
    }

    /// Enqueues work. While kernels are timed, the work is between two marks.
    pub(crate) fn timed<T>(&self, name: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        match &mut *self.profile.borrow_mut() {
            None => work(),
            Some(times) => {
                if self.idle.replace(false) {
                    self.device.launch(&Launch::new(Kernel::hold_back, [1; 3], 0, &HOLD_BACK))?;
                }
                let from = self.device.mark()?;
                let done = work()?;
                times.push((name, from, self.device.mark()?));
                Ok(done)
            }
        }
    }

    /// Adds a launch to `launch_hash`.
    pub(crate) fn trace(&self, work: &impl Hash) {
        let mut hasher = DefaultHasher::new();
        (self.launch_hash.get(), work).hash(&mut hasher);
        self.launch_hash.set(hasher.finish());
    }

    /// Memory for an operation, at a multiple of 256. It is `None` after a failure.
    pub(crate) fn workspace(&self, bytes: usize) -> Option<u64> {
        self.normed.set(None);
        if let Some(most) = self.measuring.get() {
            self.measuring.set(Some(most.max(bytes)));
            return Some(0);
        }
        let mut workspace = self.workspace.borrow_mut();
        if workspace.as_ref().is_none_or(|w| w.bytes() < bytes) {
            match self.device.alloc(bytes, "workspace of the GPU") {
                Ok(memory) => self.outgrown.borrow_mut().extend(workspace.replace(memory)),
                Err(e) => {
                    self.keep(Err(e));
                    return None;
                }
            }
        }
        workspace.as_ref().map(|w| w.addr())
    }

    /// Memory for data that enters or leaves the device. Recorded work never uses it.
    pub(crate) fn io_buffer(&self, bytes: usize, what: &'static str) -> Option<u64> {
        self.grown(&mut self.io_buffer.borrow_mut(), bytes, what)
    }

    /// Memory that grows to the largest size and stays. It is `None` after a failure.
    pub(crate) fn grown(&self, memory: &mut Option<D::Memory>, bytes: usize, what: &'static str) -> Option<u64> {
        if memory.as_ref().is_none_or(|m| m.bytes() < bytes) {
            // Enqueued work may still use the old memory.
            let grown = self.wait().and_then(|()| {
                *memory = None;
                self.device.alloc(bytes, what)
            });
            match grown {
                Ok(grown) => *memory = Some(grown),
                Err(e) => {
                    self.keep(Err(e));
                    return None;
                }
            }
        }
        memory.as_ref().map(|m| m.addr())
    }

    /// Changes the counters.
    pub(crate) fn count(&self, change: impl FnOnce(&mut Counters)) {
        let mut c = self.counters.get();
        change(&mut c);
        self.counters.set(c);
    }

    /// Counts the bytes of operands.
    pub(crate) fn count_operands(&self, operands: &[Tensor<'_>]) {
        operands.iter().for_each(|t| self.count(|c| c.bytes += (t.len() * t.dtype().bytes()) as u64));
    }

    /// Waits for all enqueued work.
    pub(crate) fn wait(&self) -> Result<()> {
        self.count(|c| c.waits += 1);
        let result = self.device.sync();
        self.idle.set(true);
        let mut staging = self.staging.borrow_mut();
        if result.is_ok() {
            staging.landed()
        } else {
            staging.forget()
        }
        result
    }
}

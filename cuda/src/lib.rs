//! The CUDA backend: hand-written kernels behind the engine's operations.
//!
//! Kernels are in `kernels/`, a file per family; their launches here, a file per family too. What runs them is a
//! [`device::Device`]: the driver of an NVIDIA GPU, or, for tests, an emulator that runs the same kernels on a CPU.

mod attention;
pub mod blas;
mod decoder;
pub mod device;
mod driver;
#[cfg(feature = "emulator")]
pub mod emulator;
mod kernels;
mod linear;
mod mask_out;
mod masks;
mod memory_attention;
mod pixels;
pub mod probe;
mod splits;
mod staging;
mod tracking;
mod view;

pub use driver::Driver;
pub use kernels::Kernel;
pub use linear::Weights;

use bytemuck::NoUninit;
use device::{Device, Gemm, Launch};
use linear::NormedRows;
use sam2_engine::backend::*;
use sam2_engine::operations;
use sam2_engine::tensor::Tensor;
use sam2_engine::{Error, Frame, MaskOut, Precision, Result};
use staging::Staging;
use std::cell::{Cell, RefCell};
use std::hash::{DefaultHasher, Hash, Hasher};
use view::{View, blocks, code, plain};

/// Carve-outs so close, given as address and size, that one copy of both costs less than two.
fn close((a, bytes): (u64, usize), (b, _): (u64, usize)) -> bool {
    let end = a + bytes as u64;
    (end..end + 256).contains(&b)
}

/// Nanoseconds for which the device is held back before kernels are timed: longer than the host takes to enqueue a stage.
const HOLD_BACK: i64 = 20_000_000;

fn lost() -> Error {
    Error::Device("failed in an earlier call; this predictor is of no more use".into())
}

/// Recorded work, and how much it is.
pub struct Recording<D: Device> {
    work: D::Recording,
    counters: Counters,
}

/// A queue on a device.
pub struct Cuda<D: Device> {
    device: D,
    /// What an operation needs for itself; the next operation may have it.
    workspace: RefCell<Option<D::Memory>>,
    /// The normalised rows that the workspace holds, until somebody asks for it.
    normed: Cell<Option<NormedRows>>,
    /// Workspaces that were outgrown: recorded work still names them.
    outgrown: RefCell<Vec<D::Memory>>,
    /// While operations are only measured: the largest workspace any needs.
    measuring: Cell<Option<usize>>,
    /// A picture and its lines on the way in; masks on the way out.
    edge: RefCell<Option<D::Memory>>,
    /// Weights of the bicubic filter, as long as pictures have the same size.
    filters: RefCell<Option<pixels::Filters<D::Memory>>>,
    staging: RefCell<Staging<D>>,
    failure: RefCell<Option<Error>>,
    /// After a fault nothing on this queue can be trusted.
    lost: Cell<bool>,
    counters: Cell<Counters>,
    probe: RefCell<Option<Probe>>,
    /// What was launched, from when to when, while kernels are timed.
    profile: RefCell<Option<Vec<(&'static str, D::Event, D::Event)>>>,
    /// While kernels are timed: the device has nothing to do, so the next kernel's time would be the host's.
    idle: Cell<bool>,
    /// A sum over everything launched: two runs of a stage must leave the same.
    trail: Cell<u64>,
}

impl<D: Device> Cuda<D> {
    /// A backend on `device`.
    pub fn on(device: D) -> Self {
        Cuda {
            device,
            workspace: RefCell::new(None),
            normed: Cell::new(None),
            outgrown: RefCell::new(Vec::new()),
            measuring: Cell::new(None),
            edge: RefCell::new(None),
            filters: RefCell::new(None),
            staging: RefCell::new(Staging::new()),
            failure: RefCell::new(None),
            lost: Cell::new(false),
            counters: Cell::new(Counters::default()),
            probe: RefCell::new(None),
            profile: RefCell::new(None),
            idle: Cell::new(false),
            trail: Cell::new(0),
        }
    }

    fn keep(&self, result: Result<()>) {
        if let Err(e) = result {
            self.failure.borrow_mut().get_or_insert(e);
        }
    }

    fn failed(&self) -> bool {
        self.lost.get() || self.failure.borrow().is_some()
    }

    /// Enqueues a kernel with its arguments.
    fn launch<A: NoUninit>(&self, kernel: Kernel, grid: [usize; 3], shared: usize, args: &A) {
        self.count(|c| c.launches += 1);
        if self.measuring.get().is_none() && !self.failed() {
            let launch = Launch::new(kernel, grid, shared, args);
            self.trace(&(kernel as usize, launch.grid, shared, launch.args));
            self.keep(self.timed(kernel.name(), || self.device.launch(&launch)).map(|_| ()));
        }
    }

    /// Enqueues a product by the device's library; false where it has none for it.
    fn gemm(&self, gemm: &Gemm) -> bool {
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

    /// Enqueues work, between two marks while kernels are timed.
    fn timed<T>(&self, name: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
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

    /// Adds to the trail.
    fn trace(&self, work: &impl Hash) {
        let mut hasher = DefaultHasher::new();
        (self.trail.get(), work).hash(&mut hasher);
        self.trail.set(hasher.finish());
    }

    /// Memory for the operation at hand, at a multiple of 256; none after a failure.
    fn workspace(&self, bytes: usize) -> Option<u64> {
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

    /// Memory for what crosses the edge; grows to the largest need and stays. Never part of recorded work.
    fn edge(&self, bytes: usize, what: &'static str) -> Option<u64> {
        let mut edge = self.edge.borrow_mut();
        if edge.as_ref().is_none_or(|e| e.bytes() < bytes) {
            // What is enqueued may still use the old one.
            let grown = self.wait().and_then(|()| {
                *edge = None;
                self.device.alloc(bytes, what)
            });
            match grown {
                Ok(memory) => *edge = Some(memory),
                Err(e) => {
                    self.keep(Err(e));
                    return None;
                }
            }
        }
        edge.as_ref().map(|e| e.addr())
    }

    fn count(&self, change: impl FnOnce(&mut Counters)) {
        let mut c = self.counters.get();
        change(&mut c);
        self.counters.set(c);
    }

    fn count_operands(&self, operands: &[Tensor<'_>]) {
        operands.iter().for_each(|t| self.count(|c| c.bytes += (t.len() * t.dtype().bytes()) as u64));
    }

    fn wait(&self) -> Result<()> {
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

/// Operations are methods of the type's own, a file per family.
macro_rules! forward {
    ($($name:ident($($arg:ident: $type:ty),*);)*) => {
        $(fn $name(&self, $($arg: $type),*) { Self::$name(self, $($arg),*) })*
    };
}

impl<D: Device> Backend for Cuda<D> {
    type Memory = D::Memory;
    type Linear = Weights<D::Memory>;
    type Recording = Recording<D>;

    fn name(&self) -> String {
        self.device.name()
    }

    fn index(&self) -> usize {
        self.device.index()
    }

    fn memory(&self) -> Result<Option<[u64; 2]>> {
        self.device.memory().map(Some)
    }

    fn takes_device_memory(&self) -> bool {
        true
    }

    fn precision(&self, wanted: Precision) -> Result<Precision> {
        Ok(if wanted == Precision::Auto { Precision::Bf16 } else { wanted })
    }

    fn fork(&self) -> Result<Self> {
        Ok(Cuda::on(self.device.fork()?))
    }

    fn alloc(&self, bytes: usize, what: &'static str) -> Result<D::Memory> {
        self.device.alloc(bytes, what)
    }

    fn linear_weights(&self, data: LinearData<'_>) -> Result<Self::Linear> {
        self.pack(&data)
    }

    fn prompts_per_pass(&self) -> usize {
        32
    }

    fn objects_per_pass(&self, _: usize) -> usize {
        16
    }

    fn records(&self) -> bool {
        self.probe.borrow().is_none() && self.profile.borrow().is_none()
    }

    fn record(&self, body: &mut dyn FnMut()) -> Option<Recording<D>> {
        if self.failed() {
            return None;
        }
        // Once without doing anything: recorded work cannot allocate.
        self.measuring.set(Some(0));
        let before = self.counters.get();
        body();
        self.counters.set(before);
        let bytes = self.measuring.take().unwrap_or(0);
        self.workspace(bytes)?;
        // Once for its results, which also loads what it needs.
        let mut run = || {
            self.trail.set(0);
            body();
            self.trail.get()
        };
        let trail = run();
        let counters = self.counters.get() - before;
        // Once for the recording, while the device works.
        self.keep(self.device.begin());
        let again = run();
        let work = self.device.end();
        self.counters.set(before);
        self.count(|c| *c = *c + counters);
        match work {
            _ if self.failed() => None,
            Ok(_) if trail != again => {
                self.keep(Err(Error::Internal("a stage enqueues other work when it is recorded".into())));
                None
            }
            Ok(work) => Some(Recording { work, counters }),
            Err(e) => {
                self.keep(Err(e));
                None
            }
        }
    }

    fn replay(&self, recording: &Recording<D>) {
        self.count(|c| *c = *c + recording.counters);
        if !self.failed() {
            self.keep(self.device.replay(&recording.work));
        }
    }

    fn sync(&self) -> Result<()> {
        if self.lost.get() {
            return Err(lost());
        }
        let waited = self.wait();
        self.lost.set(matches!(waited, Err(Error::Device(_))));
        let failure = self.failure();
        waited.and(failure)
    }

    fn failure(&self) -> Result<()> {
        match self.failure.borrow_mut().take() {
            Some(e) => {
                self.lost.set(self.lost.get() || matches!(e, Error::Device(_)));
                Err(e)
            }
            None if self.lost.get() => Err(lost()),
            None => Ok(()),
        }
    }

    fn counters(&self) -> Counters {
        self.counters.get()
    }

    fn profile(&self, on: bool) -> Vec<KernelTime> {
        self.idle.set(on);
        let times = std::mem::replace(&mut *self.profile.borrow_mut(), on.then(Vec::new)).unwrap_or_default();
        let mut kernels: Vec<KernelTime> = Vec::new();
        for (name, from, to) in &times {
            let Ok(seconds) = self.device.seconds(from, to) else { continue };
            match kernels.iter_mut().find(|k| k.name == *name) {
                Some(k) => (k.launches, k.seconds) = (k.launches + 1, k.seconds + seconds),
                None => kernels.push(KernelTime { name: (*name).into(), launches: 1, seconds }),
            }
        }
        kernels
    }

    fn probe(&self, name: &str, x: Tensor<'_>) {
        if self.probe.borrow().is_none() || self.failed() {
            return;
        }
        let size = x.dtype().bytes();
        let mut values = Vec::with_capacity(x.len());
        for row in 0..x.rows() {
            let mut bytes = vec![0u8; x.cols() * size];
            let from = x.addr() + (row * x.stride() * size) as u64;
            let down = self.staging.borrow_mut().down(&self.device, &mut bytes, from);
            if let Err(e) = down.and_then(|()| self.wait()) {
                return self.keep(Err(e));
            }
            x.dtype().widen(&bytes, &mut values);
        }
        if let Some(probe) = &mut *self.probe.borrow_mut() {
            probe(name, x.dims(), &values);
        }
    }

    fn set_probe(&self, probe: Option<Probe>) {
        *self.probe.borrow_mut() = probe;
    }

    fn upload(&self, out: Tensor<'_>, data: &[u8]) {
        assert!(out.is_contiguous() && out.len() * out.dtype().bytes() == data.len(), "upload: {out:?}");
        self.count(|c| c.bytes += data.len() as u64);
        if data.is_empty() || self.failed() {
            return;
        }
        let mut staging = self.staging.borrow_mut();
        // In pieces, so that weights of any size pass through bounded memory.
        for (i, piece) in data.chunks(64 << 20).enumerate() {
            let to = out.addr() + (i * (64 << 20)) as u64;
            self.keep(staging.up(&self.device, to, piece.len(), |bytes| bytes.copy_from_slice(piece)));
        }
    }

    fn upload_all(&self, pieces: &[(Tensor<'_>, &[u8])]) {
        let run = |p: &(Tensor<'_>, &[u8])| (p.0.addr(), p.1.len());
        for pieces in pieces.chunk_by(|a, b| close(run(a), run(b))) {
            let (Some(first), Some(last)) = (pieces.first().map(run), pieces.last().map(run)) else { continue };
            pieces.iter().for_each(|(out, data)| {
                assert!(out.is_contiguous() && out.len() * out.dtype().bytes() == data.len(), "upload: {out:?}");
                self.count(|c| c.bytes += data.len() as u64);
            });
            let bytes = (last.0 - first.0) as usize + last.1;
            if self.failed() || bytes == 0 {
                continue;
            }
            self.keep(self.staging.borrow_mut().up(&self.device, first.0, bytes, |to| {
                for (out, data) in pieces {
                    to[(out.addr() - first.0) as usize..][..data.len()].copy_from_slice(data);
                }
            }));
        }
    }

    fn download(&self, out: &mut [u8], x: Tensor<'_>) {
        assert!(x.is_contiguous() && x.len() * x.dtype().bytes() == out.len(), "download: {x:?}");
        self.count(|c| c.bytes += out.len() as u64);
        if !out.is_empty() && !self.failed() {
            self.keep(self.staging.borrow_mut().down(&self.device, out, x.addr()));
        }
    }

    operations!(forward);
}

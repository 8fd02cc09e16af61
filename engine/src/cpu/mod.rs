//! The CPU backend: float32, the oracle of every kernel, and bf16 where the CPU multiplies that.
//!
//! Each operation cuts its output into tasks, runs them on the model's thread pool, and returns when they are done.
//! A task writes what no other task writes and reads what is finished, and its result does not depend on how the
//! work was cut: so results are the same for any number of threads.

/// out[i] = f(x[i], y[i]) for `n` floats of any kind; `out` may be `x` or `y`.
///
/// A macro, since a closure would be compiled without the features of the vector set.
macro_rules! zip_rows {
    ($s:expr, $out:expr, $x:expr, $y:expr, $n:expr, |$a:ident, $b:ident| $f:expr) => {{
        use $crate::cpu::floats::{Read as _, Write as _};
        let (out, x, y, n) = ($out, $x, $y, $n);
        let whole = n / S::LANES * S::LANES;
        for i in (0..whole).step_by(S::LANES) {
            let ($a, $b) = (x.load($s, i), y.load($s, i));
            out.store($s, i, $f);
        }
        if whole < n {
            let rest = n - whole;
            let ($a, $b) = (x.load_part($s, whole, rest), y.load_part($s, whole, rest));
            out.store_part($s, whole, rest, $f);
        }
    }};
}

/// out[i] = f(x[i]), likewise.
macro_rules! map_rows {
    ($s:expr, $out:expr, $x:expr, $n:expr, |$a:ident| $f:expr) => {{
        use $crate::cpu::floats::{Read as _, Write as _};
        let (out, x, n) = ($out, $x, $n);
        let whole = n / S::LANES * S::LANES;
        for i in (0..whole).step_by(S::LANES) {
            let $a = x.load($s, i);
            out.store($s, i, $f);
        }
        if whole < n {
            let rest = n - whole;
            let $a = x.load_part($s, whole, rest);
            out.store_part($s, whole, rest, $f);
        }
    }};
}

mod attention;
mod bicubic;
mod flash;
mod floats;
mod image_attention;
mod linear;
mod masks;
mod math;
mod memory;
mod norm;
mod pixels;
mod pool;
pub use pool::bind_thread;
mod prompts;
mod regions;
mod rope;
pub mod simd;
mod tracking;
mod upscale;

use crate::backend::*;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::mask_out::MaskOut;
use crate::operations;
use crate::precision::Precision;
use crate::tensor::{DType, Tensor, bf16};
pub use flash::MAX_WIDTH as MAX_HEAD_WIDTH;
use floats::Floats;
pub use linear::Packed;
pub use memory::HostMemory;
use pool::Pool;
use simd::{Isa, Kernel, Pair, Simd, Single, Word};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// f32 of scratch a task has: 1 MiB, the usual second-level cache.
const SCRATCH: usize = 256 * 1024;
const _: () = assert!(flash::SCRATCH <= SCRATCH);

/// A queue of work on the CPU, which is done by the time an operation returns.
pub struct Cpu {
    pool: Arc<Pool>,
    isa: Isa,
    /// `SCRATCH` f32 per thread.
    scratch: HostMemory,
    /// What an operation needs across its tasks; grows to the largest need and stays.
    workspace: RefCell<Option<HostMemory>>,
    failure: RefCell<Option<Error>>,
    counters: Cell<Counters>,
    /// By kernel, while profiling: launches and seconds.
    profile: RefCell<Option<BTreeMap<&'static str, (u64, f64)>>>,
    probe: RefCell<Option<Probe>>,
}

impl Cpu {
    /// A backend with its own pool of `threads` threads (0: as many as the machine offers) and the best instruction
    /// set it has.
    pub fn new(threads: usize) -> Result<Cpu> {
        Cpu::with_isa(threads, Isa::available()[0])
    }

    /// As [`Cpu::new`] with the threads that the engine starts bound to these CPUs, in turn, as the system numbers them; the
    /// thread that makes a call works too, wherever it is. `threads` 0: one for each. `isa`: the instruction set, if not the
    /// best.
    pub fn on_cpus(threads: usize, cpus: &[usize], isa: Option<Isa>) -> Result<Cpu> {
        let threads = if threads == 0 { cpus.len() } else { threads };
        Cpu::with(threads, cpus, isa.unwrap_or(Isa::available()[0]))
    }

    /// As [`Cpu::new`] with a chosen instruction set.
    pub fn with_isa(threads: usize, isa: Isa) -> Result<Cpu> {
        Cpu::with(threads, &[], isa)
    }

    fn with(threads: usize, cpus: &[usize], isa: Isa) -> Result<Cpu> {
        if let Some(feature) = isa.missing() {
            return Err(Error::Device(format!("this CPU lacks the feature {feature}, which {} needs", isa.name())));
        }
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, |n| n.get()),
            1..=1024 => threads,
            _ => return Err(Error::input(format!("{threads} threads: at most 1024"))),
        };
        if let Some(cpu) = cpus.iter().find(|&&cpu| cpu >= pool::cpus()) {
            return Err(Error::Device(format!("no CPU {cpu}: this machine has {}, counted from 0", pool::cpus())));
        }
        let failed = |e| Error::Device(format!("cannot start {threads} threads on CPUs {cpus:?}: {e}"));
        let pool = Pool::new(threads, cpus).map_err(failed)?;
        Cpu::on(Arc::new(pool), isa)
    }

    fn on(pool: Arc<Pool>, isa: Isa) -> Result<Cpu> {
        Ok(Cpu {
            scratch: HostMemory::zeroed(pool.threads() * SCRATCH * 4, "scratch of the CPU's threads")?,
            pool,
            isa,
            workspace: RefCell::new(None),
            failure: RefCell::new(None),
            counters: Cell::new(Counters::default()),
            profile: RefCell::new(None),
            probe: RefCell::new(None),
        })
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Threads in use.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Floating-point operations per second of the matrix kernel on operands that never leave the first-level cache,
    /// all threads together: the limit of everything else in that precision. Takes about 0.1 s.
    pub fn peak_flops(&self, precision: Precision) -> f64 {
        let (rounds, k, pairs) = (2_000, 64, precision == Precision::Bf16);
        let tasks = self.pool.threads();
        let run = || {
            let start = Instant::now();
            self.parallel(tasks, |_, scratch| Peak { pairs, rounds, k, scratch });
            start.elapsed().as_secs_f64()
        };
        let best = (0..20).map(|_| run()).fold(f64::MAX, f64::min);
        let (rows, columns) = self.isa.tile();
        let values = if pairs { 2 * k } else { k };
        (tasks * rounds * 2 * values * rows * columns) as f64 / best
    }

    /// Runs `kernel(task, scratch)` for each task.
    fn parallel<K: Kernel>(&self, tasks: usize, kernel: impl Fn(usize, F32) -> K + Sync) {
        self.parallel_if(tasks, true, kernel);
    }

    /// As [`Cpu::parallel`], on this thread alone unless there is enough work for more.
    fn parallel_if<K: Kernel>(&self, tasks: usize, enough: bool, kernel: impl Fn(usize, F32) -> K + Sync) {
        let (isa, scratch) = (self.isa, F32::new(self.scratch.ptr()));
        let run = |task: usize, slot: usize| {
            // SAFETY: operations check the shapes behind a kernel's pointers before they build it.
            unsafe { isa.run(kernel(task, scratch.add(slot * SCRATCH))) }
        };
        let start = self.profile.borrow().is_some().then(Instant::now);
        if enough {
            self.pool.run(tasks, &run)
        } else {
            (0..tasks).for_each(|task| run(task, 0))
        }
        if let (Some(start), Some(times)) = (start, &mut *self.profile.borrow_mut()) {
            let name = std::any::type_name::<K>().trim_start_matches("sam2_engine::cpu::");
            let (launches, seconds) = times.entry(name).or_default();
            (*launches, *seconds) = (*launches + 1, *seconds + start.elapsed().as_secs_f64());
        }
    }

    /// Runs `kernel((first, last), scratch)` over ranges of `rows` that are worth a task each.
    fn parallel_rows<K: Kernel>(&self, rows: usize, cost: usize, kernel: impl Fn((usize, usize), F32) -> K + Sync) {
        let each = (16_384 / cost.max(1)).max(1);
        self.parallel(rows.div_ceil(each), |task, scratch| {
            kernel((task * each, ((task + 1) * each).min(rows)), scratch)
        });
    }

    /// Memory that all tasks of an operation share, or nothing when there is none; the failure is kept.
    fn workspace(&self, floats: usize) -> Option<F32> {
        let mut workspace = self.workspace.borrow_mut();
        if workspace.as_ref().is_none_or(|w| w.bytes() < floats * 4 + 256) {
            match HostMemory::new(floats * 4 + 256, "workspace of the CPU") {
                Ok(memory) => *workspace = Some(memory),
                Err(e) => {
                    self.failure.borrow_mut().get_or_insert(e);
                    return None;
                }
            }
        }
        workspace.as_ref().map(|w| F32::new(w.ptr()))
    }

    /// Counts a launch and the bytes of its operands.
    fn count(&self, operands: &[Tensor<'_>]) {
        operands.iter().for_each(|&t| self.count_operand(t));
        self.count_more(|c| c.launches += 1);
    }

    fn count_operand(&self, t: Tensor<'_>) {
        self.count_bytes(t.len() * t.dtype().bytes());
    }

    fn count_bytes(&self, bytes: usize) {
        self.count_more(|c| c.bytes += bytes as u64);
    }

    /// Counts a product of (m, k) by (k, n).
    fn count_product(&self, m: usize, n: usize, k: usize) {
        self.count_more(|c| c.matmul_flops += 2 * (m * n * k) as u64);
    }

    fn count_more(&self, change: impl FnOnce(&mut Counters)) {
        let mut c = self.counters.get();
        change(&mut c);
        self.counters.set(c);
    }
}

/// Full tiles on scratch, over and over.
struct Peak {
    pairs: bool,
    rounds: usize,
    /// Words.
    k: usize,
    scratch: F32,
}

impl Kernel for Peak {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        if self.pairs { self.run_in::<S, Pair>(s) } else { self.run_in::<S, Single>(s) }
    }
}

impl Peak {
    #[inline(always)]
    unsafe fn run_in<S: Simd, W: Word>(self, s: S) {
        let (a, b, out) = (self.scratch, self.scratch.add(4096), self.scratch.add(8192));
        for _ in 0..self.rounds {
            s.tile::<W>((S::TILE_ROWS, S::PANEL), self.k, a.ptr(), self.k, 1, b.ptr(), S::PANEL, out.ptr(), S::PANEL);
        }
    }
}

/// A pointer that tasks may share. Its users keep to the shapes they were given.
pub(crate) struct Ptr<T>(*mut T);

type F32 = Ptr<f32>;
type I32 = Ptr<i32>;
type Bf16 = Ptr<bf16>;

impl<T> Clone for Ptr<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Ptr<T> {}

// SAFETY: an address; tasks that run at once write different places.
unsafe impl<T> Send for Ptr<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Ptr<T> {}

impl<T> Ptr<T> {
    #[inline(always)]
    fn new(p: *mut T) -> Self {
        Ptr(p)
    }

    /// `n` elements on.
    #[inline(always)]
    fn add(self, n: usize) -> Self {
        Ptr(self.0.wrapping_add(n))
    }

    #[inline(always)]
    fn ptr(self) -> *mut T {
        self.0
    }

    #[inline(always)]
    fn at(self, n: usize) -> *const T {
        self.0.wrapping_add(n)
    }

    #[inline(always)]
    fn at_mut(self, n: usize) -> *mut T {
        self.0.wrapping_add(n)
    }
}

impl F32 {
    fn of(t: Tensor<'_>) -> Self {
        assert!(t.dtype() == DType::F32, "the CPU computes in f32, got {t:?}");
        Ptr(t.addr() as *mut f32)
    }
}

impl Bf16 {
    fn of(t: Tensor<'_>) -> Self {
        assert!(t.dtype() == DType::Bf16, "memories are bf16, got {t:?}");
        Ptr(t.addr() as *mut bf16)
    }
}

impl I32 {
    fn of(t: Tensor<'_>) -> Self {
        assert!(t.dtype() == DType::I32, "indices are i32, got {t:?}");
        Ptr(t.addr() as *mut i32)
    }
}

/// Operations are methods of the type's own, a file per family.
macro_rules! forward {
    ($($name:ident($($arg:ident: $type:ty),*);)*) => {
        $(fn $name(&self, $($arg: $type),*) { Self::$name(self, $($arg),*) })*
    };
}

impl Backend for Cpu {
    type Memory = HostMemory;
    type Linear = Packed;
    type Recording = std::convert::Infallible;

    fn name(&self) -> String {
        "CPU".into()
    }

    fn instructions(&self) -> Option<&'static str> {
        Some(self.isa.name())
    }

    fn precision(&self, wanted: Precision) -> Result<Precision> {
        match wanted {
            Precision::Auto if self.isa.multiplies_bf16() => Ok(Precision::Bf16),
            Precision::Auto | Precision::F32 => Ok(Precision::F32),
            Precision::Bf16 if self.isa.multiplies_bf16() => Ok(Precision::Bf16),
            Precision::Bf16 => {
                let (feature, has) = (Isa::BF16, self.isa.name());
                Err(Error::Device(format!("bf16 needs a CPU with the feature {feature}; kernels are for {has}")))
            }
            Precision::F16 => Err(Error::Device("the CPU computes in f32 and bf16, not f16".into())),
        }
    }

    fn fork(&self) -> Result<Self> {
        Cpu::on(self.pool.clone(), self.isa)
    }

    fn alloc(&self, bytes: usize, what: &'static str) -> Result<HostMemory> {
        HostMemory::new(bytes, what)
    }

    fn linear_weights(&self, data: LinearData<'_>) -> Result<Packed> {
        Packed::new(&self.pool, self.isa, &data)
    }

    fn prompts_per_pass(&self) -> usize {
        8
    }

    fn objects_per_pass(&self, bytes: usize) -> usize {
        // Company helps while it stays in the caches.
        ((64 << 20) / bytes.max(1)).clamp(1, 8)
    }

    fn records(&self) -> bool {
        false
    }

    fn record(&self, _: &mut dyn FnMut()) -> Option<Self::Recording> {
        None
    }

    fn replay(&self, recording: &Self::Recording) {
        match *recording {}
    }

    fn sync(&self) -> Result<()> {
        self.count_more(|c| c.waits += 1);
        self.failure()
    }

    fn failure(&self) -> Result<()> {
        self.failure.borrow_mut().take().map_or(Ok(()), Err)
    }

    fn counters(&self) -> Counters {
        self.counters.get()
    }

    fn profile(&self, on: bool) -> Vec<KernelTime> {
        let times = std::mem::replace(&mut *self.profile.borrow_mut(), on.then(BTreeMap::new));
        let time = |(name, (launches, seconds)): (&str, _)| KernelTime { name: name.into(), launches, seconds };
        times.into_iter().flatten().map(time).collect()
    }

    fn probe(&self, name: &str, x: Tensor<'_>) {
        if let Some(probe) = &mut *self.probe.borrow_mut() {
            let mut values = vec![0f32; x.len()];
            for (i, row) in values.chunks_mut(x.cols()).enumerate() {
                let from = Floats::of(x).add(i * x.stride());
                // SAFETY: a row of the tensor.
                row.iter_mut().enumerate().for_each(|(j, v)| *v = unsafe { from.get(j) });
            }
            probe(name, x.dims(), &values);
        }
    }

    fn set_probe(&self, probe: Option<Probe>) {
        *self.probe.borrow_mut() = probe;
    }

    fn upload(&self, out: Tensor<'_>, data: &[u8]) {
        assert!(out.is_contiguous() && out.len() * out.dtype().bytes() == data.len(), "upload: {out:?}");
        // SAFETY: as many bytes as the tensor has.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), out.addr() as *mut u8, data.len()) };
        self.count_bytes(data.len());
    }

    fn download(&self, out: &mut [u8], x: Tensor<'_>) {
        assert!(x.is_contiguous() && x.len() * x.dtype().bytes() == out.len(), "download: {x:?}");
        // SAFETY: as many bytes as the tensor has.
        unsafe { std::ptr::copy_nonoverlapping(x.addr() as *const u8, out.as_mut_ptr(), out.len()) };
        self.count_bytes(out.len());
    }

    operations!(forward);
}

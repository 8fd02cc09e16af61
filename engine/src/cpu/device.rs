//! A queue of work on the CPU.

use super::floats::Floats;
use super::memory::HostMemory;
use super::pool::{self, Pool};
use super::ptr::F32;
use super::simd::{Isa, Kernel, Pair, Simd, Single, Word};
use crate::backend::precision::Precision;
use crate::backend::tensor::Tensor;
use crate::backend::{Backend, Counters, KernelTime, Memory, ProbeFn};
use crate::cancellation::{self, with_tokens};
use crate::error::{Error, Result};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// The number of f32 of scratch memory of a task: 1 MiB, the usual size of a second-level cache.
pub(super) const SCRATCH: usize = 256 * 1024;

/// A queue of work on the CPU. The work of an operation is complete when the operation returns.
pub struct Cpu {
    pub(super) pool: Arc<Pool>,
    pub(super) isa: Isa,
    /// Scratch memory of `SCRATCH` f32 per thread.
    scratch: HostMemory,
    /// The memory that the tasks of an operation share. It grows to the largest size that is needed, and is kept.
    workspace: RefCell<Option<HostMemory>>,
    failure: RefCell<Option<Error>>,
    counters: Cell<Counters>,
    /// The launches and seconds of each kernel, while profiling.
    profile: RefCell<Option<BTreeMap<&'static str, (u64, f64)>>>,
    probe: RefCell<Option<ProbeFn>>,
}

impl fmt::Debug for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (isa, threads, counters) = (self.isa, self.pool.threads(), self.counters.get());
        let mut out = f.debug_struct("Cpu");
        out.field("isa", &isa).field("threads", &threads).field("counters", &counters).finish_non_exhaustive()
    }
}

impl Cpu {
    /// Creates a backend with its own pool of `threads` threads and the best instruction set of the CPU. With 0
    /// `threads`, the pool has as many threads as the machine offers.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if `threads` is above 1024. [`Error::Device`] if the threads do not start.
    /// [`Error::OutOfMemory`] if memory is exhausted.
    pub fn new(threads: usize) -> Result<Cpu> {
        Cpu::with_isa(threads, Isa::available()[0])
    }

    /// Creates a backend as [`Cpu::new`] does, and binds the threads that the engine starts to these CPUs in turn. The
    /// CPUs have the numbers of the system. The thread that makes a call works too, and is not bound. With 0 `threads`,
    /// there is one thread per CPU. `isa` is the instruction set, if it is not the best one.
    ///
    /// # Errors
    ///
    /// The errors of [`Cpu::with_isa`]. [`Error::Device`] if the machine does not have one of the CPUs, or if a thread
    /// cannot be bound to its CPU.
    pub fn on_cpus(threads: usize, cpus: &[usize], isa: Option<Isa>) -> Result<Cpu> {
        let threads = if threads == 0 { cpus.len() } else { threads };
        Cpu::with(threads, cpus, isa.unwrap_or(Isa::available()[0]))
    }

    /// Creates a backend as [`Cpu::new`] does, with a chosen instruction set.
    ///
    /// # Errors
    ///
    /// The errors of [`Cpu::new`]. [`Error::Device`] if the CPU lacks the instruction set.
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

    /// Returns the instruction set in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Returns the number of threads in use.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Returns the floating-point operations per second of the matrix kernel, for all threads together. The operands
    /// never leave the first-level cache. The result is thus an upper limit for the speed of all work in this
    /// precision. The measurement takes about 0.1 s.
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

    /// Runs `kernel(task, scratch)` for each task. Where the call ends by a token, tasks are left out. The failure is
    /// that of the next wait.
    pub(super) fn parallel<K: Kernel>(&self, tasks: usize, kernel: impl Fn(usize, F32) -> K + Sync) {
        self.parallel_if(tasks, true, kernel);
    }

    /// Runs tasks as [`Cpu::parallel`] does. If there is not enough work for more threads, all tasks run on this
    /// thread.
    pub(super) fn parallel_if<K: Kernel>(&self, tasks: usize, enough: bool, kernel: impl Fn(usize, F32) -> K + Sync) {
        let (isa, scratch) = (self.isa, F32::new(self.scratch.ptr()));
        let start = self.profile.borrow().is_some().then(Instant::now);
        with_tokens(|tokens| {
            let run = |task: usize, slot: usize| {
                if !tokens.end() {
                    // SAFETY: operations check the shapes behind a kernel's pointers before they build it.
                    unsafe { isa.run(kernel(task, scratch.add(slot * SCRATCH))) }
                }
            };
            if enough { self.pool.run(tasks, &run) } else { (0..tasks).for_each(|task| run(task, 0)) }
        });
        if let (Some(start), Some(times)) = (start, &mut *self.profile.borrow_mut()) {
            let name = std::any::type_name::<K>().trim_start_matches("sam2_engine::cpu::");
            let (launches, seconds) = times.entry(name).or_default();
            (*launches, *seconds) = (*launches + 1, *seconds + start.elapsed().as_secs_f64());
        }
    }

    /// Runs `kernel((first, last), scratch)` over ranges of `rows`. Each range has enough work for a task.
    pub(super) fn parallel_rows<K: Kernel>(
        &self,
        rows: usize,
        cost: usize,
        kernel: impl Fn((usize, usize), F32) -> K + Sync,
    ) {
        let each = (16_384 / cost.max(1)).max(1);
        self.parallel(rows.div_ceil(each), |task, scratch| {
            kernel((task * each, ((task + 1) * each).min(rows)), scratch)
        });
    }

    /// Returns memory that all tasks of an operation share. Returns `None` if memory is exhausted, and keeps the
    /// failure.
    pub(super) fn workspace(&self, floats: usize) -> Option<F32> {
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
    pub(super) fn count(&self, operands: &[Tensor<'_>]) {
        operands.iter().for_each(|&t| self.count_operand(t));
        self.count_more(|c| c.launches += 1);
    }

    pub(super) fn count_operand(&self, t: Tensor<'_>) {
        self.count_bytes(t.len() * t.dtype().bytes());
    }

    pub(super) fn count_bytes(&self, bytes: usize) {
        self.count_more(|c| c.bytes += bytes as u64);
    }

    /// Counts a product of (m, k) by (k, n).
    pub(super) fn count_product(&self, m: usize, n: usize, k: usize) {
        self.count_more(|c| c.matmul_flops += 2 * (m * n * k) as u64);
    }

    pub(super) fn count_more(&self, change: impl FnOnce(&mut Counters)) {
        let mut c = self.counters.get();
        change(&mut c);
        self.counters.set(c);
    }
}

/// Computes full tiles on scratch memory repeatedly.
struct Peak {
    pairs: bool,
    rounds: usize,
    /// The number of words.
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

impl Backend for Cpu {
    type Memory = HostMemory;
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

    fn max_prompts_per_batch(&self) -> usize {
        8
    }

    fn max_objects_per_batch(&self, bytes: usize) -> usize {
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
        self.failure.borrow_mut().take().map_or(Ok(()), Err)?;
        cancellation::check()
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

    fn set_probe(&self, probe: Option<ProbeFn>) {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cancellation::CancellationToken;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A task that counts itself. The third one cancels the token.
    struct Counted<'a>(usize, &'a CancellationToken, &'a AtomicUsize);

    impl Kernel for Counted<'_> {
        unsafe fn run<S: Simd>(self, _: S) {
            let Counted(task, token, ran) = self;
            ran.fetch_add(1, Ordering::Relaxed);
            if task == 2 {
                token.cancel();
            }
        }
    }

    #[test]
    fn no_task_begins_after_the_token_is_cancelled() {
        let (cpu, token, ran) = (Cpu::new(1).unwrap(), CancellationToken::new(), AtomicUsize::new(0));
        let operation = || cpu.parallel(8, |task, _| Counted(task, &token, &ran));
        token.run(|| {
            operation();
            operation();
            assert!(matches!(cpu.sync(), Err(Error::Cancelled)));
        });
        assert_eq!(ran.load(Ordering::Relaxed), 3);
        // The failure is that of the call, not of the queue.
        assert!(cpu.sync().is_ok());
        operation();
        assert_eq!(ran.load(Ordering::Relaxed), 11);
    }
}

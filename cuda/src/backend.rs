//! The backend's own operations: memory, recordings, timing, uploads and downloads.

use crate::device::Device;
use crate::queue::{Cuda, Recording, poisoned};
use sam2_engine::backend::{Backend, Counters, DeviceMemory, KernelTime, ProbeFn};
use sam2_engine::tensor::Tensor;
use sam2_engine::{Error, Precision, Result, cancellation};

/// Whether two carve-outs, given as address and size, are close enough for one copy.
fn close((a, bytes): (u64, usize), (b, _): (u64, usize)) -> bool {
    let end = a + bytes as u64;
    (end..end + 256).contains(&b)
}

impl<D: Device> Backend for Cuda<D> {
    type Memory = D::Memory;
    type Recording = Recording<D>;

    fn name(&self) -> String {
        self.device.name()
    }

    fn index(&self) -> usize {
        self.device.index()
    }

    fn memory(&self) -> Result<Option<DeviceMemory>> {
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

    fn max_prompts_per_batch(&self) -> usize {
        32
    }

    fn max_objects_per_batch(&self, _: usize) -> usize {
        16
    }

    fn records(&self) -> bool {
        self.probe.borrow().is_none() && self.profile.borrow().is_none()
    }

    fn record(&self, body: &mut dyn FnMut()) -> Option<Recording<D>> {
        if self.failed() {
            return None;
        }
        // The first run only measures, because recorded work cannot allocate.
        self.measuring.set(Some(0));
        let before = self.counters.get();
        body();
        self.counters.set(before);
        let bytes = self.measuring.take().unwrap_or(0);
        self.workspace(bytes)?;
        // The second run has the results, and loads the kernels.
        let mut run = || {
            self.launch_hash.set(0);
            body();
            self.launch_hash.get()
        };
        let launch_hash = run();
        let counters = self.counters.get() - before;
        // The third run is recorded, while the device works.
        self.keep(self.device.begin());
        let again = run();
        let work = self.device.end();
        self.counters.set(before);
        self.count(|c| *c = *c + counters);
        match work {
            _ if self.failed() => None,
            Ok(_) if launch_hash != again => {
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
        if self.poisoned.get() {
            return Err(poisoned());
        }
        let waited = self.wait();
        self.poisoned.set(matches!(waited, Err(Error::Device(_))));
        let failure = self.failure();
        waited.and(failure)
    }

    fn failure(&self) -> Result<()> {
        match self.failure.borrow_mut().take() {
            Some(e) => {
                self.poisoned.set(self.poisoned.get() || matches!(e, Error::Device(_)));
                Err(e)
            }
            None if self.poisoned.get() => Err(poisoned()),
            None => cancellation::check(),
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

    fn set_probe(&self, probe: Option<ProbeFn>) {
        *self.probe.borrow_mut() = probe;
    }

    fn upload(&self, out: Tensor<'_>, data: &[u8]) {
        assert!(out.is_contiguous() && out.len() * out.dtype().bytes() == data.len(), "upload: {out:?}");
        self.count(|c| c.bytes += data.len() as u64);
        if data.is_empty() || self.failed() {
            return;
        }
        let mut staging = self.staging.borrow_mut();
        // Pieces bound the memory that weights of any size pass through.
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
}

//! The interface of a device except operations: memory, recording and copies.

use super::counters::{Counters, DeviceMemory, KernelTime};
use super::ops::{
    AttentionOps, ImageAttentionOps, LinearOps, MaskOps, MaskOutOps, MemoryAttentionOps, NormOps, PixelOps,
    PointwiseOps, PromptOps, TrackingOps, UpscaleOps,
};
use super::precision::Precision;
use super::tensor::Tensor;
use crate::error::Result;

/// Memory of a device. The memory is freed when the value is dropped.
pub trait Memory: Send + Sync {
    /// Returns the address of the first byte.
    fn addr(&self) -> u64;
    /// Returns the number of bytes.
    fn bytes(&self) -> usize;
}

/// A function that gets named intermediate results: name, shape, values.
pub type ProbeFn = Box<dyn FnMut(&str, &[usize], &[f32]) + Send>;

/// A queue of work on a device. One thread uses it at a time.
pub trait Backend:
    Sized
    + Send
    + LinearOps
    + NormOps
    + PointwiseOps
    + AttentionOps
    + MemoryAttentionOps
    + ImageAttentionOps
    + UpscaleOps
    + PromptOps
    + MaskOps
    + MaskOutOps
    + TrackingOps
    + PixelOps
    + 'static
{
    /// Memory of this device.
    type Memory: Memory;
    /// Recorded work.
    type Recording: Send;
    // Identity and memory.

    /// Returns the name of the device.
    fn name(&self) -> String;
    /// Returns the name of the instruction set that a CPU uses.
    fn instructions(&self) -> Option<&'static str> {
        None
    }
    /// Returns the index of the device among devices of its kind.
    fn index(&self) -> usize {
        0
    }
    /// Returns the memory of the device, or `None` if the device has no memory of its own.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](crate::Error::Device) if the device fails.
    fn memory(&self) -> Result<Option<DeviceMemory>> {
        Ok(None)
    }
    /// Returns whether images and masks may be in the caller's device memory.
    fn takes_device_memory(&self) -> bool {
        false
    }
    /// Returns the precision that the device computes in when `wanted` is requested.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](crate::Error::Device) if the device does not compute in `wanted`.
    fn precision(&self, wanted: Precision) -> Result<Precision>;
    /// Creates another queue on the same device. The queues share what they can.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory) if memory is exhausted.
    /// [`Error::Device`](crate::Error::Device) if the device fails.
    fn fork(&self) -> Result<Self>;
    /// Allocates memory with undefined contents.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory) if memory is exhausted.
    /// [`Error::Device`](crate::Error::Device) if the device fails.
    fn alloc(&self, bytes: usize, what: &'static str) -> Result<Self::Memory>;
    /// Returns the largest number of prompts of a batch of the mask decoder.
    fn max_prompts_per_batch(&self) -> usize;
    /// Returns the largest number of objects of a batch of tracking. Each object needs `bytes` bytes of scratch memory.
    fn max_objects_per_batch(&self, bytes: usize) -> usize;

    // Recording and waiting.

    /// Returns whether work can be recorded. It cannot be recorded while a probe or a profile needs every operation.
    fn records(&self) -> bool;
    /// Records and enqueues the work that `body` enqueues. Returns `None` after a failure. `body` may run more than
    /// once.
    fn record(&self, body: &mut dyn FnMut()) -> Option<Self::Recording>;
    /// Enqueues recorded work again.
    fn replay(&self, recording: &Self::Recording);
    /// Waits for all enqueued work. Returns the first failure since the last call. A call that ends by a
    /// [`CancellationToken`](crate::CancellationToken) ends here.
    ///
    /// # Errors
    ///
    /// The first failure since the last call. [`Error::Cancelled`](crate::Error::Cancelled) or
    /// [`Error::TimedOut`](crate::Error::TimedOut) if the call ends by a token.
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory) if memory was exhausted. [`Error::Input`](crate::Error::Input) if a queue of the caller could not be used.
    /// [`Error::Device`](crate::Error::Device) if the device failed. Every later call then fails too.
    /// [`Error::Internal`](crate::Error::Internal) if recorded work differs from the work that was enqueued before.
    fn sync(&self) -> Result<()>;
    /// Returns the first failure of enqueuing so far, without waiting. A failure is returned only once.
    ///
    /// # Errors
    ///
    /// As [`Backend::sync`].
    fn failure(&self) -> Result<()>;

    // Measuring.

    /// Returns the counters of the work so far.
    fn counters(&self) -> Counters;
    /// Starts to measure the time of every kernel, or stops and returns the measurements.
    fn profile(&self, on: bool) -> Vec<KernelTime>;
    /// Passes an intermediate result to the probe, if there is one.
    fn probe(&self, name: &str, x: Tensor<'_>);
    /// Sets or removes the probe.
    fn set_probe(&self, probe: Option<ProbeFn>);

    // Copies.

    /// Copies bytes of the host to a contiguous tensor.
    fn upload(&self, out: Tensor<'_>, data: &[u8]);
    /// Copies bytes of the host to contiguous tensors. Tensors that are next to each other in memory are copied
    /// together.
    fn upload_all(&self, pieces: &[(Tensor<'_>, &[u8])]) {
        pieces.iter().for_each(|(out, data)| self.upload(*out, data));
    }
    /// Copies a contiguous tensor to the host. `out` is valid after the next [`Backend::sync`].
    fn download(&self, out: &mut [u8], x: Tensor<'_>);
}

//! Counters of the work of a device, measured times, and the memory in use.

/// The work since the backend was created. The counters are deterministic, so that tests can compare them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// The multiplications and additions of matrix products, without the padding of tiles.
    pub matmul_flops: u64,
    /// The bytes of tensors that operations read and write. Each operand counts once.
    pub bytes: u64,
    /// The number of operations that were enqueued.
    pub launches: u64,
    /// The number of times that the host waited for the device.
    pub waits: u64,
}

impl std::ops::Add for Counters {
    type Output = Counters;
    fn add(self, more: Counters) -> Counters {
        Counters {
            matmul_flops: self.matmul_flops + more.matmul_flops,
            bytes: self.bytes + more.bytes,
            launches: self.launches + more.launches,
            waits: self.waits + more.waits,
        }
    }
}

impl std::ops::Sub for Counters {
    type Output = Counters;
    fn sub(self, before: Counters) -> Counters {
        Counters {
            matmul_flops: self.matmul_flops - before.matmul_flops,
            bytes: self.bytes - before.bytes,
            launches: self.launches - before.launches,
            waits: self.waits - before.waits,
        }
    }
}

/// The time that one kernel has taken.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelTime {
    /// The name of the kernel.
    pub name: String,
    /// The number of times that the kernel ran.
    pub launches: u64,
    /// The total time, from start to finish.
    pub seconds: f64,
}

/// The time and the work of one stage of the processing of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StageTime {
    /// The name of the stage.
    pub name: &'static str,
    /// The total time, from start to finish.
    pub seconds: f64,
    /// The work of matrix products, as [`Counters::matmul_flops`].
    pub matmul_flops: u64,
}

/// The memory that a predictor, or one of its objects, takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MemoryUse {
    /// The bytes of the device's memory. The weights of the model are not counted.
    pub device: usize,
    /// The bytes of the host's memory.
    pub host: usize,
}

/// The memory of a GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DeviceMemory {
    /// The number of free bytes.
    pub free: u64,
    /// The number of all bytes.
    pub total: u64,
}

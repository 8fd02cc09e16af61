//! The interface between the model and devices: tensors, memory, and the operations of a device.

pub mod arena;
mod counters;
mod device;
pub mod null;
mod operands;
mod ops;
pub mod precision;
pub mod stage;
pub mod tensor;
pub mod workspace;

pub use counters::{Counters, DeviceMemory, KernelTime, MemoryUse, StageTime};
pub use device::{Backend, Memory, ProbeFn};
pub use operands::*;
pub use ops::*;

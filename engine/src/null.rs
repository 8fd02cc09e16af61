//! The backend that does nothing: for walking through a model without a device.
//!
//! Loading a model on it lists the tensors the model takes; running one exercises everything but the arithmetic.

use crate::backend::*;
use crate::error::Result;
use crate::frame::Frame;
use crate::mask_out::MaskOut;
use crate::operations;
use crate::precision::Precision;
use crate::tensor::Tensor;

/// Does nothing, and has nothing.
pub struct Null;

/// No memory.
pub struct NoMemory(usize);

impl Memory for NoMemory {
    fn addr(&self) -> u64 {
        0
    }
    fn bytes(&self) -> usize {
        self.0
    }
}

macro_rules! ignore {
    ($($name:ident($($arg:ident: $type:ty),*);)*) => {
        $(fn $name(&self, $($arg: $type),*) { $(_ = $arg;)* })*
    };
}

impl Backend for Null {
    type Memory = NoMemory;
    type Linear = ();
    type Recording = ();

    fn name(&self) -> String {
        "nothing".into()
    }
    fn precision(&self, wanted: Precision) -> Result<Precision> {
        Ok(wanted)
    }
    fn fork(&self) -> Result<Self> {
        Ok(Null)
    }
    fn alloc(&self, bytes: usize, _: &'static str) -> Result<NoMemory> {
        Ok(NoMemory(bytes))
    }
    fn linear_weights(&self, _: LinearData<'_>) -> Result<()> {
        Ok(())
    }
    fn prompts_per_pass(&self) -> usize {
        1
    }
    fn objects_per_pass(&self, _: usize) -> usize {
        1
    }
    fn records(&self) -> bool {
        false
    }
    fn record(&self, _: &mut dyn FnMut()) -> Option<()> {
        None
    }
    fn replay(&self, _: &()) {}
    fn sync(&self) -> Result<()> {
        Ok(())
    }
    fn failure(&self) -> Result<()> {
        Ok(())
    }
    fn counters(&self) -> Counters {
        Counters::default()
    }
    fn profile(&self, _: bool) -> Vec<KernelTime> {
        Vec::new()
    }
    fn probe(&self, _: &str, _: Tensor<'_>) {}
    fn set_probe(&self, _: Option<Probe>) {}
    fn upload(&self, _: Tensor<'_>, _: &[u8]) {}
    fn download(&self, _: &mut [u8], _: Tensor<'_>) {}
    operations!(ignore);
}

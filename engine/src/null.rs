//! The backend that does nothing: for walking through a model without a device.
//!
//! Loading a model on it lists the tensors the model takes; running one exercises everything but the arithmetic.

use crate::backend::*;
use crate::error::Result;
use crate::frame::{Frame, MaskOut};
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
    fn preprocess(&self, _: Tensor<'_>, _: &Frame<'_>, _: Filter) {}
    fn memory_attention(&self, _: Tensor<'_>, _: Tensor<'_>, _: Tensor<'_>, _: Tensor<'_>, _: Tensor<'_>) {}
    fn rope2d(&self, _: Tensor<'_>, _: Tensor<'_>, _: Option<Tensor<'_>>) {}
    fn gather_memories(&self, _: Tensor<'_>, _: Tensor<'_>, _: Bank<'_>, _: BankIndex<'_>) {}
    fn remember(&self, _: Tensor<'_>, _: Tensor<'_>, _: Tensor<'_>, _: Tensor<'_>, _: Absent<'_>) {}
    fn pick_rows(&self, _: Tensor<'_>, _: Tensor<'_>, _: usize, _: Tensor<'_>) {}
    fn hide_absent(&self, _: Tensor<'_>, _: Tensor<'_>) {}
    fn memory_mask(&self, _: Tensor<'_>, _: Tensor<'_>, _: Tensor<'_>, _: Tensor<'_>, _: f32, _: f32) {}
    fn depthwise_conv7x7(&self, _: Tensor<'_>, _: Tensor<'_>, _: Tensor<'_>, _: Tensor<'_>) {}
    fn conv2d(&self, _: Tensor<'_>, _: Tensor<'_>, _: &Conv<Self>, _: Epilogue<'_>) {}
    fn linear(&self, _: Tensor<'_>, _: Input<'_>, _: &(), _: Epilogue<'_>) {}
    fn layer_norm(&self, _: Tensor<'_>, _: Tensor<'_>, _: Norm<'_>, _: Activation) {}
    fn add_vector(&self, _: Tensor<'_>, _: Tensor<'_>, _: Tensor<'_>) {}
    fn max_pool2x2(&self, _: Tensor<'_>, _: Tensor<'_>) {}
    fn window_attention(&self, _: Tensor<'_>, _: Tensor<'_>, _: Tensor<'_>, _: Tensor<'_>, _: usize, _: Windows<'_>) {}
    fn token_attention(&self, _: Tensor<'_>, _: Tensor<'_>, _: Tensor<'_>, _: Tensor<'_>, _: usize, _: Tensor<'_>) {}
    fn embed_points(
        &self,
        _: Tensor<'_>,
        _: Tensor<'_>,
        _: Tensor<'_>,
        _: Tensor<'_>,
        _: Tensor<'_>,
        _: Tensor<'_>,
        _: Tensor<'_>,
    ) {
    }
    fn image_keys(&self, _: Tensor<'_>, _: Tensor<'_>, _: Tensor<'_>, _: Tensor<'_>, _: Tensor<'_>, _: Tensor<'_>) {}
    fn attend_image(&self, _: Tensor<'_>, _: Tensor<'_>, _: Tensor<'_>, _: Tensor<'_>, _: Tensor<'_>, _: f32) {}
    fn update_image(&self, _: Tensor<'_>, _: Tensor<'_>, _: Tensor<'_>, _: Tensor<'_>, _: TokenAttention<'_>) {}
    fn upscale_masks(
        &self,
        _: Tensor<'_>,
        _: Tensor<'_>,
        _: Tensor<'_>,
        _: (Tensor<'_>, Tensor<'_>),
        _: Tensor<'_>,
        _: &(),
        _: Norm<'_>,
        _: &(),
    ) {
    }
    fn select_masks(&self, _: Tensor<'_>, _: Tensor<'_>, _: Tensor<'_>, _: Selection) {}
    fn clean_masks(&self, _: Tensor<'_>, _: Tensor<'_>, _: Tensor<'_>, _: Tensor<'_>, _: Tensor<'_>, _: Cleaning) {}
    fn write_masks(&self, _: MaskOut<'_>, _: Tensor<'_>, _: Option<Tensor<'_>>) {}
}

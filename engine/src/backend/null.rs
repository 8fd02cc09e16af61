//! A backend that does nothing, for running through a model without a device.
//!
//! Loading a model on this backend lists the tensors that the model needs. Running the model executes everything except
//! arithmetic.

use crate::backend::precision::Precision;
use crate::backend::tensor::Tensor;
use crate::backend::*;
use crate::error::Result;
use crate::masks::buffer::MaskOut;
use crate::media::frame::Frame;

/// A backend that does nothing and has no memory.
#[derive(Debug)]
pub struct Null;

/// No memory.
#[derive(Debug)]
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
    ($($family:ident { $($name:ident($($arg:ident: $type:ty),*);)* })*) => {
        $(impl $family for Null {
            $(fn $name(&self, $($arg: $type),*) { $(_ = $arg;)* })*
        })*
    };
}

ignore! {
    NormOps {
        layer_norm(out: Tensor<'_>, x: Tensor<'_>, norm: Norm<'_>, activation: Activation);
    }
    PointwiseOps {
        add_vector(out: Tensor<'_>, x: Tensor<'_>, v: Tensor<'_>);
        max_pool2x2(out: Tensor<'_>, x: Tensor<'_>);
        add_dense_prompts(out: Tensor<'_>, embed: Tensor<'_>, image: Tensor<'_>, dense: Tensor<'_>, mask: Tensor<'_>, no_mask: Tensor<'_>);
    }
    AttentionOps {
        window_attention(out: Tensor<'_>, q: Tensor<'_>, k: Tensor<'_>, v: Tensor<'_>, heads: usize, windows: Windows<'_>);
        token_attention(out: Tensor<'_>, q: Tensor<'_>, k: Tensor<'_>, v: Tensor<'_>, heads: usize, lens: Tensor<'_>);
    }
    MemoryAttentionOps {
        memory_attention(out: Tensor<'_>, q: Tensor<'_>, k: Tensor<'_>, v: Tensor<'_>, lens: Tensor<'_>);
    }
    ImageAttentionOps {
        attend_image(out: Tensor<'_>, q: Tensor<'_>, keys: Tensor<'_>, source: Tensor<'_>, pos: Tensor<'_>, scale: f32);
        update_image(out: Tensor<'_>, keys: Tensor<'_>, source: Tensor<'_>, pos: Tensor<'_>, tokens: TokenAttention<'_>);
    }
    UpscaleOps {
        upscale_masks(out: Tensor<'_>, keys: Tensor<'_>, hyper: Tensor<'_>, high: (Tensor<'_>, Tensor<'_>), image: Tensor<'_>, dc1: &(), norm: Norm<'_>, dc2: &());
    }
    PromptOps {
        embed_points(out: Tensor<'_>, points: Tensor<'_>, point_labels: Tensor<'_>, lens: Tensor<'_>, output_tokens: Tensor<'_>, gaussian: Tensor<'_>, labels: Tensor<'_>);
    }
    MaskOps {
        select_masks(out: Tensor<'_>, masks: Tensor<'_>, iou: Tensor<'_>, selection: Selection);
        clean_masks(out: Tensor<'_>, masks: Tensor<'_>, selected: Tensor<'_>, labels: Tensor<'_>, areas: Tensor<'_>, cleaning: Cleaning);
    }
    MaskOutOps {
        write_masks(out: MaskOut<'_>, masks: Tensor<'_>, selected: Option<Tensor<'_>>);
        write_labels(out: MaskOut<'_>, masks: Tensor<'_>, selected: Option<Tensor<'_>>, values: Option<Tensor<'_>>);
        measure_masks(out: Tensor<'_>, masks: Tensor<'_>, selected: Option<Tensor<'_>>, measure: Measure);
    }
    TrackingOps {
        gather_memories(keys: Tensor<'_>, values: Tensor<'_>, bank: Bank<'_>, index: BankIndex<'_>);
        write_bank_slots(bank: Tensor<'_>, x: Tensor<'_>, slots: Tensor<'_>, absent: Option<Absent<'_>>);
        gather_rows(out: Tensor<'_>, x: Tensor<'_>, first: usize, rows: Tensor<'_>);
        mask_absent_objects(masks: Tensor<'_>, scores: Tensor<'_>);
        memory_mask(out: Tensor<'_>, masks: Tensor<'_>, selected: Tensor<'_>, binary: Tensor<'_>, scale: f32, bias: f32);
        depthwise_conv7x7(out: Tensor<'_>, x: Tensor<'_>, weights: Tensor<'_>, bias: Tensor<'_>);
    }
    PixelOps {
        preprocess(out: Tensor<'_>, frame: &Frame<'_>, filter: Filter);
    }
}

impl LinearOps for Null {
    type Linear = ();

    fn linear_weights(&self, _: LinearData<'_>) -> Result<()> {
        Ok(())
    }
    fn conv2d(&self, _: Tensor<'_>, _: Tensor<'_>, _: &Conv<()>, _: Epilogue<'_>) {}
    fn linear(&self, _: Tensor<'_>, _: Input<'_>, _: &(), _: Epilogue<'_>) {}
}

impl Backend for Null {
    type Memory = NoMemory;
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
    fn max_prompts_per_batch(&self) -> usize {
        1
    }
    fn max_objects_per_batch(&self, _: usize) -> usize {
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
    fn set_probe(&self, _: Option<ProbeFn>) {}
    fn upload(&self, _: Tensor<'_>, _: &[u8]) {}
    fn download(&self, _: &mut [u8], _: Tensor<'_>) {}
}

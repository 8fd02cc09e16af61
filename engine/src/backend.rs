//! What a device must be able to do: memory, recording, and the fused operations of the model.
//!
//! The operations enqueue work and return nothing; the first failure is kept and comes back from [`Backend::sync`].
//! Every caller keeps the shapes each operation states: a mismatch is a defect of the engine and asserts with both
//! shapes. Tensors are channels last; `out` comes first and may be an input only where the operation says so.
//! Weights are float32 on the host and whatever suits the device once loaded.

use crate::error::Result;
use crate::frame::Frame;
use crate::mask_out::MaskOut;
use crate::precision::Precision;
use crate::tensor::Tensor;

pub use crate::operands::*;

/// Memory of a device; freed when dropped.
pub trait Memory: Send + Sync {
    /// The address of the first byte.
    fn addr(&self) -> u64;
    /// The size.
    fn bytes(&self) -> usize;
}

/// Work done since the backend was made; deterministic, so tests can compare it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Multiplications and additions of matrix products, padding of tiles not counted.
    pub matmul_flops: u64,
    /// Bytes of tensors read and written by operations, each operand once.
    pub bytes: u64,
    /// Operations enqueued.
    pub launches: u64,
    /// Times the host waited for the device.
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

/// The time one kernel has taken.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelTime {
    /// The kernel.
    pub name: String,
    /// How often it ran.
    pub launches: u64,
    /// In all, from start to finish.
    pub seconds: f64,
}

/// The time that one stage of the work on a frame has taken, and its work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StageTime {
    /// The stage.
    pub name: &'static str,
    /// In all, from start to finish.
    pub seconds: f64,
    /// As [`Counters::matmul_flops`].
    pub matmul_flops: u64,
}

/// Receives named intermediate results: name, shape, values.
pub type Probe = Box<dyn FnMut(&str, &[usize], &[f32]) + Send>;

/// A device's queue of work. One thread uses it at a time.
pub trait Backend: Sized + Send + 'static {
    /// Memory of this device.
    type Memory: Memory;
    /// Weights of a product, laid out for this device's matrix kernel.
    type Linear: Send + Sync;
    /// Recorded work.
    type Recording: Send;

    /// The device's name.
    fn name(&self) -> String;
    /// The name of the instruction set in use, of a CPU.
    fn instructions(&self) -> Option<&'static str> {
        None
    }
    /// The device's place among its like.
    fn index(&self) -> usize {
        0
    }
    /// Bytes of the device's memory that nobody uses, and all of them; none where the device has no memory of its own.
    fn memory(&self) -> Result<Option<[u64; 2]>> {
        Ok(None)
    }
    /// True where pictures and masks may be in the caller's device memory.
    fn takes_device_memory(&self) -> bool {
        false
    }
    /// What the device computes in when asked for `wanted`; fails when it cannot.
    fn precision(&self, wanted: Precision) -> Result<Precision>;
    /// Another queue on the same device, sharing what queues can share.
    fn fork(&self) -> Result<Self>;
    /// Memory whose contents are undefined.
    fn alloc(&self, bytes: usize, what: &'static str) -> Result<Self::Memory>;
    /// Lays out the weights of a product.
    fn linear_weights(&self, data: LinearData<'_>) -> Result<Self::Linear>;
    /// The prompts that one pass of the mask decoder takes.
    fn prompts_per_pass(&self) -> usize;
    /// The objects that one pass of tracking takes, each of which needs so much scratch memory.
    fn objects_per_pass(&self, bytes: usize) -> usize;
    /// True where work can be recorded; false also while a probe or a profile wants to see every operation.
    fn records(&self) -> bool;
    /// Records what `body` enqueues, and enqueues it; nothing after a failure. `body` may run more than once.
    fn record(&self, body: &mut dyn FnMut()) -> Option<Self::Recording>;
    /// Enqueues recorded work again.
    fn replay(&self, recording: &Self::Recording);
    /// Waits for everything enqueued; returns the first failure since the last call.
    fn sync(&self) -> Result<()>;
    /// The first failure so far of enqueuing, without waiting; it is returned once.
    fn failure(&self) -> Result<()>;
    /// Work done so far.
    fn counters(&self) -> Counters;
    /// Starts timing every kernel, or stops and returns what was measured.
    fn profile(&self, on: bool) -> Vec<KernelTime>;
    /// Shows an intermediate result to the probe, if there is one.
    fn probe(&self, name: &str, x: Tensor<'_>);
    /// Sets or removes the probe.
    fn set_probe(&self, probe: Option<Probe>);

    /// Copies host bytes to a contiguous tensor.
    fn upload(&self, out: Tensor<'_>, data: &[u8]);
    /// Copies host bytes to contiguous tensors, in as few copies as they lie together.
    fn upload_all(&self, pieces: &[(Tensor<'_>, &[u8])]) {
        pieces.iter().for_each(|(out, data)| self.upload(*out, data));
    }
    /// Copies a contiguous tensor to the host; there after the next [`Backend::sync`].
    fn download(&self, out: &mut [u8], x: Tensor<'_>);

    /// `out` (s, s, 3) from a picture: scaled to 0..1, resized (aspect not kept), then (x - mean) / std per channel with
    /// ImageNet's mean and std.
    fn preprocess(&self, out: Tensor<'_>, frame: &Frame<'_>, filter: Filter);
    /// `out` (h', w', cout) = epilogue(convolution of `x` (h, w, cin)); `x` may have a leading dimension, as `out`.
    fn conv2d(&self, out: Tensor<'_>, x: Tensor<'_>, w: &Conv<Self>, epilogue: Epilogue<'_>);
    /// `out` (rows, groups * n) = epilogue(prologue(x) W^T + b), group by group.
    fn linear(&self, out: Tensor<'_>, x: Input<'_>, w: &Self::Linear, epilogue: Epilogue<'_>);
    /// `out` (rows, c) = activation(norm(x)); `out` may be `x`.
    fn layer_norm(&self, out: Tensor<'_>, x: Tensor<'_>, norm: Norm<'_>, activation: Activation);
    /// `out` (rows, c) = x + v for a vector v (c); `out` may be `x`.
    fn add_vector(&self, out: Tensor<'_>, x: Tensor<'_>, v: Tensor<'_>);
    /// `out` (h/2, w/2, c) = largest of each 2x2 block of `x` (h, w, c).
    fn max_pool2x2(&self, out: Tensor<'_>, x: Tensor<'_>);
    /// `out` (hq, wq, c) = softmax(q k^T / sqrt(d)) v within each window and head, c = heads * d; q (hq, wq, c) is of
    /// the size of k and v (h, w, c) or half of it (pooled queries). Windows are cut from the maps as they lie; where
    /// one reaches over the edge, its missing keys are the padding's.
    fn window_attention(
        &self,
        out: Tensor<'_>,
        q: Tensor<'_>,
        k: Tensor<'_>,
        v: Tensor<'_>,
        heads: usize,
        windows: Windows<'_>,
    );
    /// `out` (p, t, c) = softmax(q k^T / sqrt(d)) v per prompt and head over the first `lens` (p) tokens.
    fn token_attention(
        &self,
        out: Tensor<'_>,
        q: Tensor<'_>,
        k: Tensor<'_>,
        v: Tensor<'_>,
        heads: usize,
        lens: Tensor<'_>,
    );
    /// `out` (p, n, dv) = softmax(q k^T / sqrt(d)) v per object over the first `lens` (p) keys, at least one: q (p, n, d),
    /// k (p, m, d), v (p, m, dv).
    fn memory_attention(&self, out: Tensor<'_>, q: Tensor<'_>, k: Tensor<'_>, v: Tensor<'_>, lens: Tensor<'_>);
    /// What objects remember, one memory after another: `values` (p, m, c) from the `bank`, and `keys` (p, m, c), which
    /// are the values with their places in space and time. Rows beyond an object's are zeros.
    fn gather_memories(&self, keys: Tensor<'_>, values: Tensor<'_>, bank: Bank<'_>, index: BankIndex<'_>);
    /// `bank[slots[p]]` (n, c) = x (p, n, c), where `scores` (p) is above 0; elsewhere x + `absent` (c), or `absent`
    /// alone with `replace`. `bank` is f32 or bf16.
    fn remember(&self, bank: Tensor<'_>, x: Tensor<'_>, slots: Tensor<'_>, scores: Tensor<'_>, absent: Absent<'_>);
    /// `out` (p, c) = row `first + rows[p]` of x (p, n, c).
    fn pick_rows(&self, out: Tensor<'_>, x: Tensor<'_>, first: usize, rows: Tensor<'_>);
    /// All of `masks` (p, n, h, w) = -1024 where `scores` (p) is not above 0.
    fn hide_absent(&self, masks: Tensor<'_>, scores: Tensor<'_>);
    /// `out` (p, s, s, 1) = scale f(x) + bias with x mask `selected[p]` of (p, n, h, w) enlarged (bilinear, corners not
    /// aligned), f the sigmoid, or, where `binary` (p) i32 is not 0, 1 above 0 and else 0.
    fn memory_mask(
        &self,
        out: Tensor<'_>,
        masks: Tensor<'_>,
        selected: Tensor<'_>,
        binary: Tensor<'_>,
        scale: f32,
        bias: f32,
    );
    /// `out` (p, h, w, c) = bias (c) + each channel of x (p, h, w, c) convolved with its own 7x7 of `weights` (49, c),
    /// zeros around x.
    fn depthwise_conv7x7(&self, out: Tensor<'_>, x: Tensor<'_>, weights: Tensor<'_>, bias: Tensor<'_>);
    /// `out` (p, t, c): the output tokens (6, c), then a token per point, zeros beyond `lens` (p).
    ///
    /// A point (x, y) in 0..1 with label l in 0..=3 is cat(sin, cos)(2 pi (2 (x, y) - 1) G) with G (2, c/2) random
    /// (Tancik et al., arXiv:2006.10739), plus row l + 1 of `labels` (5, c); with label -1 it is row 0 alone.
    fn embed_points(
        &self,
        out: Tensor<'_>,
        points: Tensor<'_>,
        point_labels: Tensor<'_>,
        lens: Tensor<'_>,
        output_tokens: Tensor<'_>,
        gaussian: Tensor<'_>,
        labels: Tensor<'_>,
    );
    /// `out` (s, hw, c): entry i is `embed` (images, hw, c) of image `image[i]` plus `dense` (m, hw, c) of mask
    /// `mask[i]`, or plus the vector `no_mask` (c) where that is -1.
    fn image_keys(
        &self,
        out: Tensor<'_>,
        embed: Tensor<'_>,
        image: Tensor<'_>,
        dense: Tensor<'_>,
        mask: Tensor<'_>,
        no_mask: Tensor<'_>,
    );
    /// Tokens read the image. `out` (p, n, c) = softmax(scale q (x + pos)^T) x with x = `keys` (s, hw, c) of entry
    /// `source[p]`, pos (hw, c), and q (p, n, c) queries of every token and head, already taken to the image's width.
    fn attend_image(
        &self,
        out: Tensor<'_>,
        q: Tensor<'_>,
        keys: Tensor<'_>,
        source: Tensor<'_>,
        pos: Tensor<'_>,
        scale: f32,
    );
    /// The image reads the tokens. `out` (p, hw, c) = norm(x + bias + sum over heads of
    /// softmax_t(scale ((x + pos) k^T + score_bias)) v) with x = `keys` of entry `source[p]`; `out` may be `keys`
    /// where `source` is the identity.
    fn update_image(
        &self,
        out: Tensor<'_>,
        keys: Tensor<'_>,
        source: Tensor<'_>,
        pos: Tensor<'_>,
        tokens: TokenAttention<'_>,
    );
    /// `out` (p, m, 4h, 4w) = hyper (p, m, c/8) . u with u = gelu(dc2(gelu(norm(dc1(keys) + high1))) + high0) at
    /// 4h x 4w pixels: dc1 and dc2 are 2x2 transposed convolutions with stride 2, as products whose four output
    /// pixels stand side by side; high1 (images, 2h, 2w, c/4) and high0 (images, 4h, 4w, c/8), given as
    /// (high1, high0), are the features of image `image[p]`; `keys` is (p, h, w, c).
    fn upscale_masks(
        &self,
        out: Tensor<'_>,
        keys: Tensor<'_>,
        hyper: Tensor<'_>,
        high: (Tensor<'_>, Tensor<'_>),
        image: Tensor<'_>,
        dc1: &Self::Linear,
        norm: Norm<'_>,
        dc2: &Self::Linear,
    );
    /// `out` (p, n) i32 = the masks of (p, 4, h, w) chosen for each prompt by their logits and `iou` (p, 4).
    fn select_masks(&self, out: Tensor<'_>, masks: Tensor<'_>, iou: Tensor<'_>, selection: Selection);
    /// `out` (p, n, h, w) = the chosen masks of (p, 4, h, w), with background areas (<= threshold) of up to `hole`
    /// pixels set to threshold + margin and foreground areas of up to `sprinkle` pixels to threshold - margin; areas are
    /// 8-connected and found in the mask as given. `labels` and `areas` are scratch, (p, n, h * w) i32.
    fn clean_masks(
        &self,
        out: Tensor<'_>,
        masks: Tensor<'_>,
        selected: Tensor<'_>,
        labels: Tensor<'_>,
        areas: Tensor<'_>,
        cleaning: Cleaning,
    );
    /// The chosen masks of (p, n, h, w), `selected` (p, ..), or all where that is none, resized (bilinear, corners not
    /// aligned, no widening) to each entry of `out`, in order.
    fn write_masks(&self, out: MaskOut<'_>, masks: Tensor<'_>, selected: Option<Tensor<'_>>);
    /// `out` is the map of labels of the masks that [`Backend::write_masks`] would write, to the bit.
    fn write_labels(&self, out: MaskOut<'_>, masks: Tensor<'_>, selected: Option<Tensor<'_>>);
    /// `out` (count, 7) i32, of each mask that [`Backend::write_masks`] would write, to the bit: pixels above threshold,
    /// above threshold + offset and above threshold - offset; left, top, right and bottom of the outermost pixels above
    /// threshold, 0 where there are none.
    fn measure_masks(&self, out: Tensor<'_>, masks: Tensor<'_>, selected: Option<Tensor<'_>>, measure: Measure);
}

/// Every operation with its arguments, for devices that pass them on: `operations!(make)` calls `make!` with the list.
///
/// An operation that is passed on to itself would never end; the compiler says so.
#[macro_export]
#[doc(hidden)]
macro_rules! operations {
    ($make:ident) => {
        $make! {
            preprocess(out: Tensor<'_>, frame: &Frame<'_>, filter: Filter);
            conv2d(out: Tensor<'_>, x: Tensor<'_>, w: &Conv<Self>, epilogue: Epilogue<'_>);
            linear(out: Tensor<'_>, x: Input<'_>, w: &Self::Linear, epilogue: Epilogue<'_>);
            layer_norm(out: Tensor<'_>, x: Tensor<'_>, norm: Norm<'_>, activation: Activation);
            add_vector(out: Tensor<'_>, x: Tensor<'_>, v: Tensor<'_>);
            max_pool2x2(out: Tensor<'_>, x: Tensor<'_>);
            window_attention(out: Tensor<'_>, q: Tensor<'_>, k: Tensor<'_>, v: Tensor<'_>, heads: usize, windows: Windows<'_>);
            token_attention(out: Tensor<'_>, q: Tensor<'_>, k: Tensor<'_>, v: Tensor<'_>, heads: usize, lens: Tensor<'_>);
            memory_attention(out: Tensor<'_>, q: Tensor<'_>, k: Tensor<'_>, v: Tensor<'_>, lens: Tensor<'_>);
            gather_memories(keys: Tensor<'_>, values: Tensor<'_>, bank: Bank<'_>, index: BankIndex<'_>);
            remember(bank: Tensor<'_>, x: Tensor<'_>, slots: Tensor<'_>, scores: Tensor<'_>, absent: Absent<'_>);
            pick_rows(out: Tensor<'_>, x: Tensor<'_>, first: usize, rows: Tensor<'_>);
            hide_absent(masks: Tensor<'_>, scores: Tensor<'_>);
            memory_mask(out: Tensor<'_>, masks: Tensor<'_>, selected: Tensor<'_>, binary: Tensor<'_>, scale: f32, bias: f32);
            depthwise_conv7x7(out: Tensor<'_>, x: Tensor<'_>, weights: Tensor<'_>, bias: Tensor<'_>);
            embed_points(out: Tensor<'_>, points: Tensor<'_>, point_labels: Tensor<'_>, lens: Tensor<'_>, output_tokens: Tensor<'_>, gaussian: Tensor<'_>, labels: Tensor<'_>);
            image_keys(out: Tensor<'_>, embed: Tensor<'_>, image: Tensor<'_>, dense: Tensor<'_>, mask: Tensor<'_>, no_mask: Tensor<'_>);
            attend_image(out: Tensor<'_>, q: Tensor<'_>, keys: Tensor<'_>, source: Tensor<'_>, pos: Tensor<'_>, scale: f32);
            update_image(out: Tensor<'_>, keys: Tensor<'_>, source: Tensor<'_>, pos: Tensor<'_>, tokens: TokenAttention<'_>);
            upscale_masks(out: Tensor<'_>, keys: Tensor<'_>, hyper: Tensor<'_>, high: (Tensor<'_>, Tensor<'_>), image: Tensor<'_>, dc1: &Self::Linear, norm: Norm<'_>, dc2: &Self::Linear);
            select_masks(out: Tensor<'_>, masks: Tensor<'_>, iou: Tensor<'_>, selection: Selection);
            clean_masks(out: Tensor<'_>, masks: Tensor<'_>, selected: Tensor<'_>, labels: Tensor<'_>, areas: Tensor<'_>, cleaning: Cleaning);
            write_masks(out: MaskOut<'_>, masks: Tensor<'_>, selected: Option<Tensor<'_>>);
            write_labels(out: MaskOut<'_>, masks: Tensor<'_>, selected: Option<Tensor<'_>>);
            measure_masks(out: Tensor<'_>, masks: Tensor<'_>, selected: Option<Tensor<'_>>, measure: Measure);
        }
    };
}

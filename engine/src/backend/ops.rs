//! The fused operations of the model, by family.
//!
//! Operations that enqueue work return nothing. The first failure is kept and returned by
//! [`sync`](super::Backend::sync). The caller must pass the shapes that an operation states. A mismatch is a defect of
//! the engine, and fails an assertion that shows both shapes. Maps are channels last, and masks are (p, n, h, w). `out`
//! is the first argument, and may be an input only if the operation says so. Each family has a file of its name in
//! `cpu/`, and in the `src/`, `kernels/` and tests of other backends.

use super::operands::*;
use super::tensor::Tensor;
use crate::error::Result;
use crate::masks::buffer::MaskOut;
use crate::media::frame::Frame;

/// The logit of every pixel of an object that is not visible, as the reference's `NO_OBJ_SCORE`.
pub const NO_OBJ_SCORE: f32 = -1024.0;
/// The largest width of a head of an attention, in values.
pub const MAX_HEAD_WIDTH: usize = 256;
/// The number of heads of the mask decoder's attention.
pub const DECODER_HEADS: usize = 8;

/// Matrix products and convolutions.
pub trait LinearOps {
    /// The weights of a product, laid out for the matrix kernel of this device.
    type Linear: Send + Sync;

    /// Lays out the weights of a product.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory) if memory is exhausted.
    /// [`Error::Device`](crate::Error::Device) if the device fails.
    fn linear_weights(&self, data: LinearData<'_>) -> Result<Self::Linear>;
    /// Computes `out` (h', w', cout) = epilogue(convolution of `x` (h, w, cin)). `x` and `out` may both have a leading
    /// dimension.
    fn conv2d(&self, out: Tensor<'_>, x: Tensor<'_>, w: &Conv<Self::Linear>, epilogue: Epilogue<'_>);
    /// Computes `out` (rows, groups * n) = epilogue(prologue(x) W^T + b), group by group.
    fn linear(&self, out: Tensor<'_>, x: Input<'_>, w: &Self::Linear, epilogue: Epilogue<'_>);
}

/// Layer norms.
pub trait NormOps {
    /// Computes `out` (rows, c) = activation(norm(x)). `out` may be `x`.
    fn layer_norm(&self, out: Tensor<'_>, x: Tensor<'_>, norm: Norm<'_>, activation: Activation);
}

/// Operations on single elements: sums and pools.
pub trait PointwiseOps {
    /// Computes `out` (rows, c) = x + v for a vector v (c). `out` may be `x`.
    fn add_vector(&self, out: Tensor<'_>, x: Tensor<'_>, v: Tensor<'_>);
    /// Computes `out` (h/2, w/2, c) = the largest value of each 2x2 block of `x` (h, w, c).
    fn max_pool2x2(&self, out: Tensor<'_>, x: Tensor<'_>);
    /// Computes `out` (s, hw, c): entry i is `embed` (images, hw, c) of image `image[i]` plus `dense` (m, hw, c) of
    /// mask `mask[i]`. If `mask[i]` is -1, the vector `no_mask` (c) is added instead.
    fn add_dense_prompts(
        &self,
        out: Tensor<'_>,
        embed: Tensor<'_>,
        image: Tensor<'_>,
        dense: Tensor<'_>,
        mask: Tensor<'_>,
        no_mask: Tensor<'_>,
    );
}

/// Attention in windows, and between the tokens of a prompt.
pub trait AttentionOps {
    /// Computes `out` (hq, wq, c) = softmax(q k^T / sqrt(d)) v in each window and head, c = heads * d. q (hq, wq, c)
    /// has the size of k and v (h, w, c), or half of that size (pooled queries). Windows are read from the maps in
    /// place. If a window crosses the edge, each missing key is `windows.pad`.
    fn window_attention(
        &self,
        out: Tensor<'_>,
        q: Tensor<'_>,
        k: Tensor<'_>,
        v: Tensor<'_>,
        heads: usize,
        windows: Windows<'_>,
    );
    /// Computes `out` (p, t, c) = softmax(q k^T / sqrt(d)) v per prompt and head over the first `lens` (p) tokens.
    fn token_attention(
        &self,
        out: Tensor<'_>,
        q: Tensor<'_>,
        k: Tensor<'_>,
        v: Tensor<'_>,
        heads: usize,
        lens: Tensor<'_>,
    );
}

/// Attention to memories.
pub trait MemoryAttentionOps {
    /// Computes `out` (p, n, dv) = softmax(q k^T / sqrt(d)) v per object over the first `lens` (p) keys. Each object
    /// has at least one key. q is (p, n, d), k is (p, m, d), and v is (p, m, dv).
    fn memory_attention(&self, out: Tensor<'_>, q: Tensor<'_>, k: Tensor<'_>, v: Tensor<'_>, lens: Tensor<'_>);
}

/// Attention between the tokens of prompts and the image.
pub trait ImageAttentionOps {
    /// Computes the attention of tokens to the image: `out` (p, n, c) = softmax(scale q (x + pos)^T) x. x is `keys`
    /// (s, hw, c) of entry `source[p]`, pos is (hw, c), and q is (p, n, c). q has the queries of every token and head,
    /// projected to the width of the image.
    fn attend_image(
        &self,
        out: Tensor<'_>,
        q: Tensor<'_>,
        keys: Tensor<'_>,
        source: Tensor<'_>,
        pos: Tensor<'_>,
        scale: f32,
    );
    /// Computes the attention of the image to the tokens: `out` (p, hw, c) = norm(x + bias + sum over heads of
    /// `softmax_t(scale ((x + pos) k^T + score_bias)) v`). x is `keys` of entry `source[p]`. `out` may be `keys` if
    /// `source` is the identity.
    fn update_image(
        &self,
        out: Tensor<'_>,
        keys: Tensor<'_>,
        source: Tensor<'_>,
        pos: Tensor<'_>,
        tokens: TokenAttention<'_>,
    );
}

/// The upscaling of the decoder's map to masks.
pub trait UpscaleOps: LinearOps {
    /// Computes `out` (p, m, 4h, 4w) = hyper (p, m, c/8) . u with u = gelu(dc2(gelu(norm(dc1(keys) + high1))) + high0)
    /// at 4h x 4w pixels. `keys` is (p, h, w, c). dc1 and dc2 are 2x2 transposed convolutions with stride 2, as
    /// products whose four output pixels are next to each other. high1 (images, 2h, 2w, c/4) and high0
    /// (images, 4h, 4w, c/8), given as (high1, high0), are the features of image `image[p]`.
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
}

/// The embedding of points as tokens.
pub trait PromptOps {
    /// Computes `out` (p, t, c): the output tokens (6, c), then one token per point, and zeros beyond `lens` (p).
    ///
    /// The token of a point (x, y) in 0..1 with label l in 0..=3 is cat(sin, cos)(2 pi (2 (x, y) - 1) G) plus row l + 1
    /// of `labels` (5, c). G (2, c/2) is random (Tancik et al., arXiv:2006.10739). With label -1, the token is row 0
    /// alone.
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
}

/// The choice of masks, and the cleaning of their small regions.
pub trait MaskOps {
    /// Computes `out` (p, n) i32 = the masks of (p, 4, h, w) that are chosen for each prompt by their logits and `iou`
    /// (p, 4).
    fn select_masks(&self, out: Tensor<'_>, masks: Tensor<'_>, iou: Tensor<'_>, selection: Selection);
    /// Computes `out` (p, n, h, w) = the chosen masks of (p, 4, h, w), with small areas changed. Background areas
    /// (<= threshold) of up to `hole` pixels are set to threshold + margin. Foreground areas of up to `sprinkle` pixels
    /// are set to threshold - margin. Areas are 8-connected and found in the given mask. `labels` and `areas` are
    /// scratch, (p, n, h * w) i32.
    fn clean_masks(
        &self,
        out: Tensor<'_>,
        masks: Tensor<'_>,
        selected: Tensor<'_>,
        labels: Tensor<'_>,
        areas: Tensor<'_>,
        cleaning: Cleaning,
    );
}

/// The output of masks.
pub trait MaskOutOps {
    /// Writes the chosen masks of (p, n, h, w) to the entries of `out` in order. `selected` (p, ..) has the chosen
    /// masks, and `None` means all masks. The masks are resized (bilinear, corners not aligned, no widening).
    fn write_masks(&self, out: MaskOut<'_>, masks: Tensor<'_>, selected: Option<Tensor<'_>>);
    /// Writes to `out` the label map of the masks that [`MaskOutOps::write_masks`] would write, bit for bit. `values`
    /// (count) i32 has the value of each mask, and `None` means 1 + the index of the mask.
    fn write_labels(
        &self,
        out: MaskOut<'_>,
        masks: Tensor<'_>,
        selected: Option<Tensor<'_>>,
        values: Option<Tensor<'_>>,
    );
    /// Computes `out` (count, 7) i32: the measures of each mask that [`MaskOutOps::write_masks`] would write, bit for
    /// bit. The first three are the numbers of pixels above threshold, above threshold + offset and above
    /// threshold - offset. The others are left, top, right and bottom of the outermost pixels above threshold, or 0 if
    /// there are no such pixels.
    fn measure_masks(&self, out: Tensor<'_>, masks: Tensor<'_>, selected: Option<Tensor<'_>>, measure: Measure);
}

/// The memory bank.
pub trait TrackingOps {
    /// Gathers the memories of objects, one memory after another. `values` (p, m, c) are read from the `bank`. `keys`
    /// (p, m, c) are the values plus the encodings of their positions in space and time. Rows beyond those of an object
    /// are zeros.
    fn gather_memories(&self, keys: Tensor<'_>, values: Tensor<'_>, bank: Bank<'_>, index: BankIndex<'_>);
    /// Sets `bank[slots[p]]` (n, c) to x (p, n, c). For objects that are not visible according to `absent`, the value
    /// is x plus the vector (c), or the vector alone. `bank` is f32 or bf16.
    fn write_bank_slots(&self, bank: Tensor<'_>, x: Tensor<'_>, slots: Tensor<'_>, absent: Option<Absent<'_>>);
    /// Computes `out` (p, c) = row `first + rows[p]` of x (p, n, c).
    fn gather_rows(&self, out: Tensor<'_>, x: Tensor<'_>, first: usize, rows: Tensor<'_>);
    /// Sets all of `masks` (p, n, h, w) to [`NO_OBJ_SCORE`] where `scores` (p) is not above 0.
    fn mask_absent_objects(&self, masks: Tensor<'_>, scores: Tensor<'_>);
    /// Computes `out` (p, s, s, 1) = scale f(x) + bias. x is mask `selected[p]` of (p, n, h, w), enlarged (bilinear,
    /// corners not aligned). f is the sigmoid. If `binary` (p) i32 is not 0, f is 1 for values above 0, and 0
    /// otherwise.
    fn memory_mask(
        &self,
        out: Tensor<'_>,
        masks: Tensor<'_>,
        selected: Tensor<'_>,
        binary: Tensor<'_>,
        scale: f32,
        bias: f32,
    );
    /// Computes `out` (p, h, w, c): bias (c) plus each channel of x (p, h, w, c) convolved with its own 7x7 of
    /// `weights` (49, c). There are zeros around x.
    fn depthwise_conv7x7(&self, out: Tensor<'_>, x: Tensor<'_>, weights: Tensor<'_>, bias: Tensor<'_>);
}

/// The preprocessing of input images.
pub trait PixelOps {
    /// Computes `out` (s, s, 3) from an image: scaled to 0..1, resized (aspect not kept), then (x - mean) / std per
    /// channel with ImageNet's mean and std.
    fn preprocess(&self, out: Tensor<'_>, frame: &Frame<'_>, filter: Filter);
    /// Preprocesses the image that was staged last, as [`PixelOps::preprocess`] does. No image was preprocessed since
    /// then.
    fn preprocess_staged(&self, out: Tensor<'_>, frame: &Frame<'_>, filter: Filter) {
        self.preprocess(out, frame, filter);
    }
    /// Starts to copy an image to the device while enqueued work continues. Returns whether the image is then
    /// [staged](PixelOps::preprocess_staged). The copy has the pixels at the time of the call.
    fn stage(&self, _frame: &Frame<'_>) -> bool {
        false
    }
}

//! The operands of operations, except tensors and numbers.

use crate::backend::tensor::{DType, Tensor};
use std::fmt;

/// The weights of `groups` stacked products y = x W^T + b: `w` is (groups, n, k), `b` is (groups, n) or empty.
pub struct LinearData<'a> {
    /// (groups, n, k)
    pub w: &'a [f32],
    /// (groups, n), or empty for no bias.
    pub b: &'a [f32],
    /// The number of products side by side. Each has its own columns of input and output.
    pub groups: usize,
    /// The number of output columns of a group.
    pub n: usize,
    /// The number of input columns of a group.
    pub k: usize,
    /// The element type that the device multiplies in.
    pub dtype: DType,
    /// Whether the input has few rows, such as the tokens of prompts. A device may compute such products in another
    /// way.
    pub few_rows: bool,
}

impl fmt::Debug for LinearData<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LinearData { groups, n, k, dtype, .. } = self;
        let mut out = f.debug_struct("LinearData");
        out.field("groups", groups).field("n", n).field("k", k).field("dtype", dtype).finish_non_exhaustive()
    }
}

/// The operand of a layer norm: y = gamma * (x - mean) / sqrt(variance + eps) + beta over the last dimension
/// (Ba et al., arXiv:1607.06450).
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    /// (c)
    pub gamma: Tensor<'a>,
    /// (c)
    pub beta: Tensor<'a>,
    /// The value that is added to the variance.
    pub eps: f32,
}

/// The operation on the rows of an operand before the product.
#[derive(Clone, Copy, Debug)]
pub enum Prologue<'a> {
    /// No operation.
    None,
    /// A layer norm.
    Norm(Norm<'a>),
    /// The sum with a tensor of the same shape.
    Add(Tensor<'a>),
}

/// The left operand of a product.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// (rows, groups * k)
    pub x: Tensor<'a>,
    /// The operation on each row before the product.
    pub prologue: Prologue<'a>,
    /// Whether this is the unchanged operand of the previous product. A device that kept the rows need not compute them
    /// again.
    pub again: bool,
}

impl<'a> From<Tensor<'a>> for Input<'a> {
    fn from(x: Tensor<'a>) -> Self {
        Input { x, prologue: Prologue::None, again: false }
    }
}

impl<'a> Input<'a> {
    /// Returns `x` with a layer norm.
    #[must_use]
    pub fn norm(x: Tensor<'a>, norm: Norm<'a>) -> Self {
        Input { x, prologue: Prologue::Norm(norm), again: false }
    }

    /// Marks the operand as that of the previous product, unchanged since then.
    #[must_use]
    pub fn again(self) -> Self {
        Input { again: true, ..self }
    }

    /// Returns `x + y`.
    #[must_use]
    pub fn sum(x: Tensor<'a>, y: Tensor<'a>) -> Self {
        Input { x, prologue: Prologue::Add(y), again: false }
    }
}

/// Functions that are applied to every element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x
    None,
    /// max(x, 0)
    Relu,
    /// x/2 (1 + erf(x / sqrt 2)), exact (Hendrycks and Gimpel, arXiv:1606.08415).
    Gelu,
    /// 1 / (1 + exp(-x))
    Sigmoid,
}

/// The operation on a product before it is stored: out = rotation(activation(y)) + addend.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a> {
    /// The activation, which is applied first.
    pub activation: Activation,
    /// The rotation of columns. With a rotation there is no addend.
    pub rotation: Option<Rotation<'a>>,
    /// The addend, which is added last.
    pub addend: Addend<'a>,
}

/// The rotary position embedding of the first columns of `out` (p, n, c). Pairs (a, b) of neighbouring columns become
/// (a cos - b sin, a sin + b cos) (Su et al., arXiv:2104.09864).
#[derive(Clone, Copy, Debug)]
pub struct Rotation<'a> {
    /// (m, d): the cosine and sine of every pair, at the columns of the pair in row `row % m`. They repeat every d
    /// columns.
    pub table: Tensor<'a>,
    /// The number of columns that are rotated, a multiple of d.
    pub columns: usize,
    /// (p) i32: the number of rows of each entry that are rotated, from the first row on. `None` means all rows.
    pub lens: Option<Tensor<'a>>,
}

/// The addend of an [`Epilogue`].
#[derive(Clone, Copy, Debug)]
pub enum Addend<'a> {
    /// Zero.
    None,
    /// A tensor of the output's shape. The tensor may be the output itself.
    Tensor(Tensor<'a>),
    /// (h/2, w/2, n): each entry is added to the corresponding 2x2 block of the output (h, w, n).
    Upsampled(Tensor<'a>),
}

impl<'a> Epilogue<'a> {
    /// Stores the product unchanged.
    pub const NONE: Epilogue<'static> = Epilogue::activation(Activation::None);
    /// max(y, 0)
    pub const RELU: Epilogue<'static> = Epilogue::activation(Activation::Relu);
    /// The exact GELU.
    pub const GELU: Epilogue<'static> = Epilogue::activation(Activation::Gelu);

    /// Returns an epilogue that only applies an activation.
    #[must_use]
    pub const fn activation(activation: Activation) -> Self {
        Epilogue { activation, rotation: None, addend: Addend::None }
    }

    /// Returns an epilogue that only adds `x`. If `x` is the output, this is a residual connection.
    #[must_use]
    pub const fn add(x: Tensor<'a>) -> Self {
        Epilogue { addend: Addend::Tensor(x), ..Epilogue::NONE }
    }

    /// Returns an epilogue that only rotates.
    #[must_use]
    pub const fn rotate(rotation: Rotation<'a>) -> Self {
        Epilogue { rotation: Some(rotation), ..Epilogue::NONE }
    }

    /// Returns an epilogue that only adds a map of half the size, enlarged by repetition.
    #[must_use]
    pub const fn add_upsampled(x: Tensor<'a>) -> Self {
        Epilogue { addend: Addend::Upsampled(x), ..Epilogue::NONE }
    }
}

/// A convolution as a product over patches. The weights are (cout, kernel, kernel, cin).
#[derive(Debug)]
pub struct Conv<L> {
    /// (1, cout, kernel * kernel * cin)
    pub weights: L,
    /// The height and width of a patch.
    pub kernel: usize,
    /// The distance between patches.
    pub stride: usize,
    /// The number of zeros around the input.
    pub pad: usize,
}

/// The windows of an attention over a map.
#[derive(Clone, Copy, Debug)]
pub struct Windows<'a> {
    /// The side of a window of keys in tokens. 0 means that the whole map is one window. Queries have as many windows.
    pub size: usize,
    /// The key (c) and the value (c) of the tokens that pad the map to whole windows. They are included in the softmax.
    pub pad: (Tensor<'a>, Tensor<'a>),
}

/// The tokens that the image attends to, and how the result is added to the image: see `update_image`.
#[derive(Clone, Copy, Debug)]
pub struct TokenAttention<'a> {
    /// (p, t, heads, c): keys, projected to the width of the image.
    pub k: Tensor<'a>,
    /// (p, t, heads): the part of each score that comes from the bias of the queries.
    pub score_bias: Tensor<'a>,
    /// (p, t, heads, c): values, projected to the width of the image.
    pub v: Tensor<'a>,
    /// (c)
    pub bias: Tensor<'a>,
    /// The norm of the sum with the residual.
    pub norm: Norm<'a>,
    /// (p) i32: the number of tokens of each prompt.
    pub lens: Tensor<'a>,
    /// 1 / sqrt(width of a head).
    pub scale: f32,
}

/// The memories of objects.
#[derive(Clone, Copy, Debug)]
pub struct Bank<'a> {
    /// (slots, hw, c) bf16: the memories of frames.
    pub maps: Tensor<'a>,
    /// (slots', k, c): pointers, each as k tokens.
    pub pointers: Tensor<'a>,
    /// (hw, c): the encoding of positions in a frame.
    pub space: Tensor<'a>,
    /// (t, c): the encoding of distances in time.
    pub time: Tensor<'a>,
}

/// The memories of a [`Bank`] that each object has.
#[derive(Clone, Copy, Debug)]
pub struct BankIndex<'a> {
    /// (p, 2) i32: the number of frames, and the number of pointers.
    pub counts: Tensor<'a>,
    /// (p, b) i32: the slots of frames.
    pub maps: Tensor<'a>,
    /// (p, b) i32: the rows of `time` of these frames.
    pub times: Tensor<'a>,
    /// (p, q) i32: the slots of pointers.
    pub pointers: Tensor<'a>,
    /// (p, q, c): the vector that is added to every token of each pointer.
    pub pointer_times: Tensor<'a>,
}

/// The sizes of a call of `gather_memories`, with the letters that [`Bank`] and [`BankIndex`] use.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct BankSizes {
    pub p: usize,
    pub m: usize,
    pub c: usize,
    pub hw: usize,
    pub k: usize,
    pub b: usize,
    pub q: usize,
}

impl BankSizes {
    /// Returns the sizes of a call of `gather_memories`. The operands must fit each other.
    ///
    /// # Panics
    ///
    /// If the operands do not fit each other, or if there are no objects.
    #[must_use]
    pub fn of(keys: Tensor<'_>, values: Tensor<'_>, bank: &Bank<'_>, index: &BankIndex<'_>) -> BankSizes {
        let (&[p, m, c], &[_, hw, _], &[_, k, _]) = (keys.dims(), bank.maps.dims(), bank.pointers.dims()) else {
            panic!("gather_memories: {keys:?} from {:?} {:?}", bank.maps, bank.pointers)
        };
        let (b, q) = (index.maps.len() / p, index.pointers.len() / p);
        assert!(
            values.dims() == keys.dims() && bank.space.dims() == [hw, c],
            "gather_memories: {keys:?} {values:?} {:?}",
            bank.space
        );
        assert!(
            [bank.maps, bank.pointers, bank.time].iter().all(|t| t.cols() == c && t.is_contiguous()),
            "gather_memories: {keys:?} from {:?} {:?} {:?}",
            bank.maps,
            bank.pointers,
            bank.time
        );
        assert!(
            index.counts.len() == 2 * p
                && index.times.len() == p * b
                && index.pointer_times.len() == p * q * c
                && b * hw + q * k <= m,
            "gather_memories: {keys:?} for {b} frames and {q} pointers"
        );
        BankSizes { p, m, c, hw, k, b, q }
    }
}

/// The values that `write_bank_slots` writes for objects that are not visible.
#[derive(Clone, Copy, Debug)]
pub struct Absent<'a> {
    /// (p): an object is visible if its score is above 0.
    pub scores: Tensor<'a>,
    /// (c)
    pub vector: Tensor<'a>,
    /// Whether the vector replaces the object's rows. Otherwise the vector is added to each row.
    pub replace: bool,
}

/// The resize filter of `preprocess`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// A bilinear filter of the values in 0..1, which widens when shrinking. The reference uses it for images.
    Bilinear,
    /// A bicubic filter of 8-bit values with 8-bit results, which widens when shrinking. The results are those of
    /// Pillow, bit for bit. The reference uses the filter for the frames of a video. Images of floats are resized as by
    /// `Bilinear`.
    Bicubic,
}

/// The choice of `select_masks`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Selection {
    /// Masks 1, 2 and 3.
    Multimask,
    /// Mask 0.
    Single,
    /// The mask of 1..=3 with the highest predicted IoU. Among equal masks, the first one is chosen.
    Best,
    /// Mask 0 if its area above `delta` divided by its area above `-delta` is at least `thresh`. Otherwise the mask of
    /// 1..=3 with the highest predicted IoU. Among equal masks, the first one is chosen.
    Stable {
        /// The distance of the two thresholds from 0.
        delta: f32,
        /// The smallest ratio.
        thresh: f32,
    },
}

impl Selection {
    /// Returns the number of masks that are chosen per prompt.
    #[must_use]
    pub fn masks(self) -> usize {
        if self == Selection::Multimask { 3 } else { 1 }
    }
}

/// The holes that `clean_masks` fills, and the specks that it removes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cleaning {
    /// A pixel whose logit is above this value is foreground.
    pub threshold: f32,
    /// The largest background area that is filled, in low-resolution pixels.
    pub hole: f32,
    /// The largest foreground area that is removed, in low-resolution pixels.
    pub sprinkle: f32,
    /// The distance from the threshold of the new logits: above the threshold for filled pixels, below it for removed
    /// pixels.
    pub margin: f32,
}

/// The measures of `measure_masks`, and the size at which they are taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measure {
    /// A pixel whose logit is above this value is on the object.
    pub threshold: f32,
    /// The distance above and below the threshold of the two further thresholds at which pixels are counted.
    pub offset: f32,
    /// The height that masks are resized to.
    pub height: usize,
    /// The width that masks are resized to.
    pub width: usize,
}

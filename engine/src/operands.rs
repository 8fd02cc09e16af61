//! What the operations of a [`Backend`] take beside tensors and numbers.

use crate::backend::Backend;
use crate::tensor::{DType, Tensor};

/// Weights of `groups` products y = x W^T + b, stacked: `w` is (groups, n, k), `b` is (groups, n) or empty.
pub struct LinearData<'a> {
    /// (groups, n, k)
    pub w: &'a [f32],
    /// (groups, n), or empty for none.
    pub b: &'a [f32],
    /// Products side by side, each with its own columns of input and output.
    pub groups: usize,
    /// Output columns of a group.
    pub n: usize,
    /// Input columns of a group.
    pub k: usize,
    /// What the device multiplies in.
    pub dtype: DType,
    /// The input has few rows, such as the tokens of prompts: how a device makes the product may depend on it.
    pub few_rows: bool,
}

/// y = gamma * (x - mean) / sqrt(variance + eps) + beta over the last dimension (Ba et al., arXiv:1607.06450).
#[derive(Clone, Copy)]
pub struct Norm<'a> {
    /// (c)
    pub gamma: Tensor<'a>,
    /// (c)
    pub beta: Tensor<'a>,
    /// Added to the variance.
    pub eps: f32,
}

/// What happens to the rows of an operand before the product.
#[derive(Clone, Copy)]
pub enum Prologue<'a> {
    /// Nothing.
    None,
    /// Layer norm.
    Norm(Norm<'a>),
    /// A tensor of the same shape is added.
    Add(Tensor<'a>),
}

/// The left operand of a product.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// (rows, groups * k)
    pub x: Tensor<'a>,
    /// Applied to each row on the way in.
    pub prologue: Prologue<'a>,
    /// The operand of the product before, unchanged since: a device that kept its rows need not make them again.
    pub again: bool,
}

impl<'a> From<Tensor<'a>> for Input<'a> {
    fn from(x: Tensor<'a>) -> Self {
        Input { x, prologue: Prologue::None, again: false }
    }
}

impl<'a> Input<'a> {
    /// `x` normalised.
    pub fn norm(x: Tensor<'a>, norm: Norm<'a>) -> Self {
        Input { x, prologue: Prologue::Norm(norm), again: false }
    }

    /// The same, which was the operand of the product before and has not changed since.
    pub fn again(self) -> Self {
        Input { again: true, ..self }
    }

    /// `x + y`.
    pub fn sum(x: Tensor<'a>, y: Tensor<'a>) -> Self {
        Input { x, prologue: Prologue::Add(y), again: false }
    }
}

/// Functions applied element by element.
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

/// What happens to a product before it is stored: out = rotation(activation(y)) + addend.
#[derive(Clone, Copy)]
pub struct Epilogue<'a> {
    /// Applied first.
    pub activation: Activation,
    /// Rotates columns; there is no addend then.
    pub rotation: Option<Rotation<'a>>,
    /// Added after.
    pub addend: Addend<'a>,
}

/// Rotary position embedding of the first columns of `out` (p, n, c): pairs (a, b) of neighbouring columns become
/// (a cos - b sin, a sin + b cos) (Su et al., arXiv:2104.09864).
#[derive(Clone, Copy)]
pub struct Rotation<'a> {
    /// (m, d): cos and sin of every pair, at the same place of row `row % m`; the same for every d columns.
    pub table: Tensor<'a>,
    /// The columns that are rotated, a multiple of d.
    pub columns: usize,
    /// (p) i32: how many rows of each entry are rotated, from the first on; none: all rows.
    pub lens: Option<Tensor<'a>>,
}

/// The addend of an [`Epilogue`].
#[derive(Clone, Copy)]
pub enum Addend<'a> {
    /// Zero.
    None,
    /// A tensor of the output's shape, which may be the output itself.
    Tensor(Tensor<'a>),
    /// (h/2, w/2, n), each entry added to the 2x2 block above it of the output (h, w, n).
    Upsampled(Tensor<'a>),
}

impl<'a> Epilogue<'a> {
    /// Stores the product as it is.
    pub const NONE: Epilogue<'static> = Epilogue::activation(Activation::None);
    /// max(y, 0)
    pub const RELU: Epilogue<'static> = Epilogue::activation(Activation::Relu);
    /// Exact GELU.
    pub const GELU: Epilogue<'static> = Epilogue::activation(Activation::Gelu);

    /// An activation alone.
    pub const fn activation(activation: Activation) -> Self {
        Epilogue { activation, rotation: None, addend: Addend::None }
    }

    /// A sum alone: the residual connection where `x` is the output.
    pub const fn add(x: Tensor<'a>) -> Self {
        Epilogue { addend: Addend::Tensor(x), ..Epilogue::NONE }
    }

    /// A rotation alone.
    pub const fn rotate(rotation: Rotation<'a>) -> Self {
        Epilogue { rotation: Some(rotation), ..Epilogue::NONE }
    }

    /// A sum with a map of half the size, enlarged by repetition.
    pub const fn add_upsampled(x: Tensor<'a>) -> Self {
        Epilogue { addend: Addend::Upsampled(x), ..Epilogue::NONE }
    }
}

/// A convolution as a product over patches; weights are (cout, kernel, kernel, cin).
pub struct Conv<B: Backend> {
    /// (1, cout, kernel * kernel * cin)
    pub weights: B::Linear,
    /// Height and width of a patch.
    pub kernel: usize,
    /// Distance between patches.
    pub stride: usize,
    /// Zeros around the input.
    pub pad: usize,
}

/// The windows of an attention over a map.
#[derive(Clone, Copy)]
pub struct Windows<'a> {
    /// Side of a window of keys in tokens; 0: the whole map is one window. Queries have as many windows.
    pub size: usize,
    /// Key (c) and value (c) of the tokens that pad the map to whole windows; they take part in the softmax.
    pub pad: (Tensor<'a>, Tensor<'a>),
}

/// What tokens attend to, and how the answer enters the image: see [`Backend::update_image`].
#[derive(Clone, Copy)]
pub struct TokenAttention<'a> {
    /// (p, t, heads, c): keys taken back to the image's width.
    pub k: Tensor<'a>,
    /// (p, t, heads): what the query bias adds to each score.
    pub score_bias: Tensor<'a>,
    /// (p, t, heads, c): values taken forward to the image's width.
    pub v: Tensor<'a>,
    /// (c)
    pub bias: Tensor<'a>,
    /// Of the sum with the residual.
    pub norm: Norm<'a>,
    /// (p) i32: tokens of each prompt.
    pub lens: Tensor<'a>,
    /// 1 / sqrt(width of a head).
    pub scale: f32,
}

/// Where objects' memories are kept.
#[derive(Clone, Copy)]
pub struct Bank<'a> {
    /// (slots, hw, c) bf16: of frames.
    pub maps: Tensor<'a>,
    /// (slots', k, c): pointers, each cut into k tokens.
    pub pointers: Tensor<'a>,
    /// (hw, c): places within a frame.
    pub space: Tensor<'a>,
    /// (t, c): distances in time.
    pub time: Tensor<'a>,
}

/// Which memories of a [`Bank`] each object has.
#[derive(Clone, Copy)]
pub struct BankIndex<'a> {
    /// (p, 2) i32: how many frames and how many pointers.
    pub counts: Tensor<'a>,
    /// (p, b) i32: slots of frames.
    pub maps: Tensor<'a>,
    /// (p, b) i32: their rows of `time`.
    pub times: Tensor<'a>,
    /// (p, q) i32: slots of pointers.
    pub pointers: Tensor<'a>,
    /// (p, q, c): what is added to every token of each.
    pub pointer_times: Tensor<'a>,
}

/// Sizes of a gathering of memories, under the names that [`Bank`] and [`BankIndex`] give them.
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
    /// The sizes of a call of [`Backend::gather_memories`], whose operands must fit each other.
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

/// What [`Backend::remember`] does where the object is not to be seen.
#[derive(Clone, Copy)]
pub struct Absent<'a> {
    /// (c), of zeros where nothing is to happen.
    pub vector: Tensor<'a>,
    /// The vector stands in place of what is remembered; otherwise it is added.
    pub replace: bool,
}

/// How [`Backend::preprocess`] resizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Bilinear, widened when shrinking, of the values in 0..1: how the reference takes pictures.
    Bilinear,
    /// Bicubic, widened when shrinking, of 8-bit values and rounded to such, to the bit as Pillow does it: how the
    /// reference takes the frames of a video. Pictures of floats are resized as by `Bilinear`.
    Bicubic,
}

/// How [`Backend::select_masks`] chooses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Selection {
    /// Masks 1, 2 and 3.
    Multimask,
    /// Mask 0.
    Single,
    /// The mask of 1..=3 with the highest predicted IoU, the first of equals.
    Best,
    /// Mask 0 if the areas above `delta` and above `-delta` are at least `thresh` to one, else the mask of 1..=3 with
    /// the highest predicted IoU, the first of equals.
    Stable {
        /// Distance of the two thresholds from 0.
        delta: f32,
        /// The least ratio.
        thresh: f32,
    },
}

impl Selection {
    /// Masks chosen per prompt.
    pub fn masks(self) -> usize {
        if self == Selection::Multimask { 3 } else { 1 }
    }
}

/// Which small areas [`Backend::clean_masks`] mends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cleaning {
    /// Logits above it are foreground.
    pub threshold: f32,
    /// Largest background area that is filled, in low-resolution pixels.
    pub hole: f32,
    /// Largest foreground area that is removed.
    pub sprinkle: f32,
    /// What is filled gets this much more than the threshold, what is removed as much less.
    pub margin: f32,
}

/// What [`Backend::measure_masks`] counts, and at which size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measure {
    /// What is above it is on the object.
    pub threshold: f32,
    /// How far above and below the threshold pixels are counted as well.
    pub offset: f32,
    /// Height that masks are resized to.
    pub height: usize,
    /// Width that masks are resized to.
    pub width: usize,
}

//! Which numbers are how wide.

use crate::tensor::DType;

/// What a model computes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// What suits the device: bfloat16 on a GPU and on a CPU that multiplies it (AVX512-BF16, Arm's BF16), else float32.
    #[default]
    Auto,
    /// float32 throughout: the reference's own numbers, up to rounding.
    F32,
    /// Products in bfloat16, sums in float32.
    Bf16,
    /// Products in float16, sums in float32.
    F16,
}

impl Precision {
    /// The name users type and read.
    pub fn name(self) -> &'static str {
        match self {
            Precision::Auto => "auto",
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::F16 => "f16",
        }
    }
}

/// The element types of a model's tensors, fixed at load.
///
/// In f32 whatever the precision: residual streams, tokens, coordinates, Fourier features and position encodings,
/// norms, softmax, sums of products, biases, scores and mask logits. The rest follows the precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Operands of large products and attention, and the features kept of a picture.
    pub activations: DType,
}

impl Policy {
    /// The policy of a precision the device has settled on.
    pub fn of(precision: Precision) -> Policy {
        let activations = match precision {
            Precision::Auto | Precision::F32 => DType::F32,
            Precision::Bf16 => DType::Bf16,
            Precision::F16 => DType::F16,
        };
        Policy { activations }
    }
}

//! Numeric precision policy: which tensors use which element type.

use crate::backend::tensor::DType;

/// The precision that a model computes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// The best precision for the device. It is bfloat16 on a GPU, and on a CPU with bfloat16 products
    /// (AVX512-BF16, Arm's BF16). It is float32 on any other CPU.
    #[default]
    Auto,
    /// float32 throughout. The results are those of the reference, up to rounding.
    F32,
    /// Products in bfloat16, sums in float32.
    Bf16,
    /// Products in float16, sums in float32.
    F16,
}

impl Precision {
    /// Returns the name of the precision in options and messages.
    #[must_use]
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
/// The following are in f32 at any precision: residual streams, tokens, coordinates, Fourier features and position
/// encodings, norms, softmax, sums of products, biases, scores and mask logits. All other tensors follow the precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The type of the operands of large products and attention, and of the stored features of an image.
    pub activations: DType,
}

impl Policy {
    /// Returns the policy of a precision that the device has chosen.
    #[must_use]
    pub fn of(precision: Precision) -> Policy {
        let activations = match precision {
            Precision::Auto | Precision::F32 => DType::F32,
            Precision::Bf16 => DType::Bf16,
            Precision::F16 => DType::F16,
        };
        Policy { activations }
    }
}

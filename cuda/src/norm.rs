//! Layer norms. The kernels are in `kernels/norm.cu`.

use crate::device::Device;
use crate::kernels::Kernel;
use crate::linear::activation_code;
use crate::queue::Cuda;
use crate::view::{View, blocks, plain};
use bytemuck::NoUninit;
use sam2_engine::backend::*;
use sam2_engine::tensor::{DType, Tensor};

impl<D: Device> Cuda<D> {
    /// `out` (rows, padded) = activation(norm(x)), with zeros beyond x's columns.
    pub(crate) fn norm(&self, out: View, x: Tensor<'_>, norm: Norm<'_>, activation: Activation, padded: usize) {
        assert!(norm.gamma.len() == x.cols() && norm.beta.len() == x.cols(), "layer_norm: {x:?} by {:?}", norm.gamma);
        let args = NormArgs {
            out,
            x: View::of(x),
            gamma: plain(norm.gamma, DType::F32),
            beta: plain(norm.beta, DType::F32),
            eps: norm.eps,
            rows: x.rows() as i32,
            n: x.cols() as i32,
            padded: padded as i32,
            activation: activation_code(activation),
            fast: (x.addr().is_multiple_of(16)
                && (x.stride() * x.dtype().bytes()).is_multiple_of(16)
                && x.cols().is_multiple_of(4)) as i32,
        };
        use Kernel::*;
        let (kernel, lanes) = match padded {
            0..=4 => (layer_norm_4, 1),
            5..=16 => (layer_norm_16, 4),
            17..=64 => (layer_norm_64, 16),
            65..=96 => (layer_norm_96, 8),
            97..=160 => (layer_norm_160, 8),
            161..=192 => (layer_norm_192, 16),
            193..=256 => (layer_norm_256, 32),
            257..=320 => (layer_norm_320, 16),
            321..=384 => (layer_norm_384, 32),
            385..=640 => (layer_norm_640, 32),
            641..=1152 => (layer_norm_1152, 32),
            _ => (layer_norm_wide, 32),
        };
        self.launch(kernel, [blocks(x.rows(), 256 / lanes), 1, 1], 0, &args);
    }
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct NormArgs {
    out: View,
    x: View,
    gamma: u64,
    beta: u64,
    eps: f32,
    rows: i32,
    n: i32,
    padded: i32,
    activation: i32,
    fast: i32,
}

impl<D: Device> NormOps for Cuda<D> {
    fn layer_norm(&self, out: Tensor<'_>, x: Tensor<'_>, norm: Norm<'_>, activation: Activation) {
        assert!(out.rows() == x.rows() && out.cols() == x.cols(), "layer_norm: {out:?} from {x:?}");
        self.count_operands(&[out, x]);
        self.norm(View::of(out), x, norm, activation, x.cols());
    }
}

//! Turns points into tokens. The kernels are in `kernels/prompts.cu`.

use crate::device::Device;
use crate::kernels::Kernel;
use crate::queue::Cuda;
use crate::view::{View, plain};
use bytemuck::NoUninit;
use sam2_engine::backend::PromptOps;
use sam2_engine::tensor::{DType, Tensor};

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct PointsArgs {
    out: View,
    points: u64,
    labels: u64,
    lens: u64,
    output_tokens: u64,
    gaussian: u64,
    embeddings: u64,
    t: i32,
    c: i32,
    outputs: i32,
    pad: i32,
}

impl<D: Device> PromptOps for Cuda<D> {
    fn embed_points(
        &self,
        out: Tensor<'_>,
        points: Tensor<'_>,
        point_labels: Tensor<'_>,
        lens: Tensor<'_>,
        output_tokens: Tensor<'_>,
        gaussian: Tensor<'_>,
        labels: Tensor<'_>,
    ) {
        let [p, t, c] = *out.dims() else { panic!("embed_points: {out:?}") };
        let outputs = output_tokens.dim(0);
        let n = t - outputs;
        assert!(
            points.len() == p * n * 2
                && point_labels.len() == p * n
                && lens.len() == p
                && output_tokens.cols() == c
                && gaussian.dims() == [2, c / 2]
                && labels.dims() == [5, c],
            "embed_points: {out:?} from {points:?} {point_labels:?} {lens:?}"
        );
        self.count_operands(&[out]);
        let args = PointsArgs {
            out: View::of(out),
            points: plain(points, DType::F32),
            labels: plain(point_labels, DType::I32),
            lens: plain(lens, DType::I32),
            output_tokens: plain(output_tokens, DType::F32),
            gaussian: plain(gaussian, DType::F32),
            embeddings: plain(labels, DType::F32),
            t: t as i32,
            c: c as i32,
            outputs: outputs as i32,
            pad: 0,
        };
        self.launch(Kernel::embed_points, [t, p, 1], 0, &args);
    }
}

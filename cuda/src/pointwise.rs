//! Sums and pools. The kernels are in `kernels/pointwise.cu`.

use crate::device::Device;
use crate::kernels::Kernel;
use crate::queue::Cuda;
use crate::view::{View, blocks, plain};
use bytemuck::NoUninit;
use sam2_engine::backend::PointwiseOps;
use sam2_engine::tensor::{DType, Tensor};

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct AddArgs {
    out: View,
    x: View,
    y: View,
    vector: View,
    x_of: u64,
    y_of: u64,
    entries: i32,
    rows: i32,
    c: i32,
    pad: i32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct PoolArgs {
    out: View,
    x: View,
    h: i32,
    w: i32,
    c: i32,
    pad: i32,
}

impl<D: Device> PointwiseOps for Cuda<D> {
    fn add_dense_prompts(
        &self,
        out: Tensor<'_>,
        embed: Tensor<'_>,
        image: Tensor<'_>,
        dense: Tensor<'_>,
        mask: Tensor<'_>,
        no_mask: Tensor<'_>,
    ) {
        let [n, hw, c] = *out.dims() else { panic!("add_dense_prompts: {out:?}") };
        assert!(
            embed.dims()[1..] == [hw, c] && dense.dims()[1..] == [hw, c] && no_mask.len() == c,
            "add_dense_prompts: {out:?} from {embed:?} {dense:?}"
        );
        assert!(image.len() == n && mask.len() == n, "add_dense_prompts: {out:?} of {image:?} {mask:?}");
        self.count_operands(&[out, out]);
        let args = AddArgs {
            out: View::of(out),
            x: View::of(embed),
            y: View::of(dense),
            vector: View::of(no_mask),
            x_of: plain(image, DType::I32),
            y_of: plain(mask, DType::I32),
            entries: n as i32,
            rows: hw as i32,
            c: c as i32,
            pad: 0,
        };
        self.launch(Kernel::add, [blocks(n * hw * c.div_ceil(4), 256), 1, 1], 0, &args);
    }

    fn add_vector(&self, out: Tensor<'_>, x: Tensor<'_>, v: Tensor<'_>) {
        assert!(out.len() == x.len() && out.cols() == v.len(), "add_vector: {out:?} = {x:?} + {v:?}");
        self.count_operands(&[out, x]);
        let args = AddArgs {
            out: View::of(out),
            x: View::of(x),
            y: View::NONE,
            vector: View::of(v),
            x_of: 0,
            y_of: 0,
            entries: 1,
            rows: out.rows() as i32,
            c: out.cols() as i32,
            pad: 0,
        };
        self.launch(Kernel::add, [blocks(out.rows() * out.cols().div_ceil(4), 256), 1, 1], 0, &args);
    }

    fn max_pool2x2(&self, out: Tensor<'_>, x: Tensor<'_>) {
        let [h, w, c] = *out.dims() else { panic!("max_pool2x2: {out:?}") };
        assert!(x.dims() == [2 * h, 2 * w, c], "max_pool2x2: {out:?} from {x:?}");
        self.count_operands(&[out, x]);
        let args = PoolArgs { out: View::of(out), x: View::of(x), h: h as i32, w: w as i32, c: c as i32, pad: 0 };
        self.launch(Kernel::max_pool2x2, [blocks(h * w * c.div_ceil(4), 256), 1, 1], 0, &args);
    }
}

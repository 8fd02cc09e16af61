//! The upscaling of the mask decoder. The kernels are in `kernels/upscale.cu`.

use crate::device::Device;
use crate::kernels::Kernel;
use crate::linear::Weights;
use crate::operands::Prepared;
use crate::queue::Cuda;
use crate::view::{View, blocks, plain};
use bytemuck::NoUninit;
use sam2_engine::backend::*;
use sam2_engine::tensor::{DType, Tensor};

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct Upscale1Args {
    x: View,
    high: View,
    image: u64,
    gamma: u64,
    beta: u64,
    eps: f32,
    p: i32,
    h: i32,
    w: i32,
    c: i32,
    pad: i32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct Upscale2Args {
    out: u64,
    x: View,
    high: View,
    hyper: u64,
    image: u64,
    p: i32,
    h: i32,
    w: i32,
    c: i32,
    masks: i32,
    pad: i32,
}

impl<D: Device> UpscaleOps for Cuda<D> {
    fn upscale_masks(
        &self,
        out: Tensor<'_>,
        keys: Tensor<'_>,
        hyper: Tensor<'_>,
        (high1, high0): (Tensor<'_>, Tensor<'_>),
        image: Tensor<'_>,
        dc1: &Weights<D::Memory>,
        norm: Norm<'_>,
        dc2: &Weights<D::Memory>,
    ) {
        let (&[p, h, w, c], &[_, m, c0]) = (keys.dims(), hyper.dims()) else { panic!("upscale: {keys:?} {hyper:?}") };
        let c1 = dc1.n / 4;
        assert!(
            out.dims() == [p, m, 4 * h, 4 * w] && (dc1.k, dc2.k, dc2.n) == (c, c1, 4 * c0),
            "upscale_masks: {out:?} from {keys:?} {hyper:?}"
        );
        assert!(
            high1.dims()[1..] == [2 * h, 2 * w, c1] && high0.dims()[1..] == [4 * h, 4 * w, c0] && image.len() == p,
            "upscale_masks: {high1:?} {high0:?} {image:?}"
        );
        let channels = c1 <= 64 && c0 <= 32 && c1.is_multiple_of(8) && c0.is_multiple_of(4);
        assert!(channels && norm.gamma.len() == c1, "upscale_masks: {c1} and {c0} channels");
        for (high, channels) in [(high1, c1), (high0, c0)] {
            let whole = channels.min(8) * high.dtype().bytes();
            assert!(high.addr().is_multiple_of(16) && (high.stride() * high.dtype().bytes()).is_multiple_of(whole));
        }
        self.count_operands(&[out, keys]);
        let rows = p * h * w;
        let size = dc1.dtype.bytes();
        let first = (rows * 4 * c1 * size).next_multiple_of(256);
        let second = (rows * 16 * c0 * size).next_multiple_of(256);
        let ready = keys.dtype() == dc1.dtype && keys.addr().is_multiple_of(16) && (c1 * size).is_multiple_of(16);
        assert!(ready, "upscale_masks: {keys:?} is not what the products take");
        let Some(x1) = self.workspace(first + second) else { return };
        let x2 = x1 + first as u64;
        let a = Prepared { addr: keys.addr(), stride: keys.stride(), group: c, add: View::NONE };
        self.product(View::at(x1, 4 * c1, dc1.dtype), rows, a, dc1, Epilogue::NONE, 1);
        let args = Upscale1Args {
            x: View::at(x1, 4 * c1, dc1.dtype),
            high: View::of(high1),
            image: plain(image, DType::I32),
            gamma: plain(norm.gamma, DType::F32),
            beta: plain(norm.beta, DType::F32),
            eps: norm.eps,
            p: p as i32,
            h: h as i32,
            w: w as i32,
            c: c1 as i32,
            pad: 0,
        };
        self.launch(Kernel::upscale_norm, [blocks(h * w * 4, 32), p, 1], 0, &args);
        let a = Prepared { addr: x1, stride: c1, group: c1, add: View::NONE };
        self.product(View::at(x2, 4 * c0, dc2.dtype), rows * 4, a, dc2, Epilogue::NONE, 1);
        let args = Upscale2Args {
            out: plain(out, DType::F32),
            x: View::at(x2, 4 * c0, dc2.dtype),
            high: View::of(high0),
            hyper: plain(hyper, DType::F32),
            image: plain(image, DType::I32),
            p: p as i32,
            h: h as i32,
            w: w as i32,
            c: c0 as i32,
            masks: m as i32,
            pad: 0,
        };
        self.launch(Kernel::upscale_masks, [blocks(h * w * 4, 32), p, 1], 0, &args);
    }
}

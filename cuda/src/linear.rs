//! Products. The kernels are in `kernels/linear.cu` and `kernels/norm.cu`.

use crate::device::{Device, Gemm, LibraryActivation};
use crate::kernels::Kernel;
use crate::operands::{NormedRows, Prepared};
use crate::queue::Cuda;
use crate::view::{View, blocks, code, plain};
use bytemuck::NoUninit;
use sam2_engine::backend::*;
use sam2_engine::memory::try_with_capacity;
use sam2_engine::tensor::{DType, Tensor, bf16, f16};
use sam2_engine::{Error, Result};

/// The smallest weights whose products use the device's library. Products of smaller weights are limited by memory or
/// by the launch.
const LIBRARY_WEIGHTS: usize = 1 << 10;

/// The most columns of few rows that one thread multiplies, as in the kernel.
const FEW_COLUMNS: usize = 32;

/// Weights of a product on the device: (groups, n, row), rows padded with zeros to 16 bytes.
#[derive(Debug)]
pub struct Weights<M> {
    w: M,
    /// (groups, n)
    bias: Option<M>,
    /// The same in the type of the weights, if that is narrower.
    narrow_bias: Option<M>,
    pub(crate) groups: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
    row: usize,
    pub(crate) dtype: DType,
    few_rows: bool,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct LinearArgs {
    a: u64,
    w: u64,
    bias: u64,
    out: View,
    addend: View,
    m: i32,
    n: i32,
    k: i32,
    lda: i32,
    ldw: i32,
    a_group: i32,
    activation: i32,
    addend_kind: i32,
    out_w: i32,
    pad: i32,
    x: View,
    y: View,
    rotation: u64,
    lens: u64,
    rotated: i32,
    rotation_rows: i32,
    rotation_columns: i32,
    groups: i32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct RowsArgs {
    out: View,
    x: View,
    y: View,
    rows: i32,
    groups: i32,
    k: i32,
    padded: i32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct PatchesArgs {
    out: View,
    x: View,
    rows: i32,
    h: i32,
    w: i32,
    c: i32,
    out_h: i32,
    out_w: i32,
    kernel: i32,
    stride: i32,
    pad: i32,
    padded: i32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct ConvArgs {
    out: View,
    x: View,
    weights: View,
    addend: View,
    bias: u64,
    h: i32,
    w: i32,
    c: i32,
    out_h: i32,
    out_w: i32,
    n: i32,
    kernel: i32,
    stride: i32,
    pad: i32,
    activation: i32,
}

/// The most weights of a convolution that fit in the shared memory of a block.
const FEW_WEIGHTS: usize = 1 << 10;

/// Appends values in a type.
pub(crate) fn narrow(bytes: &mut Vec<u8>, values: &[f32], dtype: DType) {
    for v in values {
        match dtype {
            DType::F16 => bytes.extend(f16::from_f32(*v).to_le_bytes()),
            DType::Bf16 => bytes.extend(bf16::from_f32(*v).to_le_bytes()),
            _ => bytes.extend(v.to_le_bytes()),
        }
    }
}

/// The number of elements to which rows of `k` are padded.
fn padded(k: usize, dtype: DType) -> usize {
    k.next_multiple_of(16 / dtype.bytes())
}

impl<D: Device> LinearOps for Cuda<D> {
    type Linear = Weights<D::Memory>;

    fn linear_weights(&self, data: LinearData<'_>) -> Result<Weights<D::Memory>> {
        self.pack(&data)
    }

    fn linear(&self, out: Tensor<'_>, x: Input<'_>, w: &Weights<D::Memory>, epilogue: Epilogue<'_>) {
        let m = out.rows();
        assert!(
            x.x.rows() == m && x.x.cols() == w.groups * w.k && out.cols() == w.groups * w.n,
            "linear: {out:?} from {:?} by {}x({}, {})",
            x.x,
            w.groups,
            w.n,
            w.k
        );
        self.count_operands(&[out, x.x]);
        let out_w = if out.dims().len() > 2 { out.dim(out.dims().len() - 2) } else { 1 };
        let lens = epilogue.rotation.and_then(|r| r.lens);
        assert!(epilogue.rotation.is_none() || out.dims().len() == 3, "linear: rotates {out:?}");
        assert!(lens.is_none_or(|lens| lens.len() == out.dim(0)), "linear: {out:?} rotated as long as {lens:?}");
        if let Some(a) = self.prepare(x, w) {
            self.product(View::of(out), m, a, w, epilogue, out_w);
        }
    }

    fn conv2d(&self, out: Tensor<'_>, x: Tensor<'_>, conv: &Conv<Weights<D::Memory>>, epilogue: Epilogue<'_>) {
        let (rank, w) = (out.dims().len(), &conv.weights);
        let (out_h, out_w) = (out.dim(rank - 3), out.dim(rank - 2));
        let [h, width, c] = x.dims()[x.dims().len() - 3..] else { panic!("conv2d: {x:?}") };
        let fits = |to: usize, from: usize| (to - 1) * conv.stride + conv.kernel <= from + 2 * conv.pad;
        assert!(
            w.k == conv.kernel * conv.kernel * c && out.cols() == w.n && fits(out_h, h) && fits(out_w, width),
            "conv2d: {out:?} from {x:?}"
        );
        assert!(out.rows() / (out_h * out_w) == x.rows() / (h * width), "conv2d: {out:?} from {x:?}");
        assert!(epilogue.rotation.is_none(), "conv2d: a rotation");
        self.count_operands(&[out, x]);
        let addend = match epilogue.addend {
            Addend::None => Some(View::NONE),
            Addend::Tensor(t) => Some(View::of(t)),
            Addend::Upsampled(_) => None,
        };
        if let Some(addend) = addend
            && w.n <= 16
            && w.n * w.k <= FEW_WEIGHTS
        {
            self.count(|counters| counters.matmul_flops += (2 * out.rows() * w.n * w.k) as u64);
            let args = ConvArgs {
                out: View::of(out),
                x: View::of(x),
                weights: View::at(w.w.addr(), w.row, w.dtype),
                addend,
                bias: w.bias.as_ref().map_or(0, |b| b.addr()),
                h: h as i32,
                w: width as i32,
                c: c as i32,
                out_h: out_h as i32,
                out_w: out_w as i32,
                n: w.n as i32,
                kernel: conv.kernel as i32,
                stride: conv.stride as i32,
                pad: conv.pad as i32,
                activation: activation_code(epilogue.activation),
            };
            let (kernel, wide) = if w.n <= 4 { (Kernel::conv_few_4, 4) } else { (Kernel::conv_few_16, 16) };
            let grid = [blocks(out_h * out_w, 256), out.rows() / (out_h * out_w), 1];
            return self.launch(kernel, grid, w.k * wide * 4, &args);
        }
        assert!(x.stride() == c, "conv2d: {x:?} has gaps between pixels");
        let (rows, stride) = (out.rows(), padded(w.k, w.dtype));
        let Some(addr) = self.workspace(rows * stride * w.dtype.bytes()) else { return };
        let args = PatchesArgs {
            out: View::at(addr, stride, w.dtype),
            x: View::of(x),
            rows: rows as i32,
            h: h as i32,
            w: width as i32,
            c: c as i32,
            out_h: out_h as i32,
            out_w: out_w as i32,
            kernel: conv.kernel as i32,
            stride: conv.stride as i32,
            pad: conv.pad as i32,
            padded: stride as i32,
        };
        self.launch(Kernel::prepare_patches, [blocks(rows * stride.div_ceil(8), 256), 1, 1], 0, &args);
        self.product(
            View::of(out),
            rows,
            Prepared { addr, stride, group: stride, add: View::NONE },
            w,
            epilogue,
            out_w,
        );
    }
}

impl<D: Device> Cuda<D> {
    pub(crate) fn pack(&self, data: &LinearData<'_>) -> Result<Weights<D::Memory>> {
        let LinearData { groups, n, k, dtype, few_rows, .. } = *data;
        let row = padded(k, dtype);
        let too_many = Error::OutOfMemory { what: "weights", bytes: usize::MAX };
        let bytes = groups.checked_mul(n).and_then(|x| x.checked_mul(row * dtype.bytes())).ok_or(too_many)?;
        let memory = self.alloc(bytes, "weights")?;
        if !data.w.is_empty() {
            let mut packed = try_with_capacity(bytes, "weights")?;
            for values in data.w.chunks(k) {
                narrow(&mut packed, values, dtype);
                packed.resize(packed.len() + (row - k) * dtype.bytes(), 0);
            }
            // SAFETY: the slice is the whole memory.
            let all = unsafe { Tensor::new(memory.addr(), dtype, &[groups * n, row]) };
            self.upload(all, &packed);
        }
        let vector = |dtype: DType| -> Result<D::Memory> {
            let mut bytes = Vec::new();
            narrow(&mut bytes, data.b, dtype);
            let b = self.alloc(bytes.len(), "weights")?;
            // SAFETY: the slice is the whole memory.
            self.upload(unsafe { Tensor::new(b.addr(), dtype, &[data.b.len()]) }, &bytes);
            Ok(b)
        };
        let bias = (!data.b.is_empty()).then(|| vector(DType::F32)).transpose()?;
        let narrow_bias = (!data.b.is_empty() && dtype != DType::F32).then(|| vector(dtype)).transpose()?;
        let few_rows = few_rows && dtype == DType::F32 && k.is_multiple_of(4);
        Ok(Weights { w: memory, bias, narrow_bias, groups, n, k, row, dtype, few_rows })
    }

    /// `out` (m, groups * n) = epilogue(a W^T + b).
    pub(crate) fn product(
        &self,
        out: View,
        m: usize,
        a: Prepared,
        w: &Weights<D::Memory>,
        e: Epilogue<'_>,
        out_w: usize,
    ) {
        self.count(|c| c.matmul_flops += (2 * m * w.n * w.k * w.groups) as u64);
        if let Some(gemm) = self.as_gemm(out, m, a, w, e)
            && self.gemm(&gemm)
        {
            return;
        }
        let (addend, addend_kind) = match e.addend {
            Addend::None => (View::NONE, 0),
            Addend::Tensor(t) => (View::of(t), 1),
            Addend::Upsampled(t) => (View::of(t), 2),
        };
        let args = LinearArgs {
            a: a.addr,
            w: w.w.addr(),
            bias: w.bias.as_ref().map_or(0, |b| b.addr()),
            out,
            addend,
            m: m as i32,
            n: w.n as i32,
            k: w.k as i32,
            lda: a.stride as i32,
            ldw: w.row as i32,
            a_group: a.group as i32,
            activation: activation_code(e.activation),
            addend_kind,
            out_w: out_w as i32,
            pad: 0,
            x: View::at(a.addr, a.stride, w.dtype),
            y: a.add,
            rotation: e.rotation.map_or(0, |r| plain(r.table, DType::F32)),
            lens: e.rotation.and_then(|r| r.lens).map_or(0, |lens| plain(lens, DType::I32)),
            rotated: e.rotation.map_or(0, |r| r.columns as i32),
            rotation_rows: e.rotation.map_or(1, |r| r.table.rows() as i32),
            rotation_columns: e.rotation.map_or(1, |r| r.table.cols() as i32),
            groups: w.groups as i32,
        };
        if let Some(Rotation { table, columns, .. }) = e.rotation {
            let d = table.cols();
            let fits = w.groups == 1 && columns <= w.n && columns.is_multiple_of(d) && d.is_multiple_of(2);
            assert!(fits && table.is_contiguous(), "linear: {columns} of {} columns rotated by {table:?}", w.n);
            assert!(addend_kind == 0, "linear: a rotation and an addend");
        }
        if w.few_rows {
            // Only this kernel adds `a.add`. It takes no addend of half the size and no rotation.
            let possible = addend_kind != 2 && e.rotation.is_none();
            assert!(possible, "linear: an upsampled addend to few rows, or a rotation of them");
            // The kernel counts elements in 32 bits.
            assert!(m * a.stride.max(a.add.stride as usize) < 1 << 31, "linear: {m} rows are not few");
            let grid = if w.k <= FEW_COLUMNS {
                [(w.groups * w.n).div_ceil(128), m.div_ceil(8), 1]
            } else {
                [w.n.div_ceil(16), m.div_ceil(16), w.groups]
            };
            return self.launch(Kernel::linear_few_rows_f32, grid, 0, &args);
        }
        // Small tiles where large tiles would leave much of a GPU idle. Both give the same bits.
        let large = m.div_ceil(128) * w.n.div_ceil(64) * w.groups >= 256;
        let (kernel, rows) = match (w.dtype, large) {
            (DType::Bf16, true) => (Kernel::linear_bf16, 128),
            (DType::Bf16, false) => (Kernel::linear_small_bf16, 64),
            (DType::F16, true) => (Kernel::linear_f16, 128),
            (DType::F16, false) => (Kernel::linear_small_f16, 64),
            _ => (Kernel::linear_f32, 64),
        };
        // Four or three stages of both operands. The tile of sums uses the same memory afterwards.
        let stages = if w.dtype == DType::F32 { 4 * (rows + 64) * 80 } else { 3 * (rows + 64) * 128 };
        let shared = stages.max(rows * (64 + 8) * 4);
        self.launch(kernel, [m.div_ceil(rows), w.n.div_ceil(64), w.groups], shared, &args);
    }

    /// The product in the form of the device's library, which adds only to the contents of the output. Its GELU is the
    /// approximation by tanh. The error of that is an eighth of the rounding error of a result near 1 in bf16, but
    /// several times that in f16. The choice depends on the weights and not on the rows. Otherwise the result of a
    /// prompt would depend on the number of prompts in its batch.
    fn as_gemm(&self, out: View, m: usize, a: Prepared, w: &Weights<D::Memory>, e: Epilogue<'_>) -> Option<Gemm> {
        let out_dtype = if out.dtype == code(w.dtype) { w.dtype } else { DType::F32 };
        let add = match e.addend {
            Addend::None => false,
            Addend::Tensor(t) => {
                let x = View::of(t);
                if (x.addr, x.stride, x.dtype) != (out.addr, out.stride, out.dtype) {
                    return None;
                }
                true
            }
            Addend::Upsampled(_) => return None,
        };
        let activation = match e.activation {
            Activation::None => LibraryActivation::None,
            Activation::Relu if !add => LibraryActivation::Relu,
            Activation::Gelu if !add && w.dtype == DType::Bf16 && out_dtype == DType::Bf16 => {
                LibraryActivation::TanhGelu
            }
            _ => return None,
        };
        let aligned = out.addr.is_multiple_of(16) && (out.stride as usize * out_dtype.bytes()).is_multiple_of(16);
        let bias = if out_dtype == w.dtype && w.dtype != DType::F32 { &w.narrow_bias } else { &w.bias };
        let known = out.dtype == code(out_dtype) && e.rotation.is_none();
        (known && aligned && w.groups == 1 && !w.few_rows && w.n * w.k >= LIBRARY_WEIGHTS).then(|| Gemm {
            a: a.addr,
            w: w.w.addr(),
            bias: bias.as_ref().map_or(0, |b| b.addr()),
            out: out.addr,
            m,
            n: w.n,
            k: w.k,
            lda: a.stride,
            ldw: w.row,
            ldo: out.stride as usize,
            dtype: w.dtype,
            out_dtype,
            activation,
            add,
        })
    }

    /// Brings an operand (rows, groups * k) into the form that products take.
    fn prepare(&self, x: Input<'_>, w: &Weights<D::Memory>) -> Option<Prepared> {
        let (rows, size) = (x.x.rows(), w.dtype.bytes());
        let aligned = |n: usize| (n * size).is_multiple_of(16);
        if let Prologue::None = x.prologue
            && x.x.dtype() == w.dtype
            && x.x.addr().is_multiple_of(16)
            && (aligned(x.x.stride()) || rows == 1)
            && (w.groups == 1 || aligned(w.k))
        {
            return Some(Prepared { addr: x.x.addr(), stride: x.x.stride(), group: w.k, add: View::NONE });
        }
        let plain =
            |t: Tensor<'_>| t.dtype() == DType::F32 && t.addr().is_multiple_of(16) && t.stride().is_multiple_of(4);
        if let Prologue::Add(y) = x.prologue
            && w.few_rows
            && plain(x.x)
            && plain(y)
        {
            return Some(Prepared { addr: x.x.addr(), stride: x.x.stride(), group: w.k, add: View::of(y) });
        }
        let group = padded(w.k, w.dtype);
        let stride = w.groups * group;
        let normed = match x.prologue {
            Prologue::Norm(norm) => {
                let from = (x.x.addr(), x.x.stride(), rows);
                Some(NormedRows { from, gamma: norm.gamma.addr(), columns: w.k, dtype: w.dtype, addr: 0 })
            }
            _ => None,
        };
        if let (true, Some(kept), Some(wanted)) = (x.again, self.normed.get(), normed)
            && kept == (NormedRows { addr: kept.addr, ..wanted })
        {
            return Some(Prepared { addr: kept.addr, stride, group, add: View::NONE });
        }
        let addr = self.workspace(rows * stride * size)?;
        let out = View::at(addr, stride, w.dtype);
        match x.prologue {
            Prologue::Norm(norm) => {
                assert!(w.groups == 1, "linear: a norm of grouped columns");
                self.norm(out, x.x, norm, Activation::None, group);
            }
            Prologue::None | Prologue::Add(_) => {
                let y = if let Prologue::Add(y) = x.prologue { View::of(y) } else { View::NONE };
                let args = RowsArgs {
                    out,
                    x: View::of(x.x),
                    y,
                    rows: rows as i32,
                    groups: w.groups as i32,
                    k: w.k as i32,
                    padded: group as i32,
                };
                self.launch(Kernel::prepare_rows, [blocks(rows * stride / 4, 256), 1, 1], 0, &args);
            }
        }
        self.normed.set(normed.map(|normed| NormedRows { addr, ..normed }));
        Some(Prepared { addr, stride, group, add: View::NONE })
    }
}

pub(crate) fn activation_code(activation: Activation) -> i32 {
    match activation {
        Activation::None => 0,
        Activation::Relu => 1,
        Activation::Gelu => 2,
        Activation::Sigmoid => 3,
    }
}

const _: () = assert!(size_of::<View>() == 16);

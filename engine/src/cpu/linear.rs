//! Matrix products of activations and weights. The weights are packed once at load.
//!
//! A task copies a block of rows to scratch memory (normalised, summed or gathered), and multiplies the rows with every
//! panel of weights. Sums run over the whole of `k` in registers and in order. So a value depends only on its own row
//! and column, and not on threads, blocks, or other rows of the batch.

use super::device::Cpu;
use super::floats::{Floats, Read, Write, copy};
use super::math;
use super::memory::HostMemory;
use super::norm::{NormPtr, normalise};
use super::pool::Pool;
use super::ptr::{F32, Ptr};
use super::simd::{Float, Isa, Kernel, Pair, Simd, Single, Word};
use crate::backend::LinearOps;
use crate::backend::tensor::{DType, Tensor, bf16};
use crate::backend::{Activation, Addend, Conv, Epilogue, Input, LinearData, Prologue};
use crate::error::Result;

/// Weights as panels of words: (groups, n / panel, words of k, panel), with zeros past n and k. The bias in f32,
/// (groups, n), follows.
#[derive(Debug)]
pub struct Packed {
    memory: HostMemory,
    pub groups: usize,
    pub n: usize,
    pub k: usize,
    /// The number of words of `k` values, which is the depth of a panel.
    pub words: usize,
    panels: usize,
    panel: usize,
    /// The type of the values in words.
    pub dtype: DType,
}

impl Packed {
    /// Packs the weights for the tiles of `isa`.
    pub(super) fn new(pool: &Pool, isa: Isa, data: &LinearData<'_>) -> Result<Self> {
        match data.dtype {
            DType::F32 => Packed::of::<Single>(pool, isa, data, |v| v),
            DType::Bf16 => Packed::of::<Pair>(pool, isa, data, bf16::from_f32),
            other => panic!("the CPU multiplies in f32 and bf16, not {other:?}"),
        }
    }

    fn of<W: Word>(pool: &Pool, isa: Isa, data: &LinearData<'_>, round: fn(f32) -> W::Value) -> Result<Self> {
        let LinearData { w, b, groups, n, k, dtype, .. } = *data;
        assert!(w.len() == groups * n * k, "linear: {} weights for {groups}x{n}x{k}", w.len());
        assert!(b.is_empty() || b.len() == groups * n, "linear: {} biases for {groups}x{n}", b.len());
        let (panel, words) = (isa.panel(), k.div_ceil(W::DEPTH));
        let panels = n.div_ceil(panel);
        let memory = HostMemory::new(groups * panels * panel * (words + 1) * 4, "weights")?;
        let (out, bias) = (F32::new(memory.ptr()), F32::new(memory.ptr()).add(groups * panels * panel * words));
        pool.run(groups * panels, &|task, _| {
            let (group, first) = (task / panels, task % panels * panel);
            let width = (n - first).min(panel);
            let rows = &w[(group * n + first) * k..][..width * k];
            // SAFETY: each task fills a panel of its own and the bias under it; zeros are zeros of every type.
            let (block, bias) = unsafe {
                let (block, bias) = (out.at_mut(task * panel * words), bias.at_mut(task * panel));
                std::ptr::write_bytes(bias, 0, panel);
                std::ptr::write_bytes(block, 0, panel * words);
                let values = std::slice::from_raw_parts_mut(block.cast::<W::Value>(), panel * words * W::DEPTH);
                (values, std::slice::from_raw_parts_mut(bias, width))
            };
            for (kk, column) in block.chunks_exact_mut(panel * W::DEPTH).enumerate() {
                for (j, word) in column.chunks_exact_mut(W::DEPTH).take(width).enumerate() {
                    for (v, &w) in word.iter_mut().zip(&rows[j * k + kk * W::DEPTH..(j + 1) * k]) {
                        *v = round(w);
                    }
                }
            }
            if !b.is_empty() {
                bias.copy_from_slice(&b[group * n + first..][..width]);
            }
        });
        Ok(Packed { memory, groups, n, k, words, panels, panel, dtype })
    }

    /// Returns the number of panels of a group.
    pub(super) fn panels(&self) -> usize {
        self.panels
    }

    /// Returns panel `p` of group `g` as words (words of k, panel).
    pub(super) fn panel(&self, g: usize, p: usize) -> F32 {
        F32::new(self.memory.ptr()).add((g * self.panels + p) * self.panel * self.words)
    }

    /// Returns the bias of this panel.
    pub(super) fn bias(&self, g: usize, p: usize) -> F32 {
        F32::new(self.memory.ptr()).add((self.groups * self.words * self.panels + g * self.panels + p) * self.panel)
    }
}

/// The source of the rows of the left operand.
#[derive(Clone, Copy)]
enum Rows {
    /// Rows that start `stride` apart.
    Plain { x: Floats, stride: usize },
    /// The sum of two rows.
    Sum { x: Floats, stride: usize, y: Floats, y_stride: usize },
    /// Normalised rows.
    Norm { x: Floats, stride: usize, norm: NormPtr },
    /// Patches: row i is the patch of output pixel i of (images, h, w, c).
    Patches {
        x: Floats,
        h: usize,
        w: usize,
        c: usize,
        out_h: usize,
        out_w: usize,
        kernel: usize,
        step: usize,
        pad: usize,
    },
}

impl Rows {
    /// Writes columns `col..col + k` of row `i` to `out`.
    #[inline(always)]
    unsafe fn write<S: Simd, T: Float>(&self, s: S, i: usize, col: usize, k: usize, out: Ptr<T>) {
        match *self {
            Rows::Plain { x, stride } => copy(s, out, x.add(i * stride + col), k),
            Rows::Sum { x, stride, y, y_stride } => {
                zip_rows!(s, out, x.add(i * stride + col), y.add(i * y_stride + col), k, |a, b| s.add(a, b))
            }
            Rows::Norm { x, stride, norm } => normalise(s, out, x.add(i * stride), k, norm, Activation::None),
            Rows::Patches { x, h, w, c, out_h, out_w, kernel, step, pad } => {
                let (image, at) = (i / (out_h * out_w), i % (out_h * out_w));
                let x = x.add(image * h * w * c);
                let (y0, x0) =
                    ((at / out_w * step) as isize - pad as isize, (at % out_w * step) as isize - pad as isize);
                // Of each row of the patch, the pixels within the map are contiguous.
                let (from, to) =
                    ((-x0).clamp(0, kernel as isize) as usize, (w as isize - x0).clamp(0, kernel as isize) as usize);
                for ky in 0..kernel {
                    let (out, y) = (out.add(ky * kernel * c), y0 + ky as isize);
                    if from >= to || !(0..h as isize).contains(&y) {
                        std::ptr::write_bytes(out.ptr(), 0, kernel * c);
                        continue;
                    }
                    let src = x.add((y as usize * w + (x0 + from as isize) as usize) * c);
                    copy(s, out.add(from * c), src, (to - from) * c);
                    // Calls that most rows need not make.
                    if from > 0 {
                        std::ptr::write_bytes(out.ptr(), 0, from * c);
                    }
                    if to < kernel {
                        std::ptr::write_bytes(out.at_mut(to * c), 0, (kernel - to) * c);
                    }
                }
            }
        }
    }
}

/// An addend of the epilogue.
#[derive(Clone, Copy)]
enum Extra {
    None,
    Rows {
        x: Floats,
        stride: usize,
    },
    /// (h/2, w/2, n), for an output (h, w, n).
    Upsampled {
        x: Floats,
        w: usize,
        n: usize,
    },
}

/// The product of rows `rows.0..rows.1` and panels `cols.0..cols.1`, counted through all groups.
struct Product<'a> {
    rows: (usize, usize),
    cols: (usize, usize),
    x: Rows,
    w: &'a Packed,
    out: Floats,
    stride: usize,
    activation: Activation,
    extra: Extra,
    scratch: F32,
}

/// Returns the number of words of a row of scratch memory. It has additional words, so that rows do not use the same
/// sets of the cache.
fn padded(words: usize) -> usize {
    words.next_multiple_of(16) + 16
}

/// Returns the largest number of rows of a block. A block fits half of a usual second-level cache, and has whole tiles.
fn block_rows(words: usize) -> usize {
    const WORDS: usize = 96 * 1024;
    (WORDS / padded(words)).clamp(12, 240) / 12 * 12
}

impl Kernel for Product<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        match self.w.dtype {
            DType::Bf16 => self.run_in::<S, Pair>(s),
            _ => self.run_in::<S, Single>(s),
        }
    }
}

impl Product<'_> {
    #[inline(always)]
    unsafe fn run_in<S: Simd, W: Word>(self, s: S) {
        let (w, n, k, words) = (self.w, self.w.n, self.w.k, self.w.words);
        let (count, ld) = (self.rows.1 - self.rows.0, padded(words));
        let block = self.scratch;
        let mut tile = [0f32; 16 * 64];
        let tile = F32::new(tile.as_mut_ptr());
        let mut filled = usize::MAX;
        for col in self.cols.0..self.cols.1 {
            let (g, p) = (col / w.panels, col % w.panels);
            if filled != g {
                for i in 0..count {
                    let row = Ptr::<W::Value>::new(block.at_mut(i * ld).cast());
                    if !k.is_multiple_of(W::DEPTH) {
                        std::ptr::write_bytes(row.at_mut(k), 0, 1);
                    }
                    self.x.write(s, self.rows.0 + i, g * k, k, row);
                }
                filled = g;
            }
            let (first, width) = (p * S::PANEL, (n - p * S::PANEL).min(S::PANEL));
            let mut i = 0;
            while i < count {
                let m = if count - i >= S::TILE_ROWS { S::TILE_ROWS } else { S::SMALL_ROWS };
                s.tile::<W>(
                    (m, width),
                    words,
                    block.at(i * ld),
                    ld,
                    1,
                    w.panel(g, p).ptr(),
                    S::PANEL,
                    tile.ptr(),
                    S::PANEL,
                );
                for r in 0..m.min(count - i) {
                    let row = self.rows.0 + i + r;
                    let at = g * n + first;
                    self.finish::<S, W>(s, tile.add(r * S::PANEL), row, at, width, w.bias(g, p));
                }
                i += m;
            }
        }
    }

    /// Stores `width` sums of a row from column `at`.
    #[inline(always)]
    unsafe fn finish<S: Simd, W: Word>(&self, s: S, sums: F32, row: usize, at: usize, width: usize, bias: F32) {
        let out = self.out.add(row * self.stride + at);
        let extra = match self.extra {
            Extra::None => None,
            Extra::Rows { x, stride } => Some(x.add(row * stride + at)),
            Extra::Upsampled { x, w, n } => Some(x.add(((row / w / 2) * (w / 2) + row % w / 2) * n + at)),
        };
        for j in (0..width).step_by(S::LANES) {
            let v = s.add(sums.load(s, j), bias.load(s, j));
            let v = math::activate::<S, W>(s, self.activation, v);
            let rest = width - j;
            if rest >= S::LANES {
                let v = if let Some(x) = extra { s.add(v, x.load(s, j)) } else { v };
                out.store(s, j, v);
            } else {
                let v = if let Some(x) = extra { s.add(v, x.load_part(s, j, rest)) } else { v };
                out.store_part(s, j, rest, v);
            }
        }
    }
}

impl LinearOps for Cpu {
    type Linear = Packed;

    fn linear_weights(&self, data: LinearData<'_>) -> Result<Packed> {
        Packed::new(&self.pool, self.isa, &data)
    }

    fn linear(&self, out: Tensor<'_>, x: Input<'_>, w: &Packed, epilogue: Epilogue<'_>) {
        let k = w.groups * w.k;
        assert!(x.x.cols() == k && x.x.rows() == out.rows(), "linear: {out:?} from {:?} by {}x{}", x.x, w.n, w.k);
        let (ptr, stride) = (Floats::of(x.x), x.x.stride());
        let rows = match x.prologue {
            Prologue::None => Rows::Plain { x: ptr, stride },
            Prologue::Add(y) => {
                assert!(y.cols() == k && y.rows() == x.x.rows(), "linear: {:?} + {y:?}", x.x);
                Rows::Sum { x: ptr, stride, y: Floats::of(y), y_stride: y.stride() }
            }
            Prologue::Norm(norm) => {
                assert!(w.groups == 1 && norm.gamma.len() == k, "linear: norm {:?} of {:?}", norm.gamma, x.x);
                Rows::Norm { x: ptr, stride, norm: NormPtr::of(norm) }
            }
        };
        self.count_operand(x.x);
        self.product(out, rows, w, epilogue);
        if let Some(rotation) = epilogue.rotation {
            assert!(matches!(epilogue.addend, Addend::None), "linear: a rotation and an addend");
            self.rotate(out, rotation);
        }
    }

    fn conv2d(&self, out: Tensor<'_>, x: Tensor<'_>, conv: &Conv<Packed>, epilogue: Epilogue<'_>) {
        assert!(epilogue.rotation.is_none(), "conv2d: a rotation");
        let dims = |t: Tensor<'_>| {
            let d = t.dims();
            assert!(d.len() >= 3 && t.is_contiguous(), "conv2d: a map has 3 or 4 dimensions, got {t:?}");
            (d[..d.len() - 3].iter().product::<usize>(), d[d.len() - 3], d[d.len() - 2], d[d.len() - 1])
        };
        let ((images, h, w, c), (out_images, out_h, out_w, _)) = (dims(x), dims(out));
        let fits = |n: usize, m: usize| (n + 2 * conv.pad - conv.kernel) / conv.stride + 1 == m;
        assert!(
            images == out_images && fits(h, out_h) && fits(w, out_w) && conv.weights.k == conv.kernel * conv.kernel * c,
            "conv2d: {out:?} from {x:?}, kernel {} stride {} pad {}",
            conv.kernel,
            conv.stride,
            conv.pad
        );
        let (kernel, step, pad) = (conv.kernel, conv.stride, conv.pad);
        self.count_operand(x);
        let x = Floats::of(x);
        self.product(out, Rows::Patches { x, h, w, c, out_h, out_w, kernel, step, pad }, &conv.weights, epilogue);
    }
}

impl Cpu {
    fn product(&self, out: Tensor<'_>, x: Rows, w: &Packed, epilogue: Epilogue<'_>) {
        let m = out.rows();
        assert!(out.cols() == w.groups * w.n, "linear: {out:?} from {} groups of {}", w.groups, w.n);
        let extra = match epilogue.addend {
            Addend::None => Extra::None,
            Addend::Tensor(t) => {
                assert!(t.rows() == m && t.cols() == out.cols(), "linear: {out:?} + {t:?}");
                self.count_operand(t);
                Extra::Rows { x: Floats::of(t), stride: t.stride() }
            }
            Addend::Upsampled(t) => {
                let (o, d) = (out.dims(), t.dims());
                assert!(
                    d.len() == 3 && o == [d[0] * 2, d[1] * 2, d[2]] && t.is_contiguous(),
                    "linear: {out:?} + 2x {t:?}"
                );
                self.count_operand(t);
                Extra::Upsampled { x: Floats::of(t), w: o[1], n: d[2] }
            }
        };
        self.count(&[out]);
        self.count_product(m * w.groups, w.n, w.k);

        // Blocks of equal height; few of them are divided by columns too, so that every thread has work.
        let block = m.div_ceil(m.div_ceil(block_rows(w.words))).next_multiple_of(4);
        let blocks = m.div_ceil(block);
        let panels = w.groups * w.panels;
        let work = block * w.k * w.panel;
        let split = if blocks >= 16 { 1 } else { (16 / blocks).min(panels).min((panels * work / 65_536).max(1)) };
        let each = panels.div_ceil(split);
        let (dest, stride, activation) = (Floats::of(out), out.stride(), epilogue.activation);
        self.parallel(blocks * split, |task, scratch| {
            let (r, c) = (task / split * block, task % split * each);
            Product {
                rows: (r, (r + block).min(m)),
                cols: (c.min(panels), (c + each).min(panels)),
                x,
                w,
                out: dest,
                stride,
                activation,
                extra,
                scratch,
            }
        });
    }
}

//! The output of masks: enlarges masks to the caller's size, row by row, and writes, labels or measures the rows.

use super::device::{Cpu, SCRATCH};
use super::ptr::{F32, I32, Ptr};
use super::simd::{Kernel, Simd};
use crate::backend::MaskOutOps;
use crate::backend::Measure;
use crate::backend::tensor::Tensor;
use crate::masks::buffer::{MaskFormat, MaskMemory, MaskOut, MaskTarget};
use crate::media::frame::MAX_SIDE;
use crate::media::resample::bilinear;

/// The largest number of rows of a task.
const ROWS: usize = 64;

// Four lines of any picture and what labels need, a line for each row of a task.
const _: () = assert!(5 * MAX_SIDE <= SCRATCH);

/// The masks of an operation, in order.
#[derive(Clone, Copy)]
struct Planes {
    /// (p, n, h, w)
    masks: F32,
    n: usize,
    h: usize,
    w: usize,
    /// (p, per): the selected masks. Each is below n.
    selected: Option<(I32, usize)>,
    count: usize,
}

impl Planes {
    fn of(masks: Tensor<'_>, selected: Option<Tensor<'_>>) -> Planes {
        let [p, n, h, w] = *masks.dims() else { panic!("masks out: {masks:?}") };
        let count = selected.map_or(p * n, |s| s.len());
        assert!(masks.is_contiguous() && count.is_multiple_of(p.max(1)), "masks out: {masks:?}, {selected:?}");
        let selected = selected.map(|s| (I32::of(s), count / p.max(1)));
        Planes { masks: F32::of(masks), n, h, w, selected, count }
    }

    /// # Safety
    /// `i` is below the count.
    #[inline(always)]
    unsafe fn at(&self, i: usize) -> F32 {
        let plane = match self.selected {
            Some((selected, per)) => i / per * self.n + *selected.at(i) as usize,
            None => i,
        };
        self.masks.add(plane * self.h * self.w)
    }
}

/// Computes the rows of a mask at another size. A source row is widened once, and then mixed for all output rows that
/// need it.
struct Enlarge<'a> {
    mask: F32,
    h: usize,
    w: usize,
    out_h: usize,
    top: &'a mut [f32],
    bottom: &'a mut [f32],
    /// The indices of the source rows `top` and `bottom`.
    rows: [usize; 2],
    /// The first source column of each column. `weights` has the weight of the second source column.
    columns: &'a mut [u32],
    weights: &'a mut [f32],
}

impl<'a> Enlarge<'a> {
    /// # Safety
    /// `scratch` has room for four rows of the new width.
    #[inline(always)]
    unsafe fn new(planes: &Planes, (out_h, out_w): (usize, usize), scratch: F32) -> Self {
        let line = |i: usize| std::slice::from_raw_parts_mut(scratch.at_mut(i * out_w), out_w);
        let columns = std::slice::from_raw_parts_mut(scratch.at_mut(3 * out_w).cast::<u32>(), out_w);
        let (top, bottom, weights) = (line(0), line(1), line(2));
        for x in 0..out_w {
            let (first, _, weight) = bilinear(x, planes.w, out_w);
            (columns[x], weights[x]) = (first as u32, weight);
        }
        let (mask, h, w) = (planes.masks, planes.h, planes.w);
        Enlarge { mask, h, w, out_h, top, bottom, rows: [usize::MAX; 2], columns, weights }
    }

    /// Continues with the rows of `mask`.
    #[inline(always)]
    fn take(&mut self, mask: F32) {
        (self.mask, self.rows) = (mask, [usize::MAX; 2]);
    }

    #[inline(always)]
    unsafe fn widen(line: &mut [f32], columns: &[u32], weights: &[f32], row: F32, w: usize) {
        let row = std::slice::from_raw_parts(row.ptr(), w);
        for x in 0..line.len() {
            let first = columns[x] as usize;
            let (a, b) = (row[first], row[(first + 1).min(w - 1)]);
            line[x] = mix(a, b, weights[x]);
        }
    }

    /// Returns the two widened rows around row `y`, and the weight of the second one.
    ///
    /// # Safety
    /// The mask has its size.
    #[inline(always)]
    unsafe fn row(&mut self, y: usize) -> (&[f32], &[f32], f32) {
        let (y0, y1, t) = bilinear(y, self.h, self.out_h);
        if y0 == self.rows[1] {
            std::mem::swap(&mut self.top, &mut self.bottom);
            self.rows.swap(0, 1);
        }
        if self.rows[0] != y0 {
            Self::widen(self.top, self.columns, self.weights, self.mask.add(y0 * self.w), self.w);
        }
        if self.rows[1] != y1 {
            Self::widen(self.bottom, self.columns, self.weights, self.mask.add(y1 * self.w), self.w);
        }
        self.rows = [y0, y1];
        (self.top, self.bottom, t)
    }
}

/// Interpolates from `a` to `b` with weight `t` of `b`.
#[inline(always)]
fn mix(a: f32, b: f32, t: f32) -> f32 {
    a * (1.0 - t) + b * t
}

/// Writes rows of one mask.
struct WriteRows {
    planes: Planes,
    mask: usize,
    rows: (usize, usize),
    size: (usize, usize),
    format: MaskFormat,
    limit: f32,
    flipped: bool,
    /// The part of the buffer for this mask.
    out: Ptr<u8>,
    /// Bytes from a row of `out` to the next.
    stride: usize,
    scratch: F32,
}

impl Kernel for WriteRows {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, _: S) {
        let ((h, w), limit, bytes) = (self.size, self.limit, self.format.row_bytes(self.size.1));
        let mut rows = Enlarge::new(&self.planes, self.size, self.scratch);
        rows.take(self.planes.at(self.mask));
        for y in self.rows.0..self.rows.1 {
            let (top, bottom, t) = rows.row(y);
            let out = self.out.at_mut((if self.flipped { h - 1 - y } else { y }) * self.stride);
            if self.format == MaskFormat::Logits {
                let out = std::slice::from_raw_parts_mut(out.cast::<f32>(), w);
                for x in 0..w {
                    out[x] = mix(top[x], bottom[x], t).clamp(-limit, limit);
                }
                continue;
            }
            let out = std::slice::from_raw_parts_mut(out, bytes);
            if self.format == MaskFormat::Binary {
                for x in 0..w {
                    out[x] = (mix(top[x], bottom[x], t) > limit) as u8;
                }
            } else {
                for ((out, top), bottom) in out.iter_mut().zip(top.chunks(8)).zip(bottom.chunks(8)) {
                    *out = 0;
                    for i in 0..top.len() {
                        *out |= ((mix(top[i], bottom[i], t) > limit) as u8) << (7 - i);
                    }
                }
            }
        }
    }
}

/// Writes rows of a label map.
struct LabelRows {
    planes: Planes,
    rows: (usize, usize),
    size: (usize, usize),
    threshold: f32,
    flipped: bool,
    /// The value of each mask, or 1 + the index of the mask.
    values: Option<I32>,
    /// Whether values have 16 bits instead of 8.
    wide: bool,
    out: Ptr<u8>,
    /// Bytes from a row of `out` to the next.
    stride: usize,
    scratch: F32,
}

impl LabelRows {
    /// Writes values, which `cast` makes of integers.
    #[inline(always)]
    unsafe fn write<T: Copy>(&self, cast: impl Fn(i32) -> T) {
        let ((h, w), (first, last)) = (self.size, self.rows);
        let mut rows = Enlarge::new(&self.planes, self.size, self.scratch);
        let highest = std::slice::from_raw_parts_mut(self.scratch.at_mut(4 * w), (last - first) * w);
        highest.fill(self.threshold);
        let row = |y: usize| self.out.at_mut((if self.flipped { h - 1 - y } else { y }) * self.stride).cast::<T>();
        (first..last).for_each(|y| row(y).write_bytes(0, w));
        for i in 0..self.planes.count {
            rows.take(self.planes.at(i));
            let value = cast(self.values.map_or(i as i32 + 1, |values| *values.at(i)));
            for y in first..last {
                let (top, bottom, t) = rows.row(y);
                let out = std::slice::from_raw_parts_mut(row(y), w);
                let highest = &mut highest[(y - first) * w..][..w];
                for x in 0..w {
                    let v = mix(top[x], bottom[x], t);
                    let above = v > highest[x];
                    highest[x] = if above { v } else { highest[x] };
                    out[x] = if above { value } else { out[x] };
                }
            }
        }
    }
}

impl Kernel for LabelRows {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, _: S) {
        if self.wide { self.write(|value| value as u16) } else { self.write(|value| value as u8) }
    }
}

/// Measures some rows of one mask: the counts of pixels, and the bounds.
struct MeasureRows {
    planes: Planes,
    mask: usize,
    rows: (usize, usize),
    size: (usize, usize),
    thresholds: [f32; 3],
    /// (7)
    out: I32,
    scratch: F32,
}

impl Kernel for MeasureRows {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, _: S) {
        let [t0, t1, t2] = self.thresholds;
        let mut rows = Enlarge::new(&self.planes, self.size, self.scratch);
        rows.take(self.planes.at(self.mask));
        let (mut counts, mut bounds) = ([0; 3], NOWHERE);
        for y in self.rows.0..self.rows.1 {
            let (top, bottom, t) = rows.row(y);
            let (mut row, mut left, mut right) = ([0; 3], NOWHERE[0], NOWHERE[2]);
            for x in 0..top.len() {
                let v = mix(top[x], bottom[x], t);
                row[0] += (v > t0) as i32;
                row[1] += (v > t1) as i32;
                row[2] += (v > t2) as i32;
                left = left.min(if v > t0 { x as i32 } else { NOWHERE[0] });
                right = right.max(if v > t0 { x as i32 } else { NOWHERE[2] });
            }
            (0..3).for_each(|i| counts[i] += row[i]);
            if row[0] > 0 {
                bounds = around(bounds, [left, y as i32, right, y as i32]);
            }
        }
        std::slice::from_raw_parts_mut(self.out.ptr(), 7).copy_from_slice(&measures(counts, bounds));
    }
}

/// The bounds of no pixels.
const NOWHERE: [i32; 4] = [i32::MAX, i32::MAX, -1, -1];

/// Returns the bounds around two bounds.
#[inline(always)]
fn around(a: [i32; 4], b: [i32; 4]) -> [i32; 4] {
    [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]
}

#[inline(always)]
fn measures([a, b, c]: [i32; 3], [left, top, right, bottom]: [i32; 4]) -> [i32; 7] {
    [a, b, c, left, top, right, bottom]
}

fn in_host_memory(memory: MaskMemory<'_>) -> Ptr<u8> {
    match memory {
        MaskMemory::Host(data) => Ptr::new(data.as_mut_ptr()),
        MaskMemory::Device(_) => panic!("masks out: not in the host's memory"),
    }
}

impl MaskOutOps for Cpu {
    fn write_masks(&self, out: MaskOut<'_>, masks: Tensor<'_>, selected: Option<Tensor<'_>>) {
        let planes = Planes::of(masks, selected);
        let (size, limit) = ((out.height, out.width), out.limit);
        let target = out.target("write_masks", planes.count, false);
        self.count_masks(&planes, target.bytes());
        let MaskTarget { format, memory, flipped, row_stride: stride, plane_stride, .. } = target;
        let out = in_host_memory(memory);
        let blocks = size.0.div_ceil(ROWS);
        self.parallel(planes.count * blocks, |task, scratch| {
            let (mask, first) = (task / blocks, task % blocks * ROWS);
            let rows = (first, (first + ROWS).min(size.0));
            let out = out.add(mask * plane_stride);
            WriteRows { planes, mask, rows, size, format, limit, flipped, out, stride, scratch }
        });
    }

    fn write_labels(
        &self,
        out: MaskOut<'_>,
        masks: Tensor<'_>,
        selected: Option<Tensor<'_>>,
        values: Option<Tensor<'_>>,
    ) {
        let planes = Planes::of(masks, selected);
        let (size, threshold) = ((out.height, out.width), out.limit);
        let target = out.target("write_labels", planes.count, true);
        assert!(planes.count <= MaskFormat::MOST_LABELS, "write_labels: {masks:?}");
        assert!(values.is_none_or(|values| values.len() == planes.count), "write_labels: {masks:?}, {values:?}");
        self.count_masks(&planes, target.bytes());
        let MaskTarget { format, memory, flipped, row_stride: stride, .. } = target;
        let (out, values, wide) = (in_host_memory(memory), values.map(I32::of), format != MaskFormat::Ids8);
        let each = (SCRATCH / size.1 - 4).min(ROWS);
        self.parallel(size.0.div_ceil(each), |task, scratch| {
            let rows = (task * each, ((task + 1) * each).min(size.0));
            LabelRows { planes, rows, size, threshold, flipped, values, wide, out, stride, scratch }
        });
    }

    fn measure_masks(&self, out: Tensor<'_>, masks: Tensor<'_>, selected: Option<Tensor<'_>>, measure: Measure) {
        let planes = Planes::of(masks, selected);
        assert!(out.dims() == [planes.count, 7] && out.is_contiguous(), "measure_masks: {out:?} of {masks:?}");
        let Measure { threshold, offset, height, width } = measure;
        self.count_masks(&planes, planes.count * 28);
        let blocks = height.div_ceil(ROWS);
        // Each task's row (7).
        let Some(parts) = self.workspace(planes.count * blocks * 7) else { return };
        let parts = Ptr::new(parts.ptr().cast::<i32>());
        self.parallel(planes.count * blocks, |task, scratch| {
            let (mask, first) = (task / blocks, task % blocks * ROWS);
            let rows = (first, (first + ROWS).min(height));
            let thresholds = [threshold, threshold + offset, threshold - offset];
            MeasureRows { planes, mask, rows, size: (height, width), thresholds, out: parts.add(task * 7), scratch }
        });
        // SAFETY: the rows that were just written.
        let parts = unsafe { std::slice::from_raw_parts(parts.ptr(), planes.count * blocks * 7) };
        for (i, parts) in parts.chunks_exact(blocks * 7).enumerate() {
            let (mut counts, mut bounds) = ([0; 3], NOWHERE);
            for part in parts.chunks_exact(7) {
                (0..3).for_each(|k| counts[k] += part[k]);
                bounds = around(bounds, [part[3], part[4], part[5], part[6]]);
            }
            let bounds = if counts[0] > 0 { bounds } else { [0; 4] };
            // SAFETY: row i of (count, 7).
            unsafe { I32::of(out).at_mut(i * 7).cast::<[i32; 7]>().write_unaligned(measures(counts, bounds)) };
        }
    }
}

impl Cpu {
    fn count_masks(&self, planes: &Planes, bytes: usize) {
        self.count_bytes(planes.count * planes.h * planes.w * 4 + bytes);
        self.count(&[]);
    }
}

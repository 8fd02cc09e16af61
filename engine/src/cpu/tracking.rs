//! Operations for tracking: writing and gathering memories, the mask as input of the memory encoder, and the depthwise
//! convolution of the memory encoder.

use super::device::Cpu;
use super::floats::{Floats, Read, Write};
use super::math;
use super::ptr::{Bf16, F32, I32};
use super::simd::{Kernel, Simd};
use crate::backend::TrackingOps;
use crate::backend::tensor::Tensor;
use crate::backend::{Absent, Bank, BankIndex, BankSizes, NO_OBJ_SCORE};
use crate::media::resample::bilinear;

/// The side of the depthwise convolution.
const SIDE: usize = 7;

/// Gathers the tokens of one memory. A key is the value plus the encodings of space (one per row) and time
/// (the same for all rows).
struct Gather {
    n: usize,
    c: usize,
    keys: Floats,
    values: Floats,
    from: From,
}

/// The source of tokens.
#[derive(Clone, Copy)]
enum From {
    /// The memory of a frame, with the encodings of space and time.
    Map(Bf16, F32, F32),
    /// A pointer, with its temporal encoding.
    Pointer(F32, F32),
    /// Zeros.
    Nothing,
}

impl Kernel for Gather {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        let c = self.c;
        for i in 0..self.n {
            let (key, value) = (self.keys.add(i * c), self.values.add(i * c));
            match self.from {
                From::Map(map, space, time) => {
                    let map = map.add(i * c);
                    map_rows!(s, value, map, c, |v| v);
                    self.place(s, key, Floats::Bf16(map), time, Some(space.add(i * c)));
                }
                From::Pointer(pointer, time) => {
                    let pointer = pointer.add(i * c);
                    map_rows!(s, value, pointer, c, |v| v);
                    self.place(s, key, Floats::F32(pointer), time, None);
                }
                From::Nothing => {
                    map_rows!(s, key, key, c, |_v| s.splat(0.0));
                    map_rows!(s, value, value, c, |_v| s.splat(0.0));
                }
            }
        }
    }
}

impl Gather {
    /// Computes key = x + time + space. The sum is rounded once.
    #[inline(always)]
    unsafe fn place<S: Simd>(&self, s: S, key: Floats, x: Floats, time: F32, space: Option<F32>) {
        for i in (0..self.c).step_by(S::LANES) {
            let n = (self.c - i).min(S::LANES);
            let mut v = s.add(x.load_part(s, i, n), time.load_part(s, i, n));
            if let Some(space) = space {
                v = s.add(v, space.load_part(s, i, n));
            }
            key.store_part(s, i, n, v);
        }
    }
}

/// Writes rows of one object to its slot.
struct WriteSlot {
    rows: (usize, usize),
    c: usize,
    out: Floats,
    x: Floats,
    absent: Option<F32>,
    replace: bool,
}

impl Kernel for WriteSlot {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        for row in self.rows.0..self.rows.1 {
            let (out, x) = (self.out.add(row * self.c), self.x.add(row * self.c));
            match self.absent {
                None => map_rows!(s, out, x, self.c, |v| v),
                Some(v) if self.replace => map_rows!(s, out, v, self.c, |v| v),
                Some(v) => zip_rows!(s, out, x, v, self.c, |a, b| s.add(a, b)),
            }
        }
    }
}

/// Copies a row.
struct Pick {
    out: F32,
    x: F32,
    c: usize,
}

impl Kernel for Pick {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, _: S) {
        std::ptr::copy_nonoverlapping(self.x.ptr(), self.out.ptr(), self.c);
    }
}

/// Fills the masks of an object that is not visible.
struct Hide {
    masks: F32,
    n: usize,
    score: F32,
}

impl Kernel for Hide {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, _: S) {
        let seen = *self.score.ptr() > 0.0; // a score that is no number is not
        if !seen {
            std::slice::from_raw_parts_mut(self.masks.ptr(), self.n).fill(NO_OBJ_SCORE);
        }
    }
}

/// Computes rows of an enlarged mask.
struct MaskRows {
    rows: (usize, usize),
    /// (h, w)
    mask: F32,
    h: usize,
    w: usize,
    /// (side, side)
    out: F32,
    side: usize,
    binary: bool,
    scale: f32,
    bias: f32,
}

impl Kernel for MaskRows {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        let (scale, bias) = (s.splat(self.scale), s.splat(self.bias));
        for y in self.rows.0..self.rows.1 {
            let (top, bottom, t) = bilinear(y, self.h, self.side);
            let out = self.out.add(y * self.side);
            for x in 0..self.side {
                let (left, right, u) = bilinear(x, self.w, self.side);
                let at = |y: usize, x: usize| *self.mask.at(y * self.w + x);
                let line = |y: usize| at(y, left) * (1.0 - u) + at(y, right) * u;
                *out.at_mut(x) = line(top) * (1.0 - t) + line(bottom) * t;
            }
            if self.binary {
                for v in std::slice::from_raw_parts_mut(out.ptr(), self.side) {
                    *v = if *v > 0.0 { self.scale + self.bias } else { self.bias };
                }
            } else {
                map_rows!(s, out, out, self.side, |a| s.fma(math::sigmoid(s, a), scale, bias));
            }
        }
    }
}

/// Computes rows of pixels of one map.
struct Depthwise {
    rows: (usize, usize),
    h: usize,
    w: usize,
    c: usize,
    out: F32,
    x: F32,
    weights: F32,
    bias: F32,
}

impl Kernel for Depthwise {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, s: S) {
        const HALF: usize = SIDE / 2;
        let c = self.c;
        for y in self.rows.0..self.rows.1 {
            for x in 0..self.w {
                let out = self.out.at_mut((y * self.w + x) * c);
                let (top, left) = ((y + HALF).saturating_sub(2 * HALF), (x + HALF).saturating_sub(2 * HALF));
                let (bottom, right) = ((y + HALF).min(self.h - 1), (x + HALF).min(self.w - 1));
                for i in (0..c).step_by(S::LANES) {
                    let n = (c - i).min(S::LANES);
                    let mut sum = s.load_part(self.bias.at(i), n);
                    for from_y in top..=bottom {
                        for from_x in left..=right {
                            let tap = (from_y + HALF - y) * SIDE + from_x + HALF - x;
                            let from = s.load_part(self.x.at((from_y * self.w + from_x) * c + i), n);
                            sum = s.fma(from, s.load_part(self.weights.at(tap * c + i), n), sum);
                        }
                    }
                    s.store_part(out.add(i), n, sum);
                }
            }
        }
    }
}

impl TrackingOps for Cpu {
    fn gather_memories(&self, keys: Tensor<'_>, values: Tensor<'_>, bank: Bank<'_>, index: BankIndex<'_>) {
        let BankSizes { p, m, c, hw, k: parts, b: frames, q: pointers } = BankSizes::of(keys, values, &bank, &index);
        self.count(&[keys, values]);
        let (keys, values, maps) = (Floats::of(keys), Floats::of(values), Bf16::of(bank.maps));
        let [tokens, space, time] = [bank.pointers, bank.space, bank.time].map(F32::of);
        let [counts, slots, times, pointer_slots] =
            [index.counts, index.maps, index.times, index.pointers].map(I32::of);
        let pointer_times = F32::of(index.pointer_times);
        // A task per memory, and one for what is beyond.
        let tasks = frames + pointers + 1;
        self.parallel(p * tasks, |task, _| {
            let (object, i) = (task / tasks, task % tasks);
            // SAFETY: tables of the sizes checked above; slots are the caller's, within the bank.
            unsafe {
                let (have, pointing) = (*counts.at(2 * object) as usize, *counts.at(2 * object + 1) as usize);
                let spatial = have * hw;
                let (n, first, from) = if i < frames {
                    let at = object * frames + i;
                    let map = maps.add(*slots.at(at) as usize * hw * c);
                    let time = time.add(*times.at(at) as usize * c);
                    (if i < have { hw } else { 0 }, i * hw, From::Map(map, space, time))
                } else if i < frames + pointers {
                    let at = object * pointers + i - frames;
                    let pointer = tokens.add(*pointer_slots.at(at) as usize * parts * c);
                    let n = if i - frames < pointing { parts } else { 0 };
                    (n, spatial + (i - frames) * parts, From::Pointer(pointer, pointer_times.add(at * c)))
                } else {
                    let used = spatial + pointing * parts;
                    (m - used, used, From::Nothing)
                };
                let to = (object * m + first) * c;
                Gather { n, c, keys: keys.add(to), values: values.add(to), from }
            }
        });
    }

    fn write_bank_slots(&self, bank: Tensor<'_>, x: Tensor<'_>, slots: Tensor<'_>, absent: Option<Absent<'_>>) {
        let (&[p, n, c], &[_, bn, bc]) = (x.dims(), bank.dims()) else { panic!("write_bank_slots: {bank:?} {x:?}") };
        assert!((bn, bc) == (n, c) && slots.len() == p, "write_bank_slots: {bank:?} from {x:?}, {slots:?}");
        if let Some(Absent { scores, vector, .. }) = absent {
            assert!(scores.len() == p && vector.len() == c, "write_bank_slots: {x:?}, {scores:?} {vector:?}");
        }
        self.count(&[x, x]);
        let (out, x, slots) = (Floats::of(bank), Floats::of(x), I32::of(slots));
        let absent = absent.map(|a| (F32::of(a.scores), F32::of(a.vector), a.replace));
        let blocks = n.div_ceil(256);
        self.parallel_if(p * blocks, n * c > 4096, |task, _| {
            let (object, first) = (task / blocks, task % blocks * 256);
            // SAFETY: a slot per object, checked above; slots are the caller's, within the bank.
            let slot = unsafe { *slots.at(object) as usize };
            // SAFETY: a score per object, checked above.
            let visible = |scores: F32| unsafe { *scores.at(object) > 0.0 };
            let absent = absent.filter(|&(scores, ..)| !visible(scores));
            WriteSlot {
                rows: (first, (first + 256).min(n)),
                c,
                out: out.add(slot * n * c),
                x: x.add(object * n * c),
                absent: absent.map(|(_, vector, _)| vector),
                replace: absent.is_some_and(|(.., replace)| replace),
            }
        });
    }

    fn gather_rows(&self, out: Tensor<'_>, x: Tensor<'_>, first: usize, rows: Tensor<'_>) {
        let &[p, n, c] = x.dims() else { panic!("gather_rows: {x:?}") };
        assert!(
            out.dims() == [p, c] && rows.len() == p && x.is_contiguous(),
            "gather_rows: {out:?} of {x:?}, {rows:?}"
        );
        self.count(&[out, out]);
        let (out, x, rows) = (F32::of(out), F32::of(x), I32::of(rows));
        self.parallel_if(p, false, |i, _| {
            // SAFETY: a row per entry, checked above.
            let row = first + unsafe { *rows.at(i) } as usize;
            Pick { out: out.add(i * c), x: x.add((i * n + row) * c), c }
        });
    }

    fn mask_absent_objects(&self, masks: Tensor<'_>, scores: Tensor<'_>) {
        let p = masks.dim(0);
        assert!(scores.len() == p && masks.is_contiguous(), "mask_absent_objects: {masks:?} by {scores:?}");
        self.count(&[masks]);
        let (n, masks, scores) = (masks.len() / p.max(1), F32::of(masks), F32::of(scores));
        self.parallel_if(p, p > 1, |i, _| Hide { masks: masks.add(i * n), n, score: scores.add(i) });
    }

    fn memory_mask(
        &self,
        out: Tensor<'_>,
        masks: Tensor<'_>,
        selected: Tensor<'_>,
        binary: Tensor<'_>,
        scale: f32,
        bias: f32,
    ) {
        let (&[p, n, h, w], &[_, side, _, 1]) = (masks.dims(), out.dims()) else {
            panic!("memory_mask: {out:?} {masks:?}")
        };
        assert!(
            out.dims() == [p, side, side, 1] && selected.len() == p && binary.len() == p,
            "memory_mask: {out:?} of {masks:?}, {selected:?} {binary:?}"
        );
        self.count(&[out]);
        let (out, masks, selected, binary) = (F32::of(out), F32::of(masks), I32::of(selected), I32::of(binary));
        const ROWS: usize = 32;
        let blocks = side.div_ceil(ROWS);
        self.parallel(p * blocks, |task, _| {
            let (object, first) = (task / blocks, task % blocks * ROWS);
            // SAFETY: a choice per object, checked above.
            let (chosen, binary) = unsafe { (*selected.at(object) as usize, *binary.at(object) != 0) };
            MaskRows {
                rows: (first, (first + ROWS).min(side)),
                mask: masks.add((object * n + chosen) * h * w),
                h,
                w,
                out: out.add(object * side * side),
                side,
                binary,
                scale,
                bias,
            }
        });
    }

    fn depthwise_conv7x7(&self, out: Tensor<'_>, x: Tensor<'_>, weights: Tensor<'_>, bias: Tensor<'_>) {
        let &[p, h, w, c] = x.dims() else { panic!("depthwise_conv7x7: {x:?}") };
        assert!(
            out.dims() == x.dims() && weights.dims() == [SIDE * SIDE, c] && bias.len() == c && x.is_contiguous(),
            "depthwise_conv7x7: {out:?} from {x:?} by {weights:?}"
        );
        self.count(&[out, x]);
        self.count_product(p * h * w, SIDE * SIDE, c);
        let (out, x, weights, bias) = (F32::of(out), F32::of(x), F32::of(weights), F32::of(bias));
        const ROWS: usize = 4;
        let blocks = h.div_ceil(ROWS);
        self.parallel(p * blocks, |task, _| {
            let (i, first) = (task / blocks, task % blocks * ROWS);
            let map = i * h * w * c;
            Depthwise { rows: (first, (first + ROWS).min(h)), h, w, c, out: out.add(map), x: x.add(map), weights, bias }
        });
    }
}

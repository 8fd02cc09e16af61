//! The choice of masks, and the cleaning of their small regions.

use super::device::Cpu;
use super::ptr::{F32, I32};
use super::simd::{Kernel, Simd};
use crate::backend::Cleaning;
use crate::backend::MaskOps;
use crate::backend::Selection;
use crate::backend::tensor::Tensor;

/// Cleans one mask.
struct Clean {
    out: F32,
    mask: F32,
    /// Scratch memory with one entry per pixel: parents of a union-find forest, and then areas at the roots.
    labels: I32,
    areas: I32,
    h: usize,
    w: usize,
    cleaning: Cleaning,
}

impl Kernel for Clean {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, _: S) {
        let n = self.h * self.w;
        let Cleaning { threshold, hole, sprinkle, margin } = self.cleaning;
        let mask = std::slice::from_raw_parts(self.mask.ptr(), n);
        let out = std::slice::from_raw_parts_mut(self.out.ptr(), n);
        let labels = std::slice::from_raw_parts_mut(self.labels.ptr(), n);
        let areas = std::slice::from_raw_parts_mut(self.areas.ptr(), n);
        out.copy_from_slice(mask);
        // Components of foreground and background in one go: neighbours join when they are of one kind.
        join(mask, threshold, self.w, labels);
        areas.fill(0);
        for i in 0..n {
            labels[i] = root(labels, i) as i32;
            areas[labels[i] as usize] += 1;
        }
        for i in 0..n {
            let area = areas[labels[i] as usize] as f32;
            if mask[i] > threshold {
                if area <= sprinkle {
                    out[i] = threshold - margin;
                }
            } else if area <= hole {
                out[i] = threshold + margin;
            }
        }
    }
}

/// Returns the root of the tree of `i`, and halves the path to the root.
fn root(labels: &mut [i32], mut i: usize) -> usize {
    while labels[i] as usize != i {
        labels[i] = labels[labels[i] as usize];
        i = labels[i] as usize;
    }
    i
}

/// Makes a forest in which two pixels have the same root if a path of 8-neighbours of their kind joins them.
fn join(mask: &[f32], threshold: f32, w: usize, labels: &mut [i32]) {
    for i in 0..mask.len() {
        labels[i] = i as i32;
        let (x, kind) = (i % w, mask[i] > threshold);
        // Left, and the three above.
        let before = [(x > 0, 1), (i >= w && x > 0, w + 1), (i >= w, w), (i >= w && x + 1 < w, w - 1)];
        for (exists, back) in before {
            if exists && (mask[i - back] > threshold) == kind {
                let (a, b) = (root(labels, i), root(labels, i - back));
                // The smaller index becomes the root, so the forest does not depend on the order of joins.
                labels[a.max(b)] = a.min(b) as i32;
            }
        }
    }
}

struct Select {
    /// (n)
    out: I32,
    /// (4, pixels)
    masks: F32,
    pixels: usize,
    /// (4)
    iou: F32,
    selection: Selection,
}

impl Kernel for Select {
    #[inline(always)]
    unsafe fn run<S: Simd>(self, _: S) {
        let iou = |i: usize| *self.iou.at(i);
        let best = || (2..4).fold(1, |best, i| if iou(i) > iou(best) { i } else { best });
        let mask = match self.selection {
            Selection::Multimask => return (0..3).for_each(|i| *self.out.at_mut(i) = i as i32 + 1),
            Selection::Single => 0,
            Selection::Best => best(),
            Selection::Stable { delta, thresh } => {
                let logits = std::slice::from_raw_parts(self.masks.at(0), self.pixels);
                // Counts are exact: below 2^24 they fit a float, as the reference's do.
                let inner = logits.iter().map(|&v| (v > delta) as u32).sum::<u32>() as f32;
                let outer = logits.iter().map(|&v| (v > -delta) as u32).sum::<u32>() as f32;
                let stability = if outer > 0.0 { inner / outer } else { 1.0 };
                if stability >= thresh { 0 } else { best() }
            }
        };
        *self.out.at_mut(0) = mask as i32;
    }
}

impl MaskOps for Cpu {
    fn select_masks(&self, out: Tensor<'_>, masks: Tensor<'_>, iou: Tensor<'_>, selection: Selection) {
        let [p, 4, h, w] = *masks.dims() else { panic!("select_masks: {masks:?}") };
        let n = selection.masks();
        assert!(out.len() == p * n && iou.dims() == [p, 4], "select_masks: {out:?} from {masks:?} {iou:?}");
        self.count(&[out, masks.columns(0, w)]);
        let (out, masks, iou, pixels) = (I32::of(out), F32::of(masks), F32::of(iou), h * w);
        self.parallel_if(p, p > 1, |prompt, _| Select {
            out: out.add(prompt * n),
            masks: masks.add(prompt * 4 * pixels),
            pixels,
            iou: iou.add(prompt * 4),
            selection,
        });
    }

    fn clean_masks(
        &self,
        out: Tensor<'_>,
        masks: Tensor<'_>,
        selected: Tensor<'_>,
        labels: Tensor<'_>,
        areas: Tensor<'_>,
        cleaning: Cleaning,
    ) {
        let [p, n, h, w] = *out.dims() else { panic!("clean_masks: {out:?}") };
        let all = masks.dim(1);
        assert!(
            masks.dims() == [p, all, h, w] && selected.len() == p * n,
            "clean_masks: {out:?} from {masks:?}, selected {selected:?}"
        );
        assert!(labels.len() == out.len() && areas.len() == out.len(), "clean_masks: {out:?}, {labels:?}, {areas:?}");
        self.count(&[out, out]);
        let (out, masks, selected) = (F32::of(out), F32::of(masks), I32::of(selected));
        let (labels, areas) = (I32::of(labels), I32::of(areas));
        self.parallel(p * n, |i, _| Clean {
            out: out.add(i * h * w),
            // SAFETY: a choice per entry, checked above.
            mask: masks.add((i / n * all + unsafe { *selected.at(i) } as usize) * h * w),
            labels: labels.add(i * h * w),
            areas: areas.add(i * h * w),
            h,
            w,
            cleaning,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Computes an area by flood fill, for comparison.
    fn area(mask: &[bool], w: usize, start: usize) -> usize {
        let (h, kind) = (mask.len() / w, mask[start]);
        let (mut seen, mut todo) = (vec![false; mask.len()], vec![start]);
        seen[start] = true;
        let mut count = 0;
        while let Some(i) = todo.pop() {
            count += 1;
            let (y, x) = ((i / w) as isize, (i % w) as isize);
            for (dy, dx) in (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (dy, dx))) {
                let (y, x) = (y + dy, x + dx);
                if (0..h as isize).contains(&y) && (0..w as isize).contains(&x) {
                    let j = y as usize * w + x as usize;
                    if !seen[j] && mask[j] == kind {
                        seen[j] = true;
                        todo.push(j);
                    }
                }
            }
        }
        count
    }

    proptest! {
        #[test]
        fn areas_agree_with_a_flood_fill(w in 1usize..14, h in 1usize..14, seed in any::<u64>(), hole in 0u8..9, sprinkle in 0u8..9) {
            let mut state = seed | 1;
            let mask: Vec<f32> = (0..w * h).map(|_| {
                state ^= state << 13; state ^= state >> 7; state ^= state << 17;
                if state % 5 < 3 { 0.5 } else { -0.5 }
            }).collect();
            let kinds: Vec<bool> = mask.iter().map(|&v| v > 0.0).collect();
            let (mut out, mut labels, mut areas) = (vec![0.0; w * h], vec![0; w * h], vec![0; w * h]);
            let cleaning = Cleaning { threshold: 0.0, hole: hole as f32, sprinkle: sprinkle as f32, margin: 10.0 };
            // SAFETY: buffers of one size.
            unsafe {
                crate::cpu::simd::Isa::Portable.run(Clean {
                    out: F32::new(out.as_mut_ptr()),
                    mask: F32::new(mask.as_ptr() as *mut f32),
                    labels: I32::new(labels.as_mut_ptr()),
                    areas: I32::new(areas.as_mut_ptr()),
                    h, w, cleaning,
                });
            }
            for i in 0..w * h {
                let small = area(&kinds, w, i) <= if kinds[i] { sprinkle } else { hole } as usize;
                let want = match (small, kinds[i]) { (true, true) => -10.0, (true, false) => 10.0, _ => mask[i] };
                prop_assert_eq!(out[i], want, "pixel {} of {}x{}", i, w, h);
            }
        }
    }
}

//! The selection of masks, and the cleaning of their small regions.

use crate::rig::*;
use sam2::engine::backend::*;

pub fn selection<B: Backend>(b: &B) {
    let (h, w) = (3, 5);
    // Of 15 pixels, mask 0 of the first prompt has 10 above 0.05 and 11 above -0.05. That of the second has 11 and 11.
    // That of the third has none above either.
    let plane = |high: usize, low: usize| {
        (0..15).map(move |i| {
            if i < high {
                1.0
            } else if i < low {
                0.0
            } else {
                -1.0
            }
        })
    };
    let mut masks = Vec::new();
    for (high, low) in [(10, 11), (11, 11), (0, 0)] {
        masks.extend(plane(high, low));
        masks.extend([0.25; 45]);
    }
    let iou = [0.9, 0.1, 0.8, 0.8, 0.9, 0.1, 0.2, 0.3, 0.9, 0.5, 0.4, 0.3];
    let (tm, ti) = (Owned::new(b, &[3, 4, h, w], &masks), Owned::new(b, &[3, 4], &iou));
    let stable = |thresh| Selection::Stable { delta: 0.05, thresh };
    for (selection, want) in [
        (Selection::Multimask, vec![1, 2, 3, 1, 2, 3, 1, 2, 3]),
        (Selection::Single, vec![0, 0, 0]),
        (stable(0.98), vec![2, 0, 0]), // the first of equal masks; a mask without pixels is stable
        (stable(0.9), vec![0, 0, 0]),
    ] {
        let out = Owned::ints(b, &vec![-7; want.len()]);
        b.select_masks(out.at().view(&[3, selection.masks()]), tm.at(), ti.at(), selection);
        let got: Vec<i32> = out.words().into_iter().map(|w| w as i32).collect();
        assert_eq!(got, want, "{selection:?}");
    }
}

pub fn cleaning<B: Backend>(b: &B) {
    // Two planes, of which the second is selected. A hole of 2 joined by a corner, a speck of 1, and the rest.
    let picture = ["#######", "#.#####", "##.####", "#######", ".......", "...#...", "......."];
    let plane: Vec<f32> = picture.iter().flat_map(|r| r.bytes()).map(|c| if c == b'#' { 2.0 } else { -2.0 }).collect();
    let (h, w) = (7, 7);
    let mut masks = vec![0.5; 4 * h * w];
    masks[2 * h * w..3 * h * w].copy_from_slice(&plane);
    let (tm, ts) = (Owned::new(b, &[1, 4, h, w], &masks), Owned::ints(b, &[2]));
    for (hole, sprinkle) in [(0.0, 0.0), (1.0, 1.0), (2.0, 0.0), (2.0, 1.0), (100.0, 100.0)] {
        let (out, labels, areas) = (Owned::nan(b, &[1, 1, h, w]), Owned::ints(b, &[0; 49]), Owned::ints(b, &[0; 49]));
        let cleaning = Cleaning { threshold: 0.5, hole, sprinkle, margin: 0.25 };
        let selected = ts.at().view(&[1, 1]);
        b.clean_masks(
            out.at(),
            tm.at(),
            selected,
            labels.at().view(&[1, 1, h, w]),
            areas.at().view(&[1, 1, h, w]),
            cleaning,
        );
        let got = out.floats();
        for (i, &v) in plane.iter().enumerate() {
            let area = match (i / w, i % w) {
                (1, 1) | (2, 2) => 2.0,
                (5, 3) => 1.0,
                (0..=3, _) => 26.0,
                _ => 20.0,
            };
            let want = match v > 0.5 {
                true if area <= sprinkle => 0.25,
                false if area <= hole => 0.75,
                _ => v,
            };
            assert_eq!(got[i], want, "pixel {i}, holes of {hole}, sprinkles of {sprinkle}");
        }
    }
}

/// The number of pixels of every pixel's component, by flood fill.
fn areas(kinds: &[bool], h: usize, w: usize) -> Vec<f32> {
    let mut areas = vec![0.0; h * w];
    for start in 0..h * w {
        if areas[start] > 0.0 {
            continue;
        }
        let (mut component, mut next) = (vec![start], 0);
        areas[start] = 1.0;
        while let Some(&i) = component.get(next) {
            next += 1;
            for y in (i / w).saturating_sub(1)..=(i / w + 1).min(h - 1) {
                for x in (i % w).saturating_sub(1)..=(i % w + 1).min(w - 1) {
                    if areas[y * w + x] == 0.0 && kinds[y * w + x] == kinds[start] {
                        areas[y * w + x] = 1.0;
                        component.push(y * w + x);
                    }
                }
            }
        }
        component.iter().for_each(|&i| areas[i] = component.len() as f32);
    }
    areas
}

/// Noise of several densities, stripes, a spiral and planes of one kind, in rows that are shorter and longer than a warp,
/// and that start anywhere in it.
pub fn cleaning_of_patterns<B: Backend>(b: &B) {
    for (h, w) in [(37, 53), (64, 64), (9, 130), (40, 7), (1, 70), (70, 1)] {
        let noise = |seed: u64, part: f32| {
            let mut random = Random(seed * 0x9e3779b97f4a7c15);
            random.floats(h * w).into_iter().map(|v| (v + 1.0) / 2.0 < part).collect::<Vec<bool>>()
        };
        let spiral = |i: usize| {
            let (y, x) = (i / w, i % w);
            let ring = y.min(x).min(h - 1 - y).min(w - 1 - x);
            ring % 2 == 0 && !(y == ring + 1 && x == ring) || ring % 2 == 1 && y == ring && x + 1 == ring
        };
        let patterns: Vec<Vec<bool>> = vec![
            noise(1, 0.1),
            noise(2, 0.4),
            noise(3, 0.5),
            noise(4, 0.6),
            (0..h * w).map(|i| i / w % 2 == 0).collect(),
            (0..h * w).map(|i| i % w % 3 == 0).collect(),
            (0..h * w).map(spiral).collect(),
            vec![true; h * w],
            vec![false; h * w],
        ];
        let n = patterns.len();
        let floats: Vec<f32> = patterns.iter().flatten().map(|&on| if on { 2.0 } else { -2.0 }).collect();
        let (masks, selected) =
            (Owned::new(b, &[1, n, h, w], &floats), Owned::ints(b, &(0..n as i32).collect::<Vec<_>>()));
        let dims = [1, n, h, w];
        let (out, labels, counts) =
            (Owned::nan(b, &dims), Owned::ints(b, &vec![0; n * h * w]), Owned::ints(b, &vec![0; n * h * w]));
        let (hole, sprinkle) = (9.0, 3.0);
        let cleaning = Cleaning { threshold: 0.0, hole, sprinkle, margin: 0.25 };
        b.clean_masks(
            out.at(),
            masks.at(),
            selected.at().view(&[1, n]),
            labels.at().view(&dims),
            counts.at().view(&dims),
            cleaning,
        );
        let got = out.floats();
        for (plane, kinds) in patterns.iter().enumerate() {
            for (i, (&on, area)) in kinds.iter().zip(areas(kinds, h, w)).enumerate() {
                let want = match on {
                    true if area <= sprinkle => -0.25,
                    true => 2.0,
                    false if area <= hole => 0.25,
                    false => -2.0,
                };
                assert_eq!(got[plane * h * w + i], want, "{h}x{w}, plane {plane}, pixel {i}, of {area}");
            }
        }
    }
}

//! Contour accuracy of a mask: the F measure of DAVIS.

use sam2::memory::{try_collect, try_push};

/// The distance within which contours match, as a fraction of the image's diagonal.
const REACH: f64 = 0.008;

/// The F measure of an object's predicted mask against the ground truth. Both are label images (height, width).
pub fn f_measure(found: &[u8], truth: &[u8], object: u8, height: usize, width: usize) -> sam2::Result<f64> {
    let found = Outline::new(found, object, height, width)?;
    let truth = Outline::new(truth, object, height, width)?;
    let (precision, recall) = match (found.pixels.len(), truth.pixels.len()) {
        (0, 0) => (1.0, 1.0),
        (0, _) => (1.0, 0.0),
        (_, 0) => (0.0, 1.0),
        _ => (found.near(&truth)?, truth.near(&found)?),
    };
    Ok(if precision + recall == 0.0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) })
}

/// The contour pixels of an object.
struct Outline {
    pixels: Vec<usize>,
    height: usize,
    width: usize,
}

impl Outline {
    /// A pixel is on the contour if its neighbour to the right, below or diagonally below right differs in whether it
    /// is on the object. The last column only has a neighbour below, and the last row only one to the right.
    fn new(labels: &[u8], object: u8, height: usize, width: usize) -> sam2::Result<Outline> {
        let mut pixels = Vec::new();
        for (y, row) in labels.chunks(width).enumerate() {
            let below = labels.get((y + 1) * width..(y + 2) * width);
            if !row.contains(&object) && !below.is_some_and(|below| below.contains(&object)) {
                continue;
            }
            for x in 0..width {
                let differs = |other: u8| (other == object) != (row[x] == object);
                let right = x + 1 < width;
                let edge_below = |below: &[u8]| differs(below[x]) || right && differs(below[x + 1]);
                if right && differs(row[x + 1]) || below.is_some_and(edge_below) {
                    try_push(&mut pixels, y * width + x, "an outline")?;
                }
            }
        }
        Ok(Outline { pixels, height, width })
    }

    /// The fraction of pixels that are within reach of a pixel of the other contour. The reach is a disk.
    fn near(&self, other: &Outline) -> sam2::Result<f64> {
        let (h, w) = (self.height, self.width);
        let reach = (REACH * ((h * h + w * w) as f64).sqrt()).ceil() as usize;
        let across = other.distances(reach)?;
        // Half the width of the disk, by distance from its middle row.
        let half: Vec<usize> = (0..=reach).map(|dy| (reach * reach - dy * dy).isqrt()).collect();
        let is_near = |&&i: &&usize| {
            let (x, y) = (i % w, i / w);
            let mut rows = y.saturating_sub(reach)..=(y + reach).min(h - 1);
            rows.any(|row| across[row * w + x] as usize <= half[row.abs_diff(y)])
        };
        Ok(self.pixels.iter().filter(is_near).count() as f64 / self.pixels.len() as f64)
    }

    /// The distance to the nearest contour pixel in the same row (height, width). Distances are at most `reach + 1`.
    fn distances(&self, reach: usize) -> sam2::Result<Vec<u16>> {
        let (n, far) = (self.height * self.width, (reach + 1) as u16);
        let mut across = try_collect(n, "distances", std::iter::repeat_n(far, n))?;
        self.pixels.iter().for_each(|&i| across[i] = 0);
        for row in across.chunks_mut(self.width).filter(|row| row.contains(&0)) {
            for x in 1..row.len() {
                row[x] = row[x].min(row[x - 1] + 1);
            }
            for x in (1..row.len()).rev() {
                row[x - 1] = row[x - 1].min(row[x] + 1);
            }
        }
        Ok(across)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outlines_lie_towards_the_origin() {
        // A single pixel: the pixel and its neighbours above, to the left and diagonally above left.
        let outline = |labels: &[u8], h, w| Outline::new(labels, 7, h, w).unwrap().pixels;
        assert_eq!(outline(&[0, 0, 0, 0, 7, 0, 0, 0, 0], 3, 3), [0, 1, 3, 4]);
        // The last corner has no neighbour to the right or below.
        assert_eq!(outline(&[0, 0, 0, 0, 0, 0, 0, 0, 7], 3, 3), [4, 5, 7]);
        // An object that fills the image has no contour. Neither has an absent object.
        assert_eq!(outline(&[7; 9], 3, 3), [0; 0]);
        assert_eq!(outline(&[1; 9], 3, 3), [0; 0]);
    }

    #[test]
    fn outlines_agree_within_a_disk() {
        // 100x100: the reach is 2, so (2, 0) is within it and (2, 1) is not.
        let at = |x: usize, y: usize| {
            let mut labels = vec![0; 10_000];
            labels[y * 100 + x] = 1;
            labels
        };
        let f = |a: &[u8], b: &[u8]| f_measure(a, b, 1, 100, 100).unwrap();
        assert_eq!(f(&at(50, 50), &at(52, 50)), 1.0);
        assert_eq!(f(&at(50, 50), &at(53, 50)), 0.5);
        assert_eq!(f(&at(50, 50), &at(52, 52)), 0.25);
        assert_eq!(f(&at(50, 50), &at(60, 50)), 0.0);
        let none = vec![0; 10_000];
        assert_eq!((f(&none, &none), f(&none, &at(5, 5)), f(&at(5, 5), &none)), (1.0, 0.0, 0.0));
    }
}

//! The points and crops of an image that the generator decodes.

use crate::media::size::Size;

/// Returns `n` by `n` points in 0..1, row by row.
pub(super) fn point_grid(n: usize) -> Vec<[f64; 2]> {
    let offset = 1.0 / (2.0 * n as f64);
    let (last, step) = (1.0 - offset, (1.0 - 2.0 * offset) / (n.max(2) - 1) as f64);
    let place = |i: usize| if i + 1 == n && n > 1 { last } else { offset + step * i as f64 };
    (0..n * n).map(|i| [place(i % n), place(i / n)]).collect()
}

/// A part of the image (left, top, right, bottom), and its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Crop {
    pub bounds: [usize; 4],
    pub layer: usize,
}

impl Crop {
    pub fn width(&self) -> usize {
        self.bounds[2] - self.bounds[0]
    }

    pub fn height(&self) -> usize {
        self.bounds[3] - self.bounds[1]
    }

    /// Converts bounds in the crop to bounds in the image.
    pub fn in_picture(&self, bounds: [i32; 4]) -> [i32; 4] {
        let [left, top, ..] = self.bounds.map(|v| v as i32);
        [bounds[0] + left, bounds[1] + top, bounds[2] + left, bounds[3] + top]
    }
}

/// Returns the whole image, and then the crops of each layer, column by column, as the reference's
/// `generate_crop_boxes`. Layer i, counted from 1 on, has 2^i by 2^i crops that overlap. Crops without pixels are left
/// out. The last crops of a small image may have no pixels.
pub(super) fn crops(Size { width, height }: Size, layers: usize, overlap_ratio: f64) -> Vec<Crop> {
    let mut all = vec![Crop { bounds: [0, 0, width, height], layer: 0 }];
    for layer in 1..=layers {
        let n = 1usize << layer;
        let overlap = (overlap_ratio * height.min(width) as f64 * (2.0 / n as f64)) as usize;
        let length = |side: usize| (overlap * (n - 1) + side).div_ceil(n);
        let (w, h) = (length(width), length(height));
        for (i, k) in (0..n).flat_map(|i| (0..n).map(move |k| (i, k))) {
            let (x, y) = ((w - overlap) * i, (h - overlap) * k);
            if x < width && y < height {
                all.push(Crop { bounds: [x, y, (x + w).min(width), (y + h).min(height)], layer });
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_where_the_reference_has_them() {
        assert_eq!(point_grid(1), [[0.5, 0.5]]);
        assert_eq!(point_grid(2), [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]);
        assert_eq!(point_grid(0), Vec::<[f64; 2]>::new());
        assert_eq!(point_grid(32)[1023], [0.984375, 0.984375]);
    }

    #[test]
    fn crops_are_where_the_reference_has_them() {
        // generate_crop_boxes((131, 198), 1, 512 / 1500)
        let bounds: Vec<[usize; 4]> = crops(Size::new(198, 131), 1, 512.0 / 1500.0).iter().map(|c| c.bounds).collect();
        let want = [[0, 0, 198, 131], [0, 0, 121, 88], [0, 44, 121, 131], [77, 0, 198, 88], [77, 44, 198, 131]];
        assert_eq!(bounds, want);
        assert_eq!(crops(Size::new(50, 50), 3, 0.3).iter().filter(|c| c.layer == 3).count(), 64);
    }

    #[test]
    fn crops_have_pixels() {
        // generate_crop_boxes((20, 300), 3, 512 / 1500): 8 rows of 4 pixels that overlap by 1 take 25; the last two are empty.
        let all = crops(Size::new(300, 20), 3, 512.0 / 1500.0);
        assert_eq!(all.len(), 1 + 4 + 16 + 8 * 7);
        assert_eq!(all.last().unwrap().bounds, [266, 18, 300, 20]);
        for (height, width) in [(1, 1), (1, 7), (7, 1), (2, 3), (10, 10), (20, 300), (300, 20), (131, 198)] {
            for ratio in [0.0, 1e-9, 512.0 / 1500.0, 0.5, 0.999] {
                for crop in crops(Size::new(width, height), 6, ratio) {
                    let [left, top, right, bottom] = crop.bounds;
                    assert!(left < right && right <= width && top < bottom && bottom <= height, "{crop:?}");
                }
            }
        }
    }
}

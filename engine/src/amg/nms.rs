//! Non-maximum suppression: keeps one of several masks of the same object.

/// Returns the indices of the boxes (left, top, right, bottom) that are kept, by descending score. A box is dropped if
/// its intersection over union with a better box is above `most`. As in torchvision's `nms`, boxes with equal scores
/// keep their order, and boxes without area are kept.
pub(super) fn nms(boxes: &[[f32; 4]], scores: &[f32], most: f32) -> Vec<usize> {
    let mut order: Vec<usize> = (0..boxes.len()).collect();
    order.sort_by(|&i, &k| scores[k].total_cmp(&scores[i]));
    let area = |b: &[f32; 4]| (b[2] - b[0]) * (b[3] - b[1]);
    let areas: Vec<f32> = boxes.iter().map(area).collect();
    let (mut kept, mut gone) = (Vec::new(), vec![false; boxes.len()]);
    for (place, &i) in order.iter().enumerate() {
        if gone[i] {
            continue;
        }
        kept.push(i);
        for &k in &order[place + 1..] {
            let (a, b) = (&boxes[i], &boxes[k]);
            let side = |low: usize, high: usize| (a[high].min(b[high]) - a[low].max(b[low])).max(0.0);
            let inter = side(0, 2) * side(1, 3);
            // Not a number, where neither has area, is not above anything.
            gone[k] |= inter / (areas[i] + areas[k] - inter) > most;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_those_that_overlap_stays() {
        let boxes = [
            [0.0, 0.0, 10.0, 10.0],
            [0.0, 0.0, 10.0, 9.0],
            [20.0, 0.0, 30.0, 10.0],
            [1.0, 1.0, 1.0, 1.0],
            [1.0, 1.0, 1.0, 1.0],
        ];
        assert_eq!(nms(&boxes, &[0.5, 0.9, 0.9, 0.1, 0.2], 0.7), [1, 2, 4, 3]);
        assert_eq!(nms(&boxes, &[0.5, 0.9, 0.9, 0.1, 0.2], 0.95), [1, 2, 0, 4, 3]);
        // Exactly as much as is allowed.
        assert_eq!(nms(&boxes[..2], &[0.9, 0.5], 0.9), [0, 1]);
        assert!(nms(&[], &[], 0.5).is_empty());
    }
}

//! Outlines of the parts of a mask, and outlines with fewer corners.

use sam2::Result;
use sam2::rle::Rle;

/// A corner, in pixels from the left and from the top.
pub type Corner = [f64; 2];

/// Twice the area of a ring: above 0 around the object, below 0 around a hole.
#[must_use]
pub fn area(ring: &[[u32; 2]]) -> i64 {
    let next = ring.iter().cycle().skip(1);
    let cross =
        |([x, y], [u, v]): (&[u32; 2], &[u32; 2])| i64::from(*x) * i64::from(*v) - i64::from(*u) * i64::from(*y);
    ring.iter().zip(next).map(cross).sum()
}

/// The rings around parts of the mask, without holes, the largest first.
///
/// # Errors
///
/// As [`Rle::polygons`].
pub fn parts(rle: &Rle) -> Result<Vec<Vec<[u32; 2]>>> {
    let mut rings = rle.polygons()?;
    rings.retain(|ring| area(ring) > 0);
    rings.sort_by_key(|ring| std::cmp::Reverse(area(ring)));
    Ok(rings)
}

/// The distance of a point from a line between two points.
fn distance(point: Corner, from: Corner, to: Corner) -> f64 {
    let (line, there) = ([to[0] - from[0], to[1] - from[1]], [point[0] - from[0], point[1] - from[1]]);
    let length = line[0] * line[0] + line[1] * line[1];
    let along = if length == 0.0 { 0.0 } else { ((there[0] * line[0] + there[1] * line[1]) / length).clamp(0.0, 1.0) };
    (there[0] - along * line[0]).hypot(there[1] - along * line[1])
}

/// Corners nearer than this to a slanted line are the steps of its pixels.
const STEP: f64 = 0.75;

/// The corners of a ring that the simplification of Douglas and Peucker keeps. Every other corner is nearer to what is left
/// than `factor` times the length of the ring, or than the steps of pixels. With 0, no corner off a line is left out.
#[must_use]
pub fn simplify(ring: &[[u32; 2]], factor: f64) -> Vec<Corner> {
    let ring: Vec<Corner> = ring.iter().map(|[x, y]| [f64::from(*x), f64::from(*y)]).collect();
    let Some(&first) = ring.first() else { return ring };
    let gap = |a: Corner, b: Corner| (a[0] - b[0]).hypot(a[1] - b[1]);
    let length: f64 = ring.iter().zip(ring.iter().cycle().skip(1)).map(|(a, b)| gap(*a, *b)).sum();
    let near = if factor > 0.0 { (factor * length).max(STEP) } else { 0.0 };
    // The ring is cut at its first corner, and at the corner that is farthest from it.
    let at = |i: usize| ring[i % ring.len()];
    let far = (0..ring.len()).max_by(|&a, &b| gap(at(a), first).total_cmp(&gap(at(b), first))).unwrap_or(0);
    let mut kept = vec![false; ring.len()];
    (kept[0], kept[far]) = (true, true);
    let mut pieces = vec![(0, far), (far, ring.len())];
    while let Some((from, to)) = pieces.pop() {
        let away = |i: usize| distance(at(i), at(from), at(to));
        let Some(farthest) = (from + 1..to).max_by(|&a, &b| away(a).total_cmp(&away(b))) else { continue };
        if away(farthest) > near {
            kept[farthest] = true;
            pieces.extend([(from, farthest), (farthest, to)]);
        }
    }
    ring.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(corner, _)| corner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sam2::Size;

    fn disc(size: usize) -> Rle {
        let inside = |i: usize| {
            let (x, y, c) = ((i % size) as f64, (i / size) as f64, size as f64 / 2.0);
            let r = (x - c).hypot(y - c);
            u8::from(r < c - 2.0 && r > c / 3.0)
        };
        let mask: Vec<u8> = (0..size * size).map(inside).collect();
        Rle::encode(&mask, Size::new(size, size)).unwrap()
    }

    #[test]
    fn parts_have_no_holes() {
        let rings = disc(60);
        assert_eq!((rings.polygons().unwrap().len(), parts(&rings).unwrap().len()), (2, 1));
        let mask = [1, 0, 1, 1, 0, 0, 0, 0];
        let rings = parts(&Rle::encode(&mask, Size::new(4, 2)).unwrap()).unwrap();
        assert_eq!(rings.iter().map(|ring| area(ring)).collect::<Vec<_>>(), [4, 2]);
    }

    #[test]
    fn corners_that_are_left_out_are_near() {
        let ring = &parts(&disc(60)).unwrap()[0];
        let length: u32 =
            ring.iter().zip(ring.iter().cycle().skip(1)).map(|(a, b)| a[0].abs_diff(b[0]) + a[1].abs_diff(b[1])).sum();
        for factor in [0.001, 0.005, 0.02] {
            let simple = simplify(ring, factor);
            assert!(simple.len() >= 3 && simple.len() < ring.len());
            for [x, y] in ring {
                let point = [f64::from(*x), f64::from(*y)];
                let pairs = simple.iter().zip(simple.iter().cycle().skip(1));
                let nearest = pairs.map(|(a, b)| distance(point, *a, *b)).fold(f64::MAX, f64::min);
                assert!(nearest <= (factor * f64::from(length)).max(STEP), "{factor}: {nearest}");
            }
        }
        assert_eq!(simplify(ring, 0.0).len(), ring.len());
        assert_eq!(simplify(&[], 0.1).len(), 0);
        assert_eq!(simplify(&[[3, 3]], 0.1), [[3.0, 3.0]]);
    }
}

//! Outlines of masks.

use crate::error::{Error, Result};
use crate::masks::rle::Rle;
use crate::media::frame::MAX_SIDE;
use crate::memory::{try_collect, try_push};

/// The name of the memory in errors.
const CORNERS: &str = "the outlines of a mask";

/// A corner of an outline. Corners are sorted by column, and within a column from the top. Each corner with an even
/// index is joined to the next corner by a vertical edge. Where pixels touch only at their corners, two corners are in
/// the same place.
struct Corner {
    /// The distance from the left and from the top in pixels, from 0 to the width and height of the mask.
    at: [u32; 2],
    /// Whether foreground is to the right of the edge that goes down from this corner.
    inside: bool,
}

impl Rle {
    /// Returns the outlines of the mask along the edges of its pixels, as COCO's polygons. An outline is a ring of
    /// corners (x, y), between (0, 0), the upper left corner of the first pixel, and (width, height). All rings
    /// together, filled by the even-odd rule, give exactly this mask.
    ///
    /// On the screen, a ring around foreground goes clockwise, and a ring around a hole goes anticlockwise. The outline
    /// turns at every corner. No corner is twice in a ring, and the first corner is not repeated at the end.
    ///
    /// # Errors
    ///
    /// As [`Rle::decode`]. [`Error::Input`] also if a side is above [`MAX_SIDE`].
    pub fn polygons(&self) -> Result<Vec<Vec<[u32; 2]>>> {
        self.check()?;
        if self.height.max(self.width) > MAX_SIDE {
            let size = format!("{}x{}", self.height, self.width);
            return Err(Error::input(format!("polygons of a mask of {size}: a side may have {MAX_SIDE} pixels")));
        }
        let corners = self.corners()?;
        let n = corners.len();
        // Along rows, corners are joined in pairs, too.
        let mut by_row = try_collect(n, CORNERS, 0..n)?;
        by_row.sort_unstable_by_key(|&i| (corners[i].at[1], i));
        let mut across = try_collect(n, CORNERS, std::iter::repeat(0))?;
        for pair in by_row.chunks_exact(2) {
            (across[pair[0]], across[pair[1]]) = (pair[1], pair[0]);
        }
        let (mut rings, mut path) = (Vec::new(), Vec::new());
        let ring = |path: &[usize]| try_collect(path.len(), CORNERS, path.iter().map(|&i: &usize| corners[i].at));
        // Where on its path a corner was.
        let mut place = try_collect(n, CORNERS, std::iter::repeat(usize::MAX))?;
        for first in (0..n).step_by(2) {
            if place[first] != usize::MAX {
                continue;
            }
            let start = if corners[first].inside { first + 1 } else { first };
            let mut i = start;
            loop {
                for k in [i, i ^ 1] {
                    // The other one in this place, if there is one.
                    let twin = if k % 2 == 1 { k + 1 } else { k.wrapping_sub(1) };
                    let same = corners.get(twin).is_some_and(|twin| twin.at == corners[k].at);
                    if same && path.get(place[twin]) == Some(&twin) {
                        try_push(&mut rings, ring(&path[place[twin]..])?, CORNERS)?;
                        path.truncate(place[twin]);
                    }
                    place[k] = path.len();
                    try_push(&mut path, k, CORNERS)?;
                }
                i = across[i ^ 1];
                if i == start {
                    break;
                }
            }
            try_push(&mut rings, ring(&path)?, CORNERS)?;
            path.clear();
        }
        Ok(rings)
    }

    /// Returns the corners of all outlines. A place is a corner if one or three of the four pixels around it are
    /// foreground. If only two pixels that are diagonal to each other are foreground, the place has two corners.
    fn corners(&self) -> Result<Vec<Corner>> {
        let (mut corners, mut pieces) = (Vec::new(), self.pieces().peekable());
        // Where the columns left and right of an edge change, downwards, from background above them.
        let (mut left, mut right): (Vec<usize>, Vec<usize>) = Default::default();
        for x in 0..=self.width {
            std::mem::swap(&mut left, &mut right);
            right.clear();
            while let Some((_, rows)) = pieces.next_if(|piece| piece.0 == x) {
                // Of runs with none between them the second goes on.
                if right.last() == Some(&rows.start) {
                    right.pop();
                } else {
                    try_push(&mut right, rows.start, CORNERS)?;
                }
                try_push(&mut right, rows.end, CORNERS)?;
            }
            let (mut l, mut r) = (0, 0);
            while let Some(&y) = left.get(l).into_iter().chain(right.get(r)).min() {
                let (in_left, in_right) = (left.get(l) == Some(&y), right.get(r) == Some(&y));
                let count = match (in_left && in_right, l % 2 == r % 2) {
                    (false, _) => 1,
                    (true, true) => 0,
                    (true, false) => 2,
                };
                (l, r) = (l + in_left as usize, r + in_right as usize);
                for _ in 0..count {
                    let corner = Corner { at: [x as u32, y as u32], inside: r % 2 == 1 };
                    try_push(&mut corners, corner, CORNERS)?;
                }
            }
        }
        Ok(corners)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::size::Size;
    use proptest::prelude::*;

    fn mask(rows: &[&str]) -> Rle {
        let pixels: Vec<u8> = rows.iter().flat_map(|row| row.bytes().map(|b| (b == b'#') as u8)).collect();
        Rle::encode(&pixels, Size::new(rows[0].len(), rows.len())).unwrap()
    }

    /// Returns twice the area within a ring. The value is below 0 if the ring goes anticlockwise.
    fn area(ring: &[[u32; 2]]) -> i64 {
        let next = ring.iter().cycle().skip(1);
        ring.iter().zip(next).map(|(a, b)| a[0] as i64 * b[1] as i64 - b[0] as i64 * a[1] as i64).sum()
    }

    /// Returns the rings, each from its first corner, in sorted order.
    fn rings(rows: &[&str]) -> Vec<Vec<[u32; 2]>> {
        let mut all = mask(rows).polygons().unwrap();
        for ring in &mut all {
            let first = (0..ring.len()).min_by_key(|&i| ring[i]).unwrap();
            ring.rotate_left(first);
        }
        all.sort();
        all
    }

    #[test]
    fn outlines_holes_and_touching_corners() {
        let square = |x: u32, y: u32, n: u32| vec![[x, y], [x + n, y], [x + n, y + n], [x, y + n]];
        let hole = |x: u32, y: u32| vec![[x, y], [x, y + 1], [x + 1, y + 1], [x + 1, y]];
        assert_eq!(rings(&["..", ".."]), Vec::<Vec<[u32; 2]>>::new());
        assert_eq!(rings(&["##", "##"]), [square(0, 0, 2)]);
        assert_eq!(rings(&["###", "#.#", "###"]), [square(0, 0, 3), hole(1, 1)]);
        assert_eq!(rings(&["#.", ".#"]), [square(0, 0, 1), square(1, 1, 1)]);
        assert_eq!(rings(&[".#", "#."]), [square(0, 1, 1), square(1, 0, 1)]);
        assert_eq!(rings(&["#..", "...", "..#"]), [square(0, 0, 1), square(2, 2, 1)]);
        // Its hole touches what is outside.
        let open = vec![[0, 0], [2, 0], [2, 1], [3, 1], [3, 3], [0, 3]];
        assert_eq!(rings(&["##.", "#.#", "###"]), [open, hole(1, 1)]);
        // Holes that touch each other.
        assert_eq!(rings(&["####", "#.##", "##.#", "####"]), [square(0, 0, 4), hole(1, 1), hole(2, 2)]);
    }

    #[test]
    fn what_is_no_mask_has_no_outlines() {
        for (height, width, counts) in [(2, 2, vec![5]), (1, 40_000, vec![0, 40_000]), (usize::MAX, 2, vec![1])] {
            let e = Rle { height, width, counts }.polygons().unwrap_err();
            assert!(matches!(e, Error::Input(_)), "{e}");
        }
        for (height, width) in [(0, 0), (5, 0), (0, 5)] {
            assert!(Rle { height, width, counts: vec![0, 0, 0] }.polygons().unwrap().is_empty());
        }
        // Runs with nothing between them.
        let parts = Rle { height: 3, width: 1, counts: vec![0, 1, 0, 2] };
        assert_eq!(parts.polygons().unwrap(), Rle { counts: vec![0, 3], ..parts }.polygons().unwrap());
    }

    proptest! {
        #[test]
        fn filled_they_are_the_mask(w in 1usize..14, h in 1usize..14, noise in proptest::collection::vec(any::<u8>(), 169), most: u8) {
            let mask: Vec<u8> = noise[..w * h].iter().map(|&v| (v <= most) as u8).collect();
            let rings = Rle::encode(&mask, Size::new(w, h)).unwrap().polygons().unwrap();
            let mut filled = vec![0u8; w * h];
            for ring in &rings {
                let mut seen: Vec<_> = ring.clone();
                seen.sort();
                seen.dedup();
                prop_assert!(ring.len() >= 4 && seen.len() == ring.len(), "{:?}", ring);
                for (i, &a) in ring.iter().enumerate() {
                    let (b, c) = (ring[(i + 1) % ring.len()], ring[(i + 2) % ring.len()]);
                    // Along one axis, then along the other.
                    prop_assert!((a[0] == b[0]) != (a[1] == b[1]) && (a[0] == b[0]) == (b[1] == c[1]), "{:?}", ring);
                    let (x, rows) = (a[0] as usize, a[1].min(b[1]) as usize..a[1].max(b[1]) as usize);
                    for y in rows {
                        filled[y * w + x..(y + 1) * w].iter_mut().for_each(|v| *v ^= 1);
                    }
                }
            }
            prop_assert_eq!(&filled, &mask);
            // Foreground is on the right of every ring.
            let total: i64 = rings.iter().map(|ring| area(ring)).sum();
            prop_assert_eq!(total, 2 * mask.iter().map(|&v| v as i64).sum::<i64>());
        }
    }
}

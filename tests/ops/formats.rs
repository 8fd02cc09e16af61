//! Images of every pixel format give, to the bit, the result of their conversion by a plain loop.

#[path = "../common/formats.rs"]
mod stored;

use crate::rig::*;
use sam2::engine::backend::*;
use sam2::{DeviceSlice, Frame, Plane, Size};
use std::ffi::c_void;
use stored::{Stored, every_format};

/// With both filters, at odd sizes, with gaps between rows, stored from the top and from the bottom. In host memory, or
/// in device memory that is used on `stream`.
pub fn formats<B: Backend>(b: &B, numbers: Numbers, stream: Option<*mut c_void>) {
    let mut r = Random(31);
    let resized = |frame: &Frame<'_>, filter| {
        let side = 32;
        let out = Owned::nan_of(b, numbers.dtype, &[side, side, 3]);
        b.preprocess(out.at(), frame, filter);
        out.floats()
    };
    for (w, h) in [(1, 1), (7, 5), (45, 38), (1031, 3)] {
        for format in every_format() {
            let stored = Stored::new(format, w, h, || r.next());
            let copies: Vec<_> = stored.planes.iter().map(|(words, _)| Owned::new(b, &[words.len()], words)).collect();
            let there = |stream| {
                // SAFETY: memory of this size, which outlives the calls.
                let slice = |t: &Owned<'_, B>| unsafe { DeviceSlice::new(t.at().addr(), t.at().len() * 4, stream) };
                let planes = copies.iter().zip(&stored.planes).map(|(t, p)| Plane::device(slice(t), p.1));
                Frame::planes(format, &planes.collect::<Vec<_>>(), Size::new(w, h)).unwrap()
            };
            let frame = stream.map_or_else(|| stored.frame(), there);
            for filter in [Filter::Bilinear, Filter::Bicubic] {
                let what = format!("{w}x{h} {format:?}, {filter:?}");
                let [plain, reversed] =
                    [false, true].map(|flipped| resized(&stored.converted(flipped).frame(), filter));
                assert_eq!(resized(&frame, filter), plain, "{what}");
                assert_eq!(resized(&frame.flipped(), filter), reversed, "{what}, from the bottom");
            }
        }
    }
}

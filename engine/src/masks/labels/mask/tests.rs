//! Masks of every kind of file, and the notes about each file.

use super::super::tests::packed;
use super::*;
use png::{BitDepth::*, ColorType::*};

/// Returns the pixels that are on the object, as characters, and the notes.
fn taken(file: &[u8], label: Option<u16>) -> (String, Vec<String>) {
    let (mask, notes) = decode("m.png", file, label).unwrap();
    assert_eq!(mask.pixels.len(), mask.width * mask.height);
    (mask.pixels.iter().map(|&v| if v == 1 { 'x' } else { '.' }).collect(), notes)
}

/// Decodes a file of 5x3 pixels, in which `inside` is the middle row from the second column on. Returns the mask and
/// the notes.
fn middle<const N: usize>(color: png::ColorType, inside: [[u8; N]; 3], palette: &[u8]) -> (String, Vec<String>) {
    let depth = if N > color.samples() { Sixteen } else { Eight };
    let mut rows = vec![0; 15 * N];
    rows[6 * N..9 * N].copy_from_slice(inside.as_flattened());
    let (mask, notes) = taken(&packed(color, depth, (5, 3), &rows, palette), None);
    assert_eq!((&mask[..6], &mask[9..]), ("......", "......"));
    (mask[6..9].into(), notes)
}

#[test]
fn any_bit_counts() {
    let quiet = |(mask, notes): (String, Vec<String>)| {
        assert_eq!(notes, [""; 0], "{mask}");
        mask
    };
    assert_eq!(quiet(middle(Grayscale, [[255], [0], [255]], &[])), "x.x");
    assert_eq!(quiet(middle(Grayscale, [[0], [1], [0]], &[])), ".x.");
    assert_eq!(quiet(middle(Grayscale, [[0, 1], [0, 0], [0, 1]], &[])), "x.x");
    assert_eq!(quiet(middle(Grayscale, [[1, 0], [1, 0], [0, 0]], &[])), "xx.");
    assert_eq!(quiet(middle(Rgb, [[0, 0, 9], [0; 3], [0, 0, 9]], &[])), "x.x");
    assert_eq!(quiet(middle(Rgb, [[0, 0, 0, 0, 0, 1], [0; 6], [0; 6]], &[])), "x..");
    assert_eq!(quiet(middle(GrayscaleAlpha, [[1, 0], [0, 255], [1, 7]], &[])), "x.x");
    assert_eq!(quiet(middle(Rgba, [[255; 4], [0; 4], [255, 255, 255, 0]], &[])), "x.x");
    assert_eq!(quiet(middle(Indexed, [[1], [0], [1]], &[0, 0, 0, 9, 9, 9])), "x.x");
    let few = |depth, rows: &[u8]| quiet(taken(&packed(Grayscale, depth, (3, 3), rows, &[]), None));
    assert_eq!(few(One, &[0, 0b0100_0000, 0]), "....x....");
    assert_eq!(few(Two, &[0, 0b0001_0000, 0]), "....x....");
    assert_eq!(few(Four, &[0, 0, 0x07, 0, 0, 0]), "....x....");
}

#[test]
fn what_may_not_be_meant_is_noted() {
    let one = |(mask, notes): (String, Vec<String>)| {
        assert_eq!(notes.len(), 1, "{notes:?}");
        (mask, notes.concat())
    };
    for ((mask, note), want, says) in [
        (one(middle(Grayscale, [[0], [0], [0]], &[])), "...", "an empty mask"),
        (one(middle(GrayscaleAlpha, [[0, 9], [0, 0], [0, 9]], &[])), "x.x", "the alpha channel is taken as the mask"),
        (one(middle(Rgba, [[0, 0, 0, 9], [0; 4], [0; 4]], &[])), "x..", "the alpha channel is taken as the mask"),
        (one(middle(Grayscale, [[64], [255], [180]], &[])), "xxx", "a soft mask, with values between 0 and 255"),
        (
            one(middle(Grayscale, [[64, 1], [255, 255], [0; 2]], &[])),
            "xx.",
            "a soft mask, with values between 0 and 65535",
        ),
        (one(middle(Grayscale, [[1], [2], [255]], &[])), "xxx", "a label picture of 3 labels (1, 2, 255)"),
        (one(middle(Grayscale, [[1, 44], [2, 0], [0; 2]], &[])), "xx.", "a label picture of 2 labels (300, 512)"),
        (one(middle(Indexed, [[1], [3], [0]], &[0; 12])), "xx.", "m.png#N takes label N alone"),
        (one(middle(Rgb, [[9, 0, 0], [0, 9, 0], [0; 3]], &[])), "xx.", "a mask of 2 colours besides black"),
        (one(middle(Indexed, [[1], [1], [0]], &[255, 255, 255, 0, 0, 0])), "xx.", "(255, 255, 255), not black"),
    ] {
        assert!(mask == want && note.contains(says), "{want} {says}: {mask} {note}");
    }
    let white = packed(Grayscale, Eight, (3, 3), &[255, 255, 255, 255, 0, 255, 255, 255, 255], &[]);
    let (mask, note) = one(taken(&white, None));
    assert!(mask == "xxxx.xxxx" && note.contains("if the background is white"), "{mask} {note}");
    // Colour is the same everywhere, though it is not black.
    let cut_out = packed(GrayscaleAlpha, Eight, (3, 1), &[255, 0, 255, 0, 255, 255], &[]);
    assert_eq!(taken(&cut_out, None).0, "..x");
}

#[test]
fn a_lossy_mask_is_what_is_bright() {
    let jpeg =
        |name: &str| std::fs::read(format!("{}/../tests/data/golden/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let (mask, notes) = decode("m.jpg", &jpeg("masks/saved_as.jpg"), None).unwrap();
    let (whole, silence) = decode("m.png", &jpeg("masks/saved_as.png"), None).unwrap();
    assert_eq!((mask, silence), (whole, vec![]));
    assert!(notes.len() == 1 && notes[0].contains("its compression is lossy"), "{notes:?}");
    let refused = decode("m.jpg", &jpeg("masks/saved_as.jpg"), Some(255)).unwrap_err().to_string();
    assert!(refused.contains("label 255 of a picture without labels"), "{refused}");
}

#[test]
fn one_label_is_taken() {
    let file = packed(Grayscale, Eight, (5, 1), &[0, 1, 7, 7, 255], &[]);
    assert_eq!(taken(&file, Some(7)), ("..xx.".into(), vec![]));
    let words = packed(Grayscale, Sixteen, (3, 1), &[0, 0, 1, 44, 1, 45], &[]);
    assert_eq!(taken(&words, Some(300)).0, ".x.");
    let coloured = packed(Rgb, Eight, (2, 1), &[0, 0, 0, 9, 0, 0], &[]);
    for (file, label, says) in [
        (&file, 0, "no pixel has label 0"),
        (&file, 2, "no pixel has label 2; there are 3 labels (1, 7, 255)"),
        (&coloured, 9, "without labels"),
    ] {
        let refused = decode("m.png", file, Some(label)).unwrap_err().to_string();
        assert!(refused.contains(says), "{refused}");
    }
}

#[test]
fn names_with_a_number_sign() {
    let folder = std::env::temp_dir().join(format!("sam2-masks-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str| folder.join(name);
    let labels = packed(Grayscale, Eight, (3, 1), &[0, 1, 2], &[]);
    std::fs::write(file("m.png"), &labels).unwrap();
    std::fs::write(file("m#2"), packed(Grayscale, Eight, (3, 1), &[0, 9, 9], &[])).unwrap();
    let read = |name: &str| read_mask(file(name)).map(|mask| mask.pixels).map_err(|e| e.to_string());
    assert_eq!(read("m.png"), Ok(vec![0, 1, 1]));
    assert_eq!(read("m.png#2"), Ok(vec![0, 0, 1]));
    // A file of the whole name comes first; and it may have labels of its own.
    assert_eq!(read("m#2"), Ok(vec![0, 1, 1]));
    assert_eq!(read("m#2#9"), Ok(vec![0, 1, 1]));
    for (name, says) in [("m.png#x", "m.png#x: "), ("none.png#1", "none.png: "), ("m.png#3", "no pixel has label 3")] {
        assert!(read(name).is_err_and(|e| e.contains(says)), "{name}: {:?}", read(name));
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// Many values make a soft mask if they change from pixel to pixel, and labels if they cover areas.
#[test]
fn soft_masks_and_many_labels() {
    let side = 64;
    let file = |value: &dyn Fn(usize, usize) -> u8| {
        let pixels: Vec<u8> = (0..side * side).map(|i| value(i % side, i / side)).collect();
        packed(Grayscale, Eight, (side as u32, side as u32), &pixels, &[])
    };
    let blurred = file(&|x, y| {
        let (x, y) = (x as f32 - 31.0, y as f32 - 31.0);
        (255.0 / (1.0 + (x.hypot(y) - 15.0).exp())) as u8
    });
    let cells = file(&|x, y| if x < 4 { 0 } else { 255 - (x / 8 + 8 * (y / 8)) as u8 });
    for (file, says) in [(blurred, "a soft mask"), (cells, "a label picture of 64 labels")] {
        let notes = taken(&file, None).1;
        assert!(notes[0].contains(says), "{says}: {notes:?}");
    }
}

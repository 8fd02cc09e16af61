//! Compares pixels with those that Pillow reads, and reads damaged files.

use super::decode;
use crate::media::picture::limits::Refusal;
use crate::media::picture::samples::Samples;
use std::path::{Path, PathBuf};

fn goldens() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/golden/jpeg");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut jpegs: Vec<_> = files.filter(|f| f.extension().is_some_and(|e| e == "jpg")).collect();
    jpegs.sort();
    assert!(jpegs.len() >= 14, "only {} files", jpegs.len());
    jpegs
}

fn refused(bytes: &[u8]) -> String {
    match decode(bytes) {
        Err(Refusal::Damaged(what)) => what,
        Err(Refusal::OutOfMemory(n)) => panic!("{n} bytes"),
        Ok(Samples { width, height, .. }) => panic!("{width}x{height} pixels"),
    }
}

/// Returns a file with `to` in place of the first `from`.
fn with(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

#[test]
fn pixels_are_those_of_pillow() {
    for file in goldens() {
        let expected = crate::media::picture::read(file.with_extension("png")).unwrap();
        let got = crate::media::picture::read(&file).unwrap();
        assert_eq!((got.width, got.height, got.format), (expected.width, expected.height, expected.format), "{file:?}");
        let wrong = got.pixels.iter().zip(&expected.pixels).filter(|(a, b)| a != b).count();
        assert_eq!(wrong, 0, "{file:?}: {wrong} of {} values differ", got.pixels.len());
    }
}

/// Returns the pixels of a file.
fn pixels(bytes: &[u8]) -> Result<Vec<u16>, String> {
    match decode(bytes) {
        Ok(Samples { width, height, values, .. }) => Ok((0..3 * width * height).map(|i| values.get(i)).collect()),
        Err(Refusal::Damaged(what)) => Err(what),
        Err(Refusal::OutOfMemory(n)) => panic!("{n} bytes"),
    }
}

#[test]
fn every_cut_into_the_data_is_refused() {
    for file in goldens() {
        let whole = std::fs::read(&file).unwrap();
        let expected = pixels(&whole).unwrap();
        // Blocks of this file were made to stand elsewhere, and some are left over.
        let data = if file.ends_with("411.jpg") { 1200 } else { whole.len() - 2 };
        for cut in (0..700.min(data)).chain((700..data).step_by(17)).chain([data - 1]) {
            refused(&whole[..cut]);
            // The same with an end.
            refused(&[&whole[..cut], b"\xff\xd9"].concat());
        }
        // With what cameras put behind pictures.
        for cut in data - 8..data {
            refused(&[&whole[..cut], b"\xff\xe5\0\x04\x01\x02trailer"].concat());
        }
        for end in
            [&b""[..], b"\xff", b"\xff\xd9", b"\xff\xd9trailer", b"SEFHtrailer\0\0", b"\xff\xd8\xff\xe0\0", &whole]
        {
            let got = pixels(&[&whole[..whole.len() - 2], end].concat());
            assert!(got.as_ref() == Ok(&expected), "{file:?} with {end:?}: {:?}", got.err());
        }
    }
}

#[test]
fn what_is_wrong_is_said() {
    let read = |name: &str| std::fs::read(goldens()[0].with_file_name(name)).unwrap();
    let (plain, progressive) = (read("420.jpg"), read("420_progressive.jpg"));
    let frame = &plain[plain.windows(4).position(|w| w == b"\xff\xc0\0\x11").unwrap()..][..19];
    let changed =
        |at: usize, value: &[u8]| with(&plain, frame, &[&frame[..at], value, &frame[at + value.len()..]].concat());
    for (what, bytes) in [
        ("too short for its size", changed(5, &[0x40, 0, 0x1f, 0])),
        ("0x39 pixels", changed(7, &[0, 0])),
        ("other than 8 bits", changed(4, &[12])),
        ("of 2 colours", changed(9, &[2])),
        ("sampling", changed(11, &[0x20])),
        ("sampling", changed(12, &[9])),
        ("no multiples", changed(11, &[0x32, 0, 2, 0x22])),
        ("colours that are none", changed(10, &[7])),
        ("SOF3", changed(1, &[0xc3])),
        ("two frames", with(&plain, frame, &[frame, frame].concat())),
        ("before all of the picture", [&plain[..2], b"\xff\xd9"].concat()),
        ("a table is missing", with(&plain, b"\xff\xdb", b"\xff\xe5")),
        ("Huffman table is missing", with(&plain, b"\xff\xc4", b"\xff\xe5")),
        ("a Huffman table", with(&plain, b"\0\x1f\0\0\x01\x05", b"\0\x1f\0\x05\x01\0")),
        ("restart marker", with(&read("422_restarts.jpg"), b"\xff\xd1", b"\xff\xd2")),
        ("a scan's header", with(&progressive, b"\xff\xda\0\x08\x01\x01\0\x01", b"\xff\xda\0\x08\x01\x01\0\0")),
        ("out of turn", with(&progressive, b"\xff\xda\0\x08\x01\x02", b"\xff\xda\0\x08\x01\x03")),
    ] {
        let said = refused(&bytes);
        assert!(said.contains(what), "{what}: {said}");
    }
}

/// Returns a progressive file of four components, `side` by `side`, with a scan for every bit of each coefficient after
/// the first. No scan has a value in any block. Decoding the file takes hundreds of passes over the image, of a few
/// bytes each.
fn many_scans(side: u16) -> Vec<u8> {
    let segment =
        |marker: u8, data: &[u8]| [&[0xff, marker][..], &(data.len() as u16 + 2).to_be_bytes(), data].concat();
    let counts = |n: u8| [&[n][..], &[0; 15]].concat();
    let (side_bytes, blocks) = (side.to_be_bytes(), u32::from(side.div_ceil(8)).pow(2));
    let colours: Vec<u8> = (1..=4).flat_map(|id| [id, 0x11, 0]).collect();
    let mut file = [
        &b"\xff\xd8"[..],
        &segment(0xdb, &[&[0][..], &[1; 64]].concat()),
        &segment(0xc2, &[&[8][..], &side_bytes, &side_bytes, &[4], &colours].concat()),
        // In the first table, code 0 means an unchanged DC coefficient. In the second, it means a run of empty blocks, whose
        // length is in the 14 bits that follow.
        &segment(0xc4, &[&[0][..], &counts(1), &[0]].concat()),
        &segment(0xc4, &[&[0x10][..], &counts(1), &[0xe0]].concat()),
        &segment(0xda, &[4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 0, 0]),
        &vec![0; (4 * blocks as usize).div_ceil(8)],
    ]
    .concat();
    // Runs of 2^14 empty blocks: a zero bit and 14 more.
    let runs = vec![0; (15 * blocks.div_ceil(1 << 14) as usize).div_ceil(8)];
    for colour in 1..=4 {
        for k in 1..64 {
            for low in (0..=13).rev() {
                let high = if low == 13 { 0 } else { low + 1 };
                file.extend(segment(0xda, &[1, colour, 0, k, k, high << 4 | low]));
                file.extend(&runs);
            }
        }
    }
    [&file[..], b"\xff\xd9"].concat()
}

#[test]
fn passes_over_a_picture_are_bounded() {
    // 3528 scans.
    assert!(decode(&many_scans(64)).is_ok());
    let said = refused(&many_scans(2048));
    assert!(said.contains("more than 67108864 blocks in its scans"), "{said}");
}

//! Compares files of every kind with the pixels that Pillow reads, and tests options and damaged files.

use super::*;
use crate::error::Error;
use crate::media::format::PixelFormat;
use std::path::{Path, PathBuf};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/golden/pictures").join(name)
}

/// Returns the files, with the image that Pillow reads from each file.
fn goldens() -> Vec<(String, Vec<u8>, Picture)> {
    let names = std::fs::read_dir(golden("")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let all: Vec<String> = names.collect();
    let expected = |name: &String| {
        Some((name.clone(), std::fs::read(golden(name)).unwrap(), rgb(read(golden(&format!("{name}.png"))).ok()?)))
    };
    let mut files: Vec<_> = all.iter().filter_map(expected).collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(files.len() >= 60, "only {} files", files.len());
    files
}

fn rgb(picture: Picture) -> Picture {
    match picture.format {
        PixelFormat::Gray8 => {
            let pixels = picture.pixels.iter().flat_map(|&v| [v; 3]).collect();
            Picture { pixels, format: PixelFormat::Rgb8, ..picture }
        }
        _ => picture,
    }
}

const UPRIGHT: ReadOptions = ReadOptions { upright: true, bit_depth: None };

#[test]
fn pixels_are_those_of_pillow() {
    for (name, bytes, expected) in goldens() {
        let got = rgb(decode_with(&name, &bytes, &UPRIGHT).unwrap());
        assert_eq!((got.width, got.height), (expected.width, expected.height), "{name}");
        let most = got.pixels.iter().zip(&expected.pixels).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        // 5 and 6 bits become 8 by rounding, in Pillow by cutting off.
        let allowed = if ["555_top_down.bmp", "565.bmp"].contains(&&name[..]) { 1 } else { 0 };
        assert!(most <= allowed, "{name}: values differ by {most}");
    }
}

#[test]
fn stored_pixels_stay_and_the_orientation_is_noted() {
    let plain = read(golden("orient1.png")).unwrap();
    for number in 2..=8 {
        let bytes = std::fs::read(golden(&format!("orient{number}.png"))).unwrap();
        let (picture, notes) = decode_noted("x", &bytes, &ReadOptions::default()).unwrap();
        assert_eq!(picture, plain, "{number}");
        assert!(notes.len() == 1 && notes[0].contains(&format!("EXIF orientation {number}:")), "{notes:?}");
        assert_eq!(decode_noted("x", &bytes, &UPRIGHT).unwrap().1, [""; 0]);
    }
    for (name, notes) in
        [("orient1.png", 0), ("orient1.jpg", 0), ("orient6.jpg", 1), ("orient6.webp", 1), ("orient8.tif", 1)]
    {
        let bytes = std::fs::read(golden(name)).unwrap();
        assert_eq!(decode_noted(name, &bytes, &ReadOptions::default()).unwrap().1.len(), notes, "{name}");
    }
}

/// Returns a 16-bit PNG of a row of values.
fn words(values: &[u16]) -> Vec<u8> {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_be_bytes()).collect();
    png_of(&bytes, values.len(), 1, (::png::ColorType::Grayscale, ::png::BitDepth::Sixteen), None).unwrap()
}

#[test]
fn bit_depths() {
    let read = |values: &[u16], bit_depth| {
        let options = ReadOptions { bit_depth, ..Default::default() };
        decode_noted("x", &words(values), &options).map(|(picture, notes)| (picture.pixels, notes.concat()))
    };
    let quiet = |values: &[u16], bit_depth| match read(values, bit_depth).unwrap() {
        (pixels, note) if note.is_empty() => pixels,
        (_, note) => panic!("{note}"),
    };
    assert_eq!(quiet(&[0, 255, 256, 32768, 65535], None), [0, 0, 1, 128, 255]);
    assert_eq!(quiet(&[0, 15, 16, 2048, 4095], Some(12)), [0, 0, 1, 128, 255]);
    assert_eq!(quiet(&[0, 511], Some(9)), [0, 255]);
    assert_eq!(quiet(&[7, 255], Some(8)), [7, 255]);
    assert_eq!(quiet(&[256, 65535], Some(16)), [1, 255]);
    for (largest, bits) in [(1, 8), (255, 8), (256, 10), (3040, 12), (4096, 14), (16383, 14)] {
        let note = read(&[0, largest], None).unwrap().1;
        assert!(note.contains(&format!("largest value is {largest} ")), "{note}");
        assert!(note.contains(&format!("--bit-depth {bits})")), "{note}");
    }
    assert_eq!(quiet(&[0, 16384], None), [0, 64]);
    assert_eq!(quiet(&[0, 0], None), [0, 0], "black is black");
    let refused = read(&[0, 5000], Some(12)).unwrap_err().to_string();
    assert!(refused.contains("5000 has 13 bits, more than the bit depth of 12"), "{refused}");
    assert!(matches!(read(&[0], Some(7)), Err(Error::Input(_))));
    assert!(matches!(read(&[0], Some(17)), Err(Error::Input(_))));
    // 8 bits stay, and so do values whose largest the file states.
    let twelve = ReadOptions { bit_depth: Some(12), ..Default::default() };
    for name in ["rgb.bmp", "of_4095.pgm", "rgb16.ppm"] {
        let bytes = std::fs::read(golden(name)).unwrap();
        assert_eq!(decode_with(name, &bytes, &twelve).unwrap(), decode(name, &bytes).unwrap(), "{name}");
    }
}

#[test]
fn files_that_are_not_read_are_named() {
    let brand = |brand: &[u8]| [b"\0\0\0\x18ftyp", brand, b"\0\0\0\0mif1heic"].concat();
    for (bytes, says) in [
        (brand(b"heic"), "a HEIC file, which is not read; convert it to PNG or JPEG"),
        (brand(b"mif1"), "a HEIC file"),
        (brand(b"avif"), "an AVIF file, which is not read; convert it to PNG or JPEG"),
        (brand(b"isom"), "a video"),
        (b"\xff\x0a\0\0\0\0\0\0\0\0\0\0".to_vec(), "a JPEG XL file"),
        (b"\0\0\0\x0cjP  \r\n\x87\n".to_vec(), "a JPEG 2000 file"),
        (b"8BPS\0\x01".to_vec(), "a Photoshop file"),
        (b"%PDF-1.7".to_vec(), "neither PNG, JPEG, WebP, BMP, TIFF, GIF nor PNM"),
        (vec![], "the file is empty"),
    ] {
        let refused = decode("x", &bytes).unwrap_err().to_string();
        assert!(refused.contains(says), "{says}: {refused}");
    }
}

#[test]
fn cuts_and_lies_are_refused() {
    for (name, bytes, expected) in goldens() {
        for cut in (0..bytes.len()).step_by(if bytes.len() > 2000 { 23 } else { 3 }) {
            // What follows the pixels is not needed: the end of a file, and other pictures in it.
            if let Ok(picture) = decode_with(&name, &bytes[..cut], &UPRIGHT) {
                let most = rgb(picture).pixels.iter().zip(&expected.pixels).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
                assert!(most <= 1, "{name} cut at {cut} of {}", bytes.len());
            }
        }
    }
    let pam = |w: usize, h: usize| {
        format!("P7\nWIDTH {w}\nHEIGHT {h}\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n").into_bytes()
    };
    let bmp = |w: i32, h: i32| {
        let mut file = std::fs::read(golden("rgb.bmp")).unwrap();
        file[18..22].copy_from_slice(&w.to_le_bytes());
        file[22..26].copy_from_slice(&h.to_le_bytes());
        file
    };
    let gif = |w: u16, h: u16| {
        let mut file = std::fs::read(golden("rgb.gif")).unwrap();
        file[6..8].copy_from_slice(&w.to_le_bytes());
        file[8..10].copy_from_slice(&h.to_le_bytes());
        file
    };
    for (what, bytes) in [
        ("PGM", b"P5 60000 60000 255 ".to_vec()),
        ("PPM", b"P6 20000 20000 65535 ".to_vec()),
        ("PBM", b"P4 4294967295 4294967295 ".to_vec()),
        ("PAM", pam(32769, 1)),
        ("BMP", bmp(60000, 60000)),
        ("BMP", bmp(32768, -32768)),
        ("GIF", gif(65535, 65535)),
        ("GIF", gif(32768, 32768)),
    ] {
        let refused = decode("x", &bytes).unwrap_err().to_string();
        assert!(refused.contains("a side may have 32768, a picture 134217728"), "{what}: {refused}");
    }
    for (what, bytes) in [("PNM", b"P5 30000 4000 255 ".to_vec()), ("BMP", bmp(30000, 4000)), ("GIF", gif(30000, 4000))]
    {
        let refused = decode("x", &bytes).unwrap_err().to_string();
        assert!(refused.contains(&format!("damaged {what}: too short for its size")), "{refused}");
    }
    assert!(decode("x", &bmp(0, 0)).is_err() && decode("x", &bmp(i32::MIN, i32::MIN)).is_err());
}

/// A file with changed bytes gives an error or an image, and never a panic.
#[test]
fn damage_is_survived() {
    let mut seed = 1u64;
    let mut random = |n: usize| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as usize % n
    };
    for (name, bytes, _) in goldens() {
        for _ in 0..40 {
            let mut damaged = bytes.clone();
            for _ in 0..1 + random(4) {
                let within = if random(2) == 0 { 64.min(bytes.len()) } else { bytes.len() };
                damaged[random(within)] = [0, 1, 127, 128, 255, random(256) as u8][random(6)];
            }
            if let Ok(picture) = decode(&name, &damaged) {
                assert_eq!(picture.pixels.len(), picture.width * picture.height * picture.format.row_bytes(0, 1));
            }
        }
    }
}

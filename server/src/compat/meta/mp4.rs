//! What the head of an MP4 file tells, for the question whether a browser plays the file as it is.

use sam2::Size;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// The most bytes of a head. One with an entry for each of 10,000 frames has less than 1 MiB.
const MAX_HEAD: u64 = 16 << 20;
/// The most boxes of a file.
const MAX_BOXES: usize = 1000;
/// The profiles of H.264 that browsers decode: Baseline, Main and High.
const PROFILES: [u8; 3] = [66, 77, 100];
/// The matrix of a track that is shown as it is.
const IDENTITY: [u32; 9] = [1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30];

/// A file with one track of video, in H.264, that browsers play without a turn or a change of its proportions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Playable {
    /// The number of coded frames.
    pub frames: usize,
    /// Their size.
    pub size: Size,
}

/// What a file is; none if it is not playable.
///
/// # Errors
///
/// The file cannot be read.
pub fn playable(path: &Path) -> io::Result<Option<Playable>> {
    let mut file = File::open(path)?;
    let end = file.metadata()?.len();
    let mut at = 0;
    for i in 0..MAX_BOXES {
        if at + 8 > end {
            break;
        }
        let mut head = [0; 16];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut head[..8])?;
        let (short, kind) = (number(&head, 0).unwrap_or(0), &head[4..8].to_vec());
        let (length, skip) = match short {
            0 => (end - at, 8),
            1 if at + 16 <= end => {
                file.read_exact(&mut head[8..])?;
                (u64::from_be_bytes([head[8], head[9], head[10], head[11], head[12], head[13], head[14], head[15]]), 16)
            }
            n => (u64::from(n), 8),
        };
        // The first box says what the file is.
        if length < skip || length > end - at || (i == 0 && kind != b"ftyp") {
            return Ok(None);
        }
        if kind == b"moov" && length <= MAX_HEAD {
            let mut moov = Vec::new();
            file.take(length - skip).read_to_end(&mut moov)?;
            return Ok(track(&moov));
        }
        at += length;
    }
    Ok(None)
}

/// A number of 32 bits.
fn number(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// A number of 16 bits.
fn half(data: &[u8], at: usize) -> Option<usize> {
    let bytes = data.get(at..at.checked_add(2)?)?;
    Some(usize::from(u16::from_be_bytes([bytes[0], bytes[1]])))
}

/// The contents of all boxes of a kind.
fn boxes<'a>(mut data: &'a [u8], kind: &'a [u8; 4]) -> impl Iterator<Item = &'a [u8]> {
    std::iter::from_fn(move || {
        loop {
            let length = number(data, 0)? as usize;
            let (found, contents) = (data.get(4..8)?, data.get(8..length)?);
            data = &data[length..];
            if found == kind {
                return Some(contents);
            }
        }
    })
}

/// The content of the first box of a path.
fn first<'a>(data: &'a [u8], path: &'a [&'a [u8; 4]]) -> Option<&'a [u8]> {
    path.iter().try_fold(data, |data, kind| boxes(data, kind).next())
}

fn track(moov: &[u8]) -> Option<Playable> {
    // The samples of a fragmented file are listed elsewhere.
    if boxes(moov, b"mvex").next().is_some() {
        return None;
    }
    let is_video = |trak: &&[u8]| first(trak, &[b"mdia", b"hdlr"]).and_then(|hdlr| hdlr.get(8..12)) == Some(b"vide");
    let mut tracks = boxes(moov, b"trak").filter(is_video);
    let (Some(trak), None) = (tracks.next(), tracks.next()) else { return None };
    let tkhd = first(trak, &[b"tkhd"])?;
    let matrix = if tkhd.first() == Some(&1) { 52 } else { 40 };
    if (0..9).any(|i| number(tkhd, matrix + 4 * i) != Some(IDENTITY[i])) {
        return None;
    }
    let stbl = first(trak, &[b"mdia", b"minf", b"stbl"])?;
    let stsd = first(stbl, &[b"stsd"])?;
    if number(stsd, 4)? != 1 {
        return None;
    }
    let entry = boxes(stsd.get(8..)?, b"avc1").next()?;
    let parts = entry.get(78..)?;
    let profile = *boxes(parts, b"avcC").next()?.get(1)?;
    let is_square = boxes(parts, b"pasp").all(|pasp| number(pasp, 0) == number(pasp, 4));
    if !PROFILES.contains(&profile) || !is_square {
        return None;
    }
    let frames = number(first(stbl, &[b"stsz"])?, 8)? as usize;
    Some(Playable { frames, size: Size::new(half(entry, 24)?, half(entry, 26)?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], contents: &[&[u8]]) -> Vec<u8> {
        let contents = contents.concat();
        [&(contents.len() as u32 + 8).to_be_bytes()[..], kind, &contents].concat()
    }

    fn file(codec: &[u8; 4], profile: u8, turn: u32, more: &[u8]) -> Vec<u8> {
        let matrix = [turn, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30].map(u32::to_be_bytes).concat();
        let tkhd = boxed(b"tkhd", &[&[0; 40], &matrix, &[0; 8]]);
        let hdlr = boxed(b"hdlr", &[&[0; 8], b"vide", &[0; 13]]);
        let avcc = boxed(b"avcC", &[&[1, profile, 0, 30]]);
        let size = [[0, 64], [0, 48]].concat();
        let entry = boxed(codec, &[&[0; 24], &size, &[0; 50], &avcc]);
        let stsd = boxed(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1], &entry]);
        let stsz = boxed(b"stsz", &[&[0; 8], &[0, 0, 0, 7]]);
        let stbl = boxed(b"stbl", &[&stsd, &stsz]);
        let mdia = boxed(b"mdia", &[&hdlr, &boxed(b"minf", &[&stbl])]);
        let moov = boxed(b"moov", &[&boxed(b"trak", &[&tkhd, &mdia]), more]);
        [boxed(b"ftyp", &[b"isom"]), boxed(b"mdat", &[&[1; 100]]), moov].concat()
    }

    fn read(name: &str, bytes: &[u8]) -> Option<Playable> {
        let path = std::env::temp_dir().join(format!("sam2-mp4-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        let found = playable(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        found
    }

    #[test]
    fn what_a_browser_plays() {
        let good = file(b"avc1", 100, 1 << 16, &[]);
        assert_eq!(read("a", &good), Some(Playable { frames: 7, size: Size::new(64, 48) }));
        assert_eq!(read("a", &file(b"hvc1", 100, 1 << 16, &[])), None);
        // High 4:4:4, a track that is turned, and fragments.
        assert_eq!(read("a", &file(b"avc1", 244, 1 << 16, &[])), None);
        assert_eq!(read("a", &file(b"avc1", 100, 0, &[])), None);
        assert_eq!(read("a", &file(b"avc1", 100, 1 << 16, &boxed(b"mvex", &[]))), None);
        assert_eq!(read("a", b""), None);
    }

    #[test]
    fn damaged_heads_end() {
        let good = file(b"avc1", 100, 1 << 16, &[]);
        for length in 0..good.len() {
            assert_eq!(read("b", &good[..length]), None, "{length}");
        }
        let original = read("b", &good);
        for at in 0..good.len() {
            for value in [0, 1, 255] {
                let mut bad = good.clone();
                bad[at] = value;
                // It may still be a file, but it is read to an end.
                let _ = read("b", &bad) == original;
            }
        }
    }
}

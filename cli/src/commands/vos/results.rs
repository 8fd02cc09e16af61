//! Writes the masks of a video.

use crate::error::{Failure, io};
use crate::output::write;
use sam2::memory::try_collect;
use sam2::{FrameMasks, Size, labels};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Where and how to write masks.
pub struct Results<'a> {
    pub folder: PathBuf,
    /// The names of the frames.
    pub names: &'a [String],
    /// Write a file per object.
    pub per_object: bool,
    pub palette: &'a [u8],
    /// The threshold of the logits: a pixel above it is on the object.
    pub threshold: f32,
    pub height: usize,
    pub width: usize,
    /// The claims of earlier groups by frame, for frames that later groups will add to.
    pub kept: BTreeMap<usize, Vec<Claim>>,
}

/// A pixel and the object with the highest logit there.
pub struct Claim {
    pixel: u32,
    object: u8,
    logit: f32,
}

impl Results<'_> {
    /// Creates the output folders of the objects.
    pub fn create(&self, objects: &[i64]) -> Result<(), Failure> {
        let make = |folder: PathBuf| std::fs::create_dir_all(&folder).map_err(|e| io(&folder, e));
        make(self.folder.clone())?;
        let mut folders = objects.iter().filter(|_| self.per_object).map(|id| self.folder.join(format!("{id:03}")));
        folders.try_for_each(make)
    }

    /// Whether the masks of all frames from `first` on exist and are complete PNG files.
    pub fn is_complete(&self, objects: &[i64], first: usize) -> bool {
        let names = || self.names[first..].iter().map(|name| format!("{name}.png"));
        let is_written = |folder: PathBuf| names().all(|name| is_whole_png(&folder.join(name)));
        match self.per_object {
            true => objects.iter().all(|id| is_written(self.folder.join(format!("{id:03}")))),
            false => is_written(self.folder.clone()),
        }
    }

    /// Takes the masks of a group on a frame. `more`: later groups have masks on this frame too. A file of all objects
    /// is written after the last group, and each pixel belongs to the object with the highest logit.
    pub fn put(&mut self, masks: &FrameMasks, more: bool) -> Result<(), Failure> {
        let n = self.height * self.width;
        let name = format!("{}.png", self.names[masks.frame_idx]);
        let objects = masks.obj_ids.iter().zip(masks.masks.chunks(n));
        if self.per_object {
            for (id, logits) in objects {
                let mask = try_collect(n, "a mask", logits.iter().map(|&v| (v > self.threshold) as u8))?;
                let file = self.folder.join(format!("{id:03}")).join(&name);
                write(&file, &labels::encode(&mask, Size::new(self.width, self.height), self.palette)?)?;
            }
            return Ok(());
        }
        let mut highest = try_collect(n, "masks", std::iter::repeat_n(f32::NEG_INFINITY, n))?;
        let mut owner = try_collect(n, "masks", std::iter::repeat_n(0u8, n))?;
        let mut claim = |pixel: usize, object: u8, logit: f32| {
            let (high, owner) = (&mut highest[pixel], &mut owner[pixel]);
            if *owner == 0 || logit > *high || logit == *high && object < *owner {
                (*high, *owner) = (logit, object);
            }
        };
        for c in self.kept.remove(&masks.frame_idx).unwrap_or_default() {
            claim(c.pixel as usize, c.object, c.logit);
        }
        for (&id, logits) in objects {
            let on = logits.iter().enumerate().filter(|(_, v)| **v > self.threshold);
            on.for_each(|(pixel, &logit)| claim(pixel, id as u8, logit));
        }
        if more {
            let claimed = (0..n).filter(|&i| owner[i] != 0);
            let claims = claimed.clone().map(|i| Claim { pixel: i as u32, object: owner[i], logit: highest[i] });
            self.kept.insert(masks.frame_idx, try_collect(claimed.count(), "masks of a video", claims)?);
            return Ok(());
        }
        write(&self.folder.join(name), &labels::encode(&owner, Size::new(self.width, self.height), self.palette)?)
    }
}

/// Whether a file has the start and the end of a PNG.
fn is_whole_png(path: &Path) -> bool {
    let ends = || {
        let mut file = File::open(path)?;
        let (mut head, mut tail) = ([0; 8], [0; 8]);
        file.read_exact(&mut head)?;
        file.seek(SeekFrom::End(-8))?;
        file.read_exact(&mut tail)?;
        std::io::Result::Ok(head == *b"\x89PNG\r\n\x1a\n" && tail[..4] == *b"IEND")
    };
    ends().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixel_of_several_groups_is_the_highest_logits() {
        let folder = std::env::temp_dir().join(format!("sam2-cli-results-{}", std::process::id()));
        let (names, palette) = (["7".to_string()], [1, 2, 3]);
        let mut results = Results {
            folder: folder.clone(),
            names: &names,
            per_object: false,
            palette: &palette,
            threshold: 1.0,
            height: 1,
            width: 5,
            kept: BTreeMap::new(),
        };
        results.create(&[]).ok().unwrap();
        let mut put = |obj_ids: &[i64], masks: &[f32], more| {
            let masks = FrameMasks { obj_ids: obj_ids.to_vec(), masks: masks.to_vec(), ..Default::default() };
            results.put(&masks, more).ok().unwrap();
            results.is_complete(&[], 0)
        };
        assert!(!put(&[4], &[5.0, 5.0, 5.0, 0.9, 1.0], true), "others are to come");
        assert!(!put(&[2], &[6.0, 4.0, 5.0, 0.8, 2.0], true));
        assert!(put(&[3, 9], &[5.5, 4.5, 5.0, 0.7, 0.0, 0.0, 0.0, 0.0, 1.5, 0.0], false));
        // Of equal logits, the lower number gets the pixel. Logits at or below the threshold get none.
        assert_eq!(labels::read(folder.join("7.png")).unwrap().numbers, [2, 4, 2, 9, 2]);
        let _ = std::fs::remove_dir_all(folder);
    }
}

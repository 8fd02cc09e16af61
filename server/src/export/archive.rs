//! Archives of mask images.

use super::annotations::file_name;
use super::work::Work;
use crate::problem::{Problem, disk};
use sam2::PixelFormat;
use sam2::picture::{Picture, encode_indexed_png, encode_png};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Writes an archive whose files `fill` adds.
fn archive(
    path: &Path,
    fill: impl FnOnce(&mut dyn FnMut(&str, &[u8]) -> Result<(), Problem>) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let mut zip = ZipWriter::new(BufWriter::new(File::create(path).map_err(|e| disk(&e))?));
    // PNG is compressed already.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let failed = |e: zip::result::ZipError| disk(&std::io::Error::other(e));
    fill(&mut |name, bytes| {
        zip.start_file(name, options).map_err(failed)?;
        zip.write_all(bytes).map_err(|e| disk(&e))
    })?;
    zip.finish().map_err(failed)?.flush().map_err(|e| disk(&e))
}

/// A PNG for each object and frame: `OBJECT/FRAME.png`.
pub(super) fn masks(work: &Work<'_>, path: &Path) -> Result<(), Problem> {
    archive(path, |add| {
        for (frame, masks) in work.frames() {
            for mask in masks {
                let mut pixels = mask.decode(work.size)?;
                pixels.iter_mut().for_each(|value| *value *= 255);
                let (width, height) = (work.size.width, work.size.height);
                let picture = Picture { pixels, width, height, format: PixelFormat::Gray8 };
                add(&format!("{}/{}", mask.object, file_name(frame, "png")), &encode_png(&picture)?)?;
            }
        }
        Ok(())
    })
}

/// An indexed PNG for each frame. Where masks overlap, the object that was added first is on top.
pub(super) fn labels(work: &Work<'_>, path: &Path) -> Result<(), Problem> {
    if let Some(object) = work.objects.iter().find(|object| !(1..=255).contains(*object)) {
        return Err(Problem::input(format!("object {object}: label images hold numbers from 1 to 255")));
    }
    archive(path, |add| {
        for (frame, masks) in work.frames() {
            let mut labels = vec![0; work.size.pixels()];
            for object in work.objects.iter().rev() {
                let Some(mask) = masks.iter().find(|mask| mask.object == *object) else { continue };
                let on = mask.decode(work.size)?;
                labels.iter_mut().zip(on).filter(|(_, on)| *on != 0).for_each(|(label, _)| *label = *object as u8);
            }
            add(&file_name(frame, "png"), &encode_indexed_png(&labels, work.size)?)?;
        }
        Ok(())
    })
}

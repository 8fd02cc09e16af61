//! Writes and prints the results of each frame.

use super::args::Args;
use super::plan::Chosen;
use crate::console::print;
use crate::error::{Failure, io};
use crate::output::write;
use crate::overlay::Overlay;
use crate::overlay_video::OverlayVideo;
use crate::pixels::to_rgb;
use crate::spool::Spool;
use crate::tensors;
use sam2::memory::try_collect;
use sam2::rle::Rle;
use sam2::{DType, FrameMasks, Frames, Size, picture};
use std::path::{Path, PathBuf};

/// The frame rate of an overlay video, if that of the video is unknown.
const RATE: f64 = 24.0;

/// The outputs of the command.
pub struct Results<'a> {
    args: &'a Args,
    frames: Frames,
    chosen: Chosen,
    height: usize,
    width: usize,
    overlay: Option<Drawn>,
    /// The file of `--raw`, and the logits and score by frame and object.
    raw: Option<(&'a Path, Spool<(usize, i64)>)>,
}

/// The output of overlays.
enum Drawn {
    /// An image per frame.
    Pictures(PathBuf),
    /// A video whose frames are tracked in ascending order.
    Video(OverlayVideo),
    /// A video whose frames are tracked in any order, or repeatedly. The latest masks are kept and drawn at the end.
    Later(OverlayVideo, Spool<usize>),
}

impl<'a> Results<'a> {
    /// Creates folders and files, so that write errors show before tracking starts.
    pub fn new(args: &'a Args, frames: Frames, chosen: Chosen, Size { width, height }: Size) -> Result<Self, Failure> {
        let mut overlay = None;
        if let Some(folder) = &args.output {
            let pictures = folder.join("overlay");
            // Only the frames of a folder have names.
            let named = frames.name(0).is_some();
            let within = if named { &pictures } else { folder };
            std::fs::create_dir_all(within).map_err(|e| io(within, e))?;
            overlay = Some(if named {
                Drawn::Pictures(pictures)
            } else {
                let file = folder.join("overlay.mp4");
                let video = OverlayVideo::create(&file, width, height, frames.rate().unwrap_or(RATE))?;
                match args.in_time_order() {
                    true => Drawn::Video(video),
                    false => Drawn::Later(video, Spool::beside(&file).map_err(|e| io(&file, e))?),
                }
            });
        }
        let raw = match args.raw.as_deref() {
            Some(file) => Some((file, Spool::beside(file).map_err(|e| io(file, e))?)),
            None => None,
        };
        Ok(Results { args, frames, chosen, height, width, overlay, raw })
    }

    /// The name of the frame's file or, for a video file, the number of the frame.
    fn name(&self, frame: usize) -> String {
        let number = || format!("{:05}", self.chosen.index(frame));
        self.frames.name(frame).map_or_else(number, String::from)
    }

    /// Stores the masks of a frame that call `i` returned.
    pub fn store(&mut self, i: usize, masks: &FrameMasks) -> Result<(), Failure> {
        let (h, w) = (self.height, self.width);
        let objects: Vec<Rle> = (masks.masks.chunks(h * w))
            .map(|m| Rle::encode(&try_collect(h * w, "a mask", m.iter().map(|&v| (v > 0.0) as u8))?, Size::new(w, h)))
            .collect::<sam2::Result<_>>()?;
        if self.args.json {
            self.print(i, masks, &objects)?;
        }
        if let Some((file, spool)) = &mut self.raw {
            for ((logits, id), score) in masks.masks.chunks(h * w).zip(&masks.obj_ids).zip(&masks.object_score_logits) {
                let bytes = logits.iter().chain([score]).flat_map(|v| v.to_le_bytes());
                let bytes = try_collect((h * w + 1) * 4, "logits", bytes)?;
                spool.put((masks.frame_idx, *id), &bytes).map_err(|e| io(file, e))?;
            }
        }
        self.draw(masks, &objects)
    }

    /// Prints a line of JSON per object.
    fn print(&self, i: usize, masks: &FrameMasks, objects: &[Rle]) -> Result<(), Failure> {
        for ((rle, id), score) in objects.iter().zip(&masks.obj_ids).zip(&masks.object_score_logits) {
            let mut record = serde_json::json!({
                "frame": self.chosen.index(masks.frame_idx),
                "object": id,
                "segmentation": {"size": [self.height, self.width], "counts": rle.to_coco()?},
                "bbox": rle.bbox(),
                "area": rle.area(),
                "object_score": score.is_finite().then_some(score),
            });
            if let Some(name) = self.frames.name(masks.frame_idx) {
                record["name"] = name.into();
            }
            if self.args.script.is_some() {
                record["call"] = i.into();
            }
            print(&record.to_string())?;
        }
        Ok(())
    }

    /// Writes the label image and the overlay.
    fn draw(&mut self, masks: &FrameMasks, objects: &[Rle]) -> Result<(), Failure> {
        let Some(folder) = &self.args.output else { return Ok(()) };
        let (h, w) = (self.height, self.width);
        if let Some(id) = masks.obj_ids.iter().find(|id| !(1..=255).contains(*id)) {
            return Err(Failure::Usage(format!(
                "object {id}: the label images of --output hold numbers from 1 to 255"
            )));
        }
        // If several masks contain a pixel, the object with the highest logit gets it.
        let owner = |i: usize| {
            let logit = |k: usize| masks.masks[k * h * w + i];
            let best = (1..objects.len()).fold(0, |best, k| if logit(k) > logit(best) { k } else { best });
            if !objects.is_empty() && logit(best) > 0.0 { masks.obj_ids[best] as u8 } else { 0 }
        };
        let owners = try_collect(h * w, "a mask", (0..h * w).map(owner))?;
        let name = format!("{}.png", self.name(masks.frame_idx));
        write(&folder.join(&name), &picture::encode_indexed_png(&owners, Size::new(w, h))?)?;
        let overlay = |frames: &Frames| overlay(frames, masks.frame_idx, objects);
        match &mut self.overlay {
            Some(Drawn::Pictures(folder)) => write(&folder.join(&name), &picture::encode_png(&overlay(&self.frames)?)?),
            Some(Drawn::Video(video)) => Ok(video.push(&to_rgb(&overlay(&self.frames)?)?)?),
            Some(Drawn::Later(_, spool)) => {
                let runs = objects.iter().map(Rle::to_coco).collect::<sam2::Result<Vec<String>>>()?;
                spool.put(masks.frame_idx, runs.join("\n").as_bytes()).map_err(|e| io(folder, e))
            }
            None => Ok(()),
        }
    }

    /// Writes the results that need all frames.
    pub fn finish(self) -> Result<(), Failure> {
        if let Some((file, spool)) = &self.raw {
            self.write_raw(file, spool)?;
        }
        let video = match self.overlay {
            Some(Drawn::Video(video)) => Some(video),
            Some(Drawn::Later(mut video, spool)) => {
                for frame in spool.keys() {
                    let runs = spool.get(frame).map_err(|e| io(Path::new("overlay.mp4"), e))?;
                    let runs = String::from_utf8_lossy(&runs);
                    let rle = |runs: &str| Rle::from_coco(runs, Size::new(self.width, self.height));
                    let objects: Vec<Rle> = runs.lines().map(rle).collect::<sam2::Result<_>>()?;
                    video.push(&to_rgb(&overlay(&self.frames, frame, &objects)?)?)?;
                }
                Some(video)
            }
            _ => None,
        };
        // A video without frames is not written.
        Ok(video.filter(|video| !video.is_empty()).map_or(Ok(()), OverlayVideo::finish)?)
    }

    /// Writes the tensors of all frames and objects.
    fn write_raw(&self, file: &Path, spool: &Spool<(usize, i64)>) -> Result<(), Failure> {
        let keys: Vec<(usize, i64)> = spool.keys().collect();
        let name = |&(frame, id): &(usize, i64)| {
            ["logits", "score"].map(|what| format!("{}/obj_{id}/{what}", self.name(frame)))
        };
        let names: Vec<String> = keys.iter().flat_map(name).collect();
        let size = [self.height, self.width];
        let headers: Vec<tensors::Header<'_>> = names
            .iter()
            .enumerate()
            .map(|(i, name)| tensors::Header { name, dtype: DType::F32, shape: if i % 2 == 0 { &size } else { &[] } })
            .collect();
        let logits = (self.height * self.width * 4) as u64;
        tensors::write(file, &headers, |i, out| {
            let (from, len) = if i % 2 == 0 { (0, logits) } else { (logits, 4) };
            spool.copy(keys[i / 2], from, len, out)
        })
    }
}

/// Draws masks over a frame.
fn overlay(frames: &Frames, frame: usize, objects: &[Rle]) -> Result<picture::Picture, Failure> {
    let picture = frames.read(frame)?;
    let masks: Vec<&Rle> = objects.iter().collect();
    Ok(Overlay { picture: &picture, masks: &masks, prompts: &[] }.draw()?)
}

//! What is written and printed of each frame.

use super::Args;
use crate::output::write;
use crate::overlay::Overlay;
use crate::overlay_video::OverlayVideo;
use crate::segment::{to_rgb, try_collect};
use crate::{Failure, io, print, tensors};
use sam2::picture;
use sam2::rle::Rle;
use sam2::{FrameMasks, Frames};
use std::collections::BTreeMap;

/// Frames a second of an overlay where nobody knows.
const RATE: f64 = 24.0;

/// Where results go.
pub struct Results<'a> {
    args: &'a Args,
    frames: Frames,
    height: usize,
    width: usize,
    /// Of a video file; a folder's overlays are pictures.
    overlay: Option<OverlayVideo>,
    /// By name, the latest of each: logits and scores.
    raw: BTreeMap<String, Vec<f32>>,
}

impl<'a> Results<'a> {
    /// Makes folders and files, so that what cannot be written is known before anything is tracked.
    pub fn new(args: &'a Args, frames: Frames, (height, width): (usize, usize)) -> Result<Self, Failure> {
        let mut overlay = None;
        if let Some(folder) = &args.output {
            let within = if args.video.is_dir() { folder.join("overlay") } else { folder.clone() };
            std::fs::create_dir_all(&within).map_err(|e| io(&within, e))?;
            if !args.video.is_dir() {
                let rate = frames.rate().unwrap_or(RATE);
                overlay = Some(OverlayVideo::create(&folder.join("overlay.mp4"), width, height, rate)?);
            }
        }
        Ok(Results { args, frames, height, width, overlay, raw: BTreeMap::new() })
    }

    /// A frame that call `i` gave.
    pub fn store(&mut self, i: usize, masks: &FrameMasks) -> Result<(), Failure> {
        let (h, w) = (self.height, self.width);
        let objects: Vec<Rle> = (masks.masks.chunks(h * w))
            .map(|m| Ok(Rle::encode(&try_collect(h * w, "a mask", m.iter().map(|&v| (v > 0.0) as u8))?, h, w)))
            .collect::<sam2::Result<_>>()?;
        if self.args.json {
            for ((rle, id), score) in objects.iter().zip(&masks.obj_ids).zip(&masks.scores) {
                let mut record = serde_json::json!({
                    "frame": masks.frame_idx,
                    "object": id,
                    "segmentation": {"size": [h, w], "counts": rle.to_coco()},
                    "bbox": rle.bbox(),
                    "area": rle.area(),
                    "object_score": score.is_finite().then_some(score),
                });
                if self.args.script.is_some() {
                    record["call"] = i.into();
                }
                print(&record.to_string())?;
            }
        }
        if self.args.raw.is_some() {
            for ((logits, id), &score) in masks.masks.chunks(h * w).zip(&masks.obj_ids).zip(&masks.scores) {
                let name = |what: &str| format!("{:05}/obj_{id}/{what}", masks.frame_idx);
                self.raw.insert(name("logits"), try_collect(h * w, "logits", logits.iter().copied())?);
                self.raw.insert(name("score"), vec![score]);
            }
        }
        self.draw(masks, &objects)
    }

    /// The masks as pictures.
    fn draw(&mut self, masks: &FrameMasks, objects: &[Rle]) -> Result<(), Failure> {
        let Some(folder) = &self.args.output else { return Ok(()) };
        let (h, w) = (self.height, self.width);
        if let Some(id) = masks.obj_ids.iter().find(|id| !(1..=255).contains(*id)) {
            return Err(Failure::Usage(format!("object {id}: the masks of -o hold numbers from 1 to 255")));
        }
        // Where several objects claim a pixel, the one with the highest logit has it.
        let owner = |i: usize| {
            let logit = |k: usize| masks.masks[k * h * w + i];
            let best = (1..objects.len()).fold(0, |best, k| if logit(k) > logit(best) { k } else { best });
            if !objects.is_empty() && logit(best) > 0.0 { masks.obj_ids[best] as u8 } else { 0 }
        };
        let owners = try_collect(h * w, "a mask", (0..h * w).map(owner))?;
        let name = format!("{:05}.png", masks.frame_idx);
        write(&folder.join(&name), &picture::encode_indexed_png(&owners, w, h)?)?;
        let picture = self.frames.read(masks.frame_idx)?;
        let overlay = Overlay { picture: &picture, masks: &objects.iter().collect::<Vec<_>>(), prompts: &[] }.draw()?;
        match &mut self.overlay {
            Some(video) => Ok(video.push(&to_rgb(&overlay)?)?),
            None => write(&folder.join("overlay").join(&name), &picture::encode_png(&overlay)?),
        }
    }

    /// Writes what could not be written before.
    pub fn finish(self) -> Result<(), Failure> {
        if let Some(file) = &self.args.raw {
            let size = [self.height, self.width];
            let shape = |name: &str| if name.ends_with("score") { &size[..0] } else { &size[..] };
            let list: Vec<(&str, &[usize], &[f32])> =
                self.raw.iter().map(|(name, values)| (&name[..], shape(name), &values[..])).collect();
            tensors::write_f32(file, &list)?;
        }
        // Where nothing was found there is nothing to see.
        Ok(self.overlay.filter(|video| !video.is_empty()).map_or(Ok(()), OverlayVideo::finish)?)
    }
}

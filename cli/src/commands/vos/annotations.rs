//! Finds and reads the input masks of a video.

use super::args::Args;
use super::mask::Mask;
use super::masklets::Masklets;
use crate::error::{Failure, invalid};
use crate::files::folders;
use sam2::labels;
use sam2::memory::try_collect;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The input masks of a video. They are read on demand, since all of them may not fit in memory.
pub enum Annotations {
    /// A file per frame. A pixel is the number of its object.
    Labels(BTreeMap<usize, PathBuf>),
    /// A file per object and frame.
    PerObject { objects: Vec<i64>, files: BTreeMap<usize, Vec<(i64, PathBuf)>> },
    /// SA-V's JSON, with masks of every `stride`th frame.
    Masklets { masklets: Masklets, stride: usize },
}

/// The masks of one frame.
pub struct OnFrame {
    pub masks: Vec<(i64, Mask)>,
    /// The palette of the file, if it has one.
    pub palette: Option<Vec<u8>>,
}

impl Annotations {
    /// Finds the masks of a video. `frames` are the names of its frames.
    pub fn find(args: &Args, video: &str, frames: &[String]) -> Result<Annotations, Failure> {
        if let Some(kind) = &args.masklets {
            let file = args.input_mask_dir.join(format!("{video}_{kind}.json"));
            let (masklets, stride) = (Masklets::read(&file)?, args.masklet_stride as usize);
            if masklets.len().saturating_sub(1).saturating_mul(stride) >= frames.len() {
                let what = format!("masks of {} frames with a stride of {stride}", masklets.len());
                return Err(invalid(&file, format!("{what}, for a video of {}", frames.len())));
            }
            return Ok(Annotations::Masklets { masklets, stride });
        }
        let folder = args.input_mask_dir.join(video);
        // The mask files that exist, with the indices of their frames.
        let of_frames = |folder: &PathBuf| {
            let files = frames.iter().map(|name| folder.join(format!("{name}.png"))).enumerate();
            files.filter(|(_, file)| file.exists()).collect::<Vec<_>>()
        };
        if !args.per_obj_png_file {
            return Ok(Annotations::Labels(of_frames(&folder).into_iter().collect()));
        }
        let (mut objects, mut files) = (Vec::new(), BTreeMap::<usize, Vec<_>>::new());
        for (name, folder) in folders(&folder)? {
            let Ok(id) = name.parse::<u32>() else {
                return Err(invalid(&folder, "expected a folder per object, whose name is a number"));
            };
            let id = i64::from(id);
            if objects.contains(&id) {
                return Err(invalid(&folder, format!("another folder is also of object {id}")));
            }
            objects.push(id);
            of_frames(&folder).into_iter().for_each(|(frame, file)| files.entry(frame).or_default().push((id, file)));
        }
        Ok(Annotations::PerObject { objects, files })
    }

    /// The indices of the frames with masks.
    pub fn frames(&self) -> Vec<usize> {
        match self {
            Annotations::Labels(files) => files.keys().copied().collect(),
            Annotations::PerObject { files, .. } => files.keys().copied().collect(),
            Annotations::Masklets { masklets, stride } => (0..masklets.len()).map(|at| at * stride).collect(),
        }
    }

    /// The first object that has masks, but none on this frame.
    pub fn missing(&self, frame: usize) -> Option<i64> {
        let Annotations::PerObject { objects, files } = self else { return None };
        let there = files.get(&frame).map_or(&[][..], |files| files);
        objects.iter().copied().find(|id| there.iter().all(|(other, _)| other != id))
    }

    /// Reads the masks of a frame.
    pub fn read(&self, frame: usize) -> Result<OnFrame, Failure> {
        let mut on_frame = OnFrame { masks: Vec::new(), palette: None };
        match self {
            Annotations::Labels(files) => {
                let Some(file) = files.get(&frame) else { return Ok(on_frame) };
                let labels::Labels { numbers, width, height, palette } = labels::read(file)?;
                let mut seen = [false; 256];
                numbers.iter().for_each(|&v| seen[v as usize] = true);
                for id in (1..=255u8).filter(|&id| seen[id as usize]) {
                    let pixels = try_collect(numbers.len(), "a mask", numbers.iter().map(|&v| (v == id) as u8))?;
                    on_frame.masks.push((id.into(), Mask { pixels, height, width }));
                }
                on_frame.palette = palette;
            }
            Annotations::PerObject { files, .. } => {
                for (id, file) in files.get(&frame).into_iter().flatten() {
                    let labels::Labels { numbers, width, height, palette } = labels::read(file)?;
                    on_frame.masks.push((*id, Mask { pixels: numbers, height, width }));
                    on_frame.palette = palette.or(on_frame.palette);
                }
            }
            Annotations::Masklets { masklets, stride } => {
                if frame.is_multiple_of(*stride) && frame / stride < masklets.len() {
                    on_frame.masks = masklets.masks(frame / stride)?;
                }
            }
        }
        Ok(on_frame)
    }
}

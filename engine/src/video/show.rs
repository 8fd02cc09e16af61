//! What is shown of a frame: the masks of all objects, in the caller's form, with their areas and boxes.

use super::object::Output;
use super::predictor::{NO_OBJECT, VideoPredictor};
use super::worker::{How, Show, Shown, Step, VideoWorker};
use crate::backend::Selection;
use crate::error::{Error, Result};
use crate::mask_out::{Extent, MaskBuffer, MaskFormat, MaskOut};
use crate::memory::{try_from_fn, try_zeros};
use crate::worker::on_the_cpu;

/// Masks of every object on one frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrameMasks {
    /// The frame's number.
    pub frame_idx: usize,
    /// The objects, in the order they were first named.
    pub obj_ids: Vec<i64>,
    /// (objects, height, width): logits at the video's size; above 0 is on the object. Empty where they went to a buffer of
    /// the caller's.
    pub masks: Vec<f32>,
    /// (objects): above 0 where the object is to be seen; NaN where nothing is known of it on this frame.
    pub scores: Vec<f32>,
    /// (objects): pixels on the object.
    pub areas: Vec<u64>,
    /// (objects): left, top, right and bottom of the outermost pixels on the object; zeros where there are none.
    pub boxes: Vec<[i32; 4]>,
}

impl VideoPredictor {
    /// Fails where a buffer is not one for the masks of all objects, `named` among them, in a video of this size.
    pub(super) fn check_buffer(
        &self,
        masks: &Option<MaskBuffer<'_>>,
        named: Option<i64>,
        (height, width): (usize, usize),
    ) -> Result<()> {
        let Some(masks) = masks else { return Ok(()) };
        let new = named.is_some_and(|id| !self.ids.contains(&id));
        masks.check(self.ids.len() + new as usize, height, width)?;
        if masks.is_device() && !self.lock().takes_device_memory() {
            return Err(on_the_cpu("buffer for masks"));
        }
        if self.config.memory.non_overlap_masks && masks.format() != MaskFormat::Labels {
            let what = "masks that do not overlap (model.non_overlap_masks) go to a buffer as labels only";
            return Err(Error::input(what));
        }
        Ok(())
    }

    /// The masks of all objects on a frame, at the video's size.
    pub(super) fn masks_on(&self, frame: usize, masks: Option<MaskBuffer<'_>>) -> Result<FrameMasks> {
        let low = self.config.mask_side() * self.config.mask_side();
        let nothing = try_from_fn(low, "a mask", |_| NO_OBJECT)?;
        let outputs: Vec<Option<&Output>> = self.objects.iter().map(|o| o.shown(frame)).collect();
        let shown: Vec<Shown<'_>> =
            outputs.iter().map(|out| Shown::Known(out.map_or(&nothing, |out| &out.low_res))).collect();
        let how = self.how(Selection::Single, false);
        let found = self.show(&mut **self.lock(), frame, &mut [], how, &shown, masks)?;
        let scores = outputs.iter().map(|out| out.map_or(f32::NAN, |out| out.score)).collect();
        Ok(FrameMasks { scores, ..found })
    }

    /// Finds objects and shows all, on the host as logits where there is no buffer for them; all but their scores.
    pub(super) fn show(
        &self,
        worker: &mut dyn VideoWorker,
        frame_idx: usize,
        steps: &mut [Step<'_>],
        how: How,
        shown: &[Shown<'_>],
        buffer: Option<MaskBuffer<'_>>,
    ) -> Result<FrameMasks> {
        let (size @ (height, width), n) = (self.size, shown.len());
        let (mut masks, mut labels) = (Vec::new(), Vec::new());
        let buffer = match buffer {
            Some(buffer) => buffer,
            None => {
                masks = try_zeros::<f32>(n * height * width, "masks")?;
                MaskBuffer::logits(&mut masks)
            }
        };
        let mut outs = vec![MaskOut::new(buffer, 0.0, height, width)];
        let apart = self.config.memory.non_overlap_masks && n > 1;
        if apart {
            labels = try_zeros::<u16>(height * width, "masks")?;
            let buffer = MaskBuffer::labels(&mut labels);
            buffer.check(n, height, width)?;
            outs.push(MaskOut::new(buffer, 0.0, height, width));
        }
        let mut extents = worker.find(steps, how, Show { masks: shown, size, outs })?;
        if apart {
            // A map of labels gives each pixel to one object, by the same rule.
            extents = Extent::of_labels(&labels, width, n);
            set_apart(&mut masks, n, height * width);
        }
        let areas = extents.iter().map(|e| e.area).collect();
        let boxes = extents.iter().map(|e| e.bounds).collect();
        Ok(FrameMasks { frame_idx, obj_ids: self.ids.clone(), masks, scores: Vec::new(), areas, boxes })
    }
}

/// Of every pixel of (n, pixels), the highest logit stays; the others become -10 at most. Nothing where there are none.
fn set_apart(masks: &mut [f32], n: usize, pixels: usize) {
    for i in 0..pixels.min(masks.len()) {
        let best = (1..n).fold(0, |best, k| if masks[k * pixels + i] > masks[best * pixels + i] { k } else { best });
        (0..n).filter(|&k| k != best).for_each(|k| masks[k * pixels + i] = masks[k * pixels + i].min(-10.0));
    }
}

//! `sam2_prompt`: points, boxes and masks.

use crate::error::{Failure, Result};
use crate::options::{Sized32, read};
use engine::{Point, Prompt, Size};

/// A prompt for one object: points, a box, a mask, or a combination. Initialize it with SAM2_PROMPT_INIT.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct sam2_prompt {
    /// sizeof(sam2_prompt).
    pub struct_size: u32,
    /// Number of points, at most 1000.
    pub num_points: u32,
    /// (num_points, 2): x and y, in pixels of the image, or from 0 to 1 if a flag of the call says so.
    pub points: *const f32,
    /// (num_points): 1 for a point on the object, 0 for a point on the background.
    pub labels: *const i32,
    /// (4): left, top, right and bottom of a box. NULL means no box.
    pub bounds: *const f32,
    /// (mask_side, mask_side): logits of an earlier mask, from `low_res_masks`. NULL means none. Image predictors
    /// only.
    pub mask_input: *const f32,
    /// Index of the image of a batch that the prompt is for.
    pub image: u32,
    /// 1 passes an empty list of points if `num_points` is 0, as `point_coords` of shape (0, 2) does in the
    /// reference, which then adds its padding point. 0 passes no list.
    pub pad_points: i32,
    /// (mask_height, mask_width): a mask of any size in place of `mask_input`, nonzero on the object. NULL means
    /// none. Image predictors only.
    pub mask: *const u8,
    /// Width of `mask` in pixels.
    pub mask_width: u32,
    /// Height of `mask` in pixels.
    pub mask_height: u32,
}

// SAFETY: integers and pointers, its size first.
unsafe impl Sized32 for sam2_prompt {
    const INIT: Self = sam2_prompt {
        struct_size: size_of::<Self>() as u32,
        num_points: 0,
        points: std::ptr::null(),
        labels: std::ptr::null(),
        bounds: std::ptr::null(),
        mask_input: std::ptr::null(),
        image: 0,
        pad_points: 0,
        mask: std::ptr::null(),
        mask_width: 0,
        mask_height: 0,
    };
    const NAME: &'static str = "sam2_prompt";
}

/// Prompts, and the image of each.
#[derive(Default)]
pub(crate) struct Prompts {
    prompts: Vec<Prompt<'static>>,
    images: Vec<usize>,
    /// Logits that the prompts refer to.
    logits: Vec<Vec<f32>>,
}

impl Prompts {
    /// The prompts, valid while this object exists.
    pub fn all(&self) -> &[Prompt<'_>] {
        &self.prompts
    }
}

/// Reads an array of prompts, whose stride is the `struct_size` of the elements.
///
/// # Safety
/// Contract of callers, until the prompts are no longer used. A `mask_input` has `mask_side` times `mask_side` values.
pub(crate) unsafe fn prompts(list: *const sam2_prompt, count: usize, mask_side: usize) -> Result<Prompts> {
    if list.is_null() {
        return Err(Failure::argument("prompts is null"));
    }
    let (mut out, mut at) = (Prompts::default(), list.cast::<u8>());
    for _ in 0..count {
        // SAFETY: contract of callers.
        let p = unsafe { read(at.cast::<sam2_prompt>()) }?;
        at = at.wrapping_add(p.struct_size as usize);
        // SAFETY: contract of callers.
        unsafe { out.push(&p, mask_side) }?;
    }
    Ok(out)
}

/// Counts the prompts of each image.
pub(crate) fn by_image(list: &Prompts, images: usize) -> Result<Vec<usize>> {
    if let Some(i) = list.images.iter().find(|&&i| i >= images) {
        return Err(Failure::argument(format!("a prompt for image {i}: {images} are set")));
    }
    if !list.images.is_sorted() {
        return Err(Failure::argument("prompts must be in the order of their images"));
    }
    Ok((0..images).map(|i| list.images.iter().filter(|&&image| image == i).count()).collect())
}

impl Prompts {
    /// # Safety
    /// As for [`prompts`].
    unsafe fn push(&mut self, p: &sam2_prompt, mask_side: usize) -> Result<()> {
        // SAFETY: contract of callers.
        let mut out = unsafe { prompt(p, mask_side) }?;
        if !p.mask.is_null() {
            if out.mask_input.is_some() {
                return Err(Failure::argument("prompt: mask and mask_input are two masks of one object; give one"));
            }
            let size = crate::mask::pixels(p.mask_width, p.mask_height)?;
            // SAFETY: contract of callers.
            let mask = unsafe { std::slice::from_raw_parts(p.mask, size) };
            let size = Size::new(p.mask_width as usize, p.mask_height as usize);
            let logits = engine::mask_logits(mask, size, mask_side)?;
            // SAFETY: the values do not move and are kept as long as the prompts.
            out.mask_input = Some(unsafe { std::slice::from_raw_parts(logits.as_ptr(), logits.len()) });
            self.logits.push(logits);
        }
        self.prompts.push(out);
        self.images.push(p.image as usize);
        Ok(())
    }
}

unsafe fn prompt(p: &sam2_prompt, mask_side: usize) -> Result<Prompt<'static>> {
    let n = p.num_points as usize;
    if n > engine::MAX_POINTS || (n > 0 && (p.points.is_null() || p.labels.is_null())) {
        return Err(Failure::argument(format!(
            "prompt: {n} points, at most {}, with their labels",
            engine::MAX_POINTS
        )));
    }
    let mut out = Prompt { pad_points: p.pad_points != 0, ..Prompt::new() };
    for i in 0..n {
        // SAFETY: contract of callers.
        let (x, y, label) =
            unsafe { (p.points.add(2 * i).read(), p.points.add(2 * i + 1).read(), p.labels.add(i).read()) };
        out.points.push(Point { x, y, label });
    }
    if !p.bounds.is_null() {
        // SAFETY: contract of callers.
        out = out.bounds(unsafe { p.bounds.cast::<[f32; 4]>().read_unaligned() });
    }
    if !p.mask_input.is_null() {
        // SAFETY: contract of callers.
        out.mask_input = Some(unsafe { std::slice::from_raw_parts(p.mask_input, mask_side * mask_side) });
    }
    Ok(out)
}

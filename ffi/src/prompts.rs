//! `sam2_prompt`: what a person says about an object.

use crate::options::{Sized32, read};
use crate::status::{Failure, Result};
use engine::{Point, Prompt};

/// A prompt for one object: points, a box, a mask, or several of these together. Begin with SAM2_PROMPT_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam2_prompt {
    /// sizeof(sam2_prompt)
    pub struct_size: u32,
    /// Points; at most 1000.
    pub num_points: u32,
    /// (num_points, 2): across and down, in pixels of the picture, or in 0..1 where the call's options say so.
    pub points: *const f32,
    /// (num_points): 1 on the object, 0 not.
    pub labels: *const i32,
    /// (4): left, top, right, bottom; null: none.
    pub box_: *const f32,
    /// (mask_side, mask_side): logits of an earlier mask, its `low_res_masks`; null: none. Pictures only.
    pub mask_input: *const f32,
    /// Which picture of a batch it is for.
    pub image: u32,
    /// Not 0: an empty list of points is given, where `num_points` is 0, as the reference's `point_coords` of shape (0, 2): its
    /// padding point is added, as it is to other points and boxes.
    pub pad_points: i32,
    /// (mask_height, mask_width): a mask of the picture, not 0 on the object, of any size, in place of `mask_input`; null: none.
    /// Pictures only.
    pub mask: *const u8,
    /// Pixels across of `mask`.
    pub mask_width: u32,
    /// Pixels down of `mask`.
    pub mask_height: u32,
}

// SAFETY: integers and pointers, its size first.
unsafe impl Sized32 for sam2_prompt {
    const INIT: Self = sam2_prompt {
        struct_size: size_of::<Self>() as u32,
        num_points: 0,
        points: std::ptr::null(),
        labels: std::ptr::null(),
        box_: std::ptr::null(),
        mask_input: std::ptr::null(),
        image: 0,
        pad_points: 0,
        mask: std::ptr::null(),
        mask_width: 0,
        mask_height: 0,
    };
    const NAME: &'static str = "sam2_prompt";
}

/// Prompts, and which picture each is for.
#[derive(Default)]
pub(crate) struct Prompts {
    prompts: Vec<Prompt<'static>>,
    images: Vec<usize>,
    /// Logits that prompts point at.
    logits: Vec<Vec<f32>>,
}

impl Prompts {
    /// The prompts, which live as long as this.
    pub fn all(&self) -> &[Prompt<'_>] {
        &self.prompts
    }
}

/// The prompts at `list`, which follow each other by the size that the caller knows of the struct.
///
/// # Safety
/// `list` is readable, and so is what it points at, until the prompts are used; a mask has `mask_side` times `mask_side`
/// values.
pub(crate) unsafe fn prompts(list: *const sam2_prompt, count: usize, mask_side: usize) -> Result<Prompts> {
    if list.is_null() {
        return Err(Failure::argument("prompts is null"));
    }
    let (mut out, mut at) = (Prompts::default(), list.cast::<u8>());
    for _ in 0..count {
        // SAFETY: the caller's promise.
        let p = unsafe { read(at.cast::<sam2_prompt>()) }?;
        at = at.wrapping_add(p.struct_size as usize);
        // SAFETY: as above.
        unsafe { out.push(&p, mask_side) }?;
    }
    Ok(out)
}

/// How many prompts there are for each of so many pictures.
pub(crate) fn by_picture(list: &Prompts, images: usize) -> Result<Vec<usize>> {
    if let Some(i) = list.images.iter().find(|&&i| i >= images) {
        return Err(Failure::argument(format!("a prompt for picture {i}: {images} are set")));
    }
    if !list.images.is_sorted() {
        return Err(Failure::argument("prompts must be in the order of their pictures"));
    }
    Ok((0..images).map(|i| list.images.iter().filter(|&&image| image == i).count()).collect())
}

impl Prompts {
    /// # Safety
    /// As of [`prompts`].
    unsafe fn push(&mut self, p: &sam2_prompt, mask_side: usize) -> Result<()> {
        // SAFETY: the caller's promise.
        let mut out = unsafe { prompt(p, mask_side) }?;
        if !p.mask.is_null() {
            if out.mask_input.is_some() {
                return Err(Failure::argument("prompt: mask and mask_input are two masks of one object; give one"));
            }
            let size = crate::masks::pixels(p.mask_width, p.mask_height)?;
            // SAFETY: the caller's promise.
            let mask = unsafe { std::slice::from_raw_parts(p.mask, size) };
            let logits = engine::mask_logits(mask, p.mask_width as usize, p.mask_height as usize, mask_side)?;
            // SAFETY: its values stay where they are, as long as the prompts.
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
        // SAFETY: the caller's promise.
        let (x, y, label) =
            unsafe { (p.points.add(2 * i).read(), p.points.add(2 * i + 1).read(), p.labels.add(i).read()) };
        out.points.push(Point { x, y, label });
    }
    if !p.box_.is_null() {
        // SAFETY: the caller's promise.
        out.box_ = Some(unsafe { p.box_.cast::<[f32; 4]>().read_unaligned() });
    }
    if !p.mask_input.is_null() {
        // SAFETY: the caller's promise.
        out.mask_input = Some(unsafe { std::slice::from_raw_parts(p.mask_input, mask_side * mask_side) });
    }
    Ok(out)
}

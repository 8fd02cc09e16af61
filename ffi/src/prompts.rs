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
    /// (mask_side, mask_side): logits of an earlier mask; null: none. Pictures only.
    pub mask_input: *const f32,
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
    };
    const NAME: &'static str = "sam2_prompt";
}

/// The prompt at `prompt`, and the size by which the caller knows the struct.
///
/// # Safety
/// `prompt` is readable, and so is what it points at, for `'a`; a mask has `mask_side` times `mask_side` values.
pub(crate) unsafe fn prompt<'a>(prompt: *const sam2_prompt, mask_side: usize) -> Result<(Prompt<'a>, usize)> {
    if prompt.is_null() {
        return Err(Failure::argument("prompt is null"));
    }
    // SAFETY: the caller's promise.
    let p = unsafe { read(prompt) }?;
    let n = p.num_points as usize;
    if n > engine::MAX_POINTS || (n > 0 && (p.points.is_null() || p.labels.is_null())) {
        return Err(Failure::argument(format!(
            "prompt: {n} points, at most {}, with their labels",
            engine::MAX_POINTS
        )));
    }
    let mut out = Prompt::new();
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
    Ok((out, p.struct_size as usize))
}

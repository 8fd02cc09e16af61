//! `sam2_image_predictor`

use crate::handles::Table;
use crate::image::{frame, sam2_image};
use crate::model::{MODELS, put, sam2_model};
use crate::options::{Sized32, read};
use crate::prompts::{prompt, sam2_prompt};
use crate::status::{Failure, Result, call, sam2_status};
use engine::{
    DeviceSlice, ImagePredictor, ImagePredictorOptions, MaskBuffer, MaskFormat, PredictOptions, PredictionBuffers,
};
use std::ffi::c_void;

/// Encodes a picture, then makes masks for prompts on it. One thread uses it at a time.
#[allow(non_camel_case_types)]
pub struct sam2_image_predictor {
    _opaque: [u8; 0],
}

pub(crate) static PREDICTORS: Table<ImagePredictor> = Table::new("image predictor", 2);

/// How masks are made of logits. Begin with SAM2_IMAGE_PREDICTOR_OPTIONS_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam2_image_predictor_options {
    /// sizeof(sam2_image_predictor_options)
    pub struct_size: u32,
    /// Logits above it are foreground.
    pub mask_threshold: f32,
    /// Holes of up to this many pixels of the low-resolution mask are filled; 0: none.
    pub max_hole_area: f32,
    /// Specks of up to this many pixels of the low-resolution mask are removed; 0: none.
    pub max_sprinkle_area: f32,
}

// SAFETY: numbers, its size first.
unsafe impl Sized32 for sam2_image_predictor_options {
    const INIT: Self = sam2_image_predictor_options {
        struct_size: size_of::<Self>() as u32,
        mask_threshold: 0.0,
        max_hole_area: 0.0,
        max_sprinkle_area: 0.0,
    };
    const NAME: &'static str = "sam2_image_predictor_options";
}

/// One byte a pixel: 1 on the object, else 0.
pub const SAM2_MASK_U8: i32 = 0;
/// Logits as float; above the threshold is on the object.
pub const SAM2_MASK_LOGITS: i32 = 1;

/// A buffer of the caller's for masks of the picture's size, one after another. Begin with SAM2_MASK_BUFFER_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam2_mask_buffer {
    /// sizeof(sam2_mask_buffer)
    pub struct_size: u32,
    /// SAM2_MASK_...
    pub kind: i32,
    /// Null: no masks.
    pub data: *mut c_void,
    /// Bytes of `data`: exactly as many as the masks take.
    pub size: u64,
    /// SAM2_MEMORY_...
    pub memory: i32,
    /// As of sam2_image.
    pub has_stream: i32,
    /// As of sam2_image.
    pub stream: *mut c_void,
}

// SAFETY: integers and pointers, its size first.
unsafe impl Sized32 for sam2_mask_buffer {
    const INIT: Self = sam2_mask_buffer {
        struct_size: size_of::<Self>() as u32,
        kind: SAM2_MASK_U8,
        data: std::ptr::null_mut(),
        size: 0,
        memory: crate::SAM2_MEMORY_HOST,
        has_stream: 0,
        stream: std::ptr::null_mut(),
    };
    const NAME: &'static str = "sam2_mask_buffer";
}

/// The buffer that `buffer` describes; none where it is null, or its data are.
///
/// # Safety
/// `buffer` is null or readable, and what it describes is there and writable for `'a`.
pub(crate) unsafe fn mask_buffer<'a>(buffer: *const sam2_mask_buffer) -> Result<Option<MaskBuffer<'a>>> {
    // SAFETY: the caller's promise.
    let b = unsafe { read(buffer) }?;
    if b.data.is_null() {
        return Ok(None);
    }
    let bytes = usize::try_from(b.size).ok().filter(|&n| n <= isize::MAX as usize);
    let bytes = bytes.ok_or_else(|| Failure::argument(format!("mask buffer of {} bytes", b.size)))?;
    if b.kind == SAM2_MASK_LOGITS && (bytes % 4 != 0 || !(b.data as usize).is_multiple_of(4)) {
        return Err(Failure::argument("mask buffer: floats are aligned to 4 bytes"));
    }
    let stream = if b.has_stream != 0 { b.stream } else { std::ptr::null_mut() };
    // SAFETY: the caller's promise, of all four.
    Ok(Some(unsafe {
        match (b.memory, b.kind) {
            (crate::SAM2_MEMORY_HOST, SAM2_MASK_U8) => {
                MaskBuffer::binary(std::slice::from_raw_parts_mut(b.data.cast(), bytes))
            }
            (crate::SAM2_MEMORY_HOST, SAM2_MASK_LOGITS) => {
                MaskBuffer::logits(std::slice::from_raw_parts_mut(b.data.cast(), bytes / 4))
            }
            (crate::SAM2_MEMORY_CUDA, SAM2_MASK_U8) => {
                MaskBuffer::device(MaskFormat::Binary, DeviceSlice::new(b.data as u64, bytes, stream))
            }
            (crate::SAM2_MEMORY_CUDA, SAM2_MASK_LOGITS) => {
                MaskBuffer::device(MaskFormat::Logits, DeviceSlice::new(b.data as u64, bytes, stream))
            }
            _ => return Err(Failure::argument(format!("mask buffer: no memory {} or kind {}", b.memory, b.kind))),
        }
    }))
}

/// Makes a predictor. `options` may be null. On success `*out` is to be given to `sam2_image_predictor_destroy`.
///
/// # Safety
/// `options` is null or readable; `out` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_image_predictor_create(
    model: *const sam2_model,
    options: *const sam2_image_predictor_options,
    out: *mut *mut sam2_image_predictor,
) -> sam2_status {
    call(|| {
        // SAFETY: the caller's promise, of both.
        unsafe {
            put("out", out, || {
                let o = read(options)?;
                let options = ImagePredictorOptions {
                    mask_threshold: o.mask_threshold,
                    max_hole_area: o.max_hole_area,
                    max_sprinkle_area: o.max_sprinkle_area,
                };
                let model = MODELS.look(model, Clone::clone)?;
                Ok(PREDICTORS.insert(model.image_predictor(options)?))
            })
        }
    })
}

/// Lets go of a predictor.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_image_predictor_destroy(predictor: *mut sam2_image_predictor) -> sam2_status {
    call(|| Ok(PREDICTORS.remove(predictor)?))
}

/// Allocates what calls with prompts of up to `max_points` points (a box is two), and masks as prompts or not, will need, so
/// that none of them allocates.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_image_predictor_reserve(
    predictor: *mut sam2_image_predictor,
    max_points: u32,
    mask_input: i32,
) -> sam2_status {
    call(|| PREDICTORS.with(predictor, |p, _| Ok(p.reserve(1, max_points as usize, mask_input != 0)?)))
}

/// Encodes a picture; the one before is forgotten. On a GPU this returns once it is enqueued.
///
/// # Safety
/// `image` describes what is there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_image_predictor_set_image(
    predictor: *mut sam2_image_predictor,
    image: *const sam2_image,
) -> sam2_status {
    call(|| {
        PREDICTORS.with(predictor, |p, _| {
            // SAFETY: the caller's promise.
            let frame = unsafe { frame(image) }?;
            Ok(p.set_image(&frame)?)
        })
    })
}

/// Three masks of each prompt, for when it is not clear what is meant, instead of one.
pub const SAM2_PREDICT_MULTIMASK: u32 = 1;
/// Coordinates are in 0..1, not in pixels.
pub const SAM2_PREDICT_NORMALIZED: u32 = 2;

/// Makes masks of prompts on the picture: n per prompt, 3 with SAM2_PREDICT_MULTIMASK and else 1.
///
/// `masks`: (num_prompts, n, height, width); null: none. `iou_predictions`: (num_prompts, n), how well the model thinks each
/// mask fits, about 0 to 1. `low_res_masks`: (num_prompts, n, mask_side, mask_side), logits within +-32, to be given as
/// `mask_input`; null: none. `object_scores`: (num_prompts), above 0 where there is an object; null: none.
///
/// # Safety
/// All pointers are null where that is allowed, or point at as much as is said here.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_image_predictor_predict(
    predictor: *mut sam2_image_predictor,
    prompts: *const sam2_prompt,
    num_prompts: usize,
    flags: u32,
    masks: *const sam2_mask_buffer,
    iou_predictions: *mut f32,
    low_res_masks: *mut f32,
    object_scores: *mut f32,
) -> sam2_status {
    call(|| {
        PREDICTORS.with(predictor, |p, _| {
            if flags & !(SAM2_PREDICT_MULTIMASK | SAM2_PREDICT_NORMALIZED) != 0 {
                return Err(Failure::argument(format!("no flags {flags:#x}")));
            }
            if prompts.is_null() || iou_predictions.is_null() {
                return Err(Failure::argument("prompts and iou_predictions must not be null"));
            }
            let (side, n) = (p.mask_side(), if flags & SAM2_PREDICT_MULTIMASK != 0 { 3 } else { 1 });
            let values = num_prompts.checked_mul(n * side * side).filter(|v| *v <= isize::MAX as usize / 4);
            let low = values.ok_or_else(|| Failure::argument(format!("{num_prompts} prompts")))?;
            let (mut list, mut at) = (Vec::new(), prompts.cast::<u8>());
            for _ in 0..num_prompts {
                // SAFETY: the caller's promise. Structs follow each other by the size that the caller knows.
                unsafe {
                    let (one, size) = prompt(at.cast(), side)?;
                    list.push(one);
                    at = at.add(size);
                }
            }
            let options = PredictOptions {
                multimask_output: n == 3,
                normalize_coords: flags & SAM2_PREDICT_NORMALIZED == 0,
                return_logits: false,
            };
            // SAFETY: the caller's promise.
            let out = unsafe {
                let floats = |p: *mut f32, len| (!p.is_null()).then(|| std::slice::from_raw_parts_mut(p, len));
                PredictionBuffers {
                    masks: mask_buffer(masks)?,
                    iou_predictions: std::slice::from_raw_parts_mut(iou_predictions, num_prompts * n),
                    low_res_masks: floats(low_res_masks, low),
                    object_score_logits: floats(object_scores, num_prompts),
                }
            };
            Ok(p.predict_into(&list, options, out)?)
        })
    })
}

//! `sam2_image_predictor`

use crate::arguments::put;
use crate::handles::{Exclusive, Table};
use crate::image::{frames, sam2_image};
use crate::job::{begin, sam2_done_callback, sam2_job};
use crate::masks::{mask_buffer, sam2_mask_buffer};
use crate::model::{MODELS, sam2_model, within};
use crate::options::{Sized32, fill, read};
use crate::prompts::{by_picture, prompts, sam2_prompt};
use crate::status::{Failure, Result, call, release, sam2_status};
use engine::{Feature, ImagePredictor, ImagePredictorOptions, PredictOptions, PredictionBuffers};
use std::ffi::c_void;

/// Encodes a picture, then makes masks for prompts on it. One thread uses it at a time.
#[allow(non_camel_case_types)]
pub struct sam2_image_predictor {
    _opaque: [u8; 0],
}

pub(crate) static PREDICTORS: Table<Exclusive<ImagePredictor>> = Table::new("image predictor", 2);

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
    /// Memory to work in instead of allocating: of the host where the model runs on the CPU, else of its GPU; there until the
    /// predictor is destroyed. Enough is what `device_bytes` of a predictor like this says after its reserve, and
    /// 4 KiB; where it is too small calls fail with SAM2_ERROR_OUT_OF_MEMORY. Null: none.
    pub workspace: *mut c_void,
    /// Bytes of it.
    pub workspace_size: u64,
}

// SAFETY: numbers, its size first.
unsafe impl Sized32 for sam2_image_predictor_options {
    const INIT: Self = sam2_image_predictor_options {
        struct_size: size_of::<Self>() as u32,
        mask_threshold: 0.0,
        max_hole_area: 0.0,
        max_sprinkle_area: 0.0,
        workspace: std::ptr::null_mut(),
        workspace_size: 0,
    };
    const NAME: &'static str = "sam2_image_predictor_options";
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
                let model = MODELS.get(model)?;
                let model = within(&model, o.workspace, o.workspace_size)?;
                Ok(PREDICTORS.insert(Exclusive::new(model.image_predictor(options)?))?)
            })
        }
    })
}

/// Destroys a predictor. Returns SAM2_ERROR_BUSY while a call or a job uses it, and destroys nothing then.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_image_predictor_destroy(predictor: *mut sam2_image_predictor) -> sam2_status {
    release(|| Ok(PREDICTORS.destroy(predictor)?))
}

/// Allocates what calls on `images` pictures at once need, with prompts of up to `max_points` points (a box is two), and masks
/// as prompts or not, so that none of them allocates. Room for more pictures than there ever was forgets the current ones.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_image_predictor_reserve(
    predictor: *mut sam2_image_predictor,
    images: u32,
    max_points: u32,
    mask_input: i32,
) -> sam2_status {
    call(|| {
        let mut p = PREDICTORS.lease(predictor)?;
        Ok(p.reserve(images as usize, max_points as usize, mask_input != 0)?)
    })
}

/// Encodes a picture; the ones of before are forgotten. On a GPU this returns once it is enqueued.
///
/// # Safety
/// `image` describes what is there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_image_predictor_set_image(
    predictor: *mut sam2_image_predictor,
    image: *const sam2_image,
) -> sam2_status {
    call(|| {
        // SAFETY: the caller's promise.
        let images = unsafe { frames(image, 1) }?;
        Ok(PREDICTORS.lease(predictor)?.set_image_batch(&images)?)
    })
}

/// As `sam2_image_predictor_set_image`, of several pictures, of any sizes, one struct after another. A prompt says by its
/// `image` which of them it is for.
///
/// # Safety
/// `images` describe what is there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_image_predictor_set_image_batch(
    predictor: *mut sam2_image_predictor,
    images: *const sam2_image,
    num_images: usize,
) -> sam2_status {
    call(|| {
        // SAFETY: the caller's promise.
        let images = unsafe { frames(images, num_images) }?;
        Ok(PREDICTORS.lease(predictor)?.set_image_batch(&images)?)
    })
}

/// As `sam2_image_predictor_set_image_batch`, as a job: the pictures must be there until it has ended.
///
/// # Safety
/// As of `sam2_image_predictor_set_image_batch`, until the job has ended; `job` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_image_predictor_set_image_async(
    predictor: *mut sam2_image_predictor,
    images: *const sam2_image,
    num_images: usize,
    done: sam2_done_callback,
    user: *mut c_void,
    job: *mut *mut sam2_job,
) -> sam2_status {
    call(|| {
        // SAFETY: the caller's promise.
        unsafe {
            let images = frames(images, num_images)?;
            let mut p = PREDICTORS.lease(predictor)?;
            begin(job, done, user, move || Ok(p.set_image_batch(&images)?))
        }
    })
}

/// Forgets the pictures.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_image_predictor_reset(predictor: *mut sam2_image_predictor) -> sam2_status {
    call(|| {
        PREDICTORS.lease(predictor)?.reset_predictor();
        Ok(())
    })
}

/// What a predictor holds. Begin with SAM2_IMAGE_PREDICTOR_INFO_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam2_image_predictor_info {
    /// sizeof(sam2_image_predictor_info)
    pub struct_size: u32,
    /// Pictures that are set.
    pub num_images: u32,
    /// Pixels across of the picture asked for; 0: there is none.
    pub width: u32,
    /// Pixels down of it.
    pub height: u32,
    /// Bytes of the device held beside the model's weights.
    pub device_bytes: u64,
}

// SAFETY: integers, its size first.
unsafe impl Sized32 for sam2_image_predictor_info {
    const INIT: Self = sam2_image_predictor_info {
        struct_size: size_of::<Self>() as u32,
        num_images: 0,
        width: 0,
        height: 0,
        device_bytes: 0,
    };
    const NAME: &'static str = "sam2_image_predictor_info";
}

/// Writes what a predictor holds, and the size of picture `image` of those that are set.
///
/// # Safety
/// `info` points at as many writable bytes as its `struct_size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_image_predictor_get_info(
    predictor: *const sam2_image_predictor,
    image: u32,
    info: *mut sam2_image_predictor_info,
) -> sam2_status {
    call(|| {
        let p = PREDICTORS.lease(predictor)?;
        let (height, width) = p.image_sizes().get(image as usize).copied().unwrap_or_default();
        // SAFETY: the caller's promise.
        unsafe {
            fill(info, |info| {
                info.num_images = p.image_sizes().len() as u32;
                (info.width, info.height) = (width as u32, height as u32);
                info.device_bytes = p.memory_bytes() as u64;
            })
        }
    })
}

/// (d, side / 16, side / 16): what the mask decoder reads; the reference's image embedding.
pub const SAM2_FEATURE_IMAGE_EMBEDDING: i32 = 0;
/// (d / 4, side / 8, side / 8)
pub const SAM2_FEATURE_HIGH_RES_1: i32 = 1;
/// (d / 8, side / 4, side / 4)
pub const SAM2_FEATURE_HIGH_RES_0: i32 = 2;

/// Writes the features SAM2_FEATURE_... of picture `image` of those that are set: `shape`, (3), is channels, rows and columns.
/// `values` has room for `size` floats, which must be their product; null: only the shape is asked for.
///
/// # Safety
/// `values` is null or has `size` floats; `shape` has 3.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_image_predictor_get_features(
    predictor: *mut sam2_image_predictor,
    feature: i32,
    image: u32,
    values: *mut f32,
    size: usize,
    shape: *mut u32,
) -> sam2_status {
    call(|| {
        let feature = match feature {
            SAM2_FEATURE_IMAGE_EMBEDDING => Feature::ImageEmbedding,
            SAM2_FEATURE_HIGH_RES_1 => Feature::HighRes1,
            SAM2_FEATURE_HIGH_RES_0 => Feature::HighRes0,
            other => return Err(Failure::argument(format!("no feature {other}"))),
        };
        if shape.is_null() {
            return Err(Failure::argument("shape is null"));
        }
        let (found, dims) = PREDICTORS.lease(predictor)?.features(feature, image as usize)?;
        if !values.is_null() && size != found.len() {
            return Err(Failure::argument(format!("room for {size} values, there are {}", found.len())));
        }
        // SAFETY: the caller's promise.
        unsafe {
            dims.iter().enumerate().for_each(|(i, &d)| shape.add(i).write(d as u32));
            if !values.is_null() {
                values.copy_from_nonoverlapping(found.as_ptr(), size);
            }
        }
        Ok(())
    })
}

/// Three masks of each prompt, for when it is not clear what is meant, instead of one.
pub const SAM2_PREDICT_MULTIMASK: u32 = 1;
/// Coordinates are in 0..1, not in pixels.
pub const SAM2_PREDICT_NORMALIZED: u32 = 2;

/// What `sam2_image_predictor_predict` is to do, once its arguments are known to be right.
unsafe fn prediction(
    p: &ImagePredictor,
    list: *const sam2_prompt,
    num_prompts: usize,
    flags: u32,
    masks: *const sam2_mask_buffer,
    iou_predictions: *mut f32,
    low_res_masks: *mut f32,
    object_scores: *mut f32,
) -> Result<impl FnOnce(&mut ImagePredictor) -> Result<()> + Send + 'static> {
    if flags & !(SAM2_PREDICT_MULTIMASK | SAM2_PREDICT_NORMALIZED) != 0 {
        return Err(Failure::argument(format!("no flags {flags:#x}")));
    }
    if iou_predictions.is_null() {
        return Err(Failure::argument("iou_predictions is null"));
    }
    let (side, n) = (p.mask_side(), if flags & SAM2_PREDICT_MULTIMASK != 0 { 3 } else { 1 });
    let values = num_prompts.checked_mul(n * side * side).filter(|v| *v <= isize::MAX as usize / 4);
    let low = values.ok_or_else(|| Failure::argument(format!("{num_prompts} prompts")))?;
    let options = PredictOptions {
        multimask_output: n == 3,
        normalize_coords: flags & SAM2_PREDICT_NORMALIZED == 0,
        return_logits: false,
    };
    // SAFETY: the caller's promise.
    let (list, out) = unsafe {
        let floats = |p: *mut f32, len| (!p.is_null()).then(|| std::slice::from_raw_parts_mut(p, len));
        let out = PredictionBuffers {
            masks: mask_buffer(masks)?,
            iou_predictions: std::slice::from_raw_parts_mut(iou_predictions, num_prompts * n),
            low_res_masks: floats(low_res_masks, low),
            object_score_logits: floats(object_scores, num_prompts),
        };
        (prompts(list, num_prompts, side)?, out)
    };
    let counts = by_picture(&list, p.image_sizes().len())?;
    Ok(move |p: &mut ImagePredictor| {
        let (mut rest, mut groups) = (list.all(), Vec::with_capacity(counts.len()));
        for count in counts {
            let (group, others) = rest.split_at(count);
            groups.push(group);
            rest = others;
        }
        Ok(p.predict_batch_into(&groups, options, out)?)
    })
}

/// Makes masks of prompts on the pictures that are set: n per prompt, 3 with SAM2_PREDICT_MULTIMASK and else 1. Prompts are in
/// the order of their pictures.
///
/// `masks`: (num_prompts, n, height, width) with the sizes of the prompts' pictures, or as its kind says; null: none.
/// `iou_predictions`: (num_prompts, n), how well the model thinks each mask fits, about 0 to 1. `low_res_masks`: (num_prompts, n,
/// mask_side, mask_side), logits within +-32, to be given as `mask_input`; null: none. `object_scores`: (num_prompts), above 0
/// where there is an object; null: none.
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
        let mut p = PREDICTORS.lease(predictor)?;
        // SAFETY: the caller's promise.
        let work = unsafe {
            prediction(&p, prompts, num_prompts, flags, masks, iou_predictions, low_res_masks, object_scores)
        };
        work?(&mut p)
    })
}

/// As `sam2_image_predictor_predict`, as a job: whatever pointers point at, but for structs, must be there until it has ended.
///
/// # Safety
/// As of `sam2_image_predictor_predict`, until the job has ended; `job` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_image_predictor_predict_async(
    predictor: *mut sam2_image_predictor,
    prompts: *const sam2_prompt,
    num_prompts: usize,
    flags: u32,
    masks: *const sam2_mask_buffer,
    iou_predictions: *mut f32,
    low_res_masks: *mut f32,
    object_scores: *mut f32,
    done: sam2_done_callback,
    user: *mut c_void,
    job: *mut *mut sam2_job,
) -> sam2_status {
    call(|| {
        // SAFETY: the caller's promise.
        unsafe {
            let mut p = PREDICTORS.lease(predictor)?;
            let work =
                prediction(&p, prompts, num_prompts, flags, masks, iou_predictions, low_res_masks, object_scores)?;
            begin(job, done, user, move || work(&mut p))
        }
    })
}

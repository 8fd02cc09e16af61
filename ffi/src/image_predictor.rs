//! `sam2_image_predictor`: masks for prompts on images.

use crate::arguments::put;
use crate::error::{Failure, Result, call, release, sam2_status};
use crate::exclusive::Exclusive;
use crate::handles::Table;
use crate::image::{frames, sam2_image};
use crate::job::{begin, sam2_done_callback, sam2_job};
use crate::mask_buffer::{mask_buffer, sam2_mask_buffer};
use crate::model::{MODELS, sam2_model, within};
use crate::options::{Sized32, fill, read};
use crate::prompt::{by_image, prompts, sam2_prompt};
use engine::{Feature, ImagePredictor, ImagePredictorOptions, PredictOptions, PredictionBuffers, ReserveOptions};
use std::ffi::c_void;

/// Encodes images and predicts masks for prompts on them. One thread uses it at a time.
#[derive(Debug)]
#[allow(non_camel_case_types)]
pub struct sam2_image_predictor {
    _opaque: [u8; 0],
}

pub(crate) static PREDICTORS: Table<Exclusive<ImagePredictor>> = Table::new("image predictor", 2);

/// Options of sam2_image_predictor_create(). Initialize them with SAM2_IMAGE_PREDICTOR_OPTIONS_INIT.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct sam2_image_predictor_options {
    /// sizeof(sam2_image_predictor_options).
    pub struct_size: u32,
    /// Logits above this value are on the object.
    pub mask_threshold: f32,
    /// Largest area of a hole to fill, in pixels of the low-resolution mask. 0 disables it.
    pub max_hole_area: f32,
    /// Largest area of a speck to remove, in pixels of the low-resolution mask. 0 disables it.
    pub max_sprinkle_area: f32,
    /// Memory for the predictor to use instead of allocating: host memory if the model runs on the CPU, otherwise
    /// memory of its GPU. It must remain valid until the predictor is destroyed. A sufficient size is the
    /// `device_bytes` of an equal predictor after its reservation, plus 4 KiB. If it is too small, calls fail with
    /// SAM2_ERROR_OUT_OF_MEMORY. NULL lets the library allocate.
    pub workspace: *mut c_void,
    /// Size of `workspace` in bytes.
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

/// Creates an image predictor.
///
/// @param model The model.
/// @param options Options. NULL uses the defaults.
/// @param out Receives the predictor. Destroy it with sam2_image_predictor_destroy().
/// @return SAM2_OK, SAM2_ERROR_DEVICE if the GPU fails, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_image_predictor_create(
    model: *const sam2_model,
    options: *const sam2_image_predictor_options,
    out: *mut *mut sam2_image_predictor,
) -> sam2_status {
    call(|| {
        // SAFETY: contract of callers.
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

/// Destroys an image predictor.
///
/// Ends the call or job that uses the predictor, as sam2_image_predictor_cancel() does, and blocks until it has ended.
///
/// @param predictor The predictor.
/// @return SAM2_OK, or SAM2_ERROR_INVALID_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_image_predictor_destroy(predictor: *mut sam2_image_predictor) -> sam2_status {
    release(|| Ok(PREDICTORS.destroy(predictor)?))
}

/// Ends the call that another thread makes with the predictor, or the job that uses it. The call or job ends with
/// SAM2_ERROR_CANCELLED, within some milliseconds on the CPU and after the work that is enqueued on a GPU. Does not
/// block.
///
/// @param predictor The predictor, which may be in use.
/// @return SAM2_OK, also if nothing uses the predictor, or SAM2_ERROR_INVALID_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_image_predictor_cancel(predictor: *const sam2_image_predictor) -> sam2_status {
    call(|| Ok(PREDICTORS.cancel(predictor)?))
}

/// Allocates memory in advance, so that later calls within the given limits do not allocate.
///
/// The current images are discarded if the predictor has no room for `num_images` images.
///
/// @param predictor The predictor.
/// @param num_images Number of images in a batch.
/// @param max_points Largest number of points in a prompt. A box counts as two points.
/// @param mask_input 1 if prompts contain masks, otherwise 0.
/// @return SAM2_OK, SAM2_ERROR_BUSY if the predictor is in use, SAM2_ERROR_DEVICE if the GPU fails, or a common
///         status.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_image_predictor_reserve(
    predictor: *mut sam2_image_predictor,
    num_images: u32,
    max_points: u32,
    mask_input: i32,
) -> sam2_status {
    call(|| {
        let options =
            ReserveOptions { images: num_images as usize, points: max_points as usize, mask_input: mask_input != 0 };
        PREDICTORS.lease(predictor)?.run(|p| Ok(p.reserve(options)?))
    })
}

/// Encodes an image, which replaces the previous images.
///
/// Blocks until the image is encoded on the CPU, or until the work is enqueued on a GPU.
///
/// @param predictor The predictor.
/// @param image The image.
/// @return SAM2_OK, SAM2_ERROR_BUSY if the predictor is in use, SAM2_ERROR_DEVICE if the GPU fails, or a common
///         status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_image_predictor_set_image(
    predictor: *mut sam2_image_predictor,
    image: *const sam2_image,
) -> sam2_status {
    call(|| {
        // SAFETY: contract of callers.
        let images = unsafe { frames(image, 1) }?;
        PREDICTORS.lease(predictor)?.run(|p| Ok(p.set_image_batch(&images)?))
    })
}

/// Encodes several images of any sizes, which replace the previous images.
///
/// The `image` field of a prompt selects one of them. Blocks as sam2_image_predictor_set_image().
///
/// @param predictor The predictor.
/// @param images Array of images.
/// @param num_images Number of images.
/// @return As sam2_image_predictor_set_image().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_image_predictor_set_image_batch(
    predictor: *mut sam2_image_predictor,
    images: *const sam2_image,
    num_images: usize,
) -> sam2_status {
    call(|| {
        // SAFETY: contract of callers.
        let images = unsafe { frames(images, num_images) }?;
        PREDICTORS.lease(predictor)?.run(|p| Ok(p.set_image_batch(&images)?))
    })
}

/// Starts sam2_image_predictor_set_image_batch() as a job. Returns as soon as the arguments are checked.
///
/// @param predictor The predictor, which is busy until the job ends.
/// @param images Array of images, which is copied. Their pixels must remain valid until the job ends.
/// @param num_images Number of images.
/// @param on_done Called when the job ends. May be NULL.
/// @param user Passed to `on_done`. May be NULL.
/// @param job Receives the job. NULL starts the job without a handle.
/// @return SAM2_OK if the job started, SAM2_ERROR_BUSY if the predictor is in use, or a common status. No callback is
///         called after a failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_image_predictor_set_image_batch_async(
    predictor: *mut sam2_image_predictor,
    images: *const sam2_image,
    num_images: usize,
    on_done: sam2_done_callback,
    user: *mut c_void,
    job: *mut *mut sam2_job,
) -> sam2_status {
    call(|| {
        // SAFETY: contract of callers.
        unsafe {
            let images = frames(images, num_images)?;
            begin(job, on_done, user, PREDICTORS.lease(predictor)?, move |p| Ok(p.set_image_batch(&images)?))
        }
    })
}

/// Discards the images.
///
/// @param predictor The predictor.
/// @return SAM2_OK, SAM2_ERROR_BUSY if the predictor is in use, or a common status.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_image_predictor_reset(predictor: *mut sam2_image_predictor) -> sam2_status {
    call(|| {
        PREDICTORS.lease(predictor)?.reset_predictor();
        Ok(())
    })
}

/// State of an image predictor. Initialize it with SAM2_IMAGE_PREDICTOR_INFO_INIT.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct sam2_image_predictor_info {
    /// sizeof(sam2_image_predictor_info).
    pub struct_size: u32,
    /// Number of current images.
    pub num_images: u32,
    /// Width of the selected image in pixels. 0 if there is no such image.
    pub width: u32,
    /// Height of the selected image in pixels.
    pub height: u32,
    /// Device memory of the predictor in bytes, without the model's weights.
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

/// Describes the state of an image predictor and the size of one image.
///
/// @param predictor The predictor.
/// @param image Index of the image.
/// @param info Receives the description, as far as its `struct_size` reaches.
/// @return SAM2_OK, SAM2_ERROR_BUSY if the predictor is in use, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_image_predictor_get_info(
    predictor: *const sam2_image_predictor,
    image: u32,
    info: *mut sam2_image_predictor_info,
) -> sam2_status {
    call(|| {
        let p = PREDICTORS.lease(predictor)?;
        let engine::Size { width, height } = p.image_sizes().get(image as usize).copied().unwrap_or_default();
        // SAFETY: contract of callers.
        unsafe {
            fill(info, |info| {
                info.num_images = p.image_sizes().len() as u32;
                (info.width, info.height) = (width as u32, height as u32);
                info.device_bytes = p.memory_bytes() as u64;
            })
        }
    })
}

/// Features of an encoded image. d is the width of the model's embedding, and side the side of its input.
#[allow(non_camel_case_types)]
pub type sam2_feature = i32;

/// (d, side / 16, side / 16): the input of the mask decoder, which is the image embedding of the reference.
pub const SAM2_FEATURE_IMAGE_EMBEDDING: sam2_feature = 0;
/// (d / 4, side / 8, side / 8).
pub const SAM2_FEATURE_HIGH_RES_1: sam2_feature = 1;
/// (d / 8, side / 4, side / 4).
pub const SAM2_FEATURE_HIGH_RES_0: sam2_feature = 2;

/// Copies features of an encoded image. Blocks until the image is encoded.
///
/// @param predictor The predictor.
/// @param feature A ::sam2_feature.
/// @param image Index of the image.
/// @param values Receives the features. NULL returns only the shape.
/// @param size Number of floats in `values`, which must be the product of the shape. Ignored if `values` is NULL.
/// @param shape (3): receives the channels, rows and columns.
/// @return SAM2_OK, SAM2_ERROR_BUSY if the predictor is in use, SAM2_ERROR_DEVICE if the GPU fails, or a common
///         status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_image_predictor_get_features(
    predictor: *mut sam2_image_predictor,
    feature: sam2_feature,
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
        let map = PREDICTORS.lease(predictor)?.run(|p| p.features(feature, image as usize))?;
        let (found, dims) = (&map.values, map.shape());
        if !values.is_null() && size != found.len() {
            return Err(Failure::argument(format!("room for {size} values, there are {}", found.len())));
        }
        // SAFETY: contract of callers.
        unsafe {
            dims.iter().enumerate().for_each(|(i, &d)| shape.add(i).write(d as u32));
            if !values.is_null() {
                values.copy_from_nonoverlapping(found.as_ptr(), size);
            }
        }
        Ok(())
    })
}

/// Flags of sam2_image_predictor_predict().
#[allow(non_camel_case_types)]
pub type sam2_predict_flags = u32;

/// Predict three masks per prompt, for ambiguous prompts, instead of one.
pub const SAM2_PREDICT_MULTIMASK: sam2_predict_flags = 1;
/// Coordinates range from 0 to 1 instead of pixels.
pub const SAM2_PREDICT_NORMALIZED: sam2_predict_flags = 2;

/// Checks the arguments of `sam2_image_predictor_predict` and returns its work.
unsafe fn prediction(
    p: &ImagePredictor,
    list: *const sam2_prompt,
    num_prompts: usize,
    flags: sam2_predict_flags,
    masks: *const sam2_mask_buffer,
    iou_predictions: *mut f32,
    low_res_masks: *mut f32,
    object_score_logits: *mut f32,
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
    // SAFETY: contract of callers.
    let (list, out) = unsafe {
        let floats = |p: *mut f32, len| (!p.is_null()).then(|| std::slice::from_raw_parts_mut(p, len));
        let out = PredictionBuffers {
            masks: mask_buffer(masks)?,
            iou_predictions: std::slice::from_raw_parts_mut(iou_predictions, num_prompts * n),
            low_res_masks: floats(low_res_masks, low),
            object_score_logits: floats(object_score_logits, num_prompts),
        };
        (prompts(list, num_prompts, side)?, out)
    };
    let counts = by_image(&list, p.image_sizes().len())?;
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

/// Predicts masks for prompts on the current images.
///
/// A prompt yields n masks: 3 with SAM2_PREDICT_MULTIMASK, otherwise 1. Blocks until the results are in host memory.
/// Results in GPU memory are ordered by the stream of the buffer.
///
/// @param predictor The predictor.
/// @param prompts Array of prompts, ordered by their images.
/// @param num_prompts Number of prompts.
/// @param flags Combination of ::sam2_predict_flags.
/// @param masks Buffer for (num_prompts, n, height, width) masks with the sizes of the images, or for one map of
///         labels. NULL returns no masks.
/// @param iou_predictions (num_prompts, n): receives the predicted IoU of each mask, about 0 to 1. Must not be NULL.
/// @param low_res_masks (num_prompts, n, mask_side, mask_side): receives logits from -32 to 32, suitable as
///         `mask_input`. May be NULL.
/// @param object_score_logits (num_prompts): receives a value above 0 if there is an object. May be NULL.
/// @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if a prompt is malformed or refers to an image that is not set,
///         SAM2_ERROR_BUSY if the predictor is in use, SAM2_ERROR_DEVICE if the GPU fails, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_image_predictor_predict(
    predictor: *mut sam2_image_predictor,
    prompts: *const sam2_prompt,
    num_prompts: usize,
    flags: sam2_predict_flags,
    masks: *const sam2_mask_buffer,
    iou_predictions: *mut f32,
    low_res_masks: *mut f32,
    object_score_logits: *mut f32,
) -> sam2_status {
    call(|| {
        let mut p = PREDICTORS.lease(predictor)?;
        // SAFETY: contract of callers.
        let work = unsafe {
            prediction(&p, prompts, num_prompts, flags, masks, iou_predictions, low_res_masks, object_score_logits)
        };
        let work = work?;
        p.run(work)
    })
}

/// Starts sam2_image_predictor_predict() as a job. Returns as soon as the arguments are checked.
///
/// @param predictor The predictor, which is busy until the job ends.
/// @param prompts Array of prompts, which is copied with their points and boxes. Their masks must remain valid until
///         the job ends.
/// @param num_prompts Number of prompts.
/// @param flags Combination of ::sam2_predict_flags.
/// @param masks As in sam2_image_predictor_predict(). The memory must remain valid until the job ends.
/// @param iou_predictions As in sam2_image_predictor_predict(). Must remain valid until the job ends.
/// @param low_res_masks As in sam2_image_predictor_predict(). Must remain valid until the job ends.
/// @param object_score_logits As in sam2_image_predictor_predict(). Must remain valid until the job ends.
/// @param on_done Called when the job ends. May be NULL.
/// @param user Passed to `on_done`. May be NULL.
/// @param job Receives the job. NULL starts the job without a handle.
/// @return SAM2_OK if the job started, SAM2_ERROR_BUSY if the predictor is in use, or a common status. No callback is
///         called after a failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_image_predictor_predict_async(
    predictor: *mut sam2_image_predictor,
    prompts: *const sam2_prompt,
    num_prompts: usize,
    flags: sam2_predict_flags,
    masks: *const sam2_mask_buffer,
    iou_predictions: *mut f32,
    low_res_masks: *mut f32,
    object_score_logits: *mut f32,
    on_done: sam2_done_callback,
    user: *mut c_void,
    job: *mut *mut sam2_job,
) -> sam2_status {
    call(|| {
        // SAFETY: contract of callers.
        unsafe {
            let p = PREDICTORS.lease(predictor)?;
            let work = prediction(
                &p,
                prompts,
                num_prompts,
                flags,
                masks,
                iou_predictions,
                low_res_masks,
                object_score_logits,
            )?;
            begin(job, on_done, user, p, work)
        }
    })
}

//! `sam2_automatic_mask_generator`: masks of all objects in an image.

use crate::arguments::put;
use crate::error::{Failure, Result, call, release, sam2_status};
use crate::exclusive::Exclusive;
use crate::handles::Table;
use crate::image::{frames, sam2_image};
use crate::limits::SAM2_WAIT_FOREVER;
use crate::model::{MODELS, sam2_model};
use crate::options::{Sized32, read};
use engine::{AutomaticMaskGenerator, AutomaticMaskGeneratorOptions, GenerateControl, MAX_GRID_POINTS, Progress};
use std::ffi::{CString, c_char, c_void};
use std::time::Duration;

/// Finds the masks of all objects in images. One thread uses it at a time.
#[derive(Debug)]
#[allow(non_camel_case_types)]
pub struct sam2_automatic_mask_generator {
    _opaque: [u8; 0],
}

static GENERATORS: Table<Exclusive<AutomaticMaskGenerator>> = Table::new("automatic mask generator", 6);

/// Options of sam2_automatic_mask_generator_create(). SAM2_AUTOMATIC_MASK_GENERATOR_OPTIONS_INIT sets the defaults of
/// the reference.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct sam2_automatic_mask_generator_options {
    /// sizeof(sam2_automatic_mask_generator_options).
    pub struct_size: u32,
    /// Points along each side of the image, 1 to 1024. 0 if `point_grids` is set.
    pub points_per_side: u32,
    /// Largest number of points to decode at once.
    pub points_per_batch: u32,
    /// Number of layers of crops in addition to the whole image, at most 6. Layer i has 4^i crops.
    pub crop_n_layers: u32,
    /// Each layer has this many times fewer points per side than the previous one.
    pub crop_n_points_downscale_factor: u32,
    /// Holes and specks of up to this area are filled and removed, in pixels of the low-resolution mask.
    pub min_mask_region_area: u32,
    /// 1 predicts every mask a second time, from its point and its first mask.
    pub use_m2m: i32,
    /// 1 predicts three masks per point, 0 one.
    pub multimask_output: i32,
    /// Keeps masks with a predicted IoU above this value. 0 disables the filter.
    pub pred_iou_thresh: f32,
    /// Keeps masks with at least this stability score. 0 disables the filter.
    pub stability_score_thresh: f32,
    /// Distance of the two thresholds of the stability score from `mask_threshold`.
    pub stability_score_offset: f32,
    /// Logits above this value are on the object.
    pub mask_threshold: f32,
    /// Of two masks of a crop whose boxes have a larger IoU, the better one is kept.
    pub box_nms_thresh: f32,
    /// As `box_nms_thresh`, for masks of different crops. The mask of the smaller crop is kept.
    pub crop_nms_thresh: f32,
    /// Overlap of the crops of the first layer, as a fraction of the shorter side, 0 to 1.
    pub crop_overlap_ratio: f64,
    /// Points in place of `points_per_side`: x and y of each, from 0 to 1 of a crop. The points of the whole image
    /// come first, then those of each layer of crops. The points are copied. May be NULL.
    pub point_grids: *const f64,
    /// (num_point_grids): number of points of the whole image and of each layer, 1 to 1048576.
    pub points_per_grid: *const u32,
    /// `crop_n_layers` + 1 if `point_grids` is set, otherwise 0.
    pub num_point_grids: u32,
    /// Unused.
    pub reserved: u32,
}

// SAFETY: numbers and pointers, its size first.
unsafe impl Sized32 for sam2_automatic_mask_generator_options {
    const INIT: Self = sam2_automatic_mask_generator_options {
        struct_size: size_of::<Self>() as u32,
        points_per_side: 32,
        points_per_batch: 64,
        crop_n_layers: 0,
        crop_n_points_downscale_factor: 1,
        min_mask_region_area: 0,
        use_m2m: 0,
        multimask_output: 1,
        pred_iou_thresh: 0.8,
        stability_score_thresh: 0.95,
        stability_score_offset: 1.0,
        mask_threshold: 0.0,
        box_nms_thresh: 0.7,
        crop_nms_thresh: 0.7,
        crop_overlap_ratio: 0.3413333333333333,
        point_grids: std::ptr::null(),
        points_per_grid: std::ptr::null(),
        num_point_grids: 0,
        reserved: 0,
    };
    const NAME: &'static str = "sam2_automatic_mask_generator_options";
}

/// A mask of an image, valid until the callback that receives it returns.
#[repr(C)]
#[derive(Debug)]
#[allow(non_camel_case_types)]
pub struct sam2_automatic_mask {
    /// sizeof(sam2_automatic_mask) in the library.
    pub struct_size: u32,
    /// Width of the image in pixels.
    pub width: u32,
    /// Height of the image in pixels.
    pub height: u32,
    /// Predicted IoU of the mask, about 0 to 1.
    pub predicted_iou: f32,
    /// Stability score: IoU of the mask at two thresholds, 0 to 1. NaN if both masks are empty.
    pub stability_score: f32,
    /// Left, top, width and height of the outermost pixels, from the first to the last. A mask of one pixel has width
    /// 0.
    pub bbox: [f32; 4],
    /// The point that the mask was predicted from, in pixels.
    pub point_coords: [f32; 2],
    /// Left, top, width and height of the crop that the mask was found in.
    pub crop_box: [f32; 4],
    /// Unused.
    pub reserved: u32,
    /// Area of the mask in pixels.
    pub area: u64,
    /// The mask as a COCO run-length string, for sam2_mask_decode_rle().
    pub rle: *const c_char,
}

/// Receives a mask. Masks arrive in the order of their quality, the best first.
///
/// @param user Pointer that was given to the call.
/// @param mask The mask, valid until the callback returns.
/// @return 0 to continue. Any other value skips the remaining masks.
#[allow(non_camel_case_types)]
pub type sam2_automatic_mask_callback =
    Option<unsafe extern "C" fn(user: *mut c_void, mask: *const sam2_automatic_mask) -> i32>;

/// Receives the progress of a call after every batch of points.
///
/// @param user Pointer that was given to the call.
/// @param points_done Number of points that are processed.
/// @param num_points Number of all points.
/// @param num_masks Number of masks found so far.
/// @return 0 to continue. Any other value ends the search with the masks found so far.
#[allow(non_camel_case_types)]
pub type sam2_progress_callback =
    Option<unsafe extern "C" fn(user: *mut c_void, points_done: u64, num_points: u64, num_masks: u64) -> i32>;

/// Reads the points of each layer. None selects regular grids.
///
/// # Safety
/// Contract of callers, for the pointers in the options.
unsafe fn point_grids(o: &sam2_automatic_mask_generator_options) -> Result<Option<Vec<Vec<[f64; 2]>>>> {
    if o.point_grids.is_null() && o.num_point_grids == 0 {
        return Ok(None);
    }
    if o.point_grids.is_null() || o.points_per_grid.is_null() {
        return Err(Failure::argument("point_grids and points_per_grid go together"));
    }
    let layers = o.crop_n_layers.saturating_add(1);
    if o.num_point_grids != layers {
        return Err(Failure::argument(format!("{} point_grids; crop_n_layers takes {layers}", o.num_point_grids)));
    }
    let (mut grids, mut first) = (Vec::new(), o.point_grids.cast::<[f64; 2]>());
    for i in 0..layers as usize {
        // SAFETY: contract of callers.
        let n = unsafe { *o.points_per_grid.add(i) } as usize;
        if n > MAX_GRID_POINTS {
            return Err(Failure::argument(format!("{n} points in point grid {i}; it has 1 to {MAX_GRID_POINTS}")));
        }
        // SAFETY: contract of callers; a point is two numbers.
        unsafe {
            grids.push(std::slice::from_raw_parts(first, n).to_vec());
            first = first.add(n);
        }
    }
    Ok(Some(grids))
}

/// Creates a mask generator.
///
/// @param model The model.
/// @param options Options. NULL uses the defaults.
/// @param out Receives the generator. Destroy it with sam2_automatic_mask_generator_destroy().
/// @return SAM2_OK, SAM2_ERROR_DEVICE if the GPU fails, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_automatic_mask_generator_create(
    model: *const sam2_model,
    options: *const sam2_automatic_mask_generator_options,
    out: *mut *mut sam2_automatic_mask_generator,
) -> sam2_status {
    call(|| {
        // SAFETY: contract of callers.
        unsafe {
            put("out", out, || {
                let o = read(options)?;
                let grids = point_grids(&o)?;
                let options = AutomaticMaskGeneratorOptions {
                    points_per_side: (grids.is_none() || o.points_per_side > 0).then_some(o.points_per_side as usize),
                    points_per_batch: o.points_per_batch as usize,
                    pred_iou_thresh: o.pred_iou_thresh,
                    stability_score_thresh: o.stability_score_thresh,
                    stability_score_offset: o.stability_score_offset,
                    mask_threshold: o.mask_threshold,
                    box_nms_thresh: o.box_nms_thresh,
                    crop_n_layers: o.crop_n_layers as usize,
                    crop_nms_thresh: o.crop_nms_thresh,
                    crop_overlap_ratio: o.crop_overlap_ratio,
                    crop_n_points_downscale_factor: o.crop_n_points_downscale_factor as usize,
                    point_grids: grids,
                    min_mask_region_area: o.min_mask_region_area as usize,
                    use_m2m: o.use_m2m != 0,
                    multimask_output: o.multimask_output != 0,
                };
                let model = MODELS.get(model)?;
                Ok(GENERATORS.insert(Exclusive::new(model.automatic_mask_generator(options)?))?)
            })
        }
    })
}

/// Destroys a mask generator.
///
/// Ends the call that another thread makes with the generator, as sam2_automatic_mask_generator_cancel() does, and
/// blocks until that call has returned.
///
/// @param generator The generator.
/// @return SAM2_OK, SAM2_ERROR_BUSY in a callback of the generator, which then remains valid, or
///         SAM2_ERROR_INVALID_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_automatic_mask_generator_destroy(generator: *mut sam2_automatic_mask_generator) -> sam2_status {
    release(|| Ok(GENERATORS.destroy(generator)?))
}

/// Ends the call that another thread makes with the generator. It returns SAM2_ERROR_CANCELLED. Does not block.
///
/// @param generator The generator, which may be in use.
/// @return SAM2_OK, also if no call is made, or SAM2_ERROR_INVALID_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_automatic_mask_generator_cancel(generator: *const sam2_automatic_mask_generator) -> sam2_status {
    call(|| Ok(GENERATORS.cancel(generator)?))
}

/// Finds the masks of all objects in an image.
///
/// Blocks until all points are processed, the time is over, or `on_progress` returns a nonzero value. Then `on_mask`
/// receives the best masks found so far. If `on_mask` ends the call, the call still succeeds.
///
/// @param generator The generator.
/// @param image The image.
/// @param milliseconds Longest time to search. SAM2_WAIT_FOREVER sets no limit.
/// @param on_progress Receives the progress. May be NULL.
/// @param on_mask Receives the masks. Must not be NULL.
/// @param user Passed to `on_progress` and `on_mask`. May be NULL.
/// @param complete Receives 1 if all points were processed, otherwise 0. May be NULL.
/// @return SAM2_OK, SAM2_ERROR_CANCELLED after sam2_automatic_mask_generator_cancel(), SAM2_ERROR_BUSY if the generator
///         is in use, SAM2_ERROR_DEVICE if the GPU fails, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_automatic_mask_generator_generate(
    generator: *mut sam2_automatic_mask_generator,
    image: *const sam2_image,
    milliseconds: u64,
    on_progress: sam2_progress_callback,
    on_mask: sam2_automatic_mask_callback,
    user: *mut c_void,
    complete: *mut i32,
) -> sam2_status {
    call(|| {
        let on_mask = on_mask.ok_or_else(|| Failure::argument("on_mask is null"))?;
        // SAFETY: contract of callers.
        let images = unsafe { frames(image, 1) }?;
        let mut go_on = |p: Progress| match on_progress {
            // SAFETY: contract of callbacks.
            Some(on_progress) => unsafe { on_progress(user, p.points as u64, p.of as u64, p.masks as u64) == 0 },
            None => true,
        };
        let budget = (milliseconds != SAM2_WAIT_FOREVER).then(|| Duration::from_millis(milliseconds));
        let control = GenerateControl { progress: &mut go_on, budget };
        let found = GENERATORS.lease(generator)?.run(|g| g.generate_with(&images[0], control))?;
        if !complete.is_null() {
            // SAFETY: contract of callers.
            unsafe { complete.write(found.complete as i32) };
        }
        for m in &found.masks {
            let rle = CString::new(m.segmentation.to_coco()?).unwrap_or_default();
            let mask = sam2_automatic_mask {
                struct_size: size_of::<sam2_automatic_mask>() as u32,
                width: m.segmentation.width as u32,
                height: m.segmentation.height as u32,
                predicted_iou: m.predicted_iou,
                stability_score: m.stability_score,
                bbox: m.bbox,
                point_coords: m.point_coords,
                crop_box: m.crop_box,
                reserved: 0,
                area: m.area,
                rle: rle.as_ptr(),
            };
            // SAFETY: contract of callbacks; what it gets lives until it returns.
            if unsafe { on_mask(user, &mask) } != 0 {
                break;
            }
        }
        Ok(())
    })
}

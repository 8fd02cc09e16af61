//! `sam2_automatic_mask_generator`: everything in a picture.

use crate::arguments::put;
use crate::handles::{Exclusive, Table};
use crate::image::{frames, sam2_image};
use crate::job::SAM2_WAIT_FOREVER;
use crate::model::{MODELS, sam2_model};
use crate::options::{Sized32, read};
use crate::status::{Failure, Result, call, release, sam2_status};
use engine::{AutomaticMaskGenerator, AutomaticMaskGeneratorOptions, MAX_GRID_POINTS, Progress, Until};
use std::ffi::{CString, c_char, c_void};
use std::time::Duration;

/// Finds everything in pictures. One thread uses it at a time.
#[allow(non_camel_case_types)]
pub struct sam2_automatic_mask_generator {
    _opaque: [u8; 0],
}

static GENERATORS: Table<Exclusive<AutomaticMaskGenerator>> = Table::new("automatic mask generator", 6);

/// What to look for; names and what SAM2_AUTOMATIC_MASK_OPTIONS_INIT sets are the reference's.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam2_automatic_mask_options {
    /// sizeof(sam2_automatic_mask_options)
    pub struct_size: u32,
    /// Points along each side of the picture, 1 to 1024; 0 where there are `point_grids`.
    pub points_per_side: u32,
    /// Points that are decoded at once, at most.
    pub points_per_batch: u32,
    /// Layers of crops beside the whole picture, at most 6; layer i has 4^i.
    pub crop_n_layers: u32,
    /// Each layer has so many times fewer points per side than the one before.
    pub crop_n_points_downscale_factor: u32,
    /// Holes and specks of up to so many pixels of the low-resolution mask are mended.
    pub min_mask_region_area: u32,
    /// Not 0: every mask is found a second time, from its point and itself.
    pub use_m2m: i32,
    /// Not 0: three masks for each point, instead of one.
    pub multimask_output: i32,
    /// Masks whose predicted IoU is not above it are dropped; 0: none are.
    pub pred_iou_thresh: f32,
    /// Masks whose stability is below it are dropped; 0: none are.
    pub stability_score_thresh: f32,
    /// Stability is pixels with logits above `mask_threshold` + this / pixels above `mask_threshold` - this.
    pub stability_score_offset: f32,
    /// Logits above it are on the object.
    pub mask_threshold: f32,
    /// Of two masks of a crop whose boxes overlap by more than this (intersection over union), the better stays.
    pub box_nms_thresh: f32,
    /// As `box_nms_thresh`, of masks of different crops, of which those of smaller crops are better.
    pub crop_nms_thresh: f32,
    /// How much of the shorter side crops of the first layer overlap by, 0..1.
    pub crop_overlap_ratio: f64,
    /// Instead of `points_per_side`, points of your own: x and y of each, in 0..1 of a crop, those of the picture first and
    /// then those of each layer of crops. They are copied. Null: none.
    pub point_grids: *const f64,
    /// How many points the picture and each layer have, 1 to 1048576.
    pub points_per_grid: *const u32,
    /// `crop_n_layers` + 1, where there are `point_grids`.
    pub num_point_grids: u32,
    /// Not used.
    pub reserved: u32,
}

// SAFETY: numbers and pointers, its size first.
unsafe impl Sized32 for sam2_automatic_mask_options {
    const INIT: Self = sam2_automatic_mask_options {
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
    const NAME: &'static str = "sam2_automatic_mask_options";
}

/// A mask that was found, there until the callback that gets it returns.
#[repr(C)]
#[allow(non_camel_case_types)]
pub struct sam2_automatic_mask {
    /// sizeof(sam2_automatic_mask) as the library knows it.
    pub struct_size: u32,
    /// Pixels across of the picture.
    pub width: u32,
    /// Pixels down of it.
    pub height: u32,
    /// How well the model thinks it fits, about 0 to 1.
    pub predicted_iou: f32,
    /// How little it hangs by the threshold, 0 to 1; NaN where nothing is near it.
    pub stability_score: f32,
    /// Left, top, width and height of the outermost pixels, from the first to the last: a mask of one pixel is 0 wide.
    pub bbox: [f32; 4],
    /// The point that found it, in pixels.
    pub point_coords: [f32; 2],
    /// Left, top, width and height of the crop that it was found in.
    pub crop_box: [f32; 4],
    /// Not used.
    pub reserved: u32,
    /// Pixels of the mask.
    pub area: u64,
    /// The mask as the text of COCO's run lengths, for `sam2_mask_decode_rle`.
    pub rle: *const c_char,
}

/// Gets the caller's pointer and a mask, best first; returns 0 to see the others.
#[allow(non_camel_case_types)]
pub type sam2_automatic_mask_callback =
    Option<unsafe extern "C" fn(user: *mut c_void, mask: *const sam2_automatic_mask) -> i32>;

/// Gets the caller's pointer, how many points were looked at, of how many, and the masks found so far, after every batch of
/// points; returns 0 to go on.
#[allow(non_camel_case_types)]
pub type sam2_progress_callback =
    Option<unsafe extern "C" fn(user: *mut c_void, points: u64, of: u64, masks: u64) -> i32>;

/// The points of each layer; none where they are on grids.
///
/// # Safety
/// What the options describe is there.
unsafe fn point_grids(o: &sam2_automatic_mask_options) -> Result<Option<Vec<Vec<[f64; 2]>>>> {
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
        // SAFETY: the caller's promise, as far as the counts are those of points.
        let n = unsafe { *o.points_per_grid.add(i) } as usize;
        if n > MAX_GRID_POINTS {
            return Err(Failure::argument(format!("{n} points in point grid {i}; it has 1 to {MAX_GRID_POINTS}")));
        }
        // SAFETY: the caller's promise; a point is two numbers.
        unsafe {
            grids.push(std::slice::from_raw_parts(first, n).to_vec());
            first = first.add(n);
        }
    }
    Ok(Some(grids))
}

/// Makes a generator. `options` may be null. On success `*out` is to be given to `sam2_automatic_mask_generator_destroy`.
///
/// # Safety
/// `options` is null or readable, and what it describes is there; `out` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_automatic_mask_generator_create(
    model: *const sam2_model,
    options: *const sam2_automatic_mask_options,
    out: *mut *mut sam2_automatic_mask_generator,
) -> sam2_status {
    call(|| {
        // SAFETY: the caller's promise, of both.
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

/// Destroys a generator. Returns SAM2_ERROR_BUSY while a call or a job uses it, and destroys nothing then.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_automatic_mask_generator_destroy(generator: *mut sam2_automatic_mask_generator) -> sam2_status {
    release(|| Ok(GENERATORS.destroy(generator)?))
}

/// Finds everything in a picture; `each` gets the masks. It stops when `progress` says so, or after so many milliseconds
/// (SAM2_WAIT_FOREVER: not), with the best of what was found so far; `*complete` is 1 where everything was looked at, else 0.
/// `progress` and `complete` may be null.
///
/// # Safety
/// `image` describes what is there; `complete` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_automatic_mask_generator_generate(
    generator: *mut sam2_automatic_mask_generator,
    image: *const sam2_image,
    milliseconds: u64,
    progress: sam2_progress_callback,
    each: sam2_automatic_mask_callback,
    user: *mut c_void,
    complete: *mut i32,
) -> sam2_status {
    call(|| {
        let each = each.ok_or_else(|| Failure::argument("each is null"))?;
        // SAFETY: the caller's promise.
        let images = unsafe { frames(image, 1) }?;
        let mut go_on = |p: Progress| match progress {
            // SAFETY: the caller's function.
            Some(progress) => unsafe { progress(user, p.points as u64, p.of as u64, p.masks as u64) == 0 },
            None => true,
        };
        let budget = (milliseconds != SAM2_WAIT_FOREVER).then(|| Duration::from_millis(milliseconds));
        let until = Until { progress: &mut go_on, budget };
        let found = GENERATORS.lease(generator)?.generate_until(&images[0], until)?;
        if !complete.is_null() {
            // SAFETY: the caller's promise.
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
            // SAFETY: the caller's function; what it gets lives until it returns.
            if unsafe { each(user, &mask) } != 0 {
                break;
            }
        }
        Ok(())
    })
}

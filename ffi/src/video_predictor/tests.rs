//! Tests that the work per object does not depend on the number of objects.

use super::*;
use crate::*;
use engine::Counters;
use std::ptr::{null, null_mut};

extern "C" fn look(_: *mut c_void, _: *const sam2_frame) -> i32 {
    0
}

/// Adds objects to the first frame of a stream, by a click or a mask each. Returns the work of each call.
fn work_of_naming(objects: usize, by_mask: bool, on_frame: sam2_frame_callback) -> Vec<Counters> {
    let options = sam2_model_options { device: SAM2_DEVICE_CPU, ..Sized32::INIT };
    let (mut model, mut video) = (null_mut(), null_mut::<sam2_video_predictor>());
    let pixels = [99u8; 32 * 32 * 3];
    let image = sam2_image { width: 32, height: 32, planes: [pixels.as_ptr().cast(), null(), null()], ..Sized32::INIT };
    let (at, label, mask) = ([16f32; 2], 1, [1u8; 8 * 8]);
    let prompt = sam2_prompt { num_points: 1, points: at.as_ptr(), labels: &label, ..Sized32::INIT };
    let counters = |video: *const sam2_video_predictor| VIDEOS.lease(video).ok().unwrap().predictor.counters();
    // SAFETY: all pointers are valid.
    let work = unsafe {
        assert_eq!(sam2_model_load(c"../demo".as_ptr(), &options, &mut model), SAM2_OK);
        assert_eq!(sam2_video_predictor_create_stream(model, null(), &mut video), SAM2_OK);
        assert_eq!(sam2_video_predictor_push_frame(video, &image, null(), None, null_mut()), SAM2_OK);
        let name = |id: i64| {
            let (before, user) = (counters(video), null_mut());
            let status = match by_mask {
                true => sam2_video_predictor_add_new_mask(video, 0, id, mask.as_ptr(), 8, 8, null(), on_frame, user),
                false => sam2_video_predictor_add_new_points_or_box(video, 0, id, &prompt, 0, null(), on_frame, user),
            };
            assert_eq!(status, SAM2_OK);
            counters(video) - before
        };
        (0..objects as i64).map(name).collect()
    };
    assert_eq!(sam2_video_predictor_destroy(video), SAM2_OK);
    assert_eq!(sam2_model_destroy(model), SAM2_OK);
    work
}

#[test]
fn an_object_costs_the_same_however_many_there_are() {
    for by_mask in [false, true] {
        let work = work_of_naming(200, by_mask, None);
        // The first call encodes the image.
        let (second, last) = (work[1], work[199]);
        assert_eq!(last, second, "by a mask: {by_mask}");
        // The array of pointers is doubled and copied when it is full.
        let more = work[1..].iter().filter(|&&work| work != second).count();
        assert!(more <= 4, "{more} calls do more, by a mask: {by_mask}");
        // A callback receives all objects.
        let shown = work_of_naming(20, by_mask, Some(look));
        assert!(shown[19].bytes > shown[1].bytes, "{shown:?}");
    }
}

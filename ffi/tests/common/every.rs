//! List of every function of the header: `every_function!(m)` calls `m!` with the list. `ffi/src/panics.rs` compares it
//! with the header. Add new functions at the end, because the corpus of the fuzz target `calls` uses indices.

macro_rules! every_function {
    ($do:ident) => {
        $do! {
            sam2_model_load(_, _, _)
            sam2_model_load_memory(_, _, _, _)
            sam2_model_destroy(_)
            sam2_model_get_info(_, _)
            sam2_picture_read(_, _)
            sam2_picture_destroy(_)
            sam2_picture_get_image(_, _)
            sam2_mask_write_png(_, _, _, _)
            sam2_image_predictor_create(_, _, _)
            sam2_image_predictor_destroy(_)
            sam2_image_predictor_reserve(_, _, _, _)
            sam2_image_predictor_set_image(_, _)
            sam2_image_predictor_predict(_, _, _, _, _, _, _, _)
            sam2_last_error()
            sam2_abi_version()
            sam2_version()
            sam2_video_predictor_open(_, _, _, _)
            sam2_video_predictor_create_stream(_, _, _)
            sam2_video_predictor_fork(_, _)
            sam2_video_predictor_destroy(_)
            sam2_video_predictor_add_new_points_or_box(_, _, _, _, _, _, _, _)
            sam2_video_predictor_add_new_mask(_, _, _, _, _, _, _, _, _)
            sam2_video_predictor_clear_all_prompts_in_frame(_, _, _, _, _, _)
            sam2_video_predictor_remove_object(_, _)
            sam2_video_predictor_reset_state(_)
            sam2_video_predictor_propagate_in_video(_, _, _, _, _, _, _)
            sam2_video_predictor_cancel(_)
            sam2_video_predictor_push_frame(_, _, _, _, _)
            sam2_video_predictor_get_info(_, _)
            sam2_video_predictor_save_state(_, _, _)
            sam2_video_predictor_load_state(_, _, _)
            sam2_gpu_get_count(_)
            sam2_gpu_get_info(_, _)
            sam2_image_from_dlpack(_, _)
            sam2_mask_buffer_from_dlpack(_, _)
            sam2_tensor_create(_, _, _, _, _, _)
            sam2_image_predictor_set_image_batch(_, _, _)
            sam2_image_predictor_set_image_batch_async(_, _, _, _, _, _)
            sam2_image_predictor_reset(_)
            sam2_image_predictor_get_info(_, _, _)
            sam2_image_predictor_get_features(_, _, _, _, _, _)
            sam2_image_predictor_predict_async(_, _, _, _, _, _, _, _, _, _, _)
            sam2_job_wait(_, _, _)
            sam2_job_destroy(_)
            sam2_build_info()
            sam2_set_log_callback(_, _, _)
            sam2_mask_encode_rle(_, _, _, _, _)
            sam2_mask_decode_rle(_, _, _, _)
            sam2_model_load_fd(_, _, _, _, _)
            sam2_video_predictor_propagate_in_video_async(_, _, _, _, _, _, _, _, _)
            sam2_video_predictor_push_frame_async(_, _, _, _, _, _, _)
            sam2_video_predictor_push_frames(_, _)
            sam2_video_predictor_get_obj_ids(_, _, _)
            sam2_video_predictor_reserve(_, _, _, _)
            sam2_automatic_mask_generator_create(_, _, _)
            sam2_automatic_mask_generator_destroy(_)
            sam2_automatic_mask_generator_generate(_, _, _, _, _, _, _)
            sam2_mask_get_label_map(_, _, _, _, _)
            sam2_mask_get_polygons(_, _, _, _, _, _, _)
            sam2_picture_read_with(_, _, _)
            sam2_last_errno()
            sam2_video_predictor_add_new_mask_f32(_, _, _, _, _, _, _, _, _)
            sam2_image_predictor_take_features(_, _)
            sam2_image_predictor_set_features(_, _)
            sam2_video_predictor_take_features(_, _, _)
            sam2_video_predictor_set_features(_, _)
            sam2_features_get_bytes(_, _)
            sam2_features_destroy(_)
            sam2_image_predictor_cancel(_)
            sam2_automatic_mask_generator_cancel(_)
            sam2_job_cancel(_)
            sam2_set_time_limit(_, _)
            sam2_picture_decode(_, _, _, _)
        }
    };
}

/// Result of a function.
pub trait Outcome {
    /// The status, or None if the function cannot fail.
    fn status(self) -> Option<i32>;
}

impl Outcome for i32 {
    fn status(self) -> Option<i32> {
        Some(self)
    }
}

impl Outcome for u32 {
    fn status(self) -> Option<i32> {
        None
    }
}

impl Outcome for *const std::ffi::c_char {
    fn status(self) -> Option<i32> {
        None
    }
}

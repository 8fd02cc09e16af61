//! Draws the arguments of calls from the bytes of a sequence.

use super::*;

/// An argument of a call.
pub(super) trait Draw {
    fn draw(run: &mut Run<'_>) -> Self;
}

macro_rules! handles {
    ($($kind:ident)*) => {$(
        impl Draw for *mut $kind {
            fn draw(run: &mut Run<'_>) -> Self {
                run.handle(stringify!($kind)) as Self
            }
        }
        impl Draw for *const $kind {
            fn draw(run: &mut Run<'_>) -> Self {
                run.handle(stringify!($kind)) as Self
            }
        }
        impl Draw for *mut *mut $kind {
            fn draw(run: &mut Run<'_>) -> Self {
                // Without a handle of its job, a call's end could not be waited for.
                if run.byte() >= 240 && stringify!($kind) != "sam2_job" {
                    return null_mut();
                }
                run.out.push((stringify!($kind), Box::new(0)));
                (&raw mut *run.out.last_mut().expect("just put there").1).cast()
            }
        }
    )*};
}
handles!(sam2_model sam2_picture sam2_image_predictor sam2_video_predictor sam2_job sam2_automatic_mask_generator sam2_features);

impl Draw for *mut *mut DLManagedTensorVersioned {
    fn draw(run: &mut Run<'_>) -> Self {
        if run.byte() >= 240 {
            return null_mut();
        }
        run.out.push((TENSOR, Box::new(0)));
        (&raw mut *run.out.last_mut().expect("just put there").1).cast()
    }
}

impl Draw for *const DLManagedTensorVersioned {
    /// None, the library's, or another's; never one that is gone, which is a pointer.
    fn draw(run: &mut Run<'_>) -> Self {
        let made = run.handles.iter().rev().find(|(kind, _)| *kind == TENSOR).map(|(_, h)| *h as Self);
        match run.byte() {
            0..20 => null(),
            20..120 if made.is_some() => made.unwrap_or(null()),
            _ => {
                let sizes = |run: &mut Run<'_>, of: &[i64]| -> *mut i64 {
                    let values = (0..4).map(|_| run.one(of)).collect();
                    run.keep(values)
                };
                let (shape, strides) = (sizes(run, &[3, 3, 8, 16, 1, 0, -1, 4]), sizes(run, &[1, 3, 9, 24, 48, 0, -1]));
                let tensor = Tensor {
                    version: [run.one(&[1, 1, 1, 0, 2]), 0],
                    context: null_mut(),
                    deleter: None,
                    flags: run.one(&[0, 0, 0, 1]),
                    data: <*mut f32>::draw(run).cast(),
                    device: [run.one(&[1, 1, 1, 3, 2, 13, 77]), 0],
                    ndim: run.one(&[3, 3, 2, 1, 4, 0, -1, 5]),
                    code: run.one(&[1, 1, 2, 0, 6]),
                    bits: run.one(&[8, 8, 32, 16]),
                    lanes: run.one(&[1, 1, 1, 2]),
                    shape,
                    strides: run.one(&[null_mut(), null_mut(), strides]),
                    byte_offset: run.one(&[0, 0, 4, 3]),
                };
                run.keep(vec![tensor]).cast_const().cast()
            }
        }
    }
}

macro_rules! structs {
    ($($kind:ident { $($field:ident: $value:expr),* } by $run:ident;)*) => {$(
        impl Draw for *mut $kind {
            fn draw(run: &mut Run<'_>) -> Self {
                run.structs(size_of::<$kind>(), |$run, struct_size| $kind {
                    struct_size,
                    $($field: $value,)*
                    // SAFETY: numbers, pointers and optional functions.
                    ..unsafe { std::mem::zeroed() }
                })
            }
        }
        impl Draw for *const $kind {
            fn draw(run: &mut Run<'_>) -> Self {
                <*mut $kind>::draw(run)
            }
        }
    )*};
}

structs! {
    sam2_model_options {
        device: run.one(&[SAM2_DEVICE_CPU, SAM2_DEVICE_CPU, SAM2_DEVICE_CPU, 9]),
        device_index: run.one(&[0, 0, -1]),
        precision: run.one(&[0, 0, 1, 2, 3, 4]),
        threads: run.one(&[1, 2]),
        image_size: run.one(&[32, 32, 32, 64, 33]),
        no_postprocessing: run.byte().into(),
        no_mmap: run.byte().into(),
        config_yaml: run.one(&[YAML.as_ptr(), YAML.as_ptr(), YAML.as_ptr(), null(), c"model: [".as_ptr(), c"\xff".as_ptr()]),
        overrides: run.one(&[null(), null(), c"".as_ptr(), c"model.num_maskmem=3".as_ptr(), c"x=".as_ptr()])
    } by run;
    sam2_model_info {} by _run;
    sam2_image_predictor_info {} by _run;
    sam2_gpu_info {} by _run;
    sam2_image {
        format: run.one(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 0, 0]),
        width: run.one(&SMALL),
        height: run.one(&SMALL),
        planes: std::array::from_fn(|_| <*const f32>::draw(run).cast()),
        strides: std::array::from_fn(|_| run.one(&[0, 0, 0, 0, 0, 400, 2000, 1, u64::MAX])),
        matrix: run.one(&[0, 0, 0, 1, 2]),
        range: run.one(&[0, 0, 0, 1, 2]),
        flip: run.one(&[0, 0, 1]),
        memory: run.one(&[0, 0, 0, 0, 1, 2]),
        has_stream: run.one(&[0, 1]),
        stream: null_mut()
    } by run;
    sam2_image_predictor_options {
        mask_threshold: f32::draw(run),
        max_hole_area: f32::draw(run),
        max_sprinkle_area: f32::draw(run)
    } by run;
    sam2_prompt {
        num_points: run.one(&[1, 1, 2, 0, 3, 1000, 1001, u32::MAX]),
        points: Draw::draw(run),
        labels: Draw::draw(run),
        bounds: Draw::draw(run),
        mask_input: Draw::draw(run),
        image: run.one(&[0, 0, 0, 1, 2])
    } by run;
    sam2_mask_buffer {
        format: run.one(&[0, 0, 1, 1, 2, 2, 3, 3, 4]),
        flip: run.one(&[0, 0, 1]),
        data: <*mut f32>::draw(run).cast(),
        size: run.one(&[1, 49, 1024, 4096, 10000, 40000, 7, 3 * 1024, 1_000_000, 128, 2048, 20000, 98]),
        memory: run.one(&[0, 0, 0, 0, 1, 2]),
        has_stream: run.one(&[0, 1]),
        stream: null_mut()
    } by run;
    sam2_video_predictor_options {
        window: run.one(&[0, 0, 1, 2, SAM2_RETAIN_EVERYTHING, 1 << 31]),
        legacy_corrections: run.one(&[0, 1]),
        offload_state_to_cpu: run.one(&[0, 1]),
        keep_damaged: run.one(&[0, 1]),
        upright: run.one(&[0, 1]),
        bit_depth: run.one(&[0, 0, 12, 7, 300])
    } by run;
    sam2_picture_options {
        upright: run.one(&[0, 1]),
        bit_depth: run.one(&[0, 0, 8, 12, 16, 7, 300])
    } by run;
    sam2_automatic_mask_generator_options {
        points_per_side: run.one(&[2, 2, 1, 3, 0, 2000]),
        points_per_batch: run.one(&[3, 1, 64, 0]),
        crop_n_layers: run.one(&[0, 0, 0, 1, 9]),
        crop_n_points_downscale_factor: run.one(&[1, 1, 2, 0]),
        min_mask_region_area: run.one(&[0, 0, 5]),
        use_m2m: run.one(&[0, 0, 1]),
        multimask_output: run.one(&[0, 1]),
        pred_iou_thresh: run.one(&[0.0, 0.0, 0.5, f32::NAN]),
        stability_score_thresh: run.one(&[0.0, 0.0, 0.5]),
        stability_score_offset: run.one(&[1.0, 0.0, -1.0]),
        mask_threshold: f32::draw(run),
        box_nms_thresh: run.one(&[0.7, 0.0, 2.0]),
        crop_nms_thresh: run.one(&[0.7, 0.0, 2.0]),
        point_grids: if run.byte() < 160 { null() } else { Draw::draw(run) },
        points_per_grid: Draw::draw(run),
        num_point_grids: run.one(&[0, 0, 1, 2, u32::MAX])
    } by run;
    sam2_video_predictor_info {} by _run;
    sam2_video_push {
        video: Draw::draw(run),
        image: Draw::draw(run),
        masks: Draw::draw(run),
        on_frame: Draw::draw(run)
    } by run;
}

macro_rules! numbers {
    ($($type:ty: $run:ident => $value:expr;)*) => {$(
        impl Draw for $type {
            fn draw($run: &mut Run<'_>) -> Self {
                $value
            }
        }
    )*};
}

numbers! {
    // Flags, sides and counts of points.
    u32: run => run.one(&SMALL);
    i32: run => match run.function {
        #[cfg(unix)]
        "sam2_model_load_fd" => match run.byte() {
            0..4 => std::os::fd::AsRawFd::as_raw_fd(&*CHECKPOINT_FILE),
            _ => -1,
        },
        _ => run.one(&[0, 1, -1, 2]),
    };
    u64: run => run.one(&[0, 0, 1, 2, 3, u64::MAX, 1 << 40]);
    i64: run => run.one(&[1, 1, 2, 0, -1, 3, i64::MIN, i64::MAX]);
    f32: run => run.one(&[0.0, 1.0, 16.0, 5.5, 31.0, -1.0, 0.5, 1e30, f32::NAN, f32::INFINITY]);
    usize: run => match (run.length.take(), run.byte()) {
        (Some(n), 0..200) => n,
        (Some(n), byte) => n * byte as usize / 255,
        (None, byte) => byte as usize % (FEW + 1),
    };
    *mut c_void: run => run.one(&[null_mut(), null_mut(), 8 as *mut c_void]);
    // Files are written to the temporary folder only.
    *const c_char: run => match run.function {
        "sam2_mask_write_png" => run.one(&[FILE.as_ptr(), FILE.as_ptr(), c"/nowhere/0".as_ptr(), c"".as_ptr(), null()]),
        _ => run.one(&[
            FILE.as_ptr(),
            FILE.as_ptr(),
            c"/nowhere/0".as_ptr(),
            c"".as_ptr(),
            c"\xff".as_ptr(),
            c"01".as_ptr(),
            null(),
        ]),
    };
    sam2_frame_callback: run => run.one(&[None, Some(see as _)]);
    sam2_progress_callback: run => run.one(&[None, Some(on as _)]);
    sam2_automatic_mask_callback: run => run.one(&[Some(look as _), Some(look as _), None]);
    sam2_done_callback: run => run.one(&[None, Some(ended as _)]);
    sam2_log_callback: run => run.one(&[None, Some(hear as _)]);
    *mut i32: run => if run.byte() < 240 { run.keep(vec![7i32]) } else { null_mut() };
    *mut u32: run => if run.byte() < 240 { run.keep(vec![0u32; ROOM / 4]) } else { null_mut() };
    *mut u64: run => if run.byte() < 240 { run.keep(vec![0u64; 1]) } else { null_mut() };
    *mut u16: run => if run.byte() < 240 { run.keep(vec![0u16; ROOM / 2]) } else { null_mut() };
    *const u32: run => {
        let few = (0..FEW).map(|_| run.one(&[1u32, 1, 2, 0, u32::MAX])).collect();
        if run.byte() < 240 { run.keep(few) } else { null_mut() }
    };
    *const f64: run => {
        let few = (0..4 * FEW).map(|_| run.one(&[0.5, 0.5, 0.25, 1.0, 0.0, -1.0, f64::NAN])).collect();
        if run.byte() < 240 { run.keep(few) } else { null_mut() }
    };
    *const *const c_char: run => {
        let few = (0..FEW).map(|_| run.one(&[c"01", c"1", c"04", c"0T3", c"x"]).as_ptr()).collect();
        if run.byte() < 240 { run.keep(few) } else { null_mut() }
    };
    *mut i64: run => if run.byte() < 160 { run.keep(vec![0i64; ROOM / 8]) } else { null_mut() };
    *const i64: run => {
        if run.byte() >= 240 {
            return null();
        }
        let few = (0..4).map(|_| run.one(&[1i64, 7, 32, 1, 0, -1, i64::MAX, 1 << 40])).collect();
        run.keep(few)
    };
    *mut usize: run => {
        if run.byte() >= 240 {
            return null_mut();
        }
        let room = run.one(&[0usize, 1, 9, ROOM / 8]);
        run.keep(vec![room])
    };
    *mut u8: run => if run.byte() < 240 { run.keep(vec![0u8; ROOM]) } else { null_mut() };
    *mut c_char: run => if run.byte() < 160 { run.keep(vec![0 as c_char; ROOM]) } else { null_mut() };
    sam2_write_callback: run => run.one(&[Some(save as _), Some(save as _), Some(save as _), None]);
    *const i32: run => {
        if run.byte() >= 240 {
            return null();
        }
        let few: [i32; 4] = std::array::from_fn(|_| run.one(&[1, 1, 0, 1, 0, 2, -1, 9]));
        run.keep(few.repeat(250))
    };
    *mut f32: run => if run.byte() < 240 { run.keep(vec![0f32; ROOM / 4]) } else { null_mut() };
    *const f32: run => {
        if run.byte() >= 160 {
            return null();
        }
        let mut values = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
        values.resize(FLOATS, 8.0);
        values[..8].fill_with(|| f32::draw(run));
        let at = values.as_ptr();
        run.floats.push(values);
        at
    };
    *const u8: run => {
        let (bytes, n) = match run.byte() {
            0..100 => padded(SAVED.with_borrow(Clone::clone)),
            // Seldom, for loading takes long.
            100..102 => {
                run.length = Some(CHECKPOINT.1);
                return CHECKPOINT.0.as_ptr();
            }
            102..240 => padded((0..16).map(|_| run.byte()).collect()),
            _ => return null(),
        };
        run.length = Some(n);
        run.keep(bytes)
    };
}

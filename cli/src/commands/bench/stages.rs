//! Runs and measures the stages.

use super::args::Args;
use crate::console::progress;
use crate::error::Failure;
use sam2::memory::try_collect;
use sam2::picture::Picture;
use sam2::{
    Counters, Direction, Frame, Frames, ImagePredictor, KernelTime, MaskBuffer, Model, PixelFormat, PredictOptions,
    PredictionBuffers, Prompt, StageTime, VideoPredictor,
};
use std::time::Instant;

/// The latencies of a stage in seconds, sorted, and the work of one run.
pub struct Row {
    pub stage: String,
    pub seconds: Vec<f64>,
    pub work: Counters,
    pub kernels: Vec<KernelTime>,
}

impl Row {
    /// The `p`th percentile of the latencies.
    pub fn percentile(&self, p: usize) -> f64 {
        let n = self.seconds.len();
        self.seconds[(n * p).div_ceil(100).clamp(1, n) - 1]
    }

    /// GFLOP/s of the matrix products, at the median latency.
    pub fn gflops(&self) -> f64 {
        self.work.matmul_flops as f64 / self.percentile(50) / 1e9
    }
}

/// Runs `call` for the warm-up, then for the measurement. Returns the seconds of the measured runs, sorted.
fn timed(args: &Args, stage: &str, mut call: impl FnMut() -> sam2::Result<()>) -> Result<Vec<f64>, Failure> {
    args.begin_turn()?;
    for _ in 0..args.warmup {
        call()?;
    }
    args.end_turn(&[])?;
    let mut seconds = Vec::new();
    for _ in 0..args.repeat {
        args.begin_turn()?;
        let start = Instant::now();
        call()?;
        let taken = start.elapsed().as_secs_f64();
        args.end_turn(&[(stage, taken)])?;
        seconds.push(taken);
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds)
}

/// Measures a call of the image predictor.
pub fn measure(
    args: &Args,
    predictor: &mut ImagePredictor,
    stage: &str,
    mut call: impl FnMut(&mut ImagePredictor) -> sam2::Result<()>,
) -> Result<Row, Failure> {
    let bar = progress(stage);
    let mut work = Counters::default();
    let seconds = timed(args, stage, || {
        let before = predictor.counters();
        call(predictor)?;
        work = predictor.counters() - before;
        Ok(())
    })?;
    let mut kernels = Vec::new();
    if args.profile {
        args.begin_turn()?;
        predictor.start_profile();
        call(predictor)?;
        kernels = predictor.finish_profile();
        args.end_turn(&[])?;
        kernels.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    }
    bar.finish_and_clear();
    Ok(Row { stage: stage.into(), seconds, work, kernels })
}

/// Measures a call that decodes `n` clicks.
pub fn clicks(
    args: &Args,
    predictor: &mut ImagePredictor,
    n: usize,
    (width, height): (usize, usize),
) -> Result<Row, Failure> {
    let side = predictor.mask_side();
    let at = |i: usize| ((i * 7919 + 4001) % 10_007) as f32 / 10_007.0;
    let prompts: Vec<Prompt<'_>> =
        (0..n).map(|i| Prompt::new().point(at(2 * i) * width as f32, at(2 * i + 1) * height as f32, 1)).collect();
    let (mut iou, mut low) = (vec![0.0; 3 * n], zeros(3 * n * side * side)?);
    let mut masks = zeros(if args.low_res { 0 } else { 3 * n * width * height })?;
    let name = if n == 1 { "1 click".into() } else { format!("{n} clicks") };
    measure(args, predictor, &name, |p| {
        let out = PredictionBuffers {
            masks: (!args.low_res).then(|| MaskBuffer::binary(&mut masks)),
            iou_predictions: &mut iou,
            low_res_masks: Some(&mut low),
            object_score_logits: None,
        };
        p.predict_into(&prompts, PredictOptions::default(), out)
    })
}

/// Measures automatic masks with a grid of 32x32 points.
pub fn automatic(args: &Args, model: &Model, frame: &Frame<'_>) -> Result<Row, Failure> {
    let (bar, name) = (progress("automatic masks"), "automatic masks");
    let mut generator = model.automatic_mask_generator(Default::default())?;
    let seconds = timed(args, name, || generator.generate(frame).map(|_| ()))?;
    bar.finish_and_clear();
    Ok(Row { stage: name.into(), seconds, work: Counters::default(), kernels: Vec::new() })
}

/// Measures a frame with `n` tracked objects, and its stages. The video is the image, shifted by a few pixels per
/// frame.
pub fn track(args: &Args, model: &Model, n: usize, (pixels, w, h): (&[u8], usize, usize)) -> Result<Vec<Row>, Failure> {
    let first = args.track_warmup + 1;
    let profiled = first + args.repeat;
    let count = profiled + if args.profile { args.repeat } else { 0 };
    let (bar, name) = (progress("tracking"), format!("track {n}"));
    args.begin_turn()?;
    let row = w * 3;
    let shifted = |i: usize| {
        let (x, y) = (4 * i % w, 2 * i % h);
        let turned = (0..h).flat_map(|line| {
            let source = &pixels[(line + y) % h * row..][..row];
            source[x * 3..].iter().chain(&source[..x * 3]).copied()
        });
        let pixels = try_collect(row * h, "frames", turned)?;
        Ok(Picture { pixels, width: w, height: h, format: PixelFormat::Rgb8 })
    };
    let frames = (0..count).map(shifted).collect::<sam2::Result<Vec<_>>>()?;
    let mut predictor = model.video_predictor(Frames::pictures(frames), Default::default())?;
    for i in 0..n {
        let at = |k: usize| ((k * 7919 + 4001) % 10_007) as f32 / 10_007.0;
        let click = Prompt::new().point(at(2 * i) * w as f32, at(2 * i + 1) * h as f32, 1);
        predictor.add_new_points_or_box(0, i as i64, &click, Default::default())?;
    }
    predictor.propagate_in_video(None, Some(args.track_warmup), Direction::Forward, |_| true)?;
    args.end_turn(&[])?;
    // A caller in a hurry gives the memory for the masks, and it is the same memory for every frame.
    let mut masks = zeros(n * w * h)?;
    let mut step = |predictor: &mut VideoPredictor, frame| {
        let buffer = MaskBuffer::logits(&mut masks);
        predictor.propagate_in_video_into(Some(frame), Some(0), Direction::Forward, buffer, |_, _| true)
    };
    let (mut seconds, mut work) = (Vec::new(), Counters::default());
    for frame in first..profiled {
        args.begin_turn()?;
        let (before, start) = (predictor.counters(), Instant::now());
        step(&mut predictor, frame)?;
        let taken = start.elapsed().as_secs_f64();
        work = predictor.counters() - before;
        args.end_turn(&[(&name, taken)])?;
        seconds.push(taken);
    }
    seconds.sort_by(f64::total_cmp);
    let mut rows = vec![Row { stage: name, seconds, work, kernels: Vec::new() }];
    let mut stages: Vec<StageTime> = Vec::new();
    for frame in profiled..count {
        args.begin_turn()?;
        predictor.start_profile();
        step(&mut predictor, frame)?;
        let taken = predictor.finish_profile();
        args.end_turn(&taken.iter().map(|stage| (stage.name, stage.seconds)).collect::<Vec<_>>())?;
        stages.extend(taken);
    }
    while let Some(StageTime { name, matmul_flops, .. }) = stages.first().copied() {
        let mut seconds: Vec<f64> =
            stages.extract_if(.., |stage| stage.name == name).map(|stage| stage.seconds).collect();
        seconds.sort_by(f64::total_cmp);
        let work = Counters { matmul_flops, ..Counters::default() };
        rows.push(Row { stage: format!("- {name}"), seconds, work, kernels: Vec::new() });
    }
    bar.finish_and_clear();
    Ok(rows)
}

/// A buffer for `n` results.
fn zeros<T: Default>(n: usize) -> sam2::Result<Vec<T>> {
    try_collect(n, "masks", (0..n).map(|_| T::default()))
}

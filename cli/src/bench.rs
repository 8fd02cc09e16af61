//! `sam2 bench`

use crate::args::ModelArgs;
use crate::{Failure, print, progress};
use sam2::engine::cpu::Cpu;
use sam2::engine::memory::try_collect;
use sam2::picture::{self, Picture};
use sam2::{
    Counters, Frame, Frames, ImagePredictor, KernelTime, MaskBuffer, Model, PixelFormat, PredictOptions,
    PredictionBuffers, Prompt, StageTime,
};
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Instant;

/// The most clicks of one call, a grid of 64 x 64.
const MAX_CLICKS: usize = 4096;
/// The most runs of one stage, and frames before them.
const MAX_RUNS: usize = 1 << 20;

/// Arguments of `sam2 bench`.
#[derive(clap::Args)]
pub struct Args {
    /// Picture; a drawn one of 1280x720 by default
    image: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
    /// Runs before those that count
    #[arg(long, value_name = "N", default_value_t = 2)]
    warmup: usize,
    /// Runs that count
    #[arg(long, value_name = "N", default_value_t = 10)]
    repeat: usize,
    /// Clicks decoded in one call, for each of these numbers
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1,64")]
    clicks: Vec<usize>,
    /// Objects tracked together through frames of the picture moving, for each of these numbers
    #[arg(long, value_name = "N,...", value_delimiter = ',')]
    track: Vec<usize>,
    /// Also find everything in the picture, as `sam2 auto` does
    #[arg(long)]
    auto: bool,
    /// Frames tracked before those that count: with 7 an object's memories are as many as they get
    #[arg(long, value_name = "N", default_value_t = 7)]
    track_warmup: usize,
    /// Leave out the masks at the picture's size: low-resolution masks and scores only
    #[arg(long)]
    low_res: bool,
    /// Show how the time divides: among kernels, in one run more; of tracked frames among stages, in as many runs again
    #[arg(long)]
    profile: bool,
    /// Take turns with other programs: a line on stdin lets the next step begin (a stage's warm-up, a run, a profile, the
    /// report), and a line of JSON on stdout with the run's milliseconds ends it
    #[arg(long, requires = "json")]
    in_turn: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Waits for a line of stdin, where turns are taken.
    fn begin_turn(&self) -> Result<(), Failure> {
        if !self.in_turn {
            return Ok(());
        }
        match std::io::stdin().read_line(&mut String::new()) {
            Ok(0) => Err(Failure::Usage("--in-turn: standard input ended before the last turn".into())),
            Ok(_) => Ok(()),
            Err(e) => Err(crate::io("standard input".as_ref(), e)),
        }
    }

    /// Prints the milliseconds of what was timed, and so ends the turn, where turns are taken.
    fn end_turn(&self, seconds: &[(&str, f64)]) -> Result<(), Failure> {
        if !self.in_turn {
            return Ok(());
        }
        let ms: HashMap<&str, f64> = seconds.iter().map(|&(what, seconds)| (what, seconds * 1e3)).collect();
        print(&serde_json::json!(ms).to_string())
    }
}

/// A stage's latencies in seconds, sorted, and the work of one run.
struct Row {
    stage: String,
    seconds: Vec<f64>,
    work: Counters,
    kernels: Vec<KernelTime>,
}

impl Row {
    /// The least latency that `p` percent of the runs did not exceed.
    fn percentile(&self, p: usize) -> f64 {
        let n = self.seconds.len();
        self.seconds[(n * p).div_ceil(100).clamp(1, n) - 1]
    }

    fn gflops(&self) -> f64 {
        self.work.matmul_flops as f64 / self.percentile(50) / 1e9
    }
}

pub fn run(args: &Args) -> Result<(), Failure> {
    if args.repeat == 0 || !args.clicks.iter().all(|n| (1..=MAX_CLICKS).contains(n)) {
        return Err(Failure::Usage(format!("--repeat is at least 1, --clicks are 1 to {MAX_CLICKS}")));
    }
    if [args.repeat, args.warmup, args.track_warmup].iter().any(|&n| n > MAX_RUNS) {
        return Err(Failure::Usage(format!("--repeat, --warmup and --track-warmup are at most {MAX_RUNS}")));
    }
    let (pixels, width, height) = match &args.image {
        Some(file) => {
            let picture = crate::segment::to_rgb(&picture::read(file)?)?;
            (picture.pixels, picture.width, picture.height)
        }
        None => drawn(1280, 720),
    };
    let frame = Frame::rgb8(&pixels, width, height)?;
    let start = Instant::now();
    let model = args.model.load()?;
    let load = start.elapsed().as_secs_f64();
    let mut predictor = model.image_predictor(Default::default())?;
    let side = predictor.mask_side();

    let mut rows = vec![measure(args, &mut predictor, "encode", |p| {
        p.set_image(&frame)?;
        p.synchronize()
    })?];
    for &n in &args.clicks {
        let at = |i: usize| ((i * 7919 + 4001) % 10_007) as f32 / 10_007.0;
        let prompts: Vec<Prompt<'_>> =
            (0..n).map(|i| Prompt::new().point(at(2 * i) * width as f32, at(2 * i + 1) * height as f32, 1)).collect();
        let (mut iou, mut low) = (vec![0.0; 3 * n], zeros(3 * n * side * side)?);
        let mut masks = zeros(if args.low_res { 0 } else { 3 * n * width * height })?;
        let name = if n == 1 { "1 click".into() } else { format!("{n} clicks") };
        rows.push(measure(args, &mut predictor, &name, |p| {
            let out = PredictionBuffers {
                masks: (!args.low_res).then(|| MaskBuffer::binary(&mut masks)),
                iou_predictions: &mut iou,
                low_res_masks: Some(&mut low),
                object_score_logits: None,
            };
            p.predict_into(&prompts, PredictOptions::default(), out)
        })?);
    }
    drop(predictor);
    if args.auto {
        rows.push(automatic(args, &model, &frame)?);
    }
    for &n in &args.track {
        rows.extend(track(args, &model, n, (&pixels, width, height))?);
    }
    args.begin_turn()?;
    let machine = Machine::of(&model, &args.model)?;
    if args.json { print_json(&rows, &machine, load) } else { print_table(&rows, &machine, load) }
}

/// Room for `n` results.
fn zeros<T: Default>(n: usize) -> sam2::Result<Vec<T>> {
    try_collect(n, "masks", (0..n).map(|_| T::default()))
}

/// What ran.
struct Machine {
    name: String,
    precision: &'static str,
    /// Threads, instruction set and measured GFLOP/s, of a CPU.
    cpu: Option<(usize, &'static str, f64)>,
}

impl Machine {
    fn of(model: &Model, args: &ModelArgs) -> Result<Machine, Failure> {
        let precision = model.precision().name();
        let Some(instructions) = model.instructions() else {
            return Ok(Machine { name: model.device().into(), precision, cpu: None });
        };
        let cpu = Cpu::on_cpus(args.threads, &args.cpus, instructions.parse().ok())?;
        let about = (cpu.threads(), cpu.isa().name(), cpu.peak_flops(model.precision()) / 1e9);
        Ok(Machine { name: crate::info::cpu_name(), precision, cpu: Some(about) })
    }

    /// The share of the most that the machine can do, where that is known.
    fn share(&self, row: &Row) -> Option<f64> {
        self.cpu.map(|(_, _, peak)| row.gflops() / peak)
    }
}

/// Seconds of the runs that count, after those that do not, sorted.
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

fn measure(
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
        predictor.profile(true);
        call(predictor)?;
        kernels = predictor.profile(false);
        args.end_turn(&[])?;
        kernels.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    }
    bar.finish_and_clear();
    Ok(Row { stage: stage.into(), seconds, work, kernels })
}

/// Latency of finding everything in the picture with a grid of 32 x 32 points.
fn automatic(args: &Args, model: &Model, frame: &Frame<'_>) -> Result<Row, Failure> {
    let (bar, name) = (progress("automatic masks"), "automatic masks");
    let mut generator = model.automatic_mask_generator(Default::default())?;
    let seconds = timed(args, name, || generator.generate(frame).map(|_| ()))?;
    bar.finish_and_clear();
    Ok(Row { stage: name.into(), seconds, work: Counters::default(), kernels: Vec::new() })
}

/// Latency of a frame with `n` tracked objects, and of its stages: the picture, shifted by a few pixels from frame to frame.
fn track(args: &Args, model: &Model, n: usize, (pixels, w, h): (&[u8], usize, usize)) -> Result<Vec<Row>, Failure> {
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
        predictor.add_new_points_or_box(0, i as i64, &click, true, true)?;
    }
    predictor.propagate_in_video(None, Some(args.track_warmup), false, |_| true)?;
    args.end_turn(&[])?;
    let (mut seconds, mut work) = (Vec::new(), Counters::default());
    for frame in first..profiled {
        args.begin_turn()?;
        let (before, start) = (predictor.counters(), Instant::now());
        predictor.propagate_in_video(Some(frame), Some(0), false, |_| true)?;
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
        predictor.profile(true);
        predictor.propagate_in_video(Some(frame), Some(0), false, |_| true)?;
        let taken = predictor.profile(false);
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

fn print_table(rows: &[Row], machine: &Machine, load: f64) -> Result<(), Failure> {
    let cpu = machine.cpu.map(|(threads, isa, peak)| format!(", {threads} threads, {isa}, {peak:.0} GFLOP/s at most"));
    print(&format!("{}, {}{}", machine.name, machine.precision, cpu.unwrap_or_default()))?;
    print(&format!(
        "{:20}{:>10}{:>10}{:>10}{:>10}{:>10}{:>8}",
        "ms", "p50", "p90", "p99", "GFLOP", "GFLOP/s", "share"
    ))?;
    for row in rows {
        let ms = |p| row.percentile(p) * 1e3;
        print(&format!(
            "{:20}{:>10.2}{:>10.2}{:>10.2}{:>10.2}{:>10.1}{:>8}",
            row.stage,
            ms(50),
            ms(90),
            ms(99),
            row.work.matmul_flops as f64 / 1e9,
            row.gflops(),
            machine.share(row).map_or("-".into(), |share| format!("{:.0}%", 100.0 * share))
        ))?;
        for kernel in &row.kernels {
            print(&format!("  {:>10.2} {} x{}", kernel.seconds * 1e3, kernel.name, kernel.launches))?;
        }
    }
    print(&format!("load {:.0} ms, peak memory {} MiB", load * 1e3, peak_memory() >> 20))
}

fn print_json(rows: &[Row], machine: &Machine, load: f64) -> Result<(), Failure> {
    let stages: Vec<serde_json::Value> = (rows.iter())
        .map(|row| {
            serde_json::json!({
                "stage": row.stage,
                "p50_ms": row.percentile(50) * 1e3,
                "p90_ms": row.percentile(90) * 1e3,
                "p99_ms": row.percentile(99) * 1e3,
                "gflop": row.work.matmul_flops as f64 / 1e9,
                "gflop_per_s": row.gflops(),
                "share_of_peak": machine.share(row),
                "bytes": row.work.bytes,
                "launches": row.work.launches,
                "waits": row.work.waits,
                "kernels_ms": row.kernels.iter().map(|k| (k.name.clone(), k.seconds * 1e3)).collect::<HashMap<_, _>>(),
            })
        })
        .collect();
    let report = serde_json::json!({
        "device": machine.name,
        "precision": machine.precision,
        "threads": machine.cpu.map(|(threads, _, _)| threads),
        "instructions": machine.cpu.map(|(_, isa, _)| isa),
        "peak_gflop_per_s": machine.cpu.map(|(_, _, peak)| peak),
        "load_ms": load * 1e3,
        "peak_memory_bytes": peak_memory(),
        "stages": stages,
    });
    print(&report.to_string())
}

/// The most memory this process has had, in bytes; 0 where the system does not tell.
fn peak_memory() -> u64 {
    #[cfg(unix)]
    {
        // SAFETY: getrusage fills the struct it is given.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            libc::getrusage(libc::RUSAGE_SELF, &mut usage);
            usage
        };
        // macOS counts bytes, others KiB.
        usage.ru_maxrss as u64 * if cfg!(target_os = "macos") { 1 } else { 1024 }
    }
    #[cfg(not(unix))]
    0
}

/// Coloured discs on a gradient.
fn drawn(width: usize, height: usize) -> (Vec<u8>, usize, usize) {
    let mut pixels = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            let (i, j) = (x / 160, y / 160);
            let (dx, dy) = ((x % 160) as i32 - 80, (y % 160) as i32 - 80);
            let disc = dx * dx + dy * dy < 60 * 60;
            pixels.extend(if disc {
                [(i * 31) as u8, (j * 67) as u8, 200]
            } else {
                [(x / 8) as u8, (y / 4) as u8, 90]
            });
        }
    }
    (pixels, width, height)
}

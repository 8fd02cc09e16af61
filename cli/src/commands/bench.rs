//! `sam2 bench`: latencies of a model.

mod args;
mod report;
mod stages;

use crate::error::Failure;
use crate::pixels::to_rgb;
pub use args::Args;
use args::{MAX_CLICKS, MAX_RUNS};
use report::Machine;
use sam2::{Frame, Size, picture};
use std::time::Instant;

pub fn run(args: &Args) -> Result<(), Failure> {
    if args.repeat == 0 || !args.clicks.iter().all(|n| (1..=MAX_CLICKS).contains(n)) {
        return Err(Failure::Usage(format!("--repeat must be at least 1, and --clicks must be 1 to {MAX_CLICKS}")));
    }
    if [args.repeat, args.warmup, args.track_warmup].iter().any(|&n| n > MAX_RUNS) {
        return Err(Failure::Usage(format!("--repeat, --warmup and --track-warmup must be at most {MAX_RUNS}")));
    }
    let (pixels, width, height) = match &args.image {
        Some(file) => {
            let picture = to_rgb(&picture::read(file)?)?;
            (picture.pixels, picture.width, picture.height)
        }
        None => drawn(1280, 720),
    };
    let frame = Frame::rgb8(&pixels, Size::new(width, height))?;
    let start = Instant::now();
    let model = args.model.load()?;
    let load = start.elapsed().as_secs_f64();
    let mut predictor = model.image_predictor(Default::default())?;

    let mut rows = vec![stages::measure(args, &mut predictor, "encode", |p| {
        p.set_image(&frame)?;
        p.synchronize()
    })?];
    for &n in &args.clicks {
        rows.push(stages::clicks(args, &mut predictor, n, (width, height))?);
    }
    drop(predictor);
    if args.auto {
        rows.push(stages::automatic(args, &model, &frame)?);
    }
    for &n in &args.track {
        rows.extend(stages::track(args, &model, n, (&pixels, width, height))?);
    }
    args.begin_turn()?;
    let machine = Machine::of(&model, &args.model)?;
    if args.json { report::print_json(&rows, &machine, load) } else { report::print_table(&rows, &machine, load) }
}

/// The default image: coloured discs on a gradient. Returns its pixels, width and height.
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

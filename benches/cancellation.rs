//! How long a call goes on after it is cancelled, for the published sizes with random weights at 1024 pixels.
//!
//!     cargo bench --bench cancellation [-- SIZE...]      sizes are t, s, b+ and l; by default t and l
//!
//! A call is cancelled at evenly spaced moments. Prints a table in Markdown with the time of a whole call, and the median
//! and the longest time from the cancellation to the return. A decoded image file and a decoded frame are not measured.

#[path = "../tests/common/mod.rs"]
mod common;

use common::options;
use sam2::picture::Picture;
use sam2::{
    AutomaticMaskGeneratorOptions, CancellationToken, Error, LoadOptions, Model, PixelFormat, Precision, Prompt,
    Result, Retention, VARIANTS,
};
use std::time::{Duration, Instant};

/// The number of times that each call is cancelled.
const TIMES: u32 = 20;

/// Cancels `call` at evenly spaced moments, and prints a row of the table.
fn row(size: &str, what: &str, mut call: impl FnMut() -> Result<()>) {
    call().unwrap();
    let start = Instant::now();
    call().unwrap();
    let whole = start.elapsed();
    let mut late: Vec<Duration> = Vec::new();
    for i in 0..TIMES {
        let (token, ended) = (CancellationToken::new(), |e: &Result<()>| matches!(e, Err(Error::Cancelled)));
        let (result, returned, cancelled) = std::thread::scope(|scope| {
            let other = token.clone();
            let cancel = scope.spawn(move || {
                std::thread::sleep(whole * (2 * i + 1) / (2 * TIMES));
                let now = Instant::now();
                other.cancel();
                now
            });
            let result = token.run(&mut call);
            (result, Instant::now(), cancel.join().unwrap())
        });
        if ended(&result) {
            late.push(returned - cancelled);
        }
    }
    late.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let (median, longest) = (ms(late[late.len() / 2]), ms(late[late.len() - 1]));
    println!("| {size} | {what} | {:.0} ms | {median:.1} ms | {longest:.1} ms |", ms(whole));
}

fn calls(size: &str, model: &Model) {
    let format = PixelFormat::Rgb8;
    let pixels = (0..1024 * 1024 * 3).map(|i: usize| (i.wrapping_mul(i) >> 9) as u8).collect();
    let picture = Picture { pixels, width: 1024, height: 1024, format };
    let frame = picture.frame().unwrap();
    let mut image = model.image_predictor(Default::default()).unwrap();
    row(size, "`set_image`", || image.set_image(&frame));
    let mut video = model.video_stream(Retention::Window(2), Default::default()).unwrap();
    video.push_frame(&frame).unwrap();
    video.add_new_points_or_box(0, 1, &Prompt::new().point(500.0, 400.0, 1), Default::default()).unwrap();
    row(size, "`push_frame`", || video.push_frame(&frame).map(drop));
    let options = AutomaticMaskGeneratorOptions { points_per_side: Some(8), ..Default::default() };
    let mut generator = model.automatic_mask_generator(options).unwrap();
    row(size, "automatic masks, 8x8", || generator.generate(&frame).map(drop));
}

fn main() {
    let sizes: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let sizes = if sizes.is_empty() { vec!["t".into(), "l".into()] } else { sizes };
    println!("| size | call | whole | median | longest |\n|---|---|---|---|---|");
    for size in &sizes {
        let variant = VARIANTS.iter().find(|variant| variant.name == format!("sam2.1_hiera_{size}"));
        let variant = variant.unwrap_or_else(|| panic!("no size {size}"));
        let options = LoadOptions { precision: Precision::Auto, ..options() };
        let path = std::env::temp_dir().join(format!("sam2-{}-{size}.safetensors", std::process::id()));
        std::fs::write(&path, common::random_checkpoint(variant)).unwrap();
        let load = || sam2::load(&path, &options);
        row(size, "`load`", || load().map(drop));
        calls(size, &load().unwrap());
        std::fs::remove_file(&path).unwrap();
    }
}

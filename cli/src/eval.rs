//! `sam2 eval`

mod boundary;
mod measure;
mod video;

use crate::files::{folders, wrong};
use crate::output::{self, write};
use crate::{Failure, print};
use measure::Score;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Arguments of `sam2 eval`.
#[derive(clap::Args)]
pub struct Args {
    /// Folder of what is true: VIDEO/00000.png, each pixel its object's number, or VIDEO/000/00000.png, one per object
    #[arg(long, value_name = "DIR")]
    gt_root: PathBuf,
    /// Folder of what was found, in the same layout; frames that --gt-root lacks are passed over
    #[arg(long, value_name = "DIR")]
    pred_root: PathBuf,
    /// Fail when a video is in one of the folders only; by default such videos are passed over
    #[arg(short, long)]
    strict: bool,
    /// Score the first and the last annotated frame too, which is not the custom where the first is given
    #[arg(long)]
    do_not_skip_first_and_last_frame: bool,
    /// Label of --gt-root whose pixels are not scored, or none. By default 255 where a video has other labels too, as in DAVIS;
    /// a video of 0 and 255 only has an object 255
    #[arg(long, value_name = "auto|none|LABEL", default_value = "auto", value_parser = Void::parse)]
    void: Void,
    /// Threads; 0: as many as the machine offers
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
    /// Print JSON, with every digit
    #[arg(long)]
    json: bool,
    /// Write the table as CSV, as the reference's results.csv
    #[arg(short, value_name = "FILE.csv")]
    output: Option<PathBuf>,
}

/// Which label says that nothing is known of a pixel.
#[derive(Clone, Copy)]
enum Void {
    Auto,
    Label(Option<u8>),
}

impl Void {
    fn parse(text: &str) -> Result<Void, String> {
        match text {
            "auto" => Ok(Void::Auto),
            "none" => Ok(Void::Label(None)),
            _ => match text.parse() {
                Ok(label @ 1..) => Ok(Void::Label(Some(label))),
                _ => Err("expected auto, none or a label from 1 to 255".into()),
            },
        }
    }
}

/// The figures of a video's objects.
type Video = (String, Vec<Score>);

pub fn run(args: &Args) -> Result<(), Failure> {
    if let Some(file) = &args.output {
        output::check_file(file, &["csv"])?;
        let reads = [&args.gt_root, &args.pred_root].into_iter().flat_map(|root| output::files(root, 3));
        output::check(&[file.clone()], reads)?;
    }
    let names = |folder: &PathBuf| -> Result<Vec<String>, Failure> {
        Ok(folders(folder)?.into_iter().map(|(name, _)| name).collect())
    };
    let (truth, found) = (names(&args.gt_root)?, names(&args.pred_root)?);
    for (here, there, at, lacking) in
        [(&truth, &found, &args.gt_root, &args.pred_root), (&found, &truth, &args.pred_root, &args.gt_root)]
    {
        let extra: Vec<&str> = here.iter().filter(|name| !there.contains(name)).map(String::as_str).collect();
        if args.strict && !extra.is_empty() {
            return Err(wrong(lacking, format!("videos of {} are missing: {}", at.display(), extra.join(", "))));
        }
    }
    let both: Vec<String> = truth.into_iter().filter(|name| found.contains(name)).collect();
    let videos = score_all(args, both)?;
    let scores: Vec<&Score> = videos.iter().flat_map(|(_, scores)| scores).collect();
    if scores.is_empty() {
        return Err(wrong(&args.gt_root, format!("no object to score in the videos of {}", args.pred_root.display())));
    }
    let mean = |figure: fn(&Score) -> f64| scores.iter().map(|s| figure(s)).sum::<f64>() / scores.len() as f64;
    let (j, f) = (mean(|s| s.j), mean(|s| s.f));
    let table = table(&videos, j, f);
    if let Some(file) = &args.output {
        write(file, table.as_bytes())?;
    }
    if args.json { print(&json(&videos, j, f).to_string()) } else { print(table.replace(',', " ").trim_end()) }
}

/// Scores videos, as many at a time as there are threads.
fn score_all(args: &Args, names: Vec<String>) -> Result<Vec<Video>, Failure> {
    let bar = indicatif::ProgressBar::new(names.len() as u64);
    bar.set_style(indicatif::ProgressStyle::with_template("{bar:30} {pos}/{len} videos").unwrap_or(bar.style()));
    let threads = match args.threads {
        0 => std::thread::available_parallelism().map_or(1, |n| n.get()),
        n => n,
    };
    let places: Vec<(String, OnceLock<_>)> = names.into_iter().map(|name| (name, OnceLock::new())).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((name, place)) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
            let _ = place.set(video::score(args, name));
            bar.inc(1);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(places.len()) {
            // With as many threads as the system gives.
            if std::thread::Builder::new().spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
    bar.finish_and_clear();
    let done = places.into_iter().filter_map(|(name, scores)| Some((name, scores.into_inner()?)));
    done.map(|(name, scores)| Ok((name, scores?))).collect()
}

/// The reference's table, its columns apart by commas.
fn table(videos: &[Video], j: f64, f: f64) -> String {
    let width = videos.iter().map(|(name, _)| name.chars().count()).fold("Global score".len(), usize::max);
    let mut text = format!("{:<width$},obj,  J&F,    J,    F\n", "sequence");
    text += &format!("{:<width$},{:>3}, {:.1}, {j:.1}, {f:.1}\n", "Global score", "", (j + f) / 2.0);
    for (name, scores) in videos {
        for Score { object, j, f } in scores {
            text += &format!("{name:<width$},{object}, {:>4.1}, {j:>4.1}, {f:>4.1}\n", (j + f) / 2.0);
        }
    }
    text
}

fn json(videos: &[Video], j: f64, f: f64) -> serde_json::Value {
    let figures = |j: f64, f: f64| serde_json::json!({"J&F": (j + f) / 2.0, "J": j, "F": f});
    let mut all = figures(j, f);
    all["videos"] = videos
        .iter()
        .map(|(name, scores)| {
            let objects =
                scores.iter().map(|s| (s.object.clone(), figures(s.j, s.f))).collect::<serde_json::Map<_, _>>();
            (name.clone(), serde_json::Value::Object(objects))
        })
        .collect::<serde_json::Map<_, _>>()
        .into();
    all
}

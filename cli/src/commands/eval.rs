//! `sam2 eval`: scores masks against ground truth.

mod args;
mod boundary;
mod measure;
mod video;

use crate::console::{print, progress_bar};
use crate::error::{Failure, invalid};
use crate::files::folders;
use crate::output::{self, write};
pub use args::Args;
use measure::Score;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A video's name and the scores of its objects.
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
            return Err(invalid(lacking, format!("videos of {} are missing: {}", at.display(), extra.join(", "))));
        }
    }
    let both: Vec<String> = truth.into_iter().filter(|name| found.contains(name)).collect();
    let videos = score_all(args, both)?;
    let scores: Vec<&Score> = videos.iter().flat_map(|(_, scores)| scores).collect();
    if scores.is_empty() {
        return Err(invalid(
            &args.gt_root,
            format!("no object to score in the videos of {}", args.pred_root.display()),
        ));
    }
    let mean = |figure: fn(&Score) -> f64| scores.iter().map(|s| figure(s)).sum::<f64>() / scores.len() as f64;
    let (j, f) = (mean(|s| s.j), mean(|s| s.f));
    let table = table(&videos, j, f);
    if let Some(file) = &args.output {
        write(file, table.as_bytes())?;
    }
    if args.json { print(&json(&videos, j, f).to_string()) } else { print(table.replace(',', " ").trim_end()) }
}

/// Scores the videos in parallel, one per thread.
fn score_all(args: &Args, names: Vec<String>) -> Result<Vec<Video>, Failure> {
    let bar = progress_bar(names.len(), "{bar:30} {pos}/{len} videos");
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
            // If the system refuses a thread, the others do its work.
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

/// The table of the reference, with columns separated by commas.
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

/// The scores as JSON: means, videos, objects.
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

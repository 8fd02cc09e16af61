//! The table of predictions.

use sam2_predict::library::Product;
use sam2_predict::machine;
use sam2_predict::predict::{Launch, Prediction};
use std::collections::BTreeMap;

/// A line of the list, and its prediction.
pub struct Line {
    pub launch: Launch,
    pub count: f64,
    pub stage: String,
    pub prediction: Result<Prediction, String>,
}

/// The launches of a kernel in a stage.
#[derive(Default)]
struct Row<'a> {
    count: f64,
    seconds: f64,
    worst: Option<(f64, &'a Prediction, &'a Launch)>,
    flops_seconds: f64,
}

/// The lines of a list, put together.
#[derive(Default)]
struct Table<'a> {
    stages: Vec<&'a str>,
    /// By stage and kernel.
    rows: BTreeMap<(usize, &'a str), Row<'a>>,
    /// Launches by the error of their prediction.
    failures: BTreeMap<&'a str, f64>,
    /// Kernels by note.
    notes: BTreeMap<String, Vec<&'a str>>,
    /// Unknown branches by kernel and address.
    guesses: BTreeMap<&'a str, BTreeMap<u32, u64>>,
}

impl<'a> Table<'a> {
    fn add(&mut self, line: &'a Line) {
        let stages = &mut self.stages;
        let stage = stages.iter().position(|s| *s == line.stage).unwrap_or_else(|| {
            stages.push(&line.stage);
            stages.len() - 1
        });
        match &line.prediction {
            Err(e) => *self.failures.entry(e.as_str()).or_insert(0.0) += line.count,
            Ok(p) => {
                let row = self.rows.entry((stage, &line.launch.kernel)).or_default();
                let seconds = p.seconds() * line.count;
                row.count += line.count;
                row.seconds += seconds;
                row.flops_seconds += p.tensor_share * seconds;
                if row.worst.is_none_or(|(s, ..)| seconds > s) {
                    row.worst = Some((seconds, p, &line.launch));
                }
                note(&mut self.notes, &line.launch.kernel, p);
                for (&at, n) in &p.guesses {
                    *self.guesses.entry(&line.launch.kernel).or_default().entry(at).or_default() += n;
                }
            }
        }
    }

    /// Prints a line per stage and kernel. Returns the launches and the seconds of all of them.
    fn print_stages(&self) -> (f64, f64) {
        let mut sum = (0.0, 0.0);
        for (i, stage) in self.stages.iter().enumerate() {
            let mut of_stage: Vec<_> = self.rows.iter().filter(|((s, _), _)| *s == i).collect();
            of_stage.sort_by(|a, b| b.1.seconds.total_cmp(&a.1.seconds));
            let seconds: f64 = of_stage.iter().map(|(_, r)| r.seconds).sum();
            let count: f64 = of_stage.iter().map(|(_, r)| r.count).sum();
            println!(
                "{} {:>width$} {:>10.1}",
                stage,
                count,
                seconds * 1e6,
                width = 42usize.saturating_sub(stage.len())
            );
            sum = (sum.0 + count, sum.1 + seconds);
            for ((_, kernel), r) in of_stage {
                let Some((_, p, _)) = r.worst else { continue };
                println!(
                    "  {:32} {:>8} {:>10.1} {:>5.1}% | {:>10.0} {:>9.1} {:>5} {:>6.2} {:>9.0} {}",
                    kernel,
                    r.count,
                    r.seconds * 1e6,
                    r.flops_seconds / r.seconds * 100.0,
                    p.cycles,
                    p.seconds() * 1e6,
                    p.resident,
                    p.waves,
                    p.iteration,
                    p.limit
                );
            }
        }
        sum
    }

    fn print_notes(&self) {
        for (note, kernels) in &self.notes {
            println!("note: {note}: {}", kernels.join(", "));
        }
        for (kernel, at) in &self.guesses {
            let most = at.iter().take(8).map(|(a, n)| format!("{a:#x} {n}x")).collect::<Vec<_>>().join(", ");
            println!("unknown branches of {kernel}: {most}{}", if at.len() > 8 { ", ..." } else { "" });
        }
        for (e, count) in &self.failures {
            println!("not predicted, {count} launches: {e}");
        }
    }
}

/// Prints a line per stage and kernel, the sums, and notes about the prediction. Products of the library are one line.
/// Returns whether every launch was predicted.
pub fn report(lines: &[Line], products: &[(Product, f64, String)]) -> bool {
    let mut table = Table::default();
    lines.iter().for_each(|line| table.add(line));
    println!("Predicted, not run. Of each kernel: all launches, then the launch that takes most of the time.");
    println!(
        "{:34} {:>8} {:>10} {:>6} | {:>10} {:>9} {:>5} {:>6} {:>9} limit",
        "kernel", "launches", "us", "tensor", "cycles", "us each", "an SM", "waves", "iteration"
    );
    let mut sum = table.print_stages();
    if !products.is_empty() {
        let count: f64 = products.iter().map(|(_, count, _)| count).sum();
        let seconds: f64 = products.iter().map(|(p, count, _)| p.seconds() * count).sum();
        println!("{:34} {:>8} {:>10.1}", "products of cuBLASLt", count, seconds * 1e6);
        sum = (sum.0 + count, sum.1 + seconds);
    }
    println!(
        "{:34} {:>8} {:>10.1}  of these {:.1} between launches",
        "sum",
        sum.0,
        sum.1 * 1e6,
        sum.0 * machine::LAUNCH * 1e6
    );
    table.print_notes();
    table.failures.is_empty()
}

fn note<'a>(notes: &mut BTreeMap<String, Vec<&'a str>>, kernel: &'a str, p: &Prediction) {
    let mut add = |what: String| {
        let all = notes.entry(what).or_default();
        if !all.contains(&kernel) {
            all.push(kernel);
        }
    };
    if !p.guesses.is_empty() {
        add("branches on unknown numbers, decided by rule".into());
    }
    if !p.unsupported.is_empty() {
        let all: Vec<&str> = p.unsupported.keys().map(|k| &**k).collect();
        add(format!("instructions that are not known: {}", all.join(" ")));
    }
    if p.unknown_sectors > 0.0 {
        add("global addresses that are unknown, taken to be in a row".into());
    }
    if p.unknown_shared > 0 {
        add("addresses in shared memory that are unknown, taken to be free of bank conflicts".into());
    }
    if p.forced > 0 {
        add("lanes that were joined by force".into());
    }
    if p.samples[1] > 1 {
        add("sampled blocks that execute different instructions".into());
    }
}

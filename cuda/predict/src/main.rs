//! Predicts a list of launches: see `--help`.

use sam2_predict::predict::{Launch, Prediction, predict};
use sam2_predict::sass::{self, Function};
use sam2_predict::{cubin, machine};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const HELP: &str = "\
Predicts how long launches of CUDA kernels take on an H200. Nothing is run on a GPU.

Usage: sam2-predict --sass FILE [--cubin FILE] [--addresses FROM-TO]... LAUNCHES...

  --sass FILE    the text of `cuobjdump -res-usage -sass kernels.cubin`
  --cubin FILE   the cubin itself, which has the tables of indirect branches
  --addresses FROM-TO
                 where device memory lies, as 0x7f0000000000-0x7f8000000000: launches whose parameters differ only in
                 addresses there are predicted once
  LAUNCHES       files of one JSON object a line:
                   kernel   name
                   grid     [x, y, z] blocks
                   block    [x, y, z] threads
                   shared   bytes of dynamic shared memory
                   args     the parameters, as hexadecimal digits
                   memory   [[address, digits], ...], device memory that control flow depends on; may be absent
                   hints    {\"0x1a0\": n}, branches that are taken n times where their condition is unknown; may be absent
                   count    launches like this; 1 where absent
                   stage    what the launch belongs to; may be absent
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.is_empty() || args.iter().any(|a| a == "--help" || a == "-h") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match run(&args) {
        Ok(complete) => ExitCode::from(!complete as u8),
        Err(e) => {
            eprintln!("sam2-predict: {e}");
            ExitCode::FAILURE
        }
    }
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("{path}: {e}"))
}

fn text(path: &str) -> Result<String, String> {
    String::from_utf8(read(path)?).map_err(|e| format!("{path}: {e}"))
}

/// Returns whether every launch was predicted.
fn run(args: &[String]) -> Result<bool, String> {
    let (mut code, mut binary, mut lists, mut addresses) = (None, None, Vec::new(), Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg}: no file"));
        match &**arg {
            "--sass" => code = Some(value()?),
            "--cubin" => binary = Some(value()?),
            "--addresses" => {
                let value = value()?;
                let range = value.split_once('-').map(|(from, to)| (number(&from.into()), number(&to.into())));
                let Some((Ok(from), Ok(to))) = range else { return Err(format!("{value}: not a range")) };
                addresses.push((from, to));
            }
            other if other.starts_with('-') => return Err(format!("{other}: no such option")),
            list => lists.push(list),
        }
    }
    let mut functions = sass::parse(&text(code.ok_or("--sass is missing")?)?)?;
    if let Some(path) = binary {
        cubin::add_tables(&read(path)?, &mut functions).map_err(|e| format!("{path}: {e}"))?;
    }
    let (mut lines, mut distinct, mut index) = (Vec::new(), Vec::new(), HashMap::new());
    for list in lists {
        for (n, line) in text(list)?.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
            let (launch, count, stage) = launch(line).map_err(|e| format!("{list}:{}: {e}", n + 1))?;
            let next = distinct.len();
            let same = *index.entry(without_addresses(&launch, &addresses)).or_insert(next);
            if same == next {
                distinct.push(launch.clone());
            }
            lines.push((launch, count, stage, same));
        }
    }
    let predictions = predict_all(&functions, &distinct);
    let lines: Vec<Line> = lines
        .into_iter()
        .map(|(launch, count, stage, same)| Line { launch, count, stage, prediction: predictions[same].clone() })
        .collect();
    Ok(report(&lines))
}

/// Predicts launches on all processors.
fn predict_all(functions: &HashMap<String, Function>, launches: &[Launch]) -> Vec<Result<Prediction, String>> {
    let next = AtomicUsize::new(0);
    let one = |launch: &Launch| {
        let function = functions.get(&launch.kernel).ok_or(format!("{}: no such kernel", launch.kernel))?;
        predict(function, launch)
    };
    let results: Vec<Mutex<Option<Result<Prediction, String>>>> = launches.iter().map(|_| Mutex::new(None)).collect();
    let worker = || {
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(launch) = launches.get(i) else { break };
            *results[i].lock().expect("no thread panics with the lock") = Some(one(launch));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(worker))));
    let taken = results.into_iter().map(|r| r.into_inner().ok().flatten().unwrap_or(Err("a thread failed".into())));
    taken.collect()
}

/// The launch with every address replaced by its order among the launch's addresses and its place in a line of 128
/// bytes. Launches that are equal then take the same time.
fn without_addresses(launch: &Launch, ranges: &[(u64, u64)]) -> Launch {
    let mut seen: Vec<u64> = Vec::new();
    let mut replace = |word: u64| {
        if !ranges.iter().any(|&(from, to)| (from..to).contains(&word)) {
            return word;
        }
        let order = seen.iter().position(|&s| s == word).unwrap_or_else(|| {
            seen.push(word);
            seen.len() - 1
        });
        (order as u64) << 7 | word & 127
    };
    let mut plain = launch.clone();
    for word in plain.args.chunks_exact_mut(8) {
        let value = replace(u64::from_le_bytes(word.try_into().expect("eight bytes")));
        word.copy_from_slice(&value.to_le_bytes());
    }
    plain.memory.iter_mut().for_each(|(address, _)| *address = replace(*address));
    plain
}

struct Line {
    launch: Launch,
    count: f64,
    stage: String,
    prediction: Result<Prediction, String>,
}

fn bytes(hex: &Value) -> Result<Vec<u8>, String> {
    let hex = hex.as_str().ok_or("digits in quotes expected")?;
    if hex.len() % 2 == 1 || !hex.is_ascii() {
        return Err("an even number of hexadecimal digits expected".into());
    }
    let digits = |i: usize| u8::from_str_radix(&hex[i..i + 2], 16).map_err(|e| e.to_string());
    (0..hex.len()).step_by(2).map(digits).collect()
}

fn number(value: &Value) -> Result<u64, String> {
    let hex = |s: &str| u64::from_str_radix(s.strip_prefix("0x")?, 16).ok();
    value.as_u64().or_else(|| hex(value.as_str()?)).ok_or(format!("{value}: a number expected"))
}

fn three(value: &Value, key: &str) -> Result<[u32; 3], String> {
    let all = value.as_array().filter(|a| a.len() == 3).ok_or(format!("{key}: three numbers expected"))?;
    let mut r = [0; 3];
    for (r, v) in r.iter_mut().zip(all) {
        *r = u32::try_from(number(v)?).map_err(|e| format!("{key}: {e}"))?;
    }
    Ok(r)
}

/// Reads a launch, how often it is made, and its stage.
fn launch(line: &str) -> Result<(Launch, f64, String), String> {
    let v: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
    let empty = Vec::new();
    let mut memory = Vec::new();
    for pair in v["memory"].as_array().unwrap_or(&empty) {
        memory.push((number(&pair[0])?, bytes(&pair[1])?));
    }
    let mut hints = BTreeMap::new();
    for (at, times) in v["hints"].as_object().into_iter().flatten() {
        let at = u32::try_from(number(&Value::from(at.as_str()))?).map_err(|e| format!("hints: {e}"))?;
        hints.insert(at, number(times)?);
    }
    let launch = Launch {
        kernel: v["kernel"].as_str().ok_or("kernel is missing")?.to_string(),
        grid: three(&v["grid"], "grid")?,
        block: three(&v["block"], "block")?,
        shared: v["shared"].as_u64().unwrap_or(0) as u32,
        args: bytes(&v["args"]).map_err(|e| format!("args: {e}"))?,
        memory,
        hints,
    };
    Ok((launch, v["count"].as_f64().unwrap_or(1.0), v["stage"].as_str().unwrap_or("").to_string()))
}

/// Prints a line per stage and kernel, what to know about the prediction, and the sums. Returns whether every launch
/// was predicted.
fn report(lines: &[Line]) -> bool {
    #[derive(Default)]
    struct Row<'a> {
        count: f64,
        seconds: f64,
        worst: Option<(f64, &'a Prediction, &'a Launch)>,
        flops_seconds: f64,
    }
    let mut stages: Vec<&str> = Vec::new();
    let mut rows: BTreeMap<(usize, &str), Row<'_>> = BTreeMap::new();
    let (mut failures, mut notes) = (BTreeMap::new(), BTreeMap::new());
    let mut guesses: BTreeMap<&str, BTreeMap<u32, u64>> = BTreeMap::new();
    for line in lines {
        let stage = stages.iter().position(|s| *s == line.stage).unwrap_or_else(|| {
            stages.push(&line.stage);
            stages.len() - 1
        });
        match &line.prediction {
            Err(e) => *failures.entry(e.as_str()).or_insert(0.0) += line.count,
            Ok(p) => {
                let row = rows.entry((stage, &line.launch.kernel)).or_default();
                let seconds = p.seconds() * line.count;
                row.count += line.count;
                row.seconds += seconds;
                row.flops_seconds += p.tensor_share * seconds;
                if row.worst.is_none_or(|(s, ..)| seconds > s) {
                    row.worst = Some((seconds, p, &line.launch));
                }
                note(&mut notes, &line.launch.kernel, p);
                for (&at, n) in &p.guesses {
                    *guesses.entry(&line.launch.kernel).or_default().entry(at).or_default() += n;
                }
            }
        }
    }
    println!("Predicted, not run. Of each kernel: all launches, then the launch that takes most of the time.");
    println!(
        "{:34} {:>8} {:>10} {:>6} | {:>10} {:>9} {:>5} {:>6} {:>9} limit",
        "kernel", "launches", "us", "tensor", "cycles", "us each", "an SM", "waves", "iteration"
    );
    let mut sum = (0.0, 0.0);
    for (i, stage) in stages.iter().enumerate() {
        let mut of_stage: Vec<_> = rows.iter().filter(|((s, _), _)| *s == i).collect();
        of_stage.sort_by(|a, b| b.1.seconds.total_cmp(&a.1.seconds));
        let seconds: f64 = of_stage.iter().map(|(_, r)| r.seconds).sum();
        let count: f64 = of_stage.iter().map(|(_, r)| r.count).sum();
        println!("{} {:>width$} {:>10.1}", stage, count, seconds * 1e6, width = 42usize.saturating_sub(stage.len()));
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
    println!(
        "{:34} {:>8} {:>10.1}  of these {:.1} between launches",
        "sum",
        sum.0,
        sum.1 * 1e6,
        sum.0 * machine::LAUNCH * 1e6
    );
    for (note, kernels) in &notes {
        println!("note: {note}: {}", kernels.join(", "));
    }
    for (kernel, at) in &guesses {
        let most = at.iter().take(8).map(|(a, n)| format!("{a:#x} {n}x")).collect::<Vec<_>>().join(", ");
        println!("unknown branches of {kernel}: {most}{}", if at.len() > 8 { ", ..." } else { "" });
    }
    for (e, count) in &failures {
        println!("not predicted, {count} launches: {e}");
    }
    failures.is_empty()
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

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"kernel": "f", "grid": [2, 1, 1], "block": [32, 1, 1], "shared": 64, "stage": "encode", "count": 3,
        "args": "00100000007f0000ff10000000000000", "memory": [["0x7f0000001000", "0500"]], "hints": {"0x40": 2}}"#;

    #[test]
    fn reads_a_launch() {
        let (l, count, stage) = launch(LINE).unwrap();
        assert_eq!(
            (&*l.kernel, l.grid, l.block, l.shared, count, &*stage),
            ("f", [2, 1, 1], [32, 1, 1], 64, 3.0, "encode")
        );
        assert_eq!(l.args[..8], 0x7f00_0000_1000u64.to_le_bytes());
        assert_eq!(l.memory, [(0x7f00_0000_1000, vec![5, 0])]);
        assert_eq!(l.hints, BTreeMap::from([(0x40, 2)]));
        for wrong in [LINE.replace("\"f\"", "1"), LINE.replace("0500", "050"), LINE.replace("[2, 1, 1]", "[2, 1]")] {
            assert!(launch(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn launches_that_differ_in_addresses_are_equal() {
        let ranges = [(0x7f00_0000_0000, 0x7f01_0000_0000)];
        let plain = |line: &str| without_addresses(&launch(line).unwrap().0, &ranges);
        // The digits of 0x7f0000001000, in both places, become 0x7f0000009000.
        let elsewhere = LINE.replace("00100000007f0000", "00900000007f0000").replace("7f0000001000", "7f0000009000");
        assert_eq!(plain(LINE), plain(&elsewhere));
        // Another place in a line of memory, another number, another range.
        assert_ne!(plain(LINE), plain(&LINE.replace("00100000007f0000", "10100000007f0000")));
        assert_ne!(plain(LINE), plain(&LINE.replace("ff10", "fe10")));
        assert_ne!(launch(LINE).unwrap().0, launch(&elsewhere).unwrap().0);
    }
}

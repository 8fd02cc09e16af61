//! Predicts the time of every task on an H200, from the machine code of this build and the kernel launches of the
//! program.
//!
//! The program runs with the stand-ins, which list its launches. The models have the shapes of the published models,
//! with zeros as weights. `cuda/kernels/predicted.txt` has the committed predictions, for the compiler named in its
//! first line. After a change that moves a prediction by more than 3%, run `SAM2_WRITE_PREDICTED=1 cargo test --release
//! -p sam2-cli --test predicted -- --include-ignored` to rewrite it.

#[path = "common/stand_ins.rs"]
mod stand_ins;

use libtest_mimic::{Arguments, Trial};
use sam2_cuda::emulator::{CUBIN, NVCC};
use sam2_predict::launches::{Entry, entry, without_addresses};
use sam2_predict::library::Product;
use sam2_predict::predict::{Launch, Prediction, predict_all};
use sam2_predict::sass::Function;
use sam2_predict::{cubin, machine, sass};
use stand_ins::stand_ins;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../cuda/kernels/predicted.txt");
/// The tolerated relative difference between a prediction and the committed one.
const TOLERANCE: f64 = 0.03;

fn tool(name: &str) -> PathBuf {
    Path::new(NVCC.0).join(name)
}

/// A sparse checkpoint file with the shapes of a published model and zeros as weights.
fn zeros(size: &str) -> PathBuf {
    let names = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/data/names/sam2.1_hiera_{size}.tsv"));
    let text = std::fs::read_to_string(names).unwrap();
    let (mut end, mut tensors) = (0, serde_json::Map::new());
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let [name, shape, _] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let shape: Vec<u64> = shape.split(',').map(|n| n.parse().unwrap()).collect();
        let begin = end;
        end += 4 * shape.iter().product::<u64>();
        let tensor = serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [begin, end]});
        tensors.insert(name.into(), tensor);
    }
    let mut header = serde_json::to_vec(&tensors).unwrap();
    header.resize(header.len().next_multiple_of(8), b' ');
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("zeros_{size}.safetensors"));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    std::fs::write(&path, &bytes).unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(bytes.len() as u64 + end).unwrap();
    path
}

/// The calls of the driver that the program makes.
fn list(libraries: &Path, args: &[&str]) -> Vec<Entry> {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("launches_{run}.jsonl"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_sam2"));
    command.args(args).args(["--device", "cuda", "--precision", "bf16"]).env("LD_LIBRARY_PATH", libraries);
    command.env("STAND_IN", "list").env("STAND_IN_LIST", &path);
    let out = command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).output().unwrap();
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    text.lines().map(|line| entry(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
}

fn kernel(e: &Entry) -> &str {
    if let Entry::Launch(launch, ..) = e { &launch.kernel } else { "" }
}

/// Launches of the tasks, by name.
fn tasks(libraries: &Path, model: &str) -> Vec<(String, Vec<Entry>)> {
    // The bank of memories is full after seven frames.
    let (clicks, objects, frames) = (["1", "64"], ["1", "4", "16"], 9);
    let (clicks_list, objects_list) = (clicks.join(","), objects.join(","));
    let args = ["bench", "--model", model, "--warmup", "0", "--repeat", "1", "--low-res", "--track-warmup", "7"];
    let all = list(libraries, &[&args[..], &["--clicks", &clicks_list, "--track", &objects_list]].concat());
    let after_wait = |from: usize| from + all[from..].iter().position(|e| matches!(e, Entry::Wait)).unwrap();
    let first = all.iter().position(|e| kernel(e).starts_with("preprocess_")).unwrap();
    let encoded = after_wait(first);
    let one_click = after_wait(encoded + 1);
    // A frame begins with its bicubic reduction.
    let begins = |i: &usize| kernel(&all[*i]).starts_with("bicubic_") && !kernel(&all[*i - 1]).starts_with("bicubic_");
    let starts: Vec<usize> = (one_click..all.len()).filter(begins).chain([all.len()]).collect();
    assert_eq!(starts.len(), objects.len() * frames + 1, "frames that the program encodes");
    let ranges = [("encode", first..encoded), ("clicks 1", encoded..one_click), ("clicks 64", one_click..starts[0])];
    let mut tasks: Vec<(String, Vec<Entry>)> =
        ranges.into_iter().map(|(name, range)| (name.into(), all[range].to_vec())).collect();
    for (i, objects) in objects.iter().enumerate() {
        let last = (i + 1) * frames - 1;
        tasks.push((format!("frame, objects {objects}"), all[starts[last]..starts[last + 1]].to_vec()));
    }
    let args = ["auto", "demo/pictures/astronaut.png", "--model", model, "--json"];
    tasks.push(("automatic masks".into(), list(libraries, &args)));
    tasks
}

/// By kernel: launches, seconds, and seconds of the tensor operations at the dense peak.
type Rows = BTreeMap<String, (u64, f64, f64)>;

/// Predicts launches. Launches that only differ in addresses are predicted once.
struct Predictor {
    functions: HashMap<String, Function>,
    known: HashMap<Launch, Prediction>,
}

impl Predictor {
    fn new() -> Predictor {
        let path = std::env::join_paths(
            std::iter::once(PathBuf::from(NVCC.0))
                .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
        );
        let mut disassemble = Command::new(tool("cuobjdump"));
        let out = disassemble.args(["-res-usage", "-sass", CUBIN]).env("PATH", path.unwrap()).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let mut functions = sass::parse(&String::from_utf8(out.stdout).unwrap()).unwrap();
        cubin::add_tables(&std::fs::read(CUBIN).unwrap(), &mut functions).unwrap();
        Predictor { functions, known: HashMap::new() }
    }

    fn rows(&mut self, entries: &[Entry]) -> Rows {
        let anywhere = [(1 << 32, u64::MAX)];
        let launches: Vec<(Launch, &Launch)> = (entries.iter())
            .filter_map(
                |e| if let Entry::Launch(l, ..) = e { Some((without_addresses(l, &anywhere), l)) } else { None },
            )
            .collect();
        let mut new: HashMap<&Launch, &Launch> = HashMap::new();
        for (plain, launch) in launches.iter().filter(|(plain, _)| !self.known.contains_key(plain)) {
            new.entry(plain).or_insert(launch);
        }
        let (keys, values): (Vec<&Launch>, Vec<Launch>) = new.into_iter().map(|(k, v)| (k, v.clone())).unzip();
        for (key, prediction) in keys.into_iter().zip(predict_all(&self.functions, &values)) {
            self.known.insert(key.clone(), prediction.unwrap());
        }
        let mut rows = Rows::new();
        let mut add = |name: &str, seconds: f64, at_peak: f64| {
            let row = rows.entry(name.into()).or_default();
            *row = (row.0 + 1, row.1 + seconds, row.2 + at_peak);
        };
        for (plain, launch) in &launches {
            let p = &self.known[plain];
            add(&launch.kernel, p.seconds(), p.cycles / machine::CLOCK * p.tensor_share);
        }
        for e in entries {
            if let Entry::Product(p, ..) = e {
                add("cublasLtMatmul", p.seconds(), at_peak(p));
            }
        }
        rows
    }
}

/// Seconds of a matrix product at the dense peak of the tensor cores. 0 for f32, which they do not multiply.
fn at_peak(p: &Product) -> f64 {
    let peak = machine::TENSOR_FLOPS * f64::from(machine::SMS) * machine::CLOCK;
    if p.bytes == 2 { p.flops() / peak } else { 0.0 }
}

/// The predictions in the format of the committed file.
fn predicted() -> String {
    let mut predictor = Predictor::new();
    let mut text = format!(
        "nvcc {}: predicted for an H200 by cuda/predict, nothing was measured. Models of the published shapes, bf16, 1024 \
         pixels.\nOf a task: launches, microseconds, and the part of them that its tensor operations would take at the dense \
         peak. Of a kernel: launches and microseconds.\n",
        NVCC.1
    );
    let s = stand_ins();
    for (name, size) in [("tiny", "t"), ("large", "l")] {
        let model = zeros(size);
        let path = model.to_str().unwrap();
        // The program uses one thread for this, and a test machine has two CPUs.
        let (with, without) = std::thread::scope(|scope| {
            let with = scope.spawn(|| tasks(&s.both, path));
            let without = tasks(&s.driver, path);
            (with.join().unwrap(), without)
        });
        for (tasks, with) in [(with, "with"), (without, "without")] {
            for (task, entries) in tasks {
                let rows = predictor.rows(&entries);
                let sum = rows.values().fold((0, 0.0, 0.0), |a, r| (a.0 + r.0, a.1 + r.1, a.2 + r.2));
                let share = 100.0 * sum.2 / sum.1;
                let title = format!("{name} {with} cuBLASLt, {task}");
                text += &format!("\n{title:54} {:6} {:9.1} {share:3.0}%\n", sum.0, sum.1 * 1e6);
                let mut rows: Vec<_> = rows.into_iter().collect();
                rows.sort_by(|a, b| b.1.1.total_cmp(&a.1.1));
                for (kernel, (count, seconds, _)) in rows {
                    text += &format!("  {kernel:52} {count:6} {:9.1}\n", seconds * 1e6);
                }
            }
        }
        std::fs::remove_file(model).unwrap();
    }
    text
}

/// Launches and microseconds by task and kernel.
fn numbers(text: &str) -> BTreeMap<String, (u64, f64)> {
    let (mut task, mut all) = (String::new(), BTreeMap::new());
    for line in text.lines().skip(2).filter(|l| !l.is_empty()) {
        let words: Vec<&str> = line.trim_end_matches('%').split_whitespace().collect();
        let own = line.starts_with(' ');
        let (name, numbers) = words.split_at(words.len() - if own { 2 } else { 3 });
        if !own {
            task = name.join(" ");
        }
        let key = if own { format!("{task}: {}", name.join(" ")) } else { task.clone() };
        all.insert(key, (numbers[0].parse().unwrap(), numbers[1].parse().unwrap()));
    }
    all
}

fn predictions_are_as_committed() {
    let made = predicted();
    if std::env::var_os("SAM2_WRITE_PREDICTED").is_some() {
        return std::fs::write(COMMITTED, made).unwrap();
    }
    let (made, committed) = (numbers(&made), numbers(&std::fs::read_to_string(COMMITTED).unwrap()));
    let mut wrong = Vec::new();
    for key in made.keys().chain(committed.keys().filter(|k| !made.contains_key(*k))) {
        let (new, old) = (made.get(key), committed.get(key));
        // One microsecond is the last digit of short kernels.
        let same = |a: &(u64, f64), b: &(u64, f64)| a.0 == b.0 && (a.1 - b.1).abs() <= TOLERANCE * b.1 + 0.2;
        if !new.zip(old).is_some_and(|(new, old)| same(new, old)) {
            wrong.push(format!("{key}: {new:?}, committed {old:?}"));
        }
    }
    assert!(wrong.is_empty(), "write cuda/kernels/predicted.txt anew:\n{}", wrong.join("\n"));
}

/// Tests are reported as ignored without kernels for the H200, without their disassembler, or with another compiler
/// than the committed file names; in CI they fail.
fn main() {
    let there = Path::new(CUBIN).exists() && tool("cuobjdump").exists() && tool("nvdisasm").exists();
    let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
    let same_compiler = committed.starts_with(&format!("nvcc {}:", NVCC.1));
    let able = cfg!(target_os = "linux") && there && same_compiler;
    let run = || {
        predictions_are_as_committed();
        Ok(())
    };
    let trial = Trial::test("predictions_are_as_committed", run);
    let trial = trial.with_ignored_flag(!able && std::env::var_os("CI").is_none());
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit();
}

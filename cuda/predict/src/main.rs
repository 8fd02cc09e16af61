//! Predicts a list of launches: see `--help`.

mod report;

use report::{Line, report};
use sam2_predict::launches::{Entry, entry, number, without_addresses};
use sam2_predict::predict::predict_all;
use sam2_predict::{cubin, sass};
use std::collections::HashMap;
use std::process::ExitCode;

const HELP: &str = "\
Predicts how long launches of CUDA kernels take on an H200. Nothing is run on a GPU.

Usage: sam2-predict --sass FILE [--cubin FILE] [--addresses FROM-TO]... LAUNCHES...

  --sass FILE    the text of `cuobjdump -res-usage -sass kernels.cubin`
  --cubin FILE   the cubin itself, which has the tables of indirect branches
  --addresses FROM-TO
                 where device memory lies, as 0x7f0000000000-0x7f8000000000: launches whose parameters differ only in
                 addresses there are predicted once
  LAUNCHES       files of one JSON object a line, as the stand-in of the driver writes them with STAND_IN=list:
                 {\"wait\": true}, which is passed over; products of cuBLASLt, with \"kernel\": \"cublasLtMatmul\", m, n, k,
                 bytes, out_bytes and add; and launches:
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
    let (mut lines, mut products, mut distinct, mut index) = (Vec::new(), Vec::new(), Vec::new(), HashMap::new());
    for list in lists {
        for (n, line) in text(list)?.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
            let (launch, count, stage) = match entry(line).map_err(|e| format!("{list}:{}: {e}", n + 1))? {
                Entry::Wait => continue,
                Entry::Product(product, count, stage) => {
                    products.push((product, count, stage));
                    continue;
                }
                Entry::Launch(launch, count, stage) => (launch, count, stage),
            };
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
    Ok(report(&lines, &products))
}

//! Prints the report: the machine, and a row per stage.

use super::stages::Row;
use crate::args::ModelArgs;
use crate::console::print;
use crate::error::Failure;
use crate::machine::cpu_name;
use sam2::{Cpu, LoadOptions, Model};
use std::collections::HashMap;

/// The device that ran the model.
pub struct Machine {
    name: String,
    precision: &'static str,
    /// Of a CPU: threads, instruction set and measured peak in GFLOP/s.
    cpu: Option<(usize, &'static str, f64)>,
}

impl Machine {
    pub fn of(model: &Model, args: &ModelArgs) -> Result<Machine, Failure> {
        let precision = model.precision().name();
        let Some(isa) = model.isa() else {
            return Ok(Machine { name: model.device().into(), precision, cpu: None });
        };
        let cpu = Cpu::new(&LoadOptions { isa: Some(isa), ..args.options() })?;
        let about = (cpu.threads(), cpu.isa().name(), cpu.peak_flops(model.precision()) / 1e9);
        Ok(Machine { name: cpu_name(), precision, cpu: Some(about) })
    }

    /// The fraction of the peak that a stage reaches, if the peak is known.
    fn share(&self, row: &Row) -> Option<f64> {
        self.cpu.map(|(_, _, peak)| row.gflops() / peak)
    }
}

pub fn print_table(rows: &[Row], machine: &Machine, load: f64) -> Result<(), Failure> {
    let cpu = machine.cpu.map(|(threads, isa, peak)| format!(", {threads} threads, {isa}, {peak:.0} GFLOP/s peak"));
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

pub fn print_json(rows: &[Row], machine: &Machine, load: f64) -> Result<(), Failure> {
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
        "isa": machine.cpu.map(|(_, isa, _)| isa),
        "peak_gflop_per_s": machine.cpu.map(|(_, _, peak)| peak),
        "load_ms": load * 1e3,
        "peak_memory_bytes": peak_memory(),
        "stages": stages,
    });
    print(&report.to_string())
}

/// The peak memory of this process in bytes. 0 if the system does not report it.
fn peak_memory() -> u64 {
    #[cfg(unix)]
    {
        // SAFETY: getrusage fills the struct it is given.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            libc::getrusage(libc::RUSAGE_SELF, &mut usage);
            usage
        };
        // macOS reports bytes, other systems KiB.
        usage.ru_maxrss as u64 * if cfg!(target_os = "macos") { 1 } else { 1024 }
    }
    #[cfg(not(unix))]
    0
}

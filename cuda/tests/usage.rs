//! What the assembler made of the kernels: registers, shared memory, no spills; and that none is missing.
//!
//! `kernels/usage.txt` is the state as committed, for the compiler named in its first line. After a change of the kernels,
//! `SAM2_WRITE_USAGE=1 cargo test -p sam2-cuda` with every architecture writes it anew.

use sam2_cuda::Kernel;
use std::collections::BTreeMap;

/// Registers of a thread, bytes of shared memory that do not depend on the launch, bytes spilled.
type Usage = (u32, u32, u32);

/// By kernel and architecture, what the assembler said; the compiler's version.
fn assembled(log: &str) -> (BTreeMap<(String, String), Usage>, String) {
    let mut all = BTreeMap::new();
    let mut current = None;
    let number_before = |line: &str, what: &str| -> Option<u32> {
        line[..line.find(what)?].rsplit([' ', ',']).find(|w| !w.is_empty())?.parse().ok()
    };
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            let mut words = rest.split('\'');
            let (name, arch) = (words.next().unwrap(), words.nth(1).unwrap());
            current = Some((name.to_string(), arch.trim_start_matches("sm_").to_string()));
            all.insert(current.clone().unwrap(), (0, 0, 0));
        }
        let Some(usage) = current.as_ref().and_then(|key| all.get_mut(key)) else { continue };
        if let Some(bytes) = number_before(line, " bytes spill stores") {
            usage.2 = bytes;
        }
        if let Some(registers) = number_before(line, " registers") {
            usage.0 = registers;
            usage.1 = number_before(line, " bytes smem").unwrap_or(0);
        }
    }
    let version = log.lines().find_map(|line| line.strip_prefix("nvcc ")).unwrap_or("unknown").to_string();
    (all, version)
}

#[test]
fn kernels_are_as_committed() {
    let log = env!("SAM2_PTXAS_LOG");
    if log.is_empty() {
        assert!(std::env::var_os("CI").is_none(), "CI has nvcc, so that this is tested there");
        eprintln!("skipped: built without nvcc");
        return;
    }
    let (all, version) = assembled(&std::fs::read_to_string(log).unwrap());
    let mut archs: Vec<&String> = all.keys().map(|(_, arch)| arch).collect();
    archs.sort();
    archs.dedup();
    assert!(!archs.is_empty());
    for kernel in Kernel::ALL {
        for arch in &archs {
            let usage = all.get(&(kernel.name().into(), (*arch).clone()));
            let (_, _, spilled) = *usage.unwrap_or_else(|| panic!("{kernel:?} is not compiled for {arch}"));
            assert_eq!(spilled, 0, "{kernel:?} spills {spilled} bytes for {arch}");
        }
    }
    assert_eq!(all.len(), Kernel::ALL.len() * archs.len(), "kernels that the table does not name");

    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/kernels/usage.txt");
    if std::env::var_os("SAM2_WRITE_USAGE").is_some() {
        let mut text = format!("nvcc {version}: kernel, architecture, registers, bytes of static shared memory\n");
        for ((name, arch), (registers, shared, _)) in &all {
            text += &format!("{name} {arch} {registers} {shared}\n");
        }
        std::fs::write(file, text).unwrap();
    }
    let committed = std::fs::read_to_string(file).unwrap();
    if !committed.starts_with(&format!("nvcc {version}:")) {
        return eprintln!("not compared: nvcc {version} is not the one of {file}");
    }
    let known: Vec<&str> = committed.lines().skip(1).collect();
    for ((name, arch), (registers, shared, _)) in &all {
        let line = format!("{name} {arch} {registers} {shared}");
        assert!(known.contains(&line.as_str()), "{line}: not as {file} has it");
    }
}

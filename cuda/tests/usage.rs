//! Register usage of the kernels: registers, shared memory, no spills. The test also checks that no kernel is missing.
//!
//! `kernels/usage.txt` is the committed state, for the compiler that is named in its first line. After a change of the
//! kernels, `SAM2_WRITE_USAGE=1 cargo test -p sam2-cuda --test usage -- --include-ignored` with every architecture
//! writes it again.

use sam2_cuda::Kernel;
use std::collections::{BTreeMap, BTreeSet};

/// Registers per thread, bytes of static shared memory, bytes of spills.
type Usage = (u32, u32, u32);

/// The assembler's report of this build, by kernel and architecture.
fn assembled() -> BTreeMap<(String, String), Usage> {
    let log = std::fs::read_to_string(env!("SAM2_PTXAS_LOG")).unwrap();
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
    all
}

#[test]
#[cfg_attr(not(sam2_assembled), ignore = "needs nvcc")]
fn no_kernel_is_missing_or_spills() {
    let all = assembled();
    let archs: BTreeSet<&String> = all.keys().map(|(_, arch)| arch).collect();
    assert!(!archs.is_empty());
    for kernel in Kernel::ALL {
        for &arch in &archs {
            let usage = all.get(&(kernel.name().into(), arch.clone()));
            let (_, _, spilled) = *usage.unwrap_or_else(|| panic!("{kernel:?} is not compiled for {arch}"));
            assert_eq!(spilled, 0, "{kernel:?} spills {spilled} bytes for {arch}");
        }
    }
    assert_eq!(all.len(), Kernel::ALL.len() * archs.len(), "kernels that the table does not name");
}

#[test]
#[cfg_attr(not(sam2_assembled_as_committed), ignore = "needs the nvcc that kernels/usage.txt names")]
fn registers_and_shared_memory_are_as_committed() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/kernels/usage.txt");
    let line = |((name, arch), (registers, shared, _)): (&(String, String), &Usage)| {
        format!("{name} {arch} {registers} {shared}")
    };
    let all = assembled();
    if std::env::var_os("SAM2_WRITE_USAGE").is_some() {
        let head = "kernel, architecture, registers, bytes of static shared memory";
        let text =
            format!("nvcc {}: {head}\n{}\n", env!("SAM2_NVCC"), all.iter().map(line).collect::<Vec<_>>().join("\n"));
        std::fs::write(file, text).unwrap();
    }
    let committed = std::fs::read_to_string(file).unwrap();
    let known: BTreeSet<&str> = committed.lines().skip(1).collect();
    for line in all.iter().map(line) {
        assert!(known.contains(line.as_str()), "{line}: not as {file} has it");
    }
}

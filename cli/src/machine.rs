//! Facts about the machine that several commands print.

/// The name of the processor. If the system does not report it, the name of the architecture.
pub fn cpu_name() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
    name.map_or_else(|| std::env::consts::ARCH.into(), String::from)
}

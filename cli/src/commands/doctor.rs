//! `sam2 doctor`: checks what models can use on this machine.

use crate::console::print;
use crate::error::Failure;
use crate::machine::cpu_name;

/// Prints a line per finding: `ok` with what was found, or `--` with how to fix it.
pub fn run() -> Result<(), Failure> {
    print(&format!("    {:16}{}", "processor", cpu_name()))?;
    for finding in sam2::diagnose() {
        let mark = if finding.works { "ok" } else { "--" };
        print(&format!("{mark}  {:16}{}", finding.what, finding.text))?;
    }
    Ok(())
}

//! `sam2 doctor`

use crate::{Failure, print};

/// A line for everything that an engine can use: what was found, or how to mend it.
pub fn run() -> Result<(), Failure> {
    print(&format!("    {:16}{}", "processor", crate::info::cpu_name()))?;
    for finding in sam2::diagnose() {
        let mark = if finding.works { "ok" } else { "--" };
        print(&format!("{mark}  {:16}{}", finding.what, finding.text))?;
    }
    Ok(())
}

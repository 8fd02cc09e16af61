//! Warnings of the library, printed as notes on stderr.

use sam2::log::{self, Level, LevelFilter, Log, Metadata, Record};

struct Notes;

impl Log for Notes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            crate::note(&format!("note: {}", record.args()));
        }
    }

    fn flush(&self) {}
}

/// Prints every warning of the library as a line `note: ...` on stderr.
pub fn install() {
    // The program installs one logger, once.
    let _ = log::set_logger(&Notes);
    log::set_max_level(LevelFilter::Warn);
}

//! Warnings of the library, printed as notes on stderr.

use sam2::log::{self, Level, LevelFilter, Log, Metadata, Record};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// The notes so far: the same one twice, as of a file that is read twice, is printed once.
struct Notes(Mutex<BTreeSet<String>>);

static NOTES: Notes = Notes(Mutex::new(BTreeSet::new()));

impl Log for Notes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = format!("note: {}", record.args());
            if self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(line.clone()) {
                crate::note(&line);
            }
        }
    }

    fn flush(&self) {}
}

/// Prints every warning of the library as a line `note: ...` on stderr.
pub fn install() {
    // The program installs one logger, once.
    let _ = log::set_logger(&NOTES);
    log::set_max_level(LevelFilter::Warn);
}

//! Collects the log messages of the library, for tests that expect a warning or none.

use sam2::log::{self, Level, LevelFilter, Log, Metadata, Record};
use std::cell::RefCell;

thread_local! {
    static WARNINGS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Warnings;

impl Log for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            WARNINGS.with_borrow_mut(|all| all.push(record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

/// The result of `work`, and the warnings that it logs on this thread.
pub fn warnings_of<T>(work: impl FnOnce() -> T) -> (T, Vec<String>) {
    let _ = log::set_logger(&Warnings); // by the first test of the program
    log::set_max_level(LevelFilter::Warn);
    WARNINGS.take();
    let made = work();
    (made, WARNINGS.take())
}

//! Prints the warnings of the library as notes on stderr.

use crate::console::note;
use sam2::log::{self, Level, LevelFilter, Log, Metadata, Record};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// The notes printed so far. A repeated note, as for a file that is read twice, is printed once.
struct Notes(Mutex<BTreeSet<String>>);

/// Whether repeated notes are printed, as a server does, which runs for long.
static EVERY: AtomicBool = AtomicBool::new(false);

/// Whether notes are printed as JSON.
static JSON: AtomicBool = AtomicBool::new(false);

/// The target of the server's lines about requests.
const REQUESTS: &str = "sam2_server::request";

static NOTES: Notes = Notes(Mutex::new(BTreeSet::new()));

impl Log for Notes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn || metadata.target() == REQUESTS
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = match record.metadata().target() == REQUESTS {
                true => record.args().to_string(),
                false if JSON.load(Ordering::Relaxed) => as_json(record),
                false => format!("note: {}", record.args()),
            };
            if EVERY.load(Ordering::Relaxed) {
                // Control characters of a client do not reach the terminal.
                note(&line.replace(char::is_control, "\u{fffd}"));
            } else if self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(line.clone()) {
                note(&line);
            }
        }
    }

    fn flush(&self) {}
}

/// Installs the logger: each warning becomes a line `note: ...` on stderr.
pub fn install() {
    // This fails only if a logger is installed already, and the program installs one logger, once.
    let _ = log::set_logger(&NOTES);
    log::set_max_level(LevelFilter::Warn);
}

/// A warning as a line of JSON.
fn as_json(record: &Record<'_>) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let time = (now.as_secs_f64() * 1e3).round() / 1e3;
    let (level, message) = (record.level().as_str().to_lowercase(), record.args().to_string());
    serde_json::json!({"time": time, "level": level, "message": message}).to_string()
}

/// Has each warning printed, and with `requests` a line for each request of the server. With `json` there are such lines
/// too, and all are JSON.
#[cfg(feature = "serve")]
pub fn serve(requests: bool, json: bool) {
    EVERY.store(true, Ordering::Relaxed);
    JSON.store(json, Ordering::Relaxed);
    log::set_max_level(if requests || json { LevelFilter::Info } else { LevelFilter::Warn });
}

//! Prints results to stdout; prints notes and progress to stderr.

use crate::error::{Failure, io};
use indicatif::{ProgressBar, ProgressStyle};

/// Prints a line of results. A closed pipe is [`Failure::Closed`], which ends the command with success. A full disk is
/// an error.
pub fn print(line: &str) -> Result<(), Failure> {
    use std::io::{ErrorKind, Write, stdout};
    writeln!(stdout(), "{line}").and_then(|()| stdout().flush()).map_err(|e| match e.kind() {
        ErrorKind::BrokenPipe => Failure::Closed,
        _ => io("standard output".as_ref(), e),
    })
}

/// Writes a line to stderr. Errors are ignored.
pub fn note(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Shows a message on stderr while a step runs, if stderr is a terminal. It has no animation, since that needs a
/// thread, which the system may refuse.
pub fn progress(message: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(message.to_string());
    bar.tick();
    bar
}

/// A progress bar of `length` steps on stderr, in the style of an `indicatif` template.
pub fn progress_bar(length: usize, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length as u64).with_style(style)
}

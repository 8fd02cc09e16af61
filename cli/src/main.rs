//! The `sam2` program. Results go to stdout, progress and remarks to stderr.

mod args;
mod auto;
mod bench;
mod convert;
mod doctor;
mod encode;
mod eval;
mod files;
mod info;
mod notes;
mod output;
mod overlay;
mod overlay_video;
mod segment;
mod sheet;
mod spool;
mod tensors;
mod track;
mod vos;

use clap::{Parser, Subcommand};
use sam2::Error;
use std::process::ExitCode;

/// Segment Anything Model 2: masks of the things you point at.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Find the mask of an object in a picture
    Segment(segment::Args),
    /// Find everything in a picture, or in a folder of pictures
    Auto(auto::Args),
    /// Follow objects through the frames of a video
    Track(track::Args),
    /// Follow the objects of a data set's videos from their given masks: DAVIS, MOSE, LVOS, SA-V
    Vos(vos::Args),
    /// Score masks of a data set's videos: J, F and their mean
    Eval(eval::Args),
    /// Show what a model is, or what this machine offers
    Info(info::Args),
    /// Rewrite any checkpoint as safetensors under Meta's names
    Convert(convert::Args),
    /// Store the image features of a picture
    Encode(encode::Args),
    /// Measure latencies
    Bench(bench::Args),
    /// Find out what works here, and how to mend what does not
    Doctor,
}

/// What a command ends with when it fails.
enum Failure {
    /// The engine's.
    Engine(Error),
    /// Arguments that do not go together.
    Usage(String),
    /// Some of many things, each reported when it failed; the code is the first one's.
    Part { code: u8, message: String },
    /// The reader of standard output has closed the pipe.
    Closed,
}

impl Failure {
    /// The exit code, and what to say.
    fn describe(self) -> (u8, String) {
        match self {
            Failure::Usage(message) => (2, message),
            Failure::Engine(e) => (exit_code(&e), e.to_string()),
            Failure::Part { code, message } => (code, message),
            Failure::Closed => (0, "nobody reads the results".into()),
        }
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Failure::Engine(e)
    }
}

fn main() -> ExitCode {
    notes::install();
    output::remove_on_signals();
    let result = match Cli::parse().command {
        Command::Segment(args) => segment::run(&args),
        Command::Auto(args) => auto::run(&args),
        Command::Track(args) => track::run(&args),
        Command::Vos(args) => vos::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Info(args) => info::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Encode(args) => encode::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Doctor => doctor::run(),
    };
    let failure = match result {
        Ok(()) | Err(Failure::Closed) => return ExitCode::SUCCESS,
        Err(failure) => failure,
    };
    let (code, message) = failure.describe();
    note(&format!("error: {message}"));
    ExitCode::from(code)
}

/// 1 internal, 2 usage, 3 device, 4 file or input, 5 memory.
fn exit_code(e: &Error) -> u8 {
    match e {
        Error::Io { .. }
        | Error::Checkpoint { .. }
        | Error::Config { .. }
        | Error::Picture { .. }
        | Error::Video { .. }
        | Error::Ffmpeg { .. }
        | Error::Input(_) => 4,
        Error::Device(_) => 3,
        Error::OutOfMemory { .. } => 5,
        _ => 1,
    }
}

/// A line on stderr, when that is a terminal. It does not move: that would take a thread, which the system may refuse.
fn progress(message: &str) -> indicatif::ProgressBar {
    let bar = indicatif::ProgressBar::new_spinner().with_message(message.to_string());
    bar.tick();
    bar
}

fn io(path: &std::path::Path, source: std::io::Error) -> Failure {
    Failure::Engine(Error::Io { path: path.display().to_string(), source })
}

/// Prints a line of results. A reader that has closed the pipe ends the command, which is no failure; a full disk is one.
fn print(line: &str) -> Result<(), Failure> {
    use std::io::{ErrorKind, Write, stdout};
    writeln!(stdout(), "{line}").and_then(|()| stdout().flush()).map_err(|e| match e.kind() {
        ErrorKind::BrokenPipe => Failure::Closed,
        _ => io("standard output".as_ref(), e),
    })
}

/// Writes a remark to stderr, if someone is there to read it.
fn note(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}

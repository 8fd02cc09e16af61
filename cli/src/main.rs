//! The `sam2` program: its table of commands. Results go to stdout; progress, notes and errors go to stderr.

// The documentation of arguments is the text of `--help`, which is plain text.
#![allow(clippy::doc_markdown)]

mod args;
mod commands;
mod console;
mod contact_sheet;
mod error;
mod files;
mod logger;
mod machine;
mod output;
mod overlay;
mod overlay_video;
mod pixels;
mod spool;
mod tensors;

use clap::{Parser, Subcommand};
#[cfg(feature = "serve")]
use commands::serve;
use commands::{auto, bench, convert, doctor, encode, eval, info, segment, track, vos};
use error::Failure;
use std::process::ExitCode;

/// Segment Anything Model 2: find the masks of objects in images and videos
#[derive(Parser)]
#[command(name = "sam2", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Find the mask of an object in an image, from clicks, a box or a mask
    Segment(segment::Args),
    /// Find the masks of all objects in an image, or in a folder of images
    Auto(auto::Args),
    /// Track objects through the frames of a video
    Track(track::Args),
    /// Track objects through the videos of a data set from given masks: DAVIS, MOSE, LVOS, SA-V
    Vos(vos::Args),
    /// Score the masks of a data set's videos: J, F and their mean
    Eval(eval::Args),
    /// Describe a model, or this machine
    Info(info::Args),
    /// Convert a checkpoint to safetensors with Meta's tensor names
    Convert(convert::Args),
    /// Write the features of an image to a file
    Encode(encode::Args),
    /// Measure latencies of a model
    Bench(bench::Args),
    /// Serve a web page and an HTTP interface for images and videos
    #[cfg(feature = "serve")]
    Serve(serve::Args),
    /// Check CPU, GPU and ffmpeg, and explain how to fix problems
    Doctor,
}

fn main() -> ExitCode {
    logger::install();
    let command = Cli::parse().command;
    #[cfg(feature = "serve")]
    let ends_by_itself = matches!(command, Command::Serve(_));
    #[cfg(not(feature = "serve"))]
    let ends_by_itself = false;
    if !ends_by_itself {
        output::remove_on_signals();
    }
    let result = match command {
        Command::Segment(args) => segment::run(&args),
        Command::Auto(args) => auto::run(&args),
        Command::Track(args) => track::run(&args),
        Command::Vos(args) => vos::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Info(args) => info::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Encode(args) => encode::run(&args),
        Command::Bench(args) => bench::run(&args),
        #[cfg(feature = "serve")]
        Command::Serve(args) => serve::run(&args),
        Command::Doctor => doctor::run(),
    };
    let failure = match result {
        Ok(()) | Err(Failure::Closed) => return ExitCode::SUCCESS,
        Err(failure) => failure,
    };
    let (code, message) = failure.describe();
    console::note(&format!("error: {message}"));
    ExitCode::from(code)
}

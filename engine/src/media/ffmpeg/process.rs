//! A process of `ffmpeg`: its pipes, its messages and its end.

use super::limits::ProcessLimits;
use super::running::Running;
use super::watched::Watched;
use crate::{cancellation, thread};
use std::io::{BufReader, ErrorKind, Read};
use std::process::{ChildStderr, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

/// The largest number of bytes that are kept of the end of stderr.
const WORDS: usize = 4096;
/// The largest number of characters that are kept of a line of stderr.
const LINE: usize = 300;
/// The largest number of bytes that are read of a text on stdout.
const TEXT: u64 = 1 << 20;

/// A running process of `ffmpeg`. Dropping it ends the process.
#[derive(Debug)]
pub struct Process {
    child: Running,
    /// The standard input of the process, if the process has a pipe for it.
    pub input: Option<ChildStdin>,
    /// The standard output of the process. A read that takes longer than the limit ends the process and fails with
    /// `TimedOut`.
    pub output: BufReader<Watched>,
    words: Receiver<String>,
    limit: Duration,
    limits: ProcessLimits,
}

impl Process {
    /// Starts a command whose stdin is set. `limit` is the time that a read of the output may take.
    pub(super) fn start(command: &mut Command, limit: Duration, limits: ProcessLimits) -> std::io::Result<Process> {
        limits.set(command);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (input, pipes) = (child.stdin.take(), (child.stdout.take(), child.stderr.take()));
        let child = Running::new(child);
        let end = |e: std::io::Error| {
            child.kill();
            e
        };
        let (Some(output), Some(stderr)) = pipes else { return Err(end(ErrorKind::BrokenPipe.into())) };
        // A full pipe would block the process, so a thread reads stderr.
        let (said, words) = sync_channel(1);
        thread::spawn("sam2-ffmpeg", move || said.send(listen(stderr))).map_err(end)?;
        let output = Watched::new(output, limit, child.clone()).map_err(end)?;
        Ok(Process { child, input, output: BufReader::with_capacity(1 << 16, output), words, limit, limits })
    }

    /// Returns a handle that can end the process.
    #[must_use]
    pub fn running(&self) -> Running {
        self.child.clone()
    }

    /// Reads stdout as a text of limited length.
    pub(super) fn text(&mut self) -> std::io::Result<String> {
        let mut text = Vec::new();
        (&mut self.output).take(TEXT).read_to_end(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Closes stdin and waits until the process has ended, at most for the time limit of a read. Returns the end of
    /// stderr.
    ///
    /// # Errors
    ///
    /// The last line that the process wrote on stderr, or the reason why there is none. An error means that the process
    /// failed, or that the process does not end.
    pub fn finish(&mut self) -> Result<String, String> {
        self.input = None;
        let began = Instant::now();
        let status = loop {
            // `wait` would hold the lock, so that no other thread could end the process.
            match self.child.child().try_wait() {
                _ if cancellation::check().is_err() => return Err("ended".into()),
                Ok(Some(status)) => break status,
                Ok(None) if began.elapsed() > self.limit => return Err("ffmpeg does not end".into()),
                Ok(None) => {}
                Err(e) => return Err(e.to_string()),
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        // A child of the process may still hold its stderr, so the wait for stderr has a limit.
        let words = self.words.recv_timeout(Duration::from_secs(10)).unwrap_or_default();
        let line = last_line(&words);
        match (status.success(), status.code().is_some() && !line.is_empty()) {
            (true, _) => Ok(words),
            (false, true) => Err(line),
            (false, false) => Err(self.limits.reason(status).unwrap_or_else(|| format!("ffmpeg ended with {status}"))),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill();
        let _ = self.child.child().wait();
    }
}

/// Reads stderr to its end, and returns its last bytes.
fn listen(mut stderr: ChildStderr) -> String {
    let (mut kept, mut part) = (Vec::new(), [0; 1024]);
    while let Ok(n @ 1..) = stderr.read(&mut part) {
        kept.extend_from_slice(&part[..n]);
        let over = kept.len().saturating_sub(WORDS);
        kept.drain(..over);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// Returns the last line of stderr that states a cause.
fn last_line(text: &str) -> String {
    // The lines that follow this message are less clear.
    if text.contains("Format not on whitelist") {
        return "a kind of file that is not read as a video".into();
    }
    let says = |line: &&str| !line.trim().is_empty() && *line != "Conversion failed!";
    let line = text.lines().rfind(says).unwrap_or_default().trim();
    line.chars().filter(|c| !c.is_control()).take(LINE).collect()
}

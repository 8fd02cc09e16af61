//! The program `ffmpeg`, which reads and writes video files.
//!
//! It runs as a process of its own, never through a shell, and is the only thing here that is not Rust of this project.

mod watched;

use crate::error::{Error, Result};
use std::ffi::{OsStr, OsString};
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use watched::Watched;

/// The first version with all options that are used here.
const OLDEST: (u32, u32) = (4, 4);
/// Of what it says on stderr, so many bytes at the end are kept, and so many letters of a line.
const WORDS: (usize, usize) = (4096, 300);

/// How long the program may take for what it writes next, by default.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);
/// The most bytes of what it says about itself.
const ABOUT: u64 = 1 << 20;

/// The program, found.
#[derive(Clone, Debug)]
pub struct Ffmpeg {
    program: OsString,
    version: (u32, u32),
    /// A process that writes nothing for so long is ended.
    limit: Duration,
}

impl Ffmpeg {
    /// The program that the environment variable `SAM2_FFMPEG` names, or `ffmpeg` on the `PATH`.
    pub fn find() -> Result<Ffmpeg> {
        let given = std::env::var_os("SAM2_FFMPEG").filter(|v| !v.is_empty());
        Ffmpeg::at(given.unwrap_or("ffmpeg".into()))
    }

    /// The program of this name or path.
    pub fn at(program: OsString) -> Result<Ffmpeg> {
        let name = Path::new(&program).display().to_string();
        let fail = |what: String| Error::Ffmpeg { program: name.clone(), what };
        let mut ffmpeg = Ffmpeg { program, version: OLDEST, limit: PATIENCE };
        let mut process = ffmpeg.run(["-hide_banner", "-version"], Stdio::null()).map_err(|e| {
            let absent = "not found; video files need the program ffmpeg: install it (Debian and Ubuntu: apt install \
                          ffmpeg; macOS: brew install ffmpeg), or name it in SAM2_FFMPEG";
            fail(if e.kind() == ErrorKind::NotFound { absent.into() } else { e.to_string() })
        })?;
        let text = process.text().map_err(|e| fail(e.to_string()))?;
        let Some(rest) = text.strip_prefix("ffmpeg version ").filter(|_| process.finish().is_ok()) else {
            return Err(fail("it does not tell its version as ffmpeg does".into()));
        };
        ffmpeg.version = version(rest);
        if ffmpeg.version < OLDEST {
            let (major, minor) = ffmpeg.version;
            return Err(fail(format!("version {major}.{minor}; {}.{} or later is needed", OLDEST.0, OLDEST.1)));
        }
        Ok(ffmpeg)
    }

    /// The same program, given up when it writes nothing for so long.
    pub fn with_limit(self, limit: Duration) -> Ffmpeg {
        Ffmpeg { limit, ..self }
    }

    /// Options of an output that neither repeats nor drops a frame.
    pub fn every_frame(&self) -> [&'static str; 2] {
        if self.version >= (5, 1) { ["-fps_mode", "passthrough"] } else { ["-vsync", "passthrough"] }
    }

    /// Whether it has an encoder.
    pub fn encodes(&self, encoder: &str) -> Result<bool> {
        let args = ["-encoders"];
        let mut process = self.start(args, Stdio::null())?;
        let text = process.text().map_err(|e| Error::io(Path::new(&self.program), e))?;
        Ok(text.lines().any(|line| line.split_whitespace().nth(1) == Some(encoder)))
    }

    /// Starts it; of its own messages only errors come.
    pub fn start(&self, args: impl IntoIterator<Item: AsRef<OsStr>>, stdin: Stdio) -> Result<Process> {
        let quiet = ["-hide_banner", "-nostdin", "-loglevel", "error"].map(OsString::from);
        let args = quiet.into_iter().chain(args.into_iter().map(|arg| arg.as_ref().to_os_string()));
        self.run(args, stdin).map_err(|e| Error::io(Path::new(&self.program), e))
    }

    /// Starts it with these arguments alone.
    fn run(&self, args: impl IntoIterator<Item: AsRef<OsStr>>, stdin: Stdio) -> std::io::Result<Process> {
        let mut command = Command::new(&self.program);
        command.args(args).env("AV_LOG_FORCE_NOCOLOR", "1").env_remove("FFREPORT");
        let mut child = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (input, pipes) = (child.stdin.take(), (child.stdout.take(), child.stderr.take()));
        let child = Running(Arc::new(Mutex::new(child)));
        let end = |e: std::io::Error| {
            child.kill();
            e
        };
        let (Some(output), Some(stderr)) = pipes else { return Err(end(ErrorKind::BrokenPipe.into())) };
        // Someone has to read what it says, or it would wait for that.
        let (said, words) = sync_channel(1);
        let thread = std::thread::Builder::new().name("sam2-ffmpeg".into());
        thread.spawn(move || said.send(listen(stderr))).map_err(end)?;
        let output = Watched::new(output, self.limit, child.clone()).map_err(end)?;
        Ok(Process { child, input, output: BufReader::with_capacity(1 << 16, output), words, limit: self.limit })
    }
}

/// `5.1.9-0+deb12u1`, `n6.0` or `6.1`; what is built between versions, which has a date or a hash, is taken for recent.
fn version(text: &str) -> (u32, u32) {
    let text = text.strip_prefix('n').unwrap_or(text);
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    let major = numbers.next().and_then(|n| n.parse().ok()).filter(|&n| n < 1000);
    major.map_or((u32::MAX, 0), |major| (major, numbers.next().and_then(|n| n.parse().ok()).unwrap_or(0)))
}

/// Reads to the end; the end of what was said.
fn listen(mut stderr: ChildStderr) -> String {
    let (mut kept, mut part) = (Vec::new(), [0; 1024]);
    while let Ok(n @ 1..) = stderr.read(&mut part) {
        kept.extend_from_slice(&part[..n]);
        let over = kept.len().saturating_sub(WORDS.0);
        kept.drain(..over);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// The last line that says something.
fn last_line(text: &str) -> String {
    // What it says after that is less clear.
    if text.contains("Format not on whitelist") {
        return "a kind of file that is not read as a video".into();
    }
    let says = |line: &&str| !line.trim().is_empty() && *line != "Conversion failed!";
    let line = text.lines().rfind(says).unwrap_or_default().trim();
    line.chars().filter(|c| !c.is_control()).take(WORDS.1).collect()
}

/// A process, which can be ended from another thread.
#[derive(Clone)]
pub struct Running(Arc<Mutex<Child>>);

impl Running {
    fn child(&self) -> MutexGuard<'_, Child> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it; who reads its output finds the end.
    pub fn kill(&self) {
        // Fails only where it has ended by itself.
        let _ = self.child().kill();
    }
}

/// A running `ffmpeg`. It ends when this is dropped.
pub struct Process {
    child: Running,
    /// Its standard input, if it was given one.
    pub input: Option<ChildStdin>,
    /// Its standard output. A read that takes longer than the limit ends the process and fails with `TimedOut`.
    pub output: BufReader<Watched>,
    words: Receiver<String>,
    limit: Duration,
}

impl Process {
    /// What ends it.
    pub fn running(&self) -> Running {
        self.child.clone()
    }

    /// What it writes, which is a text of limited length.
    fn text(&mut self) -> std::io::Result<String> {
        let mut text = Vec::new();
        (&mut self.output).take(ABOUT).read_to_end(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Closes its input and waits until it has ended, at most as long as for what it writes. The end of what it said on
    /// stderr; if it failed, the last line of that.
    pub fn finish(&mut self) -> Result<String, String> {
        self.input = None;
        let began = Instant::now();
        let status = loop {
            // Not `wait`, which would keep another thread from ending it.
            match self.child.child().try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if began.elapsed() > self.limit => return Err("ffmpeg does not end".into()),
                Ok(None) => {}
                Err(e) => return Err(e.to_string()),
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        // A process that it started may still hold its stderr: do not wait for that one.
        let words = self.words.recv_timeout(Duration::from_secs(10)).unwrap_or_default();
        let line = last_line(&words);
        match (status.success(), status.code().is_some() && !line.is_empty()) {
            (true, _) => Ok(words),
            (false, true) => Err(line),
            (false, false) => Err(format!("ffmpeg ended with {status}")),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill();
        let _ = self.child.child().wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (text, want) in [
            ("5.1.9-0+deb12u1 Copyright", (5, 1)),
            ("n6.0 Copyright", (6, 0)),
            ("4.2.7-0ubuntu0.1", (4, 2)),
            ("8 Copyright", (8, 0)),
            ("N-109000-gabcdef", (u32::MAX, 0)),
            ("2024-01-01-git-abc", (u32::MAX, 0)),
        ] {
            assert_eq!(version(text), want, "{text}");
        }
    }

    #[test]
    fn what_is_absent_or_another_program_is_said() {
        let absent = Ffmpeg::at("no-such-program".into());
        assert!(matches!(&absent, Err(Error::Ffmpeg { what, .. }) if what.contains("install")), "{absent:?}");
        let other = Ffmpeg::at("true".into());
        assert!(matches!(&other, Err(Error::Ffmpeg { what, .. }) if what.contains("version")), "{other:?}");
    }
}
